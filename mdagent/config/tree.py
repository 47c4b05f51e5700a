"""The settings tree: every setting, its default, its kind and one line on what it does.

The tree is the only list of settings: the reader, the environment variables, the template and the comparison walk it.
A field without a node (home, world ...) belongs to one run and cannot stand in a file. Named tuples, because a dataclass takes
ten times as long to define and every command reads settings.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mdagent.config.kinds import BASE_URL, DATES, FILE, FLAG, KEY, LIMITS, PROXY, UNIVERSES, USER_AGENT, Kind, choice, number, text, whole
from mdagent.guard.weights import Weights
from mdagent.quality.modes import MODES
from mdagent.sources import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime
    from pathlib import Path

    from mdagent.config.kinds import LimitSettings
    from mdagent.config.secret import Secret

KNOWN_SOURCES = NAMES
GRADES = ("A+", "A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "F")

# The calendars of exchange_calendars 4.11 and our own 24/7, 24/5; a fund's closures go by its exchange.
CALENDARS = tuple(
    (
        "24/5 24/7 AIXK ASEX BVMF CMES IEPA XAMS XASX XBDA XBEL XBKK XBOG XBOM XBRA XBRU XBSE XBUD XBUE XCBF XCSE XCYS XDUB XDUS XEEE XETR "
        "XEUR XFRA XHAM XHEL XHKG XICE XIDX XIST XJSE XKAR XKLS XKRX XLIM XLIS XLIT XLJU XLON XLUX XMAD XMEX XMIL XMOS XNYS XNZE XOSL XPAR "
        "XPHS XPRA XRIS XSAU XSES XSGO XSHG XSTO XSTU XSWX XTAE XTAI XTAL XTKS XTSE XWAR XWBO XZAG us_futures"
    ).split()
)

World = Literal["live", "sandbox", "replay"]
Where = tuple[str, ...]


class Node(NamedTuple):
    """What stands in the tree: a leaf with its kind, a section (`tree`), or a table of either by name.

    `names` are those a table of leaves may have; a table of sections has those of the known sources.
    """

    about: str
    kind: Kind | None = None
    tree: type | None = None
    table: bool = False
    names: tuple[str, ...] = ()


_SECONDS = number(0.05, 600, "seconds")
_USD = number(0, 1_000_000, "USD")
_WEIGHT = number(0, 100, "points")
_WAIT = number(0, 3600, "seconds")


class TimeoutSettings(NamedTuple):
    """Seconds that one request may take."""

    connect: float = 2.0
    read: float = 8.0
    total: float = 15.0


class BudgetSettings(NamedTuple):
    """USD that may be spent, by the UTC calendar; None: no bound."""

    day: float | None = None
    month: float | None = None


class SourceSettings(NamedTuple):
    """What a user may say of one provider; None leaves it to the facts of the source."""

    enabled: bool = True
    api_key: Secret | None = None
    base_url: tuple[str, ...] | None = None
    plan: str | None = None
    timeout: TimeoutSettings = TimeoutSettings()
    concurrency: int | None = None
    limits: tuple[LimitSettings, ...] | None = None
    cost: float | None = None
    overage: float | None = None
    budget: BudgetSettings = BudgetSettings()
    pace: str = "balanced"
    observe_only: bool = False
    user_agent: str | None = None


class WireSettings(NamedTuple):
    """The way out to the network. `proxy` may hold a password: it is left out of the repr, and reveal it to no log."""

    proxy: str | None = None
    ca_file: Path | None = None
    allow_private_hosts: bool = False

    def __repr__(self) -> str:
        return f"WireSettings(ca_file={self.ca_file!r}, allow_private_hosts={self.allow_private_hosts!r})"


class LockSettings(NamedTuple):
    """Seconds to wait for the store while another process holds it."""

    read_wait: float = 5.0
    write_wait: float = 30.0


class FetchSettings(NamedTuple):
    """One fetch."""

    deadline: float = 10.0
    hedge: bool = False
    min_grade: str | None = None
    mode: str = "balanced"
    second_opinion: bool = True


class SessionSettings(NamedTuple):
    """What the calendars do not know. `closures`: by calendar code, days without a session."""

    closures: Mapping[str, tuple[date, ...]] = MappingProxyType({})


class LogSettings(NamedTuple):
    """What is said on stderr, and to a file."""

    level: str = "warning"
    format: str = "text"
    file: Path | None = None


class Settings(NamedTuple):
    """All settings of one run. Paths are absolute; making it writes nothing to disk.

    `home` is the folder of the run's world: bars of the sandbox and of a replay live in folders of their own. `clock` is
    the instant at which the clock starts, aware, UTC (sandbox and replay only). `verbose` counts -v. `sources` has an
    entry for every known source.
    """

    home: Path
    ledger: Path
    world: World
    replay: Path | None
    record: Path | None
    environment: str | None
    clock: datetime | None
    quiet: bool
    verbose: int
    store: Path
    sources: Mapping[str, SourceSettings]
    color: str = "auto"
    budget: BudgetSettings = BudgetSettings()
    weights: Weights = Weights()
    wire: WireSettings = WireSettings()
    lock: LockSettings = LockSettings()
    fetch: FetchSettings = FetchSettings()
    sessions: SessionSettings = SessionSettings()
    universes: Mapping[str, Path | tuple[str, ...]] = MappingProxyType({})
    log: LogSettings = LogSettings()

    def secrets(self) -> tuple[str, ...]:
        """Every spelling of every key: to be blanked in whatever is shown, logged or recorded."""
        return tuple(text for told in self.sources.values() if told.api_key for text in told.api_key.spellings())


_NODES: dict[type, dict[str, Node]] = {
    TimeoutSettings: {
        "connect": Node("seconds to connect", _SECONDS),
        "read": Node("seconds until the first byte, and between two", _SECONDS),
        "total": Node("seconds for one request, all told", _SECONDS),
    },
    BudgetSettings: {
        "day": Node("USD a day (UTC); a request that would pass it is refused", _USD),
        "month": Node("USD a month (UTC)", _USD),
    },
    Weights: {
        "reliability": Node("how often it answered", _WEIGHT),
        "quality": Node("how its bars were graded", _WEIGHT),
        "key": Node("that it spends no metered key", _WEIGHT),
        "cost": Node("what the requests cost", _WEIGHT),
        "basis": Node("that it delivers the basis asked for", _WEIGHT),
        "quota": Node("how much of its quota is left", _WEIGHT),
        "latency": Node("how fast it answers", _WEIGHT),
        "allowance": Node("how many requests its plan allows", _WEIGHT),
        "breaker": Node("how healthy its breaker is; the state itself goes before the score", _WEIGHT),
        "freshness": Node("how late it tells prices", _WEIGHT),
        "live": Node("the same where the price of this minute is asked for", _WEIGHT),
    },
    SourceSettings: {
        "enabled": Node("may this source be asked?", FLAG),
        "api_key": Node("better ${VARIABLE} or MDAGENT_<SOURCE>_API_KEY than the key", KEY),
        "base_url": Node(
            "another address (https, or plain http on a loopback address), or a list: the fastest healthy one is asked", BASE_URL
        ),
        "plan": Node("the plan you pay for, where the source knows several", text(64)),
        "timeout": Node("", tree=TimeoutSettings),
        "concurrency": Node("requests in flight at once", whole(1, 64)),
        "limits": Node("instead of the source's own: [{limit: 8, per: 1m}, {limit: 800, per: day, zone: UTC}]", LIMITS),
        "cost": Node("USD for one credit, where your plan charges by use", number(0, 1000, "USD for one credit")),
        "overage": Node(
            "USD for one credit beyond the quota of a day or month, on top of cost; null: nothing is sent beyond it",
            number(0, 1000, "USD for one credit"),
        ),
        "budget": Node("", tree=BudgetSettings),
        "pace": Node(
            "how far a 429 that the quota did not foresee slows us down: conservative, balanced or aggressive",
            choice("conservative", "balanced", "aggressive"),
        ),
        "observe_only": Node("breakers tell what they would refuse, and refuse nothing", FLAG),
        "user_agent": Node("how to introduce ourselves", USER_AGENT),
    },
    WireSettings: {
        "proxy": Node("an HTTP proxy; HTTP_PROXY and its like are not followed", PROXY),
        "ca_file": Node("certificate authorities (PEM) in place of the system's; verification has no off switch", FILE),
        "allow_private_hosts": Node("may a base_url point into a private network?", FLAG),
    },
    LockSettings: {
        "read_wait": Node("seconds that a read waits for the store", _WAIT),
        "write_wait": Node("seconds that a write waits for the store", _WAIT),
    },
    FetchSettings: {
        "deadline": Node("seconds for one call, retries included", number(0.1, 3600, "seconds")),
        "hedge": Node("may a quote be asked of a second source when the first takes long? It may cost a request more", FLAG),
        "min_grade": Node("refuse bars below this grade (A+ to F)", choice(*GRADES)),
        "mode": Node(f"how strictly bars are judged: {', '.join(MODES)}", choice(*MODES)),
        "second_opinion": Node("may one more source be asked where bars look wrong, or grade below min_grade?", FLAG),
    },
    SessionSettings: {
        "closures": Node("days without a session, by calendar: {XHKG: [2023-09-01]}", DATES, table=True, names=CALENDARS),
    },
    LogSettings: {
        "level": Node("debug, info, warning or error", choice("debug", "info", "warning", "error")),
        "format": Node("text, or one JSON object a line", choice("text", "json")),
        "file": Node("also write the log to this file", FILE),
    },
    Settings: {
        "store": Node("the file of the bars; null: bars.duckdb in the home of mdagent", FILE),
        "color": Node("auto, always or never", choice("auto", "always", "never")),
        "sources": Node("", tree=SourceSettings, table=True),
        "budget": Node("", tree=BudgetSettings),
        "weights": Node("", tree=Weights),
        "wire": Node("", tree=WireSettings),
        "lock": Node("", tree=LockSettings),
        "fetch": Node("", tree=FetchSettings),
        "sessions": Node("", tree=SessionSettings),
        "universes": Node("symbols by name, in a list or a file: {mine: [AAPL, MSFT], sp500: sp500.txt}; @mine means them", UNIVERSES),
        "log": Node("", tree=LogSettings),
    },
}


def nodes(tree: type) -> Iterator[tuple[str, Node]]:
    """The settings of one section, in order, without those of the run."""
    yield from _NODES[tree].items()


def default_of(tree: type, name: str) -> Any:  # noqa: ANN401  of whatever kind the setting is
    """The default of a setting, None for one that has none of its own."""
    return tree._field_defaults.get(name)  # type: ignore[attr-defined]
