"""Who may serve a request, on which basis, in which order; and why the others may not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from mdagent.guard.outcome import FailureKind
from mdagent.market import Adjustment, BarRequest, Interval
from mdagent.sources.base import Depth, Plan, Quota
from mdagent.work.fetch import unserved
from mdagent.work.fit import Wish, a_day, daily_basis, tells_actions, unready, wish_for
from tests.work.clerks import ENDED, TODAY, Clerk, clerk

RAW, SPLITS, ALL = Adjustment.RAW, Adjustment.SPLITS, Adjustment.ALL
SILENT = frozenset(("quote",))  # offers no actions


def delivering(*bases: Adjustment, name: str = "parrot", **more: Any) -> Clerk:
    """A provider with daily and hourly bars on these bases."""
    made = clerk(name, **more)
    depths = MappingProxyType({Interval.D1: Depth(delivers=bases), Interval.H1: Depth(delivers=bases[:1])})
    return Clerk(replace(made.spec, intervals=depths), made._key or None)  # noqa: SLF001


def ask(adjust: Adjustment = SPLITS, symbol: str = "AAPL", interval: str = "1d") -> BarRequest:
    return BarRequest(symbol, interval, "2024-01-02", "2024-01-12", adjust)  # type: ignore[arg-type]


def wish(request: BarRequest, *sources: Clerk, world: str = "live", today: date = TODAY) -> Wish:
    return wish_for(request, sources, refresh=False, world=world, today=today)


def served(made: Wish) -> list[tuple[str, Adjustment]]:
    return [(s.source.spec.name, s.basis) for s in made.servers]


def why(made: Wish) -> str:
    assert not made.servers
    (left,) = made.considered
    assert not left.chosen
    return left.reasons[0]


# On which basis


@pytest.mark.parametrize("wanted", list(Adjustment))
def test_a_source_that_tells_its_actions_is_asked_for_the_first_basis_that_it_delivers(wanted: Adjustment) -> None:
    assert served(wish(ask(wanted), delivering(RAW, SPLITS))) == [("parrot", RAW)]
    assert served(wish(ask(wanted), delivering(SPLITS, ALL))) == [("parrot", SPLITS)]


@pytest.mark.parametrize("wanted", [RAW, SPLITS])
def test_one_that_does_not_is_asked_for_the_basis_itself(wanted: Adjustment) -> None:
    assert served(wish(ask(wanted), delivering(RAW, SPLITS, offers=SILENT))) == [("parrot", wanted)]
    assert served(wish(ask(wanted), delivering(RAW, SPLITS, lacks=("actions",)))) == [("parrot", wanted)]


def test_one_that_can_neither_deliver_nor_make_it_says_why() -> None:
    told = why(wish(ask(ALL), delivering(RAW, SPLITS, lacks=("actions",))))
    assert told == "it delivers raw or splits 1d prices, not all, and its plan basic does not tell the splits"


def test_a_basis_that_the_plan_lacks_is_not_asked_for() -> None:
    assert served(wish(ask(ALL), delivering(ALL, RAW, lacks=("1d all",)))) == [("parrot", RAW)]
    assert why(wish(ask(ALL), delivering(ALL, RAW, lacks=("1d all", "actions")))).startswith("it delivers raw 1d prices, not all")
    assert why(wish(ask(ALL), delivering(ALL, lacks=("1d all",)))) == "its plan basic has no 1d bars"


def test_actions_that_come_with_bars_need_no_request_of_their_own() -> None:
    with_bars = delivering(SPLITS, offers=frozenset(("actions with bars",)), lacks=("actions",))
    assert tells_actions(with_bars.spec, with_bars.plan)
    assert served(wish(ask(ALL), with_bars)) == [("parrot", SPLITS)]


def test_daily_bars_are_stored_on_the_first_basis_that_the_plan_has() -> None:
    assert daily_basis(delivering(SPLITS, ALL)) is SPLITS
    assert daily_basis(delivering(SPLITS, ALL, lacks=("1d splits",))) is ALL
    assert daily_basis(delivering(SPLITS, ALL, lacks=("1d",))) is None
    none = delivering(SPLITS)
    assert daily_basis(Clerk(replace(none.spec, intervals={Interval.H1: Depth()}), None)) is None


# Who, and who not


def test_an_interval_that_it_has_not_or_that_the_plan_lacks() -> None:
    assert why(wish(ask(interval="5m"), delivering(RAW))) == "it has no 5m bars"
    assert why(wish(ask(), delivering(RAW, lacks=("1d",)))) == "its plan basic has no 1d bars"
    assert served(wish(ask(interval="1h", adjust=RAW), delivering(RAW, lacks=("1d",)))) == [("parrot", RAW)]


@pytest.mark.parametrize(
    ("symbol", "able"),
    [("AAPL", True), ("BRK.B", True), ("VOD.L", False), ("IBE.MC", False), ("^FTSE", True), ("EURUSD=X", True), ("BTC-USD", True)],
)
def test_listings_outside_america_where_the_plan_is_american(symbol: str, able: bool) -> None:
    made = wish(ask(RAW, symbol), delivering(RAW, lacks=("world",)))
    if able:
        assert served(made)
    else:
        assert why(made) == "its plan basic has no listings outside America"


def test_a_missing_key_is_named() -> None:
    assert why(wish(ask(), delivering(RAW, keyed=True))) == "no key: set MDAGENT_PARROT_API_KEY"
    assert served(wish(ask(), delivering(RAW, keyed=True, key="k")))


@pytest.mark.parametrize(("world", "refused"), [("live", True), ("sandbox", False), ("replay", False)])
def test_a_retired_provider_is_not_asked_in_the_live_world_alone(world: str, refused: bool) -> None:
    gone = delivering(RAW, ended=ENDED)
    assert (unready(gone, world, TODAY) is not None) is refused
    if refused:
        assert why(wish(ask(), gone, world=world)) == f"Parrot was retired on {ENDED.day}: {ENDED.what}"


def test_it_is_asked_up_to_the_day_before_its_end() -> None:
    gone = delivering(RAW, ended=ENDED)
    assert unready(gone, "live", ENDED.day - timedelta(days=1)) is None
    assert unready(gone, "live", ENDED.day) is not None


# In which order


def test_without_a_key_first_then_the_basis_itself_then_who_allows_most() -> None:
    free = delivering(RAW, name="free")
    same = delivering(SPLITS, name="same", keyed=True, key="k")
    big = delivering(RAW, name="big", keyed=True, key="k", a_day=5000)
    small = delivering(RAW, name="small", keyed=True, key="k", a_day=10)
    made = wish(ask(SPLITS), small, big, same, free)
    assert [name for name, _ in served(made)] == ["free", "same", "big", "small"]
    assert served(wish(ask(SPLITS), free, same, small, big)) == served(made), "whatever the order of the settings"


def test_equals_go_by_name() -> None:
    assert [n for n, _ in served(wish(ask(), delivering(RAW, name="b"), delivering(RAW, name="a")))] == ["a", "b"]


@pytest.mark.parametrize(
    ("quotas", "requests"),
    [
        ((Quota(800, "day"),), 800),
        ((Quota(3000, "month"),), 100),
        ((Quota(5, 60.0),), 7200),
        ((Quota(5, 60.0), Quota(800, "day")), 800),
        ((), 0),
    ],
)
def test_the_tightest_quota_tells_how_many_requests_a_day_there_are(quotas: tuple[Quota, ...], requests: float) -> None:
    assert a_day(Plan("basic", quotas)) == requests


# Nobody


def test_where_all_that_is_missing_is_a_key_that_is_what_is_said() -> None:
    line = unserved(wish(ask(), delivering(RAW, name="a", keyed=True), delivering(RAW, name="b", keyed=True)))
    assert line.failure is not None
    assert line.failure.kind is FailureKind.AUTH
    assert line.failure.detail == "no source can serve AAPL: a: no key: set MDAGENT_A_API_KEY; b: no key: set MDAGENT_B_API_KEY"


def test_where_something_else_is_missing_too_a_key_alone_would_not_help() -> None:
    line = unserved(wish(ask(interval="5m"), delivering(RAW, name="a", keyed=True), delivering(RAW, name="b")))
    assert line.failure is not None
    assert line.failure.kind is FailureKind.BAD_REQUEST
    assert unserved(wish(ask())).failure is not None
