"""What the truth is, told in each provider's words and read back, is the truth: for every source, interval and price basis."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.market import Adjustment, BarRequest, BarSet, Interval
from mdagent.sources import NAMES, spec_of
from mdagent.wire.sandbox.dialects import dialects
from tests.sources import truths
from tests.sources.registry import KNOWN, format_of
from tests.sources.talk import Simulated, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sources.truths import Scene


def told(source: str, interval: Interval) -> tuple[Adjustment, ...]:
    """The bases that a source delivers for an interval."""
    depth = spec_of(source).intervals.get(interval)
    return depth.delivers if depth else ()


def round_trips() -> Iterator[object]:
    """Every source, interval, basis and scene."""
    for source in KNOWN:
        for interval in spec_of(source).intervals:
            for basis in told(source, interval):
                for scene in truths.HOURS if interval.intraday else truths.DAYS:
                    yield pytest.param(source, interval, basis, scene, id=f"{source}-{interval}-{basis}-{scene}")


def fetched(simulated: Simulated, scene: Scene, interval: Interval, basis: Adjustment) -> BarSet:
    """The bars of a scene, asked for whole."""
    request = BarRequest(scene.symbol, interval, scene.start, scene.end, basis)  # type: ignore[arg-type]
    return simulated.hold(lambda source: source.bars(request))


def test_every_source_says_how_it_writes_and_is_simulated() -> None:
    assert set(KNOWN) == set(NAMES) == set(dialects())


@pytest.mark.parametrize("source", KNOWN)
def test_a_dialect_has_the_plans_of_its_source(source: str) -> None:
    assert list(dialects()[source].plans) == [plan.name for plan in spec_of(source).plans]
    assert set(dialects()[source].hosts) >= {spec_of(source).hosts[0]}


@pytest.mark.parametrize("source", KNOWN)
def test_every_interval_has_a_basis(source: str) -> None:
    assert all(depth.delivers for depth in spec_of(source).intervals.values())


@pytest.mark.parametrize(("source", "interval", "basis", "scene"), list(round_trips()))
def test_the_truth_comes_back(source: str, interval: Interval, basis: Adjustment, scene: Scene) -> None:
    form, scene = format_of(source), scene.widened(interval)
    came = fetched(Simulated(source, scene.now), scene, interval, basis)
    due = truths.known(scene, interval, basis)
    assert (came.symbol.ticker, came.interval, came.source, came.adjustment) == (scene.symbol, interval, source, basis)
    torn = truths.torn_by_a_split(scene, interval) if basis is Adjustment.ALL and "torn" in form.lacks else frozenset()
    assert {row.ts for row in came.delivery.rejected} == torn
    assert not came.delivery.conflicts
    due = due.without(torn)
    if came.delivery.extended:
        came = came.take(truths.in_session(came.ts, scene))
        due = due.take(truths.in_session(due.ts, scene))
    assert came.ts.tolist() == due.ts.tolist()
    assert np.array([came.open, came.high, came.low, came.close]) == pytest.approx(due.prices, rel=form.precise, abs=0)
    if form.counts_the_market(interval):
        of = Adjustment.RAW if came.raw_volume else basis
        counted = truths.known(scene, interval, of).without(torn)
        assert came.volume.tolist() == counted.volume.tolist()


@pytest.mark.parametrize("source", KNOWN)
@pytest.mark.parametrize("symbol", ["VOD.L", "SAP.DE", "IBE.MC", "7203.T", "EURUSD=X", "BTC-USD", "^GSPC", "SPY", "BRK.A"])
def test_other_markets_come_back_or_are_refused(source: str, symbol: str) -> None:
    scene = truths.DAYS[1]._replace(symbol=symbol)
    basis = told(source, Interval.D1)[0]
    came = outcome(lambda: fetched(Simulated(source, scene.now), scene, Interval.D1, basis))
    if isinstance(came, Failure):
        assert came.kind in (FailureKind.UNKNOWN_SYMBOL, FailureKind.NO_DATA, FailureKind.PLAN_LIMIT, FailureKind.BAD_REQUEST), came
        return
    due = truths.known(scene, Interval.D1, came.adjustment)
    assert str(came.symbol) == symbol
    assert came.currency in (None, *came.symbol.currencies) or not came.symbol.currencies
    assert came.ts.tolist() == due.ts.tolist()
    assert np.array([came.open, came.high, came.low, came.close]) == pytest.approx(due.prices, rel=1e-6, abs=0)


@pytest.mark.parametrize("source", KNOWN)
@pytest.mark.parametrize(
    ("symbol", "start", "end"),
    [("AAPL", "2024-03-09", "2024-03-11"), ("AAPL", "1970-01-01", "1970-03-01")],
    ids=["a weekend", "before it was listed"],
)
def test_a_range_without_sessions_is_empty(source: str, symbol: str, start: str, end: str) -> None:
    simulated = Simulated(source, truths.DAYS[0].now)
    basis = told(source, Interval.D1)[0]
    request = BarRequest(symbol, Interval.D1, start, end, basis)  # type: ignore[arg-type]
    came = outcome(lambda: simulated.hold(lambda s: s.bars(request)))
    assert not len(came) if isinstance(came, BarSet) else came.kind is FailureKind.NO_DATA, came


@pytest.mark.parametrize("source", KNOWN)
def test_an_unknown_symbol_is_told_where_the_provider_can_tell(source: str) -> None:
    simulated = Simulated(source, truths.DAYS[0].now)
    basis = told(source, Interval.D1)[0]
    request = BarRequest("NOSUCH", Interval.D1, "2024-01-02", "2024-02-01", basis)  # type: ignore[arg-type]
    came = outcome(lambda: simulated.hold(lambda s: s.bars(request)))
    assert isinstance(came, Failure)
    assert came.kind == format_of(source).unknown


@pytest.mark.parametrize("source", [name for name in KNOWN if spec_of(name).needs_key])
@pytest.mark.parametrize("key", ["", "wrong"], ids=["no key", "a bad key"])
def test_a_key_that_opens_nothing_is_told(source: str, key: str) -> None:
    scene = truths.DAYS[1]
    came = outcome(lambda: fetched(Simulated(source, scene.now, key=key), scene, Interval.D1, told(source, Interval.D1)[0]))
    assert isinstance(came, Failure)
    assert came.kind is FailureKind.AUTH
    assert "wrong" not in came.detail


def usable(source: str, plan: str) -> tuple[Interval, Adjustment]:
    """An interval and basis that a plan includes."""
    lacks = spec_of(source).plan(plan).lacks
    found = [
        (interval, basis)
        for interval in (Interval.D1, *spec_of(source).intervals)
        for basis in told(source, interval)
        if not {interval.value, f"{interval.value} {basis.value}"} & lacks
    ]
    return found[0] if found else (Interval.D1, told(source, Interval.D1)[0])


@pytest.mark.parametrize(("source", "plan"), [(name, plan.name) for name in KNOWN for plan in spec_of(name).plans])
def test_a_spent_quota_is_told(source: str, plan: str) -> None:
    scene = truths.DAYS[6]
    simulated = Simulated(source, scene.now, plan=plan)
    windows = dialects()[source].plans[plan]
    if not windows:
        pytest.skip("this plan has no bounds")
    simulated.provider.allowances = {source: tuple(replace(w, limit=0) for w in windows)}
    interval, basis = usable(source, plan)
    came = outcome(lambda: fetched(simulated, scene, interval, basis))
    assert isinstance(came, Failure)
    assert came.kind in (FailureKind.RATE_LIMITED, FailureKind.QUOTA_EXHAUSTED)


def refusals() -> Iterator[object]:
    """Every interval and basis that some plan lacks."""
    for source in KNOWN:
        for plan in spec_of(source).plans:
            for interval in spec_of(source).intervals:
                for basis in told(source, interval):
                    if {interval.value, f"{interval.value} {basis.value}"} & plan.lacks:
                        yield pytest.param(source, plan.name, interval, basis, id=f"{source}-{plan.name}-{interval}-{basis}")


@pytest.mark.parametrize(("source", "plan", "interval", "basis"), list(refusals()))
def test_what_a_plan_lacks_is_refused_as_such(source: str, plan: str, interval: Interval, basis: Adjustment) -> None:
    scene = truths.HOURS[1] if interval.intraday else truths.DAYS[6]
    came = outcome(lambda: fetched(Simulated(source, scene.now, plan=plan), scene, interval, basis))
    assert isinstance(came, Failure), "the dialect gives what the plan is said to lack"
    assert came.kind is FailureKind.PLAN_LIMIT


@pytest.mark.parametrize(("source", "plan"), [(name, plan.name) for name in KNOWN for plan in spec_of(name).plans])
def test_what_a_plan_includes_is_served(source: str, plan: str) -> None:
    facts = spec_of(source).plan(plan)
    scene = truths.DAYS[6]
    interval, basis = usable(source, plan)
    if {interval.value, f"{interval.value} {basis.value}"} & facts.lacks:
        pytest.skip("this plan includes no bars")
    came = outcome(lambda: fetched(Simulated(source, scene.now, plan=plan), scene, interval, basis))
    assert isinstance(came, BarSet), came
    assert len(came)
