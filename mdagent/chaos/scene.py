"""Where an experiment takes place: settings and stores of its own in a folder that goes away, the simulated market, and the switch that
brings faults in and takes them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import httpx

from mdagent.agent import Agent
from mdagent.chaos.crew import Crew, SharedClock
from mdagent.chaos.load import Person
from mdagent.clock import VirtualClock
from mdagent.errors import ConfigError
from mdagent.store.ledger import open_ledger
from mdagent.wire.faults import KINDS, FaultTransport
from mdagent.wire.sandbox import SandboxTransport
from mdagent.wire.sandbox.dialects import Allowance
from mdagent.wire.sandbox.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from mdagent.chaos.crowd import Crowd
    from mdagent.chaos.experiment import Experiment, Habit
    from mdagent.chaos.load import Desk
    from mdagent.clock import Anchor, Clock
    from mdagent.config import Settings
    from mdagent.config.kinds import LimitSettings
    from mdagent.wire.faults import Fault, Injected

# Kinds that keep nobody from an answer, as long as it comes in time; and the setting that says how late it is.
_GENTLE = {"latency": "delay", "toxic_latency": "delay", "toxic_slow_close": "delay", "toxic_slicer": "pause"}
_BEARABLE = ("cpu_pressure", "memory_pressure", "edited")  # faults of the host that keep no mdagent from an answer
_PATIENCE = 8.0  # seconds that an answer may let wait


class Switch(httpx.AsyncBaseTransport):
    """A transport that is another one, which can be changed."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.inner.handle_async_request(request)


class Wrist(VirtualClock):
    """The clock of the machine that mdagent runs on: that of the world, until it is set. Only its wall time can differ."""

    def __init__(self, world: SharedClock) -> None:
        super().__init__(world.now())
        self._world = world
        self.off = timedelta(0)

    def now(self) -> datetime:
        return self._world.now() + self.off

    def monotonic(self) -> float:
        return self._world.monotonic()

    def anchor(self) -> Anchor:
        told = self._world.anchor()
        return told._replace(began=told.began + self.off // timedelta(microseconds=1))

    def pause(self, seconds: float) -> None:
        self._world.pause(seconds)


class Books(Protocol):
    """A ledger that can be asked."""

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The answer to a question that changes nothing."""


@dataclass(eq=False)
class Scene:
    """One run's place. `settings` are those of the user, with stores of their own and the keys of the sandbox; `clock` is that of the
    world, `machine` what mdagent takes for it. `broken_locks`: how often the store was changed while another process held its lock."""

    real: ClassVar[bool] = False
    live: ClassVar[bool] = False
    experiment: Experiment
    seed: int
    settings: Settings
    clock: Clock = field(init=False)
    machine: Clock = field(init=False)
    wrist: Wrist = field(init=False)
    broken_locks: int = 0
    held_locks: int = 0
    spent: str = ""  # why nobody can ask any more
    market: SandboxTransport = field(init=False)
    switch: Switch = field(init=False)
    faults: FaultTransport | None = None
    spans: list[tuple[Fault, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = self._shared = SharedClock(self.experiment.clock)
        self.machine = self.wrist = Wrist(self._shared)
        self.market = SandboxTransport(self.clock, self.experiment.latency, provider=self.provider())
        self.switch = Switch(self.market)

    def provider(self) -> Provider:
        """Who answers, with quotas of the experiment where it has some."""
        told = {name: tuple(_allowance(quota) for quota in quotas) for name, quotas in self.experiment.quotas.items()}
        return Provider(self.clock, allowances=told)

    def books(self) -> AbstractContextManager[Books]:
        """The ledger, to be read from."""
        return open_ledger(self.settings.ledger, self.machine)

    def person(self, habit: Habit, desk: Desk, number: int) -> Person:
        """Who lives by that habit."""
        return Person(habit, desk, number)

    def crew(self) -> Crew | Crowd:
        """Who lives through a phase together."""
        return Crew(self._shared)

    def source_of(self, host: str) -> str | None:
        """Whose address that is."""
        found = self.market.provider.dialect_at(host.partition(":")[0])
        return found.name if found else None

    def agent(self, called: str, transport: httpx.AsyncBaseTransport, dice: Random) -> Agent:
        """A new one, as a new process would have it."""
        return Agent(self.settings, self.machine, dice=dice, around=lambda _: transport, called=called)

    def inject(self) -> None:
        """From now on the faults are on, each at its time."""
        began, dice = self.clock.monotonic(), Random(f"{self.seed} faults")  # noqa: S311  chance is to be repeatable
        self.faults = FaultTransport(self.market, self.experiment.faults, self.clock, dice, began, self.source_of)
        self.spans = [(f, began + f.start, began + f.start + f.seconds) for f in self.experiment.faults]
        self.switch.inner = self.faults

    def hands(self) -> list[tuple[float, Callable[[], None]]]:
        """Who brings about, beside the people, the faults of the scene itself: when they begin, and what they do."""
        lasts = self.experiment.phases.during
        until = self.clock.monotonic() + lasts
        mine = [fault for fault in self.experiment.faults if KINDS[fault.kind].where == "scene" and fault.start < lasts]
        return [(fault.start, partial(_HANDS[fault.kind], self, fault, until)) for fault in mine]

    def strike(self, fault: Fault) -> None:
        """Write down that a fault of the scene struck."""
        if self.faults is not None:
            self.faults.plan.note(fault, "scene")

    def roll_back(self) -> None:
        """No fault is on any more."""
        now, self.wrist.off = self.clock.monotonic(), timedelta(0)
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

    def close(self) -> None:
        """Nothing is open any more; twice does no harm."""

    def works(self, names: Sequence[str], began: float, ended: float) -> tuple[bool, bool]:
        """Is some of these sources (none named: of all) at work all that time, and is each?"""
        names = names or [name for name, told in self.settings.sources.items() if told.enabled]
        down = [any(start <= ended and began < end and _denies(fault, name) for fault, start, end in self.spans) for name in names]
        return not all(down), not any(down)


def _allowance(quota: LimitSettings) -> Allowance:
    return Allowance(quota.limit, quota.per, quota.zone)  # type: ignore[arg-type]


def _hold_lock(scene: Scene, fault: Fault, until: float) -> None:
    """As another process would; the store may not change meanwhile."""
    from mdagent.store.lock import locked

    store, clock = scene.settings.store, scene.clock
    store.parent.mkdir(parents=True, exist_ok=True)
    with locked(store, clock, write=True, wait=60.0, purpose="chaos"):
        before = _looks(store)
        scene.strike(fault)
        clock.pause(max(0.0, min(fault.seconds, until - clock.monotonic())))
        scene.held_locks += 1
        scene.broken_locks += _looks(store) != before


def _looks(store: Path) -> tuple[tuple[int, int] | None, ...]:
    """Of the store and what DuckDB writes beside it: size and time of the last change."""
    files = (store, store.with_name(store.name + ".wal"))
    return tuple((told.st_size, told.st_mtime_ns) if f.exists() and (told := f.stat()) else None for f in files)


def _set_clock(scene: Scene, fault: Fault, until: float) -> None:
    scene.strike(fault)
    scene.wrist.off += timedelta(seconds=float(fault.settings["by"]))
    scene.clock.pause(max(0.0, min(fault.seconds, until - scene.clock.monotonic())))
    scene.wrist.off -= timedelta(seconds=float(fault.settings["by"]))


_HANDS: dict[str, Callable[[Scene, Fault, float], None]] = {"lock_held": _hold_lock, "clock_step": _set_clock}


def _denies(fault: Fault, name: str) -> bool:
    """Does it keep a source from answering? What happens by chance, does not; who lies, answers."""
    if fault.probability < 1.0 or (fault.sources and name not in fault.sources) or KINDS[fault.kind].where in ("truth", "scene"):
        return False
    if KINDS[fault.kind].where == "host":
        return fault.kind not in _BEARABLE
    late = _GENTLE.get(fault.kind)
    return late is None or float(fault.settings.get(late, 0.0)) >= _PATIENCE


def settled(settings: Settings, experiment: Experiment, folder: Path) -> Settings:
    """The settings for a run in that folder: nothing of it reaches a real store, a real key or the network. Raises ConfigError."""
    from mdagent.config import WireSettings

    asked = experiment.sources or tuple(settings.sources)
    sources = {
        name: told._replace(
            api_key=None,
            base_url=None,
            enabled=told.enabled and name in asked,
            plan=experiment.plans.get(name, told.plan),
            limits=experiment.quotas.get(name, told.limits),
            observe_only=told.observe_only or experiment.observe_only,
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
