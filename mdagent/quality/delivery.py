"""What an answer says of itself: delayed prices, the volume of one market alone, rows before and after regular hours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.case import Case, Outcome, as_stamps
from mdagent.quality.finding import Severity
from mdagent.sessions import stretches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.market import BarSet
    from mdagent.sessions import Session


_AROUND = np.timedelta64(12, "h")  # trading before and after a session stays this near to it, whatever date Greenwich has


def regular_hours(bars: BarSet, sessions: Sequence[Session] | None) -> tuple[BarSet, int]:
    """The bars without those that trade wholly before or after a session, where the source sends these along; and how many they are.
    A bar far from any session is left for the check of sessions to condemn."""
    if not bars.delivery.extended or not bars.interval.intraday or not sessions or not len(bars):
        return bars, 0
    length = np.timedelta64(bars.interval.seconds, "s")
    begins, ends = as_stamps(s.opens for s in sessions) - _AROUND, as_stamps(s.closes for s in sessions) + _AROUND
    next_ = np.minimum(np.searchsorted(ends, bars.ts, "left"), len(ends) - 1)
    near = (bars.ts >= begins[next_]) & (bars.ts <= ends[next_])
    opens, closes = (as_stamps(side) for side in zip(*(part for s in sessions for part in stretches(s)), strict=True))
    at = np.searchsorted(opens, bars.ts + length, "left") - 1
    inside = (at >= 0) & (bars.ts < closes[np.maximum(at, 0)])
    early_or_late = ~inside & near
    return (bars.take(~early_or_late), int(early_or_late.sum())) if early_or_late.any() else (bars, 0)


def hours(case: Case) -> Outcome:
    """Rows outside regular hours were left aside: say how many."""
    if not case.aside:
        return Outcome()
    message = f"{case.aside} rows before or after regular hours were left aside"
    return Outcome((case.tell("hours", "extended_hours", Severity.INFO, (), message, count=case.aside),))


def delayed(case: Case) -> Outcome:
    """Does the provider say that these prices come late?"""
    if not case.bars.delivery.late:
        return Outcome()
    return Outcome((case.tell("delayed", "delayed_feed", Severity.LOW, (), "the provider says that these prices are delayed"),))


def venue(case: Case) -> Outcome:
    """Is the volume the whole market's?"""
    if not case.bars.venue:
        return Outcome()
    message = f"the volume is that of {case.bars.venue} alone, a part of the market's"
    return Outcome((case.tell("venue", "partial_volume", Severity.INFO, (), message),))


def set_aside(case: Case) -> Case:
    """The case without rows outside regular hours."""
    bars, aside = regular_hours(case.bars, case.sessions)
    return replace(case, bars=bars, bad=np.zeros(len(bars), dtype=bool), aside=aside) if aside else case
