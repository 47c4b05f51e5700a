"""The simulated Twelve Data: its truth is what the adapter reads, its habits are those of the real one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import httpx
import numpy as np
import pytest

from mdagent.clock import VirtualClock
from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.market import Adjustment, BarRequest, BarSet, Interval, Symbol
from mdagent.sources import load
from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects import Ask, sandbox_key
from mdagent.wire.sandbox.dialects.twelvedata import DIALECT
from mdagent.wire.sandbox.provider import Provider
from mdagent.wire.sandbox.tickers import listing
from tests.sources.answers import ask, utc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mdagent.sources.base import Conversation, Source

K = FailureKind
T = TypeVar("T")
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)  # a Monday before New York opens
ULTRA = {"authorization": f"apikey {sandbox_key('twelvedata', 'ultra')}"}
OPEN = datetime(2026, 1, 5, 15, 0, 30, tzinfo=UTC)
BASES: dict[Adjustment, series.Basis] = {Adjustment.RAW: "raw", Adjustment.SPLITS: "splits", Adjustment.ALL: "all"}
DEEP = {  # of each window the interval that is looked at
    "a split": ("AAPL", "2020-08-24", "2020-09-09"),
    "the clocks go forward": ("AAPL", "2024-03-07", "2024-03-13"),
    "the clocks go back": ("AAPL", "2024-10-31", "2024-11-06"),
    "a half day": ("AAPL", "2024-11-27", "2024-12-03"),
    "a halt": ("SYM00007", "2024-12-23", "2025-01-10"),
    "the turn of a year": ("BRK.B", "2024-12-30", "2025-01-04"),
    "another zone": ("IBE.MC", "2024-03-28", "2024-04-03"),
    "a coin on a Sunday": ("BTC-USD", "2024-03-25", "2024-04-01"),
    "a currency": ("EURUSD=X", "2024-03-29", "2024-04-02"),
}


def get(path: str, plan: str = "ultra", now: datetime = NOW, key: str | None = None, **query: str) -> httpx.Response:
    """One answer, with a key in the header."""
    return serve(
        Provider(VirtualClock(now)), path, query, {"authorization": f"apikey {sandbox_key('twelvedata', plan) if key is None else key}"}
    )


def serve(provider: Provider, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> httpx.Response:
    reply, headers = provider.answer(DIALECT, Ask(path, query, headers, 0, "https://api.twelvedata.com"))
    return httpx.Response(reply.status, headers=dict(headers), content=reply.body)


def hold(begin: Callable[[Source], Conversation[T]], plan: str = "ultra", now: datetime = NOW, key: str | None = None) -> T:
    """A conversation of the adapter with the simulated provider. Raises ConversationFailed."""
    source = load("twelvedata", api_key=sandbox_key("twelvedata", plan) if key is None else key, plan=plan)
    provider, talk = Provider(VirtualClock(now)), begin(source)
    try:
        request = next(talk)
        while True:
            reply = serve(provider, request.url.path, dict(request.url.params), {k.lower(): v for k, v in request.headers.items()})
            failure = source.error_in(reply)
            request = talk.throw(ConversationFailed(failure)) if failure else talk.send(reply)
    except StopIteration as end:
        value: T = end.value
        return value


def kind_of(begin: Callable[[Source], Conversation[Any]], plan: str = "ultra", key: str | None = None) -> FailureKind:
    with pytest.raises(ConversationFailed) as caught:
        hold(begin, plan, key=key)
    return caught.value.failure.kind


def truth(request: BarRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stamps, prices and volumes of the window."""
    ticker = listing(request.symbol.ticker)
    assert ticker is not None
    seen, basis, interval = series.at(ticker, int(NOW.timestamp())), BASES[request.adjustment], request.interval
    edges = [np.datetime64(edge.replace(tzinfo=None), "us") for edge in (request.start, request.end)]
    if interval.intraday:
        made = series.intraday(seen, interval.value, int(request.start.timestamp()), int(request.end.timestamp()), basis).traded
        ts = made.opens.astype("datetime64[s]").astype("datetime64[us]")
    else:
        unit = cast("Literal['1w', '1mo']", interval.value)
        made = (series.daily(seen, basis) if interval is Interval.D1 else series.periods(seen, unit, basis)).traded
        ts = made.day.astype("datetime64[us]")
    keep = (ts >= edges[0]) & (ts < edges[1])
    return ts[keep], np.array([made.open, made.high, made.low, made.close])[:, keep], made.volume[keep]


@pytest.mark.parametrize("basis", list(Adjustment))
@pytest.mark.parametrize("interval", list(Interval))
@pytest.mark.parametrize("window", DEEP)
def test_what_is_told_is_the_truth(window: str, interval: Interval, basis: Adjustment) -> None:
    symbol, start, end = DEEP[window]
    if interval is Interval.MO1:
        start, end = "2020-06-15", "2025-03-10"
    request = BarRequest(symbol, interval, start, end, basis)  # type: ignore[arg-type]
    some = hold(lambda source: source.bars(request))
    ts, prices, volume = truth(request)
    assert len(ts) > 0
    assert some.ts.tolist() == ts.tolist()
    assert np.array([some.open, some.high, some.low, some.close]) == pytest.approx(prices, rel=1e-9, abs=0)
    assert np.isnan(some.volume).all() if request.symbol.kind == "fx" else some.volume.tolist() == volume.tolist()
    assert (some.adjustment, some.delivery.outside, some.delivery.rejected) == (basis, (), ())


def test_a_long_series_comes_in_pieces_that_fit() -> None:
    request = ask("AAPL", "1m", "2025-06-01", "2025-09-01", "raw")
    assert hold(lambda source: source.bars(request)).ts.tolist() == truth(request)[0].tolist()


def test_a_halted_session_is_left_out() -> None:
    request = ask("SYM00007", "1d", "2024-12-23", "2025-01-10", "raw")
    ticker = listing("SYM00007")
    assert ticker is not None
    every = series.daily(series.at(ticker, int(NOW.timestamp())))
    due = int(((every.day >= np.datetime64("2024-12-23")) & (every.day < np.datetime64("2025-01-10"))).sum())
    assert len(hold(lambda source: source.bars(request))) < due


@pytest.mark.parametrize(("start", "end"), [("2024-03-09", "2024-03-11"), ("1960-01-01", "1960-03-01"), ("2030-01-01", "2030-03-01")])
def test_a_range_without_trading_is_an_error(start: str, end: str) -> None:
    assert kind_of(lambda source: source.bars(ask("AAPL", "1d", start, end, "raw"))) is K.NO_DATA


def test_an_unknown_symbol_is_told() -> None:
    answer = get("/time_series", symbol="NOSUCH", interval="1day")
    assert answer.status_code == 400
    assert answer.json()["message"] == "**symbol** not found: NOSUCH. Please specify it correctly according to API Documentation."
    assert kind_of(lambda source: source.bars(ask("NOSUCH"))) is K.UNKNOWN_SYMBOL
    assert kind_of(lambda source: source.bars(ask("IBE.L"))) is K.UNKNOWN_SYMBOL


@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_key_that_does_not_hold_is_told(key: str) -> None:
    assert kind_of(lambda source: source.bars(ask()), key=key) is K.AUTH


def test_the_key_may_stand_in_the_query() -> None:
    query = {"symbol": "AAPL", "interval": "1day", "apikey": sandbox_key("twelvedata", "basic")}
    assert serve(Provider(VirtualClock(NOW)), "/time_series", query, {}).status_code == 200


def test_a_basic_plan_has_america_alone_and_no_actions() -> None:
    span = (utc("2020-01-01"), utc("2021-01-01"))
    assert kind_of(lambda source: source.bars(ask("IBE.MC")), "basic") is K.PLAN_LIMIT
    assert kind_of(lambda source: source.actions(Symbol.parse("AAPL"), *span), "basic") is K.PLAN_LIMIT
    assert len(hold(lambda source: source.bars(ask("IBE.MC")), "grow")) == 22
    assert len(hold(lambda source: source.bars(ask("EURUSD=X")), "basic")) == 22


def test_a_basic_plan_begins_in_2006() -> None:
    some = hold(lambda source: source.bars(ask("AAPL", "1d", "2005-06-01", "2006-06-01")), "basic")
    assert some.ts[0] == np.datetime64("2006-01-03")


def test_the_minute_and_the_day_run_out_in_different_words() -> None:
    headers = {"authorization": f"apikey {sandbox_key('twelvedata', 'basic')}"}
    provider, query = Provider(VirtualClock(NOW)), {"symbol": "AAPL,MSFT,IBM,GE,KO,PEP,T,F", "interval": "1day", "outputsize": "1"}
    assert serve(provider, "/time_series", query, headers).headers["api-credits-left"] == "0"
    over = serve(provider, "/time_series", {"symbol": "AAPL", "interval": "1day"}, headers)
    assert over.status_code == over.json()["code"] == 429
    assert "for the current minute. 9 API credits were used, with the current limit being 8" in over.json()["message"]
    for minute in range(1, 100):
        provider.clock = VirtualClock(NOW + timedelta(minutes=minute))
        assert serve(provider, "/time_series", query, headers).status_code == 200
    provider.clock = VirtualClock(NOW + timedelta(minutes=100))
    assert "for the day" in serve(provider, "/time_series", query, headers).json()["message"]


def test_a_batch_is_keyed_by_symbol_and_holds_errors_of_its_own() -> None:
    body = get("/time_series", symbol="AAPL,NOSUCH", interval="1day").json()
    assert (body["AAPL"]["status"], body["NOSUCH"]["code"]) == ("ok", 400)
    got = hold(lambda source: source.batch([ask("AAPL"), ask("NOSUCH"), ask("SAN.MC"), ask("SAN.PA")]))
    assert [len(one) if isinstance(one, BarSet) else one.kind for one in got] == [21, K.UNKNOWN_SYMBOL, 22, 22]
    assert get("/time_series", symbol=",".join(f"SYM{n:05}" for n in range(1, 122)), interval="1day").status_code == 414


def test_rows_come_newest_first_thirty_of_them_unless_asked_otherwise() -> None:
    values = get("/time_series", symbol="AAPL", interval="1min").json()["values"]
    assert len(values) == 30
    assert values[0]["datetime"] == "2026-01-02 15:59:00"
    assert set(values[0]) == {"datetime", "open", "high", "low", "close", "volume"}
    assert all(isinstance(cell, str) for cell in values[0].values())
    rising = get("/time_series", symbol="AAPL", interval="1min", order="asc", timezone="UTC", start_date="2026-01-02 20:58:00").json()[
        "values"
    ]
    assert [one["datetime"] for one in rising] == ["2026-01-02 20:58:00", "2026-01-02 20:59:00"]


def test_a_pair_has_no_zone_and_a_currency_no_volume() -> None:
    body = get("/time_series", symbol="EUR/USD", interval="1day").json()
    assert body["meta"] == {
        "symbol": "EUR/USD",
        "interval": "1day",
        "currency_base": "Euro",
        "currency_quote": "US Dollar",
        "type": "Physical Currency",
    }
    assert "volume" not in body["values"][0]


@pytest.mark.parametrize(
    "query",
    [{"interval": "7min"}, {"outputsize": "6000"}, {"start_date": "soon"}, {"timezone": "Mars/Base"}, {"adjust": "twice"}],
    ids=lambda q: next(iter(q)),
)
def test_a_parameter_that_it_cannot_read_is_refused(query: dict[str, str]) -> None:
    answer = serve(Provider(VirtualClock(NOW)), "/time_series", {"symbol": "AAPL", "interval": "1min"} | query, ULTRA)
    assert answer.status_code == answer.json()["code"] == 400
    assert get("/time_series", interval="1day").status_code == 404
    assert get("/nowhere").status_code == 404


@pytest.mark.parametrize("symbol", ["AAPL", "IBE.MC", "EUR/USD", "BTC-USD"])
def test_a_quote_is_the_live_price(symbol: str) -> None:
    quote = hold(lambda source: source.quote(symbol), now=OPEN)
    ticker = listing({"EUR/USD": "EURUSD=X"}.get(symbol, symbol))
    assert ticker is not None
    assert quote.last == pytest.approx(series.at(ticker, int(OPEN.timestamp())).price, abs=1e-5)
    assert quote.as_of == datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
    assert json.loads(get("/price", symbol="AAPL", now=OPEN).content)["price"]


def found_by(words: str) -> list[str]:
    return [str(one.symbol) for one in hold(lambda source: source.search(words))]


def some_bars(symbol: str) -> BarSet:
    return hold(lambda source: source.bars(ask(symbol)))


def test_what_it_finds_can_be_asked_for() -> None:
    found = [symbol for words in ("iberdrola", "BRK.B", "SYM00042", "btc/") for symbol in found_by(words)]
    assert found[:4] == ["IBE.MC", "BRK.B", "SYM00042", "BTC/EUR"]
    assert all(len(some_bars(symbol)) > 0 for symbol in found)
    assert found_by("") == []


def test_splits_and_dividends_are_those_of_the_truth_as_paid() -> None:
    span = (utc("2020-01-01"), utc("2021-01-01"))
    found = hold(lambda source: source.actions(Symbol.parse("AAPL"), *span))
    ticker = listing("AAPL")
    assert ticker is not None
    due = [a for a in series.actions(series.at(ticker, int(NOW.timestamp()))) if np.datetime64("2020") <= a.day < np.datetime64("2021")]
    assert [(a.kind, str(a.date)) for a in found] == [(a.kind, str(a.day)) for a in due]
    assert [a.value for a in found] == pytest.approx([a.new / a.old if a.kind == "split" else a.amount for a in due], abs=1e-6)
    adjusted = get("/dividends", symbol="AAPL", start_date="2020-01-01", end_date="2020-08-01").json()["dividends"]
    assert adjusted[0]["amount"] == pytest.approx(due[2].amount / 4, abs=1e-6)
    assert len(get("/splits", symbol="AAPL").json()["splits"]) == 1


def test_markets_open_and_close() -> None:
    state = {m.market: m.is_open for m in hold(lambda source: source.market(), now=OPEN)}
    assert (state["NYSE (XNYS)"], state["LSE (XLON)"], state["JPX (XJPX)"]) == (True, True, False)
    (new_york,) = get("/market_state", exchange="NYSE").json()
    assert (new_york["is_market_open"], new_york["time_to_open"], new_york["time_to_close"]) == (False, "02:30:00", "00:00:00")
