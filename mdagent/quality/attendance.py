"""Bars against sessions: which came uninvited, and which bear another day's date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.case import Case, Outcome, as_stamps
from mdagent.quality.counted import many
from mdagent.quality.finding import Severity
from mdagent.quality.timetable import timetable_of, within
from mdagent.sessions import stretches

if TYPE_CHECKING:
    from mdagent.quality.finding import Finding
    from mdagent.sessions import Session

UNKNOWN = Outcome(skipped="the trading calendar is unknown")
EMPTY = Outcome(skipped="the calendar holds no session around this window")

_NIGHT = timedelta(hours=22)  # a session this long opens on the evening before: its first bar may bear that date
_ALL_TIME = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
_DAY = 86400
_FEWEST_WEEKS, _MOST_WEEKS = 3, 0.7  # weeks that prove a shift of dates, and the part of them that must agree


def non_session(case: Case) -> Outcome:
    """Condemn bars where nobody traded. Beyond the first and last known session nothing is said of a bar."""
    if case.sessions is None:
        return UNKNOWN
    if not case.sessions:
        return EMPTY
    outside, edge = _intraday_outside(case) if case.request.interval.intraday else daily_outside(case)
    outside &= ~case.bad
    edge &= ~case.bad
    found: list[Finding] = []
    if edge.any():
        words = f"{many(edge.sum())} at the edge of a session, which is kept"
        found.append(case.tell("non_session", "non_trading_day_bar", Severity.INFO, edge, words))
    shifted = shifted_dates(case, outside)
    outside &= ~shifted
    if shifted.any():
        words = f"{many(shifted.sum())} under the date of another day: weekends have bars, and as many weekdays have none"
        found.append(case.tell("non_session", "date_shifted", Severity.CRITICAL, shifted, words))
    if outside.any():
        words = f"{many(outside.sum())} at times without a trading session"
        found.append(case.tell("non_session", "non_trading_day_bar", Severity.MEDIUM, outside, words))
    return Outcome(tuple(found), outside, "no trading session at this time", odd=shifted if shifted.any() else None)


def shifted_dates(case: Case, outside: np.ndarray) -> np.ndarray:
    """The stretch whose bars bear the date of the day before or after: week for week a bar on a closed weekend day, and none on the
    trading day at the other end of the week. A mask."""
    none = np.zeros(len(outside), dtype=bool)
    if case.request.interval.seconds != _DAY or outside.sum() < _FEWEST_WEEKS:
        return none
    days = case.bars.ts.astype("datetime64[D]")
    trading = timetable_of(case.sessions or ()).days
    weekday = (days.astype(np.int64) + 3) % 7  # 0 is Monday
    for day_of_week, other_end in ((6, -2), (5, 2)):  # Sundays for Mondays, without Fridays; Saturdays for Fridays, without Mondays
        odd = np.flatnonzero(outside & (weekday == day_of_week))
        if len(odd) < _FEWEST_WEEKS:
            continue
        twin = days[odd] + np.timedelta64(other_end, "D")
        counted = np.isin(twin, trading)
        absent = counted & ~np.isin(twin, days)
        if absent.sum() < _MOST_WEEKS * max(counted.sum(), 1):
            continue
        none[odd[0] : odd[-1] + 1] = True
        return none
    return none


def daily_outside(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Which daily or longer bars no session accounts for; and which of these stand for the evening on which one opened."""
    sessions, interval, ts = case.sessions or (), case.request.interval, case.bars.ts
    table = timetable_of(sessions)
    begin, end = table.known_by(interval)
    outside = (ts >= begin) & (ts < end) & ~within(ts, table.due(interval, *_ALL_TIME))
    if not outside.any():
        return outside, outside
    evenings = np.array([s.opens.date() for s in sessions if s.closes - s.opens >= _NIGHT], dtype="datetime64[D]")
    edge = outside & np.isin(ts, evenings.astype("datetime64[us]"))
    return outside & ~edge, edge


def _intraday_outside(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """A bar belongs to a session when its period overlaps it: some sources cut hours by the clock, not from the open."""
    sessions, ts = case.sessions or (), case.bars.ts
    near = _near(case)
    if not near:
        return np.zeros(len(ts), dtype=bool), np.zeros(len(ts), dtype=bool)
    opens, closes = (as_stamps(side) for side in zip(*(part for s in near for part in stretches(s)), strict=True))
    at = np.searchsorted(opens, ts + np.timedelta64(case.request.interval.seconds, "s"), "left") - 1
    inside = (at >= 0) & (ts < closes[at])
    edge = ~inside & np.isin(ts, closes)  # the closing auction's print
    known = (ts >= as_stamps([sessions[0].opens])[0]) & (ts <= as_stamps([sessions[-1].closes])[0])
    return ~inside & ~edge & known, edge


def _near(case: Case) -> list[Session]:
    """Sessions about the bars: a month's margin holds one on each side in any calendar."""
    if not case.stamps:
        return []
    low, high = min(case.stamps) - timedelta(days=30), max(case.stamps) + timedelta(days=30)
    return [s for s in case.sessions or () if low <= s.opens <= high]
