"""Sessions against facts that anyone can look up."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest

from mdagent import sessions
from mdagent.errors import ConfigError
from mdagent.exchanges import SUFFIXES
from mdagent.market import Instrument, Interval, Symbol
from mdagent.sessions import Session, build, calendar_of, expected, last_complete, period_end, version_of

NYSE = build("XNYS", date(2010, 1, 1), date(2027, 1, 1)).sessions
DAYS = {s.day: s for s in NYSE}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    "day",
    [date(2012, 10, 29), date(2012, 10, 30), date(2018, 12, 5), date(2025, 1, 9), date(2024, 1, 15), date(2024, 7, 4), date(2024, 3, 29)],
)
def test_new_york_was_closed_for_storms_funerals_and_holidays(day: date) -> None:
    assert day not in DAYS


@pytest.mark.parametrize(
    ("day", "closes"),
    [
        (date(2023, 11, 24), utc(2023, 11, 24, 18)),
        (date(2024, 7, 3), utc(2024, 7, 3, 17)),
        (date(2024, 12, 24), utc(2024, 12, 24, 18)),
        (date(2024, 1, 2), utc(2024, 1, 2, 21)),
        (date(2024, 6, 3), utc(2024, 6, 3, 20)),
    ],
)
def test_half_days_and_daylight_saving_come_out_as_instants(day: date, closes: datetime) -> None:
    assert DAYS[day].closes == closes


def test_tokyo_has_a_lunch_break_and_closes_later_since_november_2024() -> None:
    table = build("XTKS", date(2024, 11, 1), date(2024, 11, 6))
    assert table.sessions[0] == Session(
        date(2024, 11, 1), utc(2024, 11, 1), utc(2024, 11, 1, 6), (utc(2024, 11, 1, 2, 30), utc(2024, 11, 1, 3, 30))
    )
    assert table.sessions[-1].closes == utc(2024, 11, 5, 6, 30)
    bars = expected(table.sessions, Interval.M30, utc(2024, 11, 1), utc(2024, 11, 2))
    assert len(bars) == 10
    assert utc(2024, 11, 1, 2, 30) not in bars
    assert utc(2024, 11, 1, 3) not in bars
    assert period_end(table.sessions, Interval.H1, utc(2024, 11, 1, 2)) == utc(2024, 11, 1, 2, 30)


def test_hong_kong_closed_for_two_typhoons_that_the_library_missed() -> None:
    days = [s.day for s in build("XHKG", date(2023, 8, 31), date(2023, 9, 12)).sessions]
    assert date(2023, 9, 1) not in days
    assert date(2023, 9, 8) not in days
    assert len(days) == 6


def test_closures_from_the_settings_are_taken_out_and_change_the_version() -> None:
    closed = date(2024, 1, 3)
    table = build("XNYS", date(2024, 1, 2), date(2024, 1, 5), [closed])
    assert [s.day for s in table.sessions] == [date(2024, 1, 2), date(2024, 1, 4)]
    assert table.version == version_of("XNYS", [closed])
    assert table.version != version_of("XNYS")
    assert version_of("XHKG") != version_of("XNYS")


@pytest.mark.parametrize("length", [1, 2, 4])
def test_windows_of_a_few_days_and_of_none_can_be_built(length: int) -> None:
    for first in (1, 5, 6, 7, 13, 15, 27):
        start = date(2024, 1, first)
        table = build("XNYS", start, start + timedelta(days=length))
        assert [s.day for s in table.sessions] == [d for d in sorted(DAYS) if start <= d < start + timedelta(days=length)]
    assert build("XNYS", date(2024, 1, 6), date(2024, 1, 6)).sessions == ()


def test_a_horizon_beyond_a_calendars_knowledge_is_cut_and_says_so() -> None:
    table = build("XBOM", date(1990, 1, 1), date(2050, 1, 1))
    assert table.start == date(1997, 1, 1)
    assert table.end < date(2050, 1, 1)
    assert table.start <= table.sessions[0].day <= table.sessions[-1].day < table.end
    assert build("XSAU", date(1990, 1, 1), date(1991, 1, 1)).sessions == ()


def test_an_unknown_calendar_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="XFOO"):
        build("XFOO", date(2024, 1, 1), date(2024, 2, 1))


def test_every_calendar_that_a_symbol_can_be_given_can_be_built() -> None:
    codes = {e.calendar for e in SUFFIXES.values()}
    codes |= {*sessions._INDICES.values(), *sessions._CODES.values(), *sessions._ZONES.values()}  # noqa: SLF001
    for code in codes:
        assert build(code, date(2024, 1, 1), date(2024, 2, 1)).sessions


def test_spot_fx_trades_from_sunday_evening_to_friday_evening_in_new_york() -> None:
    table = build("24/5", date(2024, 3, 8), date(2024, 3, 13)).sessions
    assert [s.day.weekday() for s in table] == [4, 0, 1]
    assert (table[0].opens, table[0].closes) == (utc(2024, 3, 7, 22), utc(2024, 3, 8, 22))
    assert (table[1].opens, table[1].closes) == (utc(2024, 3, 10, 21), utc(2024, 3, 11, 21))


def test_crypto_trades_every_day_round_the_clock() -> None:
    table = build("24/7", date(2024, 2, 28), date(2024, 3, 2)).sessions
    assert [s.day for s in table] == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]
    assert all(a.closes == b.opens for a, b in itertools.pairwise(table))


def test_a_fund_has_one_price_a_session_and_no_intraday_bars() -> None:
    table = build("FUND:XNYS", date(2024, 1, 2), date(2024, 1, 4)).sessions
    assert expected(table, Interval.D1, utc(2024, 1, 1), utc(2024, 1, 5)) == [utc(2024, 1, 2), utc(2024, 1, 3)]
    assert expected(table, Interval.M1, utc(2024, 1, 1), utc(2024, 1, 5)) == []


@pytest.mark.parametrize(
    ("text", "calendar"),
    [
        ("AAPL", "XNYS"),
        ("BRK.B", "XNYS"),
        ("IBE.MC", "XMAD"),
        ("VOD.L", "XLON"),
        ("EURUSD=X", "24/5"),
        ("BTC-USD", "24/7"),
        ("GC=F", "CMES"),
        ("KC=F", "IEPA"),
        ("VFINX", "FUND:XNYS"),
        ("0P000071W8.TO", "FUND:XTSE"),
        ("^GSPC", "XNYS"),
        ("^FCHI", "XPAR"),
        ("^N225", "XTKS"),
        ("^NOBODY", ""),
    ],
)
def test_the_spelling_of_a_symbol_tells_its_calendar(text: str, calendar: str) -> None:
    assert calendar_of(Symbol.parse(text)) == calendar


@pytest.mark.parametrize(
    ("text", "exchange", "zone", "kind", "calendar"),
    [
        ("^NOBODY", "MCE", "Europe/Madrid", "INDEX", "XMAD"),
        ("^NOBODY", "???", "Asia/Tokyo", "INDEX", "XTKS"),
        ("WSKT.JK", "JKT", "Asia/Jakarta", "MUTUALFUND", "FUND:XIDX"),
        ("SPYX", "NAS", "America/New_York", "MUTUALFUND", "FUND:XNYS"),
        ("IBE.MC", "FRA", "Europe/Berlin", "EQUITY", "XMAD"),
        ("DOGE", "CCC", "UTC", "CRYPTOCURRENCY", "24/7"),
        ("GC=F", "CMX", "America/New_York", "FUTURE", "CMES"),
        ("^NOBODY", "???", "Mars/Phobos", "INDEX", ""),
    ],
)
def test_what_a_source_says_tells_the_rest(text: str, exchange: str, zone: str, kind: str, calendar: str) -> None:
    symbol = Symbol.parse(text)
    assert calendar_of(symbol, Instrument(symbol, "yahoo", exchange=exchange, zone=zone, kind=kind)) == calendar


def test_daily_weekly_and_monthly_stamps_are_dates_within_the_window() -> None:
    january = expected(NYSE, Interval.D1, utc(2024, 1, 2), utc(2024, 2, 1))
    assert len(january) == 21
    assert january[0] == utc(2024, 1, 2)
    assert expected(NYSE, Interval.W1, utc(2024, 1, 1), utc(2024, 1, 16)) == [utc(2024, 1, 1), utc(2024, 1, 8), utc(2024, 1, 15)]
    assert expected(NYSE, Interval.W1, utc(2024, 1, 2), utc(2024, 1, 9)) == [utc(2024, 1, 8)]
    assert expected(NYSE, Interval.MO1, utc(2024, 1, 1), utc(2024, 3, 2)) == [utc(2024, 1, 1), utc(2024, 2, 1), utc(2024, 3, 1)]


def test_a_session_of_390_minutes_has_that_many_minute_bars_and_seven_hours() -> None:
    assert len(expected(NYSE, Interval.M1, utc(2024, 1, 2), utc(2024, 1, 3))) == 390
    hours = expected(NYSE, Interval.H1, utc(2024, 1, 2), utc(2024, 1, 3))
    assert hours[0] == utc(2024, 1, 2, 14, 30)
    assert len(hours) == 7
    assert len(expected(NYSE, Interval.M1, utc(2023, 11, 24), utc(2023, 11, 25))) == 210
    assert expected(NYSE, Interval.M30, utc(2024, 1, 2, 15), utc(2024, 1, 2, 16)) == [utc(2024, 1, 2, 15), utc(2024, 1, 2, 15, 30)]


def test_a_period_ends_with_its_last_close() -> None:
    assert period_end(NYSE, Interval.D1, utc(2023, 11, 24)) == utc(2023, 11, 24, 18)
    assert period_end(NYSE, Interval.W1, utc(2024, 3, 25)) == utc(2024, 3, 28, 20)  # Good Friday is closed
    assert period_end(NYSE, Interval.MO1, utc(2024, 3, 1)) == utc(2024, 3, 28, 20)
    assert period_end(NYSE, Interval.H1, utc(2024, 1, 2, 20, 30)) == utc(2024, 1, 2, 21)
    assert period_end(NYSE, Interval.M5, utc(2024, 1, 2, 15)) == utc(2024, 1, 2, 15, 5)
    assert period_end(NYSE, Interval.D1, utc(2024, 1, 6)) == utc(2024, 1, 7)
    assert period_end((), Interval.M5, utc(2024, 1, 6)) == utc(2024, 1, 6, 0, 5)


@pytest.mark.parametrize(
    ("interval", "now", "delay", "stamp"),
    [
        (Interval.D1, utc(2024, 1, 2, 20, 59), 0, utc(2023, 12, 29)),
        (Interval.D1, utc(2024, 1, 2, 21), 0, utc(2024, 1, 2)),
        (Interval.D1, utc(2024, 1, 2, 21), 15, utc(2023, 12, 29)),
        (Interval.D1, utc(2024, 1, 7, 12), 0, utc(2024, 1, 5)),
        (Interval.W1, utc(2024, 3, 28, 20), 0, utc(2024, 3, 25)),
        (Interval.W1, utc(2024, 3, 28, 19), 0, utc(2024, 3, 18)),
        (Interval.MO1, utc(2024, 3, 15), 0, utc(2024, 2, 1)),
        (Interval.H1, utc(2024, 1, 2, 21), 0, utc(2024, 1, 2, 20, 30)),
        (Interval.M1, utc(2024, 1, 2, 14, 30, 30), 0, utc(2023, 12, 29, 20, 59)),
    ],
)
def test_the_last_complete_bar_is_the_last_whose_period_and_delay_are_over(
    interval: Interval, now: datetime, delay: int, stamp: datetime
) -> None:
    assert last_complete(NYSE, interval, now, timedelta(minutes=delay)) == stamp


def test_before_the_first_session_nothing_is_complete() -> None:
    assert last_complete(NYSE, Interval.D1, utc(2009, 1, 1), timedelta(0)) is None
