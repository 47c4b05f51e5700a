"""A scene of the real world: real providers with the user's own settings and keys, a store that goes away, and a budget of requests."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import httpx

from mdagent.agent import Agent
from mdagent.chaos.crowd import Crowd, CrowdClock
from mdagent.chaos.ear import Ear
from mdagent.chaos.load import Person
from mdagent.chaos.probes import PROBES
from mdagent.chaos.scene import Scene, Switch
from mdagent.errors import ConfigError
from mdagent.guard.outcome import FailureKind
from mdagent.sources import spec_of
from mdagent.store.carry import charged, copied
from mdagent.store.ledger import open_ledger
from mdagent.wire.bounds import WireFailed, failed
from mdagent.wire.faults import KINDS, FaultTransport, Plan
from mdagent.wire.sandbox import SandboxTransport
from mdagent.wire.sandbox.provider import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mdagent.chaos.experiment import Experiment, Habit
    from mdagent.chaos.load import Desk
    from mdagent.chaos.probes import Called
    from mdagent.config import Settings
    from mdagent.wire.faults import Injected
    from mdagent.work.report import Line

# What can be seen without knowing what was traded, or what a provider counts of our quota.
_SEEN = (
    *("availability", "undisturbed", "latency_p95", "latency_max", "failure_max", "failover_p50", "failover_p95", "failover_max"),
    *("recovery", "blocked_requests", "faults_met", "times_struck", "attempts_per_call", "state_changes", "uncounted_requests"),
    *("store_faults", "memory", "open_files"),
)
_MADE_UP = re.compile(r"SYM[0-9]{5}\Z")
_ASKED = ("quote", "fetch", "backfill", "status")


class Purse(httpx.AsyncBaseTransport):
    """The last place before the wire: it counts what leaves, and lets no more leave than it has."""

    def __init__(self, inner: httpx.AsyncBaseTransport, scene: LiveScene) -> None:
        self._inner = inner
        self._scene = scene

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        spent = self._scene.spend(request.url.netloc.decode())
        try:
            return await self._inner.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, WireFailed) as error:
            if not isinstance(error, WireFailed) or not error.sent:  # nobody was reached
                self._scene.give_back(spent)
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(eq=False)
class LiveScene(Scene):
    """One run's place. `market` is asked by nobody: its log is what left; `budget` of so many requests in all."""

    real: ClassVar[bool] = True
    live: ClassVar[bool] = True
    budget: int = 0
    truly: Settings = field(kw_only=True)
    on: bool = False
    plan: Plan | None = None
    _since: int = 0
    _lock: Lock = field(default_factory=Lock)
    _names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = self.machine = self._crowded = CrowdClock()
        self.market = SandboxTransport(self.clock, provider=self.provider())
        self.switch = Switch(self.market)
        for name, told in self.settings.sources.items():
            for base in told.base_url or spec_of(name).bases:
                self._names[httpx.URL(base).netloc.decode()] = name
        if self.truly.ledger.exists():
            with open_ledger(self.truly.ledger, self.clock) as ledger:
                self._since = copied(ledger, self.settings.ledger)

    def spend(self, host: str) -> Seen:
        """One request more. Raises WireFailed where there is none left."""
        with self._lock:
            log = self.market.provider.log
            if len(log) >= self.budget:
                self.spent = f"the budget of {self.budget} requests is spent"
                raise failed(FailureKind.BUDGET, self.spent, sent=False)
            log.append(spent := Seen(self.clock.now(), host, "", 0))
            return spent

    def give_back(self, spent: Seen) -> None:
        """It did not leave."""
        with self._lock:
            self.market.provider.log.remove(spent)

    def crew(self) -> Crowd:
        return Crowd(self._crowded)

    def person(self, habit: Habit, desk: Desk, number: int) -> Person:
        return Onlooker(habit, desk, number)

    def source_of(self, host: str) -> str | None:
        return self._names.get(host)

    def agent(self, called: str, transport: httpx.AsyncBaseTransport, dice: Random) -> Agent:
        def around(sockets: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
            return transport.before(self._spoilt(Purse(sockets, self))) if isinstance(transport, Ear) else transport

        return Agent(self.settings, self.machine, dice=dice, around=around, called=called)

    def _spoilt(self, purse: Purse) -> httpx.AsyncBaseTransport:
        return purse if self.plan is None or not self.on else FaultTransport.of(self.plan, purse, self.source_of)

    def inject(self) -> None:
        began, dice = self.clock.monotonic(), Random(f"{self.seed} faults")  # noqa: S311  chance is to be repeatable
        self.plan = Plan(self.experiment.faults, self.clock, dice, began)
        self.spans = [(f, began + f.start, began + f.start + f.seconds) for f in self.experiment.faults]
        self.on = True

    def hands(self) -> list[tuple[float, Callable[[], None]]]:
        return []

    def roll_back(self) -> None:
        now, self.on = self.clock.monotonic(), False
        self.spans = [(fault, start, min(end, now)) for fault, start, end in self.spans if start < now]

    @property
    def injected(self) -> tuple[Injected, ...]:
        return tuple(self.plan.events) if self.plan else ()

    def close(self) -> None:
        """What was sent counts against the user's own quotas from now on, too."""
        if self.budget and self.settings.ledger.exists():
            with open_ledger(self.settings.ledger, self.clock) as copy, open_ledger(self.truly.ledger, self.clock) as ledger:
                charged(ledger, copy, self._since)
        self.budget = 0


class Onlooker(Person):
    """Who asks what nobody here knows the right answer to: one that comes, in time, is good."""

    def _is_right(self, *_: object) -> bool:
        return True

    def _judged(self, agent: Agent, ear: Ear, began: float, line: Line, rows: Sequence[tuple[Any, ...]]) -> Called:
        name, interval = line.request.symbol.ticker, line.request.interval.value
        able = [server.source.spec.name for server in agent.wish(line.request, agent.names(("auto",))).servers]
        count = sum(row[0] == name and row[1] == interval for row in rows)
        why = line.failure.kind.value if line.failure else "" if count else "no bars"
        return self._called(ear, began, name, able, why=why, source=line.source or "")._replace(bars=count, sent=line.requests)


def lived(experiment: Experiment, settings: Settings) -> Experiment:
    """The experiment as far as it can be had in the real world; what it cannot show there is told. Raises ConfigError for what is not to
    be had there at all."""
    name = experiment.name
    if settings.world != "live":
        msg = f"{name}: --live asks real providers, and the world of these settings is {settings.world}"
        raise ConfigError(msg, "leave out --sandbox and --replay, or --live")
    for fault in experiment.faults:
        if KINDS[fault.kind].where != "transport":
            msg = f"{name}: fault {fault.kind} cannot be had with --live, where nothing but the way to a provider is spoilt"
            raise ConfigError(msg, "use faults of the transport (mdagent chaos list --faults)")
    for habit in experiment.load:
        made_up = next((symbol for symbol in habit.symbols if _MADE_UP.match(symbol)), "")
        if made_up or habit.fresh:
            msg = f"{name}: {habit.who} asks for {made_up or 'fresh symbols'}, which only the sandbox trades"
            raise ConfigError(msg, "name symbols that are traded, such as symbols: [AAPL, MSFT]; live-failover does")
        if habit.program or habit.asks not in _ASKED:
            msg = f"{name}: {habit.who} cannot be had with --live: {'it asks processes' if habit.program else f'it asks for {habit.asks}'}"
            raise ConfigError(msg, f"use asks: {', '.join(_ASKED)}, without program")
    kept = tuple(bound for bound in experiment.hypothesis if bound.probe in _SEEN)
    if not kept:
        msg = f"{name}: none of its claims can be measured with --live"
        raise ConfigError(msg, f"claim one of {', '.join(_SEEN)}")
    left = [
        f"{bound.probe} ({PROBES[bound.probe].about}): not known of real providers" for bound in experiment.hypothesis if bound not in kept
    ]
    stop = tuple(bound for bound in experiment.stop if bound.probe in _SEEN)
    return experiment._replace(hypothesis=kept, stop=stop, plans={}, quotas={}, untested=(*experiment.untested, *left))


def settled_live(settings: Settings, experiment: Experiment, folder: Path) -> Settings:
    """The user's settings, with stores in that folder and no others than the experiment's sources. Raises ConfigError."""
    asked = experiment.sources or tuple(settings.sources)
    sources = {n: told._replace(enabled=told.enabled and n in asked) for n, told in settings.sources.items()}
    if not any(told.enabled for told in sources.values()):
        msg = f"none of the sources of {experiment.name} is enabled: {', '.join(asked)}"
        raise ConfigError(msg, "set sources.NAME.enabled to true, or name other sources in the experiment")
    places = settings._replace(home=folder, ledger=folder / "ledger.db", store=folder / "bars.duckdb")
    return places._replace(record=None, sources=MappingProxyType(sources))
