"""What a simulated provider ought to have said: the truth of the sandbox as columns of one window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import numpy as np

from mdagent.market import Adjustment, Interval
from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.tickers import listing

if TYPE_CHECKING:
    from mdagent.wire.sandbox.series import Action, Bars
    from mdagent.wire.sandbox.view import View


class Scene(NamedTuple):
    """Something that happened, and when it is looked at."""

    title: str
    symbol: str
    start: datetime
    end: datetime
    now: datetime

    def __str__(self) -> str:
        return self.title

    def widened(self, interval: Interval) -> Scene:
        """A window in which that interval has several bars, in no way later than the clock."""
        more = {Interval.W1: timedelta(days=30), Interval.MO1: timedelta(days=100)}.get(interval, timedelta(0))
        return self._replace(start=self.start - more, end=min(self.end + more, self.now))


class Known(NamedTuple):
    """Stamps as in a BarSet, the four prices as a (4, n) array, volume."""

    ts: np.ndarray
    prices: np.ndarray
    volume: np.ndarray

    def take(self, keep: np.ndarray) -> Known:
        """The bars of a mask."""
        return Known(self.ts[keep], self.prices[:, keep], self.volume[keep])

    def without(self, stamps: frozenset[datetime]) -> Known:
        """All but the bars at these instants."""
        return self.take(np.array([ts.replace(tzinfo=UTC) not in stamps for ts in self.ts.tolist()], dtype=bool))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _scene(title: str, symbol: str, start: str, end: str, now: str) -> Scene:
    return Scene(title, symbol, _at(start), _at(end), _at(now))


_LATER = "2025-01-20T12:00"  # a holiday: nothing trades
DAYS = (
    _scene("the split of 2020", "AAPL", "2020-08-24", "2020-09-09", _LATER),
    _scene("the clocks go forward", "AAPL", "2024-03-04", "2024-03-16", _LATER),
    _scene("a dividend and a holiday", "AAPL", "2024-01-02", "2024-01-20", _LATER),
    _scene("the half day of July", "AAPL", "2024-06-28", "2024-07-09", _LATER),
    _scene("the half day of November", "BRK.B", "2024-11-25", "2024-12-04", _LATER),
    _scene("a halt on the day of a split", "SYM00307", "2024-01-25", "2024-02-08", _LATER),
    _scene("a year ends with a halt", "SYM00007", "2024-12-23", "2025-01-10", _LATER),
)
HOURS = (
    _scene("the split of 2020", "AAPL", "2020-08-28", "2020-09-02", "2020-09-03T12:00"),
    _scene("the clocks go forward", "AAPL", "2024-03-08", "2024-03-12", "2024-03-13T12:00"),
    _scene("the clocks go back", "AAPL", "2024-11-01", "2024-11-05", "2024-11-06T12:00"),
    _scene("the half day of July", "AAPL", "2024-07-02", "2024-07-06", "2024-07-08T12:00"),
    _scene("the half day of November", "BRK.B", "2024-11-27", "2024-12-03", "2024-12-04T12:00"),
    _scene("a halt on the day of a split", "SYM00307", "2024-01-31", "2024-02-03", "2024-02-05T12:00"),
    _scene("a year ends with a halt", "SYM00007", "2024-12-27", "2025-01-03", "2025-01-06T12:00"),
    _scene("from within a session into the next", "AAPL", "2024-03-11T15:00", "2024-03-12T16:00", "2024-03-14T12:00"),
)


@lru_cache(maxsize=256)
def seen(symbol: str, now: datetime) -> View:
    """The listing as it stands then."""
    ticker = listing(symbol)
    assert ticker is not None
    return series.at(ticker, int(now.timestamp()))


@lru_cache(maxsize=1024)
def known(scene: Scene, interval: Interval, basis: Adjustment) -> Known:
    """The bars of that window that traded."""
    view = seen(scene.symbol, scene.now)
    of: Literal["raw", "splits", "all"] = basis.value
    if interval.intraday:
        span = (int(scene.start.timestamp()), int(scene.end.timestamp()))
        bars = series.intraday(view, interval.value, *span, of)
        return _known(bars.opens.astype("datetime64[s]"), bars, scene)
    if interval is Interval.D1:
        bars = series.daily(view, of).traded
    else:
        bars = series.periods(view, cast("Literal['1w', '1mo']", interval.value), of).traded
    return _known(bars.day, bars, scene)


def _known(stamps: np.ndarray, bars: Bars, scene: Scene) -> Known:
    ts = stamps.astype("datetime64[us]")
    keep = (ts >= _us(scene.start)) & (ts < _us(scene.end))
    return Known(ts[keep], np.array([bars.open, bars.high, bars.low, bars.close])[:, keep], bars.volume[keep])


def _us(instant: datetime) -> np.datetime64:
    return np.datetime64(instant.replace(tzinfo=None), "us")


def torn_by_a_split(scene: Scene, interval: Interval) -> frozenset[datetime]:
    """The weeks or months of a scene that hold sessions before and after a split."""
    if interval not in (Interval.W1, Interval.MO1):
        return frozenset()
    bars = series.periods(seen(scene.symbol, scene.now), cast("Literal['1w', '1mo']", interval.value))
    days = [a.day for a in actions(scene) if a.kind == "split"]
    torn = [day for day, first, last in zip(bars.day, bars.first, bars.last, strict=True) if any(first < d <= last for d in days)]
    return frozenset(datetime.fromisoformat(f"{day}").replace(tzinfo=UTC) for day in torn)


def in_session(ts: np.ndarray, scene: Scene) -> np.ndarray:
    """Which bars begin within a regular session."""
    hours = seen(scene.symbol, scene.now).truth.hours
    begins = ts.astype("datetime64[s]").astype(np.int64)
    at = np.maximum(np.searchsorted(hours.opens, begins, side="right") - 1, 0)
    inside: np.ndarray = (begins >= hours.opens[at]) & (begins < hours.closes[at])
    return inside


def actions(scene: Scene) -> list[Action]:
    """What took effect in the window, as it was known at the clock."""
    days = (np.datetime64(scene.start.date()), np.datetime64(scene.end.date()))
    return [a for a in series.actions(seen(scene.symbol, scene.now)) if days[0] <= a.day < days[1]]
