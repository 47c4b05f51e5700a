"""Findings and evidence -> proposed corrections. Nothing is applied here and nothing invented: where evidence lacks, that is said.

Three kinds of evidence are known: a factor that brings a bar to the level about it (a power of ten, a listed split), what at least two
other sources agree upon, and the row itself where its columns stand in each other's place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.market import COLUMNS
from mdagent.quality.case import as_stamps, instants
from mdagent.quality.consensus import consensus, weights_of
from mdagent.quality.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from mdagent.market import BarSet, RejectedRow
    from mdagent.quality.finding import Finding

_ABOUT = 10  # bars on each side that make the level about one
_SLACK = 0.15  # how far from a power of ten a factor may be, in decades: the price moves too
_VOLUME_SLACK = 0.4
_SPLIT_DAYS = 4  # between the day of a split and the jump that it makes
_SPLIT_OFF = 0.12  # of the logarithm, at most, and no more than a third of the split's own
_AGREE, _VOLUMES_AGREE = 0.005, 0.25  # of the middle: others within it are of one mind
_FEWEST = 2
_SWAP_OFF = 1e-6
_FOREIGN = 20.0  # a price this many times the others of its row is no price


class Listed(NamedTuple):
    """A split that a source lists: new shares for an old one from `day` on."""

    source: str
    day: date
    ratio: float


@dataclass(frozen=True, slots=True)
class Correction:
    """What one bar says (open, high, low, close, volume; NaN where not given) and what it should say; `new` is None where there is no
    evidence. `factor` is what prices, or volumes where `type` is about these, are multiplied by, None where no factor does it."""

    ts: datetime
    type: str
    old: tuple[float, ...]
    new: tuple[float, ...] | None
    factor: float | None
    evidence: str
    from_quarantine: bool = False


class _Desk(NamedTuple):
    """What there is to go by. `rows` is a (5, n) array of the bars, `others` (k, 5, n) what the others say of them, NaN where nothing."""

    bars: BarSet
    rows: np.ndarray
    others: np.ndarray
    names: tuple[str, ...]
    splits: tuple[Listed, ...]


class _Change(NamedTuple):
    """New columns of one bar, None without evidence."""

    at: int
    type: str
    new: np.ndarray | None
    factor: float | None
    evidence: str


def corrections(
    bars: BarSet, findings: Iterable[Finding], others: Sequence[BarSet], splits: Sequence[Listed] = ()
) -> tuple[Correction, ...]:
    """What the findings about a series call for, bar by bar in order of time. `others` are on its basis and in its unit."""
    rows = np.array([getattr(bars, c) for c in COLUMNS])
    told = np.array([_on(bars.ts, other) for other in others]).reshape(len(others), len(COLUMNS), len(bars))
    desk = _Desk(bars, rows, told, tuple(o.source for o in others), tuple(splits))
    marked: dict[str, np.ndarray] = {}
    for finding in findings:
        if finding.type in _MENDERS and finding.severity is not Severity.INFO:
            marked[finding.type] = marked.get(finding.type, np.zeros(len(bars), dtype=bool)) | _marked(bars, finding)
    made: dict[int, Correction] = {}
    for kind in sorted(marked, key=tuple(_MENDERS).index):
        for change in _MENDERS[kind](desk, kind, marked[kind]):
            made[change.at] = _joined(made.get(change.at), change, desk)
    return tuple(made[at] for at in sorted(made) if not _same(made[at].old, made[at].new))


def _same(old: tuple[float, ...], new: tuple[float, ...] | None) -> bool:
    return new is not None and np.array_equal(old, new, equal_nan=True)


def _marked(bars: BarSet, finding: Finding) -> np.ndarray:
    """The bars of a finding; all of them where it is about the set as a whole."""
    mask = np.zeros(len(bars), dtype=bool)
    for first, last in finding.runs:
        if first is None or last is None:
            return ~mask
        mask |= (bars.ts >= as_stamps([first])[0]) & (bars.ts <= as_stamps([last])[0])
    return mask


def _on(ts: np.ndarray, other: BarSet) -> np.ndarray:
    made = np.full((len(COLUMNS), len(ts)), np.nan)
    if len(other):
        at = np.minimum(np.searchsorted(other.ts, ts), len(other) - 1)
        same = other.ts[at] == ts
        made[:, same] = np.array([getattr(other, c) for c in COLUMNS])[:, at[same]]
    return made


def _joined(held: Correction | None, change: _Change, desk: _Desk) -> Correction:
    """Two defects of one bar as one correction: the second takes from the first what it does not change itself."""
    old = tuple(desk.rows[:, change.at].tolist())
    ts = instants(desk.bars.ts[change.at : change.at + 1])[0]
    new = None if change.new is None else tuple(v if v == w else float(f"{v:.10g}") for v, w in zip(change.new.tolist(), old, strict=True))
    made = Correction(ts, change.type, old, new, change.factor, change.evidence)
    if held is None or held.new is None:
        return made if held is None or made.new is not None else held
    if made.new is None:
        return held
    by_first = _PRICES if held.new[:4] != old[:4] else ()
    told = tuple(held.new[n] if n in by_first else made.new[n] for n in range(len(COLUMNS)))
    return replace(made, type=f"{held.type}+{made.type}", new=told, factor=None, evidence=f"{held.evidence}; {made.evidence}")


_PRICES = (0, 1, 2, 3)


def _to_level(desk: _Desk, kind: str, mask: np.ndarray) -> list[_Change]:
    """Bars at a power of ten of the level about them; where all are, of what the others say."""
    made = []
    for at in np.flatnonzero(mask).tolist():
        close = desk.rows[3, at]
        level, words = _level(desk, mask, at)
        decades = np.log10(close / level) if level > 0 and close > 0 else np.nan
        if not np.isfinite(decades) or abs(decades - np.rint(decades)) > _SLACK:
            made.append(_Change(at, kind, None, None, f"no evidence: {close:.6g} is at no power of ten of {words}"))
        elif np.rint(decades):
            factor = float(10.0 ** -np.rint(decades))
            made.append(_Change(at, kind, _times(desk, at, factor, 1.0), factor, f"{close:.6g} where {words}"))
    return made


def _level(desk: _Desk, mask: np.ndarray, at: int) -> tuple[float, str]:
    beside = _beside(~mask, at)
    if len(beside):
        level = float(np.median(desk.rows[3, beside]))
        return level, f"the closes of the {len(beside)} bars beside it are near {level:.6g}"
    middle, agree = _middle(desk.others[:, 3:4, at : at + 1], _SLACK)
    if agree[0, 0] < _FEWEST:
        return float("nan"), "anything: fewer than two other sources agree"
    return float(middle[0, 0]), f"{_names(desk, at)} say {middle[0, 0]:.6g}"


def _beside(good: np.ndarray, at: int) -> np.ndarray:
    places = np.flatnonzero(good)
    after = int(np.searchsorted(places, at))
    near: np.ndarray = places[max(0, after - _ABOUT) : after + _ABOUT]
    return near


def _times(desk: _Desk, at: int, price: float, volume: float) -> np.ndarray:
    made: np.ndarray = desk.rows[:, at] * np.array([price] * 4 + [volume])
    return made


def _by_split(desk: _Desk, kind: str, mask: np.ndarray) -> list[_Change]:
    """All bars before a listed split that is not in them, back to where it is in them again."""
    found: dict[int, tuple[float, list[str]]] = {}
    with np.errstate(all="ignore"):
        moves = np.diff(np.log(desk.rows[3]))
    for split in desk.splits:
        jump = _jump_of(desk, split, moves)
        for at in _before(jump, split.ratio, moves) if jump else ():
            factor, words = found.get(at, (1.0, []))
            told = f"the split of {split.ratio:g} for 1 on {split.day}, listed by {split.source}, is not in this price"
            if told not in words:
                found[at] = (factor / split.ratio, [*words, told])
    if not found:
        first = int(np.flatnonzero(mask)[0])
        return [_Change(first, kind, None, None, "no evidence: no source lists a split of that size about this day")]
    return [_Change(at, kind, _times(desk, at, f, _shares(desk, f)), f, "; ".join(words)) for at, (f, words) in found.items()]


def _shares(desk: _Desk, factor: float) -> float:
    """What volumes are multiplied by: where they count the shares of their day, nothing."""
    return 1.0 if desk.bars.raw_volume else 1.0 / factor


def _jump_of(desk: _Desk, split: Listed, moves: np.ndarray) -> int | None:
    """The first bar after the jump that this split makes; None where the prices have it, or lie all on one side of it."""
    days = desk.bars.ts.astype("datetime64[D]")
    near = np.flatnonzero(np.abs((days[1:] - np.datetime64(split.day, "D")).astype(int)) <= _SPLIT_DAYS) + 1
    size = float(np.log(split.ratio))
    off = {int(t): abs(float(moves[t - 1]) + size) for t in near}
    best = min(off, key=lambda t: off[t], default=None)
    return best if best is not None and off[best] < min(_SPLIT_OFF, abs(size) / 3) else None


def _before(jump: int, ratio: float, moves: np.ndarray) -> range:
    size = float(np.log(ratio))
    back = np.abs(moves[: jump - 1] - size) < min(_SPLIT_OFF, abs(size) / 3)
    begins = np.flatnonzero(back)
    return range(int(begins[-1]) + 1 if len(begins) else 0, jump)


def _volume_unit(desk: _Desk, kind: str, mask: np.ndarray) -> list[_Change]:
    """Volumes at a power of ten of those beside them; where all are, of what the others say."""
    made = []
    edges = np.flatnonzero(np.diff(np.r_[0, mask.astype(np.int8), 0]))
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        own = desk.rows[4, first:after]
        beside = np.r_[_beside(~mask, first), _beside(~mask, after)]
        told = desk.rows[4, beside] if len(beside) else desk.others[:, 4, first:after].ravel()
        told, own_told = told[told > 0], own[own > 0]
        ratio = float(np.median(own_told) / np.median(told)) if len(told) and len(own_told) else float("nan")
        decades = np.log10(ratio)
        if not np.isfinite(decades) or not np.rint(decades) or abs(decades - np.rint(decades)) > _VOLUME_SLACK:
            made.append(_Change(first, kind, None, None, f"no evidence: the volumes are {ratio:.3g} times the others, no power of ten"))
            continue
        factor, whose = float(10.0 ** -np.rint(decades)), "beside them" if len(beside) else "of the other sources"
        words = f"{after - first} volumes are {ratio:.3g} times those {whose}"
        made += [_Change(at, kind, _times(desk, at, 1.0, factor), factor, words) for at in range(first, after)]
    return made


def _by_the_others(desk: _Desk, kind: str, mask: np.ndarray) -> list[_Change]:
    """What at least two others agree upon, for the fields that the defect is in."""
    fields = _FIELDS.get(kind, _PRICES)
    made = []
    middle, agree = _middle(desk.others, _AGREE)
    volume, as_many = _middle(desk.others[:, 4:], _VOLUMES_AGREE)
    for at in np.flatnonzero(mask).tolist():
        new = desk.rows[:, at].copy()
        sure = all(agree[n, at] >= _FEWEST for n in fields if n != 4)
        if 4 in fields:
            told = as_many[0, at] >= _FEWEST
            sure &= bool(told) or len(fields) > 1  # of a whole bar that is not believed the volume is not either
            new[4] = volume[0, at] if told else np.nan
        if not sure:
            made.append(_Change(at, kind, None, None, "no evidence: fewer than two other sources agree on this bar"))
            continue
        prices = [n for n in fields if n != 4]
        new[prices] = middle[prices, at]
        if kind not in _VOLUMES_TOO and np.allclose(new[:4], desk.rows[:4, at], rtol=_AGREE / 50):
            continue  # the others say the same: it was right
        said = f"{new[3]:.6g}" if prices else f"a volume of {new[4]:.6g}"
        made.append(_Change(at, kind, new, None, f"{_names(desk, at)} say {said}"))
    return made


def _middle(others: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Of (k, fields, n) values the middle, and how many of the k are near it, both (fields, n)."""
    k, fields, n = others.shape
    if not k:
        return np.full((fields, n), np.nan), np.zeros((fields, n), dtype=int)
    weights = weights_of([str(i) for i in range(k)], {}, {})
    middle = np.array([consensus(others[:, f], weights, tolerance).middle for f in range(fields)])
    with np.errstate(all="ignore"):
        near = (np.abs(others / middle - 1.0) <= tolerance).sum(axis=0)
    return middle, near


def _names(desk: _Desk, at: int) -> str:
    return ", ".join(name for name, row in zip(desk.names, desk.others[:, 3, at], strict=True) if np.isfinite(row))


_VOLUMES_TOO = ("zero_volume",)
_FIELDS: Mapping[str, tuple[int, ...]] = {"stale_run": (0, 1, 2, 3, 4), "zero_volume": (4,)}
_MENDERS: dict[str, Callable[[_Desk, str, np.ndarray], list[_Change]]] = {
    "decimal_shift": _to_level,
    "currency_mixup": _to_level,
    "unadjusted_split": _by_split,
    "adjusted_raw_mix": _by_the_others,
    "provider_drift": _by_the_others,
    "bad_tick": _by_the_others,
    "stale_run": _by_the_others,
    "zero_volume": _by_the_others,
    "volume_scale": _volume_unit,
}


def swapped_back(rows: Iterable[RejectedRow]) -> tuple[Correction, ...]:
    """Quarantined rows that are right once two of their columns change places."""
    made = []
    for row in rows:
        told = _cells(row.raw) if row.ts is not None and row.check in _SWAPS else None
        if told is None or row.ts is None:
            continue
        kind, swap, words = _SWAPS[row.check]
        new = swap(told)
        if new is not None and _stands(new):
            made.append(Correction(row.ts, kind, told, new, None, words, from_quarantine=True))
    return tuple(made)


def _cells(raw: str) -> tuple[float, ...] | None:
    try:
        told = json.loads(raw)
        return tuple(float(told[name]) for name in COLUMNS)
    except (ValueError, TypeError, KeyError):
        return None


def _stands(row: tuple[float, ...]) -> bool:
    """Do these prices agree with each other?"""
    o, h, low, c, volume = row
    off = _SWAP_OFF * abs(h)
    return 0 < low <= min(o, c) + off and max(o, c) <= h + off and h <= low * _FOREIGN and not volume < 0


def _high_for_low(row: tuple[float, ...]) -> tuple[float, ...] | None:
    o, h, low, c, volume = row
    return (o, low, h, c, volume) if h < low else None


def _volume_for_price(row: tuple[float, ...]) -> tuple[float, ...] | None:
    most = max(range(4), key=lambda n: row[n])
    rest = sorted(v for n, v in enumerate(row[:4]) if n != most)
    if not row[most] > _FOREIGN * rest[1] > 0:
        return None
    new = list(row)
    new[most], new[4] = row[4], row[most]
    return tuple(new)


_SWAPS: dict[str, tuple[str, Callable[[tuple[float, ...]], tuple[float, ...] | None], str]] = {
    "ohlc": ("high_low_swapped", _high_for_low, "high and low in each other's place; the rest of the row fits between them"),
    "columns": ("column_swap", _volume_for_price, "the volume among the prices; once it is back, they fit together"),
}
