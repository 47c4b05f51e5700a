"""The minutes within a session: a path that starts at its open, ends at its close, touches its high and its low."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mdagent.wire.sandbox.tickers import seed_of

if TYPE_CHECKING:
    from mdagent.wire.sandbox.market import Truth


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """Bars in equal-length columns: `stamp` the bar's open in epoch seconds, raw prices, whole shares (NaN prices: no trade)."""

    stamp: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray

    def __len__(self) -> int:
        return len(self.stamp)

    def upto(self, n: int) -> Strip:
        """The first n bars."""
        return Strip(*(column[:n] for column in self.columns))

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """All six, in order of declaration."""
        return self.stamp, self.open, self.high, self.low, self.close, self.volume

    @classmethod
    def join(cls, parts: list[Strip]) -> Strip:
        """One after the other."""
        return cls(*(np.concatenate(column) for column in zip(*(p.columns for p in parts), strict=True))) if parts else EMPTY

    def grouped(self, start: np.ndarray, label: np.ndarray) -> Strip:
        """One bar for each run of rows that begins at an index in `start`, stamped with `label`. Rows without trade count for nothing."""
        if not len(start):
            return EMPTY
        spans = zip(start, [*start[1:], len(self)], strict=True)
        first, last = self.open.copy(), self.close.copy()
        for a, b in spans if np.isnan(self.open).any() else ():
            traded = a + np.flatnonzero(~np.isnan(self.open[a:b]))
            if len(traded):
                first[a], last[b - 1] = self.open[traded[0]], self.close[traded[-1]]
        return Strip(
            label,
            first[start],
            np.fmax.reduceat(self.high, start),
            np.fmin.reduceat(self.low, start),
            last[np.append(start[1:], len(self)) - 1],
            np.add.reduceat(self.volume, start),
        )


EMPTY = Strip(*(np.zeros(0, dtype=kind) for kind in (np.int64, float, float, float, float, float)))


def minutes(truth: Truth, at: int) -> Strip:
    """All minutes of session number `at`: first open, last close, highest high, lowest low and sum of volumes are the session's."""
    hours = truth.hours
    stamp = np.concatenate((np.arange(hours.opens[at], hours.pause[at], 60), np.arange(hours.resume[at], hours.closes[at], 60)))
    n = len(stamp)
    if not n or truth.halted[at] or truth.ticker.is_fund:
        return EMPTY
    o, h, l, c = (float(column[at]) for column in (truth.open, truth.high, truth.low, truth.close))  # noqa: E741 - OHLC
    rng = seed_of(truth.ticker.symbol, hours.day[at], "minutes")
    walk = np.concatenate(([0.0], np.cumsum(rng.normal(0.0, 1.0, n))))
    path = walk - walk[-1] * np.linspace(0.0, 1.0, n + 1)  # from 0 back to 0
    path = path / (np.ptp(path) or 1.0) * 1.2 * (h - l) + np.linspace(o, c, n + 1)
    path = _reach(_fit(path, (l, h), (min(o, c), max(o, c))), l, h)
    path[0], path[-1] = o, c
    tops, bottoms = np.maximum(path[:-1], path[1:]), np.minimum(path[:-1], path[1:])
    wick = (h - l) / (4 * np.sqrt(n))
    tops = np.minimum(tops + wick * rng.exponential(0.5, n), h)
    bottoms = np.maximum(bottoms - wick * rng.exponential(0.5, n), l)
    places = truth.ticker.price_hint + 2
    opens, tops, bottoms, closes = (np.round(p, places) for p in (path[:-1], tops, bottoms, path[1:]))
    tops[int(np.argmax(tops))] = h
    bottoms[int(np.argmin(bottoms))] = l
    return Strip(stamp, opens, tops, bottoms, closes, _spread(int(truth.volume[at]), n, rng))


def _fit(path: np.ndarray, range_: tuple[float, float], body: tuple[float, float]) -> np.ndarray:
    """Squeeze what lies beyond the body (open to close) so that it stays within the day's range; the body is left as it is."""
    (low, high), (under, over) = range_, body
    top, bottom = float(path.max()), float(path.min())
    fitted = path.copy()
    above, below = path > over, path < under
    if top > over:
        fitted[above] = over + (path[above] - over) * min(1.0, (high - over) / (top - over))
    if bottom < under:
        fitted[below] = under - (under - path[below]) * min(1.0, (under - low) / (under - bottom))
    return fitted


def _reach(path: np.ndarray, low: float, high: float) -> np.ndarray:
    """Swell the path about its highest and lowest point until it is as high and as low as the day was, so that no single minute goes
    all that way."""
    at = np.arange(len(path))
    about = max(len(path) / 12.0, 1.0)
    ends = 1.0 - (2.0 * at / max(len(path) - 1, 1) - 1.0) ** 8  # the open and the close stay where they are
    for extreme, place in ((high, int(np.argmax(path))), (low, int(np.argmin(path)))):
        path = path + (extreme - path[place]) * np.exp(-(((at - place) / about) ** 2)) * ends
    clipped: np.ndarray = np.clip(path, low, high)
    return clipped


def _spread(total: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """A total over n minutes: busy at the open and the close, quiet between."""
    u = np.linspace(-1.0, 1.0, n)
    weight = (1.0 + 3.0 * u**4) * np.exp(rng.normal(0.0, 0.4, n))
    through = np.cumsum(weight)
    through /= through[-1]  # not weight.sum(), whose last bit may differ: a share in a thousand million would be lost
    return np.diff(np.floor(through * total + 1e-6).astype(np.int64), prepend=0)


def stepped(truth: Truth, at: int, strip: Strip, seconds: int) -> Strip:
    """Minutes of one session as bars of so many seconds, counted from the open and, after a lunch break, from its end."""
    if not len(strip):
        return EMPTY
    base = np.where(strip.stamp >= truth.hours.resume[at], truth.hours.resume[at], truth.hours.opens[at])
    label = base + (strip.stamp - base) // seconds * seconds
    start = np.flatnonzero(np.diff(label, prepend=-1) != 0)
    return strip.grouped(start, label[start])
