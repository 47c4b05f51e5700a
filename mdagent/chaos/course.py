"""The course of a run: how many calls were answered, and how each source did, in pieces of equal length from the first second on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdagent.chaos.probes import Phase

PIECES = 120  # at most: what can be told apart in a picture
_GOOD = range(200, 400)


def course(phases: Sequence[Phase]) -> dict[str, Any]:
    """`piece`: seconds of one. `began`: when each phase began, in seconds of the run. `calls` and, by name, `sources`: by the number of a
    piece in which something began, how many of how many were answered; of calls those that a working source could serve, of sources every
    exchange, good where its status was."""
    if not phases:
        return {"piece": 1.0, "ended": 0.0, "began": {}, "calls": {}, "sources": {}}
    first, last = phases[0].began, phases[-1].ended
    piece = round(max(1.0, (last - first) / PIECES), 3)
    calls = [(call.began - first, not call.why) for phase in phases for call in phase.calls if call.servable]
    heard = [(one.source, one.began - first, one.status in _GOOD) for phase in phases for one in phase.heard]
    names = sorted({name for name, _, _ in heard})
    return {
        "piece": piece,
        "ended": round(last - first, 3),
        "began": {phase.name: round(phase.began - first, 3) for phase in phases},
        "calls": _pieces(calls, piece),
        "sources": {name: _pieces(((at, good) for of, at, good in heard if of == name), piece) for name in names},
    }


def _pieces(told: Iterable[tuple[float, bool]], piece: float) -> dict[str, list[int]]:
    """Good ones and all, by the number of the piece as JSON has it: a word."""
    found: dict[int, list[int]] = {}
    for at, good in told:
        share = found.setdefault(int(max(0.0, at) // piece), [0, 0])
        share[0] += good
        share[1] += 1
    return {str(number): found[number] for number in sorted(found)}
