"""Twelve Data: its answers as bars, of one symbol and of several."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import BarRequest, BarSet
from mdagent.sources.base import COST
from tests.sources.answers import ask, days, hold, reply, utc
from tests.sources.twelvedata_bodies import PAIR, THREE, bars, error, refused, row, several, source, told

K = FailureKind


# Bars


def test_rows_come_newest_first_as_texts() -> None:
    some = bars(told(THREE))
    assert days(some) == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert some.close.tolist() == [10.0, 11.0, 12.0]
    assert some.volume.tolist() == [1000.0] * 3
    assert (some.currency, some.source, some.delivery.named, some.complete_until) == ("USD", "twelvedata", True, None)
    assert some.instrument is not None
    assert (some.instrument.exchange, some.instrument.zone) == ("NASDAQ", "America/New_York")


def test_minutes_come_in_utc() -> None:
    body = told([row("2024-03-11 13:31:00"), row("2024-03-11 13:30:00"), row("2024-03-08 14:30:00")], interval="1min")
    some = bars(body, ask(interval="1m", start="2024-03-08", end="2024-03-12"))
    assert [f"{t:%d %H:%M}" for t in some.ts.tolist()] == ["08 14:30", "11 13:30", "11 13:31"]


def test_weeks_stand_at_their_monday_and_months_at_their_first() -> None:
    weeks = bars(told([row("2024-01-08"), row("2024-01-16")], interval="1week"), ask(interval="1w"))
    assert days(weeks) == ["2024-01-08", "2024-01-15"]
    months = bars(
        told([row("2024-01-01"), row("2024-02-29")], interval="1month"), ask(interval="1mo", start="2024-01-01", end="2024-03-01")
    )
    assert days(months) == ["2024-01-01", "2024-02-01"]


def test_a_week_that_is_stamped_on_a_sunday_could_be_either_and_is_rejected() -> None:
    some = bars(told([row("2024-01-08"), row("2024-01-14")], interval="1week"), ask(interval="1w"))
    assert days(some) == ["2024-01-08"]
    assert len(some.delivery.rejected) == 1


@pytest.mark.parametrize("name", ["open", "close"])
def test_a_price_that_no_row_has_is_another_format(name: str) -> None:
    rows = [{("price" if key == name else key): cell for key, cell in one.items()} for one in THREE]
    with pytest.raises(ConversationFailed) as caught:
        bars(told(rows))
    assert caught.value.failure.kind is K.SCHEMA
    assert caught.value.failure.detail == f"the rows of the answer have no {name}"


def test_currencies_have_no_volume_and_the_currency_of_their_spelling() -> None:
    rows = [{name: cell for name, cell in row("2024-01-02", 1.1).items() if name != "volume"}]
    some = bars(told(rows, symbol="EUR/USD", currency_base="Euro", currency_quote="US Dollar", **PAIR), ask("EURUSD=X"))
    assert np.isnan(some.volume).all()
    assert (some.currency, some.venue, str(some.symbol)) == ("USD", "", "EURUSD=X")


def test_the_volume_of_a_coin_is_that_of_one_venue() -> None:
    some = bars(told([row("2024-01-02")], symbol="BTC/USD", **PAIR | {"exchange": "Coinbase Pro"}), ask("BTC-USD"))
    assert some.venue == "Coinbase Pro"


@pytest.mark.parametrize(
    ("cell", "volume"), [(None, None), ("", None), ("0", 0.0), ("12.5", 12.5)], ids=["null", "empty", "nothing traded", "a fraction"]
)
def test_a_volume_that_is_not_given_is_not_nought(cell: Any, volume: float | None) -> None:
    some = bars(told([row("2024-01-02", volume=cell), row("2024-01-03")]))
    assert len(some) == 2
    assert np.isnan(some.volume[0]) if volume is None else some.volume[0] == volume


def test_a_row_without_a_price_is_rejected_and_an_empty_one_is_absent() -> None:
    nothing = dict.fromkeys(("open", "high", "low", "close", "volume"))
    some = bars(told([row("2024-01-02"), row("2024-01-03", close=11.0) | {"close": None}, {"datetime": "2024-01-04"} | nothing]))
    assert days(some) == ["2024-01-02"]
    assert [r.ts for r in some.delivery.rejected] == [utc("2024-01-03")]
    assert some.delivery.absent == (utc("2024-01-04"),)


def test_an_answer_that_is_full_may_be_cut_and_is_refused() -> None:
    stamps = [f"{datetime(2024, 1, 2, tzinfo=UTC) + timedelta(minutes=i):%Y-%m-%d %H:%M:%S}" for i in range(5000)]
    request = ask("BTC/USD", "1m", "2024-01-02", "2024-01-04")
    assert refused(told([row(s) for s in stamps], symbol="BTC/USD", interval="1min", **PAIR), request).kind is K.SCHEMA


@pytest.mark.parametrize(
    ("symbol", "meta"),
    [
        ("MSFT", {}),
        ("AAPL", {"interval": "1min"}),
        ("AAPL", {"currency": "EUR"}),
        ("AAPL", {"exchange_timezone": "Europe/London"}),
        ("IBE.MC", {"symbol": "IBE", "mic_code": "XETR", "currency": "EUR", "exchange_timezone": "Europe/Berlin"}),
        ("IBE:BME", {"symbol": "IBE", "mic_code": "XETR", "exchange": "XETR", "currency": "EUR"}),
    ],
    ids=["symbol", "interval", "currency", "zone", "mic", "exchange"],
)
def test_an_answer_about_something_else_is_refused(symbol: str, meta: dict[str, Any]) -> None:
    assert refused(told(THREE, **meta), ask(symbol)).kind is K.MISMATCH


def test_hours_that_are_called_days_are_refused() -> None:
    assert refused(told([row("2024-01-02"), row("2024-01-02"), row("2024-01-02"), row("2024-01-03")])).kind is K.MISMATCH


def test_hours_where_days_were_asked_for_are_refused() -> None:
    hours = [row(f"2024-01-02 {hour}:30:00") for hour in (12, 11, 10)]
    assert refused(told(hours)).kind is K.MISMATCH
    assert refused(told(hours[:1])).kind is K.SCHEMA


@pytest.mark.parametrize("code", ["GBp", "GBX"])
def test_pence_stay_pence_however_they_are_spelled(code: str) -> None:
    meta = {"symbol": "VOD", "exchange": "LSE", "mic_code": "XLON", "exchange_timezone": "Europe/London"}
    some = bars(told(THREE, currency=code, **meta), ask("VOD.L"))
    assert (some.currency, some.close[0]) == (code, 10.0)


def test_a_body_that_names_no_symbol_is_said_to() -> None:
    assert not bars(told(THREE, symbol=None)).delivery.named


def test_an_empty_series_is_no_data() -> None:
    assert refused(told([])).kind is K.NO_DATA


@pytest.mark.parametrize("body", [[], {}, {"meta": 1, "values": []}, {"meta": {}, "values": {}}, {"meta": {}, "values": [1]}, "x", 7])
def test_what_is_no_series_is_no_series(body: object) -> None:
    assert refused(json.dumps(body).encode()).kind is K.SCHEMA


def long() -> BarRequest:
    return ask(interval="1m", start="2024-01-01", end="2024-02-10")


def test_a_piece_before_the_first_trade_does_not_spoil_the_rest() -> None:
    talk = source().bars(long())
    next(talk)
    talk.throw(ConversationFailed(Failure(K.NO_DATA, "nothing then")))
    talk.send(reply(told([row("2024-01-17 14:30:00")], interval="1min")))
    with pytest.raises(StopIteration) as end:
        talk.throw(ConversationFailed(Failure(K.NO_DATA, "nothing then")))
    assert len(end.value.value) == 1


def test_what_came_before_a_failure_is_kept() -> None:
    talk = source().bars(long())
    next(talk)
    talk.send(reply(told([row("2024-01-02 14:30:00")], interval="1min")))
    with pytest.raises(ConversationFailed) as caught:
        talk.throw(ConversationFailed(Failure(K.RATE_LIMITED, "later")))
    assert isinstance(caught.value.partial, BarSet)
    assert len(caught.value.partial) == 1


# Several symbols at once


def test_a_batch_is_one_request_that_costs_a_credit_a_symbol() -> None:
    body = {"AAPL": told(THREE), "MSFT": told(THREE, symbol="MSFT")}
    (request,), got = hold(source().batch(several("MSFT", "AAPL")), reply(body))
    assert (request.url.params["symbol"], request.extensions[COST]) == ("MSFT,AAPL", 2)
    assert [str(some.symbol) for some in got if isinstance(some, BarSet)] == ["MSFT", "AAPL"]


def test_a_failure_in_a_batch_is_that_symbols_own() -> None:
    over = error(429, "You have run out of API credits for the current minute.")
    gone = error(400, "No data is available on the specified dates. Try setting different start/end dates.")
    body = {"AAPL": told(THREE), "MSFT": over, "NOSUCH": error(400, "**symbol** not found: NOSUCH."), "IBM": gone}
    assert source().error_in(reply(body)) is None
    _, got = hold(source().batch(several("AAPL", "MSFT", "NOSUCH", "IBM", "GE")), reply(body))
    assert isinstance(got[0], BarSet)
    assert [f.kind for f in got[1:] if isinstance(f, Failure)] == [K.RATE_LIMITED, K.UNKNOWN_SYMBOL, K.NO_DATA, K.SCHEMA]


def test_one_symbol_in_a_batch_has_the_shape_of_one() -> None:
    _, got = hold(source().batch(several("AAPL")), reply(told(THREE)))
    assert isinstance(got[0], BarSet)


def test_symbols_of_one_exchange_go_together() -> None:
    talk = source().batch(several("AAPL", "IBE.MC", "EURUSD=X", "SAN.MC", "BTC/USD", "SAN.PA"))
    asked = [next(talk)]
    while True:
        try:
            asked.append(talk.send(reply({})))
        except StopIteration as end:
            got = end.value
            break
    assert [(r.url.params["symbol"], r.url.params.get("mic_code")) for r in asked] == [
        ("AAPL", None),
        ("IBE,SAN", "XMAD"),
        ("EUR/USD,BTC/USD", None),
        ("SAN", "XPAR"),
    ]
    assert all(isinstance(one, Failure) for one in got)


def test_a_batch_is_no_dearer_than_a_minute_allows() -> None:
    names = [f"SYM{n:05}" for n in range(1, 21)]
    sizes = {}
    for plan in ("basic", "ultra"):
        sizes[plan] = next(source(plan).batch(several(*names))).extensions[COST]
    assert sizes == {"basic": 8, "ultra": 20}


def test_a_batch_of_long_series_is_smaller() -> None:
    names = [f"SYM{n:05}" for n in range(1, 121)]
    assert next(source().batch(several(*names))).extensions[COST] == 120
    assert next(source().batch(several(*names, interval="1m", start="2024-01-01", end="2024-01-17"))).extensions[COST] == 24


def test_what_stops_a_batch_before_anything_came_is_raised() -> None:
    talk = source().batch(several("AAPL", "IBE.MC"))
    next(talk)
    with pytest.raises(ConversationFailed):
        talk.throw(ConversationFailed(Failure(K.AUTH, "bad key")))


def test_what_stops_a_batch_half_way_loses_nothing_that_came() -> None:
    talk = source().batch(several("AAPL", "IBE.MC", "SAN.PA"))
    next(talk)
    talk.send(reply(told(THREE)))
    with pytest.raises(StopIteration) as end:
        talk.throw(ConversationFailed(Failure(K.RATE_LIMITED, "later")))
    got = end.value.value
    assert isinstance(got[0], BarSet)
    assert [f.kind for f in got[1:]] == [K.RATE_LIMITED, K.RATE_LIMITED]


def test_a_refusal_of_a_group_is_its_symbols_own() -> None:
    talk = source().batch(several("NOSUCH", "IBE.MC"))
    next(talk)
    talk.throw(ConversationFailed(Failure(K.UNKNOWN_SYMBOL, "who")))
    with pytest.raises(StopIteration) as end:
        talk.send(reply(b"<html>"))
    assert [f.kind for f in end.value.value] == [K.UNKNOWN_SYMBOL, K.MALFORMED]
