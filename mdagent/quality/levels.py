"""Jumps of the whole price level: a split not adjusted for, another unit, another instrument.

News moves a price overnight as a mistake does. But after news the day is wild and its volume high; after a mistake the day is like any
other of the new level. That is how a real crash is told from an unadjusted split.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.market import Adjustment
from mdagent.quality.case import Outcome, suspects
from mdagent.quality.finding import Severity

if TYPE_CHECKING:
    from mdagent.quality.case import Case
    from mdagent.quality.finding import Finding
    from mdagent.quality.tape import Tape

SMALLEST = np.log(1.12)  # a smaller jump is any stock's
SUDDEN = 12.0  # standard deviations of a move that is looked at
_OVERNIGHT = (0.85, 1.15)  # part of the jump between close and open
_WILD_RANGE, _WILD_VOLUME = 2.6, 2.0  # times what follows, on the day of news
_BEYOND_NEWS = 100.0  # standard deviations that no news is worth
_CROWD = 8.0  # times the volume before
_LARGE, _MORE = 0.35, 3.0
_ABSURD = np.log(3.5)  # up or down: news alone does not do this to what keeps trading as calmly as before
_SPLITS = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 1.5, 4 / 3, 1.25, 2.5)
_NEAR_SPLIT = 0.02
_NEAR_LISTED = 0.12
_AFTER = 10
_VOLUME_SLACK = np.log(1.9)
_CLEARLY_FEW = 0.25
_NEVER_SPLIT = ("fx", "index", "crypto", "future")
_FEWEST = 8
_HOLE = np.timedelta64(300, "D")


class Jump(NamedTuple):
    """At row `at` of the tape the level became exp(`size`) times what it was."""

    at: int
    size: float


def levels(case: Case) -> Outcome:
    """Jumps that a split, a unit or a mistaken identity makes, and no market."""
    tape = case.tape
    if len(tape) < _FEWEST:
        return Outcome(skipped=f"fewer than {_FEWEST} bars")
    n, odd, found = len(case.bars), np.zeros(len(case.bars), dtype=bool), []
    jumps = jumps_of(tape, 1.0 / case.mode.strictness)
    explained = set()
    for one, other in pairwise(jumps):
        if abs(one.size + other.size) < 0.1 * abs(one.size) and one.at not in explained:  # there and back: a block
            mask = np.zeros(len(tape), dtype=bool)
            mask[one.at : other.at] = True
            explained |= {one.at, other.at}
            if mask.sum() > _CLEARLY_FEW * len(tape):  # nobody can say which side is wrong: mark where they meet
                mask[one.at + 1 : other.at] = False
                mask[other.at] = True
            found.append(_told(case, one, tape.places(mask, n)))
            odd |= tape.places(mask, n)
    for jump in jumps:
        if jump.at in explained or _right(case, jump):
            continue
        mask = np.zeros(len(tape), dtype=bool)
        mask[jump.at] = True
        found.append(
            _told(case, jump, tape.places(mask, n), side=int(min(tape.own[: jump.at].sum() or len(tape), tape.own[jump.at :].sum())))
        )
    found += _reused(case)
    return suspects(odd, tuple(_merged(found))) if found else Outcome()


def jumps_of(tape: Tape, threshold: float = 1.0) -> list[Jump]:
    """Sudden overnight changes of level that last, and that the day itself does not account for."""
    moves = np.abs(tape.moves)
    some = np.flatnonzero((moves > SMALLEST) & (moves > SUDDEN * threshold * np.minimum(tape.move_scale, _calm(tape)))) + 1
    return [jump for t in some.tolist() if tape.own[t] and (jump := _jump(tape, t)) is not None]


def _calm(tape: Tape) -> float:
    """The scale of the whole: a block in which the level jumps to and fro is no measure of itself."""
    whole = tape.move_scale
    return float(np.partition(whole, len(whole) // 2)[len(whole) // 2]) * 2.0 if len(whole) else 0.0


def _jump(tape: Tape, t: int) -> Jump | None:
    size, gap = float(tape.moves[t - 1]), float(tape.gaps[t - 1])
    level = float(np.median(tape.close[t : t + 6]) - np.median(tape.close[max(0, t - 6) : t]))
    if not _OVERNIGHT[0] <= gap / size <= _OVERNIGHT[1] or level / size < 0.7:
        return None
    after = slice(t + 1, t + 1 + _AFTER)
    if _crowd(tape, t):
        return None
    if abs(size) > min(_ABSURD, _BEYOND_NEWS * float(tape.move_scale[t - 1])) or not len(tape.close[after]):
        return Jump(t, size)
    ranges = tape.ranges[after]
    more = _MORE * max(0.0, abs(size) - _LARGE)  # the larger the jump, the wilder the day that made it
    wild = tape.ranges[t] > (_WILD_RANGE + more) * max(float(np.median(ranges)), 1e-12)
    told = tape.volume[after][tape.volume[after] > 0]
    busy = tape.trades and len(told) > 0 and tape.volume[t] > (_WILD_VOLUME + more) * float(np.median(told))
    return None if wild or busy else Jump(t, size)


def _crowd(tape: Tape, t: int) -> bool:
    """Did everybody come that day, more than before and more than after? So it is when a company collapses, and never by mistake."""
    before, after = tape.volume[max(0, t - _AFTER) : t], tape.volume[t + 1 : t + 1 + _AFTER]
    if not tape.trades or not (before > 0).any() or not (after > 0).any():
        return False
    volume = float(tape.volume[t])
    return volume > _WILD_VOLUME * float(np.median(after[after > 0])) and volume > _CROWD * float(np.median(before[before > 0]))


def _right(case: Case, jump: Jump) -> bool:
    """Is it a split in prices that are declared not to be adjusted for it? Who lists every split would have listed this one."""
    if case.bars.adjustment is not Adjustment.RAW or case.bars.symbol.kind in _NEVER_SPLIT:
        return False
    return split_at(case, jump) is not None or (not case.bars.delivery.events and _like_a_split(jump.size))


def split_at(case: Case, jump: Jump) -> float | None:
    """The listed split that makes this jump in raw prices, new shares for an old one."""
    day = case.tape.ts[jump.at].astype("datetime64[D]")
    for action in case.bars.actions:
        near = abs((np.datetime64(action.date, "D") - day).astype(int)) <= 4
        if action.kind == "split" and near and abs(abs(jump.size) - abs(np.log(action.value))) < _NEAR_LISTED:
            return action.value
    return None


def _like_a_split(size: float) -> bool:
    return any(abs(abs(size) - np.log(ratio)) < _NEAR_SPLIT + 0.02 for ratio in _SPLITS)


def _volume_agrees(tape: Tape, jump: Jump) -> bool:
    """Does the volume go the other way by about as much, as that of a split does, or nowhere, where only prices were forgotten? Where none
    is told, it does not say no."""
    before, after = tape.volume[max(0, jump.at - 2 * _AFTER) : jump.at], tape.volume[jump.at : jump.at + 2 * _AFTER]
    if not tape.trades or not (before > 0).any() or not (after > 0).any():
        return True
    change = float(np.log(np.median(after[after > 0]) / np.median(before[before > 0])))
    return bool(min(abs(change + jump.size), abs(change)) < _VOLUME_SLACK)


def _told(case: Case, jump: Jump, mask: np.ndarray, side: int | None = None) -> Finding:
    times = float(np.exp(abs(jump.size)))
    way = "up" if jump.size > 0 else "down"
    listed = split_at(case, jump)
    if listed is not None:
        kind, words = "unadjusted_split", f"the listed split of {listed:g} for 1 is not in prices declared as adjusted"
    elif abs(abs(jump.size) - np.log(100.0)) < 0.1:
        kind, words = "currency_mixup", "as between a currency and its hundredth"
    elif side is not None and case.bars.symbol.kind not in _NEVER_SPLIT and _like_a_split(jump.size) and _volume_agrees(case.tape, jump):
        kind, words = "unadjusted_split", "as by a split that is not adjusted for"
    else:
        kind, words = "wrong_symbol", "as if from there on it were another instrument"
    day = case.tape.ts[jump.at].astype("datetime64[D]")
    message = f"on {day} all prices went {way} {times:.3g} times with no sign of news: {words}"
    count = side if side is not None else int(mask.sum())
    return case.tell("levels", kind, Severity.CRITICAL, mask, message, count=count, value=times, expected=1.0)


def _reused(case: Case) -> list[Finding]:
    """A hole of the better part of a year in daily prices, with another level on its far side: a ticker given to somebody else."""
    tape = case.tape
    if case.request.interval.intraday:
        return []
    holes = np.flatnonzero(np.diff(tape.ts) > _HOLE) + 1
    found = []
    for t in holes[tape.own[holes]].tolist():
        mask = np.zeros(len(tape), dtype=bool)
        mask[t] = True
        message = (
            f"nothing was traded from {tape.ts[t - 1].astype('datetime64[D]')} to {tape.ts[t].astype('datetime64[D]')}: another company's?"
        )
        told = case.tell(
            "levels", "wrong_symbol", Severity.CRITICAL, tape.places(mask, len(case.bars)), message, count=min(t, len(tape) - t)
        )
        found.append(told)
    return found


def _merged(found: list[Finding]) -> list[Finding]:
    """One finding for each kind of defect."""
    from dataclasses import replace

    made: dict[str, Finding] = {}
    for one in found:
        held = made.get(one.type)
        if held is None:
            made[one.type] = one
            continue
        spans = tuple(sorted((*held.runs, *one.runs), key=lambda s: (str(s[0]), str(s[1]))))
        stamps = [t for span in spans for t in span if t is not None]
        told = tuple((a, b) for a, b in spans if a is not None and b is not None)
        made[one.type] = replace(held, spans=told, start=min(stamps), end=max(stamps), count=held.count + one.count)
    return list(made.values())
