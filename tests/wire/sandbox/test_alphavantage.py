"""The simulated Alpha Vantage: its words, its plans, and the truth in its format."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from mdagent.clock import VirtualClock
from mdagent.guard.outcome import Failure
from mdagent.market import Adjustment, BarRequest, BarSet, Interval
from mdagent.sources import spec_of
from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects import Ask, dialects
from mdagent.wire.sandbox.provider import Provider
from mdagent.wire.sandbox.tickers import listing
from tests.sources.talk import Simulated, outcome

DIALECT = dialects()["alphavantage"]
MONDAY = datetime(2026, 1, 5, 17, 0, tzinfo=UTC)  # noon in New York, in session
LATER = datetime(2025, 1, 19, 12, tzinfo=UTC)  # a Sunday


def say(function: str, plan: str = "premium1200", at: datetime = LATER, **query: str) -> Any:
    """What is answered to a function."""
    asked = {"function": function, "apikey": "x"} | query
    reply = DIALECT.answer(Ask("/query", asked, {}, int(at.timestamp()), "https://www.alphavantage.co", plan))
    assert (reply.status, reply.content_type) == (200, "application/json")
    return json.loads(reply.body)


def rows(told: Any) -> dict[str, dict[str, str]]:
    """The series of an answer."""
    (name,) = (key for key in told if key != "Meta Data")
    found: dict[str, dict[str, str]] = told[name]
    return found


def truth(symbol: str, at: datetime = LATER) -> Any:
    ticker = listing(symbol)
    assert ticker is not None
    return series.at(ticker, int(at.timestamp()))


def fetched(symbol: str, interval: str, start: str, end: str, basis: str) -> BarSet:
    request = BarRequest(symbol, interval, start, end, basis)  # type: ignore[arg-type]
    return Simulated("alphavantage", LATER).hold(lambda s: s.bars(request))


# The format


def test_days_are_texts_newest_first_and_raw() -> None:
    told = say("TIME_SERIES_DAILY", symbol="AAPL", outputsize="full")
    assert told["Meta Data"]["2. Symbol"] == "AAPL"
    assert told["Meta Data"]["4. Output Size"] == "Full size"
    days = rows(told)
    assert list(days) == sorted(days, reverse=True)
    assert set(next(iter(days.values()))) == {"1. open", "2. high", "3. low", "4. close", "5. volume"}
    raw = series.daily(truth("AAPL"), "raw")
    assert [float(r["4. close"]) for r in reversed(days.values())] == pytest.approx(raw.close)
    assert float(days["2020-08-28"]["4. close"]) / float(days["2020-08-31"]["4. close"]) > 3


def test_volume_moves_to_the_sixth_place_where_an_adjusted_close_is_told() -> None:
    day = rows(say("TIME_SERIES_DAILY_ADJUSTED", symbol="AAPL", outputsize="full"))["2020-08-31"]
    assert [n for n in day if "volume" in n or "split" in n] == ["6. volume", "8. split coefficient"]
    assert day["8. split coefficient"] == "4"
    assert "6. volume" in next(iter(rows(say("TIME_SERIES_WEEKLY_ADJUSTED", symbol="AAPL")).values()))


def test_weeks_and_months_are_stamped_on_their_last_session() -> None:
    weeks = list(rows(say("TIME_SERIES_WEEKLY", symbol="AAPL")))
    assert weeks[:2] == ["2025-01-17", "2025-01-10"]
    assert "2024-03-28" in weeks  # Good Friday
    assert list(rows(say("TIME_SERIES_MONTHLY", symbol="AAPL")))[:2] == ["2025-01-17", "2024-12-31"]


def test_minutes_are_local_starts_of_one_month() -> None:
    told = say("TIME_SERIES_INTRADAY", symbol="AAPL", interval="5min", month="2024-11", outputsize="full", adjusted="false")
    stamps = list(rows(told))
    assert (stamps[-1], stamps[0]) == ("2024-11-01 09:30:00", "2024-11-29 12:55:00")  # a half day
    assert told["Meta Data"]["6. Time Zone"] == "US/Eastern"


def test_compact_is_the_newest_hundred_points_and_the_default() -> None:
    assert len(rows(say("TIME_SERIES_DAILY", symbol="AAPL"))) == 100
    assert len(rows(say("TIME_SERIES_INTRADAY", symbol="AAPL", interval="1min"))) == 100
    assert len(rows(say("FX_DAILY", from_symbol="EUR", to_symbol="USD"))) == 100


@pytest.mark.parametrize(("symbol", "close"), [("BRK.B", "BRK.B"), ("BRK-B", "BRK.B"), ("VOD.LON", "VOD.L"), ("SAP.DEX", "SAP.DE")])
def test_symbols_have_their_suffixes(symbol: str, close: str) -> None:
    told = next(iter(rows(say("TIME_SERIES_DAILY", symbol=symbol)).values()))
    assert float(told["4. close"]) == pytest.approx(series.daily(truth(close), "raw").close[-1])


@pytest.mark.parametrize("symbol", ["ZZZZ", "IBE.MC", "VOD.L", "^GSPC", "EURUSD=X", ""])
def test_what_it_does_not_know_is_an_invalid_call(symbol: str) -> None:
    assert "Invalid API call" in say("TIME_SERIES_DAILY", symbol=symbol)["Error Message"]
    assert say("GLOBAL_QUOTE", symbol=symbol) == {"Global Quote": {}}
    assert say("SPLITS", symbol=symbol) == {}


@pytest.mark.parametrize(
    "query",
    [
        {"interval": "2min"},
        {"interval": "5min", "month": "1999-12"},
        {"interval": "5min", "month": "2024-13"},
        {"interval": "5min", "month": "2030-01"},
        {"interval": "5min", "outputsize": "some"},
    ],
)
def test_a_bad_parameter_is_an_invalid_call_too(query: dict[str, Any]) -> None:
    assert "Invalid API call" in say("TIME_SERIES_INTRADAY", symbol="AAPL", **query)["Error Message"]


def test_an_unknown_function_and_an_unknown_path_are_told() -> None:
    assert "does not exist" in say("TIME_SERIES_HOURLY")["Error Message"]
    assert DIALECT.answer(Ask("/", {}, {}, 0, "https://www.alphavantage.co", "free")).status == 404


def test_a_search_finds_names_in_their_spelling() -> None:
    found = say("SYMBOL_SEARCH", keywords="vodafone")["bestMatches"]
    assert [m["1. symbol"] for m in found] == ["VOD.LON"]
    assert found[0]["8. currency"] == "GBX"
    assert say("SYMBOL_SEARCH", keywords="qqqzzz") == {"bestMatches": []}


def test_dividends_are_as_paid_and_splits_are_ratios() -> None:
    splits = say("SPLITS", symbol="AAPL")["data"]
    assert {"effective_date": "2020-08-31", "split_factor": "4"} in splits
    paid = say("DIVIDENDS", symbol="AAPL")["data"]
    due = [a for a in series.actions(truth("AAPL")) if a.kind == "dividend"]
    assert [float(p["amount"]) for p in reversed(paid)] == pytest.approx([a.amount for a in due])
    assert paid[0]["payment_date"] == "None"


# Plans


@pytest.mark.parametrize(
    ("function", "query"),
    [
        ("TIME_SERIES_DAILY_ADJUSTED", {"symbol": "AAPL"}),
        ("TIME_SERIES_DAILY", {"symbol": "AAPL", "outputsize": "full"}),
        ("TIME_SERIES_DAILY", {"symbol": "AAPL", "entitlement": "delayed"}),
        ("FX_INTRADAY", {"from_symbol": "EUR", "to_symbol": "USD", "interval": "5min"}),
        ("CRYPTO_INTRADAY", {"symbol": "BTC", "market": "USD", "interval": "5min"}),
    ],
)
def test_what_the_free_plan_lacks_is_premium(function: str, query: dict[str, Any]) -> None:
    assert "premium" in say(function, "free", **query)["Information"]
    assert "Meta Data" in say(function, **query)


def test_the_plans_are_those_of_the_facts() -> None:
    assert list(DIALECT.plans) == [plan.name for plan in spec_of("alphavantage").plans]


def test_a_free_key_sees_finished_days_and_an_entitled_one_the_session_fifteen_minutes_late() -> None:
    assert next(iter(rows(say("TIME_SERIES_DAILY", "free", MONDAY, symbol="AAPL")))) == "2026-01-02"
    assert next(iter(rows(say("TIME_SERIES_DAILY", at=MONDAY, symbol="AAPL", entitlement="delayed")))) == "2026-01-05"
    minute = say("TIME_SERIES_INTRADAY", at=MONDAY, symbol="AAPL", interval="1min", entitlement="delayed")
    assert next(iter(rows(minute))) == "2026-01-05 11:44:00"
    late = say("GLOBAL_QUOTE", at=MONDAY, symbol="AAPL", entitlement="delayed")
    assert late["Global Quote - DATA DELAYED BY 15 MINUTES"]["07. latest trading day"] == "2026-01-05"


def refusals(key: str, plan_calls: int) -> list[str]:
    """The messages of so many calls in one instant."""
    provider = Provider(VirtualClock(LATER))
    asked = Ask("/query", {"function": "MARKET_STATUS", "apikey": key}, {}, 0, "https://www.alphavantage.co")
    replies = [json.loads(provider.answer(DIALECT, asked)[0].body) for _ in range(plan_calls)]
    return [next(iter(r.values())) for r in replies if not isinstance(next(iter(r.values())), list) and "endpoint" not in r]


def test_keys_and_limits_are_refused_in_its_words() -> None:
    assert "apikey is invalid or missing" in refusals("wrong", 1)[0]
    assert "apikey is invalid or missing" in refusals("", 1)[0]
    assert "demo" in refusals("demo", 1)[0]
    assert "1 request per second" in refusals("sandbox-alphavantage-free", 2)[0]
    assert "75 requests per minute" in refusals("sandbox-alphavantage-premium75", 76)[0]


def test_the_daily_limit_repeats_the_key() -> None:
    day = DIALECT.plans["free"][1]
    asked = Ask("/query", {"apikey": "MINE"}, {}, 0, "https://www.alphavantage.co")
    assert "API key as MINE" in json.loads(DIALECT.refuse(asked, day).body)["Information"]


# Read back


@pytest.mark.parametrize("interval", ["1d", "1w", "1mo"])
@pytest.mark.parametrize("basis", ["raw", "all"])
@pytest.mark.parametrize("symbol", ["AAPL", "SYM00017", "VOD.L", "VFINX"])
def test_the_truth_comes_back(symbol: str, interval: str, basis: Any) -> None:
    some = fetched(symbol, interval, "2018-12-01", "2025-01-18", basis)
    seen = truth(symbol)
    due = (series.daily(seen, basis) if interval == "1d" else series.periods(seen, interval, basis)).traded  # type: ignore[arg-type]
    ts = due.day.astype("datetime64[us]")
    keep = (ts >= np.datetime64("2018-12-01")) & (ts < np.datetime64("2025-01-18"))
    lost = [r.ts.replace(tzinfo=None) for r in some.delivery.rejected if r.ts]
    keep &= ~np.isin(ts, np.array(lost, dtype="datetime64[us]"))
    assert some.ts.tolist() == ts[keep].tolist()
    assert some.close == pytest.approx(due.close[keep], rel=1e-7)
    assert some.low == pytest.approx(due.low[keep], rel=1e-7)
    assert lost == ([datetime(2020, 8, 1)] if (symbol, interval, basis) == ("AAPL", "1mo", "all") else [])


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "30m", "1h"])
@pytest.mark.parametrize("basis", ["raw", "all"])
@pytest.mark.parametrize(
    ("start", "end"),
    [("2024-03-07", "2024-03-13"), ("2024-11-27", "2024-12-04"), ("2020-08-27", "2020-09-02"), ("2023-12-28", "2024-01-04")],
)
def test_the_minutes_come_back_over_clock_changes_half_days_splits_and_years(interval: str, basis: Any, start: str, end: str) -> None:
    some = fetched("AAPL", interval, start, end, basis)
    edges = [int(datetime.fromisoformat(e).replace(tzinfo=UTC).timestamp()) for e in (start, end)]
    seen = truth("AAPL")
    due = series.intraday(seen, interval, edges[0], edges[1], "raw" if basis == "raw" else "splits").traded
    assert (some.ts.astype("datetime64[s]").astype(int)).tolist() == due.opens.tolist()
    assert some.adjustment is Adjustment(basis)
    if basis == "raw":
        assert some.close == pytest.approx(due.close, rel=1e-9)
        assert some.volume.tolist() == due.volume.tolist()
    else:
        paid = seen.payout(0, seen.shown)[np.searchsorted(seen.truth.hours.day, due.day)]
        assert some.close == pytest.approx(due.close * paid, rel=1e-7)


@pytest.mark.parametrize("interval", ["1m", "1h", "1d", "1w", "1mo"])
@pytest.mark.parametrize("symbol", ["EUR/USD", "EURUSD=X", "BTC-USD"])
def test_pairs_come_back_by_utc(symbol: str, interval: str) -> None:
    intraday = Interval(interval).intraday
    start, end = ("2025-01-13", "2025-01-17") if intraday else ("2024-06-01", "2025-01-18")
    some = fetched(symbol, interval, start, end, "raw")
    name = "BTC-USD" if symbol == "BTC-USD" else "EURUSD=X"
    seen = truth(name)
    edges = [int(datetime.fromisoformat(e).replace(tzinfo=UTC).timestamp()) for e in (start, end)]
    if intraday:
        due = series.intraday(seen, interval, edges[0], edges[1]).traded
        ts = due.opens.astype("datetime64[s]").astype("datetime64[us]")
    else:
        due = (series.daily(seen) if interval == "1d" else series.periods(seen, interval)).traded  # type: ignore[arg-type]
        ts = due.day.astype("datetime64[us]")
    keep = (ts >= np.datetime64(start)) & (ts < np.datetime64(end))
    assert some.ts.tolist() == ts[keep].tolist()
    assert some.close == pytest.approx(due.close[keep], rel=1e-5)
    assert some.currency == "USD"


@pytest.mark.parametrize(
    ("symbol", "interval", "start", "end", "kind"),
    [
        ("ZZZZ", "1d", "2024-01-02", "2024-02-01", "UNKNOWN_SYMBOL"),
        ("ZZZZ", "5m", "2024-01-02", "2024-01-05", "NO_DATA"),
        ("AAPL", "1d", "2024-01-06", "2024-01-08", "NO_DATA"),
        ("PLTR", "5m", "2019-01-02", "2019-01-05", "NO_DATA"),
    ],
)
def test_nothing_there_is_told_apart(symbol: str, interval: str, start: str, end: str, kind: str) -> None:
    came = outcome(lambda: fetched(symbol, interval, start, end, "raw"))
    assert isinstance(came, Failure)
    assert came.kind == kind
