"""The window of a request, as a provider must be asked for it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.market import BarRequest, Interval
from mdagent.sessions import period_of as period_by_sessions
from mdagent.sources.reading.windows import first_period, last_instant, period_of, windows


def ask(interval: str, start: str, end: str = "2024-12-31") -> BarRequest:
    return BarRequest("AAPL", interval, start, end)  # type: ignore[arg-type]


@given(st.integers(0, 10**7), st.integers(1, 10**7), st.integers(3600, 10**6))
def test_pieces_cover_the_window_once_and_none_is_too_long(start: int, length: int, longest: int) -> None:
    first = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    request = BarRequest("AAPL", "1m", first, first + timedelta(seconds=length))  # type: ignore[arg-type]
    pieces = windows(request, timedelta(seconds=longest))
    assert pieces[0].start == request.start
    assert pieces[-1].end == request.end
    assert all(a.end == b.start for a, b in itertools.pairwise(pieces))
    assert all(p.end - p.start <= timedelta(seconds=longest) for p in pieces)
    assert len(pieces) == -(-length // longest)


def test_a_source_without_a_limit_is_asked_once() -> None:
    request = ask("1d", "1980-01-01")
    assert windows(request, None) == [request]


@pytest.mark.parametrize(
    ("interval", "start", "first"),
    [
        ("1d", "2024-01-02", "2024-01-02"),
        ("1d", "2024-01-02T00:00:01", "2024-01-03"),
        ("1w", "2024-01-01", "2024-01-01"),
        ("1w", "2024-01-02", "2024-01-08"),
        ("1mo", "2024-01-01", "2024-01-01"),
        ("1mo", "2024-01-02", "2024-02-01"),
        ("1mo", "2023-12-31T12:00", "2024-01-01"),
        ("1mo", "2024-01-31", "2024-02-01"),
        ("1h", "2024-01-02T10:07", "2024-01-02T10:07"),
    ],
)
def test_the_first_stamp_of_a_window_is_a_midnight_a_monday_or_a_first(interval: str, start: str, first: str) -> None:
    assert first_period(ask(interval, start)) == datetime.fromisoformat(first).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("interval", "end", "last"),
    [
        ("1d", "2024-02-01", "2024-02-01"),
        ("1d", "2024-02-01T00:00:01", "2024-02-02"),
        ("1mo", "2024-02-01T12:00", "2024-02-02"),
        ("5m", "2024-02-01T12:03", "2024-02-01T12:03"),
    ],
)
def test_a_daily_window_is_asked_for_to_the_end_of_its_last_day(interval: str, end: str, last: str) -> None:
    assert last_instant(ask(interval, "2024-01-02", end)) == datetime.fromisoformat(last).replace(tzinfo=UTC)


@pytest.mark.parametrize("interval", [Interval.D1, Interval.W1, Interval.MO1])
@given(days=st.lists(st.dates(datetime(1960, 1, 1, tzinfo=UTC).date(), datetime(2050, 1, 1, tzinfo=UTC).date()), min_size=1, max_size=20))
def test_a_bar_carries_the_day_monday_or_first_that_the_calendar_says(interval: Interval, days: list[object]) -> None:
    stamps = period_of(np.array(days, dtype="datetime64[D]"), interval)
    for day, stamp in zip(days, stamps.tolist(), strict=True):
        noon = datetime.combine(day, datetime.min.time(), UTC)  # type: ignore[arg-type]
        assert stamp.date() == period_by_sessions(interval, noon)[0]
        assert stamp.time() == datetime.min.time()
