"""The six modes: named sets of what is checked, how strictly, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

from mdagent.errors import UsageError


@dataclass(frozen=True, slots=True)
class Mode:
    """How to judge. `strictness` divides the thresholds of anomalies: 2 asks for half the evidence, 0.5 for twice. `refuse` is the share
    of bad rows from which on nothing of an answer is believed, `floor` the letter below which a command fails where none was asked for.
    `rows`: are rows held against each other and the calendar? `anomalies`: are series searched for shapes that no market makes?
    `consensus`: are other sources heard, and `sources`, how many have to be?"""

    name: str
    strictness: float = 1.0
    refuse: float = 0.20
    floor: str | None = None
    rows: bool = True
    anomalies: bool = True
    consensus: bool = True
    sources: int = 1


BALANCED = Mode("balanced")
MODES = {
    mode.name: mode
    for mode in (
        Mode("strict", strictness=1.25, refuse=0.05, floor="B-"),
        BALANCED,
        Mode("permissive", strictness=0.6, refuse=0.50),
        Mode("emergency", refuse=1.0, anomalies=False, consensus=False),
        Mode("statistical", rows=False, consensus=False),
        Mode("cross-source", floor="B-", anomalies=False, sources=2),
    )
}


def mode_named(name: str) -> Mode:
    """Raises UsageError."""
    try:
        return MODES[name]
    except KeyError:
        msg = f"{name[:20]!a} is not a mode"
        raise UsageError(msg, f"use one of {', '.join(MODES)}") from None
