"""The one who goes to the store for all that is under way: what is asked and brought while he is away is done together the next time.

To open the store, and to commit, takes far longer than to read or write one answer, and nobody else gets at it meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from mdagent.errors import StoreError
from mdagent.store.foreseen import Calendars, Foreseen
from mdagent.store.lock import is_wanted, taken_by_others

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mdagent.clock import Clock
    from mdagent.market import BarRequest
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader
    from mdagent.store.write import Writer

Q = TypeVar("Q")
A = TypeVar("A")
_PAUSE, _IDLE, _LONGEST = 0.5, 0.03, 0.8  # seconds
_LOOK = 0.01  # seconds between two looks at what waits
_MOST = 96  # that are written on one trip: the store is not to be held for long


_written: Counter[tuple[Path, str]] = Counter()  # how often this process has written about a symbol of a store


@dataclass(eq=False, slots=True)
class _Errand:
    """Something to ask or to bring, what it writes about ("": nothing), and who waits for the answer."""

    deed: Callable[[Any, Sequence[Any]], Sequence[Any]]
    item: object
    about: str
    answer: asyncio.Future[Any]


class Seen(NamedTuple):
    """What was looked up, when the store had been taken by others so often, and been written about that symbol."""

    taken: int
    written: int
    reader: Foreseen


class Ahead(NamedTuple):
    """What the next questions will be about, looked up while the store was open for something else."""

    calendars: Calendars
    seen: dict[str, Seen]


def look_ahead(reader: Reader, path: Path, windows: Sequence[BarRequest], known: Callable[[Reader, BarRequest], object]) -> Ahead:
    """For these windows; `known` reads the sessions round one."""
    calendars = Calendars()
    seen = Foreseen(reader, (window.symbol.ticker for window in windows), calendars)
    for window in windows:
        known(seen, window)
    return Ahead(calendars, {one: _seen(path, one, seen) for one in dict.fromkeys(window.symbol.ticker for window in windows)})


def _seen(path: Path, symbol: str, reader: Foreseen) -> Seen:
    return Seen(taken_by_others(path), _written[path, symbol], reader.detached())


@dataclass(eq=False)
class Clerk:
    """Asks and writes in another thread, so that answers arrive and are judged meanwhile; on a virtual clock at once."""

    store: BarStore
    clock: Clock
    leisurely: bool = False  # is he to wait until much has come together? Others get at the store meanwhile
    calendars: Calendars = field(default_factory=Calendars)
    ahead: dict[str, Seen] = field(default_factory=dict)
    _waiting: list[_Errand] = field(default_factory=list)
    _trips: asyncio.Task[None] | None = None

    async def ask(self, deed: Callable[[Reader | None, Sequence[Q]], Sequence[A]], item: Q) -> A:
        """What `deed` answers to this item; it is given all that wait to ask the same, and None where there is no store yet.
        Raises StoreError, and what the deed raises."""
        return cast("A", await self._send(deed, item, ""))

    async def bring(self, deed: Callable[[Writer, Sequence[Q]], Sequence[A]], item: Q, about: str) -> A:
        """As `ask`, of a deed that writes `about` a symbol. It is done once it is brought, whether or not the caller still waits. Raises
        StoreError: then nothing of it is in the store."""
        return cast("A", await self._send(deed, item, about))

    async def foresee(self, symbol: str) -> None:
        """Look up now what will be asked about the symbol next. Raises StoreError."""
        if symbol not in self.ahead:
            self.ahead[symbol] = await self.ask(self._look_ahead, symbol)

    def foreseen(self, symbol: str) -> Foreseen | None:
        """What was looked up, if that is still so: nobody has written about it since."""
        seen, path = self.ahead.get(symbol), self.store.path
        return seen.reader if seen and seen[:2] == (taken_by_others(path), _written[path, symbol]) else None

    def forget(self, symbol: str) -> None:
        """It will not be asked about any more."""
        self.ahead.pop(symbol, None)

    def _look_ahead(self, reader: Reader | None, symbols: Sequence[str]) -> list[Seen]:
        seen = Foreseen(reader, symbols, self.calendars)
        return [_seen(self.store.path, symbol, seen) for symbol in symbols]

    async def finish(self) -> None:
        """Come home only when all that was brought is written. Raises StoreError."""
        self.leisurely = False
        while self._trips is not None:
            await asyncio.shield(self._trips)

    async def _send(self, deed: Any, item: object, about: str) -> object:  # noqa: ANN401  see above
        loop = asyncio.get_running_loop()
        errand = _Errand(deed, item, about, loop.create_future())
        self._waiting.append(errand)
        if self._trips is None:
            self._trips = loop.create_task(self._go())
        return await errand.answer

    async def _go(self) -> None:
        try:
            await self.clock.sleep(0)  # those who are ready to ask now come along
            while self._waiting:
                began = self.clock.monotonic()
                some = self._next()
                if some:
                    await self._trip(some)
                if self.leisurely and any(one.about for one in some):
                    await self._rest(self.clock.monotonic() - began)
        finally:
            self._trips = None

    def _next(self) -> list[_Errand]:
        """Those for one trip, in their order; who asks, and does not wait any more, is passed over."""
        some, left, writes = list[_Errand](), list[_Errand](), 0
        for one in self._waiting:
            writes += bool(one.about)
            if writes > _MOST and one.about:
                left.append(one)
            elif one.about or not one.answer.cancelled():
                some.append(one)
        self._waiting = left
        return some

    async def _rest(self, spent: float) -> None:
        """Where another waited for the store twice as long away as it took there, so that a person at the prompt gets in, and then for as
        long as more keeps coming; unless all that fits into one trip has come before."""
        began = last = self.clock.monotonic()
        brought, least = 0, min(2 * spent, _LONGEST) if is_wanted(self.store.path) else 0.0
        while self.leisurely and brought < _MOST:
            now, before = self.clock.monotonic(), brought
            brought = sum(bool(one.about) for one in self._waiting)
            last = now if brought > before else last
            if now - began >= least and (now - last >= _IDLE or now - began >= _PAUSE):
                return
            await self.clock.sleep(_LOOK)

    async def _trip(self, some: Sequence[_Errand]) -> None:
        """One time to the store and back. Where one errand spoils it for all, each goes alone."""
        try:
            told = await self.clock.aside(partial(self._done, some))
        except BaseException as error:
            if len(some) > 1 and isinstance(error, Exception) and not isinstance(error, StoreError):
                for one in some:
                    await self._trip([one])
                return
            for one in some:
                if not one.answer.done():
                    one.answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            _written.update((self.store.path, one.about) for one in some if one.about)
            for one, answer in zip(some, told, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)

    def _done(self, some: Sequence[_Errand]) -> list[object]:
        """The answers, in the order of the errands: what is brought is written first."""
        brought = [one for one in some if one.about]
        if brought:
            purpose = f"fetch {brought[0].about}" + (f" and {len(brought) - 1} more" if len(brought) > 1 else "")
            with self.store.writing(purpose) as writer:
                return _answers(writer, some)
        if not self.store.exists():
            return _answers(None, some)
        with self.store.reading("fetch") as reader:
            return _answers(reader, some)


def _answers(opened: Reader | None, some: Sequence[_Errand]) -> list[object]:
    kinds: dict[Any, list[int]] = {}
    for n, one in sorted(enumerate(some), key=lambda pair: not pair[1].about):
        kinds.setdefault(one.deed, []).append(n)
    made: list[object] = [None] * len(some)
    for deed, places in kinds.items():
        for n, answer in zip(places, deed(opened, [some[n].item for n in places]), strict=True):
            made[n] = answer
    return made
