"""What an experiment is: a load, a hypothesis about it, faults, and when to stop. Frozen; read from YAML elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mdagent.config.kinds import LimitSettings
    from mdagent.wire.faults import Fault

Asks = Literal["quote", "fetch", "backfill", "read", "status", "resets"]
PHASES = ("before", "during", "after")


class Habit(NamedTuple):
    """What one person, cron job or program asks, every so many seconds: of `symbols` one after another, `together` at once; with `fresh`
    each time of symbols that nobody has asked for yet. Bars of `interval` reach `back` seconds; an answer that takes longer than
    `deadline` is none. `after`: seconds from the start of a phase to the first time. `cross_check`: so many further sources are asked, too.
    `hours`: asked from Monday to Friday between these hours (UTC) only. `source`: of `resets`, the one whose calendar quota is asked for
    all that it allows. `program`: asked of a mdagent that is a process of its own."""

    who: str
    asks: Asks
    every: float
    symbols: tuple[str, ...] = ()
    fresh: bool = False
    together: int = 1
    interval: str = "1d"
    back: float = 30 * 86400.0
    deadline: float = 10.0
    after: float = 0.0
    cross_check: int = 0
    hours: tuple[float, float] | None = None
    source: str = ""
    program: bool = False


class Bound(NamedTuple):
    """A probe, and the number that it may not pass."""

    probe: str
    limit: float


class Phases(NamedTuple):
    """Seconds that the load goes on before, during and after the faults."""

    before: float = 60.0
    during: float = 300.0
    after: float = 120.0


class Experiment(NamedTuple):
    """One experiment. `sources`: those that are asked (none named: all that the settings enable), `plans` the plan of each; `latency`:
    seconds that each takes to answer; `quotas` the quota of a source, as the settings and as the provider itself count it;
    `real_time`: it runs on the machine's time, without being asked to; `in_real_time`: limits that take the place of others there, where
    computing takes time, too; `observe_only`: breakers refuse nothing, as the setting of that
    name has it; `drills`: the numbers of the drills that it covers; `untested`: what it does not show."""

    name: str
    title: str
    clock: datetime
    load: tuple[Habit, ...]
    hypothesis: tuple[Bound, ...]
    faults: tuple[Fault, ...] = ()
    stop: tuple[Bound, ...] = ()
    phases: Phases = Phases()
    seed: int = 1
    sources: tuple[str, ...] = ()
    plans: Mapping[str, str] = {}
    latency: float = 0.1
    quotas: Mapping[str, tuple[LimitSettings, ...]] = {}
    real_time: bool = False
    in_real_time: tuple[Bound, ...] = ()
    observe_only: bool = False
    drills: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()
    about: str = ""

    def on_machine_time(self) -> Experiment:
        """With the limits that hold there."""
        other = {bound.probe: bound for bound in self.in_real_time}
        return self._replace(hypothesis=tuple(other.get(bound.probe, bound) for bound in self.hypothesis), in_real_time=())

    @property
    def probed(self) -> frozenset[str]:
        """The probes of which something is claimed."""
        return frozenset(bound.probe for bound in (*self.hypothesis, *self.stop))
