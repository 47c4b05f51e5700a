"""The frozen account of a fetch: what was asked, what is there now, and how it came about."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mdagent.guard.outcome import Failure
    from mdagent.market import BarRequest


class Considered(NamedTuple):
    """A source that was looked at for a request: chosen, or left out, and why; and the sums that gave it its place in the order."""

    source: str
    chosen: bool
    reasons: tuple[str, ...]
    arithmetic: tuple[str, ...] = ()


class Line(NamedTuple):
    """One symbol's outcome. `requests` were sent, `bars` are in the store for the window; `absent` counts missing bars by reason."""

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
