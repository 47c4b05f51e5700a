"""The window of a request, as a provider must be asked for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mdagent.market import Interval

if TYPE_CHECKING:
    import numpy as np

    from mdagent.market import BarRequest

_DAY = timedelta(days=1)


def windows(request: BarRequest, longest: timedelta | None) -> list[BarRequest]:
    """The request in consecutive pieces of at most `longest`, the same pieces for the same request."""
    if longest is None or request.end - request.start <= longest:
        return [request]
    cuts = [request.start]
    while cuts[-1] + longest < request.end:
        cuts.append(cuts[-1] + longest)
    return [request.over(a, b) for a, b in zip(cuts, [*cuts[1:], request.end], strict=True)]


def first_period(request: BarRequest) -> datetime:
    """The first instant that can be a stamp of the window: for daily and longer bars a midnight, a Monday, a first."""
    if request.interval.intraday:
        return request.start
    day = _midnight_from(request.start)
    if request.interval is Interval.W1:
        return day + _DAY * (-day.weekday() % 7)
    if request.interval is Interval.MO1 and day.day > 1:
        return (day.replace(day=28) + 4 * _DAY).replace(day=1)
    return day


def last_instant(request: BarRequest) -> datetime:
    """The exclusive end to ask for: daily and longer bars are stamped within their day, so its whole last day."""
    return request.end if request.interval.intraday else _midnight_from(request.end)


def _midnight_from(instant: datetime) -> datetime:
    day = instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day if day == instant else day + _DAY


def period_of(days: np.ndarray, interval: Interval) -> np.ndarray:
    """Session dates (datetime64[D]) -> stamps of the bars they belong to (datetime64[us]): the date, its Monday, its 1st."""
    if interval is Interval.W1:
        days = days - (days.astype("int64") + 3) % 7  # 1970-01-01 was a Thursday
    elif interval is Interval.MO1:
        days = days.astype("datetime64[M]").astype("datetime64[D]")
    return days.astype("datetime64[us]")
