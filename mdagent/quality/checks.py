"""The checks of one set of bars: bars and sessions -> a verdict."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.market import COLUMNS, RejectedRow
from mdagent.quality.absences import gaps, staleness
from mdagent.quality.attendance import non_session
from mdagent.quality.case import Case, Outcome, as_stamps, instants
from mdagent.quality.counted import many
from mdagent.quality.delivery import delayed, hours, set_aside, venue
from mdagent.quality.dividends import dividends
from mdagent.quality.finding import Severity, SkippedCheck, Verdict
from mdagent.quality.levels import levels
from mdagent.quality.modes import BALANCED
from mdagent.quality.others import against_others
from mdagent.quality.rows import columns, condemn, duplicates, ohlc, order, positivity, rejected, schema
from mdagent.quality.stale import stale
from mdagent.quality.ticks import ticks
from mdagent.quality.units import units
from mdagent.quality.volumes import volumes
from mdagent.quality.votes import votes
from mdagent.sessions import period_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from mdagent.market import BarRequest, BarSet
    from mdagent.quality.modes import Mode
    from mdagent.sessions import Session

_EARLIEST_ZONE = timedelta(hours=14)
_CLOCK_SKEW = timedelta(minutes=1)


def future(case: Case) -> Outcome:
    """No bar before its time. A daily bar may bear a date that has begun where it trades."""
    late = case.bars.ts >= as_stamps([case.now])[0]
    late[late] = [_is_ahead(case, ts) for ts in case.at(late)]
    found = condemn(case, "future", "future_timestamp", late, "a stamp later than now", Severity.HIGH)
    ahead = _strangers_ahead(case)
    if not ahead:
        return found
    reason = "a stamp later than now, beyond the window asked for"
    told = case.tell("future", "future_timestamp", Severity.HIGH, ahead, f"{many(len(ahead), 'row')} quarantined: {reason}")
    rows = tuple(RejectedRow(ts, "future", reason, json.dumps({"ts": ts.isoformat()})) for ts in ahead)
    return replace(found, findings=(*found.findings, told), rows=rows)


def _is_ahead(case: Case, ts: datetime) -> bool:
    if case.request.interval.intraday:
        return ts > case.now + _CLOCK_SKEW
    if ts > case.now + _EARLIEST_ZONE + timedelta(days=1):
        return True
    since, until = period_of(case.request.interval, ts)
    opens = next((s.opens for s in case.sessions or () if since <= s.day < until), ts - _EARLIEST_ZONE)
    return opens > case.now


def _strangers_ahead(case: Case) -> list[datetime]:
    """Future rows outside the window. Where most rows are outside, the source does not heed windows: `window` tells that."""
    outside = case.bars.delivery.outside
    return [ts for ts in outside if _is_ahead(case, ts)] if len(outside) < max(len(case.bars), 1) else []


def window(case: Case) -> Outcome:
    """Rows outside the window asked for were dropped on arrival: say how many."""
    outside = case.bars.delivery.outside
    dropped = len(outside) - len(_strangers_ahead(case))
    if not dropped:
        return Outcome()
    told = case.tell(
        "window", "outside_window", Severity.INFO, (), f"{dropped} rows outside the window asked for were dropped", count=dropped
    )
    return Outcome((told,))


def identity(case: Case) -> Outcome:
    """Did the answer name the symbol it is about?"""
    if case.bars.delivery.named:
        return Outcome()
    words = "the answer does not name its symbol, so its identity is unproved"
    return Outcome((case.tell("identity", "unnamed_symbol", Severity.LOW, (), words),))


# Checks of rows, in the order in which a row is charged; then those of what the rows leave, each of which knows the suspects of those
# before it.
ROW_CHECKS: dict[str, Callable[[Case], Outcome]] = {
    "schema": schema,
    "order": order,
    "duplicates": duplicates,
    "positivity": positivity,
    "columns": columns,
    "units": units,
    "ohlc": ohlc,
    "future": future,
    "non_session": non_session,
    "rejected": rejected,
}
SHAPE_CHECKS: dict[str, Callable[[Case], Outcome]] = {
    "stale": stale,
    "ticks": ticks,
    "levels": levels,
    "volumes": volumes,
    "dividends": dividends,
    "others": against_others,
    "votes": votes,
}
SET_CHECKS: dict[str, Callable[[Case], Outcome]] = {
    "window": window,
    "hours": hours,
    "identity": identity,
    "delayed": delayed,
    "venue": venue,
    "gaps": gaps,
    "staleness": staleness,
}
CHECKS = {**ROW_CHECKS, **SHAPE_CHECKS, **SET_CHECKS}


_OF_ROWS = ("columns", "ohlc", "non_session")  # what a mode may leave out; a row that is no bar is none in any mode


class _Condemned(NamedTuple):
    mask: np.ndarray
    rows: tuple[RejectedRow, ...]


class Circumstances(NamedTuple):
    """What is known besides an answer and its request: the mode, whether the rows are used as they came, whether the actions are all
    there are, the source's own adjusted close beside the bars, the bars before them, and what others say. See Case."""

    mode: Mode = BALANCED
    as_is: bool = False
    listed: bool = False
    adjusted_close: np.ndarray | None = None
    before: BarSet | None = None
    others: tuple[BarSet, ...] = ()
    earned: Mapping[str, float] = MappingProxyType({})
    families: Mapping[str, str] = MappingProxyType({})


_USUAL = Circumstances()


def judge(  # noqa: PLR0913, PLR0917  an answer, its request, and all that is known about both
    bars: BarSet,
    request: BarRequest,
    sessions: Sequence[Session] | None,
    now: datetime,
    delay: timedelta,
    known: Circumstances = _USUAL,
) -> Verdict:
    """All checks of one answer to one request.

    `sessions` are in order and reach at least a week beyond the window on both sides; None means that the calendar is unknown.
    `delay` is the source's (SourceSpec.delay). No row is lost: what `bars.delivery` and `bars` hold is kept, in quarantine, or counted.
    """
    case = set_aside(Case(bars, request, sessions, now, delay, np.zeros(len(bars), dtype=bool), **known._asdict()))
    return _verdict(*_outcomes(case))


def _outcomes(case: Case) -> tuple[Case, dict[str, Outcome], tuple[RejectedRow, ...]]:
    """What each check of the mode says, and the case as it stands after them."""
    outcomes: dict[str, Outcome] = {}
    condemned: list[_Condemned] = []
    for name, check in ROW_CHECKS.items():
        outcome = outcomes[name] = _not_in(case.mode, name) or check(case)
        if outcome.odd is not None:
            case = case.without(outcome.odd)
        if outcome.condemned is None:
            condemned.append(_Condemned(case.bad, outcome.rows))
            continue
        rows = _quarantined(case, name, outcome.condemned, outcome.reason)
        condemned.append(_Condemned(outcome.condemned, (*rows, *outcome.rows)))
        case = replace(case, bad=case.bad | outcome.condemned)
    quarantine = tuple(row for part in condemned for row in part.rows)
    if quarantine:
        case = replace(case, lost=frozenset(row.ts for row in quarantine if row.ts is not None))
    for name, check in SHAPE_CHECKS.items():
        outcome = outcomes[name] = _not_in(case.mode, name) or check(case)
        if outcome.odd is not None:
            case = case.without(outcome.odd)
    outcomes |= {name: check(case) for name, check in SET_CHECKS.items()}
    return case, outcomes, quarantine


def _not_in(mode: Mode, name: str) -> Outcome | None:
    """Why a mode does not run a check, None where it does."""
    if name in _OF_ROWS:
        return None if mode.rows else Outcome(skipped=f"the mode {mode.name} looks at no single rows")
    if name in ("others", "votes"):
        return None if mode.consensus else Outcome(skipped=f"the mode {mode.name} hears no other source")
    return None if mode.anomalies else Outcome(skipped=f"the mode {mode.name} looks for no anomalies")


def _verdict(case: Case, outcomes: dict[str, Outcome], quarantine: tuple[RejectedRow, ...]) -> Verdict:
    seen = int((~case.bad).sum()) + len(quarantine)
    return Verdict(
        findings=tuple(sorted((f for o in outcomes.values() for f in o.findings), key=lambda f: f.order)),
        ran=tuple(name for name, o in outcomes.items() if not o.skipped),
        skipped=tuple(SkippedCheck(name, o.skipped) for name, o in outcomes.items() if o.skipped),
        start=case.request.start,
        end=case.request.end,
        bars=seen,
        expected=outcomes["gaps"].expected,
        quarantine=quarantine,
        keep=case.bars if not case.bad.any() else case.bars.take(~case.bad),
        absences=outcomes["gaps"].absences,
        caps=_caps(outcomes, ~case.bad),
        refused=len(quarantine) > case.mode.refuse * seen,
        confirmed_by=tuple(other.source for other in case.others) if not outcomes["others"].skipped else (),
        mode=case.mode.name,
    )


def _quarantined(case: Case, check: str, mask: np.ndarray, reason: str) -> list[RejectedRow]:
    rows = []
    for i in np.flatnonzero(mask).tolist():
        cells = {name: float(getattr(case.bars, name)[i]) for name in COLUMNS}
        shown = {name: cell if np.isfinite(cell) else repr(cell) for name, cell in cells.items()}
        ts = None if np.isnat(case.bars.ts[i]) else instants(case.bars.ts[i : i + 1])[0]
        rows.append(RejectedRow(ts, check, reason, json.dumps(shown)))
    return rows


def _caps(outcomes: dict[str, Outcome], kept: np.ndarray) -> tuple[float, ...] | None:
    capped = [o.caps for o in outcomes.values() if o.caps is not None]
    return tuple(np.minimum.reduce(capped)[kept].tolist()) if capped else None
