"""Many symbols over a long window: what the store lacks is cut into chunks, and these are fetched, a group at a time.

No bookmark is kept: an answer and what it settles are written in one transaction, so whoever looks next finds what is left. The same
request makes the same chunks, whoever asks and when.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from mdagent.guard.outcome import FailureKind
from mdagent.market import Interval
from mdagent.work.many import SIDE_BY_SIDE, Places, fetch_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mdagent.guard.allowance import Allowance
    from mdagent.market import BarRequest
    from mdagent.work.many import Desk
    from mdagent.work.report import Line

GROUP = 500  # chunks that are looked at, planned and fetched together
_MOST = 4 * GROUP  # that are begun and not done, however many of them wait
_FOR_LACK_OF_TIME = (FailureKind.THROTTLED, FailureKind.DEADLINE, FailureKind.NETWORK_DOWN)
_BY_MONTH = (Interval.M1, Interval.M5, Interval.M15, Interval.M30)


class Chunk(NamedTuple):
    """A window of one symbol that is fetched and written by itself. `source`: the only one to be asked, "" for whoever serves best;
    `refresh`: what is stored is asked for again."""

    request: BarRequest
    source: str = ""
    refresh: bool = False

    @property
    def id(self) -> str:
        """The same for the same symbol, interval, basis and window."""
        r = self.request
        words = f"{r.symbol.ticker} {r.interval} {r.adjustment} {r.start.isoformat()} {r.end.isoformat()}"
        return blake2b(words.encode(), digest_size=8).hexdigest()


def chunks_of(request: BarRequest) -> Iterator[BarRequest]:
    """The request in pieces small enough to be lost: bars shorter than an hour by month, hours by year, days and longer in one. They
    end where the calendar says, so that windows which overlap have most of them in common."""
    if request.interval not in (*_BY_MONTH, Interval.H1):
        yield request
        return
    at = request.start
    while at < request.end:
        after = _after(at, by_month=request.interval in _BY_MONTH)
        yield request.over(at, min(after, request.end))
        at = after


def _after(at: datetime, *, by_month: bool) -> datetime:
    if by_month and at.month < 12:
        return datetime(at.year, at.month + 1, 1, tzinfo=UTC)
    return datetime(at.year + 1, 1, 1, tzinfo=UTC)


def groups_of(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """The chunks in their order, some hundred at a time; no chunk twice in a group."""
    group: dict[BarRequest, Chunk] = {}
    for chunk in chunks:
        if len(group) == GROUP or chunk.request in group:
            yield list(group.values())
            group = {}
        group[chunk.request] = chunk
    if group:
        yield list(group.values())


class Bench(NamedTuple):
    """What a backfill works with: `look` tells which chunks of a group the store has served already; `desk` is where the rest are fetched,
    and reports each line to the function it is given; `now` is the monotonic clock."""

    look: Callable[[Sequence[Chunk]], dict[BarRequest, Line]]
    desk: Callable[[Sequence[Chunk], Callable[[Line], None]], Desk]
    allowance: Allowance
    now: Callable[[], float]


@dataclass(slots=True)
class Backfill:
    """One run. `heard` is told each chunk with its line, whether it was asked for or there already."""

    bench: Bench
    heard: Callable[[Chunk, Line], None]
    left: int = 0  # chunks that were not begun
    places: Places = field(default_factory=Places)
    _open: int = 0
    _fewer: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, groups: Iterable[Sequence[Chunk]]) -> None:
        """All groups; the next one is looked at as soon as the one before leaves a place free. Raises StoreError."""
        async with asyncio.TaskGroup() as tasks:
            for group in groups:
                while self._open >= _MOST or (self._open >= SIDE_BY_SIDE and not self.places.free):
                    self._fewer.clear()
                    await self._fewer.wait()
                lacking = self._lacking(group)
                if self._is_over():
                    self.left += len(lacking)
                elif lacking:
                    self._open += len(lacking)
                    tasks.create_task(fetch_many([c.request for c in lacking], self.bench.desk(lacking, self._done(lacking)), self.places))

    def _lacking(self, group: Sequence[Chunk]) -> list[Chunk]:
        there = self.bench.look([chunk for chunk in group if not chunk.refresh])
        for chunk in group:
            if not chunk.refresh and chunk.request in there:
                self.heard(chunk, there[chunk.request])
        return [chunk for chunk in group if chunk.refresh or chunk.request not in there]

    def _is_over(self) -> bool:
        allowance = self.bench.allowance
        if allowance.ends is not None and self.bench.now() >= allowance.ends:
            allowance.over = True
        return allowance.over

    def _done(self, chunks: Sequence[Chunk]) -> Callable[[Line], None]:
        by_request = {chunk.request: chunk for chunk in chunks}

        def done(line: Line) -> None:
            self._open -= 1
            self._fewer.set()
            if self._was_cut_off(line):
                self.left += 1
            else:
                self.heard(by_request[line.request], line)

        return done

    def _was_cut_off(self, line: Line) -> bool:
        """Did it end for the time of the run, rather than for itself?"""
        allowance, failure = self.bench.allowance, line.failure
        if allowance.ends is None or failure is None:
            return False
        if failure.kind is FailureKind.THROTTLED or (failure.kind in _FOR_LACK_OF_TIME and self.bench.now() >= allowance.ends):
            allowance.over = True  # it waited to the end, or would have waited beyond it
        return allowance.over and failure.kind in _FOR_LACK_OF_TIME
