"""One set of bars against what other sources say of the same bars."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.quality.case import Outcome, suspects
from mdagent.quality.consensus import consensus, noise_of, weights_of
from mdagent.quality.counted import many
from mdagent.quality.finding import Severity
from mdagent.quality.stale import stale
from mdagent.quality.ticks import ticks
from mdagent.quality.units import about, units

if TYPE_CHECKING:
    from mdagent.market import BarSet
    from mdagent.quality.case import Case
    from mdagent.quality.finding import Finding

_FEWEST = 20  # bars in common from which on a series can be compared
_AGREE = 0.02  # others whose closes differ by less, in the middle, are of one mind
_NEAR = 0.002  # of the middle: others within are of one mind on a bar
_OTHER_UNIT = np.log(1.5)
_HUNDRED = np.log(100.0)
_VOLUME_UNIT = np.log(20.0)
_ALIKE, _UNLIKE = 0.8, 0.5  # correlation of moves
_CLOSE_OFF, _WICK_OFF = 0.01, 0.03  # a point stands off the others from here on, or from so many times the noise
_CLOSE_NOISE, _WICK_NOISE = 10.0, 15.0
_REGIME_OFF, _REGIME_NOISE, _REGIME_RUN = 0.005, 6.0, 10
_DRIFT_HIGH, _DRIFT_CRITICAL = 0.01, 0.05
_STEP = 0.002  # of a price
_STEPS, _OF_STEPS = 12, 0.6  # so few changes that make up so much of the way are steps
_BAD_MOVE, _BAD_WICK = 0.10, 0.20
_GUILTY = 1.5  # times less plausible than the other's


class Panel(NamedTuple):
    """The rows of a tape that others have too: places in the tape, own logarithms (4, n), others' (k, 4, n; NaN where absent), volumes."""

    at: np.ndarray
    own: np.ndarray
    others: np.ndarray
    volume: np.ndarray
    volumes: np.ndarray


def against_others(case: Case) -> Outcome:
    """Where this source stands apart from the others: as a whole, for a while, or on single bars."""
    if not case.others:
        return Outcome(skipped="no other source to compare with")
    panel = _panel(case)
    if len(panel.at) < _FEWEST:
        return Outcome(skipped=f"fewer than {_FEWEST} bars in common with another source")
    middle = _middle(panel, case)
    off = panel.own[3] - middle[3]
    judged = len(case.others) > 1 and _of_one_mind(panel)
    sure = _sure(panel) if judged else np.full(len(off), len(case.others) == 1)
    found: list[Finding] = []
    odd = np.zeros(len(case.bars), dtype=bool)
    if judged:
        found = _as_a_whole(case, panel, middle, off)
    elif len(case.others) == 1 and (abs(float(np.nanmedian(off))) > _OTHER_UNIT or _moves_alike(panel.own[3], middle[3]) < _UNLIKE):
        return Outcome((_disagreement(case, panel.at, "the two sources do not tell of the same prices; nobody can say which is right"),))
    if not found:
        told, odd = _regimes(case, panel, off, sure, judged=judged)
        found += told
        points = _points(case, panel, middle, off, sure & ~odd[case.tape.at[panel.at]])
        found += points.findings
        odd |= points.mask
    if judged and not found:
        told, odd = _scattered(case, panel, off, sure)
        found += told
    return suspects(odd, tuple(found))


def _panel(case: Case) -> Panel:
    tape = case.tape
    columns = [_on(tape.ts, plain(other, case)) for other in case.others]
    some = np.flatnonzero(np.any([np.isfinite(c[3]) for c in columns], axis=0) & (tape.at >= 0))
    own = np.array([tape.open, tape.high, tape.low, tape.close])[:, some]
    with np.errstate(all="ignore"):
        prices = np.log(np.array([c[:4] for c in columns])[:, :, some])
    volumes = np.array([c[4] for c in columns])[:, some]
    return Panel(some, own, np.where(np.isfinite(prices), prices, np.nan), tape.volume[some], volumes)


def plain(other: BarSet, case: Case) -> BarSet:
    """The other's bars without those that look wrong by themselves: they are no witnesses."""
    theirs = replace(case, bars=other, bad=np.zeros(len(other), dtype=bool), odd=None, others=(), aside=0)
    if len(other) < _FEWEST:
        return other
    for check in (units, stale, ticks):
        marked = check(theirs).odd
        theirs = theirs if marked is None else theirs.without(marked)
    return other if theirs.odd is None else other.take(~theirs.odd)


def _on(ts: np.ndarray, other: BarSet) -> np.ndarray:
    """The other's columns on these stamps, NaN where it has none."""
    made = np.full((5, len(ts)), np.nan)
    if not len(other):
        return made
    at = np.minimum(np.searchsorted(other.ts, ts), len(other) - 1)
    same = other.ts[at] == ts
    made[:, same] = np.array([other.open, other.high, other.low, other.close, other.volume])[:, at[same]]
    return made


def _middle(panel: Panel, case: Case) -> np.ndarray:
    names = [other.source for other in case.others]
    weights = weights_of(names, case.earned, case.families)
    middle: np.ndarray = np.log(np.array([consensus(np.exp(panel.others[:, f]), weights, 0.01).middle for f in range(4)]))
    return middle


def _of_one_mind(panel: Panel) -> bool:
    """Do most of the others agree with each other, in level and in moves?"""
    close = panel.others[:, 3]
    alike = [sum(_kin(one, other) for m, other in enumerate(close) if m != n) + 1 for n, one in enumerate(close)]
    return max(alike) >= 2 and max(alike) * 2 > len(close)


def _kin(one: np.ndarray, other: np.ndarray) -> bool:
    return float(np.nanmedian(np.abs(one - other))) < _AGREE and _moves_alike(one, other) > _ALIKE


def _sure(panel: Panel) -> np.ndarray:
    """On which bars at least two of the others, and most of them, are of one mind."""
    close = panel.others[:, 3]
    middle = np.nanmedian(close, axis=0)
    near = np.abs(close - middle) < _NEAR
    enough: np.ndarray = (near.sum(axis=0) >= 2) & (near.sum(axis=0) * 2 > np.isfinite(close).sum(axis=0))
    return enough


def _moves_alike(one: np.ndarray, other: np.ndarray, lag: int = 0) -> float:
    """The correlation of two series' moves, the second's `lag` bars later. Moves are cut at what is usual, so that none decides alone."""
    a, b = np.diff(one), np.diff(other)
    a, b = (a[:-lag], b[lag:]) if lag > 0 else (a[-lag:], b[:lag]) if lag < 0 else (a, b)
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < _FEWEST // 2:
        return 1.0
    a, b = (np.clip(x[both], *np.quantile(x[both], (0.02, 0.98))) for x in (a, b))
    if a.std() == 0 or b.std() == 0:
        return 1.0
    return float(np.corrcoef(a, b)[0, 1])


def _as_a_whole(case: Case, panel: Panel, middle: np.ndarray, off: np.ndarray) -> list[Finding]:
    alike = _moves_alike(panel.own[3], middle[3])
    mask = np.zeros(len(case.tape), dtype=bool)
    mask[panel.at] = True
    every = case.tape.places(mask, len(case.bars))

    def all_bars(kind: str, words: str, value: float) -> list[Finding]:
        return [case.tell("others", kind, Severity.CRITICAL, every, words, value=value, expected=1.0)]

    if alike < _UNLIKE:
        lagged = max((_moves_alike(panel.own[3], middle[3], lag), lag) for lag in (-1, 1))
        if lagged[0] > _ALIKE:
            which = "after" if lagged[1] < 0 else "before"
            return all_bars("date_shifted", f"every bar bears the date of the session {which} that which the others give it", alike)
        return all_bars("wrong_symbol", f"these prices do not move with those of the others (correlation {alike:.2f})", alike)
    apart = float(np.nanmedian(off))
    if abs(apart) > _OTHER_UNIT and float(np.nanmedian(np.abs(off - apart))) < _OTHER_UNIT / 4:
        return all_bars("currency_mixup", f"all prices are {np.exp(apart):.4g} times those of the others", float(np.exp(apart)))
    return _volume_unit(case, panel)


def _volume_unit(case: Case, panel: Panel) -> list[Finding]:
    with np.errstate(all="ignore"):
        ratios = np.log(panel.volume) - np.log(panel.volumes)
    counted = [r for r, other in zip(ratios, case.others, strict=True) if other.raw_volume is case.bars.raw_volume]  # shares of one kind
    apart = [float(np.median(r[np.isfinite(r)])) for r in counted if np.isfinite(r).sum() >= _FEWEST]
    far = [r for r in apart if abs(r) > _VOLUME_UNIT]
    if len(far) < 2 or len(far) * 2 <= len(apart) or max(far) * min(far) < 0:
        return []
    times = float(np.exp(np.median(far)))
    words = f"all volumes are {times:.4g} times those of the others, as in another unit"
    return [case.tell("others", "volume_scale", Severity.MEDIUM, (), words, count=1, value=times, expected=1.0)]


def _regimes(case: Case, panel: Panel, off: np.ndarray, sure: np.ndarray, *, judged: bool) -> tuple[list[Finding], np.ndarray]:
    """Stretches in which this source stands off the others: a drift, or another basis."""
    odd = np.zeros(len(case.bars), dtype=bool)
    smooth = about(np.where(np.isfinite(off), off, 0.0))
    least = max(_REGIME_OFF, _REGIME_NOISE * noise_of(off))
    away = (np.abs(smooth) > least) & sure
    if away.sum() < _REGIME_RUN:
        return [], odd
    most = float(np.expm1(np.abs(smooth[away]).max()))
    mask = np.zeros(len(case.tape), dtype=bool)
    mask[panel.at[away]] = True
    odd = case.tape.places(mask, len(case.bars))
    if not judged:
        words = f"{many(away.sum())} up to {most:.1%} from the other source's; nobody can say which is right"
        return [_disagreement(case, panel.at[away], words)], odd & False
    if _in_steps(smooth):
        words = f"{many(away.sum())} in steps, up to {most:.1%}, from the others, as on another basis of adjustment"
        return [case.tell("others", "adjusted_raw_mix", Severity.CRITICAL, odd, words, value=most, expected=0.0)], odd
    severity = Severity.CRITICAL if most > _DRIFT_CRITICAL else Severity.HIGH if most > _DRIFT_HIGH else Severity.INFO
    words = f"{many(away.sum())} drifting away from the others, by up to {most:.1%}"
    return [case.tell("others", "provider_drift", severity, odd, words, value=most, expected=0.0)], odd


def _in_steps(smooth: np.ndarray) -> bool:
    changes = np.sort(np.abs(np.diff(smooth)))[::-1]
    return float(changes[:_STEPS].sum()) > _OF_STEPS * float(np.ptp(smooth)) and float(changes[0]) > _STEP


def _scattered(case: Case, panel: Panel, off: np.ndarray, sure: np.ndarray) -> tuple[list[Finding], np.ndarray]:
    """A source that is off the others on nearly every bar on which they agree, now above and now below: its own noise hides each of them,
    and no stretch stands out."""
    none = np.zeros(len(case.bars), dtype=bool)
    told = sure & np.isfinite(off)
    usual = float(np.median(np.abs(off[told]))) if told.sum() >= max(_FEWEST, len(off) // 2) else 0.0
    if usual <= _REGIME_OFF:
        return [], none
    mask = np.zeros(len(case.tape), dtype=bool)
    mask[panel.at[told & (np.abs(off) > _NEAR)]] = True
    odd = case.tape.places(mask, len(case.bars))
    severity = Severity.HIGH if usual > _DRIFT_HIGH else Severity.MEDIUM
    words = f"{many(mask.sum())} off the others, now above and now below, usually by {usual:.1%}"
    return [case.tell("others", "provider_drift", severity, odd, words, value=usual, expected=0.0)], odd


class _Points(NamedTuple):
    findings: list[Finding]
    mask: np.ndarray


def _points(case: Case, panel: Panel, middle: np.ndarray, off: np.ndarray, sure: np.ndarray) -> _Points:
    """Single bars that this source tells otherwise than the others, and, where there is only one other, less plausibly."""
    closes = np.abs(_local(off)) > max(_CLOSE_OFF, _CLOSE_NOISE * noise_of(off))
    wicks = np.zeros(len(off), dtype=bool)
    reach = np.zeros(len(off))
    for field, sign in ((1, 1.0), (2, -1.0)):
        beyond = sign * (panel.own[field] - middle[field])
        far = np.abs(_local(beyond)) > max(_WICK_OFF, _WICK_NOISE * noise_of(beyond))
        if len(case.others) == 1:
            far &= beyond > 0  # a bad print makes a range wider: of two the wider one is the doubtful one
        wicks |= far
        reach = np.maximum(reach, np.where(far, np.abs(beyond), 0.0))
    if len(case.others) == 1:
        closes &= _less_plausible(panel)
    closes &= sure
    wicks &= ~closes & sure
    mask = np.zeros(len(case.tape), dtype=bool)
    mask[panel.at[closes | wicks]] = True
    marked = case.tape.places(mask, len(case.bars))
    if not mask.any():
        return _Points([], marked)
    size = np.where(closes, np.abs(np.expm1(off)), 0.0)
    grave = (size >= _BAD_MOVE).any() or (np.expm1(np.where(wicks, reach, 0.0)) >= _BAD_WICK).any()
    worst = float(max(size.max(), np.expm1(np.where(wicks, reach, 0.0)).max()))
    words = f"{many(mask.sum())} told otherwise by the other sources, by up to {worst:.1%}"
    severity = Severity.HIGH if grave else Severity.MEDIUM
    return _Points([case.tell("others", "bad_tick", severity, marked, words, value=worst, expected=0.0)], marked)


def _local(off: np.ndarray) -> np.ndarray:
    """What a difference is beyond that of the bars about it."""
    filled = np.where(np.isfinite(off), off, 0.0)
    beyond: np.ndarray = filled - about(filled)
    return beyond


def _less_plausible(panel: Panel) -> np.ndarray:
    """Whose close stands further from its own neighbours and from its own next open than the other's does: it is the odd one of two."""

    def jolt(close: np.ndarray, opened: np.ndarray) -> np.ndarray:
        made = np.zeros(len(close))
        made[1:-1] = np.abs(close[1:-1] - (close[:-2] + close[2:]) / 2) + np.abs(opened[2:] - close[1:-1])
        return np.where(np.isfinite(made), made, 0.0)

    own = jolt(panel.own[3], panel.own[0])
    theirs = jolt(panel.others[0, 3], panel.others[0, 0])
    odd: np.ndarray = own > _GUILTY * theirs
    return odd


def _disagreement(case: Case, at: np.ndarray, words: str) -> Finding:
    mask = np.zeros(len(case.tape), dtype=bool)
    mask[at] = True
    return case.tell("others", "disagreement", Severity.INFO, case.tape.places(mask, len(case.bars)), words)
