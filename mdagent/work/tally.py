"""What a long run has come to: counts, the worst grade, and each failure; no line is kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mdagent.work.report import Line

DONE, PARTLY, FAILED = 0, 1, 2
_NAMES = ("done", "partly", "failed")


class Fault(NamedTuple):
    """Why a symbol has not all that was asked for."""

    symbol: str
    interval: str
    kind: str
    detail: str
    next_step: str


@dataclass(slots=True)
class Tally:
    """Of symbols (each interval by itself) and bars, chunk by chunk. `floor` is the lowest score that is good enough."""

    floor: float = 0.0
    only_asked: bool = False  # is nothing to be said of symbols that were there already?
    requests: int = 0
    new: int = 0
    revised: int = 0
    restated: int = 0
    below: int = 0
    there: int = 0  # chunks that the store had already
    chunks: int = 0
    worst: tuple[float, str] | None = None
    faults: list[Fault] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    _state: dict[tuple[str, str], int] = field(default_factory=dict)
    _served: set[tuple[str, str]] = field(default_factory=set)

    def count(self, line: Line) -> None:
        """One chunk more."""
        key = (line.request.symbol.ticker, line.request.interval.value)
        self.chunks += 1
        self.there += not line.requests
        if self.only_asked and not (line.requests or line.failure):
            return
        self.requests += line.requests
        self.new += line.new
        self.revised += line.revised
        self.restated += line.restated
        state = FAILED if line.failure else PARTLY if line.partial else DONE
        if line.failure is None or line.bars:
            self._served.add(key)
        self._state[key] = max(self._state.get(key, DONE), state)
        if line.failure:
            told = line.failure
            self.kinds[told.kind.value] += 1
            self.faults.append(Fault(*key, told.kind.value, told.detail, told.consequence.next_step if line.source else ""))
        if line.score is not None and line.letter is not None:
            self.worst = min(self.worst or (101.0, ""), (line.score, line.letter))
            self.below += line.score < self.floor

    @property
    def symbols(self) -> dict[str, int]:
        """How many are done, partly done and failed. One that failed in part only is partly done."""
        found = Counter(PARTLY if state == FAILED and key in self._served else state for key, state in self._state.items())
        return {name: found[place] for place, name in enumerate(_NAMES)}
