"""When requests could go that are made one after another: the same sums as an admission's, and what budgets allow meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.cost import Budget, Price, foreseen, price, walls
from mdagent.guard.forecast import Purse, Tally
from mdagent.guard.limits import Denied, Grant, Usage, Window, admit, usable
from mdagent.guard.outcome import FailureKind
from mdagent.market import Priority

NOW = datetime(2024, 3, 9, 22, 0, tzinfo=UTC)  # hours before New York turns its clocks
ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
HIGH = Priority.HIGH

windows = st.lists(
    st.builds(
        Window,
        st.integers(1, 12),
        st.sampled_from([1.0, 60.0, 3600.0, "day", "month"]),
        st.sampled_from(ZONES),
        st.sampled_from(["credits", "requests"]),
    ),
    min_size=1,
    max_size=3,
)
past = st.lists(  # how many seconds ago, credits, and by how many days the clock was wrong
    st.tuples(st.integers(0, 200_000), st.integers(1, 4), st.sampled_from([None, None, -1, 1, 20])), max_size=8
)
costs = st.lists(st.integers(1, 3), min_size=1, max_size=12)


def tally(*windows: Window, usage: list[Usage] | None = None, factor: float = 1.0) -> Tally:
    made = Tally(windows, NOW, factor)
    made.used(usage or [])
    return made


def slots(made: Tally, costs: list[int], priority: Priority = HIGH) -> list[datetime | Denied]:
    found = []
    for cost in costs:
        slot = made.slot(cost, priority, NOW)
        if isinstance(slot, datetime):
            made.take(cost, slot)
        found.append(slot)
    return found


@given(windows, past, costs)
def test_each_goes_when_an_admission_behind_all_before_it_says(
    windows: list[Window], past: list[tuple[int, int, int | None]], costs: list[int]
) -> None:
    usage = list[Usage]()
    for ago, cost, days in sorted(past, key=lambda one: -one[0]):
        at = NOW - timedelta(seconds=ago)
        usage.append(Usage(at, cost, dated=None if days is None else at + timedelta(days=days)))
    ahead: list[Usage] = []
    for cost, slot in zip(costs, slots(tally(*windows, usage=usage), costs), strict=True):
        answer = admit(windows, usage, cost, NOW, ahead=ahead)
        if isinstance(answer, Denied):
            assert isinstance(slot, Denied)
            assert (slot.kind, slot.reason) == (answer.kind, answer.reason)
            continue
        until = NOW if isinstance(answer, Grant) else answer.until
        assert isinstance(slot, datetime)
        assert abs(slot - until) <= timedelta(milliseconds=1)
        ahead.append(Usage(NOW, cost))


def test_a_class_finds_its_share_and_the_adaptive_factor_lowers_it() -> None:
    window = Window(10, 60.0)
    waits = [slots(tally(window, factor=factor), [1] * 10, p).count(NOW) for p, factor in ((HIGH, 1.0), (Priority.BATCH, 1.0), (HIGH, 0.5))]
    assert waits == [usable(window, HIGH, 1).limit, usable(window, Priority.BATCH, 1).limit, 5] == [10, 7, 5]


def test_none_goes_before_the_time_it_is_made_nor_before_the_one_that_goes_before_it() -> None:
    made = tally(Window(1, 60.0))
    later = NOW + timedelta(seconds=200)
    assert made.slot(1, HIGH, later) == later
    made.take(1, later)
    assert made.slot(1, HIGH, NOW) == later + timedelta(seconds=62)


def test_asking_takes_nothing() -> None:
    made = tally(Window(1, 60.0))
    assert made.slot(1, HIGH, NOW) == made.slot(1, HIGH, NOW) == NOW
    assert made.left(NOW) == 1.0
    made.take(1, NOW)
    assert made.left(NOW) == 0.0
    assert made.left(NOW + timedelta(seconds=62)) == 1.0


def test_what_is_left_is_that_of_the_tightest_window() -> None:
    assert tally(Window(10, 60.0), Window(4, "day"), usage=[Usage(NOW, 1)]).left(NOW) == 0.75
    assert tally().left(NOW) is None
    assert tally().slot(5, HIGH, NOW) == NOW


def test_thousands_are_foreseen_in_no_time() -> None:
    made = slots(tally(Window(8, 60.0), Window(800, "day")), [1] * 4000)
    assert made[-1] == datetime(2024, 3, 13, 0, 1, tzinfo=UTC) + timedelta(seconds=62 * 99), "the last of the fifth day"


# Budgets


def purse(spent: float = 0.0) -> Purse:
    return Purse(lambda when, _: spent if when[0] <= NOW else 0.0)


def test_a_budget_holds_what_was_spent_and_what_is_foreseen() -> None:
    budgets, made = [Budget(1.0, "day", "yahoo"), Budget(5.0, "month")], purse(0.4)
    assert made.over(budgets, Price(0.6), NOW) is None
    made.pay(budgets, 0.6, NOW)
    refused = made.over(budgets, Price(0.1), NOW)
    assert refused is not None
    assert (refused.kind, refused.until) == (FailureKind.BUDGET, datetime(2024, 3, 10, 0, 1, tzinfo=UTC))
    assert "1.00 USD a day for yahoo would be passed: 1.0000 is spent, 0.1000 more" in refused.reason
    assert made.over(budgets, Price(0.0), NOW) is None, "what costs nothing always may"


def test_the_next_day_has_a_budget_of_its_own_and_the_month_has_not() -> None:
    tomorrow = NOW + timedelta(days=1)
    day, month, made = [Budget(1.0, "day")], [Budget(1.5, "month")], purse()
    made.pay([*day, *month], 1.0, NOW)
    assert made.over(day, Price(1.0), tomorrow) is None
    assert made.over(month, Price(1.0), tomorrow) is not None


def test_a_budget_for_all_is_spent_by_each_source() -> None:
    whole, made = Budget(1.0, "day"), purse()
    made.pay([Budget(9.0, "day", "yahoo"), whole], 0.7, NOW)
    assert made.over([Budget(0.5, "day", "tiingo"), whole], Price(0.2), NOW) is None
    refused = made.over([Budget(0.5, "day", "tiingo"), whole], Price(0.4), NOW)
    assert refused is not None
    assert refused.reason.startswith("the budget of 1.00 USD a day would be passed: 0.7000")


@pytest.mark.parametrize("per", ["day", "month"])
def test_two_budgets_over_one_time_are_paid_once(per: str) -> None:
    """On the first of a month its day and the month begin together."""
    first = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)
    budgets, made = [Budget(1.0, "day"), Budget(1.0, "month")], Purse(lambda *_: 0.0)
    made.pay(budgets, 0.5, first)
    assert made.over([b for b in budgets if b.per == per], Price(0.5), first) is None


# Overage


@given(windows, past, costs)
def test_what_lies_beyond_the_calendar_is_priced_as_an_admission_prices_it(
    windows: list[Window], past: list[tuple[int, int, int | None]], costs: list[int]
) -> None:
    usage = list[Usage]()
    for ago, cost, days in sorted(past, key=lambda one: -one[0]):
        at = NOW - timedelta(seconds=ago)
        usage.append(Usage(at, cost, dated=None if days is None else at + timedelta(days=days)))
    made = Tally(windows, NOW, overage=0.5)
    made.used(usage)
    for cost in costs:
        slot = made.slot(cost, HIGH, NOW)
        if isinstance(slot, Denied):
            continue
        expected = price(windows, 0.5, 0.25, cost, slot, used=lambda window, at=slot: window.counted(usage, at))  # type: ignore[misc]
        assert made.price(0.25, cost, slot) == expected
        answer = admit(walls(windows, 0.5), usage, cost, slot)
        assert isinstance(answer, Grant)
        made.take(cost, slot)
        usage.append(Usage(slot, cost))


def test_a_month_that_goes_on_as_it_began_pays_for_what_it_does_not_include() -> None:
    month, day, calls = Window(10, "month"), Window(2, "day"), Window(10, "month", of="requests")
    assert foreseen([month], 0.5, 0.0, (4, 8), 2.0) == 3.0, "sixteen credits, ten of which are included"
    assert foreseen([month], 0.5, 0.0, (4, 4), 2.0) == 0.0
    assert foreseen([month], 0.5, 2.0, (4, 4), 2.0) == 2.0, "what is paid is paid"
    assert foreseen([calls], 0.5, 0.0, (8, 16), 2.0) == 6.0, "six requests of two credits"
    assert foreseen([day], 0.5, 1.5, (8, 16), 2.0) == 3.0, "day by day, at the same rate"
    assert foreseen([Window(1, 60.0)], 0.5, 0.0, (8, 16), 2.0) == 0.0
