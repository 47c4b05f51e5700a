"""Several people at one time that is simulated: each is a thread, of which one runs while all others wait for the clock.

Whoever waits hands the turn to the one that is due first, and time jumps there. So what would be several processes beside each
other takes the same course each time, and hours of it pass in seconds.
"""

from __future__ import annotations

import logging
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from mdagent.clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime


class Ended(BaseException):
    """The run is over: who waits for the clock goes no further."""


def _is_news(record: logging.LogRecord) -> bool:
    """A task that was stopped with its person is none, whenever its loop comes to speak of it."""
    return not (record.exc_info and isinstance(record.exc_info[1], Ended))


logging.getLogger("asyncio").addFilter(_is_news)


class SharedClock(VirtualClock):
    """A virtual clock for a crew; for anybody else it moves as soon as it is waited for. Not to be waited for inside a transaction: the
    turn goes to others."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.crew: Crew | None = None

    def pause(self, seconds: float) -> None:
        if self.crew is None or not self.crew.has_me:
            super().pause(seconds)
        else:
            self.crew.wait_until(self.monotonic() + max(0.0, seconds))

    def move_to(self, elapsed: float) -> None:
        """Let time jump there; it never goes back."""
        super().pause(elapsed - self.monotonic())


@dataclass(eq=False)
class Crew:
    """People at one clock. `over` is set when all are to stop where they are."""

    clock: SharedClock
    over: bool = False
    lock: nullcontext[None] = field(default_factory=nullcontext)  # one at a time they are anyway
    _due: list[tuple[float, int, threading.Semaphore]] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)
    _mine: threading.local = field(default_factory=threading.local)
    _done: threading.Event = field(default_factory=threading.Event)
    _wrong: list[BaseException] = field(default_factory=list)

    def run(self, people: Sequence[tuple[float, Callable[[], None]]]) -> None:
        """Let each begin after so many seconds, and wait for them all. Raises what the first of them raises; KeyboardInterrupt, once
        all have been stopped."""
        if not people:
            return
        began, self.clock.crew = self.clock.monotonic(), self
        threads = [self._hired(began + after, work) for after, work in people]
        try:
            self._next()
            self._done.wait()
        except BaseException:
            self.over = True
            self._done.wait()
            raise
        finally:
            for thread in threads:
                thread.join()
            self.clock.crew = None
        if self._wrong:
            raise self._wrong[0]

    @property
    def has_me(self) -> bool:
        """Is the thread that asks one of the crew?"""
        return hasattr(self._mine, "turn")

    def stop(self) -> None:
        """Whoever waits next, or is waiting, stops there."""
        self.over = True

    def wait_until(self, due: float) -> None:
        """Give the turn away until then. Raises Ended."""
        if self.over:
            raise Ended
        heappush(self._due, (due, next(self._numbers), self._mine.turn))
        self._next()
        self._mine.turn.acquire()
        if self.over:
            raise Ended

    def _next(self) -> None:
        if not self._due:
            self._done.set()
            return
        due, _, turn = heappop(self._due)
        if not self.over:
            self.clock.move_to(due)
        turn.release()

    def _hired(self, due: float, work: Callable[[], None]) -> threading.Thread:
        turn = threading.Semaphore(0)
        heappush(self._due, (due, next(self._numbers), turn))

        def live() -> None:
            self._mine.turn = turn
            turn.acquire()
            try:
                if not self.over:
                    work()
            except Ended:
                pass
            except BaseException as error:  # noqa: BLE001  told by `run`, in the thread that waits for all
                self._wrong.append(error)
                self.over = True
            finally:
                self._next()

        thread = threading.Thread(target=live, name="mdagent-crew", daemon=True)
        thread.start()
        return thread
