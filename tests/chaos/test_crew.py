"""Threads that share a simulated time: one after another, in the order in which they are due."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

import pytest

from mdagent.chaos.crew import Crew, SharedClock
from mdagent.work.run import to_the_end

START = datetime(2024, 1, 2, tzinfo=UTC)


def test_who_is_due_first_has_the_turn() -> None:
    clock, told = SharedClock(START), []

    def walk(name: str, step: float) -> None:
        for _ in range(3):
            told.append((clock.monotonic(), name))
            clock.pause(step)

    Crew(clock).run([(0.0, partial(walk, "a", 2.0)), (1.0, partial(walk, "b", 3.0))])
    assert told == [(0.0, "a"), (1.0, "b"), (2.0, "a"), (4.0, "b"), (4.0, "a"), (7.0, "b")]
    assert clock.monotonic() == 10.0


def test_event_loops_beside_each_other_share_the_time() -> None:
    clock, told = SharedClock(START), []

    async def ticking(name: str, step: float) -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(2):
                group.create_task(one(f"{name}{n}", step * (n + 1)))

    async def one(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        told.append((clock.monotonic(), name))

    Crew(clock).run([(0.0, lambda: to_the_end(ticking("a", 2.0), clock)), (0.5, lambda: to_the_end(ticking("b", 1.0), clock))])
    assert told == [(1.5, "b0"), (2.0, "a0"), (2.5, "b1"), (4.0, "a1")]


def test_what_one_raises_stops_all_and_is_raised() -> None:
    clock, told = SharedClock(START), []

    def fails() -> None:
        clock.pause(1.0)
        msg = "broken"
        raise ValueError(msg)

    def goes_on() -> None:
        for _ in range(10):
            told.append(clock.monotonic())
            clock.pause(0.4)

    with pytest.raises(ValueError, match="broken"):
        Crew(clock).run([(0.0, fails), (0.0, goes_on)])
    assert told == [0.0, 0.4, 0.8]


def test_time_outside_a_crew_is_as_it_was() -> None:
    clock = SharedClock(START)
    Crew(clock).run([(5.0, lambda: clock.pause(1.0))])
    clock.pause(2.0)
    assert clock.monotonic() == 8.0
