"""Which faults strike at a moment, and what became of them: the one thing that all parts which inject have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from mdagent.wire.faults.kinds import KINDS, Fault, completed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from mdagent.clock import Clock
    from mdagent.wire.faults.kinds import Where


FAULTS: Final = "mdagent.faults"  # the request extension by which a simulated provider is told of the plan


class Injected(NamedTuple):
    """A fault that struck: `at` in seconds since the injection began. `what` says more where there is more to say."""

    at: float
    kind: str
    source: str
    what: str = ""


@dataclass(eq=False)
class Plan:
    """The faults of one injection, which began at `began` of the clock's monotonic time. Chance comes from `dice` alone, in the order in
    which it is asked for; `salt` is drawn once, for what has to be wrong in the same places each time. Safe to use from several threads.
    Raises ConfigError for a fault that the table of kinds does not allow."""

    faults: Sequence[Fault]
    clock: Clock
    dice: Random
    began: float
    events: list[Injected] = field(default_factory=list)
    salt: str = field(init=False)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.faults = tuple(completed(fault) for fault in self.faults)
        self.salt = f"{self.dice.getrandbits(64):016x}"

    @property
    def elapsed(self) -> float:
        """Seconds since the injection began."""
        return self.clock.monotonic() - self.began

    def on(self, where: Where, source: str) -> list[Fault]:
        """The faults of that part that are in force for a source now, in the order in which they were given; no dice are thrown."""
        now = self.elapsed
        return [
            fault
            for fault in self.faults
            if KINDS[fault.kind].where == where
            and (not fault.sources or source in fault.sources)
            and fault.start <= now < fault.start + fault.seconds
        ]

    def striking(self, where: Where, source: str) -> list[Fault]:
        """Those of them that strike this time."""
        with self._lock:
            return [fault for fault in self.on(where, source) if fault.probability >= 1.0 or self.dice.random() < fault.probability]

    def uniform(self, low: float, high: float) -> float:
        """A number between two, by the dice."""
        with self._lock:
            return self.dice.uniform(low, high)

    def note(self, fault: Fault, source: str, what: str = "") -> None:
        """Write down that it struck."""
        with self._lock:
            self.events.append(Injected(self.elapsed, fault.kind, source, what))
