"""Where an experiment takes place: settings and stores of its own in a folder that goes away, the simulated market, and the switch that
brings faults in and takes them out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING

import httpx

from mdagent.agent import Agent
from mdagent.chaos.crew import SharedClock
from mdagent.errors import ConfigError
from mdagent.wire.faults import KINDS, FaultTransport
from mdagent.wire.sandbox import SandboxTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.chaos.experiment import Experiment
    from mdagent.config import Settings
    from mdagent.wire.faults import Fault, Injected

_GENTLE = ("latency",)  # kinds that keep nobody from an answer, as long as it comes in time
_PATIENCE = 8.0  # seconds that an answer may let wait


class Switch(httpx.AsyncBaseTransport):
    """A transport that is another one, which can be changed."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.inner.handle_async_request(request)


@dataclass(eq=False)
class Scene:
    """One run's place in `folder`. `settings` are those of the user, with stores of their own and the keys of the sandbox."""

    experiment: Experiment
    seed: int
    settings: Settings
    clock: SharedClock = field(init=False)
    market: SandboxTransport = field(init=False)
    switch: Switch = field(init=False)
    faults: FaultTransport | None = None
    spans: list[tuple[Fault, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = SharedClock(self.experiment.clock)
        self.market = SandboxTransport(self.clock, self.experiment.latency)
        self.switch = Switch(self.market)

    def source_of(self, host: str) -> str | None:
        """Whose address that is."""
        found = self.market.provider.dialect_at(host.partition(":")[0])
        return found.name if found else None

    def agent(self, called: str, transport: httpx.AsyncBaseTransport, dice: Random) -> Agent:
        """A new one, as a new process would have it."""
        return Agent(self.settings, self.clock, dice=dice, transport=transport, called=called)

    def inject(self) -> None:
        """From now on the faults are on, each at its time."""
        began, dice = self.clock.monotonic(), Random(f"{self.seed} faults")  # noqa: S311  chance is to be repeatable
        self.faults = FaultTransport(self.market, self.experiment.faults, self.clock, dice, began, self.source_of)
        self.spans = [(f, began + f.start, began + f.start + f.seconds) for f in self.experiment.faults]
        self.switch.inner = self.faults

    def roll_back(self) -> None:
        """No fault is on any more."""
        now = self.clock.monotonic()
        self.switch.inner = self.market
        self.spans = [(fault, start, min(end, now)) for fault, start, end in self.spans if start < now]

    @property
    def injected(self) -> tuple[Injected, ...]:
        """What struck whom when."""
        return tuple(self.faults.events) if self.faults else ()

    @property
    def end(self) -> float | None:
        """When the last fault was over."""
        return max((end for _, _, end in self.spans), default=None)

    def works(self, names: Sequence[str], began: float, ended: float) -> tuple[bool, bool]:
        """Is some of these sources (none named: of all) at work all that time, and is each?"""
        names = names or [name for name, told in self.settings.sources.items() if told.enabled]
        down = [any(start <= ended and began < end and _denies(fault, name) for fault, start, end in self.spans) for name in names]
        return not all(down), not any(down)


def _denies(fault: Fault, name: str) -> bool:
    """Does it keep a source from answering? What happens by chance, does not; who lies, answers."""
    if fault.probability < 1.0 or (fault.sources and name not in fault.sources) or KINDS[fault.kind].where == "truth":
        return False
    return fault.kind not in _GENTLE or float(fault.settings.get("delay", 0.0)) >= _PATIENCE


def settled(settings: Settings, experiment: Experiment, folder: Path) -> Settings:
    """The settings for a run in that folder: nothing of it reaches a real store, a real key or the network. Raises ConfigError."""
    from mdagent.config import WireSettings

    asked = experiment.sources or tuple(settings.sources)
    sources = {
        name: told._replace(
            api_key=None, base_url=None, enabled=told.enabled and name in asked, plan=experiment.plans.get(name, told.plan)
        )
        for name, told in settings.sources.items()
    }
    if not any(told.enabled for told in sources.values()):
        msg = f"none of the sources of {experiment.name} is enabled: {', '.join(asked)}"
        raise ConfigError(msg, "set sources.NAME.enabled to true, or name other sources in the experiment")
    return settings._replace(
        home=folder,
        ledger=folder / "ledger.db",
        store=folder / "bars.duckdb",
        world="sandbox",
        replay=None,
        record=None,
        clock=None,
        sources=MappingProxyType(sources),
        wire=WireSettings(),
    )


def roomy() -> Path | None:
    """A place in memory for what is thrown away, where the machine has one: it is not the disk that is tried."""
    import os

    memory = Path("/dev/shm")  # noqa: S108  a folder with a name of its own is made in it
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else None
