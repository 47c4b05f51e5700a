"""Several symbols in one request, where a source offers that and it saves requests: asked ahead of the fetch of each."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mdagent.guard.limits import usable
from mdagent.guard.outcome import Failure, FailureKind
from mdagent.market import BarSet
from mdagent.store.flights import land
from mdagent.store.write import Kept
from mdagent.work.dry import Talk
from mdagent.work.due import held, lacking
from mdagent.work.fill import Filled, take
from mdagent.work.flight import series_of, take_off
from mdagent.work.gate import Call, Result
from mdagent.work.spans import within_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence
    from datetime import datetime

    from mdagent.guard.limits import Window
    from mdagent.market import BarRequest
    from mdagent.sources.base import Source
    from mdagent.store.read import Reader
    from mdagent.work.due import Held
    from mdagent.work.fill import Tools
    from mdagent.work.fit import Server, Wish

_FEWEST = 2
_AT_ONCE = 50  # symbols in one look into the store, which nobody can write meanwhile


class Shared(NamedTuple):
    """What a symbol got from a request that it shared: from whom, the requests it is charged with (the first symbol with all), how many
    others there were, what became of its bars, and whether any came."""

    source: str
    requests: int
    others: int
    came: Filled
    served: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the report."""
        return (f"asked together with {self.others} other{'' if self.others == 1 else 's'}", *self.came.changes)


async def fetch_together(wishes: Sequence[Wish], tools: Tools) -> dict[BarRequest, Shared]:
    """Ask for the windows that several symbols lack alike. What does not come so is left to the fetch of the single symbol.
    Raises StoreError."""
    shared: dict[BarRequest, Shared] = {}
    groups = _groups(wishes, tools)
    able = {
        series: (group.source.spec.name, window) for group in groups for series, window in zip(group.series, group.windows, strict=True)
    }
    rights = set[str]()
    try:
        for series in sorted(able):  # all in one order, so that no two processes wait for each other
            rights.add(await take_off(*able[series], tools))
        members = {asked for group in groups for asked, _ in group.members}
        groups = _groups([w for w in wishes if w.request in members], tools)  # others may have fetched some meanwhile
        _land(rights, able.keys() - {series for group in groups for series in group.series}, tools)
        for group in groups:
            sent, came = await _ask(group, tools)
            for i, (asked, window) in enumerate(group.members):
                name, others = group.source.spec.name, len(group.members) - 1
                shared[asked] = Shared(name, sent if i == 0 else 0, others, came.get(window, Filled()), window in came)
            _land(rights, group.series, tools)
    finally:
        _land(rights, set(rights), tools)
    return shared


def _land(rights: set[str], series: Iterable[str], tools: Tools) -> None:
    for one in rights.intersection(series):
        land(tools.ledger, one, tools.gate.run)
        rights.remove(one)


class Group(NamedTuple):
    """Symbols of which one source is asked in one breath: what the user asked of each, and the window to ask for."""

    source: Source
    members: tuple[tuple[BarRequest, BarRequest], ...]

    @property
    def windows(self) -> list[BarRequest]:
        """Those to ask for."""
        return [window for _, window in self.members]

    @property
    def series(self) -> list[str]:
        """Those of which one process at a time asks."""
        return [series_of(self.source.spec.name, window) for _, window in self.members]

    @property
    def costs(self) -> int:
        """Credits of all its requests."""
        return sum(Talk.of("batch", partial(self.source.batch, self.windows)).costs)

    @property
    def saves(self) -> bool:
        """Does that take fewer requests than one symbol after another?"""
        needed = self.source.batch_requests(self.windows)
        return needed is not None and needed < sum(len(self.source.cut(w)) for w in self.windows)


def shares(server: Server) -> bool:
    """Can that source serve several symbols at once?"""
    return "batch" in server.source.spec.offers and "batch" not in server.source.plan.lacks


def alike(lack: Iterable[tuple[Source, BarRequest, Sequence[BarRequest]]]) -> list[Group]:
    """The requests (source, what was asked, windows that are lacking) that lack one and the same window, where sharing saves requests."""
    groups: dict[tuple[str, str, str, datetime, datetime], list[tuple[Source, BarRequest, BarRequest]]] = {}
    for source, asked, windows in lack:
        if len(windows) == 1:
            only = windows[0]
            key = (source.spec.name, only.interval.value, only.adjustment.value, only.start, only.end)
            groups.setdefault(key, []).append((source, asked, only))
    made = [Group(found[0][0], tuple((a, w) for _, a, w in found)) for found in groups.values() if len(found) >= _FEWEST]
    return [group for group in made if group.saves]


def fitting(groups: Iterable[Group], chosen: Container[BarRequest], windows: Callable[[str], Sequence[Window]]) -> list[Group]:
    """The groups; where sharing saves requests but no quota, of those that others could serve as well (`chosen`) no more than the shortest
    window takes at once: the rest is for whoever is free, rather than one source be kept waiting for while others idle."""
    made = []
    for group in groups:
        first, shares = group.members[0][0], windows(group.source.spec.name)
        room = min((usable(w, first.priority, 1).limit for w in shares if w.of == "credits"), default=len(group.members))
        if room >= len(group.members) or first not in chosen or group.costs < len(group.members):
            made.append(group)
        elif room >= _FEWEST:
            made.append(group._replace(members=group.members[:room]))
    return made


def _groups(wishes: Sequence[Wish], tools: Tools) -> list[Group]:
    chosen = {wish.request for wish in wishes if len(wish.servers) > 1}
    return fitting(alike(_lacking(wishes, tools)), chosen, lambda name: tools.gate.policy(name).windows)


def _lacking(wishes: Sequence[Wish], tools: Tools) -> Iterator[tuple[Source, BarRequest, list[BarRequest]]]:
    """What each lacks of its first source, where that can be shared."""
    able = [wish for wish in wishes if wish.servers and shares(wish.servers[0]) and not _unknown(wish, tools)]
    for first in range(0, len(able), _AT_ONCE):
        some = able[first : first + _AT_ONCE]
        with tools.store.reading() if tools.store.exists() else nullcontext() as reader:
            found = [_held(wish, reader, tools) for wish in some]
        for wish, one in zip(some, found, strict=True):
            source = wish.servers[0].source
            parts = lacking(source, one, tools).parts
            yield source, wish.request, within_depth(parts, source, tools.clock.now() if tools.bounded_depth else None)[0]


def _unknown(wish: Wish, tools: Tools) -> bool:
    name = wish.servers[0].source.spec.name
    return tools.ledger.unknown(name, wish.request.symbol.ticker) is not None and not wish.refresh


def _held(wish: Wish, reader: Reader | None, tools: Tools) -> Held:
    server, asked = wish.servers[0], wish.request
    stored = replace(asked, adjustment=server.basis)
    return held(server.source, stored, asked.adjustment, reader, tools, refresh=wish.refresh)


async def _ask(group: Group, tools: Tools) -> tuple[int, dict[BarRequest, Filled]]:
    """The requests sent, and what became of each window whose bars came. A failure of all is told by the fetches that follow."""
    windows = group.windows
    subject = ",".join(w.symbol.ticker for w in windows)[:200]
    first = windows[0].interval.value, min(w.priority for w in windows)
    call = Call("batch", subject, tools.clock.monotonic() + tools.deadline * max(1, len(windows) // 20), tools.patience, *first)
    result = await tools.gate.converse(group.source, partial(group.source.batch, windows), call)
    came: dict[BarRequest, Filled] = {}

    async def keep(window: BarRequest, found: BarSet | Failure) -> None:
        if isinstance(found, BarSet):
            one = Result(found, None, result.attempts, came=result.came)
            kept = await take(group.source, window, one, tools.sessions(window), tools)
            if isinstance(kept, Kept):
                came[window] = Filled.by(kept)
        elif found.kind is FailureKind.UNKNOWN_SYMBOL:
            tools.gate.remember_unknown(group.source.spec.name, window.symbol.ticker, found)
        elif found.kind is FailureKind.NO_DATA:
            await take(group.source, window, Result(None, found, result.attempts), tools.sessions(window), tools)

    async with asyncio.TaskGroup() as keeping:  # at once, so that they are written together
        for window, found in zip(windows, result.value or (), strict=False):
            keeping.create_task(keep(window, found))
    tools.gate.forget(result)
    return sum(a.sent for a in result.attempts), came
