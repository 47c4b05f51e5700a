"""Costs of whole processes, and the medians of runs that take turns."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds: on the wall, and of the processor (user and system, all threads)."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Contest:
    """One measurement: what ours and the other cost, in medians of interleaved runs, and how much more ours may cost."""

    name: str
    ours: Cost
    other: Cost
    goal: float | None

    @property
    def ratio(self) -> Cost:
        return Cost(self.ours.wall / self.other.wall, self.ours.cpu / self.other.cpu)

    @property
    def verdict(self) -> str:
        """By processor time: other work on the machine lengthens the wall's, and not both runs alike."""
        return "" if self.goal is None else "met" if self.ratio.cpu <= self.goal else "MISSED"


def process(words: Sequence[str], environ: Mapping[str, str]) -> tuple[Cost, bytes]:
    """Run to the end; the cost of that one process, and its standard output."""
    began = time.perf_counter()
    child = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout is not None
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    assert child.returncode == 0, f"{words} ended with {child.returncode}"
    return Cost(wall, usage.ru_utime + usage.ru_stime), out


def call(work: Callable[[], None]) -> Cost:
    """The cost of a call in this process, threads included."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def contest(name: str, ours: Callable[[], Cost], other: Callable[[], Cost], *, rounds: int, goal: float | None) -> Contest:
    """Let the two take turns, so that whatever else the machine does falls on both; the first turn of each warms up."""
    ours(), other()
    costs = [(ours(), other()) for _ in range(rounds)]
    mine, theirs = ([pair[i] for pair in costs] for i in (0, 1))
    return Contest(name, _middle(mine), _middle(theirs), goal)


def _middle(costs: Sequence[Cost]) -> Cost:
    return Cost(median(c.wall for c in costs), median(c.cpu for c in costs))
