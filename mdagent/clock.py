"""Time as a parameter: the only file that reads the wall clock or sleeps."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio


class Clock(Protocol):
    """Wall time for records, monotonic time for durations, and two ways to wait."""

    def now(self) -> datetime:
        """The wall time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Give way to other tasks for that long."""

    def pause(self, seconds: float) -> None:
        """Block this thread for that long (lock polling, outside the event loop)."""


class SystemClock:
    """The machine's clock, shifted by a constant offset (zero but in the sandbox and in replay)."""

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        self._offset = offset

    @classmethod
    def starting_at(cls, instant: datetime) -> SystemClock:
        """A clock that reads `instant` now and runs on from there."""
        return cls(instant - datetime.now(UTC))

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(max(0.0, seconds))

    def pause(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class VirtualClock:
    """Simulated time: it moves only when somebody waits for it.

    Inside `virtual_loop(clock)` every timer of asyncio, `asyncio.timeout` included, follows this clock: when no
    task can run, time jumps to the next timer, so hours pass in milliseconds.
    """

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(max(0.0, seconds))

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
    return loop
