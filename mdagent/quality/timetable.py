"""Sessions as columns: made once for a calendar, however many series are held against it."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mdagent.market import Interval
from mdagent.sessions import period_of, stretches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.sessions import Session

_KEPT = 8


class Timetable:
    """The days of some sessions, and the stamps that are due by them."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.sessions = sessions
        self._due: dict[tuple[Interval, datetime, datetime], np.ndarray] = {}

    @cached_property
    def days(self) -> np.ndarray:
        """The session dates, datetime64[D], ascending."""
        return np.array([s.day for s in self.sessions], dtype="datetime64[D]")

    @cached_property
    def known(self) -> tuple[np.datetime64, np.datetime64]:
        """The first and the first unknown day, as stamps: beyond them nothing is said of a daily bar."""
        return self.days[0].astype("datetime64[us]"), (self.days[-1] + np.timedelta64(1, "D")).astype("datetime64[us]")

    def known_by(self, interval: Interval) -> tuple[np.datetime64, np.datetime64]:
        """`known`, widened to whole weeks or months."""
        first, last = self.sessions[0].day, self.sessions[-1].day
        begin = period_of(interval, datetime(first.year, first.month, first.day, tzinfo=UTC))[0]
        end = period_of(interval, datetime(last.year, last.month, last.day, tzinfo=UTC))[1]
        return np.datetime64(begin, "us"), np.datetime64(end, "us")

    def due(self, interval: Interval, start: datetime, end: datetime) -> np.ndarray:
        """The stamps of `sessions.expected` as datetime64[us], ascending."""
        key = (interval, start, end)
        if key not in self._due:
            if len(self._due) >= _KEPT:
                self._due.clear()
            self._due[key] = self._stamps(interval, start, end)
        return self._due[key]

    def _stamps(self, interval: Interval, start: datetime, end: datetime) -> np.ndarray:
        first, last = (np.datetime64(t.replace(tzinfo=None), "us") for t in (start, end))
        if interval.intraday:
            return self._steps(interval, first, last)
        days = self.days
        if interval is Interval.W1:
            days = np.unique(days - ((days.astype(np.int64) + 3) % 7).astype("timedelta64[D]"))
        elif interval is Interval.MO1:
            days = np.unique(days.astype("datetime64[M]")).astype("datetime64[D]")
        stamps = days.astype("datetime64[us]")
        due: np.ndarray = stamps[np.searchsorted(stamps, first) : np.searchsorted(stamps, last)]
        return due

    def _steps(self, interval: Interval, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        """A stretch of trading at a time: ten years of minutes are a million stamps."""
        near = (self.days >= first.astype("datetime64[D]") - 2) & (self.days < last.astype("datetime64[D]") + 2)
        step = np.timedelta64(interval.seconds, "s")
        made = [
            np.arange(np.datetime64(opens.replace(tzinfo=None), "us"), np.datetime64(closes.replace(tzinfo=None), "us"), step)
            for i in np.flatnonzero(near).tolist()
            for opens, closes in stretches(self.sessions[i])
        ]
        stamps = np.concatenate(made) if made else np.zeros(0, dtype="datetime64[us]")
        due: np.ndarray = stamps[(stamps >= first) & (stamps < last)]
        return due


_MADE: OrderedDict[int, Timetable] = OrderedDict()


def timetable_of(sessions: Sequence[Session]) -> Timetable:
    """The timetable of these very sessions. It holds them, so that no other list can come to have their identity."""
    made = _MADE.get(id(sessions))
    if made is None or made.sessions is not sessions:
        made = _MADE[id(sessions)] = Timetable(sessions)
        while len(_MADE) > _KEPT:
            _MADE.popitem(last=False)
    return made


def within(stamps: np.ndarray, due: np.ndarray) -> np.ndarray:
    """Which stamps are among the due ones, which ascend."""
    if not len(due):
        return np.zeros(len(stamps), dtype=bool)
    at = np.minimum(np.searchsorted(due, stamps), len(due) - 1)
    found: np.ndarray = due[at] == stamps
    return found
