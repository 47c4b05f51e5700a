"""A network that is down, as a long run takes it: all wait, one tries, and all go on once it is back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from mdagent.guard.outcome import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdagent.clock import Clock
    from mdagent.guard.allowance import Allowance
    from mdagent.guard.outcome import Failure
    from mdagent.work.report import Line

_FIRST, _LONGEST = 5.0, 60.0  # seconds between two tries
_NETWORK, _HOST = 86400.0, 7200.0  # seconds after which it is given up: where several sources are out of reach, where one is
_WAKE = 2400.0  # seconds after the end for which a breaker may still be open that nothing but the network opened


@dataclass(slots=True)
class Outage:
    """One a run. `passes` is asked about each line: the first that could reach nobody begins the outage, the first that could ends it."""

    clock: Clock
    allowance: Allowance
    say: Callable[[str], None]
    _since: float | None = None
    _ended: float | None = None
    _pause: float = _FIRST
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _back: asyncio.Event = field(default_factory=asyncio.Event)

    async def passes(self, line: Line) -> bool:
        """Wait where the line failed because nobody could be reached: True where it is to be asked again then. False where it failed for
        another reason, or where that has lasted too long."""
        failure, now = line.failure, self.clock.monotonic()
        if failure is None or not self._is_blamed(failure):
            if self._since is not None and line.requests:
                self._end(now)
            return False
        if self._since is None and failure.kind is FailureKind.BREAKER_OPEN:
            return await self._closing(failure)
        if self._since is None:
            self._begin(failure, now)
        if now - (self._since or now) > (_NETWORK if failure.kind is FailureKind.NETWORK_DOWN else _HOST):
            return False
        async with self._turn:  # one after another: whoever comes first tries first
            pause = self.allowance.patience(self._pause, self.clock.monotonic())
            if pause <= 0 and self._since is not None:
                return False
            self._pause = min(2 * self._pause, _LONGEST)
            await self._until_back(pause)
        return True

    def _is_blamed(self, failure: Failure) -> bool:
        """Is it the network, as far as can be told? A breaker that is open during an outage, or just after, is so for nothing else."""
        if failure.unreachable or failure.kind is FailureKind.NETWORK_DOWN:
            return True
        lately = self._ended is not None and self.clock.monotonic() - self._ended < _WAKE
        return failure.kind is FailureKind.BREAKER_OPEN and failure.until is not None and (self._since is not None or lately)

    async def _until_back(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._back.wait()
        except TimeoutError:
            pass

    async def _closing(self, failure: Failure) -> bool:
        """The breaker of a source that others have not proved to be back yet."""
        left = (failure.until - self.clock.now()).total_seconds() if failure.until else 0.0
        pause = self.allowance.patience(max(1.0, left), self.clock.monotonic())
        if left > _WAKE or pause <= 0:
            return False
        await self.clock.sleep(pause)
        return True

    def _begin(self, failure: Failure, now: float) -> None:
        self._since, self._pause = now, _FIRST
        self._back.clear()
        self.say(f"waiting for the network, to go on by itself when it is back: {failure.detail}")

    def _end(self, now: float) -> None:
        took = timedelta(seconds=round(now - (self._since or now)))
        self._since, self._ended = None, now
        self._back.set()
        self.say(f"the network is back after {took}")
