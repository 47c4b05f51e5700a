"""Polygon: what it is asked for, what its bars are, what its refusals mean."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import Adjustment, BarRequest, BarSet, Interval
from mdagent.sessions import build
from mdagent.sources import load, spec_of
from mdagent.sources.polygon import _closing
from tests.sources.answers import NEW_YORK, ask, at, days, hold, reply

if TYPE_CHECKING:
    import httpx

K = FailureKind
ADVANCED = load("polygon", api_key="KEY", plan="advanced")


def row(stamp: Any, close: float = 10.0, **more: Any) -> dict[str, Any]:
    """A bar round a close, stamped with epoch seconds made milliseconds."""
    t = stamp * 1000 if isinstance(stamp, int) else stamp
    told = {"v": 1000.0, "vw": close, "o": close - 0.5, "c": close, "h": close + 1, "l": close - 1, "t": t, "n": 7} | more
    return {name: value for name, value in told.items() if value is not ...}


def body(*rows: dict[str, Any], **facts: Any) -> dict[str, Any]:
    told = {"ticker": "AAPL", "queryCount": len(rows), "resultsCount": len(rows), "adjusted": True, "results": list(rows), "status": "OK"}
    return {name: value for name, value in (told | facts).items() if value is not ...}


def midnight(day: str, zone: str = NEW_YORK) -> int:
    return at(day, "00:00", zone)


THREE = [row(midnight("2024-01-02"), 10.0), row(midnight("2024-01-03"), 11.0), row(midnight("2024-01-04"), 12.0)]


def bars(request: BarRequest, *bodies: dict[str, Any]) -> BarSet:
    return hold(ADVANCED.bars(request), *(reply(made) for made in bodies))[1]


def refused(request: BarRequest, *bodies: dict[str, Any]) -> Failure:
    with pytest.raises(ConversationFailed) as caught:
        bars(request, *bodies)
    return caught.value.failure


def first(request: BarRequest) -> httpx.Request:
    return next(ADVANCED.bars(request))


def window(request: BarRequest) -> str:
    return first(request).url.path.partition("/range/")[2]


# The facts


def test_the_plans_are_those_of_the_price_list() -> None:
    spec = spec_of("polygon")
    assert [(plan.name, plan.usd) for plan in spec.plans] == [("basic", 0.0), ("starter", 29.0), ("developer", 79.0), ("advanced", 199.0)]
    basic = spec.plans[0]
    assert (basic.quotas[0].limit, basic.quotas[0].per, basic.quotas[0].of) == (5, 60.0, "requests")
    assert basic.lacks == {"quote"}
    assert load("polygon").delay > timedelta(days=1), "no day is final on the evening of it"
    assert [(m.day, m.state) for m in spec.lifecycle] == [(date(2025, 10, 30), "renamed")]


# What it is asked for


def test_days_are_asked_for_by_date_both_ends_included_and_the_key_is_in_no_address() -> None:
    request = first(ask(adjust="raw"))
    assert (request.url.host, request.url.path) == ("api.polygon.io", "/v2/aggs/ticker/AAPL/range/1/day/2024-01-02/2024-01-31")
    assert dict(request.url.params) == {"adjusted": "false", "sort": "asc", "limit": "50000"}
    assert request.headers["authorization"] == "Bearer KEY"
    assert "KEY" not in str(request.url)


@pytest.mark.parametrize(("adjust", "flag"), [("raw", "false"), ("splits", "true"), ("all", "true")])
def test_prices_are_asked_for_raw_or_adjusted_for_splits(adjust: str, flag: str) -> None:
    assert first(ask(adjust=adjust)).url.params["adjusted"] == flag


@pytest.mark.parametrize(
    ("interval", "start", "end", "asked"),
    [
        ("1w", "2024-01-02", "2024-02-01", "1/week/2024-01-07/2024-02-03"),  # Mondays the 8th to the 29th, whole weeks from Sunday
        ("1w", "2024-01-01", "2024-01-08", "1/week/2023-12-31/2024-01-06"),
        ("1mo", "2024-01-02", "2024-03-02", "1/month/2024-02-01/2024-03-31"),
        ("1mo", "2024-01-01", "2024-02-01", "1/month/2024-01-01/2024-01-31"),
        ("5m", "2024-01-02T14:31", "2024-01-02T15:00", "5/minute/1704206100000/1704207599999"),
        ("1m", "2024-01-02T14:30", "2024-01-02T14:31", "1/minute/1704205800000/1704205859999"),
        ("1h", "2024-01-02T14:00", "2024-01-02T16:00", "30/minute/1704205800000/1704212999999"),
    ],
)
def test_a_window_is_asked_for_in_whole_bars(interval: str, start: str, end: str, asked: str) -> None:
    assert window(ask(interval=interval, start=start, end=end)) == asked


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        ("1d", "2024-01-02T10:00", "2024-01-02T12:00"),
        ("1w", "2024-01-02", "2024-01-05"),
        ("1mo", "2024-01-02", "2024-02-01"),
        ("1h", "2024-01-02T15:00", "2024-01-02T15:20"),
        ("5m", "2024-01-02T15:01", "2024-01-02T15:04"),
    ],
)
def test_where_no_bar_can_begin_nothing_is_asked(interval: str, start: str, end: str) -> None:
    assert refused(ask(interval=interval, start=start, end=end)).kind is K.NO_DATA


@pytest.mark.parametrize(
    ("symbol", "path"),
    [
        ("BRK.B", "BRK.B"),
        ("brk-b", "BRK.B"),
        ("BAC-PL", "BACpL"),
        ("EUR/USD", "C%3AEURUSD"),
        ("EURUSD=X", "C%3AEURUSD"),
        ("JPY=X", "C%3AUSDJPY"),
        ("BTC-USD", "X%3ABTCUSD"),
        ("BTC/USD", "X%3ABTCUSD"),
        ("X:BTCUSD", "X%3ABTCUSD"),
        ("I:SPX", "I%3ASPX"),
        ("^GSPC", "I%3ASPX"),
        ("^IXIC", "I%3ACOMP"),
    ],
)
def test_a_symbol_goes_out_in_polygons_spelling(symbol: str, path: str) -> None:
    assert first(ask(symbol)).url.raw_path.decode().split("/")[4] == path


@pytest.mark.parametrize("symbol", ["VOD.L", "IBE.MC", "^FTSE", "ES=F"])
def test_what_is_not_american_is_said_to_be_not_covered(symbol: str) -> None:
    failure = refused(ask(symbol))
    assert failure.kind is K.BAD_REQUEST
    assert "covers US listings only" in failure.detail


@pytest.mark.parametrize(("symbol", "interval", "pieces"), [("AAPL", "1m", 6), ("BTC-USD", "1m", 11), ("AAPL", "1h", 6), ("AAPL", "1d", 1)])
def test_a_piece_is_what_an_answer_of_50000_minutes_can_hold(symbol: str, interval: str, pieces: int) -> None:
    assert len(ADVANCED.cut(ask(symbol, interval, "2024-01-01", "2025-01-01"))) == pieces


# What its bars are


def test_days_are_dated_in_new_york_in_winter_and_summer() -> None:
    some = bars(ask(end="2024-08-01"), body(row(midnight("2024-01-02")), row(midnight("2024-07-02"))))
    assert days(some) == ["2024-01-02", "2024-07-02"]
    assert (some.adjustment, some.currency, some.source) == (Adjustment.SPLITS, "USD", "polygon")


def test_days_of_crypto_and_currencies_are_dated_in_greenwich() -> None:
    for symbol, ticker in (("BTC-USD", "X:BTCUSD"), ("EURUSD=X", "C:EURUSD")):
        assert days(bars(ask(symbol), body(row(midnight("2024-01-06", "UTC")), ticker=ticker))) == ["2024-01-06"]


def test_weeks_begin_on_sunday_there_and_are_named_by_their_monday() -> None:
    some = bars(ask(interval="1w", start="2024-03-01", end="2024-03-20"), body(row(midnight("2024-03-03")), row(midnight("2024-03-10"))))
    assert days(some) == ["2024-03-04", "2024-03-11"]


def test_months_begin_on_the_first() -> None:
    some = bars(ask(interval="1mo", start="2024-01-01", end="2024-05-01"), body(row(midnight("2024-01-01")), row(midnight("2024-04-01"))))
    assert days(some) == ["2024-01-01", "2024-04-01"]


def test_volume_may_be_fractional_zero_or_missing_and_averages_and_trades_come_along() -> None:
    second, third = row(midnight("2024-01-03"), v=0, vw=...), row(midnight("2024-01-04"), v=..., n=...)
    some = bars(ask(), body(row(midnight("2024-01-02"), v=12300.3155), second, third))
    assert np.array_equal(some.volume, [12300.3155, 0.0, np.nan], equal_nan=True)
    assert some.vwap is not None
    assert some.trades is not None
    assert np.array_equal(some.vwap, [10.0, np.nan, 10.0], equal_nan=True)
    assert np.array_equal(some.trades, [7.0, 7.0, np.nan], equal_nan=True)


def test_an_index_has_no_volume() -> None:
    some = bars(ask("^GSPC"), body(row(midnight("2024-01-02"), v=..., vw=..., n=...), ticker="I:SPX"))
    assert np.isnan(some.volume).all()
    assert (some.vwap, some.trades) == (None, None)


def test_prices_are_labelled_as_the_answer_says_they_are() -> None:
    assert bars(ask(adjust="raw"), body(*THREE)).adjustment is Adjustment.SPLITS
    assert bars(ask(adjust="all"), body(*THREE, adjusted=False)).adjustment is Adjustment.RAW
    assert refused(ask(), body(*THREE, adjusted=...)).kind is K.SCHEMA


def test_delayed_is_a_good_answer_and_says_so() -> None:
    assert bars(ask(), body(*THREE, status="DELAYED")).delivery.late
    assert not bars(ask(), body(*THREE)).delivery.late


def test_another_ticker_is_a_mismatch_though_it_differ_by_case_alone() -> None:
    assert refused(ask("BAC-PL"), body(*THREE, ticker="BACPL")).kind is K.MISMATCH
    assert refused(ask(), body(*THREE, ticker=["AAPL"])).kind is K.MISMATCH
    assert not bars(ask(), body(*THREE, ticker=...)).delivery.named


@pytest.mark.parametrize("facts", [{"results": ..., "resultsCount": 0}, {"results": None, "resultsCount": 0}, {"results": []}])
def test_an_answer_without_results_is_no_data(facts: dict[str, Any]) -> None:
    assert refused(ask(), body(**facts)).kind is K.NO_DATA


@pytest.mark.parametrize(
    "made",
    [
        body(results=..., resultsCount=3),
        body(results={"a": 1}),
        body(results=[1]),
        body(*THREE, status="PENDING"),
        body(*THREE, status=...),
        body(*(row(midnight("2024-01-02"), c=...) for _ in range(3))),
        body(*(row(f"{midnight('2024-01-02')}") for _ in range(3))),
        body(row(midnight("2024-01-02")), row(float(midnight("2024-01-03")))),  # seconds
        body(row(midnight("2024-01-02")), row(midnight("2024-01-03") * 1000)),  # microseconds
        body(row(midnight("2024-01-02")), row(midnight("2024-01-03") * 1_000_000)),  # nanoseconds
    ],
)
def test_what_is_not_written_as_aggregates_are_is_refused_whole(made: dict[str, Any]) -> None:
    assert refused(ask(), made).kind is K.SCHEMA


def test_hours_for_days_and_hours_for_half_hours_are_another_interval() -> None:
    hours = [row(at("2024-01-02") + 3600 * n) for n in range(6)]
    assert refused(ask(), body(*hours)).kind is K.MISMATCH
    assert refused(ask(interval="30m", end="2024-01-03"), body(*hours)).kind is K.MISMATCH


def test_minutes_of_what_trades_seldom_are_minutes() -> None:
    seldom = [row(at("2024-01-02") + 60 * n) for n in (0, 2, 4, 30, 71, 90, 180)]
    assert len(bars(ask(interval="1m", end="2024-01-03"), body(*seldom))) == 7


def test_minutes_before_and_after_the_session_come_along_and_are_said_to() -> None:
    some = bars(ask(interval="1m", end="2024-01-03"), body(row(at("2024-01-02", "08:00")), row(at("2024-01-02", "09:30"))))
    assert some.delivery.extended
    assert not bars(ask("BTC-USD", "1h", end="2024-01-03"), body(row(at("2024-01-02", "08:00")), ticker="X:BTCUSD")).delivery.extended


# Hours


def halves(day: str, *clocks: str, **more: Any) -> list[dict[str, Any]]:
    return [row(at(day, clock), float(i + 1), **more) for i, clock in enumerate(clocks)]


def hours(day: str, *rows: dict[str, Any]) -> BarSet:
    return bars(ask(interval="1h", start=day, end=f"{date.fromisoformat(day) + timedelta(days=1)}"), body(*rows))


def clocks(some: BarSet) -> list[str]:
    return [f"{t.replace(tzinfo=ZoneInfo('UTC')).astimezone(ZoneInfo(NEW_YORK)):%H:%M}" for t in some.ts.tolist()]


@pytest.mark.parametrize("day", ["2024-01-03", "2024-07-01"])
def test_an_hour_is_two_half_hours_from_the_open_without_what_trades_outside_the_session(day: str) -> None:
    some = hours(day, *halves(day, "09:00", "09:30", "10:00", "10:30", "15:30", "16:00"))
    assert clocks(some) == ["09:30", "10:30", "15:30"]
    assert some.open.tolist() == [1.5, 3.5, 4.5]
    assert some.close.tolist() == [3.0, 4.0, 5.0]
    assert (some.high.tolist(), some.low.tolist()) == ([4.0, 5.0, 6.0], [1.0, 3.0, 4.0])
    assert some.volume.tolist() == [2000.0, 1000.0, 1000.0]
    assert some.vwap is not None
    assert some.trades is not None
    assert (some.vwap.tolist(), some.trades.tolist()) == ([2.5, 4.0, 5.0], [14.0, 7.0, 7.0])
    assert (some.interval, some.delivery.extended, some.delivery.rows) == (Interval.H1, False, 6)


def test_the_last_hour_of_a_half_day_ends_at_its_close() -> None:
    some = hours("2024-11-29", *halves("2024-11-29", "12:00", "12:30", "13:00", "13:30"))
    assert (clocks(some), some.close.tolist()) == (["11:30", "12:30"], [1.0, 2.0])


def test_an_hour_of_which_a_half_was_refused_is_left_out() -> None:
    rows = halves("2024-01-03", "09:30", "10:00", "10:30", "11:00", "15:30", "16:00")
    rows[1]["h"] = None
    rows[5]["h"] = "much"
    some = hours("2024-01-03", *rows)
    assert clocks(some) == ["10:30", "15:30"]
    assert len(some.delivery.rejected) == 2


def test_nothing_but_trade_outside_the_session_makes_no_hour() -> None:
    assert len(hours("2024-01-03", *halves("2024-01-03", "08:00", "17:00"))) == 0


def test_the_early_closes_are_those_of_the_calendar() -> None:
    sessions = build("XNYS", date(2003, 9, 10), date(2036, 1, 1)).sessions
    told = _closing(np.array([s.day for s in sessions], dtype="datetime64[D]")).tolist()
    due = [s.closes.astimezone(ZoneInfo(NEW_YORK)) for s in sessions]
    assert told == [60 * c.hour + c.minute for c in due]


# Pages and pieces


def test_pages_are_followed_at_either_host_with_the_key() -> None:
    following = "https://api.massive.com/v2/aggs/ticker/AAPL/range/1/day/1704258000000/2024-01-31?cursor=bGltaXQ"
    replies = reply(body(*THREE[:1], next_url=following)), reply(body(*THREE[1:]))
    requests, some = hold(ADVANCED.bars(ask()), *replies)
    assert (str(requests[1].url), requests[1].headers["authorization"]) == (following, "Bearer KEY")
    assert some.close.tolist() == [10.0, 11.0, 12.0]
    assert some.vwap is not None


def test_pages_in_two_bases_are_refused() -> None:
    following = "https://api.polygon.io/v2/aggs/ticker/AAPL/range/1/day/1704258000000/2024-01-31?cursor=x"
    assert refused(ask(), body(*THREE[:1], next_url=following), body(*THREE[1:], adjusted=False)).kind is K.MISMATCH


PIECES = ask(interval="1m", start="2024-01-02", end="2024-04-01")  # two pieces of at most 70 days


def test_a_piece_that_is_empty_or_told_too_early_does_not_spoil_the_rest() -> None:
    some = bars(PIECES, body(results=...), body(row(at("2024-03-20"))))
    assert len(some) == 1
    talk = ADVANCED.bars(PIECES)
    next(talk)
    talk.send(reply(body(row(at("2024-01-02")))))
    with pytest.raises(StopIteration) as end:
        talk.throw(ConversationFailed(Failure(K.NO_DATA, "before end of day")))
    assert len(end.value.value) == 1


def test_where_all_is_told_too_early_the_reason_is_kept() -> None:
    talk = ADVANCED.bars(ask())
    next(talk)
    with pytest.raises(ConversationFailed, match="before end of day") as caught:
        talk.throw(ConversationFailed(Failure(K.NO_DATA, "before end of day")))
    assert caught.value.failure.kind is K.NO_DATA


def test_what_came_before_a_failure_is_not_lost() -> None:
    talk = ADVANCED.bars(PIECES)
    next(talk)
    talk.send(reply(body(row(at("2024-01-02")))))
    with pytest.raises(ConversationFailed) as caught:
        talk.throw(ConversationFailed(Failure(K.SERVER_ERROR, "down")))
    assert isinstance(caught.value.partial, BarSet)
    assert caught.value.partial.ts.tolist() == [datetime.fromisoformat("2024-01-02T14:30")]
