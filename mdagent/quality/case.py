"""What a check is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.finding import Finding
from mdagent.quality.modes import BALANCED
from mdagent.quality.rubric import CEILINGS
from mdagent.quality.runs import runs_of
from mdagent.quality.tape import Tape
from mdagent.quality.timetable import timetable_of, within

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mdagent.market import BarRequest, BarSet, RejectedRow
    from mdagent.quality.finding import Absence, Severity
    from mdagent.quality.modes import Mode
    from mdagent.sessions import Session


@dataclass(frozen=True)
class Case:
    """One set of bars before the checks. `bad` marks rows that an earlier check has condemned, `odd` those whose prices one suspects:
    neither trains a baseline; `lost` are stamps of rows that will not be kept. `delay` is how late the source lets a finished bar
    change. `as_is`: the rows will be used in the order and number in which they came, as a file's are. `listed`: the set's actions
    are all that the source lists for its window. `adjusted_close` stands beside the bars where the source tells one."""

    bars: BarSet
    request: BarRequest
    sessions: Sequence[Session] | None
    now: datetime
    delay: timedelta
    bad: np.ndarray
    lost: frozenset[datetime] = frozenset()
    aside: int = 0  # rows outside regular hours, no longer among the bars
    odd: np.ndarray | None = None
    as_is: bool = False
    listed: bool = False
    adjusted_close: np.ndarray | None = None
    mode: Mode = BALANCED
    before: BarSet | None = None  # bars of before the set, on its basis: a short set is looked at in their light
    others: tuple[BarSet, ...] = ()  # what other sources say of the same bars, on the same basis
    earned: Mapping[str, float] = field(default_factory=dict)  # weights by source, from what each has delivered
    families: Mapping[str, str] = field(default_factory=dict)  # sources of one feed by its name

    @cached_property
    def prices(self) -> np.ndarray:
        """Open, high, low, close as a (4, n) array."""
        return np.array([self.bars.open, self.bars.high, self.bars.low, self.bars.close])

    @cached_property
    def stamps(self) -> list[datetime]:
        """The bars' stamps, aware UTC."""
        return instants(self.bars.ts)

    @cached_property
    def tape(self) -> Tape:
        """The rows that may train a baseline."""
        return Tape.of(self.bars, self.bad if self.odd is None else self.bad | self.odd, self.before)

    @cached_property
    def due(self) -> np.ndarray:
        """The stamps that are due in the window, datetime64[us], ascending; none without a calendar."""
        if not self.sessions:
            return np.zeros(0, dtype="datetime64[us]")
        return timetable_of(self.sessions).due(self.request.interval, self.request.start, self.request.end)

    @cached_property
    def present(self) -> np.ndarray:
        """Which due stamps have a bar: the very stamp, or, within a session, one that starts in its period."""
        stamps = self.bars.ts[~self.bad]
        if not self.request.interval.intraday:
            return within(self.due, np.sort(stamps))
        length = np.timedelta64(self.request.interval.seconds, "s")
        stamps = np.sort(stamps)
        made: np.ndarray = np.searchsorted(stamps, self.due + length, "left") > np.searchsorted(stamps, self.due, "left")
        return made

    @cached_property
    def empty(self) -> frozenset[datetime]:
        """Stamps of which the source says that it has no bar."""
        return frozenset(self.bars.delivery.absent)

    @cached_property
    def settled(self) -> datetime:
        """A stamp up to which every period is over, whatever the calendar: no need to look each of them up."""
        return self.now - self.delay - timedelta(days=40)

    @property
    def signed(self) -> bool:
        """May prices be zero or below? Oil fell below zero in April 2020, yields have been negative for years."""
        return self.bars.symbol.kind in ("future", "index")

    def without(self, odd: np.ndarray) -> Case:
        """The case whose baselines know nothing of these rows."""
        return self if not odd.any() else replace(self, odd=odd if self.odd is None else self.odd | odd)

    def tell(  # noqa: PLR0913  what a finding is made of
        self,
        check: str,
        kind: str,
        severity: Severity,
        where: np.ndarray | Sequence[datetime],
        message: str,
        *,
        count: int | None = None,
        value: float | str | None = None,
        expected: float | str | None = None,
    ) -> Finding:
        """A finding over the bars of a mask, over stamps, or, where there are none, over the set as a whole."""
        if isinstance(where, np.ndarray):
            spans, number = self._runs(where), int(where.sum())
        else:
            spans, number = tuple((ts, ts) for ts in sorted(where)), len(where)
        start, end = (spans[0][0], spans[-1][1]) if spans else (None, None)
        number = number if count is None else count
        return Finding(check, kind, severity, start, end, number, value, expected, message, spans if len(spans) > 1 else ())

    def at(self, mask: np.ndarray) -> list[datetime]:
        """Stamps of the bars in the mask."""
        return instants(self.bars.ts[mask])

    def _runs(self, mask: np.ndarray) -> tuple[tuple[datetime, datetime], ...]:
        runs = np.array(runs_of(mask), dtype=np.int64).reshape(-1, 2)
        return tuple(zip(instants(self.bars.ts[runs[:, 0]]), instants(self.bars.ts[runs[:, 1]]), strict=True))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check gives back: findings; `condemned`, a mask over the bars, with the reason for all of them; `rows` to
    quarantine that are no bars; absences; score caps; `odd`, a mask of suspects that train no baseline; or why the check could not
    run."""

    findings: tuple[Finding, ...] = ()
    condemned: np.ndarray | None = None
    reason: str = ""
    rows: tuple[RejectedRow, ...] = ()
    absences: tuple[Absence, ...] = ()
    expected: int | None = None
    caps: np.ndarray | None = None
    odd: np.ndarray | None = None
    skipped: str = ""


def instants(ts: np.ndarray) -> list[datetime]:
    """datetime64[us] -> aware UTC datetimes; a stamp that is no time becomes 1970."""
    return [moment.replace(tzinfo=UTC) for moment in np.where(np.isnat(ts), np.datetime64(0, "us"), ts).tolist()]


def as_stamps(moments: Iterable[datetime]) -> np.ndarray:
    """Aware UTC datetimes -> datetime64[us]."""
    return np.array([m.replace(tzinfo=None) for m in moments], dtype="datetime64[us]")


def suspects(mask: np.ndarray, findings: tuple[Finding, ...]) -> Outcome:
    """Bars that are kept, marked, and trusted no more than their worst finding lets them."""
    cap = min((CEILINGS[f.severity] for f in findings), default=100.0)
    return Outcome(findings, caps=np.where(mask, cap, 100.0), odd=mask)
