"""The truth as a listing's bars of any length and price basis at an instant: what every dialect puts into its own words."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from mdagent.wire.sandbox.distortion import seen as seen_of
from mdagent.wire.sandbox.intraday import Strip
from mdagent.wire.sandbox.market import truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.wire.sandbox.tickers import Ticker
    from mdagent.wire.sandbox.view import View

Basis = Literal["raw", "splits", "all"]
_MINUTES = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600}


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars in equal-length columns, ascending. `day` is the session date, of a week its Monday, of a month its 1st (datetime64[D]);
    `first` and `last` are the first and last session in it; `opens` is when it opens (epoch seconds). Prices are NaN where a session
    was halted; `volume` counts shares on the same basis. `live`: the last bar's period is not over."""

    day: np.ndarray
    first: np.ndarray
    last: np.ndarray
    opens: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    live: bool = field(default=False, kw_only=True)

    def __len__(self) -> int:
        return len(self.day)

    def take(self, keep: np.ndarray) -> Bars:
        """The rows of a mask, an index array or a slice."""
        columns = (self.day, self.first, self.last, self.opens, self.open, self.high, self.low, self.close, self.volume)
        live = self.live and len(self) > 0 and bool(np.isin(len(self) - 1, np.arange(len(self))[keep]))
        return _bars([c[keep] for c in columns], live=live)

    @property
    def traded(self) -> Bars:
        """Without the halted ones: most providers leave them out."""
        return self.take(~np.isnan(self.close))


def _bars(columns: Sequence[np.ndarray], *, live: bool = False) -> Bars:
    day, first, last, opens, *prices, volume = columns
    open_, high, low, close = prices
    return Bars(day, first, last, opens, open_, high, low, close, volume, live=live)


@dataclass(frozen=True, slots=True)
class Action:
    """A split or a payment on its ex-date. `amount` is a share's as paid then; `adjusted` what that makes of a share of now."""

    day: np.datetime64
    kind: Literal["split", "dividend", "gain"]
    new: int = 1
    old: int = 1
    amount: float = 0.0
    adjusted: float = 0.0


def at(ticker: Ticker, now: int) -> View:
    """The listing as it stands at `now`, in the eyes of the provider that is asked."""
    return seen_of(truth(ticker), now)


def daily(seen: View, basis: Basis = "splits") -> Bars:
    """All daily bars up to now, the unfinished one included."""
    strip = seen.daily(0, seen.shown)
    scale = _scale(seen, basis)
    day = seen.truth.hours.day[: seen.shown]
    live = seen.live is not None and seen.live.at == seen.shown - 1
    volume = strip.volume if basis != "raw" else np.round(strip.volume / seen.factor[: seen.shown])
    prices = (column * scale for column in strip.columns[1:5])
    return _bars((day, day, day, strip.stamp, *prices, volume), live=live)


def _scale(seen: View, basis: Basis) -> np.ndarray:
    """What to multiply split-adjusted daily prices by."""
    if basis == "raw":
        return seen.factor[: seen.shown]
    return seen.payout(0, seen.shown) if basis == "all" else np.ones(seen.shown)


def periods(seen: View, unit: Literal["1w", "1mo"], basis: Basis = "splits") -> Bars:
    """Weeks or months made of the daily bars of that basis; of `all` they are scaled by the factor of their last close, as providers
    do it, and of `raw` a split within leaves them in two units, as providers leave them."""
    days = daily(seen, "raw" if basis == "raw" else "splits")
    label = days.day - (days.day.astype(int) + 3) % 7 if unit == "1w" else days.day.astype("datetime64[M]").astype("datetime64[D]")
    start = np.flatnonzero(np.diff(label.astype(int), prepend=-(10**9)) != 0)
    end = np.append(start[1:], len(label)) - 1 if len(start) else start
    strip = Strip(days.opens, days.open, days.high, days.low, days.close, days.volume).grouped(start, days.opens[start])
    scale = seen.payout(0, seen.shown)[end] if basis == "all" else np.ones(len(start))
    prices = (column * scale for column in strip.columns[1:5])
    over = seen.live is None and seen.done < len(seen.truth.hours.day) and len(end) > 0
    following = seen.truth.hours.day[min(seen.done, len(seen.truth.hours.day) - 1)]
    ahead = following - (following.astype(int) + 3) % 7 if unit == "1w" else following.astype("datetime64[M]").astype("datetime64[D]")
    live = bool(len(label)) and not (over and ahead != label[-1])
    return _bars((label[start], days.day[start], days.day[end], days.opens[start], *prices, strip.volume), live=live)


def intraday(seen: View, interval: str, start: int, end: int, basis: Basis = "raw") -> Bars:
    """Bars of 1m, 5m, 15m, 30m or 1h that open in [start, end), within regular sessions; nothing for a fund."""
    hours, seconds = seen.truth.hours, _MINUTES[interval]
    low = int(np.searchsorted(hours.closes, start, side="right"))
    high = int(np.searchsorted(hours.opens, end, side="left"))
    if seen.truth.ticker.is_fund or low >= high:
        return _NOTHING
    parts = []
    for at_ in range(low, min(high, seen.begun)):
        strip = seen.intraday(at_, at_ + 1, seconds)
        factor = float(seen.factor[at_]) if basis == "raw" else 1.0
        paid = float(seen.payout(at_, at_ + 1)[0]) if basis == "all" and at_ < seen.shown else 1.0
        day = np.full(len(strip), hours.day[at_])
        prices = (column * factor * paid for column in strip.columns[1:5])
        parts.append(_bars((day, day, day, strip.stamp, *prices, np.round(strip.volume / factor))))
    if not parts:
        return _NOTHING
    names = ("day", "first", "last", "opens", "open", "high", "low", "close", "volume")  # all but `live`
    columns = [np.concatenate([getattr(p, n) for p in parts]) for n in names]
    live = seen.live is not None and len(columns[3]) > 0 and bool(columns[3][-1] + seconds > seen.now)
    whole = _bars(columns, live=live)
    return whole.take((whole.opens >= start) & (whole.opens < end))


_DAYS = np.zeros(0, dtype="datetime64[D]")
_NOTHING = _bars((_DAYS, _DAYS, _DAYS, np.zeros(0, dtype=np.int64), *(np.zeros(0) for _ in range(5))))


def actions(seen: View) -> list[Action]:
    """Every split and payment that has gone ex by now, oldest first."""
    t = seen.truth
    found = []
    for i in np.flatnonzero(((t.dividend > 0) | (t.gain > 0) | (t.ratio != 1))[: seen.begun]).tolist():
        day, factor = t.hours.day[i], float(seen.factor[i])
        if t.ratio[i] != 1:
            new, old = _ratio(seen.truth.ticker, day)
            found.append(Action(day, "split", new, old))
        for kind, amount in (("dividend", float(t.dividend[i])), ("gain", float(t.gain[i]))):
            if amount > 0:
                found.append(Action(day, kind, amount=amount, adjusted=amount / factor))  # type: ignore[arg-type]
    return found


@lru_cache(maxsize=4096)
def _ratio(ticker: Ticker, day: np.datetime64) -> tuple[int, int]:
    """New and old shares of the split that takes effect in the session of `day`."""
    hours = truth(ticker).hours
    return next((s.new, s.old) for s in ticker.splits if hours.day[np.searchsorted(hours.day, np.datetime64(s.day, "D"))] == day)
