"""Yahoo: what it is asked, and its answers as quotes, listings and failures."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.errors import UsageError
from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import Adjustment, Interval, Symbol
from mdagent.sources import NAMES, load
from tests.sources.answers import THREE, ask, at, bars, chart, days, hold, presentable, reply, row, utc

if TYPE_CHECKING:
    import httpx

K = FailureKind


def asked(request: Any) -> list[httpx.Request]:
    """The requests that bars of a window need; each is answered with an empty chart."""
    talk, seen = load("yahoo").bars(request), []
    try:
        one = next(talk)
        while True:
            seen.append(one)
            granularity = one.url.params["interval"]
            one = talk.send(reply(chart([], symbol=None, dataGranularity=granularity, exchangeTimezoneName="UTC", currency=None)))
    except StopIteration:
        return seen


# The registry


def test_yahoo_is_known_and_needs_no_key() -> None:
    assert "yahoo" in NAMES
    spec = load("yahoo", api_key="not used").spec
    assert (spec.name, spec.needs_key, "search" in spec.offers) == ("yahoo", False, True)
    assert spec.hosts == ("query1.finance.yahoo.com", "query2.finance.yahoo.com")
    assert set(spec.intervals) == set(Interval)
    assert spec.delivers == (Adjustment.SPLITS, Adjustment.ALL)


def test_an_unknown_source_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no source is called 'yaho'") as caught:
        load("yaho")
    assert caught.value.hint == "did you mean yahoo?"
    with pytest.raises(UsageError) as far:
        load("qqqq")
    assert far.value.hint == f"use one of {', '.join(NAMES)}"


# The request


def test_bars_are_asked_for_at_the_first_host_over_the_window() -> None:
    (request,) = asked(ask())
    assert (request.url.scheme, request.url.host, request.url.path) == ("https", "query1.finance.yahoo.com", "/v8/finance/chart/AAPL")
    assert dict(request.url.params) == {
        "period1": str(int(utc("2024-01-02").timestamp())),
        "period2": str(int(utc("2024-02-01").timestamp())),
        "interval": "1d",
        "includePrePost": "false",
        "events": "div,splits,capitalGains",
    }
    assert "Mozilla" in request.headers["user-agent"]


def test_address_and_user_agent_are_settings() -> None:
    source = load("yahoo", base_url="http://127.0.0.1:8800/", user_agent="mine/1.0")
    request = next(source.bars(ask()))
    assert str(request.url).startswith("http://127.0.0.1:8800/v8/finance/chart/AAPL?")
    assert request.headers["user-agent"] == "mine/1.0"


@pytest.mark.parametrize(
    ("symbol", "path"),
    [
        ("BRK.B", "BRK-B"),
        ("BRK-B", "BRK-B"),
        ("IBE.MC", "IBE.MC"),
        ("EUR/USD", "EURUSD%3DX"),
        ("EURUSD=X", "EURUSD%3DX"),
        ("BTC/USD", "BTC-USD"),
        ("BTC-USD", "BTC-USD"),
        ("^GSPC", "%5EGSPC"),
        ("GC=F", "GC%3DF"),
        ("BF.B", "BF-B"),
    ],
)
def test_a_symbol_goes_out_in_yahoos_spelling_percent_encoded(symbol: str, path: str) -> None:
    (request,) = asked(ask(symbol))
    assert request.url.raw_path.decode().partition("?")[0] == f"/v8/finance/chart/{path}"


@pytest.mark.parametrize(("symbol", "spelled"), [("BRK.B", "BRK-B"), ("brk-b", "BRK-B"), ("EUR/USD", "EURUSD=X"), ("IBE.MC", "IBE.MC")])
def test_an_answer_in_yahoos_spelling_is_about_the_symbol_asked_for(symbol: str, spelled: str) -> None:
    currency = Symbol.parse(symbol).currency
    some = bars(chart(THREE, symbol=spelled, currency=currency), ask(symbol))
    assert some.symbol == Symbol.parse(symbol)
    assert len(some) == 3


@pytest.mark.parametrize(("interval", "word"), [("1d", "1d"), ("1w", "1wk"), ("1mo", "1mo"), ("1h", "1h"), ("1m", "1m"), ("30m", "30m")])
def test_intervals_go_out_in_yahoos_words(interval: str, word: str) -> None:
    (request,) = asked(ask(interval=interval, start="2024-01-29", end="2024-01-31"))
    assert request.url.params["interval"] == word


@pytest.mark.parametrize(
    ("interval", "start", "end", "lengths"),
    [
        ("1m", "2024-01-02", "2024-01-12", [7, 3]),
        ("1m", "2024-01-02", "2024-01-30", [7, 7, 7, 7]),
        ("1m", "2024-01-02", "2024-01-09", [7]),
        ("5m", "2024-01-01", "2024-03-11", [60, 10]),
        ("1h", "2020-01-01", "2023-12-31", [730, 730]),
        ("1d", "1980-01-01", "2024-01-01", [16071]),
    ],
)
def test_a_long_intraday_window_is_cut_into_legal_pieces_that_meet(interval: str, start: str, end: str, lengths: list[int]) -> None:
    windows = [(int(r.url.params["period1"]), int(r.url.params["period2"])) for r in asked(ask(interval=interval, start=start, end=end))]
    assert [(b - a) / 86400 for a, b in windows] == lengths
    assert windows[0][0] == utc(start).timestamp()
    assert windows[-1][1] == utc(end).timestamp()
    assert all(one[1] == two[0] for one, two in itertools.pairwise(windows))


def test_the_pieces_come_back_as_one_set() -> None:
    request = ask(interval="1m", start="2024-01-02", end="2024-01-12")
    first = chart([row(at("2024-01-02"), 10.0), row(at("2024-01-02", "09:31"), 10.1)], dataGranularity="1m")
    second = chart([row(at("2024-01-09"), 11.0)], dataGranularity="1m")
    requests, some = hold(load("yahoo").bars(request), reply(first), reply(second))
    assert len(requests) == 2
    assert some.close.tolist() == [10.0, 10.1, 11.0]
    assert some.delivery.rows == 3


def test_a_piece_before_the_first_trade_does_not_spoil_the_rest() -> None:
    talk = load("yahoo").bars(ask(interval="1m", start="2024-01-02", end="2024-01-12"))
    next(talk)
    talk.throw(ConversationFailed(Failure(K.NO_DATA, "nothing then")))
    with pytest.raises(StopIteration) as end:
        talk.send(reply(chart([row(at("2024-01-09"))], dataGranularity="1m")))
    assert len(end.value.value) == 1


def test_pieces_that_are_all_empty_are_no_data() -> None:
    talk = load("yahoo").bars(ask(interval="1m", start="2024-01-02", end="2024-01-12"))
    next(talk)
    talk.throw(ConversationFailed(Failure(K.NO_DATA, "nothing then")))
    with pytest.raises(ConversationFailed) as caught:
        talk.throw(ConversationFailed(Failure(K.NO_DATA, "nothing then")))
    assert caught.value.failure.kind is K.NO_DATA


def test_any_other_failure_of_a_piece_ends_the_conversation() -> None:
    talk = load("yahoo").bars(ask(interval="1m", start="2024-01-02", end="2024-01-12"))
    next(talk)
    with pytest.raises(ConversationFailed):
        talk.throw(ConversationFailed(Failure(K.SERVER_ERROR, "down")))


def test_east_of_greenwich_the_window_begins_earlier_because_a_session_is_stamped_on_the_day_before() -> None:
    (tokyo,) = asked(ask("7203.T"))
    assert int(tokyo.url.params["period1"]) == (utc("2024-01-02") - timedelta(hours=14)).timestamp()
    stamps = [at("2024-01-04", "09:00", "Asia/Tokyo"), at("2024-01-05", "09:00", "Asia/Tokyo")]
    sydney = [at("2024-01-02", "10:00", "Australia/Sydney")]  # 2024-01-01T23:00Z
    some = bars(chart([row(s) for s in stamps], symbol="7203.T", currency="JPY", exchangeTimezoneName="Asia/Tokyo"), ask("7203.T"))
    assert days(some) == ["2024-01-04", "2024-01-05"]
    early = chart([row(s) for s in sydney], symbol="BHP.AX", currency="AUD", exchangeTimezoneName="Australia/Sydney")
    assert days(bars(early, ask("BHP.AX"))) == ["2024-01-02"]


def test_intraday_windows_are_asked_for_as_they_are_wherever_the_exchange_is() -> None:
    (tokyo,) = asked(ask("7203.T", "1h"))
    assert int(tokyo.url.params["period1"]) == utc("2024-01-02").timestamp()


# Quote and search


def test_a_quote_is_the_charts_own_summary() -> None:
    requests, quote = hold(load("yahoo").quote("AAPL"), reply(chart(THREE)))
    assert [r.url.path for r in requests] == ["/v8/finance/chart/AAPL"]
    assert (quote.last, quote.currency, quote.previous_close) == (184.4, "USD", 188.04)
    assert (quote.day_high, quote.day_low, quote.volume) == (187.1, 184.35, 55467803.0)
    assert (quote.bid, quote.ask) == (None, None)
    assert quote.as_of == utc("2024-01-31T21:00")


def test_a_quote_without_a_time_says_so() -> None:
    _, quote = hold(load("yahoo").quote("AAPL"), reply(chart(THREE, regularMarketTime=None)))
    assert quote.as_of is None


def test_no_price_is_no_data_and_another_symbol_a_mismatch() -> None:
    with pytest.raises(ConversationFailed) as nothing:
        hold(load("yahoo").quote("AAPL"), reply(chart(THREE, regularMarketPrice=None)))
    assert nothing.value.failure.kind is K.NO_DATA
    with pytest.raises(ConversationFailed) as other:
        hold(load("yahoo").quote("MSFT"), reply(chart(THREE)))
    assert other.value.failure.kind is K.MISMATCH


def test_a_search_returns_what_can_be_asked_for_in_yahoos_order() -> None:
    hits = [
        {"symbol": "IBE.MC", "longname": "Iberdrola, S.A.", "shortname": "IBERDROLA", "exchDisp": "MCE", "quoteType": "EQUITY"},
        {"symbol": "BRK-B", "shortname": "Berkshire", "exchange": "NYQ", "quoteType": "EQUITY"},
        {"symbol": "not a symbol", "shortname": "x"},
        {"index": "no symbol"},
        "text",
        {"symbol": "AAPL240119C00100000", "quoteType": "OPTION"},
    ]
    requests, found = hold(load("yahoo").search("ibe & co"), reply({"quotes": hits}))
    assert (requests[0].url.path, requests[0].url.params["q"]) == ("/v1/finance/search", "ibe & co")
    assert [(x.symbol.ticker, x.name, x.exchange, x.kind) for x in found] == [
        ("IBE.MC", "Iberdrola, S.A.", "MCE", "EQUITY"),
        ("BRK.B", "Berkshire", "NYQ", "EQUITY"),
        ("AAPL240119C00100000", "", "", "OPTION"),
    ]


def test_a_search_without_a_list_is_refused() -> None:
    with pytest.raises(ConversationFailed) as caught:
        hold(load("yahoo").search("x"), reply({"quotes": None}))
    assert caught.value.failure.kind is K.SCHEMA


# What an answer tells by its status or its error object


def error(code: str, description: str, root: str = "chart") -> dict[str, Any]:
    return {root: {"result": None, "error": {"code": code, "description": description}}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, chart(THREE), None),
        (200, {"note": 'an "error" elsewhere', "error": "x"}, None),
        (404, error("Not Found", "No data found, symbol may be delisted"), K.UNKNOWN_SYMBOL),
        (200, error("Not Found", "No data found, symbol may be delisted"), K.UNKNOWN_SYMBOL),
        (400, error("Bad Request", "Data doesn't exist for startDate = 1, endDate = 2"), K.NO_DATA),
        (400, error("Bad Request", "Invalid input - interval=2h is not supported"), K.BAD_REQUEST),
        (422, error("Unprocessable Entity", "1m data not available"), K.BAD_REQUEST),
        (401, error("Unauthorized", "Invalid Crumb", "finance"), K.AUTH),
        (200, error("Unauthorized", "Invalid Crumb", "quoteResponse"), K.AUTH),
        (429, b"Too Many Requests\r\n", K.RATE_LIMITED),
        (200, error("Too Many Requests", "slow down", "finance"), K.RATE_LIMITED),
        (403, b"<html>no</html>", K.WAF_BLOCK),
        (500, error("Internal", "Not Found in cache"), K.SERVER_ERROR),
        (503, b"busy", K.SERVER_ERROR),
        (200, b"<html>Will be right back...</html>", K.SERVER_ERROR),
        (200, error("Something", "else"), K.BAD_REQUEST),
        (999, b"", K.UNEXPECTED_STATUS),
    ],
)
def test_an_error_is_told_by_status_and_body_together(status: int, body: object, kind: FailureKind | None) -> None:
    failure = load("yahoo").error_in(reply(body, status))
    assert (failure.kind if failure else None) is kind
    if failure:
        assert failure.status == status
        assert f"HTTP {status}" in failure.detail or "right back" in failure.detail


def test_the_words_of_an_error_are_one_bounded_line_and_never_a_page() -> None:
    nasty = error("Bad", "a\x1b[31mb\r\n\u202ec\ud800" + "x" * 5000)
    detail = load("yahoo").error_in(reply(nasty, 400)).detail  # type: ignore[union-attr]
    assert presentable(detail)
    assert len(detail) <= 300
    page = load("yahoo").error_in(reply(b"<!doctype html><title>secret</title>", 500))
    assert page is not None
    assert page.detail == "HTTP 500: an HTML page"
