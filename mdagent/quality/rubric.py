"""The rubric: what a defect's severity leaves of a score, and how its share of the bars raises the severity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdagent.quality.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

CEILINGS = {Severity.CRITICAL: 45.0, Severity.HIGH: 66.0, Severity.MEDIUM: 76.0, Severity.LOW: 86.0, Severity.INFO: 100.0}
FURTHER_KIND = 4.0  # off the ceiling for each further kind of defect
SHARE_TOP = 4.0  # off the ceiling at most for the share of bars, below critical
SHARE_CRITICAL = 40.0  # off the ceiling of a critical defect that has all bars
FLOOR = 5.0

# A share of bars above the first figure raises the severity to the second.
ESCALATION = {
    Severity.LOW: ((0.02, Severity.MEDIUM), (0.10, Severity.HIGH)),
    Severity.MEDIUM: ((0.05, Severity.HIGH), (0.20, Severity.CRITICAL)),
    Severity.HIGH: ((0.02, Severity.CRITICAL),),
}


def escalated(severity: Severity, share: float) -> Severity:
    """The severity of a defect that has this share of the bars."""
    worse = [s for least, s in ESCALATION.get(severity, ()) if share > least]
    return worse[-1] if worse else severity


def worst(severities: Iterable[Severity]) -> Severity:
    """The worst of several, INFO for none."""
    return min(severities, key=lambda s: s.rank, default=Severity.INFO)


def left_by(severity: Severity, share: float) -> float:
    """The score that a defect leaves, when it is the only kind. `share` is its part of the bars, 0 to 1."""
    if severity is Severity.CRITICAL:
        return CEILINGS[severity] - SHARE_CRITICAL * share
    steps = ESCALATION.get(severity)
    return CEILINGS[severity] - SHARE_TOP * min(1.0, share / steps[0][0] if steps else 0.0)
