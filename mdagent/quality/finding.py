"""What a check says: severity, finding, verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from mdagent.market import BarSet, RejectedRow


class Severity(StrEnum):
    """How much a finding matters, worst first; `info` is worth telling and costs nothing."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst, to sort by."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found. `type` is the kind of defect. `start` and `end` are the first and last stamp concerned (aware
    UTC, both included), None where it is about the set as a whole; `spans` are the runs of bars between them, when there are several.
    `count` is what the share of bad bars is reckoned from: bars, ex-dates of dividend errors, 0 where it concerns no bar; `value` was
    measured where `expected` was due; `message` is one sentence."""

    check: str
    type: str
    severity: Severity
    start: datetime | None
    end: datetime | None
    count: int
    value: str | float | None
    expected: str | float | None
    message: str
    spans: tuple[tuple[datetime, datetime], ...] = ()

    @property
    def runs(self) -> tuple[tuple[datetime | None, datetime | None], ...]:
        """The runs of bars concerned, at least one."""
        return self.spans or ((self.start, self.end),)

    @property
    def order(self) -> tuple[object, ...]:
        """To sort by: the worst first, then by time, then by all else that tells two findings apart."""
        stamps = tuple(t.isoformat() if t else "" for t in (self.start, self.end))
        return (self.severity.rank, *stamps, self.check, self.type, self.count, self.message)


@dataclass(frozen=True, slots=True)
class SkippedCheck:
    """A check that could not run, and why: never to be taken for a clean one."""

    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Absence:
    """An expected bar that is not there. The reason is one of the `ABSENT_*` below."""

    ts: datetime
    reason: str


ABSENT_GAP = "provider gap"
ABSENT_NULL = "null bar at source"
ABSENT_UNLISTED = "not yet listed"
ABSENT_UNTRADED = "not traded"
ABSENT_PENDING = "pending"
ABSENT_REJECTED = "row rejected"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all checks say of one set of bars.

    `bars` counts the rows of the window that were judged, `expected` the bars due by now (None: no calendar). `keep` is what is
    left of the set after `quarantine`; `caps`, one for each bar of `keep`, are the highest scores that a bar may have (None: no
    bar is capped). `refused`: so many rows are bad that none of the answer is to be believed. `start` and `end` are the window that was
    judged; `confirmed_by` names the other sources that say the same.
    """

    findings: tuple[Finding, ...]
    ran: tuple[str, ...]
    skipped: tuple[SkippedCheck, ...]
    start: datetime
    end: datetime
    bars: int
    expected: int | None
    quarantine: tuple[RejectedRow, ...]
    keep: BarSet
    absences: tuple[Absence, ...] = ()
    caps: tuple[float, ...] | None = None
    refused: bool = False
    confirmed_by: tuple[str, ...] = ()
    mode: str = "balanced"

    @property
    def worst(self) -> Severity | None:
        """The worst severity found, or None."""
        return min((f.severity for f in self.findings), key=lambda s: s.rank, default=None)
