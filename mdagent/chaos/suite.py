"""Many experiments, some at a time, each in a process of its own where the machine can."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from mdagent.chaos.drill import run
from mdagent.chaos.report import report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdagent.chaos.experiment import Experiment, Habit
    from mdagent.config import Settings

_given: dict[str, Any] = {}  # what a forked process was born with: settings cannot be pickled


def run_all(experiments: Sequence[Experiment], settings: Settings, seed: int | None = None, jobs: int = 0) -> Iterator[dict[str, Any]]:
    """The report of each, in their order, as soon as it is there. `jobs` run at once, the long ones first, so that none is left alone at
    the end; 0: as many as there are processors."""
    jobs = min(jobs or os.cpu_count() or 1, len(experiments))
    if jobs < 2 or "fork" not in multiprocessing.get_all_start_methods():
        yield from (_report(one, settings, seed) for one in experiments)
        return
    _get_ready(experiments)
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork"), _born, (experiments, settings, seed)) as pool:
        try:
            longest_first = sorted(range(len(experiments)), key=lambda n: -toil(experiments[n]))
            coming = {n: pool.submit(_numbered, n) for n in longest_first}
            yield from (coming[n].result() for n in range(len(experiments)))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_TOIL = {
    "quote": 1.0,
    "fetch": 20.0,
    "backfill": 20.0,
    "status": 0.2,
    "read": 10.0,
    "resets": 0.12,
}  # what a call takes to compute, measured roughly
_ONE_MORE = 0.2  # of that, what another symbol of the same call takes


def toil(experiment: Experiment) -> float:
    """How long it takes to compute, in quotes."""
    return sum(experiment.phases) * sum(_TOIL[one.asks] * _share_of_a_day(one) * _crowd(one) / one.every for one in experiment.load)


def _crowd(habit: Habit) -> float:
    return 1 + _ONE_MORE * (habit.together - 1)


def _share_of_a_day(habit: Habit) -> float:
    return 1.0 if habit.hours is None else (habit.hours[1] - habit.hours[0]) / 24


def _get_ready(experiments: Sequence[Experiment]) -> None:
    """What takes long and all of them need is made once, before they are forked."""
    from mdagent.wire.sandbox.market import hours
    from mdagent.wire.sandbox.tickers import listing

    named = [symbol for one in experiments for habit in one.load for symbol in habit.symbols[:1]]
    for calendar in dict.fromkeys(found.calendar for symbol in named if (found := listing(symbol))):
        hours(calendar)


def _born(experiments: Sequence[Experiment], settings: Settings, seed: int | None) -> None:
    _given.update(experiments=experiments, settings=settings, seed=seed)


def _numbered(number: int) -> dict[str, Any]:
    return _report(_given["experiments"][number], _given["settings"], _given["seed"])


def _report(experiment: Experiment, settings: Settings, seed: int | None) -> dict[str, Any]:
    outcome = run(experiment, settings, seed)
    if outcome.verdict == "interrupted":
        raise KeyboardInterrupt
    return report(outcome, f"mdagent chaos run {experiment.name} --seed {outcome.seed}")


COLUMNS = ("experiment", "drills", "verdict", "availability", "wrong A/B", "lost", "failover p95", "over quota", "faults met")


def row_of(told: dict[str, Any]) -> tuple[object, ...]:
    """One report as a row of `COLUMNS`; availability as a fraction."""
    able = told["availability"]["all"]
    wrong = sum(n for phase in told["bars"].values() for letter, n in phase["wrong_by_grade"].items() if letter in "AB")
    failover = told["failover_seconds"].get("during", {}).get("p95")
    over = sum(of["over"] for phase in told["quota"].values() for of in phase.values())
    return (
        told["experiment"],
        " ".join(told["drills"]) or "-",
        told["verdict"],
        f"{able['answered']}/{able['asked']}",
        wrong,
        max((phase["lost"] for phase in told["bars"].values()), default=0),
        "-" if failover is None else f"{failover:.3f} s",
        over,
        sum(fault["struck"] for fault in told["faults"]),
    )
