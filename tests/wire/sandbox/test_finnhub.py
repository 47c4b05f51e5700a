"""The simulated Finnhub."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from mdagent.clock import VirtualClock
from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects import Ask, Reply, sandbox_key
from mdagent.wire.sandbox.dialects.finnhub import DIALECT
from mdagent.wire.sandbox.provider import Provider
from mdagent.wire.sandbox.tickers import listing

NOW = datetime(2025, 1, 20, 12, tzinfo=UTC)  # a holiday
IN_SESSION = datetime(2025, 2, 20, 16, 35, 44, tzinfo=UTC)


def ask(path: str, *, at: datetime = NOW, plan: str = "professional", **query: str | int) -> Ask:
    told = {name.rstrip("_"): str(value) for name, value in query.items()}
    return Ask(f"/api/v1{path}", told, {}, int(at.timestamp()), "https://finnhub.io", plan)


def get(path: str, *, at: datetime = NOW, plan: str = "professional", **query: str | int) -> Reply:
    return DIALECT.answer(ask(path, at=at, plan=plan, **query))


def body(reply: Reply) -> Any:
    return json.loads(reply.body)


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def candle(symbol: str, resolution: str, start: str, end: str, at: datetime = NOW) -> Any:
    reply = get("/stock/candle", at=at, symbol=symbol, resolution=resolution, from_=epoch(start), to=epoch(end))
    assert reply.status == 200
    return body(reply)


def test_days_are_adjusted_for_splits_and_their_volume_is_not() -> None:
    found = candle("AAPL", "D", "2020-08-27", "2020-09-02")
    assert set(found) == {"c", "h", "l", "o", "s", "t", "v"}
    assert found["s"] == "ok"
    assert found["t"] == [epoch(d) for d in ("2020-08-27", "2020-08-28", "2020-08-31", "2020-09-01", "2020-09-02")]  # both ends included
    known = listing("AAPL")
    assert known is not None
    ours, raw = (series.daily(series.at(known, int(NOW.timestamp())), basis) for basis in ("splits", "raw"))
    kept = np.isin(ours.day, np.array(found["t"], dtype="datetime64[s]"))
    assert found["c"] == pytest.approx(ours.close[kept].tolist(), rel=1e-9)
    assert found["v"] == raw.volume[kept].tolist()
    assert raw.volume[kept][0] != ours.volume[kept][0]


@pytest.mark.parametrize(("resolution", "stamps"), [("W", ["2024-01-02", "2024-01-08", "2024-01-16"]), ("M", ["2024-01-02"])])
def test_weeks_and_months_are_stamped_at_their_first_session(resolution: str, stamps: list[str]) -> None:
    assert candle("AAPL", resolution, "2024-01-01", "2024-01-20")["t"] == [epoch(d) for d in stamps]


def test_minutes_come_with_extended_hours_and_hours_begin_with_the_clock() -> None:
    halves = candle("AAPL", "30", "2024-11-29", "2024-11-30")["t"]  # a half day, 14:30 to 18:00 UTC
    assert halves[:4] == [epoch(f"2024-11-29T{c}") for c in ("13:00", "14:00", "14:30", "15:00")]
    assert halves[-2:] == [epoch("2024-11-29T18:00"), epoch("2024-11-29T18:30")]
    assert {t % 3600 for t in candle("AAPL", "60", "2024-11-29", "2024-11-30")["t"]} == {0}
    assert epoch("2024-11-29T14:00") in candle("AAPL", "60", "2024-11-29", "2024-11-30")["t"]  # pre-market and opening in one


def test_intraday_prices_are_raw_and_a_month_is_the_most() -> None:
    assert candle("AAPL", "5", "2020-08-28", "2020-08-29")["c"][0] > 3 * candle("AAPL", "5", "2020-08-31", "2020-09-01")["c"][0]
    stamps = candle("AAPL", "60", "2024-01-01", "2024-12-31")["t"]
    assert epoch("2024-11-29") < stamps[0] < epoch("2024-12-03")


@pytest.mark.parametrize(
    ("symbol", "start", "end"),
    [
        ("NOSUCH", "2024-01-02", "2024-01-20"),
        ("AAPL", "1960-01-01", "1960-02-01"),
        ("AAPL", "2026-01-01", "2026-02-01"),
        ("EURUSD=X", "2024-01-02", "2024-01-20"),
    ],
)
def test_nothing_and_nobody_look_alike(symbol: str, start: str, end: str) -> None:
    assert candle(symbol, "D", start, end) == {"s": "no_data"}


def test_a_halted_session_is_left_out() -> None:
    known = listing("SYM00017")
    assert known is not None
    days = series.daily(series.at(known, int(NOW.timestamp())))
    halted = days.day[np.isnan(days.close)]
    assert len(halted)
    told = candle("SYM00017", "D", "1990-01-01", "2025-01-18")["t"]
    assert not np.isin(halted.astype("datetime64[s]").astype(np.int64), told).any()


@pytest.mark.parametrize(
    "query", [{"resolution": "2h", "from": "0", "to": "1"}, {"resolution": "D", "from": "x", "to": "1"}, {"resolution": "D"}]
)
def test_a_wrong_parameter_is_422(query: dict[str, str]) -> None:
    reply = DIALECT.answer(Ask("/api/v1/stock/candle", {"symbol": "AAPL"} | query, {}, int(NOW.timestamp()), "", "professional"))
    assert reply.status == 422
    assert set(body(reply)) == {"error"}


@pytest.mark.parametrize("path", ["/stock/candle", "/stock/split", "/stock/dividend"])
def test_the_free_plan_has_a_wall_before_what_is_premium(path: str) -> None:
    reply = get(path, plan="free", symbol="AAPL", resolution="D", from_="0", to="1")
    assert (reply.status, body(reply)) == (403, {"error": "You don't have access to this resource."})


def test_the_free_plan_quotes_america_alone() -> None:
    assert get("/quote", plan="free", symbol="AAPL").status == 200
    assert get("/quote", plan="free", symbol="VOD.L").status == 403
    assert get("/quote", symbol="VOD.L").status == 200


def test_a_quote_is_the_last_trade_and_nobody_is_worth_nothing() -> None:
    told = body(get("/quote", at=IN_SESSION, symbol="AAPL"))
    assert told["l"] <= told["c"] <= told["h"]
    assert IN_SESSION.timestamp() - 120 < told["t"] < IN_SESSION.timestamp()
    assert body(get("/quote", symbol="AAPL"))["t"] == epoch("2025-01-17T21:00")
    assert body(get("/quote", symbol="NOSUCH")) == {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}


def test_a_search_counts_what_it_finds() -> None:
    found = body(get("/search", q="berkshire"))
    assert "BRK.B" in [hit["symbol"] for hit in found["result"]]
    assert found["count"] == len(found["result"])
    assert body(get("/search", q="zzqqzz")) == {"count": 0, "result": []}


def test_splits_and_dividends_lie_in_their_window() -> None:
    told = body(get("/stock/split", symbol="AAPL", from_="2020-08-01", to="2020-08-31"))
    assert told == [{"symbol": "AAPL", "date": "2020-08-31", "fromFactor": 1, "toFactor": 4}]
    paid = body(get("/stock/dividend", symbol="AAPL", from_="2019-01-01", to="2019-12-31"))
    assert paid
    assert all(p["amount"] == pytest.approx(4 * p["adjustedAmount"]) for p in paid)
    assert get("/stock/split", symbol="AAPL").status == 422


@pytest.mark.parametrize(
    ("now", "is_open", "session", "holiday"),
    [
        ("2025-02-20T16:35", True, "regular", None),
        ("2025-02-20T13:00", False, "pre-market", None),
        ("2025-02-20T22:00", False, "post-market", None),
        ("2025-02-22T16:00", False, None, None),
        ("2025-01-20T16:00", False, None, "Holiday"),
    ],
)
def test_the_market_has_sessions_and_holidays(now: str, is_open: bool, session: str | None, holiday: str | None) -> None:
    told = body(get("/stock/market-status", at=datetime.fromisoformat(now).replace(tzinfo=UTC), exchange="US"))
    assert (told["isOpen"], told["session"], told["holiday"]) == (is_open, session, holiday)
    assert get("/stock/market-status", exchange="XX").status == 422


def test_an_address_that_does_not_exist_leads_to_the_site() -> None:
    assert get("/nothing").status == 302
    assert DIALECT.answer(Ask("/quote", {}, {}, 0, "", "free")).status == 302


def judged(provider: Provider, key: str = "", *, header: bool = True) -> tuple[Reply, dict[str, str]]:
    where = {"x-finnhub-token": key} if header and key else {}
    query = {"symbol": "AAPL"} | ({"token": key} if key and not header else {})
    return provider.answer(DIALECT, Ask("/api/v1/quote", query, where, 0, "https://finnhub.io"))


def test_the_key_is_read_from_header_or_query_and_its_lack_is_told() -> None:
    provider, key = Provider(VirtualClock(NOW)), sandbox_key("finnhub", "free")
    assert judged(provider, key)[0].status == 200
    assert judged(provider, key, header=False)[0].status == 200
    assert (judged(provider)[0].status, body(judged(provider)[0])) == (401, {"error": "Please use an API key."})
    assert body(judged(provider, "wrong")[0]) == {"error": "Invalid API key"}


def test_the_minute_and_the_second_are_counted_and_told() -> None:
    clock = VirtualClock(NOW)
    provider, key = Provider(clock), sandbox_key("finnhub", "free")
    assert judged(provider, key)[1]["x-ratelimit-remaining"] == "59"
    for _ in range(29):
        assert judged(provider, key)[0].status == 200
    reply, told = judged(provider, key)
    assert (reply.status, told["x-ratelimit-remaining"]) == (429, "0")
    assert body(reply) == {"error": "API limit reached. Please try again later. Remaining Limit: 0"}
    assert told["x-ratelimit-reset"] == str(int((NOW + timedelta(seconds=1)).timestamp()))
