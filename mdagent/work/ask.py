"""Questions about now: a price, a search, the state of markets, splits and dividends. Who can answer, and the first who does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast

from mdagent.exchanges import US
from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import Priority
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import date, datetime

    from mdagent.market import CorporateAction, Listing, MarketStatus, Quote, Symbol
    from mdagent.sources.base import Conversation, Source
    from mdagent.work.gate import Gate

    Door = Callable[[], AbstractAsyncContextManager[Gate]]

T = TypeVar("T")
_WHAT = {"quote": "quotes", "search": "a search", "market": "the state of markets", "actions": "splits and dividends"}
_OF_THE_SYMBOL = (FailureKind.UNKNOWN_SYMBOL, FailureKind.NO_DATA)
_COULD_NOT = (FailureKind.AUTH, FailureKind.PLAN_LIMIT, FailureKind.BAD_REQUEST, *_OF_THE_SYMBOL)  # up or down


class Unusable(ConversationFailed):
    """No source can be asked; the hint says what would change that."""

    def __init__(self, kind: FailureKind, detail: str, hint: str) -> None:
        super().__init__(Failure(kind, one_line(detail)))
        self.hint = hint


class Ask(NamedTuple, Generic[T]):
    """One question: how it begins at a source, and the symbol where it is about one."""

    subject: str
    begin: Callable[[Source], Conversation[T]]
    symbol: Symbol | None = None


class Events(NamedTuple):
    """The splits and dividends of one symbol, and who tells them."""

    source: str
    actions: tuple[CorporateAction, ...]


def key_variable(name: str) -> str:
    """The environment variable that holds the key of a source."""
    return f"MDAGENT_{name.upper()}_API_KEY"


def lacking(endpoint: str, source: Source, symbol: Symbol | None = None) -> str:
    """Why this source does not answer that kind of request under its plan, or ""."""
    plan = source.plan
    if endpoint not in source.spec.offers:
        return f"it does not offer {_WHAT[endpoint]}"
    if endpoint in plan.lacks:
        return f"its plan {plan.name} does not include {_WHAT[endpoint]}"
    if symbol is not None and "world" in plan.lacks and symbol.kind in ("equity", "fund") and symbol.mic not in (None, US.mic):
        return f"its plan {plan.name} does not include listings outside America"
    return ""


def able(endpoint: str, sources: Iterable[Source], *, named: bool, world: str, today: date) -> list[Source]:
    """Those of the sources that may be asked: without a key first, then who allows most requests. `named`: the user wants this one
    and no other. Raises Unusable when none is left."""
    from mdagent.work.fit import a_day, unready

    fit, left = [], []
    for source in sources:
        unfit = unready(source, world, today)
        why = unfit.why if unfit else lacking(endpoint, source)
        if why:
            left.append((source.spec.name, why, unfit is not None and unfit.kind is FailureKind.AUTH))
        else:
            fit.append(source)
    if fit:
        return sorted(fit, key=lambda s: (s.spec.needs_key, -a_day(s.plan), s.spec.name))
    keyless = [name for name, _, missing in left if missing]
    kind = FailureKind.AUTH if keyless and len(keyless) == len(left) else FailureKind.BAD_REQUEST
    hint = f"set {key_variable(keyless[0])}" if kind is FailureKind.AUTH else "use another source (mdagent sources list)"
    words = "; ".join(f"{name}: {why}" for name, why, _ in left) or "no source is enabled"
    raise Unusable(kind, words.removesuffix(f": {hint}") if named else f"no source can tell {_WHAT[endpoint]}: {words}", hint)


async def ask_all(  # noqa: PLR0913  who is asked what, and for how long
    door: Door, endpoint: str, sources: Sequence[Source], asks: Sequence[Ask[T]], deadline: float, *, hedge: float | None = None
) -> list[T | Failure]:
    """The first good answer to each ask, else the Failure that says most. `deadline` is seconds for each ask, whoever answers it. With
    `hedge`, so many seconds after the first source the second is asked, too."""
    async with door() as gate:
        return [await _first_good(gate, endpoint, sources, ask, deadline, hedge=hedge) for ask in asks]  # type: ignore[arg-type]  # T is T


async def _first_good(  # noqa: PLR0913  who is asked what, and for how long
    gate: Gate, endpoint: str, sources: Sequence[Source], ask: Ask[T], deadline: float, *, hedge: float | None
) -> T | Failure:
    from functools import partial

    failures, askable = [], []
    for source in sources:
        why = lacking(endpoint, source, ask.symbol)
        if why:
            failures.append((source.spec.name, Failure(FailureKind.PLAN_LIMIT, f"{source.spec.name}: {why}")))
        else:
            askable.append(source)
    told = partial(_told_by, gate, endpoint, ask=ask, ends=gate.clock.monotonic() + deadline)
    if hedge is not None and len(askable) > 1:
        from mdagent.work.hedge import hedged

        first, second, *askable = askable
        for name, came in await hedged(told(first), partial(told, second), hedge, lambda r: not isinstance(r[1], Failure)):
            if not isinstance(came, Failure):
                return came
            failures.append((name, came))
    for source in askable:
        name, came = await told(source, others=source is not askable[-1])
        if not isinstance(came, Failure):
            return came
        failures.append((name, came))
    resort = _last_resort(sources, failures)
    if resort is not None:
        name, came = await told(resort, last_resort=True)
        if not isinstance(came, Failure):
            return came
        failures.append((name, came))
    return _most_telling(failures)


def _last_resort(sources: Sequence[Source], failures: Sequence[tuple[str, Failure]]) -> Source | None:
    """Where breakers refuse every source that could answer: the one that is to be tested soonest."""
    if any(f.kind not in (FailureKind.BREAKER_OPEN, *_COULD_NOT) for _, f in failures):
        return None
    waits = [(f.until, name) for name, f in failures if f.kind is FailureKind.BREAKER_OPEN and f.until is not None]
    return next((s for s in sources if waits and s.spec.name == min(waits)[1]), None)


async def _told_by(  # noqa: PLR0913  who is asked what, until when, and who else there is
    gate: Gate, endpoint: str, source: Source, *, ask: Ask[T], ends: float, others: bool = False, last_resort: bool = False
) -> tuple[str, T | Failure]:
    """What one source says. Somebody waits for it."""
    from functools import partial

    from mdagent.work.gate import Call

    call = Call(endpoint, ask.subject, ends, priority=Priority.HIGH, last_resort=last_resort, others=others)
    result = await gate.converse(source, partial(ask.begin, source), call)
    return source.spec.name, cast("T", result.value) if result.failure is None else result.failure


def _most_telling(failures: Sequence[tuple[str, Failure]]) -> Failure:
    """A symbol is unknown only where every source says so; else that it is the network, or the first failure that may pass, or that a key
    or a plan would end."""
    name, told = next((pair for pair in failures if pair[1].kind is FailureKind.NETWORK_DOWN), None) or next(
        (pair for pair in failures if pair[1].kind not in _OF_THE_SYMBOL), failures[0]
    )
    if len(failures) == 1 or name in told.detail.lower():
        return told
    return replace(told, detail=one_line(f"{name}: {told.detail}"))


def quote_of(symbol: Symbol) -> Ask[Quote]:
    """The latest price of a symbol."""
    return Ask(str(symbol), lambda source: source.quote(symbol), symbol)


def search_for(words: str) -> Ask[list[Listing]]:
    """Listings that fit the words."""
    return Ask(words, lambda source: source.search(words))


def markets() -> Ask[list[MarketStatus]]:
    """Which markets are open now."""
    return Ask("markets", lambda source: source.market())


def actions_of(symbol: Symbol, start: datetime, end: datetime, now: datetime) -> Ask[Events]:
    """Splits and dividends of a symbol with `start <= date < end`, as Events. All up to `now` are asked for, whatever the end."""

    def begin(source: Source) -> Conversation[Events]:
        from mdagent.sources.reading.rows import within

        told = yield from source.actions(symbol, start, max(end, now + timedelta(days=1)))
        return Events(source.spec.name, within(told, start, end))

    return Ask(str(symbol), begin, symbol)
