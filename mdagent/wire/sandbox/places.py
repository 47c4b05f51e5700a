"""Where in a series a defect falls: chance that is a function of a number and a seed, the same however the series is cut."""

from __future__ import annotations

import numpy as np


def hashed(numbers: np.ndarray, seed: int) -> np.ndarray:
    """A uint64 for each number, mixed as by splitmix64."""
    with np.errstate(over="ignore"):
        z = numbers.astype(np.int64).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed & (2**63 - 1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed


def luck(numbers: np.ndarray, seed: int) -> np.ndarray:
    """A share from 0 to 1 for each number."""
    shares: np.ndarray = hashed(numbers, seed).astype(np.float64) / 2.0**64
    return shares


def struck(numbers: np.ndarray, every: int, seed: int) -> np.ndarray:
    """Which of the numbers are hit: one, somewhere, of each `every` in a row."""
    block = numbers // every
    hit: np.ndarray = numbers % every == (hashed(block, seed) % np.uint64(every)).astype(np.int64)
    return hit
