"""Bars with wrong fields: one here and there, of whatever length the bars are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from mdagent.wire.sandbox.intraday import Strip
from mdagent.wire.sandbox.places import luck, struck

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mdagent.wire.sandbox.distortion import Circumstance

    Columns = dict[str, np.ndarray]
    Change = Callable[[Columns, np.ndarray, np.ndarray, Circumstance], None]

_NAMES: Final = ("open", "high", "low", "close", "volume")
PRICES: Final = _NAMES[:4]


def _spoilt(change: Change) -> Callable[[Strip, np.ndarray, Circumstance], Strip]:
    """A change of the columns in place, at rows that are hit; its third argument is a share from 0 to 1 for each of those."""

    def spoil(strip: Strip, number: np.ndarray, by: Circumstance) -> Strip:
        hit = struck(number, int(by.settings["every"]), by.seed)
        at = np.flatnonzero(hit & ~np.isnan(strip.close))
        columns = {name: getattr(strip, name).astype(np.float64) for name in _NAMES}
        change(columns, at, luck(number[at], by.seed + 1), by)
        return Strip(strip.stamp, *columns.values())

    return spoil


def _bad_tick(c: Columns, at: np.ndarray, chance: np.ndarray, by: Circumstance) -> None:
    up, size, what = chance < 0.5, float(by.settings["size"]), by.settings["what"]
    times = np.where(up, 1.0 + size, 1.0 / (1.0 + size))
    if what == "row":
        for name in PRICES:
            c[name][at] *= times
    elif what == "close":
        c["close"][at] *= times
        c["high"][at] = np.maximum(c["high"][at], c["close"][at])
        c["low"][at] = np.minimum(c["low"][at], c["close"][at])
    else:
        c["high"][at[up]] *= times[up]
        c["low"][at[~up]] *= times[~up]


def _decimal_shift(c: Columns, at: np.ndarray, _chance: np.ndarray, by: Circumstance) -> None:
    for name in PRICES:
        c[name][at] *= float(by.settings["factor"])


def _nan_field(c: Columns, at: np.ndarray, _chance: np.ndarray, by: Circumstance) -> None:
    c[by.settings["field"]][at] = np.nan


def _zero_volume(c: Columns, at: np.ndarray, _chance: np.ndarray, _by: Circumstance) -> None:
    c["volume"][at] = 0.0


def _negative_volume(c: Columns, at: np.ndarray, _chance: np.ndarray, _by: Circumstance) -> None:
    c["volume"][at] *= -1.0


def _high_low_swapped(c: Columns, at: np.ndarray, _chance: np.ndarray, _by: Circumstance) -> None:
    c["high"][at], c["low"][at] = c["low"][at], c["high"][at]


def _close_outside_range(c: Columns, at: np.ndarray, _chance: np.ndarray, by: Circumstance) -> None:
    c["close"][at] = c["high"][at] * (1.0 + float(by.settings["size"]))


def _nonpositive_price(c: Columns, at: np.ndarray, _chance: np.ndarray, by: Circumstance) -> None:
    name = by.settings["field"]
    c[name][at] = -c[name][at] if by.settings["how"] == "negative" else 0.0


def _column_swap(c: Columns, at: np.ndarray, _chance: np.ndarray, _by: Circumstance) -> None:
    c["close"][at], c["volume"][at] = c["volume"][at], c["close"][at]


BARS: Final[Mapping[str, Callable[[Strip, np.ndarray, Circumstance], Strip]]] = {
    "bad_tick": _spoilt(_bad_tick),
    "decimal_shift": _spoilt(_decimal_shift),
    "nan_field": _spoilt(_nan_field),
    "zero_volume": _spoilt(_zero_volume),
    "negative_volume": _spoilt(_negative_volume),
    "high_low_swapped": _spoilt(_high_low_swapped),
    "close_outside_range": _spoilt(_close_outside_range),
    "nonpositive_price": _spoilt(_nonpositive_price),
    "column_swap": _spoilt(_column_swap),
}
