"""Stale runs: a source that repeats itself while the market goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.case import Outcome, suspects
from mdagent.quality.counted import many
from mdagent.quality.finding import Severity
from mdagent.quality.runs import runs_of

if TYPE_CHECKING:
    from mdagent.quality.case import Case
    from mdagent.quality.tape import Tape

FEWEST = 3  # repeats in a row
_LONG, _ENDLESS = 6, 21
_CROWD, _NEWS = 2.0, 3.0  # times the usual volume, and standard deviations of a move, with which trade begins again after a halt
_LIVELY = 0.02  # share of rows without a trade up to which a series is one that always trades


def stale(case: Case) -> Outcome:
    """Rows that repeat the row before them to the digit, volume included; or, where there is always trade, rows without any."""
    tape = case.tape
    if len(tape) <= FEWEST:
        return Outcome(skipped=f"no more than {FEWEST} bars")
    same = tape.moves == 0
    if not (same[2:] & same[1:-1] & same[:-2]).any():
        return Outcome()
    again = np.zeros(len(tape), dtype=bool)
    again[1:] = same & _repeats(tape)
    mask = _runs_of(again & ~halts(tape, again), FEWEST)
    longest = int(_lengths(mask)[tape.own & mask].max(initial=0))
    mask &= tape.own
    if not mask.any():
        return Outcome()
    severity = Severity.CRITICAL if longest >= _ENDLESS else Severity.HIGH if longest >= _LONG else Severity.MEDIUM
    marked = tape.places(mask, len(case.bars))
    told = case.tell("stale", "stale_run", severity, marked, f"{many(mask.sum())} that repeat what was before, {longest} in a row")
    return suspects(marked, (told,))


def halts(tape: Tape, silent: np.ndarray) -> np.ndarray:
    """Of runs of silent rows those after which trade begins anew with a jump and in crowds: a halt, and no fault of the feed's."""
    made = np.zeros(len(silent), dtype=bool)
    for first, last in runs_of(silent):
        after = last + 1
        made[first:after] = after < len(tape) and not (tape.volume[first:after] > 0).any() and resumes(tape, after)
    return made


def resumes(tape: Tape, t: int, times: float = 1.0) -> bool:
    """Does row `t` look like the first after a halt? `times` as much evidence is asked for."""
    told = tape.volume[max(0, t - 40) : t][tape.volume[max(0, t - 40) : t] > 0]
    if not len(told) or not t or not tape.volume[t] > times * _CROWD * float(np.median(told)):
        return False
    return bool(abs(tape.moves[t - 1]) > times * _NEWS * tape.move_scale[t - 1])


def _repeats(tape: Tape) -> np.ndarray:
    """Which rows, but the first, say nothing new although something was to be said."""
    flat = tape.ranges[1:] == 0
    exact = (np.diff(tape.open) == 0) & (np.diff(tape.high) == 0) & (np.diff(tape.low) == 0)
    told = tape.volume > 0
    if not tape.trades:
        moving: np.ndarray = exact & ~flat
        return moving
    with_volume = exact & (np.diff(tape.volume) == 0) & told[1:]
    silent = flat & ~told[1:]
    lively = float(np.count_nonzero(_short(silent))) <= _LIVELY * len(tape)
    repeats: np.ndarray = with_volume | (silent if lively else np.zeros(len(silent), dtype=bool))
    return repeats


def _short(silent: np.ndarray) -> np.ndarray:
    """Silent rows in runs too short to be stale: they are how a thin market looks."""
    short: np.ndarray = silent & ~_runs_of(silent, FEWEST)
    return short


def _runs_of(mask: np.ndarray, fewest: int) -> np.ndarray:
    """The mask without runs shorter than `fewest`."""
    long: np.ndarray = mask & (_lengths(mask) >= fewest)
    return long


def _lengths(mask: np.ndarray) -> np.ndarray:
    """For each true row the length of its run, else 0."""
    made = np.zeros(len(mask), dtype=np.int64)
    for first, last in runs_of(mask):
        made[first : last + 1] = last - first + 1
    return made
