"""Twelve Data: what it is asked, and its answers as quotes, listings, actions and failures."""

from __future__ import annotations

import itertools
import json
from datetime import date, datetime
from typing import Any

import pytest

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import Adjustment, Interval
from mdagent.sources.base import COST
from tests.sources.answers import ask, hold, reply, utc
from tests.sources.twelvedata_bodies import META, QUOTE, SPLIT, THREE, YEAR, bars, error, failure_of, hit, row, sent, source, told

K = FailureKind


# The request


def test_days_are_asked_for_by_date_with_the_key_in_a_header() -> None:
    request = next(source().bars(ask(adjust="raw")))
    assert (request.url.scheme, request.url.host, request.url.path) == ("https", "api.twelvedata.com", "/time_series")
    assert request.headers["authorization"] == "apikey TEST"
    assert "TEST" not in str(request.url)
    assert request.extensions[COST] == 1
    assert dict(request.url.params) == {
        "symbol": "AAPL",
        "interval": "1day",
        "start_date": "2024-01-02",
        "end_date": "2024-02-01",
        "adjust": "none",
        "outputsize": "5000",
        "order": "asc",
    }


def test_minutes_are_asked_for_in_utc() -> None:
    params = sent(ask(interval="1m", start="2024-01-02T14:30:00", end="2024-01-02T21:00:00.5"))
    assert (params["interval"], params["timezone"]) == ("1min", "UTC")
    assert (params["start_date"], params["end_date"]) == ("2024-01-02T14:30:00", "2024-01-02T21:00:01")


@pytest.mark.parametrize(
    ("interval", "start", "end", "span"),
    [
        ("1d", "2024-01-02T10:00", "2024-01-04T10:00", ("2024-01-03", "2024-01-05")),
        ("1d", "2024-01-02T10:00", "2024-01-02T20:00", ("2024-01-03", "2024-01-04")),
        ("1w", "2024-01-03", "2024-01-17", ("2024-01-08", "2024-01-22")),
        ("1w", "2024-01-01", "2024-01-15", ("2024-01-01", "2024-01-15")),
        ("1mo", "2024-01-15", "2024-03-10", ("2024-02-01", "2024-04-01")),
    ],
)
def test_whole_days_weeks_and_months_are_asked_for(interval: str, start: str, end: str, span: tuple[str, str]) -> None:
    params = sent(ask(interval=interval, start=start, end=end))
    assert (params["start_date"], params["end_date"]) == span
    assert "timezone" not in params


@pytest.mark.parametrize(("basis", "word"), [("raw", "none"), ("splits", "splits"), ("all", "all")])
def test_the_basis_asked_for_is_sent_and_is_the_label(basis: str, word: str) -> None:
    assert sent(ask(adjust=basis))["adjust"] == word
    assert bars(told(THREE), ask(adjust=basis)).adjustment == basis


@pytest.mark.parametrize(
    ("symbol", "spelled", "mic"),
    [
        ("BRK.B", "BRK.B", None),
        ("IBE.MC", "IBE", "XMAD"),
        ("VOD.L", "VOD", "XLON"),
        ("7203.T", "7203", "XJPX"),
        ("NOVO-B.CO", "NOVO-B", "XCSE"),
        ("EUR/USD", "EUR/USD", None),
        ("EURUSD=X", "EUR/USD", None),
        ("JPY=X", "USD/JPY", None),
        ("BTC-USD", "BTC/USD", None),
        ("IBE:BME", "IBE:BME", None),
    ],
)
def test_a_symbol_goes_out_in_its_spelling_with_the_exchange_beside_it(symbol: str, spelled: str, mic: str | None) -> None:
    params = sent(ask(symbol))
    assert (params["symbol"], params.get("mic_code")) == (spelled, mic)


@pytest.mark.parametrize(
    ("symbol", "interval", "a_day"),
    [("AAPL", "1m", 390), ("SAP.DE", "1m", 510), ("BTC/USD", "1m", 1440), ("EUR/USD", "5m", 288), ("AAPL", "1h", 7), ("AAPL", "1d", 1)],
)
def test_no_piece_holds_more_rows_than_an_answer(symbol: str, interval: str, a_day: int) -> None:
    pieces = source().cut(ask(symbol, interval, "1975-01-01" if interval == "1d" else "2024-01-01", "2025-01-01"))
    assert len(pieces) > 1 or interval == "1h"
    longest = max(piece.end - piece.start for piece in pieces)
    sessions = longest.days if "/" in symbol else longest.days // 7 * 5 + min(longest.days % 7, 5)
    assert sessions * a_day < 5000
    assert (pieces[0].start, pieces[-1].end) == (utc("1975-01-01" if interval == "1d" else "2024-01-01"), utc("2025-01-01"))
    assert all(one.end == two.start for one, two in itertools.pairwise(pieces))


# Errors


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (400, "**symbol** not found: FAKE. Please specify it correctly according to API Documentation.", K.UNKNOWN_SYMBOL),
        (400, "symbol may be delisted", K.UNKNOWN_SYMBOL),
        (404, "**symbol** or **figi** parameter is missing or invalid.", K.UNKNOWN_SYMBOL),
        (404, "This symbol is available starting with the Grow or Venture plan. Consider upgrading now.", K.PLAN_LIMIT),
        (400, "Invalid **interval** provided: 7min.", K.BAD_REQUEST),
        (400, "No data is available on the specified dates. Try setting different start/end dates.", K.NO_DATA),
        (401, "**apikey** parameter is incorrect or not specified.", K.AUTH),
        (403, "/splits is available exclusively with grow or pro or ultra or enterprise plans", K.PLAN_LIMIT),
        (403, "IPO Calendar is not available with your plan. Please upgrade", K.PLAN_LIMIT),
        (403, "The 'demo' API key is only used for initial familiarity.", K.PLAN_LIMIT),
        (414, "The parameter is too long", K.BAD_REQUEST),
        (429, "You have run out of API credits for the current minute. Consider upgrading your plan", K.RATE_LIMITED),
        (429, "You have run out of API credits for the day. Wait for the next day", K.QUOTA_EXHAUSTED),
        ("429", "You have run out of API credits for the current minute.", K.RATE_LIMITED),
        (500, "Internal error", K.SERVER_ERROR),
        (None, "who knows", K.BAD_REQUEST),
    ],
)
def test_the_code_of_the_body_counts_whatever_the_status(code: Any, message: str, kind: FailureKind) -> None:
    assert failure_of(error(code, message)).kind is kind
    if isinstance(code, int):
        assert failure_of(error(code, message), code).kind is kind
        assert failure_of(error(code, message), 400).kind is kind


def test_what_is_no_json_is_told_by_its_status() -> None:
    assert failure_of(b"<html>gateway</html>", 502).kind is K.SERVER_ERROR
    assert failure_of(b"", 429).kind is K.RATE_LIMITED
    assert source().error_in(reply(b"{", 200)) is None


def test_a_good_answer_is_no_error_however_small_or_large() -> None:
    assert source().error_in(reply(told(THREE))) is None
    assert source().error_in(reply(told([row("2024-01-02")] * 400))) is None
    assert source().error_in(reply({"code": "X", "name": "x"})) is None


def test_a_long_error_is_one_all_the_same() -> None:
    assert failure_of(error(429, "You have run out of API credits for the current minute. " + "x" * 9000)).kind is K.RATE_LIMITED


# Quotes, searches, actions, markets


def test_a_quote_is_the_price_of_the_days_candle() -> None:
    (request,), quote = hold(source().quote("AAPL"), reply(QUOTE))
    assert (request.url.path, dict(request.url.params), request.extensions[COST]) == ("/quote", {"symbol": "AAPL"}, 1)
    assert (quote.last, quote.previous_close, quote.day_high, quote.day_low, quote.volume) == (184.4, 188.04, 187.1, 184.35, 55467803.0)
    assert (quote.as_of, quote.currency) == (utc("2024-01-31T20:59"), "USD")


@pytest.mark.parametrize(
    ("change", "as_of"),
    [({"last_quote_at": None}, utc("2024-01-31T14:30")), ({"last_quote_at": None, "timestamp": None}, utc("2024-01-31"))],
    ids=["the day's opening", "its date"],
)
def test_a_quote_is_as_old_as_it_tells(change: dict[str, Any], as_of: datetime) -> None:
    assert hold(source().quote("AAPL"), reply(QUOTE | change))[1].as_of == as_of


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"close": None}, K.NO_DATA),
        ({"symbol": "MSFT"}, K.MISMATCH),
        ({"currency": "EUR"}, K.MISMATCH),
        ({"last_quote_at": 1706734740000}, K.SCHEMA),
    ],
    ids=["price", "symbol", "currency", "milliseconds"],
)
def test_a_quote_that_cannot_be_used_is_refused(change: dict[str, Any], kind: FailureKind) -> None:
    with pytest.raises(ConversationFailed) as caught:
        hold(source().quote("AAPL"), reply(QUOTE | change))
    assert caught.value.failure.kind is kind


def test_hits_come_back_in_our_spelling_where_it_is_certain() -> None:
    hits = [
        hit("AAPL", "XNGS", "United States", "NASDAQ", "Apple Inc"),
        hit("BRK.B", "XNYS", "United States"),
        hit("IBE", "XMAD", "Spain"),
        hit("7203", "XJPX", "Japan"),
        hit("AAPL", "XBOG", "Colombia", "BVC"),
        hit("005930", "XKRX", "South Korea"),
        hit("EUR/USD", "", "", "PHYSICAL CURRENCY"),
        hit("SAN.L", "XNYS", "United States"),
        hit("", "XNYS", "United States"),
    ]
    (request,), found = hold(source().search("apple"), reply({"data": hits, "status": "ok"}))
    assert dict(request.url.params) == {"symbol": "apple", "outputsize": "30"}
    assert [str(one.symbol) for one in found] == ["AAPL", "BRK.B", "IBE.MC", "7203.T", "AAPL:BVC", "005930.KS", "EUR/USD"]
    assert (found[0].name, found[0].exchange, found[0].kind) == ("Apple Inc", "NASDAQ", "Common Stock")


def test_splits_and_dividends_are_asked_for_at_twenty_credits_each_amounts_as_paid() -> None:
    dividends = [
        {"ex_date": "2020-11-06", "amount": 0.205},
        {"ex_date": "2020-08-07", "amount": 0.82},
        {"ex_date": "2021-01-01", "amount": 1},
    ]
    requests, found = hold(source().actions(*YEAR), reply({"meta": META, "splits": [SPLIT]}), reply({"meta": META, "dividends": dividends}))
    assert [(r.url.path, r.extensions[COST]) for r in requests] == [("/splits", 20), ("/dividends", 20)]
    assert dict(requests[1].url.params) == {"symbol": "AAPL", "start_date": "2020-01-01", "end_date": "2021-01-01", "adjust": "false"}
    assert [(a.kind, a.date, a.value, a.adjusted, a.currency) for a in found] == [
        ("dividend", date(2020, 8, 7), 0.82, False, "USD"),
        ("split", date(2020, 8, 31), 4.0, False, None),
        ("dividend", date(2020, 11, 6), 0.205, False, "USD"),
    ]


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({"from_factor": 1, "to_factor": 10, "ratio": 10, "description": "1-for-10 split"}, 0.1),
        ({"from_factor": None, "description": "3-for-1 split", "ratio": 0.33333}, 3.0),
        ({"description": ""}, 4.0),
    ],
    ids=["reverse", "without factors", "without words"],
)
def test_a_split_is_new_shares_for_an_old_one(change: dict[str, Any], value: float) -> None:
    _, found = hold(source().actions(*YEAR), reply({"meta": META, "splits": [SPLIT | change]}), reply({"meta": META, "dividends": []}))
    assert found[0].value == value


@pytest.mark.parametrize(
    "change",
    [
        {"from_factor": 1, "to_factor": 4},
        {"ratio": 4},
        {"description": "1-for-4 split"},
        {"date": "soon"},
        {"ratio": None, "description": ""},
    ],
    ids=["factors", "ratio", "words", "date", "nothing to compare"],
)
def test_a_split_whose_figures_contradict_each_other_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConversationFailed) as caught:
        hold(source().actions(*YEAR), reply({"meta": META, "splits": [SPLIT | change]}))
    assert caught.value.failure.kind is K.SCHEMA


def test_no_split_is_no_failure() -> None:
    talk = source().actions(*YEAR)
    next(talk)
    talk.throw(ConversationFailed(Failure(K.NO_DATA, "none")))
    with pytest.raises(StopIteration) as end:
        talk.send(reply({"meta": META, "dividends": [{"ex_date": "2020-11-06", "amount": "0.205"}]}))
    assert [a.kind for a in end.value.value] == ["dividend"]


def test_a_dividend_without_an_amount_is_refused() -> None:
    with pytest.raises(ConversationFailed):
        hold(source().actions(*YEAR), reply({"meta": META, "splits": []}), reply({"meta": META, "dividends": [{"ex_date": "2020-11-06"}]}))


def test_markets_are_told_by_name_and_mic() -> None:
    body = [
        {"name": "NYSE", "code": "XNYS", "is_market_open": True},
        {"name": "BME", "code": "XMAD", "is_market_open": False},
        {"name": "X"},
    ]
    _, found = hold(source().market(), reply(json.dumps(body).encode()))
    assert [(m.market, m.is_open, m.as_of) for m in found] == [("NYSE (XNYS)", True, None), ("BME (XMAD)", False, None)]


# Facts


def test_the_facts_are_those_of_the_price_page() -> None:
    spec = source().spec
    assert [(p.name, p.usd, p.quotas[0].limit) for p in spec.plans] == [
        ("basic", 0.0, 8),
        ("grow", 79.0, 377),
        ("pro", 229.0, 1597),
        ("ultra", 999.0, 10946),
    ]
    assert spec.plans[0].lacks == {"actions", "world"}
    assert set(spec.intervals) == set(Interval)
    assert spec.intervals[Interval.D1].delivers[0] is Adjustment.RAW
    assert spec.intervals[Interval.W1].delivers[0] is Adjustment.SPLITS
