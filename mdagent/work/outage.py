"""A network that is down, or sources that are left alone, as a long run takes it: it waits, and goes on once they are back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from mdagent.guard.outcome import Blame, FailureKind

if TYPE_CHECKING:
    from mdagent.guard.outcome import Failure
    from mdagent.work.gate import Gate
    from mdagent.work.report import Line

SHUT = "waiting, since no source may be asked now"  # begins what is said of it
_FIRST, _LONGEST = 5.0, 60.0  # seconds between two tries
_NETWORK, _HOST = 86400.0, 7200.0  # seconds after which it is given up: where several sources are out of reach, where one is
_SHUT = 2400.0  # the longest that a breaker is open, as a rule; longer is one that a person or a key has to close
_PASSING = (Blame.COUNT, Blame.OPEN_NOW)  # what a source that fails may not do the next time
_LOOK = 300.0  # seconds after which it is looked anew who can serve


@dataclass(slots=True)
class Outage:
    """One a run. `passes` is asked about each line: the first that could reach nobody begins the outage, the first that could ends it."""

    gate: Gate
    _since: float | None = None
    _pause: float = _FIRST
    _shut: float | None = None  # since when nobody may be asked, whom the network does reach
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _back: asyncio.Event = field(default_factory=asyncio.Event)

    async def passes(self, line: Line) -> bool:
        """Wait where the line failed because nobody could be reached, or everybody is left alone: True where it is to be asked again then.
        False where it failed for another reason, or where that has lasted too long."""
        failure, now = line.failure, self.gate.clock.monotonic()
        if failure is None and line.requests:
            self._shut = None
        if self._since is None and failure is not None and self._is_shut(failure):
            return await self._closing(failure)
        if failure is None or not self._is_blamed(failure):
            if self._since is not None and line.requests:
                self._end(now)
            return False
        if self._since is None:
            self._begin(failure, now)
        if now - (self._since or now) > (_NETWORK if failure.kind is FailureKind.NETWORK_DOWN else _HOST):
            return False
        async with self._turn:  # one after another: whoever comes first tries first
            pause = self.gate.allowance.patience(self._pause, self.gate.clock.monotonic())
            if pause <= 0 and self._since is not None:
                return False
            self._pause = min(2 * self._pause, _LONGEST)
            await self._until_back(pause)
        return True

    def _is_blamed(self, failure: Failure) -> bool:
        """Is it the network, as far as can be told? A breaker that is open during an outage is so for nothing else."""
        shut = failure.kind is FailureKind.BREAKER_OPEN and failure.until is not None
        return shut or failure.unreachable or failure.kind is FailureKind.NETWORK_DOWN

    def _is_shut(self, failure: Failure) -> bool:
        """Are all sources left alone? Whoever waits for that may be the one who tests a source, and finds that it still fails."""
        if failure.kind is FailureKind.BREAKER_OPEN:
            return failure.until is not None
        return self._shut is not None and failure.consequence.blame in _PASSING and not failure.unreachable

    async def _until_back(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._back.wait()
        except TimeoutError:
            pass

    async def _closing(self, failure: Failure) -> bool:
        """The breakers of all sources are open; that of which the failure tells is tested first."""
        now = self.gate.clock.monotonic()
        left = (failure.until - self.gate.clock.now()).total_seconds() if failure.until else _LONGEST
        pause = self.gate.allowance.patience(min(max(1.0, left), _LOOK), now)
        if left > _SHUT or pause <= 0:
            return False
        self._shut = now if self._shut is None else self._shut
        self.gate.tell_wait("", SHUT, f"{SHUT}: {failure.detail}")  # once in a while: a source under test makes wait again and again
        if now - self._shut > _HOST:
            return False
        await self.gate.clock.sleep(pause)
        return True

    def _begin(self, failure: Failure, now: float) -> None:
        self._since, self._pause = now, _FIRST
        self._back.clear()
        self.gate.say(f"waiting for the network, to go on by itself when it is back: {failure.detail}")

    def _end(self, now: float) -> None:
        took = timedelta(seconds=round(now - (self._since or now)))
        self._since = None
        self._back.set()
        self.gate.say(f"the network is back after {took}")
