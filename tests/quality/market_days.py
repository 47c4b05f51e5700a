"""Clean series for the checks: simulated markets that no threshold was chosen by, and walks with fat tails."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from mdagent.market import Adjustment, BarRequest, BarSet, CorporateAction, Interval, Symbol
from mdagent.quality.checks import Circumstances, judge
from mdagent.sessions import Session, build
from mdagent.sources.reading.columns import Column
from mdagent.sources.reading.rows import Answer, assemble
from mdagent.wire.sandbox.series import at, daily
from mdagent.wire.sandbox.tickers import find
from tests.quality.injections import Rows

if TYPE_CHECKING:
    from mdagent.quality.finding import Verdict

NOW = datetime(2024, 6, 3, tzinfo=UTC)


@cache
def sessions() -> tuple[Session, ...]:
    return build("XNYS", date(1980, 1, 1), date(2026, 1, 1)).sessions


@cache
def whole(symbol: str) -> Rows:
    """All daily bars of a simulated listing, adjusted for splits, without halted days."""
    ticker = find(symbol)
    assert ticker is not None
    bars = daily(at(ticker, int(NOW.timestamp()))).traded
    return Rows(bars.day.astype("datetime64[us]"), bars.open, bars.high, bars.low, bars.close, bars.volume.astype(np.float64))


def window(symbol: str, rng: np.random.Generator) -> Rows:
    """One to three years of it, somewhere."""
    rows = whole(symbol)
    length = int(rng.integers(250, 750))
    start = int(rng.integers(0, max(1, len(rows) - length)))
    return rows.take(np.arange(start, min(start + length, len(rows))))


def walk(rng: np.random.Generator, days: int, freedom: float) -> Rows:
    """Days of a random walk whose moves have a t distribution, with gaps, wicks and volumes in proportion."""
    ts = np.array([s.day for s in sessions()], dtype="datetime64[D]")[-days:].astype("datetime64[us]")
    scale = float(rng.uniform(0.006, 0.03))
    step = rng.standard_t(freedom, days) / np.sqrt(freedom / (freedom - 2)) * scale
    close = 50.0 * np.exp(np.cumsum(step))
    before = np.r_[50.0, close[:-1]]
    opened = before * np.exp(step * rng.uniform(0, 0.6, days) + rng.normal(0, 0.3, days) * scale)
    high = np.maximum(opened, close) * np.exp(rng.exponential(0.45, days) * scale)
    low = np.minimum(opened, close) * np.exp(-rng.exponential(0.45, days) * scale)
    volume = np.round(np.exp(rng.normal(14, 0.35, days)) * (0.7 + 0.4 * np.abs(step / scale)))
    return Rows(ts, opened, high, low, close, volume)


def requested(rows: Rows, adjustment: str = "splits") -> BarRequest:
    """The window of the rows as they were before any defect."""
    first, last = (t.item().replace(tzinfo=UTC) for t in (rows.ts[0], rows.ts[-1]))
    return BarRequest(Symbol.parse("AAPL"), Interval.D1, first, last + timedelta(days=1), Adjustment(adjustment))


def bar_set(rows: Rows, request: BarRequest, splits: tuple[tuple[np.datetime64, float], ...] = (), source: str = "file") -> BarSet:
    """The rows as an adapter would read them: sorted, conflicts and repeats told."""
    columns = (rows.open, rows.high, rows.low, rows.close, rows.volume)
    everything = request.over(datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    none = np.zeros(len(rows), dtype=bool)
    read = assemble(Answer(rows.ts, ~none, tuple(Column(c, np.isnan(c), none) for c in columns)), everything)
    actions = tuple(CorporateAction("split", day.astype("datetime64[D]").item(), ratio) for day, ratio in splits)
    o, h, low, c, v = read.table
    return BarSet(
        request.symbol,
        request.interval,
        source,
        request.adjustment,
        "USD",
        read.ts,
        o,
        h,
        low,
        c,
        v,
        actions=actions,
        delivery=read.delivery,
    )


def judged(bars: BarSet, request: BarRequest, *others: BarSet, **known: object) -> Verdict:
    """The verdict on a file of these bars."""
    told = Circumstances(as_is=True, listed=True, others=others, **known)  # type: ignore[arg-type]
    near = [s for s in sessions() if request.start - timedelta(days=40) <= s.opens <= request.end + timedelta(days=40)]
    return judge(bars, request, near, request.end, timedelta(0), told)
