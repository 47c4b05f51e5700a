"""The checks of one set of bars: bars and sessions -> a verdict."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.market import COLUMNS, RejectedRow
from mdagent.quality.attendance import gaps, non_session, staleness
from mdagent.quality.case import Case, Outcome, as_stamps, instants
from mdagent.quality.delivery import delayed, hours, set_aside, venue
from mdagent.quality.finding import Severity, SkippedCheck, Verdict
from mdagent.sessions import period_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.market import BarRequest, BarSet
    from mdagent.quality.finding import Finding
    from mdagent.sessions import Session

SMALLEST, LARGEST = 1e-12, 2.0**53  # of a price; at 2**53 a float64 no longer tells neighbouring integers apart
ROUNDING = 1e-6  # sources that think in float32 round open and close out of the range
SPILL = 0.005  # an open or close this far beyond the range, relatively, is an error and no rounding
REFUSE_ABOVE = 0.20  # share of bad rows from which on nothing of an answer is believed
JUMP = 10.0  # a price this many times its neighbours' is suspected of another unit
SUSPECT_CAP, SPILL_CAP = 76.0, 88.0
_SIGNED = frozenset(("future", "index"))  # oil fell below zero in April 2020, yields have been negative for years
_EARLIEST_ZONE = timedelta(hours=14)
_CLOCK_SKEW = timedelta(minutes=1)


def _condemn(case: Case, check: str, bad: np.ndarray, reason: str, severity: Severity = Severity.MEDIUM) -> Outcome:
    """Quarantine these bars; a row counts under the first check that it fails."""
    bad = bad & ~case.bad
    if not bad.any():
        return Outcome()
    stamps = case.at(bad)
    return Outcome((case.tell(check, severity, stamps, f"{len(stamps)} bars quarantined: {reason}"),), bad, reason)


def schema(case: Case) -> Outcome:
    """Times that are times, numbers that are finite and of a size that a price or a volume can have. Volume may be NaN."""
    size, volume = np.abs(case.prices), case.bars.volume
    absurd = ~np.isfinite(size) | ((size > 0) & (size <= SMALLEST)) | (size >= LARGEST)
    bad = np.isnat(case.bars.ts) | absurd.any(axis=0) | np.isinf(volume) | (np.abs(volume) >= LARGEST)
    return _condemn(case, "schema", bad, "a price or a volume that is no number of a possible size")


def order(case: Case) -> Outcome:
    """Ascending stamps. A source's own disorder was mended on arrival, which is worth a word and no more."""
    raw = case.bars.ts.astype(np.int64)
    bad = np.zeros(len(raw), dtype=bool)
    bad[1:] = raw[1:] <= np.maximum.accumulate(raw)[:-1]
    found = _condemn(case, "order", bad, "a stamp not after the one before it")
    if case.bars.delivery.unsorted:
        told = case.tell("order", Severity.INFO, (), "the source sent its rows out of order; they were sorted")
        found = replace(found, findings=(*found.findings, told))
    return found


def positivity(case: Case) -> Outcome:
    """Prices above zero (futures and indices may fall below), volume not below."""
    with np.errstate(all="ignore"):
        bad = case.bars.volume < 0
        if case.bars.symbol.kind not in _SIGNED:
            bad = bad | (case.prices <= 0).any(axis=0)
    return _condemn(case, "positivity", bad, "a price of zero or below, or a negative volume")


def ohlc(case: Case) -> Outcome:
    """High not below low; open and close between them. A little beyond is told and kept."""
    o, h, low, c = case.prices
    with np.errstate(all="ignore"):
        scale = np.maximum(np.abs(h), np.abs(low))
        upside_down = h < low - ROUNDING * scale
        excess = np.maximum(np.maximum(np.maximum(o, c) - h, low - np.minimum(o, c)), 0.0) / scale
    bad = upside_down | (excess >= SPILL)
    found = _condemn(case, "ohlc", bad, "a high below the low, or an open or close far outside them")
    slight = (excess > ROUNDING) & ~bad & ~case.bad
    if not slight.any():
        return found
    stamps = case.at(slight)
    message = f"{len(stamps)} bars have an open or close slightly outside high and low"
    told = case.tell("ohlc", Severity.LOW, stamps, message, value=float(excess[slight].max()), expected=0.0)
    return replace(found, findings=(*found.findings, told), caps=np.where(slight, SPILL_CAP, 100.0))


def duplicates(case: Case) -> Outcome:
    """One row a stamp. Equal second rows were dropped; of differing rows neither is believed."""
    found: list[Finding] = []
    delivery = case.bars.delivery
    if delivery.duplicates:
        message = f"{delivery.duplicates} rows came twice and were kept once"
        found.append(case.tell("duplicates", Severity.INFO, (), message, count=delivery.duplicates))
    disputed = frozenset(r.ts for r in delivery.conflicts if r.ts is not None)
    if not disputed:
        return Outcome(tuple(found))
    bad = np.isin(case.bars.ts, as_stamps(disputed)) & ~case.bad
    count = int(bad.sum()) + len(delivery.conflicts)
    message = f"{count} rows quarantined: different values for one stamp"
    found.append(case.tell("duplicates", Severity.MEDIUM, sorted(disputed), message, count=count))
    return Outcome(tuple(found), bad, "another row with different values has this stamp", delivery.conflicts)


def rejected(case: Case) -> Outcome:
    """Rows that never became bars."""
    rows = case.bars.delivery.rejected
    if not rows:
        return Outcome()
    stamps = [r.ts for r in rows if r.ts is not None]
    told = case.tell("rejected", Severity.MEDIUM, stamps, f"{len(rows)} rows quarantined: they cannot be read as bars", count=len(rows))
    return Outcome((told,), rows=rows)


def future(case: Case) -> Outcome:
    """No bar before its time. A daily bar may bear a date that has begun where it trades."""
    late = case.bars.ts > as_stamps([case.now])[0]
    late[late] = [_is_ahead(case, ts) for ts in case.at(late)]
    found = _condemn(case, "future", late, "a stamp later than now")
    ahead = _strangers_ahead(case)
    if not ahead:
        return found
    reason = "a stamp later than now, beyond the window asked for"
    told = case.tell("future", Severity.MEDIUM, ahead, f"{len(ahead)} rows quarantined: {reason}")
    rows = tuple(RejectedRow(ts, "future", reason, json.dumps({"ts": ts.isoformat()})) for ts in ahead)
    return replace(found, findings=(*found.findings, told), rows=rows)


def _is_ahead(case: Case, ts: datetime) -> bool:
    if ts <= case.now + _CLOCK_SKEW:
        return False
    if case.request.interval.intraday or ts > case.now + _EARLIEST_ZONE + timedelta(days=1):
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
    told = case.tell("window", Severity.INFO, (), f"{dropped} rows outside the window asked for were dropped", count=dropped)
    return Outcome((told,))


def identity(case: Case) -> Outcome:
    """Did the answer name the symbol it is about?"""
    if case.bars.delivery.named:
        return Outcome()
    return Outcome((case.tell("identity", Severity.LOW, (), "the answer does not name its symbol, so its identity is unproved"),))


def scale(case: Case) -> Outcome:
    """A bar at more than ten times, or less than a tenth of, both its neighbours: cents for dollars, or a lost decimal point."""
    places = np.flatnonzero(~case.bad)
    if len(places) < 3:
        return Outcome(skipped="a bar needs two neighbours to be compared with")
    p = np.where(case.prices > 0, case.prices, np.nan)[:, places]
    n = len(places)
    one, two = np.arange(n) - 1, np.arange(n) + 1
    one[0], two[-1] = 2, n - 3  # at an end, the two nearest on its one side
    with np.errstate(all="ignore"):
        ratios = np.array([p / p[:, one], p / p[:, two]])
        odd = ((ratios > JUMP).all(axis=0) | (ratios < 1 / JUMP).all(axis=0)).any(axis=0)
    if not odd.any():
        return Outcome()
    mask = np.zeros(len(case.bars), dtype=bool)
    mask[places[odd]] = True
    stamps = case.at(mask)
    times = float(np.nanmax(np.exp(np.abs(np.log(ratios[..., odd])))))
    message = f"{len(stamps)} bars stand {times:.0f} times away from both their neighbours, as in another unit"
    told = case.tell("scale", Severity.MEDIUM, stamps, message, value=times, expected=1.0)
    return Outcome((told,), caps=np.where(mask, SUSPECT_CAP, 100.0))


# Checks of rows, in the order in which a row is charged; then those of what the rows leave.
ROW_CHECKS: dict[str, Callable[[Case], Outcome]] = {
    "schema": schema,
    "order": order,
    "duplicates": duplicates,
    "positivity": positivity,
    "ohlc": ohlc,
    "future": future,
    "non_session": non_session,
    "rejected": rejected,
}
SET_CHECKS: dict[str, Callable[[Case], Outcome]] = {
    "window": window,
    "hours": hours,
    "identity": identity,
    "delayed": delayed,
    "venue": venue,
    "scale": scale,
    "gaps": gaps,
    "staleness": staleness,
}


class _Condemned(NamedTuple):
    mask: np.ndarray
    rows: tuple[RejectedRow, ...]


def judge(bars: BarSet, request: BarRequest, sessions: Sequence[Session] | None, now: datetime, delay: timedelta) -> Verdict:
    """All checks of one answer to one request.

    `sessions` are in order and reach at least a week beyond the window on both sides; None means that the calendar is unknown.
    `delay` is the source's (SourceSpec.delay). No row is lost: what `bars.delivery` and `bars` hold is kept, in quarantine, or counted.
    """
    case = set_aside(Case(bars, request, sessions, now, delay, np.zeros(len(bars), dtype=bool)))
    bars = case.bars
    outcomes: dict[str, Outcome] = {}
    condemned: list[_Condemned] = []
    for name, check in ROW_CHECKS.items():
        outcome = outcomes[name] = check(case)
        mask = outcome.condemned if outcome.condemned is not None else np.zeros(len(bars), dtype=bool)
        condemned.append(_Condemned(mask, (*_quarantined(case, name, mask, outcome.reason), *outcome.rows)))
        case = replace(case, bad=case.bad | mask)
    quarantine = tuple(row for part in condemned for row in part.rows)
    case = replace(case, lost=frozenset(row.ts for row in quarantine if row.ts is not None))
    outcomes |= {name: check(case) for name, check in SET_CHECKS.items()}
    seen = int((~case.bad).sum()) + len(quarantine)
    return Verdict(
        findings=tuple(sorted((f for o in outcomes.values() for f in o.findings), key=lambda f: (f.severity.rank, f.start, f.check))),
        ran=tuple(name for name, o in outcomes.items() if not o.skipped),
        skipped=tuple(SkippedCheck(name, o.skipped) for name, o in outcomes.items() if o.skipped),
        bars=seen,
        expected=outcomes["gaps"].expected,
        quarantine=quarantine,
        keep=bars if not case.bad.any() else bars.take(~case.bad),
        absences=outcomes["gaps"].absences,
        caps=_caps(outcomes, ~case.bad),
        refused=len(quarantine) > REFUSE_ABOVE * seen,
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
