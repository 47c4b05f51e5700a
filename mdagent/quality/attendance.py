"""Bars against sessions: which came uninvited, which are missing, and is the last one here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

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
from mdagent.sessions import expected, last_complete, period_end, period_of, stretches

if TYPE_CHECKING:
    from mdagent.quality.finding import Finding
    from mdagent.sessions import Session

UNKNOWN = Outcome(skipped="the trading calendar is unknown")
EMPTY = Outcome(skipped="the calendar holds no session around this window")

# Share of the expected bars that are missing -> severity (from the share on). A share of few bars says little: see _gap_severity.
_GAP_SHARES = ((0.05, Severity.CRITICAL), (0.02, Severity.HIGH), (0.005, Severity.MEDIUM), (0.0, Severity.LOW))
_NIGHT = timedelta(hours=22)  # a session this long opens on the evening before: its first bar may bear that date
_DAY = 86400
_CUT, _CUT_CRITICAL, _FEW = 0.02, 0.10, 2  # of a window's bars at its head or tail, and so many at most may lack without a word
_FEWEST_WEEKS, _MOST_WEEKS = 3, 0.7  # weeks that prove a shift of dates, and the part of them that must agree
_OWN_HOLIDAYS = (3, 10)
_FX_HOLIDAYS = ((12, 25), (1, 1))  # sources differ on whether spot FX trades


def non_session(case: Case) -> Outcome:
    """Condemn bars where nobody traded. Beyond the first and last known session nothing is said of a bar."""
    if case.sessions is None:
        return UNKNOWN
    if not case.sessions:
        return EMPTY
    outside, edge = _intraday_outside(case) if case.request.interval.intraday else _daily_outside(case)
    outside &= ~case.bad
    edge &= ~case.bad
    found: list[Finding] = []
    if edge.any():
        words = f"{edge.sum()} bars at the edge of a session, which is kept"
        found.append(case.tell("non_session", "non_trading_day_bar", Severity.INFO, edge, words))
    shifted = shifted_dates(case, outside)
    outside &= ~shifted
    if shifted.any():
        words = f"{shifted.sum()} bars bear the date of another day: weekends have bars, and as many weekdays have none"
        found.append(case.tell("non_session", "date_shifted", Severity.CRITICAL, shifted, words))
    if outside.any():
        words = f"{outside.sum()} bars at times without a trading session"
        found.append(case.tell("non_session", "non_trading_day_bar", Severity.MEDIUM, outside, words))
    return Outcome(tuple(found), outside, "no trading session at this time", odd=shifted if shifted.any() else None)


def shifted_dates(case: Case, outside: np.ndarray) -> np.ndarray:
    """The stretch whose bars bear the date of the day before or after: week for week a bar on a closed weekend day, and none on the
    trading day at the other end of the week. A mask."""
    none = np.zeros(len(outside), dtype=bool)
    if case.request.interval.seconds != _DAY or outside.sum() < _FEWEST_WEEKS:
        return none
    days = case.bars.ts.astype("datetime64[D]")
    trading = np.array([s.day for s in case.sessions or ()], dtype="datetime64[D]")
    for day_of_week, other_end in ((6, -2), (5, 2)):  # Sundays for Mondays, without Fridays; Saturdays for Fridays, without Mondays
        weekday = (days.astype(np.int64) + 3) % 7  # 0 is Monday
        odd = np.flatnonzero(outside & (weekday == day_of_week))
        if len(odd) < _FEWEST_WEEKS:
            continue
        twin = days[odd] + np.timedelta64(other_end, "D")
        counted = np.isin(twin, trading)
        absent = counted & ~np.isin(twin, days)
        if absent.sum() < _MOST_WEEKS * max(counted.sum(), 1):
            continue
        none[odd[0] : odd[-1] + 1] = True
        return none
    return none


def _daily_outside(case: Case) -> tuple[np.ndarray, np.ndarray]:
    sessions, interval, ts = case.sessions or (), case.request.interval, case.bars.ts
    begin = np.datetime64(period_of(interval, _midnight(sessions[0]))[0], "us")
    end = np.datetime64(period_of(interval, _midnight(sessions[-1]))[1], "us")
    judged = ts[(ts >= begin) & (ts < end)]
    if not len(judged):
        return np.zeros(len(ts), dtype=bool), np.zeros(len(ts), dtype=bool)
    low, high = instants(np.array([judged.min(), judged.max()]))
    due = as_stamps(expected(sessions, interval, low, high + timedelta(microseconds=1)))
    outside = (ts >= begin) & (ts < end) & ~np.isin(ts, due)
    evenings = np.array([s.opens.date() for s in sessions if s.closes - s.opens >= _NIGHT], dtype="datetime64[D]")
    edge = outside & np.isin(ts, evenings.astype("datetime64[us]"))
    return outside & ~edge, edge


def _intraday_outside(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """A bar belongs to a session when its period overlaps it: some sources cut hours by the clock, not from the open."""
    sessions, ts = case.sessions or (), case.bars.ts
    near = _near(case)
    if not near:
        return np.zeros(len(ts), dtype=bool), np.zeros(len(ts), dtype=bool)
    opens, closes = (as_stamps(side) for side in zip(*(part for s in near for part in stretches(s)), strict=True))
    at = np.searchsorted(opens, ts + np.timedelta64(case.request.interval.seconds, "s"), "left") - 1
    inside = (at >= 0) & (ts < closes[at])
    edge = ~inside & np.isin(ts, closes)  # the closing auction's print
    known = (ts >= as_stamps([sessions[0].opens])[0]) & (ts <= as_stamps([sessions[-1].closes])[0])
    return ~inside & ~edge & known, edge


def _near(case: Case) -> list[Session]:
    """Sessions about the bars: a month's margin holds one on each side in any calendar."""
    if not case.stamps:
        return []
    low, high = min(case.stamps) - timedelta(days=30), max(case.stamps) + timedelta(days=30)
    return [s for s in case.sessions or () if low <= s.opens <= high]


def _midnight(session: Session) -> datetime:
    return datetime(session.day.year, session.day.month, session.day.day, tzinfo=UTC)


def gaps(case: Case) -> Outcome:
    """Every expected bar that is not there, with its reason. The missing end of a window that reaches now is left to `staleness`."""
    if case.sessions is None:
        return UNKNOWN
    if not case.sessions:
        return EMPTY
    due = expected(case.sessions, case.request.interval, case.request.start, case.request.end)
    here = _present(case, due)
    absences = _with_reasons(case, due, here)
    skip = {ABSENT_PENDING, ABSENT_UNLISTED}
    owed = len(due) - sum(a.reason in skip for a in absences)
    tail = frozenset(() if case.as_is else _tail(case, due, here)) | _under_other_dates(case, absences)
    missing = {reason: [a.ts for a in absences if a.reason == reason and a.ts not in tail] for reason in _WORDS}
    missing[ABSENT_GAP], cut = _cut_short(missing[ABSENT_GAP], due)
    found = [_gap_finding(case, stamps, owed, reason) for reason, stamps in missing.items()]
    if cut:
        severity = Severity.CRITICAL if len(cut) > _CUT_CRITICAL * owed else Severity.HIGH
        words = f"{len(cut)} of {owed} bars at the beginning or end of the window are missing"
        spans = _beside(case, cut, due)
        found.append(_spanned(case, "truncated_history", severity, spans, len(cut), words, owed))
    return Outcome(tuple(f for f in found if f), absences=tuple(absences), expected=owed)


def _under_other_dates(case: Case, absences: list[Absence]) -> frozenset[datetime]:
    """The missing stamps of a stretch whose bars bear the dates of other days: they are there."""
    if case.odd is None or case.request.interval.intraday or not absences:
        return frozenset()
    shifted = shifted_dates(case, _daily_outside(case)[0])
    if not shifted.any():
        return frozenset()
    first, last = instants(case.bars.ts[shifted][[0, -1]])
    week = timedelta(days=7)
    return frozenset(a.ts for a in absences if first - week <= a.ts <= last + week)


def _cut_short(missing: list[datetime], due: list[datetime]) -> tuple[list[datetime], list[datetime]]:
    """The missing stamps without those of a window cut short at its head or tail, and these."""
    absent, cut = frozenset(missing), []
    for ordered in (due, due[::-1]):
        run = []
        for ts in ordered:
            if ts not in absent:
                break
            run.append(ts)
        if len(run) > _CUT * len(due) and len(run) < len(due) and len(run) > _FEW:
            cut += run
    gone = frozenset(cut)
    return [ts for ts in missing if ts not in gone], sorted(cut)


def _beside(case: Case, missing: list[datetime], due: list[datetime]) -> list[tuple[datetime, datetime]]:
    """Each run of missing stamps as a span that reaches to the bar after it, or from the bar before it where there is none after."""
    stamps = np.sort(case.bars.ts)
    place = {ts: n for n, ts in enumerate(due)}
    spans: list[tuple[datetime, datetime]] = []
    run: list[datetime] = []
    for ts in [*missing, None]:
        if run and (ts is None or place[ts] != place[run[-1]] + 1):
            last = np.searchsorted(stamps, as_stamps([run[-1]])[0], "right")
            first = np.searchsorted(stamps, as_stamps([run[0]])[0], "left")
            if last < len(stamps):
                spans.append((run[0], instants(stamps[last : last + 1])[0]))
            elif first:
                spans.append((instants(stamps[first - 1 : first])[0], run[-1]))
            else:
                spans.append((run[0], run[-1]))
            run = []
        if ts is not None:
            run.append(ts)
    return spans


def _spanned(  # noqa: PLR0913, PLR0917  what a finding is made of
    case: Case, kind: str, severity: Severity, spans: list[tuple[datetime, datetime]], count: int, words: str, owed: int
) -> Finding:
    told = case.tell("gaps", kind, severity, (), words, count=count, value=owed - count, expected=owed)
    return replace(told, start=spans[0][0], end=spans[-1][1], spans=tuple(spans) if len(spans) > 1 else ())


_WORDS = {
    ABSENT_GAP: "{} of {} expected bars are missing",
    ABSENT_NULL: "{} of {} expected bars are empty at the source",
    ABSENT_UNTRADED: "{} of {} expected bars are missing as when nobody traded",
}


def _gap_finding(case: Case, missing: list[datetime], owed: int, reason: str) -> Finding | None:
    if not missing:
        return None
    share = len(missing) / max(owed, 1)
    severity = _gap_severity(len(missing), share)
    if reason == ABSENT_NULL:  # the source says so itself: a halt as well as a fault
        severity = max(severity, Severity.MEDIUM, key=lambda s: s.rank)
    if reason == ABSENT_UNTRADED:
        severity = Severity.INFO
    kind = "nan_field" if reason == ABSENT_NULL else "missing_rows"
    due = expected(case.sessions or (), case.request.interval, case.request.start, case.request.end)
    return _spanned(case, kind, severity, _beside(case, missing, due), len(missing), _WORDS[reason].format(len(missing), owed), owed)


def _gap_severity(count: int, share: float) -> Severity:
    """By share; but one missing bar is no more than medium and two no more than high, however short the window."""
    severity = next(s for least, s in _GAP_SHARES if share > least or least == 0.0)
    ceiling = {1: Severity.MEDIUM, 2: Severity.HIGH}.get(count, Severity.CRITICAL)
    return max(severity, ceiling, key=lambda s: s.rank)


def _present(case: Case, due: list[datetime]) -> np.ndarray:
    """Which expected stamps have a bar: the very stamp, or, within a session, one that starts in its period."""
    stamps = np.sort(case.bars.ts[~case.bad])
    wanted = as_stamps(due)
    length = np.timedelta64(case.request.interval.seconds if case.request.interval.intraday else 0, "s")
    first = np.searchsorted(stamps, wanted, "left")
    after = np.searchsorted(stamps, wanted + length, "left" if case.request.interval.intraday else "right")
    return np.asarray(after > first)


def _with_reasons(case: Case, due: list[datetime], here: np.ndarray) -> list[Absence]:
    interval, sessions = case.request.interval, case.sessions or ()
    listed = case.bars.instrument.first_trade if case.bars.instrument else None
    empty = frozenset(case.bars.delivery.absent)
    alone = np.zeros(len(due), dtype=bool)
    if interval.intraday:
        padded = np.concatenate(([True], here, [True]))
        alone = ~here & padded[:-2] & padded[2:]
    days_off = _runs_of_days(here) if not interval.intraday else np.zeros(len(due), dtype=bool)
    absences = []
    for i in np.flatnonzero(~here).tolist():
        ts = due[i]
        if ts in case.lost:
            reason = ABSENT_REJECTED
        elif listed and period_of(interval, ts)[1] <= listed:
            reason = ABSENT_UNLISTED
        elif period_end(sessions, interval, ts) > case.now - case.delay:
            reason = ABSENT_PENDING
        elif ts in empty:
            reason = ABSENT_NULL
        elif alone[i] or (case.bars.symbol.kind == "fx" and (days_off[i] or (ts.month, ts.day) in _FX_HOLIDAYS)):
            reason = ABSENT_UNTRADED
        else:
            reason = ABSENT_GAP
        absences.append(Absence(ts, reason))
    return absences


def _runs_of_days(here: np.ndarray) -> np.ndarray:
    """Days in a row without a bar, three to ten of them: no exchange says which days spot FX trades, and sources keep holidays of their
    own."""
    made = np.zeros(len(here), dtype=bool)
    edges = np.diff(np.r_[0, (~here).astype(np.int8), 0])
    for start, end in zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True):
        made[start:end] = _OWN_HOLIDAYS[0] <= end - start <= _OWN_HOLIDAYS[1]
    return made


def _tail(case: Case, due: list[datetime], here: np.ndarray) -> list[datetime]:
    """Missing stamps at the end, up to the last that should be complete, of a window that reaches that far; else none."""
    last = last_complete(case.sessions or (), case.request.interval, case.now, case.delay)
    if last is None or not case.request.start <= last < case.request.end:
        return []
    until = due.index(last) + 1 if last in due else 0
    since = until
    while since and not here[since - 1]:
        since -= 1
    return [] if here[until:].any() else due[since:until]  # a later bar, still open, proves that the source is awake


def staleness(case: Case) -> Outcome:
    """Is the last complete bar here, in a window that reaches now?"""
    if case.sessions is None:
        return UNKNOWN
    if case.as_is:
        return Outcome(skipped="a file is as old as it is")
    if last_complete(case.sessions, case.request.interval, case.now, case.delay) is None:
        return EMPTY
    due = expected(case.sessions, case.request.interval, case.request.start, case.request.end)
    here = _present(case, due)
    reasons = {a.ts: a.reason for a in _with_reasons(case, due, here)}
    excused = (ABSENT_UNLISTED, ABSENT_REJECTED)
    late = [ts for ts in _tail(case, due, here) if reasons.get(ts) not in excused]
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
