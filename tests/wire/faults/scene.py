"""Real sources before simulated providers, with faults on the way between them, on a virtual clock."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

from mdagent.clock import VirtualClock, virtual_loop
from mdagent.guard.limits import Window
from mdagent.market import BarRequest
from mdagent.sources import NAMES, load
from mdagent.store.ledger import open_ledger
from mdagent.wire.bounds import Limits, exchange
from mdagent.wire.faults import Fault, FaultTransport
from mdagent.wire.sandbox import SandboxTransport
from mdagent.wire.sandbox.dialects import dialects, sandbox_key
from mdagent.work.gate import Call, Gate, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from mdagent.guard.outcome import FailureKind
    from mdagent.market import BarSet
    from mdagent.sources.base import Source
    from mdagent.store.ledger import Ledger
    from mdagent.work.gate import Result

START = datetime(2024, 6, 5, 21, 0, tzinfo=UTC)  # a Wednesday evening, New York has closed
SOURCES = NAMES
ASK = BarRequest("AAPL", "1d", "2024-05-01", "2024-06-01", "splits")  # type: ignore[arg-type]


def source_of(place: str) -> str | None:
    """Whose address that is."""
    return next((name for name, dialect in dialects().items() if place in dialect.hosts), None)


def source(name: str) -> Source:
    """The source under its largest plan, with the key that opens it."""
    dialect = dialects()[name]
    best = [*dialect.plans][-1]
    return load(name, api_key=sandbox_key(name, best) if dialect.key_in else None, plan=[*load(name).spec.plans][-1])


def fault(kind: str, *names: str, start: float = 0.0, seconds: float = 1e6, probability: float = 1.0, **settings: Any) -> Fault:
    return Fault(kind, names, start, seconds, probability, settings)


@dataclass
class Scene:
    """One process before every provider. `slow` is how long an undisturbed answer takes."""

    transport: FaultTransport
    ledger: Ledger
    clock: VirtualClock
    said: list[str] = field(default_factory=list)

    async def send(self, request: httpx.Request, limits: Limits) -> httpx.Response:
        """The wire."""
        return await exchange(self.transport, request, limits)

    def uniform(self, low: float, high: float) -> float:
        """The dice of the gate, which are not those of the faults."""
        return (low + high) / 2

    def policy(self, name: str) -> Policy:
        one = source(name)
        return Policy((Window(10**7, 60.0),), Limits(), 2, 300.0, one.spec.bases, (getattr(one, "_key", "") or "no key",))

    async def call(self, name: str, request: BarRequest = ASK, deadline: float = 60.0) -> Result[BarSet]:
        gate = Gate(self.ledger, self, self.clock, self, "run-1", self.policy, self.said.append, "sandbox")
        one = source(name)
        call = Call("bars", str(request.symbol), self.clock.monotonic() + deadline)
        return await gate.converse(one, lambda: one.bars(request), call)

    def ask(self, name: str, request: BarRequest = ASK, deadline: float = 60.0) -> Result[BarSet]:
        """One call for bars."""
        with asyncio.Runner(loop_factory=lambda: virtual_loop(self.clock)) as runner:
            return runner.run(self.call(name, request, deadline))

    def kinds(self, name: str, request: BarRequest = ASK, deadline: float = 60.0) -> list[FailureKind | None]:
        """What each attempt of one call came to, None for an answer of use."""
        return [a.failure.kind if a.failure else None for a in self.ask(name, request, deadline).attempts]

    def first(self, name: str, request: BarRequest = ASK) -> FailureKind | None:
        """What the first attempt of one call came to."""
        return self.kinds(name, request)[0]


@contextmanager
def scene(folder: Path, *faults: Fault, seed: int = 1) -> Iterator[Scene]:
    clock = VirtualClock(START)
    transport = FaultTransport(SandboxTransport(clock, latency=0.1), faults, clock, Random(seed), clock.monotonic(), source_of)
    with open_ledger(folder / "ledger.db", clock, Random(seed)) as ledger:
        yield Scene(transport, ledger, clock)
