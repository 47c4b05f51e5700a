"""The settings tree: every setting, its default, its kind and one line on what it does.

The tree is the only list of settings: the reader, the environment variables, the template and the comparison walk it.
A field whose metadata holds no node (home, world ...) belongs to one run and cannot stand in a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, NamedTuple

from mdagent.config.kinds import BASE_URL, DATES, FILE, FLAG, KEY, LIMITS, PROXY, USER_AGENT, Kind, choice, number, text, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime
    from pathlib import Path

    from mdagent.config.kinds import LimitSettings
    from mdagent.config.secret import Secret

KNOWN_SOURCES = ("yahoo",)
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


def _leaf(kind: Kind, about: str) -> dict[str, Node]:
    return {"node": Node(about, kind)}


def _section(tree: type, about: str = "") -> dict[str, Node]:
    return {"node": Node(about, tree=tree)}


_SECONDS = number(0.05, 600, "seconds")


@dataclass(frozen=True, slots=True)
class TimeoutSettings:
    """Seconds that one request may take."""

    connect: float = field(default=2.0, metadata=_leaf(_SECONDS, "seconds to connect"))
    read: float = field(default=8.0, metadata=_leaf(_SECONDS, "seconds until the first byte, and between two"))
    total: float = field(default=15.0, metadata=_leaf(_SECONDS, "seconds for one request, all told"))


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """What a user may say of one provider; None leaves it to the facts of the source."""

    enabled: bool = field(default=True, metadata=_leaf(FLAG, "may this source be asked?"))
    api_key: Secret | None = field(default=None, metadata=_leaf(KEY, "better ${VARIABLE} or MDAGENT_<SOURCE>_API_KEY than the key"))
    base_url: str | None = field(default=None, metadata=_leaf(BASE_URL, "another address: https, or plain http on a loopback address"))
    plan: str | None = field(default=None, metadata=_leaf(text(64), "the plan you pay for, where the source knows several"))
    timeout: TimeoutSettings = field(default_factory=TimeoutSettings, metadata=_section(TimeoutSettings))
    concurrency: int | None = field(default=None, metadata=_leaf(whole(1, 64), "requests in flight at once"))
    limits: tuple[LimitSettings, ...] | None = field(
        default=None, metadata=_leaf(LIMITS, "instead of the source's own: [{limit: 8, per: 1m}, {limit: 800, per: day, zone: UTC}]")
    )
    cost: float | None = field(default=None, metadata=_leaf(number(0, 1000, "price of one request"), "what one request costs you"))
    user_agent: str | None = field(default=None, metadata=_leaf(USER_AGENT, "how to introduce ourselves"))


@dataclass(frozen=True, slots=True)
class WireSettings:
    """The way out to the network. `proxy` may hold a password: reveal it to no log."""

    proxy: str | None = field(default=None, repr=False, metadata=_leaf(PROXY, "an HTTP proxy; HTTP_PROXY and its like are not followed"))
    ca_file: Path | None = field(
        default=None, metadata=_leaf(FILE, "certificate authorities (PEM) in place of the system's; verification has no off switch")
    )
    allow_private_hosts: bool = field(default=False, metadata=_leaf(FLAG, "may a base_url point into a private network?"))


@dataclass(frozen=True, slots=True)
class LockSettings:
    """Seconds to wait for the store while another process holds it."""

    read_wait: float = field(default=5.0, metadata=_leaf(number(0, 3600, "seconds"), "seconds that a read waits for the store"))
    write_wait: float = field(default=30.0, metadata=_leaf(number(0, 3600, "seconds"), "seconds that a write waits for the store"))


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """One fetch."""

    deadline: float = field(default=10.0, metadata=_leaf(number(0.1, 3600, "seconds"), "seconds for one call, retries included"))
    min_grade: str | None = field(default=None, metadata=_leaf(choice(*GRADES), "refuse bars below this grade (A+ to F)"))


def _no_closures() -> Mapping[str, tuple[date, ...]]:
    from types import MappingProxyType

    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What the calendars do not know. `closures`: by calendar code, days without a session."""

    closures: Mapping[str, tuple[date, ...]] = field(
        default_factory=_no_closures,
        metadata={"node": Node("days without a session, by calendar: {XHKG: [2023-09-01]}", DATES, table=True, names=CALENDARS)},
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is said on stderr, and to a file."""

    level: str = field(default="warning", metadata=_leaf(choice("debug", "info", "warning", "error"), "debug, info, warning or error"))
    format: str = field(default="text", metadata=_leaf(choice("text", "json"), "text, or one JSON object a line"))
    file: Path | None = field(default=None, metadata=_leaf(FILE, "also write the log to this file"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
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
    store: Path = field(metadata=_leaf(FILE, "the file of the bars; null: bars.duckdb in the home of mdagent"))
    color: str = field(default="auto", metadata=_leaf(choice("auto", "always", "never"), "auto, always or never"))
    sources: Mapping[str, SourceSettings] = field(metadata={"node": Node("", tree=SourceSettings, table=True)})
    wire: WireSettings = field(default_factory=WireSettings, metadata=_section(WireSettings))
    lock: LockSettings = field(default_factory=LockSettings, metadata=_section(LockSettings))
    fetch: FetchSettings = field(default_factory=FetchSettings, metadata=_section(FetchSettings))
    sessions: SessionSettings = field(default_factory=SessionSettings, metadata=_section(SessionSettings))
    log: LogSettings = field(default_factory=LogSettings, metadata=_section(LogSettings))


def nodes(tree: type) -> Iterator[tuple[str, Node]]:
    """The settings of one section, in order, without those of the run."""
    for item in fields(tree):
        if (node := item.metadata.get("node")) is not None:
            yield item.name, node
