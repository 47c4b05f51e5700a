"""One run of an experiment: hypothesis, faults, probes, roll-back, hypothesis; and the verdict."""

from __future__ import annotations

import gc
import os
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, NamedTuple

from mdagent.chaos.experiment import PHASES, Bound, Experiment
from mdagent.chaos.load import Desk
from mdagent.chaos.probes import PROBES, Machine, Phase, Sample, holds
from mdagent.chaos.scene import Scene, roomy, settled
from mdagent.chaos.truth import compare, set_aside
from mdagent.errors import ConfigError
from mdagent.store.soundness import BAD, looks
from mdagent.wire.faults import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdagent.chaos.crew import Crew
    from mdagent.chaos.crowd import Crowd
    from mdagent.chaos.probes import Called
    from mdagent.chaos.scene import Books
    from mdagent.config import Settings
    from mdagent.wire.faults import Injected

Verdict = Literal["held", "deviated", "failed", "aborted", "interrupted"]
_PIECES = 10  # of a phase: the first is not counted where memory is, and as often progress is told
_LOOKS = 200  # at memory, in a phase
_TOLD = 10.0, 600.0  # seconds between two lines of progress in real time, at least and at most
_HOUR = 3600.0
_ENOUGH = 20  # samples before a share may stop a run
_LOOK_AT_STOP = 10  # calls between two looks


class Row(NamedTuple):
    """One claim of the hypothesis: its limit, and what was found in each phase. `held` is None where the phase was not reached."""

    bound: Bound
    samples: tuple[Sample | None, ...]
    held: tuple[bool | None, ...]


class Outcome(NamedTuple):
    """All that a run has shown. `why` says in a sentence how the verdict came about."""

    experiment: Experiment
    seed: int
    verdict: Verdict
    why: str
    rows: tuple[Row, ...]
    phases: tuple[Phase, ...]
    injected: tuple[Injected, ...]
    settings: Settings
    real: bool = False
    live: bool = False


def run(  # noqa: PLR0913  what is run, where, and who hears of it
    experiment: Experiment,
    settings: Settings,
    seed: int | None = None,
    say: Callable[[str], None] = lambda _: None,
    *,
    real: bool = False,
    budget: int | None = None,
) -> Outcome:
    """Run it against the sandbox in a folder that is gone afterwards, on virtual time or, when `real`, on the machine's and over sockets of
    loopback; a SIGINT rolls back, too. With a `budget` it runs against real providers, who are sent so many requests at most. Raises
    ConfigError."""
    if budget is not None:
        return _live(experiment, settings, experiment.seed if seed is None else seed, say, budget)
    real = real or experiment.real_time
    experiment = experiment.on_machine_time() if real else experiment
    _refuse(experiment, real=real)
    with TemporaryDirectory(prefix=f"mdagent-chaos-{os.getpid()}-", dir=roomy()) as folder:
        scene = _place(experiment, real=real)(
            experiment, experiment.seed if seed is None else seed, settled(settings, experiment, Path(folder))
        )
        with closing(scene), scene.books() as ledger:
            return _Run(scene, ledger, say).whole()


def _live(experiment: Experiment, settings: Settings, seed: int, say: Callable[[str], None], budget: int) -> Outcome:
    from mdagent.chaos.live import LiveScene, lived, settled_live

    experiment = lived(experiment.on_machine_time(), settings)
    with TemporaryDirectory(prefix=f"mdagent-chaos-{os.getpid()}-", dir=roomy()) as folder:
        scene = LiveScene(experiment, seed, settled_live(settings, experiment, Path(folder)), budget=budget, truly=settings)
        with closing(scene), scene.books() as ledger:
            return _Run(scene, ledger, say).whole()


def _place(experiment: Experiment, *, real: bool) -> type[Scene]:
    if not real:
        return Scene
    if needs_processes(experiment):
        from mdagent.chaos.host import HostScene, refuse_without_namespaces

        refuse_without_namespaces(experiment.faults)
        return HostScene
    from mdagent.chaos.loopback import LoopbackScene

    return LoopbackScene


def needs_processes(experiment: Experiment) -> bool:
    """Is there anything in it that only a mdagent of its own can show?"""
    return any(KINDS[fault.kind].where == "host" for fault in experiment.faults) or any(habit.program for habit in experiment.load)


def _refuse(experiment: Experiment, *, real: bool) -> None:
    """Raises ConfigError for a fault, or a habit, that this time does not know."""
    for habit in experiment.load:
        if habit.program and not real:
            msg = f"{experiment.name}: {habit.who} asks processes of the machine, and time is simulated here"
            raise ConfigError(msg, "add --real-time, or real_time: true to the file")
        if habit.source and not experiment.quotas.get(habit.source):
            msg = f"{experiment.name}: {habit.who} asks round the resets of {habit.source}, whose quota is not told"
            raise ConfigError(msg, f"add quotas: {{{habit.source}: [{{limit: 4, per: day}}]}}")
    for kind in dict.fromkeys(fault.kind for fault in experiment.faults):
        where = KINDS[kind].where
        if where == "proxy" and not real:
            msg = f"{experiment.name}: fault {kind} needs real sockets, and time is simulated here"
            raise ConfigError(msg, "add --real-time")
        if where == "host" and not real:
            msg = f"{experiment.name}: fault {kind} strikes processes of the machine, and time is simulated here"
            raise ConfigError(msg, "add --real-time, or real_time: true to the file")
        if where == "transport" and any(KINDS[one.kind].where == "host" for one in experiment.faults):
            msg = f"{experiment.name}: fault {kind} is injected where a request leaves, and here processes send them by themselves"
            raise ConfigError(msg, "use one of the proxy (mdagent chaos list --faults), or leave out those of the host")
        if where == "scene" and real:
            msg = f"{experiment.name}: fault {kind} is one of simulated time, and cannot be had with --real-time"
            raise ConfigError(msg, "leave out --real-time, or that fault")


@dataclass(eq=False)
class _Watch:
    """How often each breaker changed its state."""

    ledger: Books
    changes: Counter[str] = field(default_factory=Counter)
    _known: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        for account, endpoint, generation in self.ledger.rows("SELECT account, endpoint, generation FROM breakers"):
            name = f"{account.partition(':')[0]} {endpoint}".strip()
            before = self._known.get(name, 0)
            self.changes[name] += generation - before if generation >= before else generation
            self._known[name] = generation


@dataclass(eq=False)
class _Run:
    scene: Scene
    ledger: Books
    say: Callable[[str], None]
    phases: list[Phase] = field(default_factory=list)
    stopped: str = ""
    sizes: list[tuple[float, float]] = field(default_factory=list)
    told: float = 0.0
    reached: str = PHASES[0]

    def __post_init__(self) -> None:
        scene = self.scene
        self.desk = Desk(scene.clock, scene.seed, scene.agent, scene.switch, scene.source_of, scene.works, scene.experiment.quotas)
        self.people = [scene.person(habit, self.desk, n) for n, habit in enumerate(scene.experiment.load)]
        self.watch = _Watch(self.ledger)
        self.weighed = any(bound.probe == "memory_slope" for bound in scene.experiment.hypothesis)

    def whole(self) -> Outcome:
        """Phase by phase, as far as it goes."""
        experiment = self.scene.experiment
        try:
            self._phase("before", experiment.phases.before)
            if (early := self._stopped()) is not None:
                return early
            if not self._hold("before"):
                return self._outcome("failed", "the hypothesis did not hold before anything was injected")
            try:
                self.scene.inject()
                self._phase("during", experiment.phases.during)
            finally:
                self.scene.roll_back()
            if (early := self._stopped()) is not None:
                return early
            self._phase("after", experiment.phases.after)
            if (early := self._stopped()) is not None:
                return early
        except KeyboardInterrupt:
            return self._outcome("interrupted", f"interrupted {self.reached} the faults")
        told = [(f"{row.bound.probe} {name}", held) for row in self._rows() for name, held in zip(PHASES, row.held, strict=True)]
        broken = [name for name, held in told if held is False]
        return self._outcome("deviated", f"not kept: {', '.join(broken)}") if broken else self._outcome("held", "every claim held")

    def _stopped(self) -> Outcome | None:
        return self._outcome("aborted", self.stopped) if self.stopped else None

    def _phase(self, name: str, seconds: float) -> None:
        """Live through it; what was seen is kept, however it ends."""
        self.reached, self.told = name, self.scene.clock.monotonic()
        self.sizes.clear()
        before = _Before(self)
        until = self.scene.clock.monotonic() + seconds
        crew = self.scene.crew()
        self.desk.after_each = lambda call: self._after(call, crew, before, name)
        try:
            self.say(f"{name} the faults: {seconds:g} s of {len(self.people)} who ask")
            hands = self.scene.hands() if name == "during" else []
            crew.run([*((person.habit.after, partial(person.live, until)) for person in self.people), *hands])
            rest = until - self.scene.clock.monotonic()
            if not crew.over and rest > 0:
                self.scene.clock.pause(rest)
        finally:
            self.phases.append(before.phase(name, audited=not crew.over))

    def _after(self, call: Called, crew: Crew | Crowd, before: _Before, name: str) -> None:
        with crew.lock:
            self._look(call, crew, before, name)

    def _look(self, _call: Called, crew: Crew | Crowd, before: _Before, name: str) -> None:
        self.watch.look()
        lasts, now = getattr(self.scene.experiment.phases, name), self.scene.clock.monotonic()
        if self.weighed and (not self.sizes or now - self.sizes[-1][0] >= lasts / _LOOKS):
            self.sizes.append((now, _memory()))
        if self.scene.real and now - self.told >= min(max(_TOLD[0], lasts / _PIECES), _TOLD[1]):
            self.told = now
            self._tell(name, now - before.began, self.desk.calls[before.calls :])
        if self.scene.spent:
            self.stopped = f"stopped: {self.scene.spent}"
            crew.stop()
        stop = self.scene.experiment.stop
        if name != "during" or not stop or len(self.desk.calls) % _LOOK_AT_STOP:
            return
        so_far = before.phase(name, audited=False)
        for bound in stop:
            probe = PROBES[bound.probe]
            sample = probe.measure(so_far)
            if sample is not None and sample.count >= (_ENOUGH if probe.unit == "share" else 1) and not holds(probe, sample, bound.limit):
                self.stopped = f"stopped: {bound.probe} was {sample.value:g}, beyond {bound.limit:g}"
                crew.stop()

    def _tell(self, name: str, seconds: float, calls: Sequence[Called]) -> None:
        able = [call for call in calls if call.servable]
        good, struck = sum(not call.why for call in able), len(self.scene.injected)
        self.say(f"{name} the faults, {seconds:.0f} s: {good} of {len(able)} answered, faults struck {struck} times")

    def _hold(self, name: str) -> bool:
        place = PHASES.index(name)
        return all(row.held[place] is not False for row in self._rows())

    def _rows(self) -> tuple[Row, ...]:
        return tuple(_row(bound, self.phases) for bound in self.scene.experiment.hypothesis)

    def _outcome(self, verdict: Verdict, why: str) -> Outcome:
        scene = self.scene
        return Outcome(
            scene.experiment,
            scene.seed,
            verdict,
            why,
            self._rows(),
            tuple(self.phases),
            scene.injected,
            scene.settings,
            scene.real,
            scene.live,
        )


def _row(bound: Bound, phases: Sequence[Phase]) -> Row:
    probe, seen = PROBES[bound.probe], {phase.name: phase for phase in phases}
    samples = tuple(probe.measure(seen[name]) if name in seen else None for name in PHASES)
    held = tuple(
        holds(probe, sample, bound.limit) if name in seen and name in probe.phases else None
        for name, sample in zip(PHASES, samples, strict=True)
    )
    return Row(bound, samples, held)


@dataclass(eq=False)
class _Before:
    """How everything stood when a phase began, so that what came of it can be told."""

    run: _Run

    def __post_init__(self) -> None:
        run = self.run
        self.began = run.scene.clock.monotonic()
        self.calls, self.heard = len(run.desk.calls), len(run.desk.heard)
        self.logged, self.overruns = len(run.scene.market.provider.log), len(run.scene.market.provider.overruns)
        self.token = run.ledger.rows("SELECT coalesce(max(id), 0) FROM attempts")[0][0]
        self.changes = Counter(run.watch.changes)
        gc.collect()
        self.memory, self.files = _memory(), _files()

    def phase(self, name: str, *, audited: bool) -> Phase:
        """The phase that ends now; with what the store holds, where it is audited."""
        run, desk = self.run, self.run.desk
        over = Counter(run.scene.market.provider.overruns[self.overruns :])
        log = run.scene.market.provider.log[self.logged :]
        seen = Counter(run.scene.source_of(one.host) or one.host for one in log)
        ours = run.ledger.rows("SELECT source, count(*) FROM attempts WHERE id > ? AND state <> 'refunded' GROUP BY source", self.token)
        audit = _audit(run) if audited else _Audit(len(desk.served), dict(desk.wrong), 0, 0, 0)
        grown = Machine(max(0.0, _memory() - self.memory), max(0, _files() - self.files)) if audited else Machine()
        return Phase(
            name,
            self.began,
            run.scene.clock.monotonic(),
            tuple(desk.calls[self.calls :]),
            tuple(desk.heard[self.heard :]),
            seen - over,
            dict(ours),
            over,
            +(run.watch.changes - self.changes),
            audit.bars,
            audit.wrong,
            audit.lost,
            audit.twice,
            grown,
            run.scene.end,
            audit.faults,
            run.scene.held_locks,
            run.scene.broken_locks,
            len(run.scene.injected) if name == "during" else 0,
            Counter(one.agent for one in log),
            slope(run.sizes, self.began, run.scene.clock.monotonic()),
        )


class _Audit(NamedTuple):
    bars: int
    wrong: dict[tuple[str, str, int], str]
    lost: int
    twice: int
    faults: int


def _audit(run: _Run) -> _Audit:
    """What the store says now of every bar that was ever asked for, against the truth and against the answers."""
    desk, agent = run.desk, run.people[0].desk.agent
    wrong, twice, faults, there, aside = dict(desk.wrong), 0, 0, set(), set()
    with agent("audit", run.scene.market, run.people[0].dice) as auditor:
        if auditor.store.exists():
            with auditor.store.reading("chaos") as reader:
                if "store_faults" in run.scene.experiment.probed:  # a long look, which is for those who ask for it
                    faults = sum(look.wrong for look in looks(reader.ask, auditor.clock.now()) if look.state == BAD)
                for (name, interval), request in sorted(desk.windows.items()):
                    found = compare(reader.bars([request]), request, run.scene.clock.now())
                    twice += found.twice
                    there |= {(name, interval, stamp) for stamp in found.stamps}
                    wrong |= {(name, interval, stamp): letter for stamp, letter in found.wrong.items()}
                for name, interval in {key[:2] for key in desk.served - there}:
                    aside |= {(name, interval, stamp) for stamp in set_aside(reader, desk.windows[name, interval])}
    return _Audit(len(there), wrong, len(desk.served - there - aside), twice, faults)


def slope(sizes: Sequence[tuple[float, float]], began: float, ended: float) -> float | None:
    """By how much what was weighed grew in an hour: from the second tenth of the phase to its last, by the median of each. None where it
    was not weighed in one of them, or the phase was shorter than an hour."""
    tenth = (ended - began) / _PIECES
    early = [size for at, size in sizes if began + tenth <= at < began + 2 * tenth]
    late = [size for at, size in sizes if at >= ended - tenth]
    if ended - began < _HOUR or not early or not late:
        return None
    return (median(late) - median(early)) / (8 * tenth / _HOUR)


def _memory() -> float:
    """MiB that the process holds now; 0 where that cannot be told."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _files() -> int:
    """Files that are open now; 0 where that cannot be told."""
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        return 0
