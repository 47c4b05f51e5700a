"""Five listings that live through what markets have lived through: the days on which everything fell, and a halt.

The moves are those of the great indices on those days, roundly; what leads up to and follows them is simulated like all else. A validator
has to leave all of it alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping


class Crisis(NamedTuple):
    """`moves` are close over close, by day, as shares of the price; `storm` how many times wilder than usual the days from `start` to
    `end` are; `halted` the first and last day without any trade."""

    start: str
    end: str
    storm: float
    moves: Mapping[str, float]
    halted: tuple[str, str] | None = None


CRISES: Mapping[str, Crisis] = {
    "BLKMON": Crisis(
        "1987-10-14", "1987-11-30", 3.0,
        {"1987-10-14": -0.030, "1987-10-15": -0.023, "1987-10-16": -0.052, "1987-10-19": -0.205, "1987-10-20": 0.053, "1987-10-21": 0.091,
         "1987-10-22": -0.039, "1987-10-26": -0.083},
    ),
    "DOTCOM": Crisis(
        "2000-03-13", "2001-04-30", 2.5,
        {"2000-04-03": -0.076, "2000-04-12": -0.071, "2000-04-14": -0.097, "2000-04-17": 0.066, "2000-12-05": 0.105, "2001-01-03": 0.142,
         "2001-09-17": -0.068},
    ),
    "LEHMAN": Crisis(
        "2008-09-15", "2009-03-31", 3.5,
        {"2008-09-15": -0.23, "2008-09-19": 0.19, "2008-09-29": -0.17, "2008-09-30": 0.13, "2008-10-07": -0.26, "2008-10-13": 0.20,
         "2009-01-15": -0.18, "2009-01-20": -0.29, "2009-01-21": 0.31, "2009-03-10": 0.28},
    ),
    "COVID": Crisis(
        "2020-02-24", "2020-04-30", 3.0,
        {"2020-02-24": -0.034, "2020-03-09": -0.076, "2020-03-12": -0.095, "2020-03-13": 0.093, "2020-03-16": -0.120, "2020-03-17": 0.060,
         "2020-03-24": 0.094},
    ),
    "HALTED": Crisis("2021-03-05", "2021-04-16", 2.5, {"2021-03-15": -0.42, "2021-03-16": 0.11}, ("2021-03-08", "2021-03-12")),
}  # fmt: skip


def storm(symbol: str, day: np.ndarray) -> np.ndarray:
    """How many times wilder than usual each session is, float64."""
    crisis = CRISES.get(symbol)
    if crisis is None:
        return np.ones(len(day))
    inside = (day >= np.datetime64(crisis.start)) & (day <= np.datetime64(crisis.end))
    ebbing = np.linspace(1.0, 0.3, max(int(inside.sum()), 1))[: int(inside.sum())]
    made = np.ones(len(day))
    made[inside] = 1.0 + (crisis.storm - 1.0) * ebbing
    return made


def put_moves(symbol: str, day: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Log moves with those of the crisis in their places."""
    made = steps.copy()
    for when, move in CRISES[symbol].moves.items() if symbol in CRISES else ():
        at = int(np.searchsorted(day, np.datetime64(when)))
        if at < len(day) and day[at] == np.datetime64(when):
            made[at] = np.log1p(move)
    return made


def halted(symbol: str, day: np.ndarray) -> np.ndarray:
    """Which sessions saw no trade."""
    crisis = CRISES.get(symbol)
    if crisis is None or crisis.halted is None:
        return np.zeros(len(day), dtype=bool)
    first, last = crisis.halted
    stopped: np.ndarray = (day >= np.datetime64(first)) & (day <= np.datetime64(last))
    return stopped
