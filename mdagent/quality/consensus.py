"""Several sources of the same bars: what most of them say, how far they agree, and who is outvoted.

The middle is a weighted median, never a mean: of five sources of which one is ten times off, the answer is the truth. No source
weighs half of all, whatever it has earned, and feeds of one family share one weight. Two that differ are in disagreement, and nobody is
to blame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FEWEST_TO_BLAME = 3
MOST_WEIGHT = 0.49  # of all, for one source
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Consensus:
    """One field of n sources over the same stamps. `middle` is the weighted median, NaN where no source has the bar; `voices` how many have
    it; `spread` highest less lowest, relative to the middle; `agreeing` the share of the weight within the tolerance of the middle;
    `outvoted` a mask (n, bars): who stands apart from a majority of at least two others."""

    middle: np.ndarray
    voices: np.ndarray
    spread: np.ndarray
    agreeing: np.ndarray
    outvoted: np.ndarray


def weights_of(names: Sequence[str], earned: Mapping[str, float], families: Mapping[str, str]) -> np.ndarray:
    """A weight for each source, summing to 1: what it has earned (1 where nothing is known), shared with its family, capped."""
    kin = [families.get(name, name) for name in names]
    raw = np.array([max(earned.get(n, 1.0), 0.05) / kin.count(k) for n, k in zip(names, kin, strict=True)])
    share: np.ndarray = raw / raw.sum()
    if len(share) < FEWEST_TO_BLAME:
        return share
    for _ in range(len(share)):  # what is cut off one goes to the others, and may lift another over the cap
        over = share > MOST_WEIGHT
        if not over.any():
            break
        rest = share[~over].sum()
        share = np.where(over, MOST_WEIGHT, share * (1.0 - MOST_WEIGHT * over.sum()) / max(rest, _TINY))
    return share


def consensus(values: np.ndarray, weights: np.ndarray, tolerance: np.ndarray | float) -> Consensus:
    """`values` (n, bars), NaN where a source has no bar; `tolerance` relative, for all bars or one for each."""
    told = np.isfinite(values)
    voices = told.sum(axis=0)
    middle = _weighted_median(values, weights, told)
    with np.errstate(all="ignore"):
        away = np.abs(values / middle - 1.0)
        spread = (np.nanmax(np.where(told, values, -np.inf), axis=0) - np.nanmin(np.where(told, values, np.inf), axis=0)) / np.abs(middle)
        near = told & (away <= tolerance)
        total = (weights[:, None] * told).sum(axis=0)
        agreeing = np.where(total > 0, (weights[:, None] * near).sum(axis=0) / np.maximum(total, _TINY), 0.0)
    majority = (near.sum(axis=0) >= 2) & (near.sum(axis=0) * 2 > voices)
    outvoted = told & ~near & majority & (voices >= FEWEST_TO_BLAME)
    return Consensus(middle, voices, np.where(voices > 0, spread, np.nan), agreeing, outvoted)


def _weighted_median(values: np.ndarray, weights: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Of an even split the middle of both."""
    order = np.argsort(np.where(told, values, np.inf), axis=0)
    ordered = np.take_along_axis(np.where(told, values, np.inf), order, axis=0)
    weighed = np.take_along_axis(np.where(told, weights[:, None], 0.0), order, axis=0)
    running = np.cumsum(weighed, axis=0)
    half = running[-1] / 2
    low = np.argmax(running >= half - _TINY, axis=0)
    high = np.argmax(running > half + _TINY, axis=0)
    columns = np.arange(values.shape[1])
    with np.errstate(all="ignore"):
        middle = (ordered[low, columns] + ordered[high, columns]) / 2
    return np.where(told.any(axis=0), middle, np.nan)


def noise_of(differences: np.ndarray) -> float:
    """How much two honest sources differ from bar to bar: a standard deviation from the middle of |steps|, so that neither a lasting
    difference nor an outlier counts. Logarithms in, as many as there are bars in common."""
    steps = np.abs(np.diff(differences[np.isfinite(differences)]))
    return float(np.median(steps)) / 0.6745 / np.sqrt(2.0) if len(steps) else 0.0
