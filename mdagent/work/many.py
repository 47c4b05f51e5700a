"""Many requests at once: together where a source can, else side by side."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from mdagent.work.fetch import fetch
from mdagent.work.together import fetch_together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdagent.market import BarRequest
    from mdagent.work.fill import Tools
    from mdagent.work.fit import Wish
    from mdagent.work.report import Line
    from mdagent.work.together import Shared

SIDE_BY_SIDE = 8  # requests of users for which sources are asked at once; each source has its own, smaller bound
ABREAST = 64  # with those whose answers are on their way into the store


class Room:
    """Places for requests: those for which sources are asked, and all that are under way."""

    def __init__(self) -> None:
        self.asking, self.all = asyncio.Semaphore(SIDE_BY_SIDE), asyncio.Semaphore(ABREAST)


class _Place:
    """The place of one for which sources are asked; given back once."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places, self._held = places, False

    async def take(self) -> None:
        await self._places.acquire()
        self._held = True

    def give_back(self) -> None:
        if self._held:
            self._held = False
            self._places.release()


class Desk(NamedTuple):
    """Where requests are served: `wish` and `tools` are asked anew for each, by the settings in force then, which `adopt` renews;
    `done` hears of each line."""

    wish: Callable[[BarRequest], Wish]
    tools: Callable[[], Tools]
    adopt: Callable[[], None]
    done: Callable[[Line], None]


async def fetch_many(requests: Sequence[BarRequest], desk: Desk, room: Room | None = None) -> list[Line]:
    """A line for each request, in their order. `room` is shared with others that are fetched at the same time. Raises StoreError."""
    room = room or Room()
    first = desk.tools()
    shared = await fetch_together([desk.wish(r) for r in requests], first) if len(requests) > 1 else {}

    async def one(request: BarRequest) -> Line:
        place = _Place(room.asking)
        async with room.all:
            await first.clerk.foresee(
                request.symbol.ticker
            )  # now, so that nothing is waited for between the choice of a source and its quota
            await place.take()
            try:
                line = await served(request, place)
            finally:
                place.give_back()
        desk.done(line)
        return line

    async def served(request: BarRequest, place: _Place) -> Line:
        await first.clock.sleep(0)  # lets a Ctrl-C in, even where no answer has to be waited for
        desk.adopt()
        wish, part = desk.wish(request), shared.get(request)
        if part:
            order = sorted(wish.servers, key=lambda s: s.source.spec.name != part.source)  # who was asked already goes on
            wish = wish._replace(servers=tuple(order), refresh=wish.refresh and not part.served, notes=(*wish.notes, *part.notes))
        line = await fetch(wish, replace(desk.tools(), answered=place.give_back))
        return _with_part(line, part) if part else line

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(r)) for r in requests]
    return [t.result() for t in tasks]


def _with_part(line: Line, part: Shared) -> Line:
    """The line with what came by a request that several symbols shared."""
    came = part.came
    return line._replace(
        requests=line.requests + part.requests,
        new=line.new + came.inserted,
        revised=line.revised + came.revisions,
        restated=line.restated + came.restatements,
    )
