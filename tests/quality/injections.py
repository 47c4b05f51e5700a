"""Defects put into good bars: each kind as it happens to real feeds, at random places and of random sizes.

Every injection takes the columns of a clean series and a random generator, and gives back the spoilt rows together with what an engineer
would call it. Sizes are drawn relative to how much the series moves, so that what is injected can be seen at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Rows:
    """A file's rows in the order in which it has them."""

    ts: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, at: np.ndarray) -> Rows:
        return Rows(*(getattr(self, n)[at] for n in ("ts", *PRICES, "volume")))


@dataclass(frozen=True)
class Spoilt:
    """Rows with a defect: its type, the stamps that it concerns, the letter that the rubric gives, the raw-price actions listed."""

    rows: Rows
    type: str
    stamps: tuple[np.datetime64, ...]
    letters: str
    splits: tuple[tuple[np.datetime64, float], ...] = field(default=())


def _put(rows: Rows, **columns: np.ndarray) -> Rows:
    return replace(rows, **columns)


def _copies(rows: Rows) -> dict[str, np.ndarray]:
    return {n: getattr(rows, n).copy() for n in (*PRICES, "volume")}


def _some(rows: Rows, rng: np.random.Generator, most: int = 3, least: int = 1) -> np.ndarray:
    """A few places, not near each other, not near an end."""
    count = int(rng.integers(least, most + 1))
    inner = np.arange(15, len(rows) - 15)
    chosen: list[int] = []
    while len(chosen) < count:
        at = int(rng.choice(inner))
        if all(abs(at - other) > 10 for other in chosen):
            chosen.append(at)
    return np.array(sorted(chosen))


def _scale(rows: Rows) -> float:
    moves = np.abs(np.diff(np.log(rows.close)))
    return float(np.quantile(moves, 0.75)) / 1.15


def _ceiling(rows: Rows, count: int, severity: str) -> str:
    """The letter of a defect of that severity in `count` rows."""
    share = count / len(rows)
    steps = {
        "minor": ((0.02, "moderate"), (0.10, "major")),
        "moderate": ((0.05, "major"), (0.20, "critical")),
        "major": ((0.02, "critical"),),
    }
    for least, worse in steps.get(severity, ()):
        if share > least:
            severity = worse
    return {"minor": "B", "moderate": "C", "major": "D", "critical": "F"}[severity]


def bad_closes(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    size = np.maximum(rng.uniform(8, 25, len(at)) * _scale(rows), 0.03) * rng.choice([-1, 1], len(at))
    made["close"][at] *= np.exp(size)
    made["high"] = np.maximum(made["high"], made["close"])
    made["low"] = np.minimum(made["low"], made["close"])
    grave = (np.abs(np.expm1(size)) >= 0.1).any()
    return Spoilt(
        _put(rows, **made), "bad_tick", tuple(rows.ts[at]), _near_edge(np.abs(np.expm1(size)), 0.1, rows, "major" if grave else "moderate")
    )


def _near_edge(sizes: np.ndarray, edge: float, rows: Rows, severity: str) -> str:
    """The letters that are right: both sides of an edge that the size is a hair from."""
    letter = _ceiling(rows, len(sizes), severity)
    return "CD" if 0.85 * edge < sizes.max() < 1.15 * edge and letter in "CD" else letter


def bad_rows(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    size = np.maximum(rng.uniform(10, 25, len(at)) * _scale(rows), 0.05) * rng.choice([-1, 1], len(at))
    for name in PRICES:
        made[name][at] *= np.exp(size)
    grave = (np.abs(np.expm1(size)) >= 0.1).any()
    return Spoilt(
        _put(rows, **made), "bad_tick", tuple(rows.ts[at]), _near_edge(np.abs(np.expm1(size)), 0.1, rows, "major" if grave else "moderate")
    )


def bad_wicks(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    usual = float(np.median(np.log(rows.high / rows.low)))
    size = np.maximum(rng.uniform(8, 25, len(at)) * max(usual, _scale(rows)), 0.05)
    up = rng.random(len(at)) < 0.5
    made["high"][at[up]] *= np.exp(size[up])
    made["low"][at[~up]] *= np.exp(-size[~up])
    grave = (np.expm1(size) >= 0.2).any()
    return Spoilt(
        _put(rows, **made), "bad_tick", tuple(rows.ts[at]), _near_edge(np.expm1(size), 0.2, rows, "major" if grave else "moderate")
    )


def decimal_shifts(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    factor = float(rng.choice([0.1, 0.01, 10.0, 100.0]))
    names = PRICES if rng.random() < 0.5 else (str(rng.choice(PRICES)),)
    for name in names:
        made[name][at] *= factor
    return Spoilt(_put(rows, **made), "decimal_shift", tuple(rows.ts[at]), _ceiling(rows, len(at), "major"))


def pence(rows: Rows, rng: np.random.Generator) -> Spoilt:
    made = _copies(rows)
    start = int(rng.integers(20, len(rows) // 2))
    end = len(rows) if rng.random() < 0.5 else start + int(rng.integers(10, len(rows) // 3))
    factor = float(rng.choice([0.01, 100.0]))
    for name in PRICES:
        made[name][start:end] *= factor
    return Spoilt(_put(rows, **made), "currency_mixup", (rows.ts[start],), "F")


def forgotten_split(rows: Rows, rng: np.random.Generator) -> Spoilt:
    made = _copies(rows)
    at, ratio = int(rng.integers(30, len(rows) - 30)), float(rng.choice([2, 3, 4, 5, 10, 1.5, 0.1, 0.2]))
    for name in PRICES:
        made[name][:at] *= ratio
    made["volume"][:at] = np.round(made["volume"][:at] / ratio)
    listed = ((rows.ts[at], ratio),) if rng.random() < 0.5 else ()
    return Spoilt(_put(rows, **made), "unadjusted_split", (rows.ts[at],), "F", listed)


def stale_run(rows: Rows, rng: np.random.Generator) -> Spoilt:
    made = _copies(rows)
    length, at = int(rng.choice([3, 4, 5, 8, 15, 25])), int(rng.integers(30, len(rows) - 60))
    for name in (*PRICES, "volume"):
        made[name][at : at + length] = made[name][at - 1]
    severity = "moderate" if length <= 5 else "major" if length <= 20 else "critical"
    return Spoilt(_put(rows, **made), "stale_run", (rows.ts[at],), _ceiling(rows, length, severity))


def nan_prices(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    made[str(rng.choice(PRICES))][at] = np.nan
    return Spoilt(_put(rows, **made), "nan_field", tuple(rows.ts[at]), _ceiling(rows, len(at), "moderate"))


def nan_volumes(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    made["volume"][at] = np.nan
    return Spoilt(_put(rows, **made), "nan_field", tuple(rows.ts[at]), _ceiling(rows, len(at), "minor"))


def zero_volumes(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    made["volume"][at] = 0.0
    return Spoilt(_put(rows, **made), "zero_volume", tuple(rows.ts[at]), _ceiling(rows, len(at), "minor"))


def negative_volumes(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    made["volume"][at] *= -1
    return Spoilt(_put(rows, **made), "negative_volume", tuple(rows.ts[at]), _ceiling(rows, len(at), "moderate"))


def volumes_in_thousands(rows: Rows, rng: np.random.Generator) -> Spoilt:
    made, length = _copies(rows), int(rng.integers(15, 60))
    at = int(rng.integers(30, len(rows) - 80))
    made["volume"][at : at + length] *= float(rng.choice([1000.0, 0.001]))
    return Spoilt(_put(rows, **made), "volume_scale", (rows.ts[at],), _ceiling(rows, length, "moderate"))


def swapped_high_low(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    made["high"][at], made["low"][at] = rows.low[at], rows.high[at]
    return Spoilt(_put(rows, **made), "high_low_swapped", tuple(rows.ts[at]), _ceiling(rows, len(at), "moderate"))


def close_outside(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    far = bool(rng.random() < 0.5)
    made["close"][at] = rows.high[at] * (1 + (rng.uniform(0.07, 0.09, len(at)) if far else rng.uniform(0.01, 0.04, len(at))))
    return Spoilt(_put(rows, **made), "close_outside_range", tuple(rows.ts[at]), _ceiling(rows, len(at), "major" if far else "moderate"))


def no_price(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    name = str(rng.choice(["open", "low", "close"]))
    made[name][at] = -made[name][at] if name == "close" and rng.random() < 0.5 else 0.0
    severity = "major" if name == "close" else "moderate"
    return Spoilt(_put(rows, **made), "nonpositive_price", tuple(rows.ts[at]), _ceiling(rows, len(at), severity))


def swapped_columns(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at, made = _some(rows, rng), _copies(rows)
    if rng.random() < 0.5:
        made["close"][at], made["volume"][at] = rows.volume[at], rows.close[at]
    else:
        for name, source in zip((*PRICES, "volume"), ("high", "low", "close", "volume", "open"), strict=True):
            made[name][at] = getattr(rows, source)[at]
    return Spoilt(_put(rows, **made), "column_swap", tuple(rows.ts[at]), _ceiling(rows, len(at), "major"))


def missing_rows(rows: Rows, rng: np.random.Generator) -> Spoilt:
    share = float(rng.choice([0.003, 0.012, 0.035, 0.08]))
    count = max(1, round(share * len(rows)))
    at = np.sort(rng.choice(np.arange(3, len(rows) - 3), count, replace=False))
    share = count / len(rows)
    letter = "B" if share <= 0.005 else "C" if share <= 0.02 else "F"
    return Spoilt(rows.take(np.delete(np.arange(len(rows)), at)), "missing_rows", tuple(rows.ts[at]), letter)


def cut_short(rows: Rows, rng: np.random.Generator) -> Spoilt:
    count = int(len(rows) * rng.uniform(0.15, 0.5))
    kept = np.arange(count, len(rows)) if rng.random() < 0.5 else np.arange(len(rows) - count)
    first = int(kept[0]) - 1 if kept[0] else int(kept[-1]) + 1
    return Spoilt(rows.take(kept), "truncated_history", (rows.ts[first],), "F")


def conflicting(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at = _some(rows, rng)
    order = np.sort(np.concatenate([np.arange(len(rows)), at]))
    made = rows.take(order)
    again = np.flatnonzero(np.diff(order) == 0) + 1
    columns = _copies(made)
    for name in PRICES:
        columns[name][again] *= 1.006
    return Spoilt(_put(made, **columns), "duplicate_timestamp", tuple(rows.ts[at]), _ceiling(rows, len(at), "moderate"))


def repeated(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at = _some(rows, rng)
    order = np.sort(np.concatenate([np.arange(len(rows)), at]))
    return Spoilt(rows.take(order), "duplicate_timestamp", tuple(rows.ts[at]), _ceiling(rows, len(at), "minor"))


def unsorted(rows: Rows, rng: np.random.Generator) -> Spoilt:
    if rng.random() < 0.5:
        return Spoilt(rows.take(np.arange(len(rows))[::-1]), "unsorted_rows", (), "B")
    cut = int(rng.integers(20, len(rows) - 20))
    return Spoilt(rows.take(np.r_[cut : len(rows), 0:cut]), "unsorted_rows", (), "B")


def wrong_symbol(rows: Rows, rng: np.random.Generator) -> Spoilt:
    """From a day on the bars of something else: other moves, at another price, in another volume."""
    at = int(rng.integers(30, len(rows) - 30))
    made = _copies(rows)
    times = float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.45, 3.0)))
    other = rows.take(np.arange(len(rows))[::-1])
    base = rows.close[at - 1] * times / other.close[at]
    for name in PRICES:
        made[name][at:] = getattr(other, name)[at:] * base
    made["volume"][at:] = np.round(other.volume[at:] * float(rng.uniform(0.05, 20)))
    return Spoilt(_put(rows, **made), "wrong_symbol", (rows.ts[at],), "F")


def weekend_bars(rows: Rows, rng: np.random.Generator) -> Spoilt:
    """Copies of a Friday's bar on the Saturday after it."""
    days = rows.ts.astype("datetime64[D]").astype(np.int64)
    fridays = np.flatnonzero((days + 3) % 7 == 4)
    at = np.sort(rng.choice(fridays[3:-3], 2, replace=False))
    order = np.sort(np.concatenate([np.arange(len(rows)), at]))
    made = rows.take(order)
    again = np.flatnonzero(np.diff(order) == 0) + 1
    ts, columns = made.ts.copy(), _copies(made)
    ts[again] += np.timedelta64(1, "D")
    for name in PRICES:
        columns[name][again] *= 1.001
    return Spoilt(_put(made, ts=ts, **columns), "non_trading_day_bar", tuple(ts[again]), _ceiling(rows, len(again), "moderate"))


def dates_a_day_early(rows: Rows, rng: np.random.Generator) -> Spoilt:
    at = int(rng.integers(20, len(rows) // 2))
    ts = rows.ts.copy()
    ts[at:] -= np.timedelta64(1, "D")
    kept = np.r_[np.ones(at, dtype=bool), ts[at:] > ts[at - 1]]
    moved = _put(rows, ts=ts).take(np.flatnonzero(kept))
    sundays = moved.ts[(moved.ts.astype("datetime64[D]").astype(np.int64) + 3) % 7 == 6]
    return Spoilt(moved, "date_shifted", tuple(sundays), "F")


def tomorrow(rows: Rows, rng: np.random.Generator) -> Spoilt:
    made = rows.take(np.r_[np.arange(len(rows)), len(rows) - 1])
    ts = made.ts.copy()
    ts[-1] = rows.ts[-1] + np.timedelta64(int(rng.integers(1, 6)), "D")
    return Spoilt(_put(made, ts=ts), "future_timestamp", (ts[-1],), _ceiling(rows, 1, "major"))


INJECTIONS: tuple[Callable[[Rows, np.random.Generator], Spoilt], ...] = (
    bad_closes, bad_rows, bad_wicks, decimal_shifts, pence, forgotten_split, stale_run, nan_prices, nan_volumes, zero_volumes,
    negative_volumes, volumes_in_thousands, swapped_high_low, close_outside, no_price, swapped_columns, missing_rows, cut_short,
    conflicting, repeated, unsorted, wrong_symbol, weekend_bars, dates_a_day_early, tomorrow,
)  # fmt: skip
