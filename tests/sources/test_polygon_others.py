"""Polygon's other answers: the whole market's day, the snapshot, lists of tickers and events, the state of markets, and errors."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import BarSet, CorporateAction, Symbol
from mdagent.sources import load
from tests.sources.answers import NEW_YORK, ask, at, days, hold, presentable, reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdagent.market import BarRequest
    from mdagent.sources.base import Conversation

K = FailureKind
ADVANCED = load("polygon", api_key="KEY", plan="advanced")
AAPL = Symbol.parse("AAPL")
START, END = datetime(2020, 8, 1, tzinfo=UTC), datetime(2020, 9, 1, tzinfo=UTC)


def refused(talk: Conversation[Any], *bodies: object) -> Failure:
    with pytest.raises(ConversationFailed) as caught:
        hold(talk, *(reply(made) for made in bodies))
    return caught.value.failure


# The whole market's day


def two(interval: str = "1d", start: str = "2024-01-05", end: str = "2024-01-09") -> list[BarRequest]:
    """A Friday and a Monday of two stocks."""
    return [ask(symbol, interval, start, end, "raw") for symbol in ("AAPL", "BRK.B")]


def market(day: str, *closes: tuple[str, float], **facts: Any) -> dict[str, Any]:
    t = at(day, "16:00", NEW_YORK) * 1000
    rows = [{"T": name, "v": 5.0, "vw": c, "o": c, "h": c, "l": c, "c": c, "t": t, "n": 1} for name, c in (*closes, ("ZZZ", 1.0))]
    return {"queryCount": len(rows), "resultsCount": len(rows), "adjusted": False, "results": rows, "status": "OK"} | facts


def test_a_batch_is_a_request_for_each_weekday_whatever_the_number_of_symbols() -> None:
    assert ADVANCED.batch_requests(two()) == 2
    assert ADVANCED.batch_requests([*two(), ask("MSFT", "1d", "2024-01-05", "2024-01-09", "raw")]) == 2
    requests, found = hold(
        ADVANCED.batch(two()),
        reply(market("2024-01-05", ("AAPL", 10.0), ("BRK.B", 20.0))),
        reply(market("2024-01-08", ("AAPL", 11.0))),
    )
    assert [r.url.path.rpartition("/")[2] for r in requests] == ["2024-01-05", "2024-01-08"]
    assert dict(requests[0].url.params) == {"adjusted": "false", "include_otc": "true"}
    sets = [one for one in found if isinstance(one, BarSet)]
    assert [(str(one.symbol), days(one), one.close.tolist()) for one in sets] == [
        ("AAPL", ["2024-01-05", "2024-01-08"], [10.0, 11.0]),
        ("BRK.B", ["2024-01-05"], [20.0]),
    ]


@pytest.mark.parametrize("requests", [[], two("1h"), two("1w"), [ask("BTC-USD")], [ask("^GSPC")], [ask("VOD.L")]])
def test_only_daily_bars_of_american_stocks_come_in_batches(requests: list[BarRequest]) -> None:
    assert ADVANCED.batch_requests(requests) is None
    assert refused(ADVANCED.batch(requests)).kind is K.BAD_REQUEST


def test_a_stock_that_no_day_tells_of_has_no_data_and_the_others_have_theirs() -> None:
    _, (one, other) = hold(ADVANCED.batch(two()), reply(market("2024-01-05", ("AAPL", 10.0))), reply(market("2024-01-08")))
    assert isinstance(one, BarSet)
    assert isinstance(other, Failure)
    assert other.kind is K.NO_DATA


def test_a_day_that_is_not_told_yet_is_left_out_as_a_holiday_is() -> None:
    talk = ADVANCED.batch(two())
    next(talk)
    talk.send(reply({"queryCount": 0, "resultsCount": 0, "adjusted": False, "status": "OK"}))
    with pytest.raises(StopIteration) as end:
        talk.throw(ConversationFailed(Failure(K.NO_DATA, "before end of day")))
    assert [one.kind for one in end.value.value] == [K.NO_DATA, K.NO_DATA]


def test_any_other_failure_ends_a_batch() -> None:
    talk = ADVANCED.batch(two())
    next(talk)
    with pytest.raises(ConversationFailed):
        talk.throw(ConversationFailed(Failure(K.RATE_LIMITED, "slow down")))


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (market("2024-01-09", ("AAPL", 11.0)), K.MISMATCH),  # another day than asked for
        (market("2024-01-08", ("AAPL", 11.0), adjusted=True), K.MISMATCH),  # another basis than the day before
        (market("2024-01-08", ("AAPL", 11.0), adjusted=None), K.SCHEMA),
        (market("2024-01-08", results=[{"t": 1}]), K.SCHEMA),
        (market("2024-01-08", results={}), K.SCHEMA),
    ],
)
def test_a_day_that_is_not_what_was_asked_for_is_refused(second: dict[str, Any], kind: FailureKind) -> None:
    assert refused(ADVANCED.batch(two()), market("2024-01-05", ("AAPL", 10.0)), second).kind is kind


# Quotes


def snapshot(**more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "ticker": "AAPL",
        "day": {"o": 1.0, "h": 3.0, "l": 0.5, "c": 2.5, "v": 100, "vw": 2.0},
        "min": {"c": 2.6, "t": 1684428600000},
        "prevDay": {"c": 2.0},
        "lastTrade": {"p": 2.7, "s": 200, "t": 1651251948294080343},
        "lastQuote": {"P": 2.8, "S": 5, "p": 2.6, "s": 3},
        "updated": 1651251949000000000,
    }
    return {"status": "OK", "ticker": told | more}


def test_a_quote_is_the_last_trade_with_its_time_in_nanoseconds() -> None:
    requests, quote = hold(ADVANCED.quote("AAPL"), reply(snapshot()))
    assert requests[0].url.path == "/v2/snapshot/locale/us/markets/stocks/tickers/AAPL"
    assert (quote.last, quote.bid, quote.ask, quote.size, quote.currency) == (2.7, 2.6, 2.8, 200.0, "USD")
    assert (quote.previous_close, quote.day_high, quote.day_low, quote.volume) == (2.0, 3.0, 0.5, 100.0)
    assert quote.as_of == datetime(2022, 4, 29, 17, 5, 48, 294080, tzinfo=UTC)


@pytest.mark.parametrize(("more", "last"), [({"lastTrade": None}, 2.6), ({"lastTrade": {"p": 0}, "min": None}, 2.5)])
def test_without_trades_in_the_plan_it_is_the_last_minute_or_the_day(more: dict[str, Any], last: float) -> None:
    quote = hold(ADVANCED.quote("AAPL"), reply(snapshot(**more)))[1]
    assert quote.last == last
    assert quote.as_of == datetime(2022, 4, 29, 17, 5, 49, tzinfo=UTC)


def test_a_cleared_snapshot_has_no_price_and_another_ticker_is_a_mismatch() -> None:
    cleared = snapshot(day={"c": 0}, min={"c": 0}, lastTrade={}, updated=0)
    assert refused(ADVANCED.quote("AAPL"), cleared).kind is K.NO_DATA
    assert refused(ADVANCED.quote("MSFT"), snapshot()).kind is K.MISMATCH
    assert refused(ADVANCED.quote("AAPL"), {"status": "OK"}).kind is K.SCHEMA
    assert refused(ADVANCED.quote("BTC-USD")).kind is K.BAD_REQUEST


def test_a_stamp_that_is_no_time_is_none() -> None:
    for stamp in (0, 1651251948, True, 1e18, 10**30, "1651251948294080343"):
        trade = {"p": 2.7, "t": stamp}
        assert hold(ADVANCED.quote("AAPL"), reply(snapshot(lastTrade=trade)))[1].as_of is None


# Search


def test_a_search_returns_canonical_symbols_in_its_order() -> None:
    hits = [
        {"ticker": "BACpL", "name": "Bank of America Series L", "primary_exchange": "XNYS", "type": "PFD", "market": "stocks"},
        {"ticker": "BRK.B", "name": "Berkshire", "primary_exchange": "XNYS", "type": "CS"},
        {"ticker": "X:BTCUSD", "name": "Bitcoin", "market": "crypto", "base_currency_symbol": "BTC", "currency_symbol": "USD"},
        {"ticker": "C:EURUSD", "name": "Euro", "market": "fx", "base_currency_symbol": "EUR", "currency_symbol": "USD"},
        {"ticker": "I:SPX", "name": "S&P 500", "market": "indices"},
        {"ticker": "I:RUT", "name": "Russell", "market": "indices"},
        {"ticker": "X:ODDEUR", "name": "no fields of its own", "market": "crypto"},
        {"ticker": "ABCw", "name": "when issued: another security than ABCW"},
        {"ticker": "TEF.L", "name": "would be one of London"},
        {"ticker": "not a symbol"},
        {"name": "nothing"},
    ]
    requests, found = hold(ADVANCED.search("b & c"), reply({"results": hits, "status": "OK"}))
    assert dict(requests[0].url.params) == {"search": "b & c", "active": "true", "limit": "50"}
    assert [(str(x.symbol), x.exchange, x.kind) for x in found] == [
        ("BAC-PL", "XNYS", "PFD"),
        ("BRK.B", "XNYS", "CS"),
        ("BTC-USD", "crypto", "crypto"),
        ("EURUSD=X", "fx", "fx"),
        ("^GSPC", "indices", "indices"),
        ("I:RUT", "indices", "indices"),
        ("X:ODDEUR", "crypto", "crypto"),
    ]


def test_a_search_that_finds_nothing_is_empty_and_one_without_a_list_refused() -> None:
    assert hold(ADVANCED.search("x"), reply({"status": "OK"}))[1] == []
    assert refused(ADVANCED.search("x"), {"results": "x"}).kind is K.SCHEMA


# Splits and dividends

OLD_SPLIT = {"ticker": "AAPL", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4}
NEW_SPLIT = OLD_SPLIT | {"historical_adjustment_factor": 0.25, "adjustment_type": "forward_split", "id": "a"}
PAID = {"ticker": "AAPL", "ex_dividend_date": "2020-08-07", "cash_amount": 0.82, "currency": "USD", "split_adjusted_cash_amount": 0.205}
DUE = (
    CorporateAction("dividend", date(2020, 8, 7), 0.82, adjusted=False, currency="USD"),
    CorporateAction("split", date(2020, 8, 31), 4.0),
)


def test_splits_and_dividends_are_asked_for_by_their_dates_with_amounts_as_paid() -> None:
    requests, found = hold(ADVANCED.actions(AAPL, START, END), reply({"results": [NEW_SPLIT]}), reply({"results": [PAID]}))
    assert [r.url.path for r in requests] == ["/stocks/v1/splits", "/stocks/v1/dividends"]
    assert requests[0].url.params["execution_date.gte"] == "2020-08-01"
    assert found == DUE


def test_the_old_lists_are_read_too_and_what_is_listed_twice_is_one() -> None:
    twice = [OLD_SPLIT, NEW_SPLIT | {"id": "b"}]
    _, found = hold(ADVANCED.actions(AAPL, START, END), reply({"results": twice}), reply({"results": [PAID, PAID | {"id": "c"}]}))
    assert found == DUE


def test_lists_of_events_come_in_pages() -> None:
    following = "https://api.massive.com/stocks/v1/splits?cursor=x"
    first = reply({"results": [], "next_url": following})
    requests, found = hold(ADVANCED.actions(AAPL, START, END), first, reply({"results": [NEW_SPLIT]}), reply({"results": [PAID]}))
    assert str(requests[1].url) == following
    assert found == DUE


def test_events_outside_the_window_and_payments_of_nothing_are_left_out() -> None:
    late = PAID | {"ex_dividend_date": "2020-09-01"}
    none = PAID | {"cash_amount": 0}
    assert hold(ADVANCED.actions(AAPL, START, END), reply({}), reply({"results": [late, none]}))[1] == ()


@pytest.mark.parametrize("symbol", ["BTC-USD", "EURUSD=X", "^GSPC", "X:BTCUSD"])
def test_what_is_no_stock_has_no_events_and_nobody_is_asked(symbol: str) -> None:
    assert hold(ADVANCED.actions(Symbol.parse(symbol), START, END)) == ([], ())


@pytest.mark.parametrize(
    ("splits", "dividends", "kind"),
    [
        ([NEW_SPLIT | {"split_to": 0}], None, K.SCHEMA),
        ([NEW_SPLIT | {"split_from": None}], None, K.SCHEMA),
        ([NEW_SPLIT | {"execution_date": "31/08/2020"}], None, K.SCHEMA),
        ([NEW_SPLIT | {"ticker": "MSFT"}], None, K.MISMATCH),
        ([], [PAID | {"cash_amount": "0.82"}], K.SCHEMA),
        ([], [PAID | {"cash_amount": -1}], K.SCHEMA),
        ([], [PAID | {"ex_dividend_date": None}], K.SCHEMA),
    ],
)
def test_an_event_without_its_facts_is_refused(splits: list[Any], dividends: list[Any] | None, kind: FailureKind) -> None:
    bodies = [{"results": part} for part in (splits, dividends) if part is not None]
    assert refused(ADVANCED.actions(AAPL, START, END), *bodies).kind is kind


# Markets


def test_each_market_is_told_in_its_words() -> None:
    told = {"exchanges": {"nyse": "extended-hours"}, "currencies": {"crypto": "open"}, "serverTime": "2022-04-28T16:48:08-04:00"}
    requests, (nyse, crypto) = hold(ADVANCED.market(), reply(told))
    assert requests[0].url.path == "/v1/marketstatus/now"
    assert (nyse.market, nyse.is_open, nyse.session) == ("nyse", False, "extended-hours")
    assert (crypto.is_open, crypto.as_of) == (True, datetime(2022, 4, 28, 20, 48, 8, tzinfo=UTC))
    for odd in ("", "now", "0001-01-01T00:00:00+14:00", "2022-04-28T16:48:08"):
        assert hold(ADVANCED.market(), reply(told | {"serverTime": odd}))[1][0].as_of is None
    assert refused(ADVANCED.market(), {"market": "open"}).kind is K.SCHEMA


# Errors

TIMEFRAME = "Your plan doesn't include this data timeframe. Please upgrade your plan at https://massive.com/pricing"
TOO_EARLY = "Attempted to request today's data before end of day. Please upgrade your plan at https://massive.com/pricing"
THROTTLE = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue. https://massive.com/pricing"
)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"status": "ERROR", "error": "Unknown API Key"}, K.AUTH),
        (401, {"status": "ERROR", "error": "API Key was not provided"}, K.AUTH),
        (403, {"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data. Please upgrade your plan at ..."}, K.PLAN_LIMIT),
        (403, {"status": "NOT_AUTHORIZED", "message": TIMEFRAME}, K.PLAN_LIMIT),
        (403, {"status": "NOT_AUTHORIZED", "message": TOO_EARLY}, K.NO_DATA),
        (403, "<html>Access denied</html>", K.WAF_BLOCK),
        (404, {"status": "NOT_FOUND", "message": "Data not found."}, K.NO_DATA),
        (404, {"status": "NOT_FOUND", "message": "Ticker not found."}, K.UNKNOWN_SYMBOL),
        (404, {"status": "NOT_FOUND", "error": "?"}, K.NO_DATA),
        (400, {"status": "ERROR", "error": "Could not parse the time parameter: 'from'."}, K.BAD_REQUEST),
        (429, {"status": "ERROR", "error": THROTTLE}, K.RATE_LIMITED),
        (200, {"status": "ERROR", "error": THROTTLE}, K.RATE_LIMITED),
        (200, {"status": "ERROR", "error": "Unknown API Key"}, K.AUTH),
        (200, {"status": "NOT_AUTHORIZED", "message": TIMEFRAME}, K.PLAN_LIMIT),
        (200, {"status": "NOT_FOUND", "message": "Ticker not found."}, K.UNKNOWN_SYMBOL),
        (200, {"status": "ERROR", "error": "what is this"}, K.BAD_REQUEST),
        (200, {"results": [{"t": n} for n in range(1000)], "status": "ERROR", "error": "cut short"}, K.BAD_REQUEST),
        (499, "", K.SERVER_ERROR),
        (500, {"status": "ERROR", "error": "internal"}, K.SERVER_ERROR),
        (503, "", K.SERVER_ERROR),
    ],
)
def test_an_error_means_what_its_status_and_words_say(status: int, body: object, kind: FailureKind) -> None:
    failure = ADVANCED.error_in(reply(body, status))
    assert failure is not None
    assert (failure.kind, failure.status) == (kind, status)
    assert presentable(failure.detail)


@pytest.mark.parametrize("body", [{"status": "OK"}, {"status": "DELAYED", "results": []}, {"status": "success"}, {"market": "open"}])
def test_a_good_answer_is_no_error(body: dict[str, Any]) -> None:
    assert ADVANCED.error_in(reply(body)) is None


# Whatever comes

NAMES = st.sampled_from(
    "results status ticker T t o h l c v vw n adjusted next_url exchanges nyse serverTime day lastTrade p updated".split()
)
ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["OK", "AAPL", 1704430800000, 10**40])
ANYTHING = st.recursive(ODD, lambda x: st.lists(x, max_size=3) | st.dictionaries(NAMES, x, max_size=5), max_leaves=12)
TALKS: list[Callable[[], Conversation[Any]]] = [
    lambda: ADVANCED.bars(ask()),
    lambda: ADVANCED.bars(ask(interval="1h")),
    lambda: ADVANCED.batch(two()),
    lambda: ADVANCED.quote("AAPL"),
    lambda: ADVANCED.search("apple"),
    lambda: ADVANCED.actions(AAPL, START, END),
    ADVANCED.market,
]


@given(st.sampled_from(TALKS), st.dictionaries(NAMES, ANYTHING, max_size=6) | ANYTHING, st.booleans())
def test_any_json_is_an_answer_or_a_failure(begin: Callable[[], Conversation[Any]], made: object, told_well: bool) -> None:
    if told_well and isinstance(made, dict):
        made = {"status": "OK", "ticker": "AAPL", "adjusted": True} | made
    answer = reply(made if isinstance(made, dict) else {"results": made})
    ADVANCED.error_in(answer)
    talk = begin()
    next(talk)
    with suppress(ConversationFailed, StopIteration):
        while True:
            talk.send(answer)
