"""A company that collapses overnight is no mistake of its source's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.finding import Severity
from tests.quality.injections import PRICES
from tests.quality.market_days import bar_set, judged, requested, walk

if TYPE_CHECKING:
    from tests.quality.injections import Rows

STORM = 15  # sessions until the dust has settled


def collapsed(rng: np.random.Generator) -> Rows:
    """Two years of a walk that loses a third to nine tenths in a night, wildly and in crowds, and calms down over weeks."""
    rows = walk(rng, 500, 5.0)
    at = int(rng.integers(60, 440))
    columns = {name: getattr(rows, name).copy() for name in PRICES}
    left = float(np.exp(-rng.uniform(0.35, 2.0)))
    for column in columns.values():
        column[at:] *= left
    volume, crowd, first = rows.volume.copy(), float(rng.uniform(10, 60)), float(rng.uniform(3, 6))
    for day in range(STORM):
        wild = first if day == 0 else 1.0 + 3.0 * np.exp(-day / 4)
        middle = np.sqrt(columns["high"][at + day] * columns["low"][at + day])
        for name in ("high", "low"):
            columns[name][at + day] = middle * (columns[name][at + day] / middle) ** wild
        volume[at + day] *= crowd if day == 0 else 1.0 + (0.4 * crowd - 1.0) * np.exp(-day / 3)
    return replace(rows, **columns, volume=volume)


def test_collapses_are_news() -> None:
    rng = np.random.default_rng(7)
    alarmed = []
    for _ in range(120):
        rows = collapsed(rng)
        request = requested(rows)
        alarmed += [f.message for f in judged(bar_set(rows, request), request).findings if f.severity is not Severity.INFO]
    assert len(alarmed) <= 3, alarmed
