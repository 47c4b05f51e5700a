"""Drill D12 in virtual time: eight gates, as eight processes have them, share one key for ten minutes against a provider that counts
for itself.

What is usable: a client counts the provider's 60 s over 62 s, since a request takes up to 2 s to get there. So a burst of 60 goes at
once, and 60 more every 62 s: ten bursts in ten minutes, the first at 0 s and the last at 558 s, which is 600 requests; of 500 a day the
last goes in the ninth burst, soon after 496 s.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import VirtualClock, virtual_loop
from mdagent.errors import StoreError
from mdagent.guard.limits import Window
from mdagent.guard.outcome import FailureKind
from mdagent.market import Priority
from mdagent.store.ledger import open_ledger
from mdagent.wire.bounds import Limits
from mdagent.work.gate import Call, Gate, Policy
from tests.work.played import SPEC, START, Parrot, says

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from mdagent.work.gate import Result

GATES, MINUTE, A_MINUTE, A_DAY, TEN_MINUTES = 8, 60.0, 60, 500, 600.0
BURST = 62.0  # seconds from one to the next
ROLLING, DAILY = Window(A_MINUTE, MINUTE), Window(A_DAY, "day")


@dataclass
class Machine:
    """Eight processes on one machine, and the provider. Each keeps `side_by_side` requests under way, as many as a source lets one
    process have at once. `arrived`: when the provider saw each request; `gone`: when its answer was there, by gate."""

    path: Path
    windows: tuple[Window, ...] = (ROLLING, DAILY)
    side_by_side: int = 2
    classes: tuple[Priority, ...] = (Priority.HIGH,)
    seed: int = 7
    arrived: list[float] = field(default_factory=list)
    refused: int = 0
    gone: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    waited: dict[Priority, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.clock, self.dice = VirtualClock(START), random.Random(self.seed)
        self.policy = Policy(self.windows, Limits(), self.side_by_side, SPEC.cooldown, SPEC.bases)
        self.gates = [self.gate(n) for n in range(GATES)]

    def gate(self, number: int) -> Gate:
        """Of a process: a connection of its own to the ledger that all share."""
        ledger = open_ledger(self.path, self.clock)
        return Gate(ledger, self, self.clock, self.dice, f"run-{number}", lambda _: self.policy, lambda _: None, "live")

    async def send(self, request: httpx.Request, limits: Limits) -> httpx.Response:
        """The wire and the provider: from 0 to 2 s there and back, some of it on the way there; and a count that nobody else sees."""
        del request, limits
        seconds = self.dice.uniform(0.0, 2.0)
        there = self.dice.uniform(0.0, seconds)
        await self.clock.sleep(there)
        now = self.clock.monotonic()
        if sum(at > now - MINUTE for at in self.arrived) >= A_MINUTE or (DAILY in self.windows and len(self.arrived) >= A_DAY):
            self.refused += 1
            return says("slow down", 429, retry_after="5")
        self.arrived.append(now)
        await self.clock.sleep(seconds - there)
        return says()

    async def work(self, number: int, priority: Priority) -> None:
        """One request after another, until the day's quota is spent. The wait is over when the answer comes, or never."""
        while True:
            began = self.clock.monotonic()
            try:
                result = await self.ask(number, priority)
            finally:
                self.waited[priority].append(self.clock.monotonic() - began)
            if result.failure is not None:
                assert result.failure.kind is FailureKind.THROTTLED
                assert "500 per day" in result.failure.detail
                return
            self.gone[number].append(self.clock.monotonic())

    async def ask(self, number: int, priority: Priority) -> Result[list[str]]:
        call = Call("bars", "AAPL", self.clock.monotonic() + 60.0, patience=2 * TEN_MINUTES, priority=priority)
        return await self.gates[number].converse(Parrot(), lambda: Parrot().talk("x"), call)

    def run(self, *, killed: bool = False) -> Machine:
        """Ten minutes of it; in the middle half of the processes are `killed`."""
        with asyncio.Runner(loop_factory=lambda: virtual_loop(self.clock)) as runner:
            runner.run(self._all(killed=killed))
        for gate in self.gates:
            gate.ledger.close()
        return self

    async def _all(self, *, killed: bool) -> None:
        places = [(n, self.classes[n % len(self.classes)]) for n in range(GATES) for _ in range(self.side_by_side)]
        tasks = [asyncio.create_task(self.work(*place)) for place in places]
        await self.clock.sleep(TEN_MINUTES / 2)
        half = len(tasks) // 2
        if killed:
            await self._kill(tasks[half:], self.gates[GATES // 2 :])
        await self.clock.sleep(TEN_MINUTES / 2)
        await self._kill(tasks[:half] if killed else tasks, [])

    async def _kill(self, tasks: list[asyncio.Task[None]], gates: list[Gate]) -> None:
        """As SIGKILL does: nothing is settled and no place in the queue is given up, since the ledger is closed before."""
        for gate in gates:
            gate.ledger.close()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, StoreError):
                await task

    def usable(self, until: float) -> int:
        """So many requests the quota lets through before that second."""
        bursts = A_MINUTE * (1 + int((until - 0.001) // BURST))
        return min(bursts, A_DAY) if DAILY in self.windows else bursts


def most_in(arrived: list[float], seconds: float) -> int:
    """The most in any span of that length, whenever it begins."""
    return max(sum(first <= at < first + seconds for at in arrived) for first in arrived)


def check_quota(some: Machine) -> None:
    """By the provider's own count: rolling, and in fixed minutes of every phase; a day's quota; and it refused nothing."""
    assert some.refused == 0
    assert most_in(some.arrived, MINUTE) <= A_MINUTE
    for phase in range(60):
        minutes = [int((at + phase) // MINUTE) for at in some.arrived]
        assert max(map(minutes.count, set(minutes))) <= A_MINUTE
    assert DAILY not in some.windows or len(some.arrived) <= A_DAY


def check_throughput(some: Machine, share: float = 0.95) -> None:
    """Before each burst begins nearly all that was usable until then has been used; at the end, too."""
    for until in [BURST * n for n in range(1, 10)] + [TEN_MINUTES]:
        arrived = sum(at < until for at in some.arrived)
        assert arrived >= share * some.usable(until), f"{arrived} of {some.usable(until)} until {until:.0f} s"


@pytest.mark.parametrize("windows", [(ROLLING,), (ROLLING, DAILY)], ids=["60 a minute", "and 500 a day"])
def test_eight_processes_stay_inside_the_quota_use_it_up_and_share_it_fairly(tmp_path: Path, windows: tuple[Window, ...]) -> None:
    some = Machine(tmp_path / "ledger.db", windows).run()
    check_quota(some)
    check_throughput(some)
    equal = some.usable(TEN_MINUTES) / GATES
    shares = [len(some.gone[n]) for n in range(GATES)]
    assert min(shares) >= equal / 2, shares


@pytest.mark.parametrize("windows", [(ROLLING,), (ROLLING, DAILY)], ids=["60 a minute", "and 500 a day"])
def test_when_half_of_them_are_killed_the_others_take_over_what_is_left(tmp_path: Path, windows: tuple[Window, ...]) -> None:
    some = Machine(tmp_path / "ledger.db", windows).run(killed=True)
    check_quota(some)
    check_throughput(some)
    assert all(at <= TEN_MINUTES / 2 for n in range(GATES // 2, GATES) for at in some.gone[n])
    shares = [len(some.gone[n]) for n in range(GATES // 2)]
    assert min(shares) >= sum(shares) / len(shares) / 2, shares


def test_the_places_of_the_dead_in_the_queue_are_lost_for_no_longer_than_they_are_kept(tmp_path: Path) -> None:
    """Eight requests of each process wait at 300 s, when 32 of the 64 die. At 310 s 60 may go: 32 of the living go at once, and with the
    5 s over by 315 s the other 28 follow within the same burst."""
    some = Machine(tmp_path / "ledger.db", (ROLLING,), side_by_side=8).run(killed=True)
    check_quota(some)
    assert sum(5 * BURST <= at < 6 * BURST for at in some.arrived) >= 0.95 * A_MINUTE
    check_throughput(some)


def test_the_better_class_waits_less(tmp_path: Path) -> None:
    """Two gates of each class, and more to do than the quota allows."""
    classes = (Priority.HIGH, Priority.NORMAL, Priority.LOW, Priority.BATCH)
    some = Machine(tmp_path / "ledger.db", (ROLLING,), classes=classes).run()
    check_quota(some)
    check_throughput(some)
    waits = [mean(some.waited[priority]) for priority in classes]
    assert waits == sorted(waits), waits
    assert waits[0] < waits[-1] / 4, waits
    assert all(some.gone[n] for n in range(GATES)), "and the least of them is served, too"
