"""Rows of another interval are told by how they lie in time."""

from __future__ import annotations

import numpy as np
import pytest

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.market import Interval
from mdagent.sources.reading.spacing import check_spacing
from mdagent.sources.reading.windows import period_of


def every(minutes: int, count: int, start: str = "2024-01-02T14:30") -> np.ndarray:
    """So many stamps, so many minutes apart."""
    made: np.ndarray = np.datetime64(start, "us") + np.arange(count) * np.timedelta64(minutes, "m")
    return made


def refused(stamps: np.ndarray, interval: Interval, seconds: np.ndarray | None = None) -> str:
    with pytest.raises(ConversationFailed) as caught:
        check_spacing(stamps, interval, seconds)
    assert caught.value.failure.kind is FailureKind.MISMATCH
    return caught.value.failure.detail


@pytest.mark.parametrize(("interval", "minutes"), [(Interval.M1, 1), (Interval.M5, 5), (Interval.M30, 30), (Interval.H1, 60)])
def test_bars_of_the_interval_pass_in_any_order(interval: Interval, minutes: int) -> None:
    check_spacing(every(minutes, 50)[::-1], interval)


def test_hours_are_no_half_hours() -> None:
    assert refused(every(60, 3), Interval.M30) == "30m bars were asked for, the rows of the answer lie 3600 s apart"


def test_two_rows_tell_no_spacing() -> None:
    check_spacing(every(60, 2), Interval.M30)
    check_spacing(every(60, 2), Interval.D1)
    check_spacing(np.zeros(0, dtype="datetime64[us]"), Interval.D1)


def test_a_thin_stock_that_skips_minutes_passes() -> None:
    check_spacing(every(1, 30)[[0, 2, 4, 6, 7]], Interval.M1)
    check_spacing(every(7, 10), Interval.M1)


def test_a_stamp_twice_is_no_spacing() -> None:
    check_spacing(np.repeat(every(5, 4), 2), Interval.M5)


@pytest.mark.parametrize("interval", [Interval.D1, Interval.W1, Interval.MO1])
def test_several_rows_for_a_longer_bar_are_shorter_bars(interval: Interval) -> None:
    hours = every(60, 7)
    stamps = period_of(hours.astype("datetime64[D]"), interval)
    assert "0 s apart" in refused(stamps, interval)
    assert "3600 s apart" in refused(stamps, interval, hours.astype("datetime64[s]").astype(np.int64))


def test_days_are_no_weeks_but_one_row_doubled_is_no_matter() -> None:
    days = np.arange("2024-01-01", "2024-02-01", dtype="datetime64[D]")
    refused(period_of(days, Interval.W1), Interval.W1)
    check_spacing(period_of(days[[0, 7, 14, 15, 21]], Interval.W1), Interval.W1)
