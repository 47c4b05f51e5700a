"""The good rows of a set as logarithms, and how much they usually move.

All scales are local and robust: the upper quartile of moves within a block of rows, so that a quarter of a block may be wild without
moving it; a calm block beside a wild one keeps its calm, a wild one its wildness. Logarithms make every scale free of the unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mdagent.market import BarSet

BLOCK = 20
_QUARTILE = 1.15  # the upper quartile of |x| over the standard deviation, of a normal x
_CALMEST = 0.25  # no block is taken for calmer than this part of the whole


@dataclass(frozen=True)
class Tape:
    """Rows with four prices above zero, in order of time. `at` are their places in the set, -1 for rows of before it that are only looked
    back upon; prices are natural logarithms."""

    at: np.ndarray
    ts: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray

    @classmethod
    def of(cls, bars: BarSet, bad: np.ndarray, before: BarSet | None = None) -> Tape:
        """The tape of a set without its bad rows, after the bars of `before`. Prices that are not above zero are left out."""
        tape = cls._of(bars, bad)
        return tape if before is None else cls._of(before, np.zeros(len(before), dtype=bool)).followed_by(tape)

    @classmethod
    def _of(cls, bars: BarSet, bad: np.ndarray) -> Tape:
        with np.errstate(all="ignore"):
            good = ~bad & (np.minimum(np.minimum(bars.open, bars.close), np.minimum(bars.low, bars.high)) > 0)
        if good.all():
            o, h, low, c = np.log(bars.open), np.log(bars.high), np.log(bars.low), np.log(bars.close)
            return cls(np.arange(len(good)), bars.ts, o, h, low, c, bars.volume)
        at = np.flatnonzero(good)
        o, h, low, c = (np.log(column[at]) for column in (bars.open, bars.high, bars.low, bars.close))
        return cls(at, bars.ts[at], o, h, low, c, bars.volume[at])

    def followed_by(self, later: Tape) -> Tape:
        """Both as one, of which only the later has a place in the set."""
        names = ("ts", "open", "high", "low", "close", "volume")
        return Tape(np.r_[np.full(len(self), -1), later.at], *(np.concatenate([getattr(self, n), getattr(later, n)]) for n in names))

    def __len__(self) -> int:
        return len(self.at)

    @cached_property
    def own(self) -> np.ndarray:
        """Which rows are the set's."""
        own: np.ndarray = self.at >= 0
        return own

    @cached_property
    def moves(self) -> np.ndarray:
        """From each close to the next, n - 1 of them."""
        return np.diff(self.close)

    @cached_property
    def gaps(self) -> np.ndarray:
        """From each close to the next open, n - 1 of them."""
        gaps: np.ndarray = self.open[1:] - self.close[:-1]
        return gaps

    @cached_property
    def ranges(self) -> np.ndarray:
        """From low to high."""
        ranges: np.ndarray = self.high - self.low
        return ranges

    @cached_property
    def move_scale(self) -> np.ndarray:
        """A standard deviation of `moves` about each, as long as they."""
        return local_scale(self.moves)

    @cached_property
    def gap_scale(self) -> np.ndarray:
        """A standard deviation of `gaps` about each."""
        return local_scale(self.gaps)

    @cached_property
    def range_scale(self) -> np.ndarray:
        """The usual range about each row."""
        return local_scale(self.ranges, share=0.5) * _QUARTILE

    @cached_property
    def trades(self) -> bool:
        """Is its volume told, more often than not?"""
        return bool(len(self)) and float(np.count_nonzero(self.volume > 0)) > len(self) / 2

    def places(self, mask: np.ndarray, length: int) -> np.ndarray:
        """A mask over the tape as a mask over the set of `length` bars."""
        made = np.zeros(length, dtype=bool)
        at = self.at[mask]
        made[at[at >= 0]] = True
        return made


def local_scale(values: np.ndarray, share: float = 0.75) -> np.ndarray:
    """A standard deviation about each value, from the quantile `share` of |values| in its block and the blocks beside it."""
    size = np.abs(values)
    n = len(size)
    blocks = n // BLOCK
    if blocks < 2:
        whole = float(np.quantile(size, share)) if n else 0.0
        return np.full(n, whole / _QUARTILE)
    kth = int(share * BLOCK) - 1
    of_block = np.partition(size[: blocks * BLOCK].reshape(blocks, BLOCK), kth, axis=1)[:, kth] / _QUARTILE
    before, after = np.concatenate([of_block[:1], of_block[:-1]]), np.concatenate([of_block[1:], of_block[-1:]])
    middle = np.maximum(np.minimum(before, after), np.minimum(np.maximum(before, after), of_block))
    told = np.repeat(np.maximum(of_block, middle), BLOCK)
    told = np.concatenate([told, np.full(n - len(told), told[-1])])
    least = _CALMEST * float(np.partition(of_block, blocks // 2)[blocks // 2])
    scale: np.ndarray = np.maximum(told, least)
    return scale
