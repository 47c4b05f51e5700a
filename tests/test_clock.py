"""Time as a parameter: a clock that is real, and one that only moves when somebody waits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mdagent.clock import SystemClock, VirtualClock, virtual_loop

START = datetime(2024, 1, 2, 15, 0, tzinfo=UTC)


def test_the_system_clock_tells_utc_and_never_goes_back() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() >= before
    clock.pause(-1.0)  # nothing to wait for


def test_a_system_clock_may_start_elsewhere_and_runs_on_from_there() -> None:
    clock = SystemClock.starting_at(START)
    first = clock.now()
    assert timedelta(0) <= first - START < timedelta(seconds=30)
    assert clock.now() >= first


def test_the_system_clock_waits_in_an_event_loop() -> None:
    clock = SystemClock()
    asyncio.run(clock.sleep(-1.0))


def test_virtual_time_moves_only_when_somebody_waits() -> None:
    clock = VirtualClock(START)
    assert clock.now() == clock.now() == START
    clock.pause(90.0)
    assert clock.now() == START + timedelta(seconds=90)
    assert clock.monotonic() == 90.0
    clock.pause(-5.0)
    assert clock.monotonic() == 90.0


def test_virtual_wall_time_can_be_set_back_while_monotonic_time_goes_on() -> None:
    clock = VirtualClock(START)
    clock.pause(10.0)
    clock.set(START - timedelta(days=1))
    assert clock.now() == START - timedelta(days=1)
    assert clock.monotonic() == 10.0
    clock.pause(1.0)
    assert clock.now() == START - timedelta(days=1) + timedelta(seconds=1)


def test_hours_pass_in_a_virtual_loop_in_the_order_of_their_timers() -> None:
    clock = VirtualClock(START)
    seen: list[tuple[str, datetime]] = []

    async def waiter(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        seen.append((name, clock.now()))

    async def work() -> None:
        await asyncio.gather(waiter("late", 7200.0), waiter("early", 60.0), waiter("middle", 3600.0))

    with asyncio.Runner(loop_factory=lambda: virtual_loop(clock)) as runner:
        runner.run(work())
    assert seen == [
        ("early", START + timedelta(minutes=1)),
        ("middle", START + timedelta(hours=1)),
        ("late", START + timedelta(hours=2)),
    ]


def test_a_time_limit_follows_the_virtual_clock() -> None:
    clock = VirtualClock(START)

    async def work() -> None:
        async with asyncio.timeout(30.0):
            await clock.sleep(31.0)

    with asyncio.Runner(loop_factory=lambda: virtual_loop(clock)) as runner, pytest.raises(TimeoutError):
        runner.run(work())
    assert clock.now() == START + timedelta(seconds=30)


def test_after_years_a_virtual_loop_still_comes_to_its_timers() -> None:
    clock = VirtualClock(START)
    clock.pause(3 * 366 * 86400.0)
    with asyncio.Runner(loop_factory=lambda: virtual_loop(clock)) as runner:
        for n in range(200):
            runner.run(clock.sleep(0.1 + n / 977))
    assert clock.monotonic() > 3 * 366 * 86400.0 + 20


def test_a_virtual_loop_still_wakes_for_a_thread() -> None:
    clock = VirtualClock(START)

    async def work() -> int:
        return await asyncio.to_thread(lambda: 42)

    with asyncio.Runner(loop_factory=lambda: virtual_loop(clock)) as runner:
        assert runner.run(work()) == 42
    assert clock.now() == START
