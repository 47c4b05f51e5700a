"""The simulated IEX Cloud, as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from mdagent.clock import VirtualClock
from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects import Allowance, Ask, Reply, sandbox_key
from mdagent.wire.sandbox.dialects.iexcloud import DIALECT
from mdagent.wire.sandbox.provider import Gone, Provider
from mdagent.wire.sandbox.tickers import listing

NOW = datetime(2025, 1, 20, 12, tzinfo=UTC)  # a holiday
IN_SESSION = datetime(2025, 2, 20, 16, 35, 44, tzinfo=UTC)  # 11:35 in New York


def get(path: str, *, at: datetime = NOW, plan: str = "business", **query: str) -> Reply:
    return DIALECT.answer(Ask(f"/stable{path}", query, {}, int(at.timestamp()), "https://cloud.iexapis.com", plan))


def body(reply: Reply) -> Any:
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def said(reply: Reply) -> tuple[int, str]:
    assert reply.content_type.startswith("text/")
    return reply.status, reply.body.decode()


def test_days_hold_both_bases_side_by_side() -> None:
    rows = body(get("/stock/AAPL/chart/max"))
    by_day = {row["date"]: row for row in rows}
    assert [row["date"] for row in rows] == sorted(by_day)
    before, after = by_day["2020-08-28"], by_day["2020-08-31"]
    assert (before["uClose"], before["uVolume"] * 4) == pytest.approx((before["close"] * 4, before["volume"]))
    assert after["uClose"] == after["close"]
    known = listing("AAPL")
    assert known is not None
    days = series.daily(series.at(known, int(NOW.timestamp())))
    kept = np.isin(days.day, np.array(list(by_day), dtype="datetime64[D]"))
    assert [row["close"] for row in rows] == pytest.approx(days.close[kept].tolist(), rel=1e-9)
    assert 3700 < len(rows) < 3800  # fifteen years


def test_a_bar_of_a_range_costs_ten_messages_and_a_day_alone_two() -> None:
    reply = get("/stock/AAPL/chart/5d")
    assert (len(body(reply)), reply.headers["iexcloud-messages-used"], reply.cost) == (5, "50", 50)
    one = get("/stock/AAPL/chart/date/20240102", chartByDay="true")
    assert ([row["date"] for row in body(one)], one.cost) == (["2024-01-02"], 2)
    assert (
        body(get("/stock/AAPL/chart/date/20240101", chartByDay="true")),
        get("/stock/AAPL/chart/date/20240101", chartByDay="true").cost,
    ) == ([], 0)
    assert body(get("/stock/AAPL/chart/1m", sort="desc"))[0]["date"] == "2025-01-17"


def test_no_bar_of_today_while_the_session_is_open() -> None:
    assert body(get("/stock/AAPL/chart/5d", at=IN_SESSION))[-1]["date"] == "2025-02-19"


def test_free_minutes_are_of_iex_alone_and_paid_ones_of_the_market_too() -> None:
    free, paid = (body(get("/stock/AAPL/chart/date/20250117", plan=plan)) for plan in ("launch", "business"))
    assert len(free) == len(paid) == 390
    assert (free[0]["minute"], free[-1]["minute"]) == ("09:30", "15:59")
    assert not any("marketClose" in row for row in free)
    assert all(row["marketClose"] is not None and row["marketVolume"] >= row["volume"] for row in paid)
    idle = [row for row in free if row["close"] is None]
    assert 1 <= len(idle) <= 5
    assert {(row["volume"], row["average"], row["open"]) for row in idle} == {(0, None, None)}
    assert get("/stock/AAPL/chart/date/20250117").cost == 50


def test_the_market_is_told_a_quarter_of_an_hour_late() -> None:
    free, paid = (body(get("/stock/AAPL/chart/date/20250220", at=IN_SESSION, plan=plan)) for plan in ("launch", "business"))
    assert (free[-1]["minute"], paid[-1]["minute"]) == ("11:35", "11:20")


@pytest.mark.parametrize("day", ["20241201", "20240102", "20250118", "20250121"])
def test_minutes_are_kept_for_thirty_days(day: str) -> None:
    assert body(get(f"/stock/AAPL/chart/date/{day}")) == []


def test_a_batch_leaves_out_whom_it_does_not_know() -> None:
    reply = get("/stock/market/batch", symbols="AAPL,NOSUCH,brk.b", types="chart", range="5d")
    assert {name: len(entry["chart"]) for name, entry in body(reply).items()} == {"AAPL": 5, "BRK.B": 5}
    assert reply.cost == 100
    day = get("/stock/market/batch", symbols="AAPL,MSFT", types="chart", range="date", exactDate="20240102", chartByDay="true")
    assert (body(day)["MSFT"]["chart"][0]["date"], day.cost) == ("2024-01-02", 4)
    assert get("/stock/market/batch", symbols=",".join(["AAPL"] * 101), types="chart").status == 400


def test_a_quote_is_stamped_in_milliseconds() -> None:
    told = body(get("/stock/AAPL/quote"))
    assert (told["symbol"], told["isUSMarketOpen"]) == ("AAPL", False)
    assert told["latestUpdate"] // 1000 == int(datetime(2025, 1, 17, 21, tzinfo=UTC).timestamp())
    assert body(get("/stock/AAPL/quote", at=IN_SESSION))["isUSMarketOpen"]


def test_splits_and_dividends_of_a_range() -> None:
    (split,) = body(get("/stock/AAPL/splits/5y"))
    assert (split["exDate"], split["toFactor"], split["fromFactor"], split["ratio"]) == ("2020-08-31", 4, 1, 0.25)
    assert body(get("/stock/AAPL/splits/1y")) == []
    paid = body(get("/stock/AAPL/dividends/1y"))
    assert [p["exDate"] for p in paid] == sorted((p["exDate"] for p in paid), reverse=True)
    assert paid
    assert get("/stock/AAPL/dividends/10y").status == 403


def test_a_search_is_a_bare_list() -> None:
    assert [hit["symbol"] for hit in body(get("/search/apple"))][:1] == ["AAPL"]
    assert body(get("/search/zzqqzz")) == []


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/stock/NOSUCH/chart/max", 404, "Unknown symbol"),
        ("/stock/VOD.L/quote", 404, "Unknown symbol"),
        ("/stock/AAPL/chart/nonsense", 403, "The API key provided is not valid."),
        ("/stock/AAPL/chart/date/2020-11-10", 400, "You have supplied invalid values for this request"),
        ("/stock/AAPL/chart/date/20201345", 400, "You have supplied invalid values for this request"),
        ("/stock/AAPL/nothing", 404, "Not Found"),
        ("/nothing", 404, "Not Found"),
    ],
)
def test_errors_are_plain_text(path: str, status: int, words: str) -> None:
    assert said(get(path)) == (status, words)


def judged(provider: Provider, key: str, path: str = "/stock/AAPL/chart/max", **query: str) -> Reply:
    return provider.answer(DIALECT, Ask(f"/stable{path}", {"token": key} | query, {}, 0, "https://cloud.iexapis.com"))[0]


def test_the_key_is_read_from_the_query_alone() -> None:
    provider = Provider(VirtualClock(NOW))
    assert judged(provider, sandbox_key("iexcloud", "business")).status == 200
    assert said(judged(provider, "wrong")) == (403, "The API key provided is not valid.")
    assert judged(provider, "").status == 403


def test_a_spent_month_is_402_and_a_spent_second_429() -> None:
    provider, key = Provider(VirtualClock(NOW)), sandbox_key("iexcloud", "launch")
    assert judged(provider, key).status == 200
    assert said(judged(provider, key))[0] == 402  # 15 years cost three quarters of the month
    assert judged(provider, key, "/stock/AAPL/chart/date/20240102", chartByDay="true").status == 200
    strict = Provider(VirtualClock(NOW), allowances={"iexcloud": (Allowance(1, 1.0, of="requests"),)})
    assert [judged(strict, key, "/stock/AAPL/quote").status for _ in range(2)] == [200, 429]


def test_where_it_is_retired_nobody_answers() -> None:
    with pytest.raises(Gone):
        judged(Provider(VirtualClock(NOW)), sandbox_key("iexcloud", "retired"))
