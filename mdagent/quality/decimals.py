"""Prices that were float32 on the way, such as 1.850000023841858, as the decimals that they stand for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mdagent.market import COLUMNS

if TYPE_CHECKING:
    import numpy as np

    from mdagent.market import BarSet

_PLACES = range(2, 10)
_PRICES = COLUMNS[:4]


def as_decimals(bars: BarSet) -> BarSet:
    """The bars with such prices as decimals; nothing is lost, for each is read as the same float32. A set with any price that no float32
    holds is left as it is."""
    import numpy as np

    told = np.stack([getattr(bars, name) for name in _PRICES]) if len(bars) else np.empty((4, 0))
    made = decimals(told)
    return bars if made is told else replace(bars, **dict(zip(_PRICES, made, strict=True)))


def decimals(values: np.ndarray) -> np.ndarray:
    """Of each number the decimal with the fewest places, from two on, that is read as the same float32; the very array where one of them
    is no float32."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        single, there = values.astype(np.float32), np.isfinite(values)
        if not np.array_equal(single[there], values[there]):
            return values
        made, left = values.copy(), there
        for places in _PLACES:
            if not left.any():
                break
            rounded = np.round(values, places)
            fits = left & (rounded.astype(np.float32) == single)
            made[fits] = rounded[fits]
            left = left & ~fits
    return made
