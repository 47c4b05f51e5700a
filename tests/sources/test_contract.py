"""Quotes, searches, splits and dividends, markets and batches of every source that offers them: they agree with the truth."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import Adjustment, BarRequest, BarSet, Interval, Symbol
from mdagent.sources import spec_of
from tests.sources import truths
from tests.sources.registry import KNOWN, format_of
from tests.sources.talk import Simulated, outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdagent.sources.base import Source

NIGHT = datetime(2024, 3, 14, 2, tzinfo=UTC)  # after the session of the 13th, whatever the delay
LATER = datetime(2025, 1, 20, 12, tzinfo=UTC)
START, END = datetime(2020, 6, 1, tzinfo=UTC), datetime(2021, 6, 1, tzinfo=UTC)
NEW_YORK = re.compile(r"\bU\.?S\.?A?\b|United States|NYSE|Nasdaq|SNP|S&P|New York", re.IGNORECASE)
KINDS: dict[str, Callable[[Source], Any]] = {
    "quote": lambda source: source.quote("AAPL"),
    "search": lambda source: source.search("Apple"),
    "actions": lambda source: source.actions(Symbol.parse("AAPL"), START, END),
    "market": lambda source: source.market(),
    "batch": lambda source: source.batch([daily(source.spec.name, name) for name in ("AAPL", "MSFT")]),
}


def offering(kind: str) -> list[str]:
    """The sources that offer that."""
    return [name for name in KNOWN if kind in spec_of(name).offers]


def daily(source: str, symbol: str) -> BarRequest:
    """Two weeks of a symbol in the basis that the source has first."""
    basis = spec_of(source).intervals[Interval.D1].delivers[0]
    return BarRequest(symbol, "1d", "2024-03-04", "2024-03-14", basis)  # type: ignore[arg-type]


def shortly(source: str, symbol: str) -> BarRequest:
    """One day: some providers tell all symbols of one day at a time, and it takes the simulated ones long."""
    return replace(daily(source, symbol), end=datetime(2024, 3, 5, tzinfo=UTC))


@pytest.mark.parametrize("source", offering("quote"))
@pytest.mark.parametrize("symbol", ["AAPL", "BRK.B"])
def test_a_quote_is_the_last_price(source: str, symbol: str) -> None:
    view = truths.seen(symbol, NIGHT)
    told = Simulated(source, NIGHT).hold(lambda s: s.quote(symbol))
    assert (str(told.symbol), told.source) == (symbol, source)
    assert told.last == pytest.approx(view.price, rel=1e-5)
    assert told.currency in (None, "USD")
    assert told.as_of is None or (told.as_of.tzinfo is not None and told.as_of <= NIGHT)
    close = truths.known(truths.Scene("", symbol, START, NIGHT, NIGHT), Interval.D1, Adjustment.SPLITS).prices[3]
    assert told.previous_close is None or told.previous_close == pytest.approx(close[-2], rel=1e-5)


@pytest.mark.parametrize("source", offering("quote"))
def test_a_quote_of_an_unknown_symbol_is_no_price(source: str) -> None:
    came = outcome(lambda: Simulated(source, NIGHT).hold(lambda s: s.quote("NOSUCH")))
    assert isinstance(came, Failure)
    assert came.kind in (FailureKind.UNKNOWN_SYMBOL, FailureKind.NO_DATA)


@pytest.mark.parametrize("source", offering("search"))
@pytest.mark.parametrize(("words", "symbol"), [("Apple", "AAPL"), ("Berkshire", "BRK.B")])
def test_what_a_search_finds_can_be_fetched(source: str, words: str, symbol: str) -> None:
    simulated = Simulated(source, LATER)
    found = simulated.hold(lambda s: s.search(words))
    assert symbol in [str(hit.symbol) for hit in found]
    hit = next(hit for hit in found if str(hit.symbol) == symbol)
    assert hit.symbol == Symbol.parse(symbol)
    assert words.lower() in hit.name.lower()
    assert len(simulated.hold(lambda s: s.bars(daily(source, str(hit.symbol)))))


@pytest.mark.parametrize("source", offering("search"))
def test_a_search_for_nothing_that_there_is_finds_nothing(source: str) -> None:
    came = outcome(lambda: Simulated(source, LATER).hold(lambda s: s.search("zzqqzz")))
    assert came == [] or (isinstance(came, Failure) and came.kind in (FailureKind.NO_DATA, FailureKind.UNKNOWN_SYMBOL))


@pytest.mark.parametrize("source", [name for name in KNOWN if {"actions", "actions with bars"} & spec_of(name).offers])
@pytest.mark.parametrize("symbol", ["AAPL", "SYM00307"])
def test_splits_and_dividends_are_those_that_took_effect(source: str, symbol: str) -> None:
    start, end = (START, END) if symbol == "AAPL" else (datetime(2023, 10, 1, tzinfo=UTC), datetime(2024, 10, 1, tzinfo=UTC))
    due = truths.actions(truths.Scene("", symbol, start, end, LATER))
    came = Simulated(source, LATER).hold(lambda s: s.actions(Symbol.parse(symbol), start, end))
    assert {(a.date, a.value) for a in came if a.kind == "split"} == {(a.day.item(), a.new / a.old) for a in due if a.kind == "split"}
    paid = {a.day.item(): a for a in due if a.kind == "dividend"}
    told = {a.date: a for a in came if a.kind == "dividend"}
    assert set(told) == set(paid)
    for day, action in told.items():
        assert action.value == pytest.approx(paid[day].adjusted if action.adjusted else paid[day].amount, rel=1e-4)
        assert action.currency in (None, "USD")
    assert list(came) == sorted(came, key=lambda a: a.date)


@pytest.mark.parametrize("source", offering("actions with bars"))
def test_daily_bars_bring_their_actions_where_a_source_says_so(source: str) -> None:
    scene = truths.DAYS[0]
    basis = spec_of(source).intervals[Interval.D1].delivers[0]
    bars = Simulated(source, scene.now).hold(lambda s: s.bars(BarRequest("AAPL", Interval.D1, scene.start, scene.end, basis)))  # type: ignore[arg-type]
    assert [(a.kind, f"{a.date}", a.value) for a in bars.actions] == [("split", "2020-08-31", 4.0)]


@pytest.mark.parametrize("source", offering("market"))
@pytest.mark.parametrize(
    ("now", "is_open"),
    [("2024-03-13T19:00", True), ("2024-03-10T19:00", False), ("2024-07-04T19:00", False), ("2024-11-29T19:00", False)],
    ids=["in a session", "on a Sunday", "on a holiday", "after an early close"],
)
def test_new_york_is_open_when_it_trades(source: str, now: str, is_open: bool) -> None:
    if now == "2024-11-29T19:00" and "early" in format_of(source).lacks:
        return
    told = Simulated(source, datetime.fromisoformat(now).replace(tzinfo=UTC)).hold(lambda s: s.market())
    here = [status for status in told if NEW_YORK.search(status.market)]
    assert here, told
    assert {status.is_open for status in here} == {is_open}


@pytest.mark.parametrize("source", offering("batch"))
def test_a_batch_is_what_its_symbols_would_be_one_by_one(source: str) -> None:
    simulated = Simulated(source, LATER)
    requests = [shortly(source, name) for name in ("AAPL", "BRK.B", "NOSUCH", "MSFT")]
    came = simulated.hold(lambda s: s.batch(requests))
    together = len(simulated.asked)
    assert together < len(requests)
    assert len(came) == len(requests)
    for request, one in zip(requests, came, strict=True):
        alone = outcome(lambda request=request: simulated.hold(lambda s: s.bars(request)))  # type: ignore[misc]
        if isinstance(alone, BarSet):
            assert isinstance(one, BarSet)
            assert (one.symbol, one.adjustment, one.ts.tolist()) == (alone.symbol, alone.adjustment, alone.ts.tolist())
            assert [one.close.tolist(), one.volume.tolist()] == [alone.close.tolist(), alone.volume.tolist()]
        else:
            assert isinstance(one, Failure) or not len(one)


@pytest.mark.parametrize("source", offering("batch"))
def test_a_batch_of_one_is_still_a_batch(source: str) -> None:
    came = Simulated(source, LATER).hold(lambda s: s.batch([shortly(source, "AAPL")]))
    assert [len(one) for one in came if isinstance(one, BarSet)] == [1]


def refusals() -> Iterator[tuple[str, str, str]]:
    """Source, plan, and a kind of request that the plan lacks."""
    for source in KNOWN:
        for plan in spec_of(source).plans:
            yield from ((source, plan.name, kind) for kind in KINDS if kind in plan.lacks)


@pytest.mark.parametrize(("source", "plan", "kind"), list(refusals()))
def test_what_a_plan_lacks_is_refused_as_such(source: str, plan: str, kind: str) -> None:
    came = outcome(lambda: Simulated(source, NIGHT, plan=plan).hold(KINDS[kind]))
    assert isinstance(came, Failure), "the dialect gives what the plan is said to lack"
    assert came.kind is FailureKind.PLAN_LIMIT


@pytest.mark.parametrize("source", [name for name in KNOWN if spec_of(name).needs_key])
@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_key_is_told_by_every_kind_of_request(source: str, kind: str) -> None:
    if kind not in spec_of(source).offers:
        return
    came = outcome(lambda: Simulated(source, NIGHT, key="wrong").hold(KINDS[kind]))
    assert isinstance(came, Failure)
    assert came.kind is FailureKind.AUTH


@pytest.mark.parametrize("source", KNOWN)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_source_does_not_offer_is_not_asked_for(source: str, kind: str) -> None:
    if {kind, f"{kind} with bars"} & spec_of(source).offers:
        return
    simulated = Simulated(source, NIGHT)
    with pytest.raises(ConversationFailed) as caught:
        simulated.hold(KINDS[kind])
    assert caught.value.failure.kind is FailureKind.BAD_REQUEST
    assert not simulated.asked


@pytest.mark.parametrize("source", KNOWN)
def test_the_facts_hold_together(source: str) -> None:
    spec = spec_of(source)
    known = {*KINDS, "actions with bars"}
    assert spec.offers <= known
    for plan in spec.plans:
        words = {*(i.value for i in spec.intervals), *(f"{i} {b}" for i, depth in spec.intervals.items() for b in depth.delivers)}
        assert plan.lacks <= words | set(KINDS) | {"world"}
        assert set(plan.history) <= set(spec.intervals)
    assert not spec.plans[-1].lacks, "the last plan includes everything"
    assert format_of(source).basis in spec.intervals[Interval.D1].delivers
