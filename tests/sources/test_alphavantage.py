"""Alpha Vantage: what it is asked, and its answers as quotes, listings, actions and failures."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.errors import ConfigError
from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import Adjustment, BarSet, Interval, Symbol
from mdagent.sources import spec_of
from tests.sources.alphavantage_bodies import KEY, bars, daily, row, source
from tests.sources.answers import ask, hold, presentable, reply, utc

if TYPE_CHECKING:
    import httpx

    from mdagent.market import BarRequest

K = FailureKind


def query(request: BarRequest, plan: str | None = None) -> dict[str, str]:
    """The first request's parameters, without the key."""
    first = next(source(plan).bars(request))
    assert (first.url.scheme, first.url.host, first.url.path) == ("https", "www.alphavantage.co", "/query")
    told = dict(first.url.params)
    assert told.pop("apikey") == KEY
    return told


# The facts


def test_the_free_plan_is_the_first_and_says_what_it_lacks() -> None:
    spec = spec_of("alphavantage")
    assert spec.needs_key
    assert [p.name for p in spec.plans] == ["free", "premium75", "premium150", "premium300", "premium600", "premium1200"]
    free = spec.plan(None)
    assert {(q.limit, q.per, q.of) for q in free.quotas} == {(25, "day", "requests"), (1, 1.0, "requests")}
    assert free.lacks == {"1d all"}
    assert free.history == {Interval.D1: timedelta(days=140)}
    assert [p.usd for p in spec.plans] == [0.0, 49.99, 99.99, 149.99, 199.99, 249.99]
    assert spec.delivers == (Adjustment.RAW, Adjustment.ALL)
    with pytest.raises(ConfigError):
        spec.plan("premium1")


def test_a_free_bar_is_final_later_than_an_entitled_one() -> None:
    assert source().delay == timedelta(hours=16)
    assert source("premium75").delay == timedelta(hours=1, minutes=15)


# The request


def test_raw_days_are_asked_for_compact_where_the_plan_allows_no_more() -> None:
    assert query(ask(adjust="raw")) == {"function": "TIME_SERIES_DAILY", "symbol": "AAPL", "outputsize": "compact"}
    paid = query(ask(adjust="raw"), "premium75")
    assert paid == {"function": "TIME_SERIES_DAILY", "symbol": "AAPL", "outputsize": "full", "entitlement": "delayed"}


@pytest.mark.parametrize(
    ("interval", "adjust", "function"),
    [
        ("1d", "splits", "TIME_SERIES_DAILY"),
        ("1d", "all", "TIME_SERIES_DAILY_ADJUSTED"),
        ("1w", "raw", "TIME_SERIES_WEEKLY"),
        ("1w", "all", "TIME_SERIES_WEEKLY_ADJUSTED"),
        ("1mo", "raw", "TIME_SERIES_MONTHLY"),
        ("1mo", "all", "TIME_SERIES_MONTHLY_ADJUSTED"),
    ],
)
def test_the_function_is_the_interval_and_the_basis(interval: str, adjust: str, function: str) -> None:
    assert query(ask(interval=interval, adjust=adjust))["function"] == function


def test_minutes_are_asked_for_by_the_month_in_regular_hours() -> None:
    told = query(ask(interval="5m", start="2024-01-02", end="2024-01-05", adjust="raw"))
    assert told == {
        "function": "TIME_SERIES_INTRADAY",
        "symbol": "AAPL",
        "interval": "5min",
        "month": "2024-01",
        "adjusted": "false",
        "extended_hours": "false",
        "outputsize": "full",
    }
    assert query(ask(interval="1h", adjust="all"))["adjusted"] == "true"


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        ("2024-01-01", "2024-02-01", ["2024-01"]),
        ("2023-12-31", "2024-03-01T00:01", ["2023-12", "2024-01", "2024-02", "2024-03"]),
        ("1999-11-05", "2000-02-10", ["2000-01", "2000-02"]),
        ("1998-01-01", "1999-01-01", ["1998-01"]),
    ],
)
def test_a_window_of_minutes_is_cut_by_months_that_meet(start: str, end: str, months: list[str]) -> None:
    pieces = source().cut(ask(interval="1m", start=start, end=end))
    assert [f"{p.start:%Y-%m}" for p in pieces] == months
    assert all(a.end == b.start for a, b in itertools.pairwise(pieces))
    assert pieces[-1].end == utc(end)


def test_before_the_year_2000_no_minute_is_asked_for() -> None:
    with pytest.raises(ConversationFailed) as caught:
        next(source().bars(ask(interval="1m", start="1999-01-01", end="1999-02-01")))
    assert caught.value.failure.kind is K.NO_DATA


@pytest.mark.parametrize(
    ("symbol", "spelled"),
    [
        ("AAPL", "AAPL"),
        ("BRK.B", "BRK-B"),
        ("brk-b", "BRK-B"),
        ("BAC-PL", "BAC-P-L"),
        ("BAC-P-L", "BAC-P-L"),
        ("VOD.L", "VOD.LON"),
        ("TSCO.LON", "TSCO.LON"),
        ("SAP.DE", "SAP.DEX"),
        ("OR.PA", "OR.PAR"),
        ("ASML.AS", "ASML.AMS"),
        ("RELIANCE.BO", "RELIANCE.BSE"),
        ("RY.TO", "RY.TRT"),
        ("NVO.V", "NVO.TRV"),
        ("600519.SS", "600519.SHH"),
        ("000001.SZ", "000001.SHZ"),
        ("0700.HKG", "0700.HKG"),
    ],
)
def test_a_symbol_goes_out_in_their_spelling_and_comes_back_in_ours(symbol: str, spelled: str) -> None:
    request = ask(symbol, adjust="raw")
    assert query(request)["symbol"] == spelled
    some = bars(daily("2024-01-02", Symbol=spelled.lower()), request)
    assert some.symbol == Symbol.parse(symbol)


@pytest.mark.parametrize(("symbol", "currency"), [("AAPL", "USD"), ("RELIANCE.BO", "INR"), ("VOD.L", None), ("TSCO.LON", None)])
def test_the_currency_is_that_of_the_exchange_where_it_has_but_one(symbol: str, currency: str | None) -> None:
    assert bars(daily("2024-01-02", Symbol=None), ask(symbol, adjust="raw")).currency == currency


@pytest.mark.parametrize(("symbol", "interval"), [("IBE.MC", "1d"), ("7203.T", "1d"), ("^GSPC", "1d"), ("GC=F", "1d"), ("VOD.L", "5m")])
def test_what_is_not_covered_is_not_asked_for(symbol: str, interval: str) -> None:
    with pytest.raises(ConversationFailed) as caught:
        next(source().bars(ask(symbol, interval)))
    assert caught.value.failure.kind is K.BAD_REQUEST
    assert symbol in caught.value.failure.detail


@pytest.mark.parametrize(
    ("symbol", "interval", "told"),
    [
        ("EUR/USD", "1d", {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD", "outputsize": "compact"}),
        ("EURUSD=X", "1w", {"function": "FX_WEEKLY", "from_symbol": "EUR", "to_symbol": "USD"}),
        ("BTC-USD", "1d", {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD"}),
        ("BTC/USD", "5m", {"function": "CRYPTO_INTRADAY", "symbol": "BTC", "market": "USD", "interval": "5min", "outputsize": "full"}),
    ],
)
def test_pairs_have_functions_of_their_own(symbol: str, interval: str, told: dict[str, str]) -> None:
    assert query(ask(symbol, interval)) == told


# Quotes, search, actions, markets


def test_a_quote_is_dated_by_its_trading_day_also_where_its_title_says_more() -> None:
    fields = {"01. symbol": "BRK-B", "05. price": "112.1300", "03. high": "113.17", "04. low": "110.64", "06. volume": "29062853"}
    fields |= {"07. latest trading day": "2018-10-05", "08. previous close": "112.7900", "10. change percent": "-0.5852%"}
    for title in ("Global Quote", "Global Quote - DATA DELAYED BY 15 MINUTES"):
        _, quote = hold(source().quote("BRK.B"), reply({title: fields}))
        assert (quote.last, quote.previous_close, quote.day_high, quote.volume) == (112.13, 112.79, 113.17, 29062853.0)
        assert (quote.as_of, quote.currency) == (utc("2018-10-05"), "USD")


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"Global Quote": {"01. symbol": "MSFT", "05. price": "1"}}, K.MISMATCH),
        ({"Global Quote": {"01. symbol": "AAPL", "05. price": "dear"}}, K.NO_DATA),
        ({"Global Quote": 3}, K.SCHEMA),
        ([], K.SCHEMA),
    ],
)
def test_what_is_no_quote_is_refused(told: object, kind: FailureKind) -> None:
    with pytest.raises(ConversationFailed) as caught:
        hold(source().quote("AAPL"), reply(told))
    assert caught.value.failure.kind is kind


def test_a_rate_is_a_quote_with_bid_and_ask() -> None:
    fields = {
        "1. From_Currency Code": "USD",
        "3. To_Currency Code": "JPY",
        "5. Exchange Rate": "158.73",
        "6. Last Refreshed": "2026-05-17 17:12:44",
    }
    fields |= {"7. Time Zone": "UTC", "8. Bid Price": "158.72", "9. Ask Price": "158.74"}
    _, quote = hold(source().quote("USD/JPY"), reply({"Realtime Currency Exchange Rate": fields}))
    assert (quote.last, quote.bid, quote.ask, quote.currency) == (158.73, 158.72, 158.74, "JPY")
    assert quote.as_of == datetime(2026, 5, 17, 17, 12, 44, tzinfo=UTC)


def test_a_search_tells_what_it_found_in_their_order_and_spelling() -> None:
    hits = [
        {"1. symbol": s, "2. name": n, "3. type": "Equity", "4. region": "R"}
        for s, n in (("TSCO.LON", "Tesco"), ("BRK-B", "B"), ("a b", ""))
    ]
    requests, found = hold(source().search("tesco & co"), reply({"bestMatches": hits}))
    assert requests[0].url.params["keywords"] == "tesco & co"
    assert [(str(x.symbol), x.name) for x in found] == [("TSCO.LON", "Tesco"), ("BRK.B", "B")]
    assert hold(source().search("x"), reply({"bestMatches": []}))[1] == []


def test_splits_and_dividends_are_two_requests_and_amounts_are_as_paid() -> None:
    splits = {"symbol": "AAPL", "data": [{"effective_date": "2020-08-31", "split_factor": "4.0000"}]}
    paid = [{"ex_dividend_date": d, "payment_date": "None", "amount": a} for d, a in (("2020-08-07", "0.82"), ("2019-08-09", "0.77"))]
    dividends = {"symbol": "AAPL", "data": paid}
    requests, found = hold(source().actions(Symbol.parse("AAPL"), utc("2020-01-01"), utc("2021-01-01")), reply(splits), reply(dividends))
    assert [r.url.params["function"] for r in requests] == ["SPLITS", "DIVIDENDS"]
    assert [(a.kind, f"{a.date}", a.value, a.adjusted) for a in found] == [
        ("dividend", "2020-08-07", 0.82, False),
        ("split", "2020-08-31", 4.0, False),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"effective_date": "2020-08-31", "split_factor": "None"},
        {"effective_date": "None", "split_factor": "2"},
        {"ex_dividend_date": "x"},
        3,
    ],
)
def test_an_action_without_date_or_value_refuses_them_all(entry: object) -> None:
    with pytest.raises(ConversationFailed) as caught:
        hold(source().actions(Symbol.parse("AAPL"), utc("2020-01-01"), utc("2021-01-01")), reply({"data": [entry]}))
    assert caught.value.failure.kind is K.SCHEMA


def test_every_market_says_whether_it_is_open() -> None:
    rows = [
        {"market_type": "Equity", "region": "United States", "current_status": "closed"},
        {"market_type": "Forex", "region": "Global", "current_status": "open"},
    ]
    _, told = hold(source().market(), reply({"markets": rows}))
    assert [(m.market, m.is_open) for m in told] == [("United States Equity", False), ("Global Forex", True)]


# Errors


@pytest.mark.parametrize(
    ("key", "words", "kind", "away"),
    [
        ("Error Message", "Invalid API call. Please retry or visit the documentation for TIME_SERIES_DAILY.", K.UNKNOWN_SYMBOL, None),
        ("Error Message", "the parameter apikey is invalid or missing. Please claim your free API key", K.AUTH, None),
        (
            "Note",
            "Our standard API call frequency is 5 calls per minute and 500 calls per day. See our premium plans",
            K.RATE_LIMITED,
            60.0,
        ),
        ("Note", "The TIME_SERIES_INTRADAY_EXTENDED API has been merged into TIME_SERIES_INTRADAY", K.BAD_REQUEST, None),
        (
            "Information",
            "Our standard API rate limit is 25 requests per day. Please subscribe to any of the premium plans",
            K.QUOTA_EXHAUSTED,
            None,
        ),
        ("Information", "(1 request per second) premium plans lift the free key rate limit (25 requests per day)", K.RATE_LIMITED, 2.0),
        ("Information", "Thank you! This is a premium endpoint.", K.PLAN_LIMIT, None),
        ("Information", "The outputsize=full parameter value is a premium feature", K.PLAN_LIMIT, None),
        ("Information", "The **demo** API key is for demo purposes only.", K.AUTH, None),
        ("Information", "Something else", K.BAD_REQUEST, None),
    ],
)
def test_an_error_within_200_is_told_by_its_words(key: str, words: str, kind: FailureKind, away: float | None) -> None:
    failure = source().error_in(reply({key: words}))
    assert (failure.kind, failure.retry_after, failure.status) == (kind, away, 200)


@pytest.mark.parametrize(
    ("told", "status", "kind"),
    [
        ({}, 200, K.NO_DATA),
        ({"Global Quote": {}}, 200, K.UNKNOWN_SYMBOL),
        ({"bestMatches": []}, 200, None),
        (daily("2024-01-02"), 200, None),
        ({"markets": [{"Note": "a note further in"}]}, 200, None),
        (b"not json", 200, None),
        (b"<html>Application error</html>", 503, K.SERVER_ERROR),
        (b"", 429, K.RATE_LIMITED),
        (b"<html>no</html>", 403, K.WAF_BLOCK),
    ],
)
def test_a_throttle_is_told_from_an_answer(told: object, status: int, kind: FailureKind | None) -> None:
    failure = source().error_in(reply(told, status))
    assert (failure.kind if failure else None) is kind


@pytest.mark.parametrize("key", [KEY, "ANOTHER0KEY"])
def test_the_key_that_a_message_repeats_is_not_told_on(key: str) -> None:
    words = f"We have detected your API key as {key} and our standard API rate limit is 25 requests per day."
    detail = source().error_in(reply({"Information": words})).detail
    assert key not in detail
    assert "[key]" in detail


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def survives(content: bytes, interval: str = "1d", adjust: str = "raw") -> None:
    adapter = source()
    answer = reply(content)
    failure = adapter.error_in(answer)
    assert failure is None or presentable(failure.detail)
    talks = (
        adapter.bars(ask(interval=interval, adjust=adjust)),
        adapter.quote("AAPL"),
        adapter.quote("EUR/USD"),
        adapter.search("x"),
        adapter.market(),
        adapter.actions(Symbol.parse("AAPL"), utc("2024-01-01"), utc("2025-01-01")),
    )
    for talk in talks:
        came = end_of(talk, answer)
        assert not isinstance(came, BarSet) or np.isfinite(came.close).all()
        assert not isinstance(came, Failure) or presentable(came.detail)


def end_of(talk: Any, answer: httpx.Response) -> object:
    """What a conversation comes to in which every request gets this one answer: a value or a failure."""
    try:
        next(talk)
        while True:
            talk.send(answer)
    except StopIteration as end:
        return end.value
    except ConversationFailed as error:
        return error.failure


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise_anything_but_a_failure(content: bytes) -> None:
    survives(content)


@given(JSON_VALUES, JSON_VALUES, JSON_VALUES, st.sampled_from(["1d", "1w", "1h"]), st.sampled_from(["raw", "all"]))
def test_no_json_makes_the_reader_raise_anything_but_a_failure(one: object, two: object, three: object, interval: str, adjust: str) -> None:
    name = {"1d": "Time Series (Daily)", "1w": "Weekly Time Series", "1h": "Time Series (60min)"}[interval]
    stamp = "2024-01-03 10:30:00" if interval == "1h" else "2024-01-03"
    fields = row(10.0, {"adjusted close": "9"})
    meta = {"2. Symbol": "AAPL", "3. Last Refreshed": two, "6. Time Zone": "US/Eastern"}
    for told in (
        one,
        {"Meta Data": one, name: two},
        {"Meta Data": meta, name: {stamp: one}},
        {"Meta Data": meta, name: {stamp: fields | {"4. close": one, "6. volume": two}, "x": fields}},
        {"Global Quote": {"05. price": one, "01. symbol": two}},
        {"Realtime Currency Exchange Rate": {"5. Exchange Rate": one}},
        {"bestMatches": [{"1. symbol": one, "2. name": two}, three]},
        {"markets": [{"region": one, "current_status": two}]},
        {"symbol": "AAPL", "data": [{"effective_date": one, "split_factor": two}, {"ex_dividend_date": three}]},
    ):
        survives(json.dumps(told).encode(), interval, adjust)
