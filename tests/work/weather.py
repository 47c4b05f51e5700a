"""Providers whose answers are a function of the time, and processes that ask them, all on one virtual clock."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.clock import VirtualClock
from mdagent.guard.breaker import State
from mdagent.guard.outcome import FailureKind
from mdagent.market import BarRequest, Symbol
from mdagent.store.bars import BarStore
from mdagent.store.ledger import open_ledger
from mdagent.store.quota import Rules
from mdagent.store.recall import breakers_of
from mdagent.wire.bounds import Limits, WireFailed
from mdagent.work.ask import ask_all, quote_of
from mdagent.work.clerk import Clerk
from mdagent.work.fetch import Tools, fetch
from mdagent.work.fit import wish_for
from mdagent.work.gate import Call, Gate, Policy
from mdagent.work.rank import Form
from tests.work.clerks import clerk
from tests.work.maker import Desk, Maker, Truth, facts, sessions
from tests.work.played import MANY, START, Parrot, Stage, fails, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    import httpx

    from mdagent.guard.breaker import Breaker
    from mdagent.guard.outcome import Failure
    from mdagent.market import Quote
    from mdagent.store.ledger import Ledger
    from mdagent.work.gate import Result
    from mdagent.work.report import Line
    from tests.work.played import Played

# A weather maps seconds after the start to an answer, a failure of the wire, or so many seconds of silence.


def unreachable() -> WireFailed:
    """No route to the host, as the wire tells it."""
    told = fails(FailureKind.CONNECT_FAIL, sent=False)
    return WireFailed(replace(told.failure, unreachable=True), sent=False)


def refused() -> WireFailed:
    """Nobody listens at the port."""
    return fails(FailureKind.CONNECT_FAIL, sent=False)


@dataclass
class Sky(Stage):
    """A stage whose provider answers by `weather`, `latency` seconds after it was asked. `sent`: when each request set out."""

    weather: Callable[[float], Played] = lambda _: says()
    latency: float = 0.1
    cooldown: float = 300.0
    sent: list[float] = field(default_factory=list)
    watch: Callable[[], None] = lambda: None  # called when a request sets out

    async def send(self, request: httpx.Request, limits: Limits) -> httpx.Response:
        self.watch()
        self.sent.append(self.clock.monotonic())
        await self.clock.sleep(self.latency)
        self.answers.append(self.weather(self.clock.monotonic()))
        return await super().send(request, limits)

    def policy(self, name: str) -> Policy:
        return replace(super().policy(name), cooldown=self.cooldown)

    def breaker(self) -> Breaker | None:
        """That of the provider, where it has something to say."""
        return breakers_of(self.ledger, "parrot").get("")

    async def once(self, gate: Gate, *, deadline: float = 10.0, patience: float = 0.0) -> Result[list[str]]:
        """One call."""
        call = Call("bars", "AAPL", self.clock.monotonic() + deadline, patience)
        return await gate.converse(Parrot(), lambda: Parrot().talk("x"), call)


@contextmanager
def sky(folder: Path, weather: Callable[[float], Played], seed: int = 1, **more: Any) -> Iterator[Sky]:
    """A stage under that weather."""
    clock = VirtualClock(START)
    with open_ledger(folder / "ledger.db", clock, Random(seed)) as ledger:
        yield Sky(ledger, clock, weather=weather, **more)


class Called(NamedTuple):
    """One call of a process: when it began and ended, in seconds after the start, and what came of it."""

    began: float
    ended: float
    line: Line


@dataclass
class Town:
    """Several sources under one `weather`, one store, and processes that ask for bars; `apart` are sources that always answer so.
    `probes` are those in flight at each source now, `crowd` the most there ever were at one; `sent` is when each request set out, and
    to whom."""

    desk: Desk
    weather: Callable[[float], Played]
    names: tuple[str, ...]
    latency: float = 0.1
    apart: dict[str, Callable[[], Played]] = field(default_factory=dict)
    sent: list[tuple[float, str]] = field(default_factory=list)
    probes: dict[str, int] = field(default_factory=dict)
    crowd: int = 0
    ledgers: list[Ledger] = field(default_factory=list)

    @property
    def now(self) -> float:
        return self.desk.stage.clock.monotonic()

    def uniform(self, low: float, high: float) -> float:
        """The dice."""
        return (low + high) / 2

    def policy(self, name: str) -> Policy:
        others = tuple(other for other in self.names if other != name)
        return Policy(MANY, Limits(), 2, 300.0, (f"https://{name}.example",), rules=Rules(others=others))

    async def send(self, request: httpx.Request, limits: Limits) -> httpx.Response:
        """The wire of every process."""
        name, clock = request.url.host.partition(".")[0], self.desk.stage.clock
        self.sent.append((self.now, name))
        found = breakers_of(self.desk.stage.ledger, name).get("")
        testing = found is not None and found.state is State.HALF_OPEN
        self.probes[name] = self.probes.get(name, 0) + testing
        self.crowd = max(self.crowd, self.probes[name])
        try:
            await clock.sleep(self.latency)
            answer = self.apart[name]() if name in self.apart else self.weather(self.now)
            if isinstance(answer, float):  # silence: the wire gives up when the first byte is late
                await clock.sleep(min(answer, limits.read, limits.total))
                raise fails(FailureKind.TIMEOUT_READ, sent=True)
            if isinstance(answer, WireFailed):
                raise answer
            return answer
        finally:
            self.probes[name] -= testing

    def process(self, run: str) -> Gate:
        """A process with a ledger of its own on the same file."""
        clock = self.desk.stage.clock
        self.ledgers.append(open_ledger(self.desk.stage.ledger.path, clock, self))
        return Gate(self.ledgers[-1], self, clock, self, run, self.policy, lambda _: None, "live")

    async def call(self, gate: Gate, symbol: str, patience: float = 0.0) -> Called:
        """Bars of a symbol that nobody asked for before, as the agent fetches them."""
        clock, began = self.desk.stage.clock, self.now
        request = BarRequest(symbol, "1d", "2024-01-02", "2024-01-12", "raw")  # type: ignore[arg-type]
        tools = Tools(Clerk(self.desk.store, clock), gate.ledger, gate, clock, lambda _: sessions(), 10.0, patience, bounded_depth=True)
        wish = wish_for(request, self.desk.makers, refresh=False, world="live", today=clock.now().date())
        line = await fetch(Form(gate.ledger, clock, self.policy).placed(wish), tools)
        return Called(began, self.now, line)

    async def calling(self, gate: Gate, every: float, until: float) -> list[Called]:
        """One call after another, each so many seconds after the one before it ended."""
        made: list[Called] = []
        while self.now < until:
            made.append(await self.call(gate, f"{gate.run.upper()}.{len(made)}"))
            await self.desk.stage.clock.sleep(every)
        return made

    def live(self, processes: int, every: float, until: float) -> list[Called]:
        """That many processes, each calling so, until then."""

        async def all_of_them() -> list[Called]:
            gates = [self.process(f"p{n}") for n in range(processes)]
            made = await asyncio.gather(*(self.calling(gate, every, until) for gate in gates))
            return sorted((call for calls in made for call in calls), key=lambda call: call.began)

        return self.desk.stage.run(all_of_them())

    def quoting(self, every: float, until: float) -> list[tuple[float, Quote | Failure]]:
        """One process that asks for a price again and again: when each answer came, and what it was."""
        gate, clerks = self.process("q"), [clerk(name) for name in self.names]
        for one in clerks:
            one.spec = replace(one.spec, hosts=(f"{one.spec.name}.example",))  # type: ignore[misc]

        @asynccontextmanager
        async def door() -> AsyncIterator[Gate]:
            yield gate

        async def asking() -> list[tuple[float, Quote | Failure]]:
            made: list[tuple[float, Quote | Failure]] = []
            while self.now < until:
                (came,) = await ask_all(door, "quote", clerks, [quote_of(Symbol.parse("AAPL"))], 10.0)
                made.append((self.now, came))
                await self.desk.stage.clock.sleep(every)
            return made

        return self.desk.stage.run(asking())

    def breakers(self) -> dict[str, dict[str, Breaker]]:
        """Of every source, those that have something to say."""
        return {name: breakers_of(self.desk.stage.ledger, name) for name in self.names}


@contextmanager
def town(
    folder: Path, weather: Callable[[float], Played], names: tuple[str, ...] = ("one", "two", "three"), latency: float = 0.1
) -> Iterator[Town]:
    """Sources of these names under that weather."""
    clock = VirtualClock(START)
    with ExitStack() as stack:
        ledger = stack.enter_context(open_ledger(folder / "ledger.db", clock))
        desk = Desk(Stage(ledger, clock), BarStore(folder / "bars.duckdb", "live", clock))
        for name in names:
            spec = replace(facts(name), hosts=(f"{name}.example",), concurrency=2)
            desk.makers.append(Maker(spec, Truth(), desk))
        made = Town(desk, weather, names, latency)
        yield made
        for opened in made.ledgers:
            opened.close()
