"""Time as a parameter: the only file that reads the wall clock or sleeps."""

from __future__ import annotations

import itertools
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

T = TypeVar("T")


class Anchor(NamedTuple):
    """A run of the machine, and the instant at which it began by the wall clock as that is set now (epoch microseconds). Setting the
    clock moves it, sleep does not. `run` is "" where that cannot be told."""

    run: str
    began: int


_UNKNOWN = Anchor("", 0)
_AT_ONCE = 0.1  # seconds: two clocks that are read within that are read together


class Clock(Protocol):
    """Wall time for records, monotonic time for durations, what tells a clock that was set from time that went by, and two ways to
    wait."""

    def now(self) -> datetime:
        """The wall time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""

    def anchor(self) -> Anchor:
        """When this run of the machine began, as the wall clock is set now."""

    async def sleep(self, seconds: float) -> None:
        """Give way to other tasks for that long."""

    async def aside(self, work: Callable[[], T]) -> T:
        """Do what blocks while other tasks go on."""

    def pause(self, seconds: float) -> None:
        """Block this thread for that long (lock polling, outside the event loop)."""


def _run_of_the_machine() -> str:
    """Linux names each; a namespace of its own may count from another start."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return ""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text('ascii').strip()} {Path('/proc/self/ns/time').stat().st_ino}"
    except OSError:
        return ""


class SystemClock:
    """The machine's clock, shifted by a constant offset (zero but in the sandbox and in replay)."""

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        self._offset = offset
        self._run = "" if offset else _run_of_the_machine()

    @classmethod
    def starting_at(cls, instant: datetime) -> Self:
        """A clock that reads `instant` now and runs on from there."""
        return cls(instant - datetime.now(UTC))

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def monotonic(self) -> float:
        return time.monotonic()

    def anchor(self) -> Anchor:
        while self._run:  # else the clock is simulated anew in each process
            before, wall, after = time.clock_gettime(time.CLOCK_BOOTTIME), time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
            if after - before < _AT_ONCE:
                return Anchor(self._run, int((wall - before) * 1_000_000))
        return _UNKNOWN

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(max(0.0, seconds))

    async def aside(self, work: Callable[[], T]) -> T:
        """In a thread. A caller that is cancelled does not stop it: the loop waits for it when it closes."""
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(None, work)

    def pause(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


_NUMBERS = itertools.count()


class VirtualClock:
    """Simulated time: it moves only when somebody waits for it.

    Inside `virtual_loop(clock)` every timer of asyncio, `asyncio.timeout` included, follows this clock: when no
    task can run, time jumps to the next timer, so hours pass in milliseconds.
    """

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._elapsed = 0.0
        self._run = f"simulated by {os.getpid()}, {next(_NUMBERS)}"

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def anchor(self) -> Anchor:
        return Anchor(self._run, round(self._start.timestamp() * 1_000_000))

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(max(0.0, seconds))

    async def aside(self, work: Callable[[], T]) -> T:
        """At once: a thread would take real time, of which this clock knows nothing."""
        return work()

    def pause(self, seconds: float) -> None:
        self._elapsed += max(0.0, seconds)

    def set(self, instant: datetime) -> None:
        """Put the wall time elsewhere, back included; monotonic time is untouched."""
        self._start = instant - timedelta(seconds=self._elapsed)


def virtual_loop(clock: VirtualClock) -> asyncio.AbstractEventLoop:
    """An asyncio event loop whose time is `clock`. For work without real sockets."""
    import asyncio
    import selectors

    class JumpingSelector(selectors.DefaultSelector):
        """Instead of waiting for a timer, moves the clock to it."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
            if ready or timeout == 0:
                return ready
            if timeout is None:  # nothing timed: only a thread or a socket can wake us
                return super().select(None)
            clock.pause(timeout)
            return ready

    loop = asyncio.SelectorEventLoop(JumpingSelector())
    loop.time = clock.monotonic  # type: ignore[method-assign]
    loop._clock_resolution = 1e-7  # type: ignore[attr-defined]  # noqa: SLF001  after years two floats are further apart than its 1 ns
    return loop
