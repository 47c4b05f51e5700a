"""The simulated Yahoo, over its in-process transport and over a socket."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from mdagent.clock import VirtualClock, virtual_loop
from mdagent.wire.sandbox import SandboxTransport
from mdagent.wire.sandbox.dialects import Allowance, Ask, dialects
from mdagent.wire.sandbox.provider import Provider
from mdagent.wire.sandbox.server import serve

BASE = "https://query1.finance.yahoo.com"
SATURDAY = datetime(2025, 2, 22, 12, 0, tzinfo=UTC)
IN_SESSION = datetime(2025, 2, 20, 16, 35, 44, tzinfo=UTC)  # a Thursday, New York and London open


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def get(path: str, at: datetime = SATURDAY, **query: str | int) -> httpx.Response:
    async def talk() -> httpx.Response:
        async with httpx.AsyncClient(transport=SandboxTransport(VirtualClock(at)), base_url=BASE) as client:
            return await client.get(path, params=query or None)

    return asyncio.run(talk())


def chart(symbol: str, at: datetime = SATURDAY, **query: str | int) -> dict[str, Any]:
    reply = get(f"/v8/finance/chart/{symbol}", at, **query)
    assert reply.status_code == 200, reply.text
    result: dict[str, Any] = reply.json()["chart"]["result"][0]
    return result


def bars(result: dict[str, Any]) -> dict[int, tuple[Any, ...]]:
    quote = result["indicators"]["quote"][0]
    names = ("open", "high", "low", "close", "volume")
    return dict(zip(result.get("timestamp", []), zip(*(quote[n] for n in names), strict=True) if quote else (), strict=True))


def between(symbol: str, start: str, end: str, at: datetime = SATURDAY, **query: str | int) -> dict[str, Any]:
    return chart(symbol, at, period1=epoch(start), period2=epoch(end), **query)


def test_january_2024_has_its_21_sessions() -> None:
    for symbol in ("AAPL", "MSFT"):
        found = bars(between(symbol, "2024-01-02", "2024-02-01", interval="1d"))
        assert len(found) == 21
        assert all(None not in row for row in found.values())


@pytest.mark.parametrize("symbol", ["AAPL", "SYM00017", "EURUSD=X", "IBE.MC"])
@pytest.mark.parametrize("interval", ["1d", "1wk", "1mo"])
def test_any_window_is_a_slice_of_a_wider_one(symbol: str, interval: str) -> None:
    wide = bars(between(symbol, "2015-01-01", "2025-02-22", interval=interval))
    for start, end in (("2015-01-01", "2016-01-01"), ("2019-06-13", "2020-09-01"), ("2024-12-30", "2025-02-22")):
        narrow = bars(between(symbol, start, end, interval=interval))
        assert narrow == {ts: row for ts, row in wide.items() if epoch(start) <= ts < epoch(end)}


@pytest.mark.parametrize("interval", ["1m", "5m", "1h"])
def test_an_intraday_window_is_a_slice_of_a_wider_one(interval: str) -> None:
    wide = bars(between("AAPL", "2025-02-14", "2025-02-22", interval=interval))
    narrow = bars(between("AAPL", "2025-02-18T15:00:00", "2025-02-20T16:05:00", interval=interval))
    assert narrow == {ts: r for ts, r in wide.items() if epoch("2025-02-18T15:00:00") <= ts < epoch("2025-02-20T16:05:00")}
    assert narrow


def test_what_happens_later_changes_no_earlier_bar() -> None:
    early = bars(between("AAPL", "2024-01-01", "2024-06-01", datetime(2024, 7, 1, tzinfo=UTC), interval="1d"))
    assert early == bars(between("AAPL", "2024-01-01", "2024-06-01", interval="1d"))


def test_daily_bars_are_stamped_at_the_open_in_summer_and_winter() -> None:
    stamps = list(bars(between("AAPL", "2024-03-08", "2024-03-12", interval="1d")))
    assert stamps == [epoch("2024-03-08T14:30:00"), epoch("2024-03-11T13:30:00")]


def test_fx_and_crypto_days_are_stamped_at_local_midnight() -> None:
    assert list(bars(between("EURUSD=X", "2024-07-01", "2024-07-03", interval="1d"))) == [
        epoch("2024-07-01T23:00:00"),
        epoch("2024-07-02T23:00:00"),
    ]
    assert epoch("2024-06-01") in bars(between("BTC-USD", "2024-06-01", "2024-06-02", interval="1d"))  # a Saturday


def test_weeks_begin_on_monday_and_months_on_the_first_local_midnight() -> None:
    weeks = list(bars(between("AIR.PA", "2024-06-01", "2024-06-20", interval="1wk")))
    assert weeks == [epoch("2024-06-02T22:00:00"), epoch("2024-06-09T22:00:00"), epoch("2024-06-16T22:00:00")]
    months = list(bars(between("AAPL", "2024-01-01", "2024-04-02", interval="1mo")))
    assert months == [
        epoch("2024-01-01T05:00:00"),
        epoch("2024-02-01T05:00:00"),
        epoch("2024-03-01T05:00:00"),
        epoch("2024-04-01T04:00:00"),
    ]


def test_a_month_sums_up_its_days() -> None:
    days = list(bars(between("AAPL", "2024-03-01", "2024-04-01", interval="1d")).values())
    (month,) = bars(between("AAPL", "2024-03-01", "2024-04-01", interval="1mo")).values()
    opens, highs, lows, closes, volumes = zip(*days, strict=True)
    assert month == (opens[0], max(highs), min(lows), closes[-1], sum(volumes))


def test_a_half_day_ends_early() -> None:
    stamps = list(bars(between("AAPL", "2024-11-29", "2024-11-30", datetime(2024, 12, 2, tzinfo=UTC), interval="1m")))
    assert (stamps[0], stamps[-1], len(stamps)) == (epoch("2024-11-29T14:30:00"), epoch("2024-11-29T17:59:00"), 210)


def test_a_split_restates_what_lies_before_it_once_it_has_happened() -> None:
    before = bars(between("AAPL", "2020-08-03", "2020-08-29", datetime(2020, 8, 30, tzinfo=UTC), interval="1d"))
    later = bars(between("AAPL", "2020-08-03", "2020-08-29", interval="1d", events="div,splits"))
    for ts, (*prices, volume) in before.items():
        assert [p / 4 for p in prices] == pytest.approx(later[ts][:4], rel=1e-6)
        assert volume * 4 == later[ts][4]
    result = between("AAPL", "2020-08-03", "2020-09-03", interval="1d", events="div,splits")
    ((key, split),) = result["events"]["splits"].items()
    assert split == {"date": int(key), "numerator": 4.0, "denominator": 1.0, "splitRatio": "4:1"}
    assert int(key) == epoch("2020-08-31T13:30:00")
    closes = [row[3] for row in bars(result).values()]
    assert np.abs(np.diff(np.log(closes))).max() < 0.2


def test_splits_to_come_are_not_told() -> None:
    early = between("AAPL", "2020-01-02", "2021-01-01", datetime(2020, 8, 30, tzinfo=UTC), interval="1d", events="splits")
    assert "splits" not in early.get("events", {})


def test_adjclose_accounts_for_dividends() -> None:
    result = between("KO", "2024-01-02", "2025-01-01", interval="1d", events="div")
    closes = result["indicators"]["quote"][0]["close"]
    adjusted = result["indicators"]["adjclose"][0]["adjclose"]
    factors = [a / c for a, c in zip(adjusted, closes, strict=True)]
    assert factors[0] < factors[-1] <= 1.0
    assert len({round(f, 5) for f in factors}) == 1 + len(result["events"]["dividends"])


def test_prices_are_float32_widened() -> None:
    for row in bars(between("AAPL", "2024-01-02", "2024-02-01", interval="1d")).values():
        assert all(float(np.float32(p)) == p for p in row[:4])


def test_hours_of_a_day_agree_with_the_day() -> None:
    (day,) = bars(between("AAPL", "2025-02-20", "2025-02-21", interval="1d")).values()
    opens, highs, lows, closes, volumes = zip(*bars(between("AAPL", "2025-02-20", "2025-02-21", interval="1h")).values(), strict=True)
    assert (opens[0], max(highs), min(lows), closes[-1], sum(volumes)) == day


def test_a_halted_session_keeps_its_stamp_with_nulls() -> None:
    result = between("SYM00017", "2005-01-01", "2025-01-01", interval="1d")
    halted = [row for row in bars(result).values() if None in row]
    assert halted
    assert set(halted) == {(None,) * 5}
    nulls = result["indicators"]["adjclose"][0]["adjclose"].count(None)
    assert nulls == len(halted)


def test_an_empty_range_has_no_timestamp_key() -> None:
    result = between("AAPL", "2025-02-15", "2025-02-16", interval="5m")
    assert "timestamp" not in result
    assert result["indicators"] == {"quote": [{}]}


def test_a_fund_has_no_intraday_bars_and_one_price_a_day() -> None:
    assert "timestamp" not in chart("VFINX", range="5d", interval="1h")
    for o, high, low, c, volume in bars(chart("VFINX", range="1mo", interval="1d")).values():
        assert (o, high, low, volume) == (c, c, c, 0)


@pytest.mark.parametrize("symbol", ["AAPL", "VOD.L", "EURUSD=X", "BTC-USD", "GC=F", "^GSPC"])
@pytest.mark.parametrize("interval", ["1m", "1h", "1d", "1wk", "1mo"])
def test_no_bar_lies_in_the_future(symbol: str, interval: str) -> None:
    for minutes in (0, 7, 400, 420, 800):
        now = IN_SESSION + timedelta(minutes=minutes)
        result = chart(symbol, now, range="5d" if interval.endswith(("m", "h")) else "3mo", interval=interval)
        assert max(result["timestamp"]) <= now.timestamp()
        assert result["meta"]["regularMarketTime"] <= now.timestamp()
        assert result["timestamp"] == sorted(set(result["timestamp"]))


def test_the_live_daily_bar_is_stamped_with_the_last_trade() -> None:
    result = chart("AAPL", IN_SESSION, range="5d", interval="1d")
    assert len(result["timestamp"]) == 5
    last = result["timestamp"][-1]
    assert last == result["meta"]["regularMarketTime"] == epoch("2025-02-20T16:35:37")
    period = result["meta"]["currentTradingPeriod"]["regular"]
    assert period["start"] < last < period["end"]
    live, final = bars(result)[last], bars(between("AAPL", "2025-02-20", "2025-02-21", interval="1d"))
    (whole,) = final.values()
    assert live[0] == whole[0]
    assert live[1] <= whole[1]
    assert live[4] < whole[4]


def test_a_live_intraday_series_ends_with_a_flat_row_off_the_grid() -> None:
    result = chart("AAPL", IN_SESSION, range="1d", interval="1h")
    rows = bars(result)
    *grid, last = rows
    assert grid == [epoch("2025-02-20T14:30:00"), epoch("2025-02-20T15:30:00"), epoch("2025-02-20T16:30:00")]
    assert last == epoch("2025-02-20T16:35:37")
    assert rows[last][:4] == (rows[last][3],) * 4
    assert rows[last][3] == rows[grid[-1]][3]


@pytest.mark.parametrize(("interval", "begin"), [("1wk", "2025-02-17T05:00:00"), ("1mo", "2025-02-01T05:00:00")])
def test_the_current_week_and_month_arrive_as_two_rows(interval: str, begin: str) -> None:
    stamps = chart("AAPL", IN_SESSION, range="6mo", interval=interval)["timestamp"]
    assert stamps[-2:] == [epoch(begin), epoch("2025-02-20T16:35:37")]
    assert chart("AAPL", range="6mo", interval=interval)["timestamp"][-1] == epoch(begin)


def test_past_windows_are_untouched_by_a_session_in_progress() -> None:
    assert bars(between("AAPL", "2025-02-10", "2025-02-20", IN_SESSION)) == bars(between("AAPL", "2025-02-10", "2025-02-20"))


def test_meta_says_what_was_asked_and_answered() -> None:
    meta = chart("BRK-B", range="1mo", interval="1d")["meta"]
    expected = {
        "symbol": "BRK-B",
        "currency": "USD",
        "exchangeName": "NYQ",
        "instrumentType": "EQUITY",
        "dataGranularity": "1d",
        "range": "1mo",
    }
    assert meta.items() >= expected.items()
    assert meta["exchangeTimezoneName"] == "America/New_York"
    assert (meta["gmtoffset"], meta["timezone"], meta["priceHint"]) == (-18000, "EST", 2)
    assert chart("VOD.L")["meta"]["currency"] == "GBp"


def test_chart_previous_close_is_the_close_before_the_range() -> None:
    result = between("AAPL", "2024-03-11", "2024-04-01", interval="1d")
    (before,) = bars(between("AAPL", "2024-03-08", "2024-03-09", interval="1d")).values()
    assert result["meta"]["chartPreviousClose"] == pytest.approx(before[3], abs=1e-3)


def test_search_finds_by_name_and_by_symbol() -> None:
    quotes = get("/v1/finance/search", q="iberdrola", quotesCount=5).json()["quotes"]
    assert [(q["symbol"], q["exchange"], q["quoteType"]) for q in quotes] == [("IBE.MC", "MCE", "EQUITY")]
    assert get("/v1/finance/search", q="AAPL").json()["quotes"][0]["symbol"] == "AAPL"
    assert get("/v1/finance/search", q="no such thing").json()["quotes"] == []


def chart_error(symbol: str, status: int, **query: str | int) -> dict[str, str]:
    reply = get(f"/v8/finance/chart/{symbol}", SATURDAY, **query)
    assert reply.status_code == status
    assert reply.json()["chart"]["result"] is None
    error: dict[str, str] = reply.json()["chart"]["error"]
    return error


def test_an_unknown_symbol_is_a_404() -> None:
    assert chart_error("NOSUCH", 404) == {"code": "Not Found", "description": "No data found, symbol may be delisted"}


@pytest.mark.parametrize(
    ("interval", "start", "end", "words"),
    [
        (
            "1m",
            "2025-01-10",
            "2025-01-11",
            "1m data not available for startTime=1736467200 and endTime=1736553600. The requested range must be within the last 30 days.",
        ),
        ("1m", "2025-02-10", "2025-02-20", "Only 8 days worth of 1m granularity data are allowed to be fetched per request."),
        ("15m", "2024-12-01", "2024-12-02", "within the last 60 days."),
        ("1h", "2023-01-01", "2025-01-02", "within the last 730 days."),
    ],
)
def test_intraday_too_old_or_too_long_is_a_422(interval: str, start: str, end: str, words: str) -> None:
    error = chart_error("AAPL", 422, interval=interval, period1=epoch(start), period2=epoch(end))
    assert error["code"] == "Unprocessable Entity"
    assert error["description"].endswith(words)


@pytest.mark.parametrize(("start", "end"), [("1980-01-01", "1980-12-01"), ("2025-02-23", "2025-03-01")])
def test_a_window_before_the_listing_or_after_now_is_a_400(start: str, end: str) -> None:
    error = chart_error("AAPL", 400, period1=epoch(start), period2=epoch(end))
    assert error == {"code": "Bad Request", "description": f"Data doesn't exist for startDate = {epoch(start)}, endDate = {epoch(end)}"}


@pytest.mark.parametrize("query", [{"interval": "4s"}, {"range": "7w"}, {"period1": "x"}, {"period1": "20", "period2": "10"}])
def test_nonsense_is_a_400(query: dict[str, str]) -> None:
    assert chart_error("AAPL", 400, **query)["code"] == "Bad Request"


def test_a_quote_without_a_crumb_is_a_401() -> None:
    reply = get("/v7/finance/quote", symbols="AAPL")
    assert reply.status_code == 401
    assert reply.json() == {"finance": {"result": None, "error": {"code": "Unauthorized", "description": "Invalid Crumb"}}}


def test_the_referee_counts_and_refuses_over_quota() -> None:
    clock = VirtualClock(SATURDAY)
    provider = Provider(clock, allowances={"yahoo": (Allowance(3, 60.0), Allowance(5, 3600.0))})
    transport = SandboxTransport(clock, provider=provider)

    async def statuses(n: int) -> list[int]:
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            replies = [await client.get("/v7/finance/quote") for _ in range(n)]
        refused = [r for r in replies if r.status_code == 429]
        assert all(r.text.strip() == "Too Many Requests" and r.headers["content-type"] == "text/html" for r in refused)
        assert not any("retry-after" in r.headers for r in refused)
        return [r.status_code for r in replies]

    assert asyncio.run(statuses(4)) == [401, 401, 401, 429]
    clock.pause(60)
    assert asyncio.run(statuses(3)) == [401, 401, 429]
    clock.pause(3540)
    assert asyncio.run(statuses(3)) == [401, 401, 401]
    assert provider.requests == 10
    assert provider.log[0].path == "/v7/finance/quote"
    assert [seen.status for seen in provider.log].count(429) == 2


def test_clients_have_quotas_of_their_own() -> None:
    provider = Provider(VirtualClock(SATURDAY), only="yahoo", allowances={"yahoo": (Allowance(1, 60.0),)})
    ask = Ask("/", {}, {}, 0, BASE)
    told = [provider.answer(dialects()["yahoo"], ask, client)[0].status for client in ("a", "a", "b")]
    assert told == [404, 429, 404]


def test_latency_passes_on_the_clock() -> None:
    clock = VirtualClock(SATURDAY)

    async def ask() -> None:
        async with httpx.AsyncClient(transport=SandboxTransport(clock, latency=0.5)) as client:
            await client.get(f"{BASE}/")

    loop = virtual_loop(clock)
    loop.run_until_complete(ask())
    loop.close()
    assert clock.monotonic() == pytest.approx(0.5)


def test_other_hosts_cannot_be_connected_to() -> None:
    with pytest.raises(httpx.ConnectError):
        get("https://example.com/")


def test_the_server_answers_the_same_bytes_as_the_transport(capfd: pytest.CaptureFixture[str]) -> None:
    paths = [
        "/v8/finance/chart/%5EGSPC?range=1mo&interval=1d",
        "/v8/finance/chart/EURUSD=X?range=5d&interval=1h",
        "/v8/finance/chart/NOSUCH",
    ]
    with serve(VirtualClock(IN_SESSION)) as server, httpx.Client(base_url=server.base_urls["yahoo"], trust_env=False) as client:
        for path in paths:
            over_socket, in_process = client.get(path), get(path, IN_SESSION)
            assert (over_socket.status_code, over_socket.content) == (in_process.status_code, in_process.content)
            assert over_socket.headers["content-type"] == in_process.headers["content-type"] == "application/json;charset=utf-8"
            assert over_socket.headers["date"] == "Thu, 20 Feb 2025 16:35:44 GMT"
            assert int(over_socket.headers["content-length"]) == len(over_socket.content)
            json.loads(over_socket.content)
        assert server.providers["yahoo"].requests == len(paths)
    assert capfd.readouterr().err == ""


def test_a_closed_server_is_gone_and_may_be_closed_again() -> None:
    server = serve(VirtualClock(SATURDAY))
    server.close()
    server.close()
    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.ConnectError):
        client.get(server.base_urls["yahoo"])
