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

    from mdagent.chaos.experiment import Experiment
    from mdagent.config import Settings

_given: dict[str, Any] = {}  # what a forked process was born with: settings cannot be pickled


def run_all(experiments: Sequence[Experiment], settings: Settings, seed: int | None = None, jobs: int = 0) -> Iterator[dict[str, Any]]:
    """The report of each, in their order, as soon as it is there. `jobs` run at once; 0: as many as there are processors."""
    jobs = min(jobs or os.cpu_count() or 1, len(experiments))
    if jobs < 2 or "fork" not in multiprocessing.get_all_start_methods():
        yield from (_report(one, settings, seed) for one in experiments)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork"), _born, (experiments, settings, seed)) as pool:
        try:
            yield from pool.map(_numbered, range(len(experiments)))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


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
