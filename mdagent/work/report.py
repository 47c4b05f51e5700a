"""The frozen account of a fetch: what was asked, what is there now, and how it came about."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from mdagent.guard.outcome import Failure
    from mdagent.market import BarRequest


class Considered(NamedTuple):
    """A source that was looked at for a request: chosen, or left out, and why; and the sums that gave it its place in the order."""

    source: str
    chosen: bool
    reasons: tuple[str, ...]
    arithmetic: tuple[str, ...] = ()


class Planned(NamedTuple):
    """What a plan asks of one source for a request: the window, what it costs, and the seconds until the last of it could go by the
    quota. `late`: a fetch does not wait so long."""

    source: str
    start: datetime
    end: datetime
    requests: int = 0
    credits: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    note: str = ""
    late: bool = False


class Line(NamedTuple):
    """One symbol's outcome. `requests` were sent, `bars` are in the store for the window; `absent` counts missing bars by reason. Of a
    plan they would be sent, and `planned` says what each source would be asked. Of the bars that came, `new` were not there before,
    `revised` are final ones that came back different, and `restated` those that a split accounts for."""

    request: BarRequest
    source: str | None
    requests: int = 0
    bars: int = 0
    provisional: int = 0
    quarantined: int = 0
    absent: tuple[tuple[str, int], ...] = ()
    letter: str | None = None
    score: float | None = None
    failure: Failure | None = None
    considered: tuple[Considered, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    arithmetic: tuple[str, ...] = ()
    skipped: str = ""
    cut: bool = False  # the window reaches back further than the source keeps
    planned: tuple[Planned, ...] = ()
    new: int = 0
    revised: int = 0
    restated: int = 0

    @property
    def brief(self) -> str:
        """The outcome in a few words."""
        if self.failure:
            return self.failure.detail
        return f"{self.bars} bars, grade {self.letter}, {self.requests} request{'s' if self.requests != 1 else ''}"

    @property
    def partial(self) -> bool:
        """Is something missing that was asked for?"""
        return self.quarantined > 0 or bool(self.absent) or self.cut


class Report(NamedTuple):
    """All lines of a command, in the order they were asked for."""

    lines: tuple[Line, ...]
    run: str
    ms: float

    @property
    def requests(self) -> int:
        """Requests sent to all providers."""
        return sum(line.requests for line in self.lines)

    @property
    def planned(self) -> tuple[Planned, ...]:
        """What a plan asks of all providers."""
        return tuple(part for line in self.lines for part in line.planned)
