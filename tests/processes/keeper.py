"""A process of its own that writes to a store, reads from it, or reserves quota; run as `python -m tests.processes.keeper ROLE ...`.

It prints one line for each thing done, once it is done. An error of any kind ends it with a traceback.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mdagent.clock import SystemClock
from mdagent.guard.limits import Grant, Window
from mdagent.market import Adjustment, BarRequest, BarSet, Interval, Priority, Symbol
from mdagent.quality.finding import Verdict
from mdagent.quality.grade import Grade
from mdagent.store.bars import BarStore
from mdagent.store.ledger import open_ledger
from mdagent.store.quota import Reservation
from mdagent.store.read import Span
from mdagent.store.write import Batch

if TYPE_CHECKING:
    from mdagent.clock import Clock

SIZE = 40  # bars of a batch
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
SOURCE = "yahoo"
WORLD = "sandbox"
# Of each symbol: bars, different stamps, batches in the journal, batches in the coverage, and the sums of what was written.
STATE = (
    "SELECT b.symbol, count(*), count(DISTINCT b.ts), min(b.ts), max(b.ts), sum(b.close)::BIGINT,"
    " (SELECT count(*) FROM journal j WHERE j.symbol = b.symbol AND j.inserted > 0)"
    " FROM bars b WHERE b.symbol LIKE 'W%' GROUP BY b.symbol ORDER BY b.symbol"
)


def batch(symbol: str, number: int) -> Batch:
    """The `number`-th batch of a symbol, from 0: minute bars that follow upon those of the batch before."""
    start = FIRST + timedelta(minutes=number * SIZE)
    ts = np.datetime64(start.replace(tzinfo=None), "us") + np.arange(SIZE) * np.timedelta64(60_000_000, "us")
    close = np.arange(number * SIZE, (number + 1) * SIZE) % 1000 + 1.0
    request = BarRequest(Symbol.parse(symbol), Interval.M1, start, start + timedelta(minutes=SIZE))
    bars = BarSet(request.symbol, Interval.M1, SOURCE, Adjustment.SPLITS, "USD", ts, close, close, close, close, close)
    verdict = Verdict((), ("schema",), (), request.start, request.end, SIZE, SIZE, (), bars)
    spans = (Span(request.start, request.end, "complete", None),)
    none, score = np.zeros(SIZE, dtype=bool), np.full(SIZE, 96.0)
    return Batch("drill", request, bars, score, none, verdict, Grade(96.0, "A", (), (), ()), "", spans, FIRST)


def wrong_in(row: tuple[object, ...]) -> str:
    """What is wrong with a row of STATE: a batch that is there in part, or twice; "" when it is whole."""
    symbol, bars = row[:2]
    assert isinstance(bars, int)
    start = FIRST.replace(tzinfo=None)
    due = (bars, start, start + timedelta(minutes=bars - 1), sum(i % 1000 + 1 for i in range(bars)), bars / SIZE)
    return "" if row[2:] == due else f"{symbol}: {bars} bars; stamps, first, last, sum and batches are {row[2:]}, not {due}"


def state(store: BarStore) -> dict[str, int]:
    """Bars of each symbol of the drill. Raises AssertionError when a batch is there in part or twice."""
    with store.reading("drill") as reader:
        _, rows, wrong = reader.query(STATE)
    assert not wrong, wrong
    assert not any(map(wrong_in, rows)), [wrong_in(r) for r in rows]
    return {str(r[0]): int(str(r[1])) for r in rows}


def write(store: BarStore, symbol: str, seconds: float) -> None:
    """Batch after batch, from where the store ends; `ack BARS MS` after each commit."""
    clock = store.clock
    number = state(store).get(symbol, 0) // SIZE if store.exists() else 0
    say("ready")
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        made, began = batch(symbol, number), clock.monotonic()
        with store.writing(f"drill {symbol}") as writer:
            writer.keep(made)
        number += 1
        say(f"ack {number * SIZE} {1000 * (clock.monotonic() - began):.1f}")


def read(store: BarStore, _: str, seconds: float) -> None:
    """Read all again and again; `read BARS MS` after each, having looked that nothing went away or is there in part."""
    clock, seen = store.clock, dict[str, int]()
    say("ready")
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        began = clock.monotonic()
        held = state(store)
        assert all(held.get(symbol, 0) >= bars for symbol, bars in seen.items()), (seen, held)
        seen = held
        say(f"read {sum(held.values())} {1000 * (clock.monotonic() - began):.1f}")


def grants(ledger: Path, clock: Clock, limit: int, tries: int) -> int:
    """Ask for so many requests of a limit an hour; how many were granted."""
    with open_ledger(ledger, clock) as opened:
        what = Reservation("bars", "127.0.0.1", "drill", "AAPL", priority=Priority.HIGH)
        answers = [opened.reserve(SOURCE, (Window(limit, 3600.0),), what=what) for _ in range(tries)]
    return sum(isinstance(a, Grant) for a in answers)


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(role: str, path: str, *words: str) -> None:
    """ROLE PATH and: SYMBOL SECONDS for write and read, LIMIT TRIES for reserve."""
    if role == "reserve":
        say(f"granted {grants(Path(path), SystemClock(), int(words[0]), int(words[1]))}")
        return
    roles = {"write": write, "read": read}
    roles[role](BarStore(Path(path), WORLD, SystemClock(), read_wait=60.0, write_wait=60.0), words[0], float(words[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
