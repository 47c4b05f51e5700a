"""Experiments by chance: faults drawn from a seed; and of faults that break a hypothesis, the fewest that still do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from mdagent.chaos.experiment import Bound, Experiment, Habit, Phases
from mdagent.wire.faults import KINDS, Fault, completed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mdagent.chaos.drill import Outcome
    from mdagent.wire.faults import Kind, Setting

RANDOM = "random"
_SOURCES = ("yahoo", "twelvedata", "polygon", "tiingo")
_LASTS = 80.0
_MOST = 5  # faults in an experiment
_REAL_PLACES = ("transport", "provider", "truth")
_PLACES = (*_REAL_PLACES, "scene")
# What changes the count of a quota cannot be foreseen, so that a provider refuses; pages that never end cost the machine.
_NOT_BY_CHANCE = ("quota_cut", "downgraded", "endless", "bomb")
SOUND = tuple(
    (probe, 0.0) for probe in ("wrong_bars", "lost_bars", "duplicate_bars", "store_faults", "quota_violations", "uncounted_requests")
)
_CLAIMS = (("availability", 0.95), *SOUND, ("latency_max", 31.0))


def random_experiment(seed: int, *, real: bool = False) -> Experiment:
    """The same for the same seed. One source lies at most, and one is spared all faults, so that there is somebody to serve. `real`: of
    faults that real time knows."""
    dice, places = Random(f"{seed} experiment"), _REAL_PLACES if real else _PLACES  # noqa: S311  chance is to be repeatable
    spared, liar = dice.sample(_SOURCES, 2)
    clock = datetime(2024, 1, 8, 15, tzinfo=UTC) + timedelta(days=7 * dice.randrange(20), hours=dice.randrange(24))
    load = (
        Habit("prompt", "quote", 2.0, tuple(f"SYM{n:05}" for n in range(1, 11)), deadline=20.0, cross_check=1),
        Habit("chart", "fetch", 30.0, fresh=True, back=60 * 86400.0, deadline=30.0, cross_check=2),
        Habit("cron", "backfill", 60.0, fresh=True, together=2, deadline=50.0, after=5.0),
        Habit("watcher", "status", 20.0, after=1.0),
    )
    return Experiment(
        name=RANDOM,
        title=f"What chance makes of seed {seed}",
        clock=clock,
        load=load,
        hypothesis=tuple(Bound(*claim) for claim in _CLAIMS),
        faults=tuple(drawn_fault(dice, spared, liar, _SOURCES, places, _when) for _ in range(dice.randint(1, _MOST))),
        phases=Phases(10.0, _LASTS, 20.0),
        seed=seed,
        sources=_SOURCES,
    )


def _when(dice: Random, kind: Kind) -> tuple[float, float]:
    """In which second it begins, and how many it lasts. What befalls the machine is short."""
    start = round(dice.uniform(0.0, _LASTS * 0.6), 1)
    return start, dice.uniform(1.0, 4.0) if kind.where == "scene" else dice.uniform(5.0, _LASTS - start)


def drawn_fault(  # noqa: PLR0913, PLR0917  what chance may choose from
    dice: Random, spared: str, liar: str, sources: Sequence[str], places: Sequence[str], when: Callable[[Random, Kind], tuple[float, float]]
) -> Fault:
    """One of these places, of others than the spared source; `when` draws its beginning and how long it lasts, in seconds."""
    name = dice.choice([name for name, kind in KINDS.items() if kind.where in places and name not in _NOT_BY_CHANCE])
    kind = KINDS[name]
    others = [source for source in sources if source != spared]
    struck = (liar,) if kind.where == "truth" else tuple(dice.sample(others, dice.randint(1, len(others))))
    start, seconds = when(dice, kind)
    probability = 1.0 if dice.random() < 0.5 else round(dice.uniform(0.2, 0.9), 2)
    settings = {key: _drawn(dice, setting) for key, setting in kind.settings.items() if setting.choices and dice.random() < 0.5}
    return completed(Fault(name, struck, round(start, 1), round(seconds, 1), probability, settings))


def _drawn(dice: Random, setting: Setting) -> str:
    return dice.choice(setting.choices)


def broken_by(outcome: Outcome) -> frozenset[str]:
    """The claims that did not hold."""
    return frozenset(row.bound.probe for row in outcome.rows if False in row.held)


def smallest(broken: Outcome, run: Callable[[Experiment], Outcome], say: Callable[[str], None] = lambda _: None) -> Outcome:
    """The run with the fewest faults of a broken one that still breaks one of its claims."""
    claims, best, n = broken_by(broken), broken, 0
    while n < len(best.experiment.faults) and len(best.experiment.faults) > 1:
        faults = best.experiment.faults
        fewer = run(best.experiment._replace(faults=faults[:n] + faults[n + 1 :]))
        still = broken_by(fewer) & claims
        say(f"without {faults[n].kind}: {'still breaks ' + ', '.join(sorted(still)) if still else 'holds'}")
        if still:
            best = fewer
        else:
            n += 1
    return best


def as_yaml(experiment: Experiment) -> str:
    """A file that makes the experiment again, to be kept under a name of its own."""
    lines = [
        f"title: {experiment.title}",
        f"clock: {experiment.clock:%Y-%m-%dT%H:%M:%SZ}",
        f"seed: {experiment.seed}",
        f"sources: [{', '.join(experiment.sources)}]",
        f"latency: {experiment.latency:g}s",
        "phases: {" + ", ".join(f"{name}: {seconds:.12g}s" for name, seconds in experiment.phases._asdict().items()) + "}",
        "load:",
        *(f"  - {_habit(habit)}" for habit in experiment.load),
        "hypothesis:",
        *(f"  {bound.probe}: {bound.limit:g}" for bound in experiment.hypothesis),
        "faults:",
        *(f"  - {_told(fault)}" for fault in experiment.faults),
    ]
    return "\n".join(lines) + "\n"


def _habit(habit: Habit) -> str:
    told = {
        "who": habit.who,
        "asks": habit.asks,
        "every": f"{habit.every:.12g}s",
        "symbols": f"[{', '.join(habit.symbols)}]" if habit.symbols else None,
        "fresh": "true" if habit.fresh else None,
        "together": habit.together if habit.together > 1 else None,
        "interval": habit.interval,
        "back": f"{habit.back:.12g}s",
        "deadline": f"{habit.deadline:.12g}s",
        "after": f"{habit.after:.12g}s" if habit.after else None,
        "cross_check": habit.cross_check or None,
        "hours": f"[{habit.hours[0]:g}, {habit.hours[1]:g}]" if habit.hours else None,
    }
    return _flow(told)


def _told(fault: Fault) -> str:
    told = {
        "kind": fault.kind,
        "sources": f"[{', '.join(fault.sources)}]" if fault.sources else None,
        "start": f"{fault.start:.12g}s",
        "for": f"{fault.seconds:.12g}s" if fault.seconds < float("inf") else None,
        "probability": f"{fault.probability:g}",
    }
    return _flow(told | {key: f'"{value}"' if isinstance(value, str) else f"{value:.12g}" for key, value in fault.settings.items()})


def _flow(told: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in told.items() if value is not None) + "}"
