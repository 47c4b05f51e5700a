"""Expected bars that are not there, each with its reason; and whether the last one is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.attendance import EMPTY, UNKNOWN, daily_outside, shifted_dates
from mdagent.quality.case import Case, Outcome, as_stamps, instants
from mdagent.quality.finding import (
    ABSENT_GAP,
    ABSENT_NULL,
    ABSENT_PENDING,
    ABSENT_REJECTED,
    ABSENT_UNLISTED,
    ABSENT_UNTRADED,
    Absence,
    Severity,
)
from mdagent.quality.runs import runs_of
from mdagent.quality.stale import resumes
from mdagent.sessions import last_complete, period_end, period_of

if TYPE_CHECKING:
    from datetime import date, datetime

    from mdagent.quality.finding import Finding

# Share of the expected bars that are missing -> severity (from the share on). A share of few bars says little: see _gap_severity.
_GAP_SHARES = ((0.05, Severity.CRITICAL), (0.02, Severity.HIGH), (0.005, Severity.MEDIUM), (0.0, Severity.LOW))
_CUT, _CUT_CRITICAL, _FEW = 0.02, 0.10, 2  # of a window's bars at its head or tail, and so many at most may lack without a word
_OWN_HOLIDAYS = (3, 10)
_EVE = timedelta(hours=4)  # of a holiday begins where the day's session does
_FX_HOLIDAYS = ((12, 25), (1, 1))  # sources differ on whether spot FX trades
_UNHEARD = 20  # so many days before the first bar are no gap in a series that begins there
_LONGEST_HALT = 30  # days
_A_WEEK = np.timedelta64(7, "D")


def gaps(case: Case) -> Outcome:
    """Every expected bar that is not there, with its reason. The missing end of a window that reaches now is left to `staleness`."""
    if case.sessions is None:
        return UNKNOWN
    if not case.sessions:
        return EMPTY
    here = case.present
    if here.all():
        return Outcome(expected=len(here))
    absences, reasons = _with_reasons(case)
    owed = len(here) - int(np.isin(reasons, (ABSENT_PENDING, ABSENT_UNLISTED)).sum())
    told = ~here & ~_under_other_dates(case)
    if not case.as_is:
        told[_tail(case)] = False
    found = []
    cut = _cut_short(told & (reasons == ABSENT_GAP))
    for reason, words in _WORDS.items():
        missing = told & (reasons == reason) & ~cut
        if missing.any():
            found.append(_gap_finding(case, missing, owed, reason, words))
    if cut.any():
        severity = Severity.CRITICAL if cut.sum() > _CUT_CRITICAL * owed else Severity.HIGH
        words = f"{cut.sum()} of {owed} bars at the beginning or end of the window missing"
        found.append(_spanned(case, "truncated_history", severity, cut, words, owed))
    return Outcome(tuple(found), absences=absences, expected=owed)


def _under_other_dates(case: Case) -> np.ndarray:
    """The due stamps of a stretch whose bars bear the dates of other days: they are there."""
    due = case.due
    if case.odd is None or case.request.interval.intraday:
        return np.zeros(len(due), dtype=bool)
    shifted = shifted_dates(case, daily_outside(case)[0])
    if not shifted.any():
        return np.zeros(len(due), dtype=bool)
    first, last = case.bars.ts[shifted][[0, -1]]
    near: np.ndarray = (due >= first - _A_WEEK) & (due <= last + _A_WEEK)
    return near


def _cut_short(missing: np.ndarray) -> np.ndarray:
    """What is missing at the head or tail of a window, where it is more than a few bars and not all of them."""
    cut = np.zeros(len(missing), dtype=bool)
    if missing.all():
        return cut
    head, tail = int(np.argmin(missing)), int(np.argmin(missing[::-1]))
    least = max(_CUT * len(missing), _FEW)
    cut[: head if head > least else 0] = True
    cut[len(missing) - (tail if tail > least else 0) :] = True
    return cut


def _spanned(  # noqa: PLR0913, PLR0917  what a finding is made of
    case: Case, kind: str, severity: Severity, missing: np.ndarray, words: str, owed: int
) -> Finding:
    """A finding whose spans reach from each run of missing stamps to the bar after it, or from the bar before it where none follows."""
    stamps, due = np.sort(case.bars.ts), case.due
    spans = []
    for first, last in runs_of(missing):
        after = int(np.searchsorted(stamps, due[last], "right"))
        before = int(np.searchsorted(stamps, due[first], "left"))
        if after < len(stamps):
            spans.append((due[first], stamps[after]))
        else:
            spans.append((stamps[before - 1] if before else due[first], due[last]))
    times = instants(np.array(spans, dtype="datetime64[us]").ravel())
    runs = tuple(zip(times[::2], times[1::2], strict=True))
    count = int(missing.sum())
    told = case.tell("gaps", kind, severity, (), words, count=count, value=owed - count, expected=owed)
    return replace(told, start=runs[0][0], end=runs[-1][1], spans=runs if len(runs) > 1 else ())


_WORDS = {
    ABSENT_GAP: "{} of {} expected bars missing",
    ABSENT_NULL: "{} of {} expected bars empty at the source",
    ABSENT_UNTRADED: "{} of {} expected bars missing as when nobody traded",
}


def _gap_finding(case: Case, missing: np.ndarray, owed: int, reason: str, words: str) -> Finding:
    count = int(missing.sum())
    severity = _gap_severity(count, count / max(owed, 1))
    if reason == ABSENT_NULL:  # the source says so itself: a halt as well as a fault
        severity = max(severity, Severity.MEDIUM, key=lambda s: s.rank)
    if reason == ABSENT_UNTRADED:
        severity = Severity.INFO
    kind = "nan_field" if reason == ABSENT_NULL else "missing_rows"
    return _spanned(case, kind, severity, missing, words.format(count, owed), owed)


def _gap_severity(count: int, share: float) -> Severity:
    """By share; but one missing bar is no more than medium and two no more than high, however short the window."""
    severity = next(s for least, s in _GAP_SHARES if share > least or least == 0.0)
    ceiling = {1: Severity.MEDIUM, 2: Severity.HIGH}.get(count, Severity.CRITICAL)
    return max(severity, ceiling, key=lambda s: s.rank)


def _with_reasons(case: Case) -> tuple[tuple[Absence, ...], np.ndarray]:
    """The absences in order; and the reason for each due stamp, "" for one that is there."""
    here, interval = case.present, case.request.interval
    places = np.flatnonzero(~here)
    reasons = np.full(len(here), "", dtype=object)
    missing = instants(case.due[places])
    untraded = _untraded(case)[places]
    unheard = _before_the_first(case)
    for i, ts, alone in zip(places.tolist(), missing, untraded.tolist(), strict=True):
        reasons[i] = ABSENT_UNLISTED if i < unheard else _reason(case, ts, period_of(interval, ts), alone=alone)
    return tuple(Absence(ts, reasons[i]) for i, ts in zip(places.tolist(), missing, strict=True)), reasons


def _before_the_first(case: Case) -> int:
    """How many due stamps lie before the first bar that a source has of something whose first day it does not tell: it was not listed, or
    the source keeps no more; asked again it would say no more either. A file is held to what it was to hold."""
    told = case.bars.instrument is not None and case.bars.instrument.first_trade is not None
    if case.as_is or told or case.before is not None or not case.present.any():
        return 0
    head = int(np.argmax(case.present))
    return head if head > _UNHEARD else 0


def _reason(case: Case, ts: datetime, period: tuple[date, date], *, alone: bool) -> str:
    listed = case.bars.instrument.first_trade if case.bars.instrument else None
    if ts in case.lost:
        return ABSENT_REJECTED
    if listed and period[1] <= listed:
        return ABSENT_UNLISTED
    if ts > case.settled and period_end(case.sessions or (), case.request.interval, ts) > case.now - case.delay:
        return ABSENT_PENDING
    holiday = case.bars.symbol.kind == "fx" and any((t.month, t.day) in _FX_HOLIDAYS for t in (ts, ts + _EVE))
    if alone or holiday:
        return ABSENT_UNTRADED
    return ABSENT_NULL if ts in case.empty else ABSENT_GAP


def _untraded(case: Case) -> np.ndarray:
    """Which due stamps may lack because nobody traded: single ones within a day; of spot FX, for which no exchange says which days trade,
    several days in a row, since sources keep holidays of their own; and days after which trade begins anew as after a halt."""
    here = case.present
    if case.request.interval.intraday:
        padded = np.concatenate(([True], here, [True]))
        alone: np.ndarray = ~here & padded[:-2] & padded[2:]
        return alone
    made = np.zeros(len(here), dtype=bool)
    spot, tape = case.bars.symbol.kind == "fx", case.tape
    for first, last in runs_of(~here):
        if spot:
            made[first : last + 1] = _OWN_HOLIDAYS[0] <= last - first + 1 <= _OWN_HOLIDAYS[1]
        elif tape.trades and last - first < _LONGEST_HALT:
            after = int(np.searchsorted(tape.ts, case.due[last], "right"))
            made[first : last + 1] = after < len(tape) and resumes(tape, after, 2.0 if first == last else 1.0)
    return made


def _tail(case: Case) -> np.ndarray:
    """Places of the missing stamps at the end, up to the last that should be complete, of a window that reaches that far; else none."""
    none, due, here = np.zeros(0, dtype=np.int64), case.due, case.present
    last = last_complete(case.sessions or (), case.request.interval, case.now, case.delay)
    if last is None or not case.request.start <= last < case.request.end:
        return none
    stamp = as_stamps([last])[0]
    until = int(np.searchsorted(due, stamp, "right")) if stamp in due else 0
    if here[until:].any():
        return none  # a later bar, still open, proves that the source is awake
    some = np.flatnonzero(here[:until])
    return np.arange(int(some[-1]) + 1 if len(some) else 0, until)


def staleness(case: Case) -> Outcome:
    """Is the last complete bar here, in a window that reaches now?"""
    if case.sessions is None:
        return UNKNOWN
    if case.as_is:
        return Outcome(skipped="a file is as old as it is")
    if last_complete(case.sessions, case.request.interval, case.now, case.delay) is None:
        return EMPTY
    tail = _tail(case)
    if not len(tail):
        return Outcome()
    reasons = _with_reasons(case)[1][tail]
    late = instants(case.due[tail[~np.isin(reasons, (ABSENT_UNLISTED, ABSENT_REJECTED))]])
    if not late:
        return Outcome()
    message = f"the last {len(late)} bars that should be complete are missing, from {late[0]:%Y-%m-%d %H:%M} UTC on"
    newest = max(case.at(~case.bad), default=None)
    told = newest.isoformat() if newest else None
    return Outcome(
        (case.tell("staleness", "stale_feed", _late_severity(case, len(late)), late, message, value=told, expected=late[-1].isoformat()),)
    )


def _late_severity(case: Case, late: int) -> Severity:
    if case.request.interval.intraday:  # a thin stock may be silent for a while
        hours = late * case.request.interval.seconds / 3600
        return Severity.INFO if late == 1 else Severity.LOW if hours <= 1 else Severity.MEDIUM if hours <= 7 else Severity.HIGH
    return Severity.MEDIUM if late == 1 else Severity.HIGH if late <= 5 else Severity.CRITICAL
