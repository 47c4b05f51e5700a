"""What a source is: a sheet of facts, and conversations that yield requests and return bars.

A conversation is a plain generator. It yields an `httpx.Request`, is sent the `httpx.Response`, and returns its result. It
cannot wait, retry, count, log or reach the network; the gate does all that. An answer of no use ends it with
`ConversationFailed`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn, Protocol, TypeVar

from mdagent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import httpx

    from mdagent.guard.outcome import Failure
    from mdagent.market import Adjustment, BarRequest, BarSet, CorporateAction, Interval, Listing, MarketStatus, Quote, Symbol

T = TypeVar("T")
Conversation = Generator["httpx.Request", "httpx.Response", T]
COST = "mdagent.cost"  # in a request's extensions: what it costs of the quota, 1 where absent


@dataclass(frozen=True, slots=True)
class Depth:
    """How far back a source keeps an interval, how long one request may be (None: no limit known), and the price bases that it
    delivers; the first of them is the one that mdagent stores, the others are made of it when read."""

    history: timedelta | None = None
    per_request: timedelta | None = None
    delivers: tuple[Adjustment, ...] = ()


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit` per `per`: seconds of a rolling window, or `day` or `month` in `zone` for a calendar window. Counted are `credits`
    (what a request costs by its `COST`), or bare `requests`."""

    limit: int
    per: float | str
    zone: str = "UTC"
    of: Literal["credits", "requests"] = "credits"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one subscription allows. `usd` is its price a month (None: not published). `delay` is how much later than the exchange
    it tells prices. `history` is how far back it reaches, by interval; `lacks` are intervals (`1m`), bases (`1d all`), kinds of
    request (`quote`, `actions`, `search`, `market`, `batch`) or `world` (listings outside America) that it does not include."""

    name: str
    quotas: tuple[Quota, ...]
    usd: float | None = 0.0
    delay: timedelta = timedelta(0)
    history: Mapping[Interval, timedelta] = field(default_factory=lambda: MappingProxyType({}))
    lacks: frozenset[str] = frozenset()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Milestone:
    """What became of a provider, or of a part of it, on a day: `active`, `renamed`, `retired` or `needs-plan`."""

    day: date
    state: Literal["active", "renamed", "retired", "needs-plan"]
    what: str


@dataclass(frozen=True, slots=True)
class Auth:
    """Where the key goes: a header or a query parameter of that name, its value `form` with `{key}` filled in."""

    place: Literal["header", "query", "none"] = "none"
    name: str = ""
    form: str = "{key}"


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """The facts of a provider; `checked` is the day they were last compared. The first of `plans` is the one that a new user has,
    the last includes everything. `offers` are the kinds of request besides bars: `quote`, `search`, `actions`, `market`, `batch`,
    and `actions with bars` where a daily answer tells every split and dividend of its window."""

    name: str
    title: str
    hosts: tuple[str, ...]
    intervals: Mapping[Interval, Depth]
    plans: tuple[Plan, ...]
    cooldown: float  # seconds of silence after a 429 that says no time of its own
    delay: timedelta  # how late a finished bar may still change
    concurrency: int
    covers: str
    terms: str
    checked: date
    auth: Auth = Auth()
    offers: frozenset[str] = frozenset()
    lifecycle: tuple[Milestone, ...] = ()
    user_agent: str = ""

    @property
    def bases(self) -> tuple[str, ...]:
        """The addresses of its hosts."""
        return tuple(f"https://{host}" for host in self.hosts)

    @property
    def needs_key(self) -> bool:
        """Is a key needed to ask at all?"""
        return self.auth.place != "none"

    @property
    def delivers(self) -> tuple[Adjustment, ...]:
        """Every price basis that it delivers for some interval."""
        return tuple(dict.fromkeys(basis for depth in self.intervals.values() for basis in depth.delivers))

    def plan(self, name: str | None) -> Plan:
        """The plan of that name, None for a new user's. Raises ConfigError."""
        if name is None:
            return self.plans[0]
        found = next((p for p in self.plans if p.name == name.lower()), None)
        if found is None:
            msg = f"sources.{self.name}.plan is {name[:40]!a}: {self.title} has no such plan"
            raise ConfigError(msg, f"use one of {', '.join(p.name for p in self.plans)}")
        return found

    def retired(self, today: date) -> Milestone | None:
        """The end of this provider, once it has come."""
        return next((m for m in self.lifecycle if m.state == "retired" and m.day <= today), None)


class Source(Protocol):
    """One provider under one plan. Everything it raises below the command line is `ConversationFailed`."""

    spec: ClassVar[SourceSpec]
    plan: Plan

    @property
    def keyed(self) -> bool:
        """Is there a key, or no need of one?"""

    @property
    def delay(self) -> timedelta:
        """How late after its period a bar may still change."""

    def cut(self, request: BarRequest) -> list[BarRequest]:
        """The request in the pieces that one answer can hold."""

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars of the window, in the basis asked for where the provider delivers it; the label tells what came."""

    def batch_requests(self, requests: Sequence[BarRequest]) -> int | None:
        """How many requests a batch of these takes; None where no batch can serve them."""

    def batch(self, requests: Sequence[BarRequest]) -> Conversation[list[BarSet | Failure]]:
        """The same for several symbols, whose requests differ in nothing else, in fewer requests than one each."""

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The latest price."""

    def search(self, words: str) -> Conversation[list[Listing]]:
        """Symbols that fit the words, in the provider's order."""

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        """Splits and dividends with `start <= date < end`, by ex-date; without `payments` splits alone, where that costs less. The end is
        now or later: some providers count their ranges back from today. Raises rather than tell less than all of them."""

    def market(self) -> Conversation[list[MarketStatus]]:
        """Which markets are open now."""

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The error that this answer tells, whatever its status says; None for an answer to be read."""


class Adapter:
    """What most providers share: a key that is put where `spec.auth` says, and addresses that settings may replace. A request is made for
    the first of them; the gate sends it to the one that does best."""

    spec: ClassVar[SourceSpec]

    def __init__(
        self, plan: Plan, *, api_key: str | None = None, base_url: str | Sequence[str] | None = None, user_agent: str | None = None
    ) -> None:
        self.plan = plan
        told = (base_url,) if isinstance(base_url, str) else base_url or self.spec.bases
        self.bases = tuple(url.rstrip("/") for url in told)
        self.base = self.bases[0]
        self._key = api_key or ""
        agent = user_agent or self.spec.user_agent
        self._headers = {"Accept": "application/json"} | ({"User-Agent": agent} if agent else {})

    @property
    def keyed(self) -> bool:
        """Is there a key, or no need of one?"""
        return bool(self._key) or not self.spec.needs_key

    @property
    def delay(self) -> timedelta:
        """How late after its period a bar may still change: a plan that tells late cannot tell sooner that it is final."""
        return self.spec.delay + self.plan.delay

    def cut(self, request: BarRequest) -> list[BarRequest]:
        """The request in the pieces that one answer can hold, the same pieces for the same request."""
        from mdagent.sources.reading.windows import windows

        return windows(request, self.spec.intervals[request.interval].per_request)

    def get(self, path: str, params: Mapping[str, str] | None = None, *, cost: int = 1) -> httpx.Request:
        """A GET with the key, of a path that is percent-encoded already; `path` may also be a whole address on one of our hosts."""
        from urllib.parse import urlencode

        import httpx  # here, so that the facts of a source can be read without it

        auth, headers, query = self.spec.auth, dict(self._headers), dict(params or {})
        if auth.place != "none":
            (headers if auth.place == "header" else query)[auth.name] = auth.form.format(key=self._key)
        url = path if path.startswith(("https://", "http://")) else self.base + path
        if query and "?" not in url:  # a tenth of what it takes httpx to merge them
            url, query = f"{url}?{urlencode(query)}", {}
        made = httpx.URL(url).copy_merge_params(query) if query else httpx.URL(url)
        return httpx.Request("GET", made, headers=headers, extensions={COST: cost})

    def batch_requests(self, requests: Sequence[BarRequest]) -> int | None:
        del requests
        return None

    def batch(self, requests: Sequence[BarRequest]) -> Conversation[list[BarSet | Failure]]:
        del requests
        return self._offers_no("bars of several symbols at once")

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        del symbol
        return self._offers_no("quotes")

    def search(self, words: str) -> Conversation[list[Listing]]:
        del words
        return self._offers_no("search")

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        del symbol, start, end, payments
        return self._offers_no("splits and dividends")

    def market(self) -> Conversation[list[MarketStatus]]:
        return self._offers_no("state of markets")

    def _offers_no(self, what: str) -> NoReturn:
        from mdagent.guard.outcome import FailureKind
        from mdagent.sources.reading.body import failed

        raise failed(FailureKind.BAD_REQUEST, f"{self.spec.title} offers no {what}")
