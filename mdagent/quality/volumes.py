"""Volumes: none where there is always some, and another unit for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.case import Outcome
from mdagent.quality.counted import many
from mdagent.quality.finding import Severity

if TYPE_CHECKING:
    from mdagent.quality.case import Case
    from mdagent.quality.tape import Tape

_RARE = 0.02  # share of rows without volume up to which that is not its nature
_LEAP = np.log(30.0)  # a change of volume from day to day that is looked at
_UNIT = np.log(50.0)  # and of its level
_ABOUT = 10
_SHORTEST = 5  # rows of a stretch at an end, which only one side bounds
_SETTLED, _MEMORY = 3, 48  # rows that prove the end of a stretch, and by which its beginning is remembered
_FEWEST = 20


def volumes(case: Case) -> Outcome:
    """Zero volume in a series that always trades, and stretches in another unit."""
    tape = case.tape
    if len(tape) < _FEWEST:
        return Outcome(skipped=f"fewer than {_FEWEST} bars")
    if not tape.trades:
        return Outcome(skipped="the source tells no volume")
    n, found = len(case.bars), []
    none = (tape.volume == 0) & ~_stale_like(tape) & tape.own
    if none.any() and none.sum() <= max(1.0, _RARE * len(tape)):
        words = f"{many(none.sum())} with a volume of 0 in a series that always trades"
        found.append(case.tell("volumes", "zero_volume", Severity.LOW, tape.places(none, n), words))
    scaled, times = _scaled(tape)
    scaled &= tape.own
    if scaled.any():
        words = f"{many(scaled.sum())} with {times:.3g} times the volume of those beside, as in another unit"
        told = case.tell("volumes", "volume_scale", Severity.MEDIUM, tape.places(scaled, n), words, value=times, expected=1.0)
        found.append(told)
    return Outcome(tuple(found))


def _stale_like(tape: Tape) -> np.ndarray:
    """A bar without a range says itself that nothing was traded."""
    flat: np.ndarray = tape.ranges == 0
    return flat


def _scaled(tape: Tape) -> tuple[np.ndarray, float]:
    """The stretches whose volume is some fifty times, or a fiftieth of, that on both sides, or on the longer side; and how many times."""
    told = np.flatnonzero(tape.volume > 0)
    volume = np.log(tape.volume[told])
    mask = np.zeros(len(tape), dtype=bool)
    leaps = np.flatnonzero(np.abs(np.diff(volume)) > _LEAP) + 1
    edges = [(t, _step(volume, t)) for t in leaps.tolist()]
    edges = [(t, step) for t, step in edges if abs(step) > _UNIT]
    times = 1.0
    while edges:
        start, step = edges.pop(0)
        end = _end(volume, start, step)
        if end is not None:
            edges = [(t, s) for t, s in edges if t > end + _SETTLED]
            mask[told[start:end]] = True
        elif len(volume) - start <= start and len(volume) - start >= _SHORTEST:
            mask[told[start:]] = True
        elif _SHORTEST <= start < len(volume) - start:
            mask[told[:start]] = True
            step = -step
        times = float(np.exp(step))
    if mask.sum() * 2 > len(tape):
        mask, times = ~mask, 1 / times
    return mask, times


def _end(volume: np.ndarray, start: int, step: float) -> int | None:
    """Where the volume is back at what it was before `start`, for a few rows at least; None where it never is."""
    before = volume[max(0, start - _MEMORY) : start]
    if len(before) < _SETTLED:
        return None
    back = np.abs(volume[start:] - float(np.median(before))) < abs(step) / 2
    settled = np.lib.stride_tricks.sliding_window_view(back, _SETTLED).all(axis=1) if len(back) >= _SETTLED else np.zeros(0, dtype=bool)
    return start + int(np.argmax(settled)) if settled.any() else None


def _step(volume: np.ndarray, t: int) -> float:
    return float(np.median(volume[t : t + _ABOUT]) - np.median(volume[max(0, t - _ABOUT) : t]))
