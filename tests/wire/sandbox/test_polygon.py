"""The simulated Polygon: its envelope, stamps, pages, plans and refusals, over the in-process transport."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pytest

from mdagent.clock import VirtualClock
from mdagent.wire.sandbox import SandboxTransport, series
from mdagent.wire.sandbox.dialects import sandbox_key
from mdagent.wire.sandbox.provider import Provider
from mdagent.wire.sandbox.tickers import listing

OLD, NEW = "https://api.polygon.io", "https://api.massive.com"
SUNDAY = datetime(2025, 1, 19, 12, tzinfo=UTC)
IN_SESSION = datetime(2025, 1, 16, 16, 0, tzinfo=UTC)  # a Thursday, eleven in New York
DAILY = "/v2/aggs/ticker/AAPL/range/1/day/2024-01-02/2024-01-31"


def get(path: str, at: datetime = SUNDAY, plan: str | None = "advanced", base: str = OLD, **query: Any) -> httpx.Response:
    async def talk() -> httpx.Response:
        headers = {"Authorization": f"Bearer {sandbox_key('polygon', plan)}"} if plan else {}
        async with httpx.AsyncClient(transport=SandboxTransport(VirtualClock(at)), base_url=base, headers=headers) as client:
            return await client.get(path, params=query or None)

    return asyncio.run(talk())


def told(path: str, at: datetime = SUNDAY, plan: str | None = "advanced", **query: Any) -> dict[str, Any]:
    reply = get(path, at, plan, **query)
    assert reply.status_code == 200, reply.text
    made: dict[str, Any] = reply.json()
    return made


def clock(stamp: int, zone: str = "America/New_York") -> str:
    assert stamp % 1000 == 0, "milliseconds"
    return f"{datetime.fromtimestamp(stamp / 1000, UTC).astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M}"


# Aggregates


def test_an_answer_is_rows_of_one_letter_in_an_envelope() -> None:
    made = told(DAILY)
    assert {name: made[name] for name in ("ticker", "adjusted", "resultsCount", "count", "status")} == {
        "ticker": "AAPL",
        "adjusted": True,
        "resultsCount": 21,
        "count": 21,
        "status": "OK",
    }
    assert list(made["results"][0]) == ["v", "vw", "o", "c", "h", "l", "t", "n"]
    assert "next_url" not in made


def test_both_hosts_serve_the_same() -> None:
    old, new = get(DAILY).json(), get(DAILY, base=NEW).json()
    assert old == new


def test_days_begin_at_midnight_in_new_york_and_those_of_crypto_and_currencies_in_greenwich() -> None:
    summer = told("/v2/aggs/ticker/AAPL/range/1/day/2024-03-08/2024-03-11")["results"]
    assert [clock(row["t"]) for row in summer] == ["Fri 2024-03-08 00:00", "Mon 2024-03-11 00:00"]
    for ticker in ("X:BTCUSD", "C:EURUSD"):
        (row,) = told(f"/v2/aggs/ticker/{ticker}/range/1/day/2024-07-02/2024-07-02")["results"]
        assert clock(row["t"], "UTC") == "Tue 2024-07-02 00:00"


def test_weeks_begin_on_sunday_and_a_window_within_one_is_widened_to_it() -> None:
    (row,) = told("/v2/aggs/ticker/AAPL/range/1/week/2024-07-03/2024-07-03")["results"]
    assert clock(row["t"]) == "Sun 2024-06-30 00:00"
    (month,) = told("/v2/aggs/ticker/AAPL/range/1/month/2024-07-10/2024-07-11")["results"]
    assert clock(month["t"]) == "Mon 2024-07-01 00:00"


@pytest.mark.parametrize("adjusted", ["true", "false"])
def test_prices_are_the_truth_raw_or_adjusted(adjusted: str) -> None:
    ticker = listing("AAPL")
    assert ticker is not None
    bars = series.daily(series.at(ticker, int(SUNDAY.timestamp())), "splits" if adjusted == "true" else "raw")
    due = {str(day): (o, v) for day, o, v in zip(bars.day, bars.open.tolist(), bars.volume.tolist(), strict=True)}
    rows = told("/v2/aggs/ticker/AAPL/range/1/day/2020-08-24/2020-09-04", adjusted=adjusted)["results"]
    assert len(rows) == 10
    for row in rows:
        day = clock(row["t"])[4:14]
        assert row["o"] == pytest.approx(due[day][0], rel=1e-9)
        assert row["v"] == due[day][1]
        assert row["l"] <= row["vw"] <= row["h"]


def test_minutes_go_from_four_to_eight_and_hours_begin_on_the_clock_so_that_they_mix() -> None:
    path = "/v2/aggs/ticker/AAPL/range"
    minutes = [clock(row["t"])[-5:] for row in told(f"{path}/1/minute/2024-07-01/2024-07-01", limit=50000)["results"]]
    assert (minutes[0], minutes[-1]) == ("04:00", "19:30")
    assert sum("09:30" <= m < "16:00" for m in minutes) == 390
    halves = {clock(row["t"])[-5:]: row for row in told(f"{path}/30/minute/2024-07-01/2024-07-01", limit=50000)["results"]}
    hours = {clock(row["t"])[-5:]: row for row in told(f"{path}/1/hour/2024-07-01/2024-07-01", limit=50000)["results"]}
    assert hours["09:00"]["v"] == halves["09:00"]["v"] + halves["09:30"]["v"]
    assert hours["09:00"]["h"] == max(halves["09:00"]["h"], halves["09:30"]["h"])


def test_a_half_day_is_followed_by_four_hours_too() -> None:
    rows = told("/v2/aggs/ticker/AAPL/range/30/minute/2024-11-29/2024-11-29", limit=50000)["results"]
    assert (clock(rows[0]["t"])[-5:], clock(rows[-1]["t"])[-5:]) == ("04:00", "16:30")


def test_an_index_has_prices_alone() -> None:
    (row,) = told("/v2/aggs/ticker/I:SPX/range/1/day/2024-01-02/2024-01-02")["results"]
    assert set(row) == {"o", "h", "l", "c", "t"}


@pytest.mark.parametrize("ticker", ["NOSUCH", "aapl", "VFINX", "IBE.MC", "EURUSD=X", "BTC-USD", "^GSPC"])
def test_what_it_does_not_know_is_an_empty_answer_without_results(ticker: str) -> None:
    made = told(f"/v2/aggs/ticker/{ticker}/range/1/day/2024-01-02/2024-01-31")
    assert (made["status"], made["resultsCount"], "results" in made) == ("OK", 0, False)


def test_a_halted_session_has_no_row() -> None:
    ticker = listing("SYM00007")
    assert ticker is not None
    bars = series.daily(series.at(ticker, int(SUNDAY.timestamp())))
    halted = bars.day[np.isnan(bars.open)][-1:]
    assert len(halted)
    path = f"/v2/aggs/ticker/SYM00007/range/1/{{}}/{halted[0]}/{halted[0]}"
    assert told(path.format("day"))["resultsCount"] == 0
    assert told(path.format("minute"))["resultsCount"] == 0


# Pages


def walk(path: str, **query: Any) -> tuple[list[int], list[str]]:
    """All stamps of an answer, and the addresses of its further pages."""
    made = told(path, **query)
    stamps, followed = [row["t"] for row in made.get("results", ())], []
    while "next_url" in made:
        followed.append(made["next_url"])
        made = told(followed[-1])
        stamps += [row["t"] for row in made.get("results", ())]
    return stamps, followed


def test_pages_join_without_gap_or_overlap_and_the_limit_counts_minutes() -> None:
    path = "/v2/aggs/ticker/AAPL/range/1/hour/2024-07-01/2024-07-31"
    whole, none = walk(path, limit=50000)
    parts, followed = walk(path)
    assert (whole, none) == (parts, [])
    assert len(told(path)["results"]) == 5000 // 60
    assert all(address.startswith(f"{NEW}/v2/aggs/ticker/AAPL/range/1/hour/") for address in followed)
    assert not any("sandbox" in address for address in followed), "the key is not in it"


def test_newest_first_is_the_same_backwards() -> None:
    path = "/v2/aggs/ticker/AAPL/range/1/day/2024-01-02/2024-03-31"
    assert walk(path, sort="desc", limit=7)[0] == walk(path)[0][::-1]


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("/v2/aggs/ticker/AAPL/range/1/day/yesterday/2024-01-31", {}, "'from'"),
        ("/v2/aggs/ticker/AAPL/range/1/day/2024-01-31/2024-01-02", {}, "'to'"),
        ("/v2/aggs/ticker/AAPL/range/1/fortnight/2024-01-02/2024-01-31", {}, "fortnight"),
        (DAILY, {"limit": "0"}, "'limit'"),
        (DAILY, {"limit": "60000"}, "'limit'"),
        (DAILY, {"cursor": "\u00e9"}, "cursor"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_an_envelope(path: str, query: dict[str, Any], words: str) -> None:
    reply = get(path, **query)
    assert (reply.status_code, reply.json()["status"]) == (400, "ERROR")
    assert words in reply.json()["error"]


# The whole market


def test_a_day_of_the_whole_market_is_stamped_at_four_in_the_afternoon() -> None:
    made = told("/v2/aggs/grouped/locale/us/market/stocks/2020-08-28", adjusted="false")
    (apple,) = [row for row in made["results"] if row["T"] == "AAPL"]
    assert clock(apple["t"]) == "Fri 2020-08-28 16:00"
    (single,) = told("/v2/aggs/ticker/AAPL/range/1/day/2020-08-28/2020-08-28", adjusted="false")["results"]
    assert {k: v for k, v in apple.items() if k not in "Tt"} == {k: v for k, v in single.items() if k != "t"}
    (adjusted,) = [row for row in told("/v2/aggs/grouped/locale/us/market/stocks/2020-08-28")["results"] if row["T"] == "AAPL"]
    assert adjusted["c"] == pytest.approx(apple["c"] / 4)
    assert adjusted["v"] == apple["v"] * 4
    assert len(made["results"]) > 400


@pytest.mark.parametrize("day", ["2024-07-04", "2024-07-06", "2025-01-21"])
def test_a_day_without_a_session_or_still_ahead_is_empty(day: str) -> None:
    assert told(f"/v2/aggs/grouped/locale/us/market/stocks/{day}")["resultsCount"] == 0


# Keys, plans, quotas


def test_a_key_is_needed_in_the_header_or_in_the_query() -> None:
    for plan, words in ((None, "API Key was not provided"), ("nobody", "Unknown API Key")):
        reply = get(DAILY, plan=plan)
        assert (reply.status_code, reply.json()["status"], reply.json()["error"]) == (401, "ERROR", words)
    assert get(DAILY, plan=None, apiKey=sandbox_key("polygon", "basic")).status_code == 200


@pytest.mark.parametrize(("plan", "years"), [("basic", 2), ("starter", 5), ("developer", 10)])
def test_a_plan_reaches_so_many_years_back(plan: str, years: int) -> None:
    for back, status in ((years * 365 - 5, 200), (years * 366 + 30, 403)):
        day = f"{SUNDAY - timedelta(days=back):%Y-%m-%d}"
        reply = get(f"/v2/aggs/ticker/AAPL/range/1/day/{day}/{SUNDAY:%Y-%m-%d}", plan=plan)
        assert reply.status_code == status
        assert status == 200 or "Your plan doesn't include this data timeframe" in reply.json()["message"]
    assert get("/v2/aggs/ticker/AAPL/range/1/day/1990-01-02/1990-01-31").json()["resultsCount"] == 22


def test_the_basic_plan_tells_a_day_when_it_is_over() -> None:
    path = "/v2/aggs/ticker/AAPL/range/1/day"
    early = get(f"{path}/2025-01-16/2025-01-16", IN_SESSION, "basic")
    assert (early.status_code, early.json()["status"]) == (403, "NOT_AUTHORIZED")
    assert "before end of day" in early.json()["message"]
    until_yesterday = told(f"{path}/2025-01-13/2025-01-16", IN_SESSION, "basic")
    assert (until_yesterday["status"], until_yesterday["resultsCount"]) == ("DELAYED", 3)
    assert get("/v2/aggs/grouped/locale/us/market/stocks/2025-01-16", IN_SESSION, "basic").status_code == 403


def test_a_delayed_plan_tells_a_quarter_of_an_hour_late_and_says_so() -> None:
    path = "/v2/aggs/ticker/AAPL/range/1/minute/2025-01-16/2025-01-16"
    for plan, last, status in (("starter", "10:44", "DELAYED"), ("advanced", "10:59", "OK")):
        made = told(path, IN_SESSION, plan, limit=50000)
        assert (clock(made["results"][-1]["t"])[-5:], made["status"]) == (last, status)


def test_the_snapshot_tells_more_the_dearer_the_plan() -> None:
    path = "/v2/snapshot/locale/us/markets/stocks/tickers/AAPL"
    assert get(path, plan="basic").json()["message"].startswith("You are not entitled to this data")
    keys = {plan: set(told(path, IN_SESSION, plan)["ticker"]) for plan in ("starter", "developer", "advanced")}
    assert keys["developer"] - keys["starter"] == {"lastTrade"}
    assert keys["advanced"] - keys["developer"] == {"lastQuote"}
    assert told(path)["ticker"]["lastTrade"]["t"] > 10**18, "nanoseconds"
    unknown = get("/v2/snapshot/locale/us/markets/stocks/tickers/NOSUCH")
    assert (unknown.status_code, unknown.json()["status"]) == (404, "NOT_FOUND")


def test_the_sixth_request_of_a_minute_is_one_too_many_for_the_basic_plan() -> None:
    async def talk() -> list[int]:
        clock = VirtualClock(SUNDAY)
        transport = SandboxTransport(clock, provider=Provider(clock))
        headers = {"Authorization": f"Bearer {sandbox_key('polygon', 'basic')}"}
        async with httpx.AsyncClient(transport=transport, base_url=OLD, headers=headers) as client:
            return [(await client.get(DAILY)).status_code for _ in range(6)]

    assert asyncio.run(talk()) == [200] * 5 + [429]


# The lists


def test_splits_and_dividends_in_the_new_words_and_the_old() -> None:
    edges: dict[str, Any] = {"execution_date.gte": "2020-01-01", "execution_date.lt": "2021-01-01"}
    (new,) = told("/stocks/v1/splits", ticker="AAPL", **edges)["results"]
    (old,) = told("/v3/reference/splits", ticker="AAPL", **edges)["results"]
    assert old == {"execution_date": "2020-08-31", "split_from": 1, "split_to": 4, "ticker": "AAPL"}
    assert new.items() > old.items()
    assert (new["historical_adjustment_factor"], new["adjustment_type"]) == (0.25, "forward_split")
    before: dict[str, Any] = {"ex_dividend_date.lt": "2020-08-31"}
    paid = told("/stocks/v1/dividends", ticker="AAPL", **before)["results"][0]
    assert paid["split_adjusted_cash_amount"] == pytest.approx(paid["cash_amount"] / 4)
    assert "dividend_type" in told("/v3/reference/dividends", ticker="AAPL")["results"][0]
    assert told("/stocks/v1/splits", ticker="NOSUCH")["results"] == []


def test_lists_come_in_pages() -> None:
    made = told("/stocks/v1/dividends", ticker="KO", limit=40, sort="ex_dividend_date.asc")
    days = [row["ex_dividend_date"] for row in made["results"]]
    while "next_url" in made:
        made = told(made["next_url"])
        days += [row["ex_dividend_date"] for row in made["results"]]
    assert days == sorted(set(days))
    assert len(days) > 200


def test_a_search_looks_at_names_and_tickers() -> None:
    found = {row["ticker"]: row for row in told("/v3/reference/tickers", search="bitcoin")["results"]}
    assert (found["X:BTCUSD"]["base_currency_symbol"], found["X:BTCUSD"]["currency_symbol"]) == ("BTC", "USD")
    (apple,) = told("/v3/reference/tickers", search="aapl", market="stocks")["results"]
    assert (apple["primary_exchange"], apple["type"]) == ("XNAS", "CS")
    assert [row["ticker"] for row in told("/v3/reference/tickers", search="SYM00017")["results"]] == ["SYM00017"]


MOMENTS = {"2025-01-16T16:00": "open", "2025-01-16T10:00": "extended-hours", "2025-01-19T16:00": "closed"}
STATES = MOMENTS | {"2025-01-16T22:00": "extended-hours"}


@pytest.mark.parametrize(("at", "state"), list(STATES.items()))
def test_the_market_is_told_without_an_envelope(at: str, state: str) -> None:
    made = told("/v1/marketstatus/now", datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert (made["market"], made["exchanges"]["nyse"], made["currencies"]["crypto"]) == (state, state, "open")
    assert "status" not in made


def test_any_other_path_is_no_page_of_its() -> None:
    assert get("/v9/anything").status_code == 404
