"""When one source is not enough: what asks for another."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mdagent.work.report import Line

_GRAVE = ("critical ", "high ")
_SHAPES = ("ticks:", "units:", "levels:", "stale:")  # what another source can tell


class Doubt(NamedTuple):
    """How much a fetch doubts: how many more sources it asks at least, whether it asks one more where what it found calls for it, and the
    score below which it does."""

    cross_check: int = 0
    second_opinion: bool = False
    floor: float = 0.0


def further(line: Line, doubt: Doubt) -> int:
    """How many more sources are to be heard for this line."""
    if line.failure is not None or line.source is None:
        return 0
    return max(doubt.cross_check, 1 if doubt.second_opinion and _wants_another(line, doubt.floor) else 0)


def _wants_another(line: Line, floor: float) -> bool:
    """Does what was found, or a grade below the floor, ask for a second source?"""
    grave = any(f.startswith(_GRAVE) and f.split(" ", 2)[1] in _SHAPES for f in line.findings)
    return grave or (line.score is not None and line.score < floor)
