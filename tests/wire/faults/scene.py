"""Real sources before simulated providers, with faults on the way between them, on a virtual clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from mdagent.clock import VirtualClock, virtual_loop
from mdagent.guard.limits import Window
from mdagent.guard.outcome import ConversationFailed, Failure
from mdagent.market import BarRequest
from mdagent.sources import NAMES, load
from mdagent.store.ledger import open_ledger
from mdagent.wire.bounds import Limits, WireFailed, exchange
from mdagent.wire.faults import Fault, FaultTransport
from mdagent.wire.sandbox import SandboxTransport
from mdagent.wire.sandbox.dialects import dialects, sandbox_key
from mdagent.work.gate import Call, Gate, Policy

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    import httpx

    from mdagent.guard.outcome import FailureKind
    from mdagent.market import BarSet
    from mdagent.sources.base import Source
    from mdagent.wire.sandbox.provider import Provider
    from mdagent.work.gate import Result

T = TypeVar("T")
START = datetime(2024, 6, 5, 21, 0, tzinfo=UTC)  # a Wednesday evening, New York has closed
SOURCES = NAMES
ASK = BarRequest("CARR", "1d", "2024-05-01", "2024-06-01", "splits")  # type: ignore[arg-type]


def source_of(place: str) -> str | None:
    """Whose address that is."""
    return next((name for name, dialect in dialects().items() if place in dialect.hosts), None)


def source(name: str, plan: int = -1) -> Source:
    """The source under one of its plans (its largest), with the key that opens it."""
    dialect = dialects()[name]
    key = sandbox_key(name, [*dialect.plans][plan]) if dialect.key_in else None
    return load(name, api_key=key, plan=[*load(name).spec.plans][plan])


def fault(kind: str, *names: str, start: float = 0.0, seconds: float = 1e6, probability: float = 1.0, **settings: Any) -> Fault:
    return Fault(kind, names, start, seconds, probability, settings)


@dataclass
class Scene:
    """One process before every provider."""

    transport: FaultTransport
    clock: VirtualClock
    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def referee(self) -> Provider:
        """The simulated providers."""
        assert isinstance(self.transport.inner, SandboxTransport)
        return self.transport.inner.provider

    async def send(self, request: httpx.Request, limits: Limits) -> httpx.Response:
        """The wire."""
        return await exchange(self.transport, request, limits)

    def uniform(self, low: float, high: float) -> float:
        """The dice of the gate, which are not those of the faults."""
        return (low + high) / 2

    def policy(self, name: str) -> Policy:
        one = source(name)
        return Policy((Window(10**7, 60.0),), Limits(), 2, 300.0, one.spec.bases)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=lambda: virtual_loop(self.clock)) as runner:
            return runner.run(work)

    def ask(self, name: str, request: BarRequest = ASK, deadline: float = 60.0) -> Result[BarSet]:
        """One call for bars through the gate, which tries again and keeps a ledger."""
        one = source(name)
        with open_ledger(self.folder / "ledger.db", self.clock, self) as ledger:
            gate = Gate(ledger, self, self.clock, self, "run-1", self.policy, self.said.append, "sandbox")
            call = Call("bars", str(request.symbol), self.clock.monotonic() + deadline)
            return self.run(gate.converse(one, lambda: one.bars(request), call))

    def block(self, name: str) -> float:
        """For how many seconds from now the ledger says to leave a source alone."""
        with open_ledger(self.folder / "ledger.db", self.clock, self) as ledger:
            block = ledger.blocked(name)
            return (block.until - self.clock.now()).total_seconds() if block else 0.0

    def heard(self, name: str, request: BarRequest = ASK, plan: int = -1) -> BarSet | Failure:
        """What one conversation brings, without a gate: nothing is tried twice, nothing is remembered."""
        return self.run(self._heard(source(name, plan), request))

    async def _heard(self, one: Source, request: BarRequest) -> BarSet | Failure:
        talk = one.bars(request)
        try:
            asked = next(talk)
            while True:
                reply = await self.send(asked, Limits())
                failure = one.error_in(reply)
                asked = talk.throw(ConversationFailed(failure)) if failure else talk.send(reply)
        except StopIteration as end:
            bars: BarSet = end.value
            return bars
        except (WireFailed, ConversationFailed) as error:
            return error.failure
        finally:
            talk.close()

    def kind(self, name: str, request: BarRequest = ASK, plan: int = -1) -> FailureKind | None:
        """What one conversation fails of, None for bars."""
        heard = self.heard(name, request, plan)
        return heard.kind if isinstance(heard, Failure) else None

    def bars(self, name: str, request: BarRequest = ASK) -> BarSet:
        """The bars that one conversation brings."""
        heard = self.heard(name, request)
        assert not isinstance(heard, Failure), heard
        return heard


def scene(folder: Path, *faults: Fault, seed: int = 1) -> Scene:
    """A process that has such faults before it, and nothing behind it."""
    clock = VirtualClock(START)
    transport = FaultTransport(SandboxTransport(clock, latency=0.1), faults, clock, Random(seed), clock.monotonic(), source_of)
    return Scene(transport, clock, folder)
