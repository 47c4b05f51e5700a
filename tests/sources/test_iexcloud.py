"""IEX Cloud: what it was asked, and its answers as bars, quotes, listings, actions and failures."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import Adjustment, BarSet, CorporateAction, Symbol
from mdagent.sources import load
from mdagent.sources.base import COST
from tests.sources.answers import ask, days, hold, presentable, reply, utc

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from mdagent.market import BarRequest
    from mdagent.sources.base import Conversation

T = TypeVar("T")
K = FailureKind
WEEK = ("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05")


def day(of: str, close: float = 10.0, **more: Any) -> dict[str, Any]:
    """A daily row whose traded prices are four times the adjusted ones."""
    row = {"open": close - 0.5, "close": close, "high": close + 1, "low": close - 1, "volume": 4000}
    raw = {f"u{name.capitalize()}": value * 4 if name != "volume" else 1000 for name, value in row.items()}
    return {"date": of, **row, **raw, "change": 0, "label": "Jan 2"} | more


def minute(
    clock: str, close: float | None = 10.0, *, of: str = "2024-01-02", whole: float | None = None, volume: int = 90
) -> dict[str, Any]:
    """A row of IEX's own minute, with the whole market's where `whole` is its close."""
    row: dict[str, Any] = {"date": of, "minute": clock, "label": clock, "average": close, "volume": volume}
    row |= dict.fromkeys(("open", "high", "low", "close"), close)
    if whole is not None:
        row |= dict.fromkeys(("marketOpen", "marketHigh", "marketLow", "marketClose"), whole) | {"marketVolume": 3000}
    return row


MINUTE = ask(interval="1m", end="2024-01-03", adjust="raw")


def converse(talk: Conversation[T], *replies: httpx.Response) -> tuple[list[httpx.Request], T]:
    """Requests and value of a conversation; the last reply is for ever."""
    seen, left = [], list(replies)
    try:
        request = next(talk)
        while True:
            seen.append(request)
            request = talk.send(left.pop(0) if len(left) > 1 else left[0])
    except StopIteration as end:
        return seen, end.value


def bars(body: object, request: BarRequest | None = None) -> BarSet:
    return converse(load("iexcloud", api_key="k").bars(request or ask()), reply(body))[1]


def refused(talk: Conversation[Any], body: object) -> FailureKind:
    with pytest.raises(ConversationFailed) as caught:
        converse(talk, reply(body))
    return caught.value.failure.kind


def refused_bars(body: object, request: BarRequest | None = None) -> FailureKind:
    return refused(load("iexcloud").bars(request or ask()), body)


def asked(request: BarRequest, row: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Path below the symbol, chartByDay, cost."""
    requests, _ = converse(load("iexcloud", api_key="k").bars(request), reply([row]))
    assert {(r.url.host, r.url.params["token"]) for r in requests} == {("cloud.iexapis.com", "k")}
    return [(r.url.path, r.url.params.get("chartByDay", ""), r.extensions[COST]) for r in requests]


# The request


def test_a_long_window_is_everything_that_there_is_and_costs_as_much() -> None:
    assert asked(ask(), day("2024-01-02")) == [("/stable/stock/AAPL/chart/max", "", 37800)]


def test_a_short_window_is_asked_for_weekday_by_weekday() -> None:
    window = ask(start="2024-01-04", end="2024-01-09")  # a Thursday to a Monday
    found = asked(window, day("2024-01-04"))
    assert found == [(f"/stable/stock/AAPL/chart/date/{d}", "true", 2) for d in ("20240104", "20240105", "20240108")]
    assert len(load("iexcloud").cut(window)) == 3


def test_a_weekend_is_asked_for_by_one_cheap_request() -> None:
    window = ask(start="2024-01-06", end="2024-01-08")
    assert asked(window, day("2024-01-06")) == [("/stable/stock/AAPL/chart/date/20240106", "true", 2)]


def test_minutes_are_asked_for_by_session() -> None:
    window = ask(interval="1m", start="2024-01-04T15:00", end="2024-01-08T15:00")
    found = asked(window, minute("10:00", of="2024-01-04"))
    assert found == [(f"/stable/stock/AAPL/chart/date/{d}", "", 50) for d in ("20240104", "20240105", "20240108")]


def test_a_symbol_is_percent_encoded() -> None:
    talk = load("iexcloud").bars(ask("BRK/B"))
    assert next(talk).url.raw_path.startswith(b"/stable/stock/BRK%2FB/chart/max")


# Days


@pytest.mark.parametrize(("adjust", "basis", "close", "volume"), [("splits", "splits", 10.0, 4000.0), ("raw", "raw", 40.0, 1000.0)])
def test_both_bases_come_side_by_side_and_the_one_asked_for_is_taken(adjust: str, basis: str, close: float, volume: float) -> None:
    some = bars([day(d) for d in WEEK], ask(adjust=adjust))
    assert days(some) == list(WEEK)
    assert (some.adjustment, some.close.tolist(), some.volume.tolist()) == (Adjustment(basis), [close] * 4, [volume] * 4)
    assert (some.currency, some.venue) == ("USD", "")


def test_an_answer_without_traded_prices_is_labelled_as_it_is() -> None:
    rows = [{k: v for k, v in day(d).items() if not k.startswith("u")} for d in WEEK]
    assert bars(rows, ask(adjust="raw")).adjustment is Adjustment.SPLITS


def test_a_holiday_does_not_spoil_a_short_window() -> None:
    request = ask(start="2024-01-01", end="2024-01-04")
    _, some = converse(load("iexcloud").bars(request), reply([]), reply([day("2024-01-02")]), reply([day("2024-01-03")]))
    assert days(some) == ["2024-01-02", "2024-01-03"]
    assert refused(load("iexcloud").bars(request), []) is K.NO_DATA


def test_days_of_two_bases_are_not_joined() -> None:
    plain = {k: v for k, v in day("2024-01-03").items() if not k.startswith("u")}
    with pytest.raises(ConversationFailed) as caught:
        converse(load("iexcloud").bars(ask(end="2024-01-04", adjust="raw")), reply([day("2024-01-02")]), reply([plain]))
    assert caught.value.failure.kind is K.SCHEMA


def test_old_dates_newest_first_and_a_wrapped_list_are_read_as_well() -> None:
    some = bars({"range": "1m", "data": [day("20240103", 11.0), day("20240102")]})
    assert (days(some), some.close.tolist(), some.delivery.unsorted) == (["2024-01-02", "2024-01-03"], [10.0, 11.0], True)


def test_what_is_no_bar_is_told() -> None:
    some = bars([day("2024-01-02"), day("2024-01-03", high=None), day("0001-01-01"), day("2024-01-05", close=True)])
    assert days(some) == ["2024-01-02"]
    assert sorted(r.check for r in some.delivery.rejected) == ["stamp", "values", "values"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ([], K.NO_DATA),
        ({"symbol": "AAPL"}, K.SCHEMA),
        ([1], K.SCHEMA),
        ([minute("09:30")], K.MISMATCH),
        ([day("2024-01-02", symbol="MSFT")], K.MISMATCH),
        ([day("2024-01-02", currency="EUR")], K.MISMATCH),
        ([{"date": "2024-01-02", "close": 1.0}], K.SCHEMA),
        ([day("yesterday")], K.SCHEMA),
        ([day("2024-01-02")] * 4, K.MISMATCH),
        (b"Unknown symbol", K.MALFORMED),
    ],
)
def test_an_answer_that_is_none_is_refused_by_kind(body: object, kind: FailureKind) -> None:
    assert refused_bars(body) is kind


def test_the_currency_of_late_answers_is_taken() -> None:
    rows = [day("2024-01-02", currency="USD", symbol="AAPL"), day("2024-01-03", currency="")]
    assert bars(rows).currency == "USD"


# Minutes


def test_minutes_are_new_yorks_and_say_that_they_are_of_one_venue() -> None:
    some = bars([minute("09:30"), minute("09:31", None, volume=0), minute("15:59", 11.0)], MINUTE)
    assert [f"{t:%H:%M}" for t in some.ts.tolist()] == ["14:30", "20:59"]
    assert (some.adjustment, some.venue, some.close.tolist(), some.volume.tolist()) == (Adjustment.RAW, "IEX", [10.0, 11.0], [90.0, 90.0])
    assert [f"{t:%H:%M}" for t in some.delivery.absent] == ["14:31"]
    assert not some.delivery.rejected


def test_the_whole_market_is_taken_throughout_where_it_is_told() -> None:
    some = bars([minute("09:30", whole=20.0), minute("09:31", None, whole=21.0, volume=0)], MINUTE)
    assert (some.venue, some.close.tolist(), some.volume.tolist()) == ("", [20.0, 21.0], [3000.0, 3000.0])


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([day("2024-01-02")], K.MISMATCH),
        ([minute(f"{h:02}:{m:02}") for h in (10, 11) for m in (0, 10, 20, 30, 40, 50)], K.MISMATCH),
        ([{"date": "2024-01-02", "minute": "09:30", "high": 1.0, "low": 1.0, "marketHigh": 2.0}], K.SCHEMA),
        ([minute("half past nine")], K.SCHEMA),
    ],
)
def test_what_are_no_minutes_is_refused(rows: list[Any], kind: FailureKind) -> None:
    assert refused_bars(rows, MINUTE) is kind


# Batch


def test_a_batch_asks_for_many_symbols_at_once_and_misses_those_it_leaves_out() -> None:
    requests = [ask(symbol) for symbol in ("AAPL", "NOSUCH", "MSFT", "IBM")]
    body = {"AAPL": {"chart": [day("2024-01-02")]}, "MSFT": {"chart": []}, "IBM": {"chart": [1]}}
    (one,), found = hold(load("iexcloud").batch(requests), reply(body))
    assert one.url.path == "/stable/stock/market/batch"
    assert dict(one.url.params) == {"symbols": "AAPL,NOSUCH,MSFT,IBM", "types": "chart", "range": "max", "token": ""}
    assert one.extensions[COST] == 4 * 37800
    assert isinstance(found[0], BarSet)
    assert [f.kind for f in found if isinstance(f, Failure)] == [K.UNKNOWN_SYMBOL, K.NO_DATA, K.SCHEMA]


def test_a_short_batch_goes_day_by_day_and_a_large_one_by_hundreds() -> None:
    body = {"AAPL": {"chart": [day("2024-01-02")]}}
    requests, found = converse(load("iexcloud").batch([ask(end="2024-01-04")]), reply(body))
    assert [(r.url.params["range"], r.url.params["exactDate"], r.url.params["chartByDay"]) for r in requests] == [
        ("date", "20240102", "true"),
        ("date", "20240103", "true"),
    ]
    assert isinstance(found[0], BarSet)
    many = [ask(f"SYM{n:05d}") for n in range(1, 151)]
    assert [len(r.url.params["symbols"].split(",")) for r in converse(load("iexcloud").batch(many), reply(body))[0]] == [100, 50]
    assert refused(load("iexcloud").batch(many[:1]), []) is K.SCHEMA


# Quote, search, actions


def test_a_quote_is_the_latest_price_and_no_bid_of_one_venue() -> None:
    body = {"symbol": "AAPL", "latestPrice": 170.39, "latestUpdate": 1510942738831, "latestVolume": 5, "iexBidPrice": 170.0, "high": 171.0}
    requests, quote = hold(load("iexcloud").quote("AAPL"), reply(body | {"low": 169.0, "previousClose": 168.0}))
    assert requests[0].url.path == "/stable/stock/AAPL/quote"
    assert (quote.last, quote.bid, quote.ask, quote.day_high, quote.previous_close) == (170.39, None, None, 171.0, 168.0)
    assert quote.as_of == datetime(2017, 11, 17, 18, 18, 58, 831000, tzinfo=UTC)
    assert refused(load("iexcloud").quote("MSFT"), body) is K.MISMATCH
    assert refused(load("iexcloud").quote("AAPL"), {"symbol": "AAPL", "latestPrice": None}) is K.NO_DATA
    assert refused(load("iexcloud").quote("AAPL"), "119.36") is K.SCHEMA


def test_a_search_returns_what_can_be_asked_for() -> None:
    hits = [{"symbol": "AAPL", "securityName": "Apple Inc.", "exchange": "NAS", "securityType": "cs"}, {"symbol": "no symbol"}]
    requests, found = hold(load("iexcloud").search("apple & co"), reply(hits))
    assert requests[0].url.raw_path.startswith(b"/stable/search/apple%20%26%20co")
    assert [(x.symbol.ticker, x.name, x.exchange, x.kind) for x in found] == [("AAPL", "Apple Inc.", "NAS", "cs")]


def test_actions_are_splits_by_their_factors_and_dividends_as_paid() -> None:
    split = {"exDate": "2020-08-31", "fromFactor": 1, "toFactor": 4, "ratio": 0.26, "symbol": "AAPL"}
    paid = {"exDate": "2020-08-07", "amount": 0.82, "currency": "USD"}
    talk = load("iexcloud").actions(Symbol.parse("AAPL"), utc("2020-08-01"), utc("2020-09-01"))
    requests, found = hold(talk, reply([split]), reply([paid, paid | {"exDate": "2020-11-06"}]))
    assert [r.url.path for r in requests] == ["/stable/stock/AAPL/splits/5y", "/stable/stock/AAPL/dividends/5y"]
    assert found == (
        CorporateAction("dividend", date(2020, 8, 7), 0.82, adjusted=False, currency="USD"),
        CorporateAction("split", date(2020, 8, 31), 4.0),
    )


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"exDate": "2020-08-31", "fromFactor": 0, "toFactor": 4}, K.SCHEMA),
        ({"exDate": "", "fromFactor": 1, "toFactor": 4}, K.SCHEMA),
        ({"exDate": "2020-08-31", "fromFactor": 1, "toFactor": 4, "symbol": "MSFT"}, K.MISMATCH),
        ({"exDate": "2020-08-31", "fromFactor": 1, "toFactor": 4}, K.SCHEMA),  # the same as a dividend: it has no amount
    ],
)
def test_an_action_that_cannot_be_read_is_refused(entry: dict[str, Any], kind: FailureKind) -> None:
    assert refused(load("iexcloud").actions(Symbol.parse("AAPL"), utc("2020-08-01"), utc("2020-09-01")), [entry]) is kind


# What an answer tells by its status


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, [], None),
        (404, b"Unknown symbol", K.UNKNOWN_SYMBOL),
        (403, b"The API key provided is not valid.", K.AUTH),
        (403, b"Forbidden", K.AUTH),
        (403, b"This is not in your plan", K.PLAN_LIMIT),
        (403, b"<html>no</html>", K.WAF_BLOCK),
        (400, b"You have supplied invalid values for this request", K.BAD_REQUEST),
        (400, {"error": '"badOption" is not allowed'}, K.BAD_REQUEST),
        (402, b"You have exceeded your allotted message quota. Please enable pay-as-you-go to regain access", K.QUOTA_EXHAUSTED),
        (402, b"", K.PLAN_LIMIT),
        (429, b"Too many requests", K.RATE_LIMITED),
        (451, b"The requested data is not available to your current tier.", K.PLAN_LIMIT),
        (500, b"", K.SERVER_ERROR),
    ],
)
def test_a_spent_month_is_told_from_a_throttle_and_a_paywall(status: int, body: object, kind: FailureKind | None) -> None:
    failure = load("iexcloud").error_in(reply(body, status))
    assert (failure.kind if failure else None) is kind
    assert failure is None or presentable(failure.detail)


def test_it_is_retired_and_says_since_when() -> None:
    spec = load("iexcloud").spec
    assert spec.retired(date(2024, 8, 30)) is None
    ended = spec.retired(date(2024, 8, 31))
    assert ended is not None
    assert ended.day == date(2024, 8, 31)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def talks(source: Any, window: BarRequest) -> Iterable[Conversation[Any]]:
    yield from (source.bars(window), source.batch([window]), source.quote("AAPL"), source.search("x"))
    yield source.actions(Symbol.parse("AAPL"), utc("2020-08-01"), utc("2020-09-01"))


@given(JSON_VALUES, st.data(), st.sampled_from(["1d", "1m"]), st.sampled_from(["raw", "splits"]))
def test_no_value_in_any_place_makes_the_reader_raise_anything_but_a_failure(
    value: Any, data: st.DataObject, interval: str, adjust: str
) -> None:
    rows: Any = [day(d) for d in WEEK] if interval == "1d" else [minute(c, whole=9.0) for c in ("09:30", "09:31", "09:32")]
    key = data.draw(st.sampled_from(sorted(rows[0])))
    if data.draw(st.booleans()):
        rows[0][key] = value
    elif data.draw(st.booleans()):
        rows = value
    content = json.dumps(rows if data.draw(st.booleans()) else {"AAPL": {"chart": rows}}).encode()
    source = load("iexcloud")
    for talk in talks(source, ask(interval=interval, adjust=adjust)):
        try:
            made: Any = converse(talk, reply(content))[1]
        except ConversationFailed as error:
            made = error.failure.detail
        assert not isinstance(made, BarSet) or np.isfinite(made.close).all()
        assert not isinstance(made, str) or presentable(made)
