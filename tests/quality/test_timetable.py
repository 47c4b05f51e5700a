"""Due stamps as columns: the same as those of `sessions.expected`."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from mdagent.market import Interval
from mdagent.quality.timetable import Timetable
from mdagent.sessions import build, expected

WINDOWS = ((datetime(2023, 3, 1, tzinfo=UTC), datetime(2023, 5, 3, 15, 7, tzinfo=UTC)), (datetime(2022, 1, 1, tzinfo=UTC),) * 2)


@pytest.mark.parametrize("calendar", ["XNYS", "XTKS", "24/5", "CMES", "FUND:XNYS"])
@pytest.mark.parametrize("interval", list(Interval))
def test_the_stamps_are_those_of_the_sessions(calendar: str, interval: Interval) -> None:
    sessions = build(calendar, date(2023, 2, 1), date(2023, 6, 1)).sessions
    for start, end in WINDOWS:
        due = [t.replace(tzinfo=None) for t in expected(sessions, interval, start, end)]
        assert np.array_equal(Timetable(sessions).due(interval, start, end), np.array(due, dtype="datetime64[us]"))


def test_without_sessions_nothing_is_due() -> None:
    assert not len(Timetable(()).due(Interval.M1, *WINDOWS[0]))
