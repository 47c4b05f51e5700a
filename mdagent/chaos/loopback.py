"""A scene of real time: the simulated providers behind sockets of loopback, toxic proxies before them, and the machine's clock."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from mdagent.agent import Agent
from mdagent.chaos.crowd import Crowd, CrowdClock
from mdagent.chaos.ear import Ear
from mdagent.chaos.scene import Scene, Switch
from mdagent.wire.faults import KINDS, FaultTransport, Plan
from mdagent.wire.sandbox import SandboxTransport
from mdagent.wire.sandbox.server import serve
from mdagent.wire.toxics import RunningProxies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from mdagent.config import Settings
    from mdagent.wire.faults import Injected


@dataclass(eq=False)
class LoopbackScene(Scene):
    """One run's place. Who asks while faults are on goes through a proxy where some fault needs one; the clock begins with the
    experiment's and runs as the machine's does."""

    real: ClassVar[bool] = True
    on: bool = False
    plan: Plan | None = None
    _proxies: RunningProxies | None = None

    def __post_init__(self) -> None:
        self.clock = self.machine = self._crowded = CrowdClock.starting_at(self.experiment.clock)
        self.market = SandboxTransport(self.clock, provider=self.provider())
        self.switch = Switch(self.market)
        names = [name for name, told in self.settings.sources.items() if told.enabled]
        self._server = serve(self.clock, names=names, provider=self.market.provider)
        self._straight = self.settings = _behind(self.settings, self._server.base_urls)
        self._names = _places(self._server.base_urls)

    def crew(self) -> Crowd:
        return Crowd(self._crowded)

    def source_of(self, host: str) -> str | None:
        return self._names.get(host)

    def agent(self, called: str, transport: httpx.AsyncBaseTransport, dice: Random) -> Agent:
        def around(sockets: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
            return transport.before(self._spoilt(sockets)) if isinstance(transport, Ear) else transport

        return Agent(self.settings, self.machine, dice=dice, around=around, called=called)

    def _spoilt(self, sockets: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """The sockets, behind the faults that no socket brings about."""
        return sockets if self.plan is None or not self.on else FaultTransport.of(self.plan, sockets, self.source_of)

    def inject(self) -> None:
        began, dice = self.clock.monotonic(), Random(f"{self.seed} faults")  # noqa: S311  chance is to be repeatable
        self.plan = self.market.provider.faults = Plan(self.experiment.faults, self.clock, dice, began)
        self.spans = [(f, began + f.start, began + f.start + f.seconds) for f in self.experiment.faults]
        self.on = True
        if any(KINDS[fault.kind].where == "proxy" for fault in self.experiment.faults):
            self._proxies = RunningProxies(self._server.base_urls, self.plan)
            self._names |= _places(self._proxies.base_urls)
            self.settings = _behind(self.settings, self._proxies.base_urls)

    def hands(self) -> list[tuple[float, Callable[[], None]]]:
        return []

    def roll_back(self) -> None:
        now, self.on, self.settings = self.clock.monotonic(), False, self._straight
        self.market.provider.faults = None
        if self._proxies is not None:
            self._proxies.close()
        self.spans = [(fault, start, min(end, now)) for fault, start, end in self.spans if start < now]

    @property
    def injected(self) -> tuple[Injected, ...]:
        return tuple(self.plan.events) if self.plan else ()

    def close(self) -> None:
        self._server.close()


def _behind(settings: Settings, urls: Mapping[str, str]) -> Settings:
    """The settings with these addresses in place of the providers' own."""
    sources = {name: told._replace(base_url=(urls[name],)) if name in urls else told for name, told in settings.sources.items()}
    return settings._replace(sources=MappingProxyType(sources))


def _places(urls: Mapping[str, str]) -> dict[str, str]:
    """Whose address each is, by `host:port`."""
    return {url.removeprefix("http://"): name for name, url in urls.items()}
