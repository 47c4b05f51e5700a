"""Alpha Vantage's series as bars: days, weeks, months, minutes, pairs."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import Adjustment, BarRequest, BarSet
from tests.sources.alphavantage_bodies import bars, body, daily, instants, minutes, refused, row, source
from tests.sources.answers import ask, hold, reply, utc

K = FailureKind
RAW, ALL = Adjustment.RAW, Adjustment.ALL


# Daily, weekly, monthly


def test_days_come_ascending_as_they_traded() -> None:
    some = bars(daily("2024-01-04", "2024-01-02", "2024-01-03"))
    assert instants(some) == ["2024-01-02 00:00", "2024-01-03 00:00", "2024-01-04 00:00"]
    assert (some.adjustment, some.currency, some.source) == (RAW, "USD", "alphavantage")
    assert some.volume.tolist() == [1000.0] * 3
    assert not some.delivery.unsorted  # newest first is their order
    mixed = body({day: row() for day in ("2024-01-03", "2024-01-04", "2024-01-02")})
    assert bars(mixed).delivery.unsorted


@pytest.mark.parametrize(
    ("interval", "series", "keys", "stamps"),
    [
        ("1w", "Weekly Time Series", ["2024-01-05", "2024-01-12", "2024-01-18"], ["2024-01-01", "2024-01-08", "2024-01-15"]),
        ("1mo", "Monthly Time Series", ["2023-12-29", "2024-01-31", "2024-02-14"], ["2023-12-01", "2024-01-01", "2024-02-01"]),
    ],
)
def test_a_period_is_stamped_on_its_first_day_though_they_stamp_its_last(
    interval: str, series: str, keys: list[str], stamps: list[str]
) -> None:
    told = body({key: row() for key in reversed(keys)}, series)
    some = bars(told, ask(interval=interval, start="2023-12-01", end="2024-03-01", adjust="raw"))
    assert instants(some) == [f"{s} 00:00" for s in stamps]
    assert some.complete_until == utc(stamps[-1])  # last refreshed within it


def test_adjusted_days_are_scaled_and_tell_their_actions() -> None:
    rows = {
        "2024-01-04": row(5.0, {"adjusted close": "5.0", "dividend amount": "0.0000", "split coefficient": "2.0"}),
        "2024-01-03": row(10.0, {"adjusted close": "5.0", "dividend amount": "1.0000", "split coefficient": "1.0"}),
        "2024-01-02": row(10.0, {"adjusted close": "4.5", "dividend amount": "0.0000", "split coefficient": "1.0000"}),
    }
    some = bars(body(rows), ask(adjust="all"), "premium75")
    assert some.adjustment is ALL
    assert some.close.tolist() == [4.5, 5.0, 5.0]
    assert some.high.tolist() == pytest.approx([11 * 0.45, 5.5, 6.0])
    assert (some.volume.tolist(), some.raw_volume) == ([1000.0] * 3, True)
    assert [(a.kind, a.date, a.value, a.adjusted) for a in some.actions] == [
        ("dividend", date(2024, 1, 3), 1.0, False),
        ("split", date(2024, 1, 4), 2.0, False),
    ]
    assert some.delivery.events


def test_adjusted_prices_asked_for_in_vain_are_labelled_raw() -> None:
    assert bars(daily("2024-01-02"), ask(adjust="all")).adjustment is RAW


def test_a_dividend_that_is_no_number_refuses_the_answer() -> None:
    rows = {f"2024-01-0{n}": row(10.0, {"adjusted close": "9", "dividend amount": told}) for n, told in ((2, "0.0"), (3, "some"))}
    assert refused(body(rows), ask(adjust="all")).kind is K.SCHEMA


def test_an_adjusted_month_with_a_split_inside_is_rejected_and_one_that_it_opens_is_not() -> None:
    rows = {day: row(10.0, {"adjusted close": "5.0"}) for day in ("2024-03-28", "2024-02-29", "2024-01-31")}
    told = body(rows, "Monthly Adjusted Time Series")
    splits = {"symbol": "AAPL", "data": [{"effective_date": d, "split_factor": "2.0"} for d in ("2024-02-15", "2024-03-01")]}
    request = ask(interval="1mo", start="2024-01-01", end="2024-04-01", adjust="all")
    requests, some = hold(source().bars(request), reply(told), reply(splits))
    assert [r.url.params["function"] for r in requests] == ["TIME_SERIES_MONTHLY_ADJUSTED", "SPLITS"]
    assert instants(some) == ["2024-01-01 00:00", "2024-03-01 00:00"]
    assert [r.ts for r in some.delivery.rejected] == [utc("2024-02-01")]


@pytest.mark.parametrize(
    ("refreshed", "until"),
    [("2024-01-03", None), ("2024-01-03 16:00:01", None), ("2024-01-03 14:07:03", "2024-01-03"), ("soon", None), (None, None)],
)
def test_a_day_is_open_while_it_was_last_refreshed_before_its_close(refreshed: str | None, until: str | None) -> None:
    told = daily("2024-01-02", "2024-01-03", **{"Last Refreshed": refreshed})
    assert bars(told).complete_until == (utc(until) if until else None)


def test_a_window_older_than_the_compact_answer_says_why_it_is_empty() -> None:
    failure = refused(daily("2024-03-04", "2024-03-05"))
    assert failure.kind is K.NO_DATA
    assert "begins on 2024-03-04" in failure.detail
    assert "premium plan" in failure.detail
    assert "premium plan" not in refused(daily("2024-03-04"), plan="premium75").detail


def test_a_day_given_twice_and_differently_is_neither() -> None:
    told = json.dumps(daily("2024-01-02", "2024-01-03"))
    double = told.replace('"2024-01-03": {', '"2024-01-03": {"1. open": "1", "4. close": "2"}, "2024-01-03": {', 1)
    some = bars(double)
    assert instants(some) == ["2024-01-02 00:00"]
    assert [r.ts for r in some.delivery.rejected] == [utc("2024-01-03")] * 2


def test_fields_are_found_by_name_not_by_number() -> None:
    told = {"9. close": "10", "7. open": "9.5", "1. low": "9", "2. volume": "7", "3. high": "11"}
    some = bars(body({"2024-01-02": told}))
    assert [c[0] for c in (some.open, some.high, some.low, some.close, some.volume)] == [9.5, 11.0, 9.0, 10.0, 7.0]


@pytest.mark.parametrize("cell", ["", "1,000", "1e999", "nan", "None", 10.0, True, None, {"a": 1}])
def test_a_row_with_a_price_that_is_none_is_left_out_and_told(cell: object) -> None:
    rows = {day: row() for day in ("2024-01-04", "2024-01-03", "2024-01-02")}
    rows["2024-01-03"]["4. close"] = cell  # type: ignore[assignment]
    some = bars(body(rows))
    assert instants(some) == ["2024-01-02 00:00", "2024-01-04 00:00"]
    assert [r.ts for r in some.delivery.rejected] == [utc("2024-01-03")]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (daily("2024-01-02", Symbol="MSFT"), K.MISMATCH),
        (daily("2024-01-02", Symbol=["AAPL"]), K.MISMATCH),
        (body({"2024-01-05": row()}, "Weekly Time Series"), K.MISMATCH),
        (body({"2024-01-05 10:00:00": row()}, "Time Series (5min)"), K.MISMATCH),
        (body({"2024-01-05": row()}, "Something"), K.SCHEMA),
        (body({"2024-01-05": {"1. open": "1"}}), K.SCHEMA),
        (body({"2024-01-05": row() | {"7. open": "1"}}), K.SCHEMA),
        (body({"yesterday": row()}), K.SCHEMA),
        (body({}), K.NO_DATA),
        ({"Meta Data": {}}, K.SCHEMA),
        ([], K.SCHEMA),
        (b"<html>", K.MALFORMED),
        (b"", K.MALFORMED),
    ],
)
def test_what_is_no_answer_to_the_question_is_refused(told: object, kind: FailureKind) -> None:
    assert refused(told).kind is kind


def test_an_answer_that_names_no_symbol_is_marked() -> None:
    assert not bars(daily("2024-01-02", Symbol=None)).delivery.named


def test_days_where_weeks_were_asked_for_are_refused() -> None:
    days = [f"2024-01-{d:02}" for d in (2, 3, 4, 5, 8, 9, 10, 11)]
    assert refused(body({d: row() for d in days}, "Weekly Time Series"), ask(interval="1w", adjust="raw")).kind is K.MISMATCH


# Minutes


def test_minutes_are_starts_in_new_york_on_either_side_of_a_change_of_clock() -> None:
    some = bars(
        minutes("2024-03-08 09:30:00", "2024-03-08 15:55:00", "2024-03-11 09:30:00"),
        ask(interval="5m", start="2024-03-01", end="2024-03-31"),
    )
    assert instants(some) == ["2024-03-08 14:30", "2024-03-08 20:55", "2024-03-11 13:30"]
    assert some.adjustment is RAW
    assert not some.delivery.extended


def test_a_row_at_eight_in_the_evening_shows_that_labels_are_ends() -> None:
    some = bars(minutes("2021-05-13 20:00:00", "2021-05-13 09:35:00"), ask(interval="5m", start="2021-05-13", end="2021-05-14"))
    assert instants(some) == ["2021-05-13 13:30", "2021-05-13 23:55"]
    assert some.delivery.extended


def test_regular_hours_that_end_at_four_and_never_begin_at_half_past_nine_are_ends_too() -> None:
    hours = [f"2019-03-22 {h}:00" for h in ("10:30", "11:30", "12:30", "13:30", "14:30", "15:30", "16:00")]
    some = bars(minutes(*hours, word="60min"), ask(interval="1h", start="2019-03-22", end="2019-03-23"))
    assert instants(some)[0] == "2019-03-22 13:30"
    assert instants(some)[-1] == "2019-03-22 19:30"
    assert len(some) == 7


def test_a_row_after_the_close_is_an_extended_one() -> None:
    some = bars(minutes("2024-01-02 09:30:00", "2024-01-02 16:00:00"), ask(interval="5m", start="2024-01-02", end="2024-01-03"))
    assert instants(some) == ["2024-01-02 14:30", "2024-01-02 21:00"]
    assert some.delivery.extended


def test_a_month_without_minutes_does_not_spoil_the_rest() -> None:
    talk = source().bars(ask(interval="5m", start="2024-01-10", end="2024-03-01"))
    next(talk)
    second = talk.throw(ConversationFailed(Failure(K.UNKNOWN_SYMBOL, "Invalid API call")))
    assert second.url.params["month"] == "2024-02"
    with pytest.raises(StopIteration) as end:
        talk.send(reply(minutes("2024-02-01 09:30:00")))
    assert len(end.value.value) == 1


def test_months_that_are_all_empty_are_no_data_though_the_words_are_those_of_an_unknown_symbol() -> None:
    talk = source().bars(ask(interval="5m", start="2024-01-10", end="2024-01-20"))
    next(talk)
    with pytest.raises(ConversationFailed) as caught:
        talk.throw(ConversationFailed(Failure(K.UNKNOWN_SYMBOL, "Invalid API call")))
    assert caught.value.failure.kind is K.NO_DATA


def test_a_quota_that_ends_half_way_keeps_the_months_before() -> None:
    talk = source().bars(ask(interval="5m", start="2024-01-10", end="2024-03-01"))
    next(talk)
    talk.send(reply(minutes("2024-01-10 09:30:00")))
    with pytest.raises(ConversationFailed) as caught:
        talk.throw(ConversationFailed(Failure(K.QUOTA_EXHAUSTED, "enough")))
    assert caught.value.failure.kind is K.QUOTA_EXHAUSTED
    assert isinstance(caught.value.partial, BarSet)
    assert instants(caught.value.partial) == ["2024-01-10 14:30"]


# Pairs


def test_a_rate_has_no_volume_and_is_dated_by_utc() -> None:
    meta = {"Symbol": None, "From Symbol": "EUR", "To Symbol": "USD", "Time Zone": "UTC"}
    prices = {f"{i}. {n}": "1.1" for i, n in enumerate(("open", "high", "low", "close"), 1)}
    some = bars(body({"2024-01-02": prices}, "Time Series FX (Daily)", **meta), ask("EUR/USD"))
    assert (some.close.tolist(), some.currency) == ([1.1], "USD")
    assert np.isnan(some.volume).all()
    told = body({"2024-01-02": prices}, "Time Series FX (Daily)", **(meta | {"To Symbol": "GBP"}))
    assert refused(told, ask("EUR/USD")).kind is K.MISMATCH


def test_old_crypto_prices_in_two_currencies_are_read_in_the_one_asked_for() -> None:
    names = ("open", "high", "low", "close")
    prices = {f"{i}{c}. {n} ({m})": v for i, n in enumerate(names, 1) for c, m, v in (("a", "CNY", "7.0"), ("b", "USD", "1.0"))}
    meta = {"Symbol": None, "Digital Currency Code": "BTC", "Market Code": "CNY", "Time Zone": "UTC"}
    told = body({"2021-04-25": prices | {"5. volume": "3"}}, "Time Series (Digital Currency Daily)", **meta)
    some = bars(told, BarRequest("BTC-CNY", "1d", "2021-04-01", "2021-05-01", "raw"))  # type: ignore[arg-type]
    assert (some.close.tolist(), some.volume.tolist()) == ([7.0], [3.0])
