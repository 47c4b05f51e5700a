"""Which stored series stand together: on one basis, in one unit, as known at one time; and why others are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.store.told import EARLY, LATE, dividend, read, sends, split, tells

if TYPE_CHECKING:
    from mdagent.store.bars import BarStore

OLD = {"2024-01-03": 1000.0, "2024-01-04": 1100.0, "2024-01-05": 1200.0}  # as traded, before ten new shares for an old one
NEW = {"2024-01-09": 110.0, "2024-01-10": 120.0}
ADJUSTED = {d: c / 10 for d, c in OLD.items()}
WHOLE = ADJUSTED | NEW


# From basis to basis


def unweighed(day: str) -> str:
    """What is said of a dividend whose share of the price nobody can tell."""
    return f"its dividend of {day} cannot be weighed: no close before it is stored, or it is in another currency"


def test_raw_prices_are_brought_to_other_bases_by_the_stored_splits_and_dividends(store: BarStore) -> None:
    sends(store, OLD | NEW)
    tells(store, split(), dividend("2024-01-05", 11.0))
    assert read(store, "raw").closes == OLD | NEW
    assert read(store, "splits").closes == WHOLE
    share = 1 - 11.0 / 1100.0
    assert read(store, "all").closes == WHOLE | {"2024-01-03": 100.0 * share, "2024-01-04": 110.0 * share}
    assert read(store, "splits").volumes == dict.fromkeys(OLD, 1000.0) | dict.fromkeys(NEW, 100.0)


def test_split_adjusted_prices_are_brought_back_to_what_was_traded(store: BarStore) -> None:
    sends(store, WHOLE, basis="splits", raw_volume=True)
    tells(store, split())
    assert read(store, "raw").closes == OLD | NEW
    assert set(read(store, "raw").volumes.values()) == {100.0}
    assert read(store, "splits").volumes == dict.fromkeys(OLD, 1000.0) | dict.fromkeys(NEW, 100.0)


def test_fully_adjusted_prices_come_back_where_the_daily_closes_that_weigh_their_dividends_are_stored(store: BarStore) -> None:
    share = 1 - 11.0 / 1100.0
    sends(store, {d: c * share for d, c in OLD.items() if d < "2024-01-05"} | {"2024-01-05": 1200.0}, basis="all")
    tells(store, dividend("2024-01-05", 11.0))
    assert read(store, "raw").left == {"one": unweighed("2024-01-05")}
    sends(store, {"2024-01-04": 1100.0}, basis="raw")
    assert read(store, "raw", sources=("one",)).closes == OLD


def test_of_a_source_with_two_bases_no_stamp_is_lost(store: BarStore) -> None:
    """The plan changed, say: a few bars are on the basis asked for, the rest on one that can be brought to it."""
    sends(store, OLD | NEW, basis="raw")
    sends(store, {"2024-01-10": 120.0}, basis="splits")
    tells(store, split())
    assert read(store, "splits").closes == WHOLE
    sends(store, {"2024-01-11": 130.0}, basis="splits")
    assert read(store, "splits").closes == WHOLE | {"2024-01-11": 130.0}
    assert read(store, "raw").closes == OLD | NEW | {"2024-01-11": 130.0}


# Refused with a reason, not guessed


def test_what_is_known_of_nothing_is_refused(store: BarStore) -> None:
    sends(store, OLD)
    got = read(store, "splits")
    assert (got.closes, got.left) == ({}, {"one": "it has raw prices, and its splits since 2024-01-03 are not known"})
    assert read(store, "all").left == {"one": "it has raw prices, and its splits and dividends since 2024-01-03 are not known"}


def test_splits_alone_do_not_do_for_dividends(store: BarStore) -> None:
    sends(store, OLD | NEW)
    tells(store, split(), kinds="splits")
    assert read(store, "splits").closes == WHOLE
    assert "its splits and dividends since 2024-01-03 are not known" in read(store, "all").left["one"]


def test_what_is_known_from_too_late_on_is_refused(store: BarStore) -> None:
    sends(store, OLD)
    tells(store, since="2024-01-04")
    assert "its splits since 2024-01-03 are not known" in read(store, "splits").left["one"]


def test_what_is_known_not_up_to_the_delivery_is_refused(store: BarStore) -> None:
    sends(store, OLD | NEW)
    tells(store, at=EARLY)
    assert read(store, "splits").left == {"one": "it has raw prices, and its splits are known only to 2024-01-05"}


def test_a_hole_in_what_is_known_ends_it(store: BarStore) -> None:
    sends(store, OLD | NEW)
    tells(store, at="2024-01-04")
    tells(store, split(), since="2024-01-06")
    assert "known only to 2024-01-04" in read(store, "splits").left["one"]
    tells(store, since="2024-01-04", at="2024-01-06")
    assert read(store, "splits").closes == WHOLE


def test_knowledge_of_the_evening_before_does_not_do_for_a_delivery_of_the_day_of_a_split(store: BarStore) -> None:
    """The source adjusts its prices on the morning of the split, which it had not told the evening before."""
    sends(store, OLD, basis="splits", at="2024-01-08T20:00")
    tells(store, at="2024-01-08T21:00")
    sends(store, {"2024-01-09": 110.0}, basis="splits", at="2024-01-09T14:45")
    assert read(store, "splits").left == {"one": "it has splits prices, and its splits are known only to 2024-01-08"}


@pytest.mark.parametrize("interval", ["1w", "1mo"])
def test_a_raw_week_or_month_with_a_split_inside_is_refused(store: BarStore, interval: str) -> None:
    first = "2024-01-08" if interval == "1w" else "2024-01-01"
    sends(store, {first: 500.0}, interval=interval)
    tells(store, split())
    assert read(store, "splits", interval=interval).left == {"one": f"the split of 2024-01-09 falls within one of its {interval} bars"}
    assert read(store, "raw", interval=interval).closes == {first: 500.0}


def test_a_week_before_and_a_week_of_the_split_on_its_monday_are_brought(store: BarStore) -> None:
    sends(store, {"2024-01-01": 1000.0, "2024-01-08": 110.0}, interval="1w", at="2024-01-14T22:00")
    tells(store, split("2024-01-08"), at="2024-01-14T22:00")
    assert read(store, "splits", interval="1w").closes == {"2024-01-01": 100.0, "2024-01-08": 110.0}


def test_adjusted_weeks_stand_although_a_split_falls_within_one(store: BarStore) -> None:
    sends(store, {"2024-01-01": 100.0, "2024-01-08": 110.0}, interval="1w", basis="splits", at="2024-01-14T22:00")
    tells(store, split(), at="2024-01-14T22:00")
    assert read(store, "splits", interval="1w").closes == {"2024-01-01": 100.0, "2024-01-08": 110.0}


# Dividends are weighed


def test_two_dividends_of_one_day_are_weighed_together(store: BarStore) -> None:
    sends(store, OLD)
    tells(store, dividend("2024-01-05", 11.0), dividend("2024-01-05", 99.0))
    assert read(store, "all").closes == {"2024-01-03": 900.0, "2024-01-04": 990.0, "2024-01-05": 1200.0}


def test_an_amount_in_shares_of_now_weighs_against_a_price_of_its_day_as_if_it_were_of_then(store: BarStore) -> None:
    sends(store, OLD | NEW)
    tells(store, split(), dividend("2024-01-05", 1.1, adjusted=True))
    assert read(store, "all").closes["2024-01-04"] == pytest.approx(110.0 * 0.99)
    tells(store, split(), dividend("2024-01-05", 11.0, adjusted=False))
    assert read(store, "all").closes["2024-01-04"] == pytest.approx(110.0 * 0.99)


def test_an_amount_told_before_a_split_is_in_shares_of_then(store: BarStore) -> None:
    sends(store, OLD, at=EARLY)
    tells(store, dividend("2024-01-05", 11.0, adjusted=True), at=EARLY)
    sends(store, NEW)
    tells(store, split(), since="2024-01-05T20:00")
    assert read(store, "all").closes["2024-01-04"] == pytest.approx(110.0 * 0.99)


def test_a_dividend_in_pence_is_weighed_against_a_price_in_pounds(store: BarStore) -> None:
    sends(store, OLD, symbol="VOD.L", currency="GBP")
    tells(store, dividend("2024-01-05", 1100.0, currency="GBp"), symbol="VOD.L")
    assert read(store, "all", symbol="VOD.L").closes["2024-01-04"] == pytest.approx(1100.0 * 0.99)


def test_a_dividend_in_another_currency_cannot_be_weighed(store: BarStore) -> None:
    sends(store, OLD, symbol="VOD.L", currency="GBP")
    tells(store, dividend("2024-01-05", 11.0, currency="EUR"), symbol="VOD.L")
    got = read(store, "all", symbol="VOD.L")
    assert (got.closes, got.left) == (
        {},
        {"one": unweighed("2024-01-05")},
    )


@pytest.mark.parametrize("amount", [1100.0, 2000.0])
def test_a_dividend_of_the_whole_price_is_no_weight(store: BarStore, amount: float) -> None:
    sends(store, OLD)
    tells(store, dividend("2024-01-05", amount))
    assert read(store, "all").closes == {}


def test_a_close_of_long_ago_weighs_nothing(store: BarStore) -> None:
    sends(store, OLD | {"2024-01-31": 1000.0}, at="2024-02-01T22:00")
    tells(store, dividend("2024-01-30", 11.0), at="2024-02-01T22:00")
    assert read(store, "all").left == {"one": unweighed("2024-01-30")}


def test_a_dividend_before_the_window_matters_to_none_of_its_rows(store: BarStore) -> None:
    sends(store, OLD)
    tells(store, dividend("2024-01-03", 11.0))
    assert read(store, "all").closes == OLD


# Two deliveries of adjusted bars, with a split between


def test_without_knowledge_of_splits_two_deliveries_do_not_stand_together(store: BarStore) -> None:
    sends(store, OLD, basis="splits", at=EARLY)
    assert read(store, "splits").closes == OLD, "one delivery is of one piece"
    sends(store, NEW, basis="splits")
    assert read(store, "splits").left == {"one": "it has splits prices, and its splits since 2024-01-05 are not known"}
    assert read(store, "splits", window=("2024-01-08", "2024-02-01")).closes == NEW


def test_with_knowledge_of_the_split_they_do_without_a_jump(store: BarStore) -> None:
    sends(store, OLD, basis="splits", at=EARLY)
    sends(store, NEW, basis="splits")
    tells(store, split(), since="2024-01-05")
    assert read(store, "splits").closes == WHOLE
    assert read(store, "splits").volumes == dict.fromkeys(OLD, 1000.0) | dict.fromkeys(NEW, 100.0)


def test_fully_adjusted_bars_of_two_deliveries_need_the_dividends_between(store: BarStore) -> None:
    sends(store, OLD, basis="all", at=EARLY)
    sends(store, NEW, basis="all")
    tells(store, split(), since="2024-01-05", kinds="splits")
    assert "its splits and dividends since 2024-01-05 are not known" in read(store, "all").left["one"]
    tells(store, split(), since="2024-01-05")
    assert read(store, "all").closes == WHOLE


def test_a_whole_window_delivered_at_once_stands_although_unchanged_rows_bear_their_first_time(store: BarStore) -> None:
    sends(store, OLD, basis="splits", at=EARLY)
    sends(store, OLD | {"2024-01-08": 1250.0}, basis="splits", at="2024-01-08T22:00")
    assert read(store, "splits").closes == OLD | {"2024-01-08": 1250.0}


def test_rows_that_come_again_unchanged_after_a_split_were_adjusted_already(store: BarStore) -> None:
    """Delivered on the morning of the split, in new shares; told of it on the next day."""
    sends(store, ADJUSTED, basis="splits", at="2024-01-09T15:00")
    tells(store, split(), at="2024-01-10T15:00")
    sends(store, WHOLE, basis="splits", at="2024-01-10T15:01")
    assert read(store, "splits").closes == WHOLE
    assert read(store, "splits", as_of="2024-01-09T20:00").closes == ADJUSTED


def test_a_split_that_another_source_tells_makes_the_own_knowledge_doubtful(store: BarStore) -> None:
    sends(store, OLD, basis="splits", at=EARLY)
    sends(store, NEW, basis="splits", source="two")
    tells(store, split(), source="two")
    got = read(store, "splits")
    assert got.closes == NEW
    assert got.left == {"one": "a split of 2024-01-09 is not among what it told by 2024-01-05"}
    tells(store, split())
    assert read(store, "splits").closes == WHOLE


def test_raw_prices_of_before_a_split_are_not_brought_to_the_basis_of_before_it(store: BarStore) -> None:
    sends(store, OLD, at=EARLY)
    tells(store, at=EARLY)
    sends(store, NEW, basis="splits", source="two")
    tells(store, split(), source="two")
    assert read(store, "splits").left == {"one": "a split of 2024-01-09 is not among what it told by 2024-01-05"}


def test_a_split_of_the_very_day_that_the_source_had_not_told_is_doubted_too(store: BarStore) -> None:
    sends(store, OLD, at="2024-01-09T09:00")
    tells(store, at="2024-01-09T09:00")
    sends(store, NEW, basis="splits", source="two")
    tells(store, split(), source="two")
    assert read(store, "splits").left == {"one": "a split of 2024-01-09 is not among what it told by 2024-01-09"}


def test_a_split_that_is_announced_has_not_taken_effect(store: BarStore) -> None:
    sends(store, OLD, at=EARLY)
    tells(store, split(), at=EARLY)
    assert read(store, "splits").closes == OLD
    sends(store, OLD, basis="splits", at="2024-01-08T21:00", source="two")
    tells(store, split(), at="2024-01-08T20:00", source="two")
    assert read(store, "splits", sources=("two",)).closes == OLD
    sends(store, NEW, basis="splits", source="two")
    tells(store, split(), source="two", since="2024-01-08T20:00")
    assert read(store, "splits", sources=("two",)).closes == WHOLE


# Two sources


def test_two_sources_are_merged_without_a_jump(store: BarStore) -> None:
    sends(store, OLD, at=EARLY)
    tells(store, split())
    sends(store, WHOLE | {"2024-01-11": 130.0}, basis="splits", source="two")
    got = read(store, "splits")
    assert got.closes == WHOLE | {"2024-01-11": 130.0}
    assert (got.sources, got.left) == (("one", "two"), {})


def test_only_the_sources_named_stand_in_a_series(store: BarStore) -> None:
    sends(store, OLD, basis="splits")
    sends(store, NEW, basis="splits", source="two")
    assert read(store, "splits", sources=("two",)).closes == NEW
    assert read(store, "splits", sources=("two", "three")).sources == ("two",)


# As of a time


def test_what_was_stored_then_is_still_answered(store: BarStore) -> None:
    sends(store, OLD, basis="splits", at=EARLY)
    sends(store, OLD | {"2024-01-04": 1111.0}, basis="splits", at="2024-01-08T22:00")
    assert read(store, "splits").closes == OLD | {"2024-01-04": 1111.0}
    assert read(store, "splits", as_of="2024-01-06").closes == OLD
    assert read(store, "splits", as_of="2024-01-08T22:00").closes["2024-01-04"] == 1111.0
    assert read(store, "splits", as_of="2024-01-01").closes == {}


def test_before_a_split_the_numbers_are_those_of_before_it(store: BarStore) -> None:
    sends(store, OLD, basis="splits", at=EARLY, tells=True)
    whole = WHOLE | {"2024-01-11": 130.0}
    sends(store, whole, basis="splits", actions=(split(),), tells=True)
    assert read(store, "splits").closes == whole
    assert read(store, "splits", as_of="2024-01-06").closes == OLD
    assert read(store, "raw").closes == OLD | NEW | {"2024-01-11": 130.0}
    assert read(store, "raw", as_of="2024-01-06").closes == OLD
    assert read(store, "splits", as_of="2024-01-12").closes == whole


def test_raw_rows_too_are_on_the_basis_of_the_time(store: BarStore) -> None:
    sends(store, OLD, at=EARLY)
    tells(store, split())
    assert read(store, "splits").closes == ADJUSTED
    assert read(store, "splits", as_of="2024-01-06").closes == OLD


def test_a_split_of_before_that_was_told_only_later_is_a_fact_of_then(store: BarStore) -> None:
    """The bars were raw when they came; how they compare with one another did not depend on when somebody asked."""
    sends(store, OLD | NEW, at="2024-01-10T22:00")
    tells(store, split(), at="2024-01-20")
    assert read(store, "splits").closes == WHOLE
    assert read(store, "splits", as_of="2024-01-11").closes == WHOLE


def test_an_amount_that_was_corrected_later_is_as_it_was(store: BarStore) -> None:
    sends(store, OLD, at=EARLY)
    tells(store, dividend("2024-01-05", 11.0), at=EARLY)
    tells(store, dividend("2024-01-05", 22.0), at=LATE)
    assert read(store, "all").closes["2024-01-04"] == pytest.approx(1100.0 * 0.98)
    assert read(store, "all", as_of="2024-01-06").closes["2024-01-04"] == pytest.approx(1100.0 * 0.99)
