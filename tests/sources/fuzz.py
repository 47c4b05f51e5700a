"""Spoilt answers without end, for every parser of every source: `make fuzz`.

    python -m tests.sources.fuzz [--bodies N] [--source NAME] [--kind KIND] [--seed N] [--workers N]

Each body is a good answer of the simulated provider with one to four things wrong in it, or plain noise. Body number n of a parser is
the same in every run of a seed, so a fault can be had again. Whatever comes, the parser gives a sound result or raises
ConversationFailed, and `error_in` raises nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import numpy as np

from mdagent.guard.outcome import ConversationFailed, Failure
from mdagent.market import BarRequest, BarSet, CorporateAction, Interval, Listing, MarketStatus, Quote, Symbol
from mdagent.sources import NAMES, spec_of
from mdagent.wire.sandbox.market import truth
from mdagent.wire.sandbox.tickers import listing
from tests.sources.answers import presentable
from tests.sources.spoiler import Spoiler
from tests.sources.talk import Simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mdagent.sources.base import Source

NOW = datetime(2024, 3, 14, 2, tzinfo=UTC)
SLOW = 1.0  # seconds that no body may take
_MOST = 30  # answers of one conversation
STATUSES = (200,) * 12 + (400, 401, 403, 404, 429, 500, 503, 999)


class Parser(NamedTuple):
    """One kind of conversation with one source, and the good answers to it."""

    source: str
    kind: str

    def __str__(self) -> str:
        return f"{self.source} {self.kind}"


@dataclass
class Tally:
    """What came of the bodies of a parser."""

    bodies: int = 0
    read: int = 0  # gave a result
    seconds: float = 0.0
    slowest: tuple[float, int] = (0.0, -1)  # seconds, number of the body
    faults: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.bodies += other.bodies
        self.read += other.read
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)
        self.faults += other.faults


def parsers() -> list[Parser]:
    """Every parser that there is."""
    return [Parser(source, kind) for source in NAMES for kind in KINDS if kind in begins(source)]


KINDS = ("days", "weeks", "minutes", "quote", "search", "actions", "market", "batch")


@lru_cache(maxsize=32)
def begins(source: str) -> dict[str, tuple[Callable[[Source], Any], datetime]]:
    """How each kind of conversation begins, and when."""
    spec, (symbol, now) = spec_of(source), young()
    start = now - timedelta(days=31)
    found: dict[str, tuple[Callable[[Source], Any], datetime]] = {}
    for kind, interval in (("days", Interval.D1), ("weeks", Interval.W1), ("minutes", next(i for i in spec.intervals if i.intraday))):
        if interval in spec.intervals:
            since = now - timedelta(days=1) if interval.intraday else start
            found[kind] = (lambda s, i=interval, f=since: s.bars(_asked(s, symbol, i, f, now)), now)  # type: ignore[misc]
    found["quote"] = (lambda s: s.quote(symbol), now)
    found["search"] = (lambda s: s.search("Apple"), NOW)
    found["actions"] = (lambda s: s.actions(Symbol.parse("AAPL"), NOW - timedelta(days=1400), NOW), NOW)
    found["market"] = (lambda s: s.market(), NOW)
    day = NOW - timedelta(days=1, hours=2)
    found["batch"] = (lambda s: s.batch([_asked(s, name, Interval.D1, day, day + timedelta(days=1)) for name in ("AAPL", "NOSUCH")]), NOW)
    return {kind: value for kind, value in found.items() if kind in ("days", "weeks", "minutes") or kind in spec.offers}


def _asked(source: Source, symbol: str, interval: Interval, start: datetime, end: datetime) -> BarRequest:
    return BarRequest(symbol, interval, start, end, source.spec.intervals[interval].delivers[-1])  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def young() -> tuple[str, datetime]:
    """A listing, and the night after a session some four weeks after it was listed: all that can be told of it is short."""

    made = [t for n in range(1, 2000) if (t := listing(f"SYM{n:05d}")) and not t.is_thin and not t.splits]
    latest = max(made, key=lambda t: t.first_trade)
    day = latest.first_trade + timedelta(days=28)
    trades = truth(latest).hours.day
    last = trades[np.searchsorted(trades, np.datetime64(day, "D"))].item() + timedelta(days=1)
    return latest.symbol, datetime(last.year, last.month, last.day, 2, tzinfo=UTC)


@lru_cache(maxsize=128)
def good(parser: Parser) -> tuple[bytes, ...]:
    """The simulated provider's answers in one such conversation, shortened where they are long."""
    begin, now = begins(parser.source)[parser.kind]
    simulated = Simulated(parser.source, now)
    simulated.hold(begin)
    assert simulated.told, parser
    return tuple(_shortened(reply.content) for reply in simulated.told)


def _shortened(content: bytes) -> bytes:
    """The same JSON with at most eight items in any list or keyed object of rows: what is wrong is wrong in few rows, too."""
    import json

    def short(value: Any) -> Any:
        if isinstance(value, list):
            return [short(item) for item in value[:8]]
        if isinstance(value, dict):
            return {k: short(v) for k, v in (list(value.items())[:24])}
        return value

    try:
        return json.dumps(short(json.loads(content)), separators=(",", ":")).encode()
    except ValueError:
        return content


def _remembering(get: Callable[..., httpx.Request]) -> Callable[..., httpx.Request]:
    """The same request for the same words: half the time of a conversation goes into its first one, which never differs."""
    made: dict[Any, httpx.Request] = {}

    def got(path: str, params: Any = None, *, cost: int = 1) -> httpx.Request:
        words = (path, cost, *(params or {}).items())
        if words not in made:
            if len(made) > 100:
                made.clear()
            made[words] = get(path, params, cost=cost)
        return made[words]

    return got


class Bench:
    """One parser, ready to be given bodies."""

    def __init__(self, parser: Parser, seed: int = 0) -> None:
        self.parser, self.seed = parser, seed
        self.begin, now = begins(parser.source)[parser.kind]
        self.source = Simulated(parser.source, now).source
        self.source.get = _remembering(self.source.get)  # type: ignore[attr-defined]
        self.spoilers = [Spoiler(content) for content in good(parser)]
        self.replies = [httpx.Response(200, content=content) for content in good(parser)]

    def body(self, number: int) -> tuple[bytes, int, bool]:
        """Body `number`, the status that it comes with, and whether the parser reads it even where it tells an error."""
        chance = random.Random(f"{self.seed} {self.parser} {number}")
        return self.spoilers[number % len(self.spoilers)].spoilt(chance), chance.choice(STATUSES), number % 8 > 0

    def give(self, content: bytes, status: int, *, insist: bool = True, place: int = 0) -> object:
        """What the parser makes of it as its answer number `place`, all others being good: a sound result, or a failure. Raises
        AssertionError, or whatever the parser should not."""
        reply = httpx.Response(status, content=content)
        failure = self.source.error_in(reply)
        _check_failure(failure)
        try:
            value = self._talk(reply, None if insist else failure, place)
        except ConversationFailed as error:
            _check_failure(error.failure)
            return error.failure
        _check(value)
        return value

    def _talk(self, reply: httpx.Response, failure: Failure | None, place: int) -> object:
        try:
            talk = self.begin(self.source)
            next(talk)
            for n in range(_MOST):
                if n < len(self.replies) and n != place:
                    talk.send(self.replies[n])
                elif failure is not None:
                    talk.throw(ConversationFailed(failure))
                else:
                    talk.send(reply)
        except StopIteration as end:
            return end.value
        return None


def _check_failure(failure: Failure | None) -> None:
    if failure is not None:
        assert 0 < len(failure.detail) <= 300, failure
        assert failure.detail.isprintable() or presentable(failure.detail), failure


def _check(value: object) -> None:
    """Is that a result that the rest of the program can live with?"""
    for item in value if isinstance(value, list | tuple) and not isinstance(value, Quote) else (value,):
        if isinstance(item, BarSet):
            assert np.isfinite(np.array([item.open, item.high, item.low, item.close])).all()
            assert not np.isinf(item.volume).any()
            assert (np.diff(item.ts.astype(np.int64)) > 0).all()
        elif isinstance(item, Quote):
            assert np.isfinite(item.last)
        elif isinstance(item, CorporateAction):
            assert np.isfinite(item.value)
        elif isinstance(item, Listing):
            str(item.symbol).encode("ascii")
            item.name.encode()
        else:
            assert item is None or isinstance(item, Failure | MarketStatus), item


def run(parser: Parser, numbers: range, seed: int = 0) -> Tally:
    """Give a parser these bodies."""
    warnings.simplefilter("error")
    bench, tally = Bench(parser, seed), Tally()
    began = time.perf_counter()
    for number in numbers:
        content, status, insist = bench.body(number)
        start = time.perf_counter()
        try:
            tally.read += not isinstance(bench.give(content, status, insist=insist, place=number % len(bench.spoilers)), Failure)
        except Exception as error:  # noqa: BLE001  whatever it is, it should not have come here
            if len(tally.faults) < 20:
                tally.faults.append(f"{parser} body {number}, status {status}: {type(error).__name__}: {error!s:.200} {content[:200]!r}")
        took = time.perf_counter() - start
        if took > tally.slowest[0]:
            tally.slowest = (took, number)
        if took > SLOW:
            tally.faults.append(f"{parser} body {number} took {took:.1f} s")
    tally.bodies, tally.seconds = len(numbers), time.perf_counter() - began
    return tally


def _run(work: tuple[Parser, range, int]) -> tuple[Parser, Tally]:
    return work[0], run(*work)


def _work(chosen: Sequence[Parser], bodies: int, seed: int) -> Iterator[tuple[Parser, range, int]]:
    for parser in chosen:
        yield from ((parser, range(low, min(low + 20_000, bodies)), seed) for low in range(0, bodies, 20_000))


def main() -> int:
    words = argparse.ArgumentParser(description="Give spoilt answers to every parser.")
    words.add_argument("--bodies", type=int, default=1_000_000, help="bodies for each parser (default a million)")
    words.add_argument("--source", choices=NAMES, help="one source alone")
    words.add_argument("--kind", choices=KINDS, help="one kind of conversation alone")
    words.add_argument("--seed", type=int, default=0, help="another seed gives other bodies")
    words.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a processor)")
    told = words.parse_args()
    chosen = [p for p in parsers() if told.source in (None, p.source) and told.kind in (None, p.kind)]
    tallies = {parser: Tally() for parser in chosen}
    with get_context("spawn").Pool(told.workers) as pool:
        for parser, part in pool.imap(_run, _work(chosen, told.bodies, told.seed)):
            tallies[parser].add(part)
            if tallies[parser].bodies == told.bodies:
                show(parser, tallies[parser])
    faults = [fault for tally in tallies.values() for fault in tally.faults]
    sys.stdout.write("".join(f"FAULT {fault}\n" for fault in faults))
    return int(bool(faults))


def show(parser: Parser, tally: Tally) -> None:
    """One line: bodies, how many gave a result, the mean and the slowest, faults."""
    slowest, number = tally.slowest
    mean = 1e6 * tally.seconds / max(tally.bodies, 1)
    words = f"{parser!s:22} {tally.bodies:>9} bodies {tally.read:>9} read {mean:7.0f} us each"
    sys.stdout.write(f"{words}, slowest {1e3 * slowest:6.1f} ms (body {number}), {len(tally.faults)} faults\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
