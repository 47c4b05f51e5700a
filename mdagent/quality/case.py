"""What a check is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.finding import Absence, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdagent.market import BarRequest, BarSet, RejectedRow
    from mdagent.sessions import Session


@dataclass(frozen=True)
class Case:
    """One set of bars before the checks. `bad` marks rows that an earlier check has condemned; `lost` are stamps of rows that
    will not be kept. `delay` is how late the source lets a finished bar change."""

    bars: BarSet
    request: BarRequest
    sessions: Sequence[Session] | None
    now: datetime
    delay: timedelta
    bad: np.ndarray
    lost: frozenset[datetime] = frozenset()
    aside: int = 0  # rows outside regular hours, no longer among the bars

    @cached_property
    def prices(self) -> np.ndarray:
        """Open, high, low, close as a (4, n) array."""
        return np.array([self.bars.open, self.bars.high, self.bars.low, self.bars.close])

    @cached_property
    def stamps(self) -> list[datetime]:
        """The bars' stamps, aware UTC."""
        return instants(self.bars.ts)

    def tell(self, check: str, severity: Severity, stamps: Sequence[datetime], message: str, **more: float | str | None) -> Finding:
        """A finding over `stamps` (none: over the whole window); `more` may give `count`, `value`, `expected`."""
        count = more.get("count", len(stamps))
        start, end = (min(stamps), max(stamps)) if stamps else (self.request.start, self.request.end)
        return Finding(check, severity, start, end, int(count or 0), more.get("value"), more.get("expected"), message)

    def at(self, mask: np.ndarray) -> list[datetime]:
        """Stamps of the bars in the mask."""
        return instants(self.bars.ts[mask])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check gives back: findings; `condemned`, a mask over the bars, with the reason for all of them; `rows` to
    quarantine that are no bars; absences; score caps; or why the check could not run."""

    findings: tuple[Finding, ...] = ()
    condemned: np.ndarray | None = None
    reason: str = ""
    rows: tuple[RejectedRow, ...] = ()
    absences: tuple[Absence, ...] = ()
    expected: int | None = None
    caps: np.ndarray | None = None
    skipped: str = ""


def instants(ts: np.ndarray) -> list[datetime]:
    """datetime64[us] -> aware UTC datetimes; a stamp that is no time becomes 1970."""
    return [moment.replace(tzinfo=UTC) for moment in np.where(np.isnat(ts), np.datetime64(0, "us"), ts).tolist()]


def as_stamps(moments: Iterable[datetime]) -> np.ndarray:
    """Aware UTC datetimes -> datetime64[us]."""
    return np.array([m.replace(tzinfo=None) for m in moments], dtype="datetime64[us]")
