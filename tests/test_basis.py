"""The factors between raw, split-adjusted and fully adjusted prices."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime, timedelta
from math import isclose, prod
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.basis import Events, Payment, Split, Step, Way, torn, way
from mdagent.market import Adjustment, Interval

if TYPE_CHECKING:
    from collections.abc import Iterable

RAW, SPLITS, ALL = Adjustment.RAW, Adjustment.SPLITS, Adjustment.ALL
FOUR = date(2020, 8, 31)
LONG_AFTER = datetime(2024, 1, 2, 22)


class Row(NamedTuple):
    """A bar, as far as a basis matters."""

    ts: datetime
    price: float
    volume: float
    delivered: datetime = LONG_AFTER


def brought(row: Row, by: Way) -> Row:
    """The row multiplied as the store does it: by the first step after its stamp, and the first after its delivery."""
    for at, steps in ((row.ts, by.by_stamp), (row.delivered, by.by_delivery)):
        place = bisect_right([s.at for s in steps], at)
        if place < len(steps):
            row = row._replace(price=row.price * steps[place].price, volume=row.volume * steps[place].volume)
    return row


def split(day: date, ratio: float, known: datetime | None = None) -> Split:
    return Split(day, ratio, known or datetime(day.year, day.month, day.day, 12))


def close(row: Row, price: float, volume: float | None = None) -> bool:
    return isclose(row.price, price, rel_tol=1e-12) and (volume is None or isclose(row.volume, volume, rel_tol=1e-12))


APPLE = Events(splits=(split(FOUR, 4.0),), payments=(Payment(date(2020, 2, 7), 0.99), Payment(date(2020, 11, 6), 0.98)))
BEFORE, AFTER = Row(datetime(2020, 1, 2), 300.35, 100.0), Row(datetime(2020, 9, 1), 134.18, 100.0)

# The case that users report: AAPL of 2020-01-02


MEANS = {RAW: (300.35, 100.0), SPLITS: (300.35 / 4, 400.0), ALL: (300.35 / 4 * 0.99 * 0.98, 400.0)}


@pytest.mark.parametrize("delivered", list(Adjustment))
@pytest.mark.parametrize("wanted", list(Adjustment))
def test_a_price_is_one_number_on_each_basis_whoever_delivered_it(delivered: Adjustment, wanted: Adjustment) -> None:
    assert close(brought(Row(BEFORE.ts, *MEANS[delivered]), way(delivered, wanted, APPLE)), *MEANS[wanted])


def test_a_bar_of_the_day_of_a_split_is_in_new_shares_already() -> None:
    by = way(RAW, SPLITS, APPLE)
    assert close(brought(Row(datetime(2020, 8, 28), 500.0, 10.0), by), 125.0, 40.0)
    assert brought(Row(datetime(2020, 8, 31), 129.0, 40.0), by) == Row(datetime(2020, 8, 31), 129.0, 40.0)
    assert brought(AFTER, by) == AFTER


def test_a_bar_of_an_ex_date_is_without_the_dividend_already() -> None:
    by = way(SPLITS, ALL, APPLE)
    assert close(brought(Row(datetime(2020, 11, 5), 100.0, 1.0), by), 98.0, 1.0)
    assert close(brought(Row(datetime(2020, 11, 6), 100.0, 1.0), by), 100.0, 1.0)


def test_a_reverse_split_makes_old_prices_higher_and_volumes_smaller() -> None:
    by = way(RAW, SPLITS, Events((split(date(2023, 5, 1), 0.1),)))
    assert close(brought(Row(datetime(2023, 4, 28), 0.5, 1000.0), by), 5.0, 100.0)


def test_several_splits_and_dividends_multiply() -> None:
    events = Events((split(date(2014, 6, 9), 7.0), split(FOUR, 4.0)), (Payment(date(2013, 2, 7), 0.5), Payment(date(2015, 2, 5), 0.5)))
    assert close(brought(Row(datetime(2013, 1, 2), 560.0, 1.0), way(RAW, SPLITS, events)), 20.0, 28.0)
    assert close(brought(Row(datetime(2013, 1, 2), 560.0, 1.0), way(RAW, ALL, events)), 5.0, 28.0)
    assert close(brought(Row(datetime(2014, 6, 9), 80.0, 1.0), way(RAW, ALL, events)), 10.0, 4.0)


def test_a_split_and_a_dividend_of_one_day_are_one_step() -> None:
    events = Events((split(FOUR, 4.0),), (Payment(FOUR, 0.5),))
    assert way(RAW, ALL, events).by_stamp == (Step(datetime(2020, 8, 31), 0.125, 4.0),)


def test_where_nothing_happened_nothing_is_multiplied() -> None:
    for delivered in Adjustment:
        for wanted in Adjustment:
            assert way(delivered, wanted, Events()) == Way()
    assert way(RAW, RAW, APPLE) == Way()
    assert way(RAW, SPLITS, Events((split(FOUR, 1.0),))) == Way(), "a split of one for one"
    assert way(SPLITS, ALL, APPLE._replace(payments=())).by_stamp == ()


# When it was delivered


def test_what_was_delivered_before_a_split_knows_nothing_of_it() -> None:
    by = way(SPLITS, SPLITS, APPLE)
    old = Row(BEFORE.ts, 300.35, 100.0, delivered=datetime(2020, 3, 2))
    assert close(brought(old, by), 300.35 / 4, 400.0)
    assert brought(BEFORE, by) == BEFORE, "delivered after it"
    assert close(brought(old, way(SPLITS, RAW, APPLE)), 300.35, 100.0), "as traded it is what it was"
    assert close(brought(old, way(SPLITS, ALL, APPLE)), 300.35 / 4 * 0.99 * 0.98)


def test_raw_prices_do_not_depend_on_when_they_were_delivered() -> None:
    assert way(RAW, ALL, APPLE).by_delivery == ()
    assert way(RAW, SPLITS, APPLE).by_delivery == ()


def test_fully_adjusted_prices_lack_the_dividends_that_were_paid_after_their_delivery() -> None:
    old = Row(BEFORE.ts, 300.35 * 0.99, 100.0, delivered=datetime(2020, 3, 2))  # it has the dividend of February
    assert close(brought(old, way(ALL, ALL, APPLE)), 300.35 / 4 * 0.99 * 0.98, 400.0)
    assert close(brought(old, way(ALL, SPLITS, APPLE)), 300.35 / 4)
    assert close(brought(old, way(ALL, RAW, APPLE)), 300.35)


# Volume


def test_a_volume_in_shares_of_its_day_is_told_from_one_in_shares_of_now() -> None:
    own = Row(BEFORE.ts, 300.35 / 4, 100.0)
    assert close(brought(own, way(SPLITS, SPLITS, APPLE, raw_volume=True)), 300.35 / 4, 400.0)
    assert close(brought(own, way(SPLITS, RAW, APPLE, raw_volume=True)), 300.35, 100.0)
    assert close(brought(own, way(SPLITS, ALL, APPLE, raw_volume=True)), 300.35 / 4 * 0.99 * 0.98, 400.0)
    late = own._replace(price=300.35, delivered=datetime(2020, 3, 2))
    assert close(brought(late, way(SPLITS, SPLITS, APPLE, raw_volume=True)), 300.35 / 4, 400.0)


def test_dividends_leave_the_volume_alone() -> None:
    for delivered, wanted in ((SPLITS, ALL), (ALL, SPLITS), (ALL, ALL)):
        by = way(delivered, wanted, APPLE._replace(splits=()))
        assert all(step.volume == 1.0 for step in (*by.by_stamp, *by.by_delivery))


# Weeks, months, and the other side of the world


@pytest.mark.parametrize(
    ("interval", "last_before", "first_without"),
    [
        (Interval.D1, datetime(2020, 8, 30), datetime(2020, 8, 31)),
        (Interval.W1, datetime(2020, 8, 24), datetime(2020, 8, 31)),
        (Interval.MO1, datetime(2020, 7, 1), datetime(2020, 8, 1)),
        (Interval.H1, datetime(2020, 8, 28, 19, 30), datetime(2020, 8, 31)),
    ],
)
def test_the_bar_that_holds_the_split_needs_no_factor(interval: Interval, last_before: datetime, first_without: datetime) -> None:
    by = way(SPLITS, RAW, APPLE, interval)
    assert close(brought(Row(last_before, 1.0, 4.0), by), 4.0, 1.0)
    assert close(brought(Row(first_without, 1.0, 4.0), by), 1.0, 4.0)


def test_a_session_of_sydney_begins_on_the_evening_before_by_the_clock_of_greenwich() -> None:
    events = Events((split(date(2023, 6, 1), 2.0),), mic="XASX")
    evening, morning = datetime(2023, 5, 31, 23), datetime(2023, 5, 31, 5)
    by = way(RAW, SPLITS, events, Interval.H1)
    assert brought(Row(evening, 10.0, 1.0), by).price == 10.0
    assert brought(Row(morning, 20.0, 1.0), by).price == 10.0
    assert brought(Row(datetime(2023, 5, 31), 20.0, 1.0), way(RAW, SPLITS, events)).price == 10.0, "days bear the date of their session"
    elsewhere = way(RAW, SPLITS, events._replace(mic="XNYS"), Interval.H1)
    assert brought(Row(evening, 20.0, 1.0), elsewhere).price == 10.0


@pytest.mark.parametrize(
    ("interval", "day", "found"),
    [
        (Interval.W1, "2020-08-31", None),  # a Monday
        (Interval.W1, "2022-06-06", None),
        (Interval.W1, "2014-06-10", "2014-06-10"),
        (Interval.MO1, "2020-08-31", "2020-08-31"),
        (Interval.MO1, "2020-09-01", None),
        (Interval.D1, "2014-06-10", None),
        (Interval.M1, "2014-06-10", None),
    ],
)
def test_a_split_within_a_week_or_month_tears_its_raw_bar(interval: Interval, day: str, found: str | None) -> None:
    told = torn(interval, (split(date.fromisoformat(day), 2.0),), date(2010, 1, 1), date(2024, 1, 1))
    assert told == (date.fromisoformat(found) if found else None)


def test_a_split_outside_the_window_tears_nothing_and_the_first_within_is_told() -> None:
    splits = (split(date(2014, 6, 10), 7.0), split(date(2020, 8, 26), 4.0))
    assert torn(Interval.W1, splits, date(2015, 1, 1), date(2020, 8, 26)) is None
    assert torn(Interval.W1, splits, date(2010, 1, 1), date(2024, 1, 1)) == date(2014, 6, 10)


# Whatever happened

days = st.dates(date(2000, 1, 1), date(2023, 12, 31))
ratios = st.sampled_from((0.02, 0.1, 0.5, 1.5, 2.0, 3.0, 4.0, 7.0, 10.0, 20.0))
moments = st.datetimes(datetime(1999, 1, 1), datetime(2024, 12, 31))


@st.composite
def histories(draw: st.DrawFn) -> Events:
    splits = tuple(split(d, draw(ratios)) for d in draw(st.lists(days, max_size=5, unique=True)))
    payments = tuple(Payment(d, draw(st.floats(0.5, 0.999))) for d in draw(st.lists(days, max_size=8, unique=True)))
    return Events(splits, payments, draw(st.sampled_from((None, "XNYS", "XASX"))))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    ts = draw(moments)
    return Row(ts, draw(st.floats(0.01, 1e5)), float(draw(st.integers(0, 10**9))), LONG_AFTER + timedelta(days=400))


@given(rows(), histories(), st.sampled_from((SPLITS, ALL)), st.sampled_from(list(Interval)), st.booleans())
def test_there_and_back_is_where_it_was(row: Row, events: Events, other: Adjustment, interval: Interval, raw_volume: bool) -> None:
    there = brought(row, way(RAW, other, events, interval))
    back = brought(there, way(other, RAW, events, interval))
    assert isclose(back.price, row.price, rel_tol=1e-9)
    assert isclose(back.volume, row.volume, rel_tol=1e-9)
    own = brought(there._replace(volume=row.volume), way(other, RAW, events, interval, raw_volume=raw_volume))
    assert not raw_volume or isclose(own.volume, row.volume, rel_tol=1e-9)


@given(rows(), histories(), st.sampled_from(list(Interval)))
def test_over_splits_to_all_is_the_way_to_all(row: Row, events: Events, interval: Interval) -> None:
    straight = brought(row, way(RAW, ALL, events, interval))
    round_about = brought(brought(row, way(RAW, SPLITS, events, interval)), way(SPLITS, ALL, events, interval))
    assert isclose(straight.price, round_about.price, rel_tol=1e-9)
    assert isclose(straight.volume, round_about.volume, rel_tol=1e-9)


def _after(events: Iterable[Split], ts: datetime, known_by: datetime) -> float:
    return prod(s.ratio for s in events if s.day > ts.date() and s.known <= known_by)


@given(rows(), histories(), moments)
def test_whenever_split_adjusted_prices_were_delivered_they_come_to_the_same(row: Row, events: Events, delivered: datetime) -> None:
    """A source divides by what it knows when it delivers; a bar is not delivered before its day is over."""
    ts = datetime.combine(row.ts.date(), datetime.min.time())
    delivered = max(delivered, ts + timedelta(days=1))
    ratio = _after(events.splits, ts, delivered)
    sent = Row(ts, row.price / ratio, row.volume * ratio, delivered)
    ratio = _after(events.splits, ts, datetime(2100, 1, 1))
    got = brought(sent, way(SPLITS, SPLITS, events))
    assert isclose(got.price, row.price / ratio, rel_tol=1e-9)
    assert isclose(got.volume, row.volume * ratio, rel_tol=1e-9, abs_tol=1e-300)
