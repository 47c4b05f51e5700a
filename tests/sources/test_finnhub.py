"""Finnhub: what it is asked, and its answers as bars, quotes, listings, actions and failures."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.market import Adjustment, BarSet, CorporateAction, Interval, Symbol
from mdagent.sources import load
from tests.sources.answers import ask, at, days, hold, presentable, reply, utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from mdagent.market import BarRequest
    from mdagent.sources.base import Conversation

T = TypeVar("T")
K = FailureKind
NOTHING = {"s": "no_data"}


def midnight(day: str) -> int:
    return int(utc(day).timestamp())


def candles(stamps: Sequence[Any], **columns: Any) -> dict[str, Any]:
    """A candle answer whose closes are 10, 11, 12 and so on."""
    closes = [10.0 + n for n in range(len(stamps))]
    prices = {"o": [c - 0.5 for c in closes], "h": [c + 1.0 for c in closes], "l": [c - 1.0 for c in closes], "c": closes}
    return prices | {"v": [1000] * len(stamps), "t": list(stamps), "s": "ok"} | columns


def bars(body: object, request: BarRequest | None = None) -> BarSet:
    return hold(load("finnhub", api_key="k").bars(request or ask()), reply(body))[1]


def refused(body: object, request: BarRequest | None = None) -> FailureKind:
    with pytest.raises(ConversationFailed) as caught:
        bars(body, request)
    return caught.value.failure.kind


def refused_by(talk: Conversation[Any], *bodies: object) -> FailureKind:
    with pytest.raises(ConversationFailed) as caught:
        hold(talk, *map(reply, bodies))
    return caught.value.failure.kind


def converse(talk: Conversation[T], *replies: httpx.Response) -> tuple[list[httpx.Request], T]:
    """Requests and value of a conversation whose answers are looked at as the gate does it; the last reply is for ever."""
    seen, left = [], list(replies)
    try:
        request = next(talk)
        while True:
            seen.append(request)
            one = left.pop(0) if len(left) > 1 else left[0]
            failure = load("finnhub").error_in(one)
            request = talk.throw(ConversationFailed(failure)) if failure else talk.send(one)
    except StopIteration as end:
        return seen, end.value


def asked(request: BarRequest) -> list[httpx.Request]:
    """The requests of a window, each answered with the same bar."""
    return converse(load("finnhub", api_key="k").bars(request), reply(candles([midnight("2024-01-02")])))[0]


# The request


def test_a_daily_window_is_asked_for_in_one_request_with_the_key_in_a_header() -> None:
    (one,) = asked(ask(start="1990-01-01", end="2024-02-01"))
    assert (one.url.scheme, one.url.host, one.url.path) == ("https", "finnhub.io", "/api/v1/stock/candle")
    window = {"from": str(midnight("1990-01-01")), "to": str(midnight("2024-02-01") - 1)}  # both ends included
    assert dict(one.url.params) == {"symbol": "AAPL", "resolution": "D"} | window
    assert one.headers["X-Finnhub-Token"] == "k"


@pytest.mark.parametrize(
    ("interval", "resolution"), [("1m", "1"), ("5m", "5"), ("15m", "15"), ("30m", "30"), ("1d", "D"), ("1w", "W"), ("1mo", "M")]
)
def test_intervals_go_out_in_finnhubs_words(interval: str, resolution: str) -> None:
    (one,) = asked(ask(interval=interval, start="2024-01-02", end="2024-01-20"))
    assert one.url.params["resolution"] == resolution


def test_weeks_and_months_are_asked_for_to_their_end() -> None:
    (week,) = asked(ask(interval="1w", start="2024-01-02", end="2024-01-16"))
    assert (int(week.url.params["from"]), int(week.url.params["to"])) == (midnight("2024-01-08"), midnight("2024-01-22") - 1)


def test_a_long_intraday_window_is_asked_for_month_by_month() -> None:
    windows = [(int(one.url.params["from"]), int(one.url.params["to"])) for one in asked(ask(interval="5m", end="2024-03-02"))]
    assert [(b + 1 - a) / 86400 for a, b in windows] == [30, 30]
    assert windows[0][1] + 1 == windows[1][0]


def test_hours_are_asked_for_in_halves_where_sessions_begin_at_half_past() -> None:
    (here,), (there,) = (asked(ask(symbol, "1h", end="2024-01-04")) for symbol in ("AAPL", "SAP.DE"))
    assert (here.url.params["resolution"], there.url.params["resolution"]) == ("30", "60")
    assert int(here.url.params["to"]) - int(there.url.params["to"]) == 1800  # the second half of the last hour


@pytest.mark.parametrize("symbol", ["EUR/USD", "BTC-USD", "GC=F", "OANDA:EUR_USD"])
def test_what_is_no_stock_is_not_asked_for(symbol: str) -> None:
    with pytest.raises(ConversationFailed) as caught:
        next(load("finnhub").bars(ask(symbol)))
    assert caught.value.failure.kind is K.BAD_REQUEST


# Days


@pytest.mark.parametrize("clock", ["00:00 UTC", "00:00", "09:30"])
def test_a_daily_stamp_is_its_date_in_all_the_forms_that_it_has_had(clock: str) -> None:
    told = ["2024-03-08", "2024-03-11", "2024-03-12"]  # the clocks go forward between the first two
    stamps = [midnight(d) if clock == "00:00 UTC" else at(d, clock) for d in told]
    some = bars(candles(stamps), ask(start="2024-03-01", end="2024-04-01"))
    assert days(some) == told
    assert (some.adjustment, some.currency, some.delivery.named, some.delivery.extended) == (Adjustment.SPLITS, "USD", True, False)


def test_weeks_carry_their_monday_and_months_their_first() -> None:
    tuesday, friday = midnight("2024-01-16"), midnight("2024-01-26")
    assert days(bars(candles([tuesday, friday]), ask(interval="1w"))) == ["2024-01-15", "2024-01-22"]
    assert days(bars(candles([tuesday]), ask(interval="1mo", start="2024-01-01"))) == ["2024-01-01"]


def test_a_week_stamped_on_a_weekend_could_be_either_and_is_refused() -> None:
    some = bars(candles([midnight("2024-01-08"), midnight("2024-01-14")]), ask(interval="1w"))
    assert days(some) == ["2024-01-08"]
    assert [r.check for r in some.delivery.rejected] == ["stamp"]


def test_volume_comes_as_it_is_and_says_that_it_is_not_adjusted() -> None:
    some = bars(candles([midnight("2024-01-02"), midnight("2024-01-03"), midnight("2024-01-04")], v=[None, 0, 12.5]))
    assert np.isnan(some.volume[0])
    assert some.volume[1:].tolist() == [0.0, 12.5]
    assert some.raw_volume
    assert not bars(candles([at("2024-01-02")]), ask(interval="5m", end="2024-01-03")).raw_volume  # prices are raw too
    body = candles([midnight("2024-01-02")])
    del body["v"]
    assert np.isnan(bars(body).volume).all()


def test_a_row_that_is_no_bar_is_told() -> None:
    some = bars(candles([midnight("2024-01-02"), 0, -5, 1e20, midnight("2024-01-05")], c=[1.0, 2.0, 3.0, 4.0, None]))
    assert days(some) == ["2024-01-02"]
    assert sorted(r.check for r in some.delivery.rejected) == ["stamp", "stamp", "stamp", "values"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (NOTHING, K.NO_DATA),
        (candles([]), K.NO_DATA),
        (candles([midnight("2024-01-02")], t=[midnight("2024-01-02") * 1000]), K.SCHEMA),
        (candles([midnight("2024-01-02")], o=[]), K.SCHEMA),
        (candles([midnight("2024-01-02")], t=None), K.SCHEMA),
        (candles([midnight("2024-01-02")], s="?"), K.SCHEMA),
        ([], K.SCHEMA),
        (b"<html>", K.MALFORMED),
        (candles([at("2024-01-02", f"{h:02}:30") for h in range(9, 16)]), K.MISMATCH),  # hours where days were asked for
    ],
)
def test_an_answer_that_is_none_is_refused_by_kind(body: object, kind: FailureKind) -> None:
    assert refused(body) is kind


# Minutes and hours


def test_intraday_prices_are_raw_and_come_with_extended_hours() -> None:
    some = bars(candles([at("2024-01-02", c) for c in ("08:00", "09:30", "16:00")]), ask(interval="5m", end="2024-01-03"))
    assert [f"{t:%H:%M}" for t in some.ts.tolist()] == ["13:00", "14:30", "21:00"]
    assert (some.adjustment, some.delivery.extended) == (Adjustment.RAW, True)


def test_an_empty_month_does_not_spoil_the_rest() -> None:
    request = ask(interval="5m", end="2024-02-15")
    _, found = converse(load("finnhub").bars(request), reply(NOTHING), reply(candles([at("2024-02-05")])))
    assert len(found) == 1
    with pytest.raises(ConversationFailed) as caught:
        converse(load("finnhub").bars(request), reply(NOTHING))
    assert caught.value.failure.kind is K.NO_DATA


def halves(day: str, *clocks: str, **columns: Any) -> dict[str, Any]:
    return candles([at(day, clock) for clock in clocks], **columns)


def test_hours_are_made_of_half_hours_from_the_opening_on() -> None:
    clocks = ("09:00", "09:30", "10:00", "10:30", "15:30", "16:00")
    some = bars(halves("2024-01-02", *clocks), ask(interval="1h", end="2024-01-03"))
    assert [f"{t:%H:%M}" for t in some.ts.tolist()] == ["14:30", "15:30", "20:30"]
    assert some.open.tolist() == [10.5, 12.5, 13.5]
    assert some.high.tolist() == [13.0, 14.0, 15.0]
    assert some.low.tolist() == [10.0, 12.0, 13.0]
    assert some.close.tolist() == [12.0, 13.0, 14.0]
    assert some.volume.tolist() == [2000.0, 1000.0, 1000.0]
    assert (some.delivery.rows, some.delivery.extended) == (6, False)


def test_the_last_hour_of_a_half_day_holds_no_trade_after_its_close() -> None:
    some = bars(halves("2024-11-29", "12:30", "13:00", "13:30"), ask(interval="1h", start="2024-11-29", end="2024-11-30"))
    assert some.close.tolist() == [10.0]


def test_an_hour_ends_where_the_window_does_but_is_whole() -> None:
    window = ask(interval="1h", start="2024-01-02T15:00", end="2024-01-02T16:00")  # 10:00 to 11:00 in New York
    some = bars(halves("2024-01-02", "10:00", "10:30", "11:00", "11:30"), window)
    assert [f"{t:%H:%M}" for t in some.ts.tolist()] == ["15:30"]
    assert some.close.tolist() == [12.0]


def test_an_hour_with_a_spoilt_half_is_none() -> None:
    some = bars(halves("2024-01-02", "09:30", "10:00", "10:30", h=[12.0, None, 14.0]), ask(interval="1h", end="2024-01-03"))
    assert [f"{t:%H:%M}" for t in some.ts.tolist()] == ["15:30"]
    assert len(some.delivery.rejected) == 1
    unknown = candles([at("2024-01-02"), 0])
    assert refused(unknown, ask(interval="1h", end="2024-01-03")) is K.SCHEMA


def test_no_half_hour_within_a_session_is_no_hour() -> None:
    assert len(bars(halves("2024-01-02", "08:00"), ask(interval="1h", end="2024-01-03"))) == 0


# Quote, search, actions, market


def test_a_quote_is_the_last_trade() -> None:
    body = {"c": 146.36, "d": -3.83, "dp": -2.55, "h": 150.71, "l": 146.15, "o": 149.8, "pc": 150.19, "t": midnight("2024-01-02") + 5}
    requests, quote = hold(load("finnhub").quote("AAPL"), reply(body))
    assert (requests[0].url.path, requests[0].url.params["symbol"]) == ("/api/v1/quote", "AAPL")
    assert (quote.last, quote.previous_close, quote.day_high, quote.day_low, quote.bid) == (146.36, 150.19, 150.71, 146.15, None)
    assert quote.as_of == datetime(2024, 1, 2, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "kind"), [({"c": 0, "d": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}, K.UNKNOWN_SYMBOL), ({}, K.SCHEMA), ([], K.SCHEMA)]
)
def test_a_price_of_zero_is_an_unknown_symbol(body: object, kind: FailureKind) -> None:
    assert refused_by(load("finnhub").quote("NOSUCH"), body) is kind


def test_a_search_returns_what_can_be_asked_for_in_finnhubs_order() -> None:
    hits = [{"description": "Vodafone", "symbol": "VOD.L", "type": "Common Stock"}, {"symbol": "no symbol"}, {"symbol": "BRK.B"}]
    _, found = hold(load("finnhub").search("x"), reply({"count": 3, "result": hits}))
    assert [(x.symbol.ticker, x.name, x.kind) for x in found] == [("VOD.L", "Vodafone", "Common Stock"), ("BRK.B", "", "")]
    assert refused_by(load("finnhub").search("x"), {"count": 0}) is K.SCHEMA


def test_actions_are_splits_and_dividends_as_paid() -> None:
    split = {"symbol": "AAPL", "date": "2020-08-31", "fromFactor": 1, "toFactor": 4}
    paid = {"symbol": "AAPL", "date": "2020-08-07", "amount": 0.82, "adjustedAmount": 0.205, "currency": "USD"}
    talk = load("finnhub").actions(Symbol.parse("AAPL"), utc("2020-08-01"), utc("2020-09-01"))
    requests, found = hold(talk, reply([split]), reply([paid, paid | {"date": "2020-09-01"}]))
    assert [r.url.path for r in requests] == ["/api/v1/stock/split", "/api/v1/stock/dividend"]
    assert (requests[0].url.params["from"], requests[0].url.params["to"]) == ("2020-08-01", "2020-08-31")
    assert found == (
        CorporateAction("dividend", date(2020, 8, 7), 0.82, adjusted=False, currency="USD"),
        CorporateAction("split", date(2020, 8, 31), 4.0),
    )


@pytest.mark.parametrize(
    ("split", "kind"),
    [
        ({"symbol": "MSFT", "date": "2020-08-31", "fromFactor": 1, "toFactor": 4}, K.MISMATCH),
        ({"date": "2020-08-31", "fromFactor": 0, "toFactor": 4}, K.SCHEMA),
        ({"date": "soon", "fromFactor": 1, "toFactor": 4}, K.SCHEMA),
    ],
)
def test_an_action_that_cannot_be_read_is_refused(split: dict[str, Any], kind: FailureKind) -> None:
    talk = load("finnhub").actions(Symbol.parse("AAPL"), utc("2020-08-01"), utc("2020-09-01"))
    assert refused_by(talk, [split], []) is kind
    dividend = load("finnhub").actions(Symbol.parse("AAPL"), utc("2020-08-01"), utc("2020-09-01"))
    assert refused_by(dividend, [], [{"date": "2020-08-07"}]) is K.SCHEMA


@pytest.mark.parametrize(
    ("is_open", "session", "holiday", "told"),
    [
        (True, "regular", None, "regular"),
        (False, None, None, "closed"),
        (False, None, "Christmas", "Christmas"),
        (True, None, None, "open"),
    ],
)
def test_the_market_is_told_in_finnhubs_words(is_open: bool, session: str | None, holiday: str | None, told: str) -> None:
    body = {"exchange": "US", "isOpen": is_open, "session": session, "holiday": holiday, "t": 1704200000}
    _, (status,) = hold(load("finnhub").market(), reply(body))
    assert (status.market, status.is_open, status.session) == ("US", is_open, told)
    assert refused_by(load("finnhub").market(), {"isOpen": "yes"}) is K.SCHEMA


# What an answer tells by its status or its words


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, candles([1]), None),
        (200, {"s": "ok", "t": []}, None),
        (200, NOTHING, K.NO_DATA),
        (200, [], None),
        (200, {"error": "You don't have access to this resource."}, K.PLAN_LIMIT),
        (200, {"error": "something"}, K.BAD_REQUEST),
        (403, {"error": "You don't have access to this resource."}, K.PLAN_LIMIT),
        (401, {"error": "You don't have access to this resource."}, K.PLAN_LIMIT),
        (401, {"error": "Invalid API key"}, K.AUTH),
        (401, {"error": "Please use an API key."}, K.AUTH),
        (403, b"<html>no</html>", K.WAF_BLOCK),
        (429, {"error": "API limit reached. Please try again later. Remaining Limit: 0"}, K.RATE_LIMITED),
        (429, b"API limit reached. Please try again later.", K.RATE_LIMITED),
        (429, {"error": "Please sign up to get more"}, K.AUTH),
        (422, {"error": "Wrong resolution"}, K.BAD_REQUEST),
        (302, b'<a href="/">Found</a>', K.UNEXPECTED_STATUS),
        (500, b"API key store is down", K.SERVER_ERROR),
    ],
)
def test_a_throttle_is_told_from_a_paywall_and_a_key(status: int, body: object, kind: FailureKind | None) -> None:
    failure = load("finnhub").error_in(reply(body, status))
    assert (failure.kind if failure else None) is kind
    assert failure is None or presentable(failure.detail)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES, st.sampled_from(["o", "h", "l", "c", "v", "t", "s", "t0", "all"]), st.sampled_from(list(Interval)))
def test_no_value_in_any_place_makes_the_reader_raise_anything_but_a_failure(value: Any, place: str, interval: Interval) -> None:
    body: Any = candles([midnight("2024-01-02"), midnight("2024-01-03"), at("2024-01-04")])
    if place == "t0":
        body["t"][0] = value
    elif place == "all":
        body = value
    else:
        body[place] = value
    content = json.dumps(body).encode()
    source = load("finnhub")
    source.error_in(reply(content))
    split, market = source.actions(Symbol.parse("AAPL"), utc("2020-08-01"), utc("2020-09-01")), source.market()
    for talk in (source.bars(ask(interval=interval, end="2024-01-20")), source.quote("AAPL"), source.search("x"), split, market):
        try:
            made = converse(talk, reply(content))[1]
        except ConversationFailed as error:
            made = error.failure.detail
        assert not isinstance(made, BarSet) or np.isfinite(made.close).all()
        assert not isinstance(made, str) or presentable(made)
