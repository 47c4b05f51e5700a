"""Yahoo's chart answer as bars."""

from __future__ import annotations

import json
import math
from datetime import date

import numpy as np
import pytest

from mdagent.guard.outcome import FailureKind
from mdagent.market import Adjustment, CorporateAction, Interval, Symbol
from tests.sources.answers import NEW_YORK, THREE, Row, ask, at, bars, chart, days, nothing, refused, row, utc

K = FailureKind


# Bars


def test_bars_come_as_columns_with_what_was_told_about_them() -> None:
    some = bars(chart(THREE))
    assert (some.symbol, some.interval, some.source) == (Symbol.parse("AAPL"), Interval.D1, "yahoo")
    assert (some.adjustment, some.currency) == (Adjustment.SPLITS, "USD")
    assert days(some) == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert some.open.tolist() == [9.5, 10.5, 11.5]
    assert some.high.tolist() == [11.0, 12.0, 13.0]
    assert some.low.tolist() == [9.0, 10.0, 11.0]
    assert some.close.tolist() == [10.0, 11.0, 12.0]
    assert some.volume.tolist() == [1000.0, 1000.0, 1000.0]
    told = some.instrument
    assert told is not None
    assert (told.name, told.exchange, told.zone, told.kind, told.first_trade) == (
        "Apple Inc.",
        "NMS",
        NEW_YORK,
        "EQUITY",
        date(1980, 12, 12),
    )
    assert some.delivery.rows == 3
    assert some.delivery.named


def test_prices_are_taken_as_delivered_in_minor_units_too() -> None:
    some = bars(chart([row(at("2024-01-02", "08:00", "Europe/London"), 6843.123456789)], symbol="VOD.L", currency="GBp",
                      exchangeTimezoneName="Europe/London"), ask("VOD.L"))  # fmt: skip
    assert (some.currency, some.close.tolist()) == ("GBp", [6843.123456789])


def test_only_bars_of_the_window_are_kept_and_the_others_are_told() -> None:
    some = bars(chart(THREE), ask(start="2024-01-03", end="2024-01-04"))
    assert days(some) == ["2024-01-03"]
    assert [f"{t:%Y-%m-%d}" for t in some.delivery.outside] == ["2024-01-02", "2024-01-04"]


@pytest.mark.parametrize(
    ("day", "stamp"),
    [
        ("2024-03-08", "2024-03-08T14:30"),
        ("2024-03-11", "2024-03-11T13:30"),  # after the clocks went forward
        ("2023-11-03", "2023-11-03T13:30"),
        ("2023-11-06", "2023-11-06T14:30"),  # after they went back
    ],
)
def test_the_date_of_a_daily_bar_is_read_in_the_exchanges_zone_not_by_todays_offset(day: str, stamp: str) -> None:
    body = chart([row(int(utc(stamp).timestamp()))], gmtoffset=-14400)
    assert days(bars(body, ask(start="2023-11-01", end="2024-04-01"))) == [day]


def test_a_daily_bar_stamped_at_local_midnight_keeps_its_date_through_summer_time() -> None:
    stamps = [at("2024-03-29", "00:00", "Europe/London"), at("2024-04-02", "00:00", "Europe/London")]
    body = chart([row(s, 1.26) for s in stamps], symbol="GBPUSD=X", exchangeTimezoneName="Europe/London")
    assert days(bars(body, ask("GBP/USD", start="2024-03-01", end="2024-05-01"))) == ["2024-03-29", "2024-04-02"]


def test_weekly_bars_carry_their_monday_and_monthly_bars_the_first() -> None:
    weeks = [row(at(d, "00:00")) for d in ("2024-01-01", "2024-01-08", "2024-01-16")]  # the last begins on its Tuesday
    assert days(bars(chart(weeks, dataGranularity="1wk"), ask(interval="1w", start="2024-01-01"))) == [
        "2024-01-01",
        "2024-01-08",
        "2024-01-15",
    ]
    months = [row(at(d, "00:00")) for d in ("2023-12-01", "2024-01-02")]
    assert days(bars(chart(months, dataGranularity="1mo"), ask(interval="1mo", start="2023-12-01"))) == ["2023-12-01", "2024-01-01"]


def test_intraday_bars_carry_their_open_in_utc() -> None:
    rows = [row(at("2024-03-11", "09:30")), row(at("2024-03-11", "10:30"))]
    some = bars(chart(rows, dataGranularity="60m"), ask(interval="1h", start="2024-03-11", end="2024-03-12"))
    assert some.ts.tolist() == [utc("2024-03-11T13:30").replace(tzinfo=None), utc("2024-03-11T14:30").replace(tzinfo=None)]
    assert some.interval is Interval.H1


# The live last row


@pytest.mark.parametrize(
    ("interval", "rows", "kept"),
    [
        ("1d", [row(at("2024-01-30")), row(at("2024-01-31")), row(at("2024-01-31", "14:03"), 99.0)], 2),
        ("1d", [row(at("2024-01-30")), row(at("2024-01-31", "14:03"))], 2),
        ("1w", [row(at("2024-01-22", "00:00")), row(at("2024-01-29", "00:00")), row(at("2024-01-31", "14:03"), 99.0)], 2),
        ("1mo", [row(at("2024-01-01", "00:00")), row(at("2024-01-31", "14:03"), 99.0)], 1),
        ("1h", [row(at("2024-01-31", "12:30")), row(at("2024-01-31", "13:30")), row(at("2024-01-31", "14:03"), 99.0)], 2),
        ("1h", [row(at("2024-01-31", "12:30")), row(at("2024-01-31", "13:30")), row(at("2024-01-31", "14:30"))], 3),
        ("1m", [row(at("2024-01-31", "14:02")), row(at("2024-01-31", "14:03:22"), 99.0)], 1),
        ("1m", [row(at("2024-01-31", "14:02")), row(at("2024-01-31", "14:03"))], 2),
        ("1m", [row(at("2024-01-31", "14:03:22"), 99.0)], 0),
    ],
)
def test_a_live_last_row_inside_the_period_before_it_is_no_bar(interval: str, rows: list[Row], kept: int) -> None:
    word = {"1w": "1wk"}.get(interval, interval)
    some = bars(chart(rows, dataGranularity=word), ask(interval=interval, start="2024-01-01" if interval != "1m" else "2024-01-31"))
    assert len(some) == kept
    assert some.delivery.snapshot is (kept < len(rows))
    assert 99.0 not in some.close


def test_a_null_row_counts_as_the_period_that_a_live_row_lies_in() -> None:
    rows: list[Row] = [row(at("2024-01-31", "12:30")), nothing(at("2024-01-31", "13:30")), row(at("2024-01-31", "14:03"))]
    some = bars(chart(rows, dataGranularity="1h"), ask(interval="1h", start="2024-01-31"))
    assert len(some) == 1
    assert some.delivery.snapshot


# Which bars are final


def test_a_bar_of_an_open_session_is_provisional_by_the_answers_own_clock() -> None:
    rows = [row(at("2024-01-30")), row(at("2024-01-31"))]
    live = bars(chart(rows, regularMarketTime=at("2024-01-31", "12:00")))
    assert live.complete_until == utc("2024-01-31")
    closed = bars(chart(rows, regularMarketTime=at("2024-01-31", "16:00")))
    assert closed.complete_until is None
    untold = bars(chart(rows, regularMarketTime=None))
    assert untold.complete_until is None


def test_a_week_or_month_that_is_not_over_is_provisional() -> None:
    weeks = [row(at("2024-01-22", "00:00")), row(at("2024-01-29", "00:00"))]
    some = bars(chart(weeks, dataGranularity="1wk", regularMarketTime=at("2024-01-31", "16:00")), ask(interval="1w", start="2024-01-01"))
    assert some.complete_until == utc("2024-01-29")


def test_the_minute_in_progress_is_provisional() -> None:
    rows = [row(at("2024-01-31", "14:02")), row(at("2024-01-31", "14:03"))]
    some = bars(chart(rows, dataGranularity="1m", regularMarketTime=at("2024-01-31", "14:03:30")), ask(interval="1m", start="2024-01-31"))
    assert some.complete_until == utc("2024-01-31T19:03")


# Rows that are no bars


def test_null_rows_are_counted_as_absent_never_invented() -> None:
    rows: list[Row] = [THREE[0], nothing(at("2024-01-03")), THREE[2]]
    some = bars(chart(rows))
    assert days(some) == ["2024-01-02", "2024-01-04"]
    assert some.delivery.absent == (utc("2024-01-03"),)
    assert not some.delivery.rejected


def test_a_row_without_all_four_prices_is_rejected_and_shown() -> None:
    rows: list[Row] = [THREE[0], (at("2024-01-03"), 1.0, 2.0, None, 1.5, 7), THREE[2]]
    some = bars(chart(rows))
    assert days(some) == ["2024-01-02", "2024-01-04"]
    (lost,) = some.delivery.rejected
    assert (lost.ts, lost.check) == (utc("2024-01-03"), "values")
    assert json.loads(lost.raw) == {"open": 1.0, "high": 2.0, "low": None, "close": 1.5, "volume": 7.0}


def test_a_missing_volume_is_not_a_number_and_a_given_zero_stays_zero() -> None:
    some = bars(chart([row(at("2024-01-02"), volume=None), row(at("2024-01-03"), volume=0)]))
    assert math.isnan(some.volume[0])
    assert some.volume[1] == 0.0
    body = chart(THREE)
    del body["chart"]["result"][0]["indicators"]["quote"][0]["volume"]
    assert np.isnan(bars(body).volume).all()


def test_rows_out_of_order_are_sorted_and_said() -> None:
    some = bars(chart([THREE[1], THREE[0], THREE[2]]))
    assert days(some) == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert some.delivery.unsorted


def test_of_two_rows_for_one_day_the_first_is_the_bar_and_a_different_second_is_told() -> None:
    same = bars(chart([THREE[0], THREE[0], THREE[1], THREE[2]]))
    assert (len(same), len(same.delivery.duplicates), same.delivery.conflicts) == (3, 1, ())
    other = bars(chart([THREE[0], row(at("2024-01-02"), 77.0), THREE[1], THREE[2]]))
    assert other.close.tolist() == [10.0, 11.0, 12.0]
    (conflict,) = other.delivery.conflicts
    assert json.loads(conflict.raw)["close"] == 77.0


def test_an_empty_answer_is_an_empty_set() -> None:
    some = bars(chart([]))
    assert len(some) == 0
    assert some.delivery.rows == 0


# Time stamps that are none


@pytest.mark.parametrize("stamp", [None, 0, -5, "1704205800", True, 4102444801, 1e300])
def test_a_stamp_that_is_no_time_spoils_its_row_only(stamp: object) -> None:
    some = bars(chart([THREE[0], (stamp, 1.0, 1.0, 1.0, 1.0, 1), THREE[2]]))
    assert days(some) == ["2024-01-02", "2024-01-04"]
    (lost,) = some.delivery.rejected
    assert (lost.ts, lost.check) == (None, "stamp")


def test_millisecond_stamps_are_refused_never_divided() -> None:
    failure = refused(chart([row(at("2024-01-02") * 1000)]))
    assert failure.kind is K.SCHEMA
    assert "milliseconds" in failure.detail


def test_an_old_index_may_have_bars_before_1970() -> None:
    rows = [row(at("1962-01-02", "00:00")), row(at("1962-01-03", "00:00"))]
    body = chart(rows, symbol="^GSPC", firstTradeDate=-1325583000)
    assert days(bars(body, ask("^GSPC", start="1962-01-01", end="1962-02-01"))) == ["1962-01-02", "1962-01-03"]


def test_a_stamp_of_another_age_spoils_its_row_only_whatever_the_first_trade_is_said_to_be() -> None:
    some = bars(chart([THREE[0], row(-(10**14)), THREE[2]], firstTradeDate=-(2**52)))
    assert days(some) == ["2024-01-02", "2024-01-04"]
    assert some.delivery.rejected[0].check == "stamp"


# Answers to another question


def test_an_answer_about_another_symbol_is_a_mismatch() -> None:
    failure = refused(chart(THREE, symbol="MSFT"))
    assert failure.kind is K.MISMATCH
    assert failure.detail == "AAPL was asked for, the answer is about MSFT"


def test_an_answer_that_names_no_symbol_is_read_and_marked() -> None:
    assert bars(chart(THREE, symbol=None)).delivery.named is False


def test_an_answer_in_another_currency_is_a_mismatch() -> None:
    failure = refused(chart(THREE, currency="EUR"))
    assert failure.kind is K.MISMATCH
    assert "USD" in failure.detail
    assert "EUR" in failure.detail


@pytest.mark.parametrize("told", ["5m", "1wk", "3mo", 7, ["1d"]])
def test_an_answer_of_another_interval_is_a_mismatch(told: object) -> None:
    assert refused(chart(THREE, dataGranularity=told)).kind is K.MISMATCH


def test_rows_that_lie_an_hour_apart_are_no_half_hours_whatever_the_answer_says() -> None:
    rows = [row(at("2024-01-31", f"{h}:30")) for h in ("09", "10", "11", "12")]
    assert refused(chart(rows, dataGranularity="30m"), ask(interval="30m", start="2024-01-31")).kind is K.MISMATCH


def test_several_rows_a_day_are_no_daily_bars() -> None:
    rows = [row(at("2024-01-30", f"{h}:30")) for h in ("09", "10", "11", "12")]
    assert refused(chart(rows)).kind is K.MISMATCH


def test_a_gap_of_trading_is_no_mismatch() -> None:
    rows = [row(at("2024-01-31", t)) for t in ("09:30", "10:00", "11:00", "12:30")]
    assert len(bars(chart(rows, dataGranularity="30m"), ask(interval="30m", start="2024-01-31"))) == 4


# Adjustment


def test_split_adjusted_prices_are_called_that_even_when_adjclose_is_there() -> None:
    some = bars(chart(THREE, adjclose=[9.0, 10.0, 12.0]))
    assert some.adjustment is Adjustment.SPLITS
    assert some.close.tolist() == [10.0, 11.0, 12.0]


def test_adjclose_scales_all_four_prices_when_all_is_asked_for() -> None:
    some = bars(chart(THREE, adjclose=[9.0, 9.9, 12.0]), ask(adjust="all"))
    assert some.adjustment is Adjustment.ALL
    assert some.close.tolist() == pytest.approx([9.0, 9.9, 12.0])
    assert some.open.tolist() == pytest.approx([9.5 * 0.9, 10.5 * 0.9, 11.5])
    assert some.high.tolist() == pytest.approx([11.0 * 0.9, 12.0 * 0.9, 13.0])
    assert some.volume.tolist() == [1000.0] * 3


def test_without_adjclose_the_basis_stays_what_it_is() -> None:
    assert bars(chart(THREE), ask(adjust="all")).adjustment is Adjustment.SPLITS


def test_a_row_without_its_adjclose_is_rejected() -> None:
    some = bars(chart(THREE, adjclose=[9.0, None, 12.0]), ask(adjust="all"))
    assert days(some) == ["2024-01-02", "2024-01-04"]
    assert len(some.delivery.rejected) == 1


# Corporate actions


def test_actions_carry_the_exchange_date_of_the_event_not_of_its_key() -> None:
    ex_date = at("2024-01-10", "09:30")
    events = {
        "dividends": {"99": {"amount": 0.24, "date": ex_date}, "98": {"amount": 0.5, "date": at("2023-11-10")}},
        "splits": {"7": {"date": at("2024-01-16"), "numerator": 4, "denominator": 1, "splitRatio": "4:1"}},
        "capitalGains": {"5": {"amount": 1.25, "date": at("2024-01-20", "23:59")}},
    }
    assert bars(chart(THREE, events=events)).actions == (
        CorporateAction("dividend", date(2024, 1, 10), 0.24, adjusted=True),
        CorporateAction("split", date(2024, 1, 16), 4.0),
        CorporateAction("capital_gain", date(2024, 1, 20), 1.25, adjusted=True),
    )


def test_a_reverse_split_has_a_ratio_below_one() -> None:
    events = {"splits": {"7": {"date": at("2024-01-16"), "numerator": 1, "denominator": 8}}}
    assert bars(chart(THREE, events=events)).actions[0].value == 0.125


@pytest.mark.parametrize(
    "entry",
    [
        {"date": 1704205800, "numerator": 0, "denominator": 1},
        {"date": 1704205800, "numerator": 4, "denominator": 0},
        {"date": 1704205800, "numerator": -4, "denominator": 1},
        {"date": 1704205800, "numerator": "4", "denominator": 1},
        {"numerator": 4, "denominator": 1},
        {"date": 1e300, "numerator": 4, "denominator": 1},
        {"date": 1704205800, "numerator": 1e15, "denominator": 1e-300},
        "4:1",
        None,
    ],
)
def test_a_split_without_date_or_ratio_is_refused_never_guessed(entry: object) -> None:
    assert refused(chart(THREE, events={"splits": {"7": entry}})).kind is K.SCHEMA
