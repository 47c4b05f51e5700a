"""Which stretches of a window need asking for, and what an answer settles."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.market import BarRequest, Interval
from mdagent.quality.finding import Absence
from mdagent.sessions import Session, build, expected
from mdagent.sources import load
from mdagent.store.read import Span
from mdagent.work.spans import (
    BEGINNING,
    clamp_end,
    default_start,
    first_pending,
    gaps,
    joined,
    nothing,
    open_stretches,
    settle,
    within_depth,
)

NOW = datetime(2024, 1, 17, 22, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DELAY = timedelta(minutes=20)


@cache
def sessions() -> tuple[Session, ...]:
    return build("XNYS", date(2023, 11, 1), date(2024, 4, 1)).sessions


def ask(start: str, end: str, interval: str = "1d") -> BarRequest:
    return BarRequest("AAPL", interval, start, end)  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(start: str, end: str, expires: datetime | None = None, reason: str = "complete") -> Span:
    return Span(at(start), at(end), reason, expires)


# The end of a window


def test_an_intraday_window_ends_now_and_a_daily_one_with_the_latest_date_that_has_begun_anywhere() -> None:
    assert clamp_end(ask("2024-01-10", "2025-01-01", "5m"), NOW).end == NOW
    assert clamp_end(ask("2024-01-10", "2025-01-01"), NOW).end == at("2024-01-19"), "it is the 18th in Auckland"
    assert clamp_end(ask("2024-01-10", "2025-01-01"), at("2024-01-17T05:00")).end == at("2024-01-18")


def test_a_window_of_the_past_or_wholly_in_the_future_stays_as_it_is() -> None:
    for request in (ask("2024-01-10", "2024-01-12"), ask("2025-01-10", "2025-01-12")):
        assert clamp_end(request, NOW) is request


# What is open


def test_what_is_covered_for_good_or_still_fresh_is_not_open() -> None:
    request = ask("2024-01-02", "2024-01-17")
    spans = [
        span("2024-01-02", "2024-01-05"),
        span("2024-01-05", "2024-01-08", NOW - MINUTE),
        span("2024-01-10", "2024-01-12", NOW + MINUTE),
    ]
    assert open_stretches(request, spans, NOW) == [(at("2024-01-05"), at("2024-01-10")), (at("2024-01-12"), at("2024-01-17"))]
    assert open_stretches(request, [span("2023-01-01", "2025-01-01")], NOW) == []
    assert open_stretches(request, [], NOW) == [(request.start, request.end)]


def test_a_span_that_expires_now_is_no_longer_fresh() -> None:
    assert open_stretches(ask("2024-01-02", "2024-01-03"), [span("2024-01-02", "2024-01-03", NOW)], NOW) != []


def test_stretches_without_a_due_bar_are_no_gaps() -> None:
    weekend, holiday = (at("2024-01-13"), at("2024-01-15")), (at("2024-01-15"), at("2024-01-16"))
    week = (at("2024-01-08"), at("2024-01-12"))
    found = gaps(ask("2024-01-02", "2024-01-17"), [week, weekend, holiday], sessions(), NOW)
    assert [(g.start, g.end) for g in found] == [week]


def test_a_session_that_has_not_begun_is_no_gap() -> None:
    today = (at("2024-01-17"), at("2024-01-18"))
    request = ask("2024-01-02", "2024-01-18")
    assert gaps(request, [today], sessions(), at("2024-01-17T14:29")) == []
    assert len(gaps(request, [today], sessions(), at("2024-01-17T14:30"))) == 1


def test_nights_are_no_intraday_gaps() -> None:
    request = ask("2024-01-02", "2024-01-17", "5m")
    night, morning = (at("2024-01-10T21:00"), at("2024-01-11T14:30")), (at("2024-01-11T14:30"), at("2024-01-11T14:31"))
    assert [(g.start, g.end) for g in gaps(request, [night, morning], sessions(), NOW)] == [morning]


def test_without_a_calendar_every_open_stretch_is_a_gap() -> None:
    weekend = (at("2024-01-13"), at("2024-01-15"))
    assert len(gaps(ask("2024-01-02", "2024-01-17"), [weekend], None, NOW)) == 1


@given(
    st.lists(st.tuples(st.integers(0, 80), st.integers(1, 20)), max_size=4),
    st.sampled_from([Interval.H1, Interval.D1, Interval.W1]),
)
def test_a_gap_is_a_stretch_with_a_due_bar(cuts: list[tuple[int, int]], interval: Interval) -> None:
    first = at("2023-12-01")
    stretches = [(first + a * 6 * HOUR, first + (a + n) * 6 * HOUR) for a, n in cuts]
    request = BarRequest("AAPL", interval, first, first + 100 * DAY)  # type: ignore[arg-type]
    due = [(a, b) for a, b in stretches if expected(sessions(), interval, a, b)]
    assert [(g.start, g.end) for g in gaps(request, stretches, sessions(), at("2024-04-01"))] == due


# Fewer requests


def test_neighbouring_gaps_are_asked_for_together_where_one_request_can_hold_them() -> None:
    first, second, far = ask("2024-01-02", "2024-01-03"), ask("2024-01-05", "2024-01-06"), ask("2024-01-20", "2024-01-21")
    assert [(w.start.day, w.end.day) for w in joined([first, second, far], None)] == [(2, 21)]
    assert [(w.start.day, w.end.day) for w in joined([first, second, far], 7 * DAY)] == [(2, 6), (20, 21)]
    assert joined([], None) == []


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=8), st.none() | st.integers(1, 30))
def test_joined_windows_cover_every_gap_in_order(gaps_: list[tuple[int, int]], longest: int | None) -> None:
    first, at_ = at("2024-01-01"), 0
    windows = []
    for skip, length in gaps_:
        at_ += skip
        windows.append(ask("2024-01-01", "2025-01-01").over(first + at_ * DAY, first + (at_ + length) * DAY))
        at_ += length
    made = joined(windows, longest * DAY if longest else None)
    assert all(any(m.start <= w.start and w.end <= m.end for m in made) for w in windows)
    assert all(a.end <= b.start for a, b in pairwise(made))
    assert longest is not None or len(made) == 1


def test_what_a_source_no_longer_keeps_is_cut_off_and_said() -> None:
    source = load("yahoo")
    due, notes = within_depth([ask("2023-11-01", "2024-01-16", "1m")], source, NOW)
    assert [(w.start, w.end) for w in due] == [(NOW - 30 * DAY + 5 * MINUTE, at("2024-01-16"))]
    assert notes == ("yahoo keeps 1m bars for 30 days; before 2023-12-18 it has none",)
    assert within_depth([ask("2023-11-01", "2023-11-16", "1m")], source, NOW) == ([], notes)


@pytest.mark.parametrize(("interval", "now"), [(Interval.D1, NOW), (Interval.M1, None)])
def test_nothing_is_cut_where_the_past_is_whole(interval: Interval, now: datetime | None) -> None:
    whole = [ask("2010-01-01", "2024-01-16", interval)]
    assert within_depth(whole, load("yahoo"), now) == (whole, ())


# What an answer settles


def test_a_whole_answer_is_settled_for_good() -> None:
    request = ask("2024-01-02", "2024-01-12")
    assert settle(request, (), at("2024-01-18"), NOW) == (Span(request.start, request.end, "complete", None),)


@pytest.mark.parametrize(("interval", "fresh"), [("1d", 60), ("1w", 60), ("5m", 15), ("1m", 15)])
def test_what_is_still_in_progress_is_fresh_for_a_minute_or_a_quarter(interval: str, fresh: int) -> None:
    request = ask("2024-01-02", "2024-01-18", interval)
    assert settle(request, (), at("2024-01-17"), NOW) == (
        Span(request.start, request.end, "complete", None),
        Span(at("2024-01-17"), request.end, "pending", NOW + timedelta(seconds=fresh)),
    )
    assert settle(request, (), at("2023-01-01"), NOW)[-1].start == request.start


@pytest.mark.parametrize(
    ("day", "wait"),
    [("2024-01-17T21:59", timedelta(minutes=15)), ("2024-01-16", timedelta(hours=11, minutes=30)), ("2023-01-16", timedelta(days=30))],
)
def test_a_missing_bar_is_asked_for_again_the_sooner_the_younger_it_is(day: str, wait: timedelta) -> None:
    request = ask("2023-01-02", "2024-01-18")
    (_, hole) = settle(request, (Absence(at(day), "provider gap"),), at("2024-01-18"), NOW)
    assert hole == Span(at(day), at(day) + DAY, "provider gap", NOW + wait)
    assert nothing(request.over(request.start, at(day)), NOW) == Span(request.start, at(day), "no data", NOW + wait)


@pytest.mark.parametrize("reason", ["pending", "not yet listed", "not traded"])
def test_a_bar_that_need_not_be_there_leaves_no_hole(reason: str) -> None:
    assert len(settle(ask("2024-01-02", "2024-01-12"), (Absence(at("2024-01-03"), reason),), at("2024-01-18"), NOW)) == 1


def test_half_an_hour_without_intraday_bars_is_one_hole_and_less_is_none() -> None:
    request = ask("2024-01-10", "2024-01-11", "5m")
    long = [Absence(at("2024-01-10T15:00") + n * 5 * MINUTE, "provider gap") for n in range(6)]
    short = [Absence(at("2024-01-10T18:00") + n * 5 * MINUTE, "provider gap") for n in range(5)]
    (_, *holes) = settle(request, (*long, *short), at("2024-01-18"), NOW)
    assert [(h.start, h.end, h.reason) for h in holes] == [(at("2024-01-10T15:00"), at("2024-01-10T15:30"), "provider gap")]


# Which bar is final


@pytest.mark.parametrize(
    ("interval", "now", "pending"),
    [
        ("1d", "2024-01-17T21:19", "2024-01-17"),
        ("1d", "2024-01-17T21:20", "2024-01-18"),
        ("1d", "2024-01-20T12:00", "2024-01-22"),
        ("1w", "2024-01-19T21:19", "2024-01-15"),
        ("1w", "2024-01-19T21:20", "2024-01-22"),
        ("1mo", "2024-01-31T21:19", "2024-01-01"),
        ("1mo", "2024-01-31T21:20", "2024-02-01"),
        ("5m", "2024-01-17T15:00", "2024-01-17T14:40"),
    ],
)
def test_a_bar_is_final_when_its_period_and_the_sources_delay_are_over(interval: str, now: str, pending: str) -> None:
    first = first_pending(ask("2024-01-02", "2024-02-02", interval), sessions(), at(now), DELAY)
    stamps = expected(sessions(), Interval(interval), at("2024-01-01"), at("2024-02-20"))
    assert next(ts for ts in stamps if ts >= first) == at(pending)


def test_without_a_calendar_nominal_lengths_must_do_and_before_the_first_session_nothing_is_final() -> None:
    request = ask("2024-01-02", "2024-01-18", "1h")
    assert first_pending(request, None, NOW, DELAY) == NOW - DELAY - HOUR
    assert first_pending(request, (), NOW, DELAY) < BEGINNING + 100 * 366 * DAY


@pytest.mark.parametrize(("interval", "days"), [("1m", 5), ("5m", 30), ("1h", 90), ("1d", 365), ("1mo", 365)])
def test_a_window_without_a_start_is_as_long_as_suits_the_interval(interval: str, days: int) -> None:
    assert default_start(Interval(interval), NOW) == NOW - timedelta(days=days)
