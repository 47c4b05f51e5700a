"""Which symbols a backfill is about, and which windows of them: words, lists, or what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdagent.cli.room import bars_in
from mdagent.cli.words import read_symbols, read_window
from mdagent.errors import UsageError
from mdagent.market import Adjustment, BarRequest, Interval, Priority, Symbol
from mdagent.work.backfill import Chunk, chunks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal


class Asked(NamedTuple):
    """The words of the command line that say what is wanted. `stored`: every symbol that is stored, each from its last bar on where no
    start is named."""

    symbols: Sequence[str]
    intervals: Sequence[Interval]
    start: str | None
    end: str | None
    adjustment: Adjustment
    priority: Priority
    stored: bool


class Universe(NamedTuple):
    """Symbols with the windows that are wanted of them."""

    symbols: list[Symbol]
    windows: Sequence[tuple[Interval, datetime, datetime, Sequence[Symbol]]]
    adjustment: Adjustment
    priority: Priority

    def chunks(self) -> Iterator[Chunk]:
        """In the order of the symbols, one made after the other."""
        for interval, start, end, symbols in self.windows:
            for symbol in symbols:
                whole = BarRequest(symbol, interval, start, end, self.adjustment, self.priority)
                yield from (Chunk(part) for part in chunks_of(whole))

    @property
    def bars(self) -> int:
        """How many bars that is, about."""
        return sum(len(symbols) * bars_in(interval, start, end) for interval, start, end, symbols in self.windows)

    @property
    def size(self) -> int:
        """How many chunks there are."""
        total = 0
        for interval, start, end, symbols in self.windows:
            if symbols:
                total += len(symbols) * sum(1 for _ in chunks_of(BarRequest(symbols[0], interval, start, end)))
        return total


def read_intervals(text: str) -> list[Interval]:
    """Raises UsageError."""
    return list(dict.fromkeys(Interval.parse(word.strip()) for word in text.split(",")))


def read_universe(asked: Asked, agent: Agent, terminal: Terminal) -> Universe:
    """Raises UsageError."""
    if asked.stored and asked.symbols:
        msg = "symbols, and --stored or --stale, exclude each other"
        raise UsageError(msg, "leave out one of them")
    if asked.stored:
        return _stored(asked, agent, terminal)
    symbols = read_symbols(asked.symbols, terminal.cwd, universes=terminal.settings.universes)
    if asked.start is None:
        return Universe(symbols, [], asked.adjustment, asked.priority)
    windows = [(i, *read_window(i, asked.start, asked.end, None, terminal), symbols) for i in asked.intervals]
    return Universe(symbols, windows, asked.adjustment, asked.priority)


def _stored(asked: Asked, agent: Agent, terminal: Terminal) -> Universe:
    from mdagent.store.survey import last_bars
    from mdagent.work.spans import latest_end

    windows: list[tuple[Interval, datetime, datetime, Sequence[Symbol]]] = []
    every: dict[str, Symbol] = {}
    for interval in asked.intervals:
        last: dict[str, datetime] = {}
        if agent.store.exists():
            with agent.store.reading("backfill") as reader:
                last = last_bars(reader.ask, interval.value)
        every |= {name: Symbol.parse(name) for name in last if name not in every}
        if asked.start is not None:
            windows.append((interval, *read_window(interval, asked.start, asked.end, None, terminal), [every[name] for name in last]))
            continue
        until = read_window(interval, None, asked.end, "1d", terminal)[1] if asked.end else latest_end(interval, terminal.clock.now())
        since: dict[datetime, list[Symbol]] = {}
        for name, at in last.items():
            if at < until:
                since.setdefault(at, []).append(every[name])
        windows += [(interval, at, until, symbols) for at, symbols in since.items()]
    return Universe(list(every.values()), windows, asked.adjustment, asked.priority)
