"""Prices in another unit for a while: a lost decimal point, pence for pounds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.case import Outcome, suspects
from mdagent.quality.counted import many
from mdagent.quality.finding import Severity

if TYPE_CHECKING:
    from mdagent.quality.case import Case

FAR = np.log(4.0)  # a price this far from those about it is looked at
_TENFOLD = np.log(10.0)
_SLACK = 0.25  # how far from a power of ten a factor may be, in logarithms: the price moves too
_WINDOW = 21
_FEWEST_OF_A_BLOCK = 4  # so many whole bars at a hundred times are another currency unit, fewer are slips
_CLEARLY_FEW = 0.25
_FEWEST = 5


def units(case: Case) -> Outcome:
    """Bars, or single prices, at a power of ten of those about them."""
    tape = case.tape
    if len(tape) < _FEWEST:
        return Outcome(skipped="a price needs neighbours to be compared with")
    prices = np.array([tape.open, tape.high, tape.low, tape.close])
    if np.abs(np.diff(prices, axis=1)).max() < FAR and (prices.max(axis=0) - prices.min(axis=0)).max() < FAR:
        return Outcome()
    middle = np.sort(prices, axis=0)[1:3].mean(axis=0)
    level = about(middle)
    away = prices - level
    whole = (np.abs(away) > FAR).all(axis=0)
    single = (np.abs(away) > FAR).any(axis=0) & ~whole & _tenfold(away).any(axis=0)
    whole &= _tenfold(away).all(axis=0)
    whole &= tape.own
    single &= tape.own
    steps = np.rint(np.abs(away[3]) / _TENFOLD)
    hundred = whole & (steps == 2)
    if hundred.sum() > _CLEARLY_FEW * len(tape):  # nobody can say which side is wrong: the jumps between them are told as such
        whole &= ~hundred
    block = hundred if len(tape) * _CLEARLY_FEW >= hundred.sum() >= _FEWEST_OF_A_BLOCK else np.zeros(len(tape), dtype=bool)
    slips = (whole & ~block) | single
    n, found = len(case.bars), []
    if block.any():
        words = f"{many(block.sum())} at a hundred times, or a hundredth of, what is about, as in another currency unit"
        worth = float(np.exp(np.median(away[3][block])))
        found.append(case.tell("units", "currency_mixup", Severity.CRITICAL, tape.places(block, n), words, value=worth, expected=1.0))
    if slips.any():
        worth = float(np.exp(np.abs(away[:, slips]).max()))
        words = f"{many(slips.sum())} with a price {worth:.0f} times away from those about it, as by a lost decimal point"
        found.append(case.tell("units", "decimal_shift", Severity.HIGH, tape.places(slips, n), words, value=worth, expected=1.0))
    if not found:
        return Outcome()
    torn = tape.places(single, n)  # a bar of two units is none; one wholly in another unit can be mended
    kept = suspects(tape.places(block | slips, n), tuple(found))
    return replace(kept, condemned=torn, reason="one price in another unit than the others") if torn.any() else kept


def _tenfold(away: np.ndarray) -> np.ndarray:
    """Is a distance about that of a power of ten, above or below 1?"""
    steps = np.rint(away / _TENFOLD)
    near: np.ndarray = (steps != 0) & (np.abs(away - steps * _TENFOLD) < _SLACK)
    return near


def about(values: np.ndarray) -> np.ndarray:
    """The median of the window about each value; at the ends the window of that end."""
    n = len(values)
    width = min(_WINDOW, n if n % 2 else n - 1)
    windows = np.lib.stride_tricks.sliding_window_view(values, width)
    inner = np.median(windows, axis=1)
    side = width // 2
    padded: np.ndarray = np.concatenate([np.full(side, inner[0]), inner, np.full(n - len(inner) - side, inner[-1])])
    return padded
