"""Many requests at once: together where a source can, else side by side."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Self

from mdagent.guard.outcome import FailureKind
from mdagent.guard.route import begin_with
from mdagent.market import Priority
from mdagent.work.fetch import fetch
from mdagent.work.report import Line
from mdagent.work.together import fetch_together

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from datetime import datetime

    from mdagent.clock import Clock
    from mdagent.market import BarRequest
    from mdagent.work.fill import Tools
    from mdagent.work.fit import Wish
    from mdagent.work.together import Shared

SIDE_BY_SIDE = 8  # requests of users under way at once that the same sources can serve; each source has its own, smaller bound
ABREAST = 384  # answers on their way into the store
_FAR, _CHOICE = 60.0, 300.0  # seconds of a wait that is not begun yet; that one source may make wait while there are others
_LOOK = 300.0  # seconds after which it is looked anew who can serve soonest


async def _never(_line: Line) -> bool:
    return False


class Desk(NamedTuple):
    """Where requests are served: `wish` and `tools` are asked anew for each, by the settings in force then, which `adopt` renews;
    `done` hears of each line. `again` waits for better times: it tells whether a line is to be asked for once more."""

    wish: Callable[[BarRequest], Wish]
    tools: Callable[[], Tools]
    adopt: Callable[[], None]
    done: Callable[[Line], None]
    again: Callable[[Line], Awaitable[bool]] = _never


@dataclass(slots=True)
class Turn:
    """A place among those for which sources are asked; once the answer has come, one among those that are on their way into the store."""

    _asking: asyncio.Semaphore
    _storing: asyncio.Semaphore
    _held: asyncio.Semaphore | None = None

    async def answered(self) -> None:
        """Another may ask as soon as there is room for the answer."""
        if self._held is self._asking:
            await self._storing.acquire()
            self._held = self._storing
            self._asking.release()

    async def __aenter__(self) -> Self:
        await self._asking.acquire()
        self._held = self._asking
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._held is not None:
            self._held.release()


@dataclass(slots=True)
class Places:
    """So many requests at once for each set of sources that can serve them, so that those who wait for tomorrow's quota of one source
    do not stand in the way of those whom another can serve today. How many were `begun` and are `done`, by these sets; `seconds` is how
    long those that are done were under way, all together; `priority` is that of the last."""

    begun: Counter[frozenset[str]] = field(default_factory=Counter)
    done: Counter[frozenset[str]] = field(default_factory=Counter)
    seconds: float = 0.0
    priority: Priority = Priority.BATCH
    _by_servers: dict[frozenset[str], asyncio.Semaphore] = field(default_factory=dict)
    _storing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ABREAST))

    @asynccontextmanager
    async def taken(self, wish: Wish, clock: Clock) -> AsyncIterator[Turn]:
        """A place for it, once it is its turn."""
        key = frozenset(server.source.spec.name for server in wish.servers)
        self.begun[key] += 1
        self.priority = wish.request.priority
        async with Turn(self._by_servers.setdefault(key, asyncio.Semaphore(SIDE_BY_SIDE)), self._storing) as turn:
            began = clock.monotonic()
            yield turn
        self.done[key] += 1
        self.seconds += clock.monotonic() - began

    @property
    def free(self) -> bool:
        """Has any set of sources a place left?"""
        return any(not places.locked() for places in self._by_servers.values())


async def fetch_many(requests: Sequence[BarRequest], desk: Desk, places: Places | None = None) -> list[Line]:
    """A line for each request, in their order. `places` are shared with others that are fetched at the same time. Raises StoreError."""
    places = places or Places()
    first, wishes = desk.tools(), [desk.wish(r) for r in requests]
    shared = await fetch_together(wishes, first) if len(requests) > 1 else {}

    async def one(wish: Wish) -> Line:
        request = wish.request
        await first.clerk.foresee(request.symbol.ticker)  # so that between the choice of a source and its quota nothing is waited for
        async with places.taken(wish, first.clock) as turn:
            await first.clock.sleep(0)  # lets a Ctrl-C in, even where no answer has to be waited for
            line = await _served(request, desk, shared.get(request), turn)
        first.clerk.forget(request.symbol.ticker)
        desk.done(line)
        return line

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(wish)) for wish in wishes]
    return [t.result() for t in tasks]


async def _served(request: BarRequest, desk: Desk, part: Shared | None, turn: Turn) -> Line:
    """One request to its end. Where there is patience, nobody is committed to a source whose quota is far off: who can serve soonest is
    looked up again meanwhile, and again when a source makes wait longer than it seemed. Nor is the right to fetch a series held so long."""
    line, clock = _beginning(request, part), desk.tools().clock
    ends = clock.monotonic() + desk.tools().patience
    while True:
        desk.adopt()
        wish, tools = desk.wish(request), replace(desk.tools(), answered=turn.answered)
        left = min(tools.patience, ends - clock.monotonic())
        if part:
            order = sorted(wish.servers, key=lambda s: s.source.spec.name != part.source)  # who was asked already goes on
            wish = wish._replace(servers=tuple(order), refresh=wish.refresh and not part.served, notes=(*wish.notes, *part.notes))
        chooses = part is None and left > _CHOICE
        if chooses:
            wish, wait = _soonest(wish)
            if _FAR < wait <= left:
                soon, when = wish.servers[0].source.spec.name, clock.now() + timedelta(seconds=wait)
                words = f"waiting for {soon}, the first of {len(wish.servers)} sources to have quota again, at {when:%Y-%m-%d %H:%M:%S}Z"
                tools.gate.tell_wait(soon, "the first to be free", words)
                await tools.gate.rest(min(wait - _FAR / 2, _LOOK))
                continue
            chooses = wait <= left
            tools = replace(tools, choice=_CHOICE)
        line = _sum(line, await fetch(wish, tools))
        wait = _wait_of(line, clock.now()) if chooses else inf
        if wait <= left:
            tools.gate.tell_wait(line.source or "", "far off", f"waiting for quota: {line.failure.detail if line.failure else ''}")
            await tools.gate.rest(min(max(wait - _FAR / 2, _FAR / 2), _LOOK))
        elif not await desk.again(line):
            return line


def _wait_of(line: Line, now: datetime) -> float:
    """The seconds that it failed for not being able to wait; infinite where it failed for anything else, or did not."""
    failure = line.failure
    if failure is None or failure.kind is not FailureKind.THROTTLED or failure.until is None:
        return inf
    return (failure.until - now).total_seconds()


def _beginning(request: BarRequest, part: Shared | None) -> Line:
    """The line of a request with what came by another, which several symbols shared."""
    if part is None:
        return Line(request, None)
    came = part.came
    return Line(request, None, part.requests, new=came.inserted, revised=came.revisions, restated=came.restatements)


def _sum(before: Line, line: Line) -> Line:
    """The line with what was sent, and what came, before it."""
    return line._replace(
        requests=before.requests + line.requests,
        new=before.new + line.new,
        revised=before.revised + line.revised,
        restated=before.restated + line.restated,
    )


def _soonest(wish: Wish) -> tuple[Wish, float]:
    """The wish with who is to be asked first in the first place, and the seconds that this one makes wait."""
    first = begin_with(wish.ranking, _FAR)
    if first is None:
        return wish, 0.0
    servers = sorted(wish.servers, key=lambda server: server.source.spec.name != first.source)
    return wish._replace(servers=tuple(servers)), first.wait
