"""Bad ticks: a close, a whole bar, or a wick that the market never made.

A market that has moved goes on from there: its next open is near its last close. A bad close is followed by an open at the old
price, a bad bar by a jump in and the same jump out. A wick can only be measured against the ranges about it; days of news, which are
days of volume and of long bodies, have long wicks by right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.case import Outcome, suspects
from mdagent.quality.counted import many
from mdagent.quality.finding import Severity

if TYPE_CHECKING:
    from mdagent.quality.case import Case
    from mdagent.quality.tape import Tape

_MOVE = 2.6  # standard deviations there and back that make a close worth looking at
_ROW_MOVE = 5.0  # and a whole bar
_BACK = (0.72, 1.4)  # the part of a deviation that the next open takes back
_GAP = 4.0  # standard deviations of a gap that no night brings
_STRETCHED = 2.3  # times the usual range, of a bar that a bad close has stretched
_EXTREME = 0.08  # of the range: how near its end a bad close stands
_BODY, _NIGHT, _UNDONE = 2.0, 6.0, 1.6
_WICK = 4.3  # times the usual range
_BESIDE = 0.8  # of the range of the wilder day beside it
_PAUSE, _THIN = 4, 2.0  # intervals that make a pause, and times the usual range after it
_HABIT_ROWS = 6  # so many long wicks are a habit, or one row in a hundred
_BAD_MOVE, _BAD_WICK = 0.10, 0.20  # from these on a bad tick misleads whoever trades on it
_RUN, _CROWD, _ABOUT = 5.5, 1.5, 21  # standard deviations, times the usual volume that makes a busy day, and rows that tell what is usual
_FEWEST = 8


def ticks(case: Case) -> Outcome:
    """Closes and bars that the next bar takes back, and wicks out of proportion."""
    tape = case.tape
    if len(tape) < _FEWEST:
        return Outcome(skipped=f"fewer than {_FEWEST} bars")
    threshold = 1.0 / case.mode.strictness
    closes, moves = reversals(tape, threshold)
    wicks, reach = long_wicks(tape, threshold)
    closes &= tape.own
    wicks &= ~closes & tape.own
    if not closes.any() and not wicks.any():
        return _last(case, threshold)
    size, length = np.where(closes, np.abs(np.expm1(moves)), 0.0), np.where(wicks, np.expm1(reach), 0.0)
    grave = (size >= _BAD_MOVE) | (length >= _BAD_WICK)
    mask = tape.places(closes | wicks, len(case.bars))
    severity = Severity.HIGH if grave.any() else Severity.MEDIUM
    worst = float(np.maximum(size, length).max())
    message = f"{many(mask.sum())} with a price that the next to it take back, by up to {worst:.1%}"
    told = case.tell("ticks", "bad_tick", severity, mask, message, value=worst, expected=0.0)
    found, last = suspects(mask, (told,)), _last(case, threshold)
    if last.odd is None or found.caps is None or last.caps is None:
        return found
    return Outcome((told, *last.findings), caps=np.minimum(found.caps, last.caps), odd=mask | last.odd)


def _last(case: Case, threshold: float) -> Outcome:
    """The last bar of days that ran far on ordinary volume. No next one has taken it back, nor borne it out: it is doubted, no more."""
    tape = case.tape
    mask = np.zeros(len(tape), dtype=bool)
    mask[-1] = bool(tape.own[-1]) and not case.request.interval.intraday and unborne(tape, threshold)
    if not mask.any():
        return Outcome()
    size, where = float(np.abs(np.expm1(tape.close[-1] - tape.open[-1]))), tape.places(mask, len(case.bars))
    message = f"the last bar runs by {size:.1%} on ordinary volume, and none after it bears it out"
    return suspects(where, (case.tell("ticks", "bad_tick", Severity.MEDIUM, where, message, value=size, expected=0.0),))


def unborne(tape: Tape, threshold: float = 1.0) -> bool:
    """Did the last row run to one end of a stretched range, further than markets go on no more volume than usual? Of a day that is not
    over the volume is not known."""
    body, span = float(tape.close[-1] - tape.open[-1]), float(tape.ranges[-1])
    told = tape.volume[-_ABOUT:-1][tape.volume[-_ABOUT:-1] > 0]
    if not tape.trades or not len(told) or tape.volume[-1] < np.median(told) / 2:
        return False
    busy = max(1.0, float(tape.volume[-1] / np.median(told)) / _CROWD)
    end = (tape.high[-1] - tape.close[-1]) if body > 0 else (tape.close[-1] - tape.low[-1])
    far = abs(body) > max(_RUN * threshold * float(tape.move_scale[-1]) * busy, np.log1p(_BAD_MOVE))
    return bool(far and end <= _EXTREME * span and span > _STRETCHED * busy * float(tape.range_scale[-1]))


def reversals(tape: Tape, threshold: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Which rows' closes are taken back by the next open; and by how much each row's close stands off its neighbours'."""
    n = len(tape)
    found, off = np.zeros(n, dtype=bool), np.zeros(n)
    there, back = tape.moves[:-1], tape.moves[1:]
    scale = np.maximum(tape.move_scale[:-1], tape.move_scale[1:])
    off[:1] = -tape.gaps[:1]
    off[1:-1] = (there - back) / 2
    off[1:-1] = np.where(np.abs(off[1:-1]) < np.abs(tape.gaps[1:]), -tape.gaps[1:], off[1:-1])
    least = np.minimum(np.abs(there), np.abs(back))
    some = np.flatnonzero((there * back < 0) & (least > _MOVE * threshold * scale)) + 1
    found[:-1] = _undone(tape, threshold)
    for t in some.tolist():
        found[t] |= _taken_back(
            tape, t, float((there[t - 1] - back[t - 1]) / 2), float(least[t - 1] / max(scale[t - 1], 1e-12)) / threshold
        )
    return found, off


def _undone(tape: Tape, threshold: float) -> np.ndarray:
    """Which rows but the last ran to one end of a stretched range and opened the next day where they had opened, on no more volume than
    usual. No row before them is needed, so that the first one is looked at, too."""
    body, gap = (tape.close - tape.open)[:-1], tape.gaps
    scale = tape.move_scale
    with np.errstate(all="ignore"):
        undone = -gap / body
    screen: np.ndarray = (np.abs(body) > _BODY * threshold * scale) & (np.abs(gap) > _NIGHT * threshold * tape.gap_scale)
    screen &= (undone >= _BACK[0]) & (undone <= _UNDONE)
    for t in np.flatnonzero(screen).tolist():
        end = (tape.high[t] - tape.close[t]) if body[t] > 0 else (tape.close[t] - tape.low[t])
        span, usual = float(tape.ranges[t]), float(tape.range_scale[t])
        screen[t] = end <= _EXTREME * span and span > _STRETCHED * usual * _busy(tape, t) ** 2
    return screen


def _taken_back(tape: Tape, t: int, off: float, times: float) -> bool:
    gap_out, gap_in = float(tape.gaps[t]), float(tape.gaps[t - 1])
    returned = -gap_out / off
    if not _BACK[0] <= returned <= _BACK[1] or abs(gap_out) < _GAP * float(tape.gap_scale[t]):
        return False
    span, usual = float(tape.ranges[t]), float(tape.range_scale[t])
    end = (tape.high[t] - tape.close[t]) if off > 0 else (tape.close[t] - tape.low[t])
    busy = _busy(tape, t)
    if end <= _EXTREME * span and span > _STRETCHED * usual * busy and times > _MOVE * busy:
        return True
    jumped_in = _BACK[0] <= gap_in / off <= _BACK[1]
    return jumped_in and times > _ROW_MOVE * busy and span < _STRETCHED * usual


def long_wicks(tape: Tape, threshold: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Which rows have a wick out of proportion, and the longer wick of each row. A series whose wicks are habitually long says little
    by one more."""
    top, bottom = np.maximum(tape.open, tape.close), np.minimum(tape.open, tape.close)
    reach = np.maximum(tape.high - top, bottom - tape.low)
    beside = np.zeros(len(tape))
    beside[1:] = tape.ranges[:-1]
    np.maximum(beside[:-1], tape.ranges[1:], out=beside[:-1])
    usual = np.maximum(np.maximum(tape.range_scale, _BESIDE * beside), 1e-12)  # turmoil does not come and go in a day
    times = reach / usual
    found = np.zeros(len(tape), dtype=bool)
    some = np.flatnonzero(times > _WICK * threshold)
    if not len(some):
        return found, reach
    rank = max(_HABIT_ROWS, len(times) // 100)
    habit = float(np.partition(times, -rank)[-rank]) if len(times) > rank else 1.0
    least = max(_WICK + 8.0 * max(0.0, habit - 2.0), _longest_by_chance(times)) * threshold
    for t in some.tolist():
        body = float(top[t] - bottom[t]) / float(usual[t])
        found[t] = times[t] > least * (1.0 + 0.5 * max(0.0, body - 1.0)) * _busy(tape, t) * _opening(tape, t)
    return found, reach


def _opening(tape: Tape, t: int) -> float:
    """How much wider row `t` may be, where it is the first after a pause: within a day, markets open on thin books."""
    before = np.diff(tape.ts[max(0, t - 20) : t + 1])
    if len(before) < 2 or before[:-1].min() >= np.timedelta64(1, "D"):
        return 1.0
    return _THIN if before[-1] > _PAUSE * np.median(before[:-1]) else 1.0


def _longest_by_chance(times: np.ndarray) -> float:
    """How long the longest of so many wicks may be, if their lengths fall off beyond the twentieth as they do before it, exponentially;
    one series in some four hundred has one beyond."""
    if len(times) < _HABIT_ROWS * 10:
        return 0.0
    common, rare = np.quantile(times, (0.75, 0.95))
    return float(rare + (rare - common) / np.log(5.0) * (np.log(0.05 * len(times)) + 6.0))


def _busy(tape: Tape, t: int) -> float:
    """How much more there may happen on this day, for the volume it had: 1 on an ordinary one."""
    about = tape.volume[max(0, t - 10) : t + 11]
    told = about[about > 0]
    if not tape.trades or not len(told) or not tape.volume[t] > 0:
        return 1.0
    return float(np.sqrt(max(1.0, tape.volume[t] / np.median(told) / 1.5)))
