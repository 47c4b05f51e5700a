"""A million bars through the store, against DuckDB's own insert of the same arrays into a table of the same columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from timing import Contest, Cost, call, contest

from mdagent.clock import SystemClock
from mdagent.market import Adjustment, BarRequest, BarSet, Interval, Symbol
from mdagent.quality.finding import Verdict
from mdagent.quality.grade import Grade
from mdagent.store.bars import BarStore
from mdagent.store.read import Span
from mdagent.store.write import Batch

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2000, 1, 3, tzinfo=UTC)
TABLE = (
    "CREATE TABLE bars (symbol VARCHAR, interval VARCHAR, ts TIMESTAMP, source VARCHAR, adjustment VARCHAR, open DOUBLE, high DOUBLE,"
    " low DOUBLE, close DOUBLE, volume DOUBLE, vwap DOUBLE, trades DOUBLE, currency VARCHAR, provisional BOOLEAN, score DOUBLE,"
    " fetched_at TIMESTAMP, batch BIGINT)"
)
INSERT = (
    "INSERT INTO bars SELECT 'AAPL', '1m', ts, 'yahoo', 'splits', open, high, low, close, volume, NULL, NULL, 'USD', provisional, score,"
    " TIMESTAMP '2026-01-01', 1 FROM incoming"
)


def made(rows: int) -> Batch:
    """So many minute bars of a random walk in cents."""
    dice = np.random.default_rng(7)
    ts = np.datetime64(START.replace(tzinfo=None), "us") + np.arange(rows) * np.timedelta64(60_000_000, "us")
    close = np.round(100.0 + np.cumsum(dice.normal(0.0, 0.01, rows)), 2)
    spread = np.round(dice.uniform(0.0, 0.5, rows), 2)
    request = BarRequest(Symbol.parse("AAPL"), Interval.M1, START, START + timedelta(minutes=rows))
    volume = dice.integers(1, 100_000, rows).astype(np.float64)
    bars = BarSet(request.symbol, Interval.M1, "yahoo", Adjustment.SPLITS, "USD", ts, close, close + spread, close - spread, close, volume)
    verdict = Verdict((), ("schema",), (), request.start, request.end, rows, rows, (), bars)
    spans, grade = (Span(request.start, request.end, "complete", None),), Grade(96.0, "A", (), (), ())
    return Batch("bench", request, bars, np.full(rows, 96.0), np.zeros(rows, dtype=bool), verdict, grade, "", spans, START)


def measure(folder: Path, rows: int, rounds: int) -> Contest:
    """Each run writes to a new file, whose tables are there already."""
    batch, clock, turn = made(rows), SystemClock(), iter(range(1_000_000))
    columns = {n: getattr(batch.bars, n) for n in ("ts", "open", "high", "low", "close", "volume")}
    columns |= {"provisional": batch.provisional, "score": batch.scores}

    def ours() -> Cost:
        path = folder / f"ours{next(turn)}.duckdb"
        store = BarStore(path, "sandbox", clock)
        with store.writing("bench"):
            pass

        def work() -> None:
            with store.writing("bench") as writer:
                writer.keep(batch)

        cost = call(work)
        assert _count(path) == rows
        return cost

    def other() -> Cost:
        path = folder / f"other{next(turn)}.duckdb"
        with duckdb.connect(path) as db:
            db.execute(TABLE)

        def work() -> None:
            with duckdb.connect(path) as db:
                db.register("incoming", columns)
                db.execute(INSERT)

        cost = call(work)
        assert _count(path) == rows
        return cost

    return contest(f"upsert of {rows:,} bars / raw DuckDB insert", ours, other, rounds=rounds, goal=1.5)


def _count(path: Path) -> int:
    with duckdb.connect(path, read_only=True) as db:
        found = db.execute("SELECT count(*) FROM bars").fetchone()
    path.unlink()
    return int(found[0]) if found else 0
