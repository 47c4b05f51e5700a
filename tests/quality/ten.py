"""Ten daily bars of AAPL, sessions 2024-01-02 to 2024-01-16, and ways to spoil them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np

from mdagent.market import Adjustment, BarRequest, BarSet, Delivery, Interval, RejectedRow, Symbol
from mdagent.quality.checks import judge
from mdagent.sessions import Session, build

DAYS = (2, 3, 4, 5, 8, 9, 10, 11, 12, 16)
NOW = datetime(2024, 1, 17, tzinfo=UTC)
REQUEST = BarRequest(Symbol.parse("AAPL"), Interval.D1, datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 17, tzinfo=UTC))


@cache
def sessions(calendar: str = "XNYS") -> tuple[Session, ...]:
    return build(calendar, date(2013, 1, 1), date(2025, 1, 1)).sessions


def bars(days: tuple[int, ...] = DAYS, **delivery: Any) -> BarSet:
    return bars_at([datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=d - 1) for d in days], **delivery)


def bars_at(stamps: list[datetime], **delivery: Any) -> BarSet:
    n = len(stamps)
    close = 185.0 + np.sin(np.arange(n))
    return BarSet(
        symbol=REQUEST.symbol,
        interval=REQUEST.interval,
        source="test",
        adjustment=Adjustment.SPLITS,
        currency="USD",
        ts=np.array([s.replace(tzinfo=None) for s in stamps], dtype="datetime64[us]"),
        open=close - 0.5,
        high=close + 1.0,
        low=close - 1.0,
        close=close,
        volume=5e7 + np.arange(n),
        delivery=Delivery(rows=delivery.pop("rows", n), **delivery),
    )


def spoilt(at: int, **values: float) -> BarSet:
    """The ten bars with these values in bar `at`."""
    good = bars()
    columns = {}
    for name, value in values.items():
        column = getattr(good, name).copy()
        column[at] = value
        columns[name] = column
    return replace(good, **columns)


def row(day: int = 4, check: str = "values") -> RejectedRow:
    return RejectedRow(datetime(2024, 1, day, tzinfo=UTC), check, "no number", "{}")


def judged(some: BarSet, *, now: datetime = NOW, request: BarRequest = REQUEST, known: bool = True) -> Any:
    return judge(some, request, sessions() if known else None, now, timedelta(0))
