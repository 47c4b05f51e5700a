"""What of the truth can be known at an instant: finished sessions, the one in progress, the splits and dividends so far."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from mdagent.wire.sandbox.intraday import Strip, minutes, stepped
from mdagent.wire.sandbox.market import Truth, later_product

if TYPE_CHECKING:
    from collections.abc import Callable

_LAG = 7  # seconds between the last trade and its showing
_AROUND_THE_CLOCK = ("CURRENCY", "CRYPTOCURRENCY", "FUTURE")  # their daily bars are stamped at local midnight, not at an open


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """The session in progress: its number, the time of the last trade, the minutes so far (the last one has only begun)."""

    at: int
    seen: int
    strip: Strip

    @property
    def price(self) -> float:
        """The last trade, raw."""
        return float(self.strip.close[-1])


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A listing at `now` (epoch seconds). `factor` turns raw prices of every session into split-adjusted ones: only splits that
    have taken effect count. `shown` is the number of sessions that have a daily bar, the live one included.

    `spoil`, where there is one, is what becomes of bars before they are told, by their numbers (of the session, or counted from the
    epoch); `power` is how many times payments go into adjusted prices."""

    truth: Truth
    now: int
    done: int
    begun: int
    live: Live | None
    factor: np.ndarray
    spoil: Callable[[Strip, np.ndarray], Strip] | None = None
    power: float = 1.0

    @property
    def shown(self) -> int:
        return self.done + (self.live is not None and self.daily_stamps(self.live.at, self.live.at + 1)[0] <= self.live.seen)

    def daily_stamps(self, low: int, high: int) -> np.ndarray:
        """Where Yahoo stamps the daily bars of sessions low to high: the open, or local midnight of what trades all day."""
        if self.truth.ticker.type in _AROUND_THE_CLOCK:
            return midnights(self.truth.ticker.zone, self.truth.hours.day[low:high])
        return self.truth.hours.opens[low:high]

    def daily(self, low: int, high: int) -> Strip:
        """Split-adjusted daily bars of sessions low to high (at most `shown`); NaN where halted, the live one as far as it got."""
        strip = self._daily(low, high)
        return strip if self.spoil is None else self.spoil(strip, np.arange(low, low + len(strip)))

    def _daily(self, low: int, high: int) -> Strip:
        t, part = self.truth, slice(low, high)
        prices = [np.where(t.halted[part], np.nan, column[part]) for column in (t.open, t.high, t.low, t.close)]
        volume = np.where(t.halted[part], 0, t.volume[part]).astype(np.float64)
        if self.live is not None and low <= self.live.at < high:
            strip, at = self.live.strip, self.live.at - low
            for column, value in zip(prices, (strip.open[0], strip.high.max(), strip.low.min(), self.live.price), strict=True):
                column[at] = value
            volume[at] = strip.volume.sum()
        factor = self.factor[part]
        return Strip(*(self.daily_stamps(low, high), *(p / factor for p in prices), np.round(volume * factor)))

    def payout(self, low: int, high: int) -> np.ndarray:
        """What to multiply split-adjusted closes by, for the dividends and gains that went ex later, up to now."""
        if low >= high:
            return np.ones(0)
        close = self._daily(0, self.shown).close
        before = _carried(close)
        paid = (self.truth.dividend + self.truth.gain)[: self.shown] / self.factor[: self.shown]
        kept = 1.0 - np.concatenate(([0.0], paid[1:] / before[:-1]))
        return later_product(kept if self.power == 1.0 else kept**self.power)[low:high]

    def intraday(self, low: int, high: int, seconds: int) -> Strip:
        """Split-adjusted bars of so many seconds in sessions low to high; of the live session only what has begun."""
        parts = []
        for at in range(low, min(high, self.begun)):
            live = self.live is not None and self.live.at == at
            if at >= self.done and not live:
                continue
            strip = self.live.strip if self.live is not None and live else minutes(self.truth, at)
            s = stepped(self.truth, at, strip, seconds)
            f = float(self.factor[at])
            parts.append(Strip(s.stamp, s.open / f, s.high / f, s.low / f, s.close / f, np.round(s.volume * f)))
        strip = Strip.join(parts)
        return strip if self.spoil is None else self.spoil(strip, strip.stamp // seconds)

    @property
    def price(self) -> float:
        """The last trade, split-adjusted."""
        return self.live.price / float(self.factor[self.live.at]) if self.live is not None else self.last_close(self.done) or 0.0

    def last_close(self, before: int) -> float | None:
        """The split-adjusted close of the last session traded before session number `before`."""
        low = max(0, before - 30)
        closes = self._daily(low, before).close
        traded = closes[~np.isnan(closes)]
        return float(traded[-1]) if len(traded) else None


def view(truth: Truth, now: int) -> View:
    """The listing as it stands at `now`; nothing of it lies later."""
    hours = truth.hours
    done = int(np.searchsorted(hours.closes, now, side="right"))
    begun = int(np.searchsorted(hours.opens, now, side="right"))
    if truth.ticker.is_fund:
        begun = done
    ratio = truth.ratio.copy()
    ratio[begun:] = 1.0
    return View(truth, now, done, begun, _live(truth, done, now) if begun > done else None, later_product(ratio))


def _live(truth: Truth, at: int, now: int) -> Live | None:
    seen = now - _LAG if (now - _LAG) % 60 else now - _LAG - 1  # a live stamp is off every grid
    whole = minutes(truth, at)
    started = int(np.searchsorted(whole.stamp, seen, side="right"))
    if not started:
        return None
    ended = int(np.searchsorted(whole.stamp + 60, seen, side="right"))
    strip = whole.upto(started)
    if ended == started:  # between two stretches of trading
        return Live(at, int(whole.stamp[started - 1]) + 59, strip)
    first = strip.open[-1]
    columns = [np.append(column[:-1], first) for column in strip.columns[1:5]]
    return Live(at, seen, Strip(*(strip.stamp, *columns, np.append(strip.volume[:-1], 0))))


def _carried(close: np.ndarray) -> np.ndarray:
    """Closes with the last one before carried over a halt."""
    at = np.maximum.accumulate(np.where(np.isnan(close), 0, np.arange(len(close))))
    filled = close[at]
    return np.where(np.isnan(filled), 1.0, filled)


def midnights(zone: str, days: np.ndarray) -> np.ndarray:
    """Epoch seconds of 00:00 local on each day."""
    return np.array([_midnight(zone, int(day)) for day in days.astype(int)], dtype=np.int64)


@lru_cache(maxsize=65536)
def _midnight(zone: str, day: int) -> int:
    from datetime import date, datetime, time

    return int(datetime.combine(date.fromordinal(day + 719163), time(), ZoneInfo(zone)).timestamp())
