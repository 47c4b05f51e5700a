"""A big store: bytes a bar, one symbol's ten years out of many, and the export of everything.

    python benchmarks/scale.py [--symbols N] [--bars N] [--rounds N] [--folder DIR]

Makes a store of synthetic bars in a folder that is removed afterwards, compacts it, and measures it against one of 100 symbols and
against DuckDB's own COPY of the same table. The exit code is 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from mdagent.clock import SystemClock
from mdagent.market import BarRequest, Interval, Symbol
from mdagent.store.bars import BarStore
from mdagent.work.validate import SPAN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MDAGENT = str(Path(sys.executable).with_name("mdagent"))
FEW, AT_ONCE = 100, 200  # symbols of the small store; symbols that are made at once
BYTES, READ, EXPORT = 25.0, 1.5, 1.2  # the goals
# A random walk in cents by way of hashes; a symbol's bars come in 5 deliveries, as fetches of later years would bring them.
BARS = """
INSERT INTO bars
WITH steps AS (
    SELECT 'S' || lpad(s::VARCHAR, 5, '0') AS symbol, n, DATE '2016-01-04' + INTERVAL 1 DAY * (n // 5 * 7 + n % 5) AS ts,
           50 + hash(s) % 200 + sum((hash(s, n) % 401)::BIGINT - 200) OVER (PARTITION BY s ORDER BY n) / 400.0 AS walk, hash(n, s) AS h
    FROM range({first}, {after}) a(s), range({bars}) b(n)
), priced AS (
    SELECT *, greatest(walk, 5) + (h % 97)::BIGINT / 100.0 AS open, greatest(walk, 5) + (h % 89)::BIGINT / 100.0 AS close FROM steps
)
SELECT symbol, '1d', ts, 'yahoo', 'splits', round(open, 2), round(greatest(open, close) + (h % 53)::BIGINT / 100.0, 2),
       round(least(open, close) - (h % 47)::BIGINT / 100.0, 2), round(close, 2), 100000 + h % 9000000, NULL, NULL, 'USD', false,
       CASE WHEN h % 50 = 0 THEN 90 ELSE 96 END, TIMESTAMP '2026-01-01' + INTERVAL 1 SECOND * (n // 500), n // 500 + 1, 1, 1, true, NULL
FROM priced ORDER BY n // 500, symbol, ts
"""
ACTIONS = """
INSERT INTO coverage SELECT DISTINCT symbol, 'actions', source, 'all', TIMESTAMP '2016-01-01', TIMESTAMP '2026-02-01', 'complete',
    NULL::TIMESTAMP, TIMESTAMP '2026-02-01' FROM bars
"""
JOURNAL = """
INSERT INTO journal
SELECT batch, min(fetched_at), 'bench', min(symbol), '1d', 'yahoo', 'splits', min(ts), max(ts), count(*), count(*), 0, 0, 0, ''
FROM bars GROUP BY batch
"""


def made(path: Path, symbols: int, bars: int) -> BarStore:
    """A store of so many symbols as fetches leave it."""
    store = BarStore(path, "live", SystemClock())
    with store.writing("bench"):
        pass
    with duckdb.connect(path) as db:
        for first in range(0, symbols, AT_ONCE):
            db.execute(BARS.format(first=first, after=min(first + AT_ONCE, symbols), bars=bars))
        db.execute(ACTIONS)
        db.execute(JOURNAL)
    return store


def run(words: tuple[str, ...], environ: Mapping[str, str]) -> tuple[float, int]:
    """Seconds on the wall, and the most memory that the process ever held, in bytes."""
    began = time.perf_counter()
    child = subprocess.Popen(words, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    told = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds, child.returncode = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
    child.stderr.close()
    assert child.returncode == 0, told
    return seconds, usage.ru_maxrss * 1024


def read_one(store: BarStore, symbol: str) -> float:
    """Seconds that the ten years of one symbol take, lock and opening included."""
    request = BarRequest(Symbol.parse(symbol), Interval.D1, *SPAN)
    began = time.perf_counter()
    with store.reading("bench") as reader:
        rows = reader.rows(request, reader.joint(request))
    assert rows
    return time.perf_counter() - began


def turns(one: Callable[[], float], other: Callable[[], float], rounds: int) -> tuple[float, float]:
    """The medians of two that take turns; the first turn of each warms up."""
    one(), other()
    pairs = [(one(), other()) for _ in range(rounds)]
    return median(p[0] for p in pairs), median(p[1] for p in pairs)


def verdict(name: str, value: float, goal: float, words: str) -> bool:
    print(f"{name:48} {value:8.2f}  goal {goal:5.2f} {'met' if value <= goal else 'MISSED':6}  {words}", flush=True)
    return value <= goal


def bytes_a_bar(store: BarStore, bars: int, environ: Mapping[str, str]) -> bool:
    before = store.path.stat().st_size
    seconds, memory = run((MDAGENT, "store", "compact"), environ)
    after = store.path.stat().st_size
    words = f"{before:,} bytes before, {after:,} after; {seconds:.1f} s, {memory / 2**20:.0f} MiB"
    return verdict("bytes a bar after store compact", after / bars, BYTES, words)


def one_of_many(big: BarStore, small: BarStore, names: tuple[str, str], environs: Sequence[Mapping[str, str]], rounds: int) -> list[bool]:
    """A symbol of each."""
    many, few = turns(lambda: read_one(big, names[0]), lambda: read_one(small, names[1]), max(rounds, 9))
    words = f"{1000 * many:.1f} ms / {1000 * few:.1f} ms"
    told = [verdict(f"one symbol of many / of {FEW}, in the process", many / few, READ, words)]
    ours, theirs = ((MDAGENT, "--store", str(store.path), "export", name, "--csv") for store, name in zip((big, small), names, strict=True))
    many, few = turns(lambda: run(ours, environs[0])[0], lambda: run(theirs, environs[1])[0], rounds)
    words = f"{1000 * many:.0f} ms / {1000 * few:.0f} ms"
    return [*told, verdict(f"one symbol of many / of {FEW}, mdagent export", many / few, READ, words)]


def everything(store: BarStore, environ: Mapping[str, str], rounds: int) -> bool:
    """The export of all bars, a process, against a process that opens the same file and copies the table."""
    ours, other = store.path.with_name("ours.parquet"), store.path.with_name("other.parquet")
    copy = f"import duckdb; duckdb.connect({str(store.path)!r}, read_only=True).execute(\"COPY bars TO '{other}' (FORMAT parquet)\")"
    peaks: list[int] = []

    def export() -> float:
        seconds, memory = run((MDAGENT, "export", "-o", str(ours), "--force"), environ)
        peaks.append(memory)
        return seconds

    mine, theirs = turns(export, lambda: run((sys.executable, "-c", copy), environ)[0], rounds)
    words = f"{mine:.2f} s / {theirs:.2f} s; at most {max(peaks) / 2**20:.0f} MiB; {ours.stat().st_size:,} / {other.stat().st_size:,} bytes"
    return verdict("export of all bars / DuckDB's COPY of the table", mine / theirs, EXPORT, words)


def main() -> int:
    words = argparse.ArgumentParser(description="Measure a big store.")
    words.add_argument("--symbols", type=int, default=1000, help="in the store (default 1000)")
    words.add_argument("--bars", type=int, default=2500, help="daily bars of each (default 2500, ten years)")
    words.add_argument("--rounds", type=int, default=5, help="runs of each side (default 5)")
    words.add_argument("--folder", type=Path, help="where to make it (default the system's folder for temporary files)")
    told = words.parse_args()
    with TemporaryDirectory(dir=told.folder, prefix="scale-") as folder:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("MDAGENT_", "COVERAGE_"))} | {"MDAGENT_HOME": folder}
        big = made(Path(folder) / "bars.duckdb", told.symbols, told.bars)
        small = made(Path(folder) / "small.duckdb", FEW, told.bars)
        print(f"{told.symbols:,} symbols, {told.symbols * told.bars:,} bars", flush=True)
        met = [bytes_a_bar(big, told.symbols * told.bars, environ)]
        run((MDAGENT, "--store", str(small.path), "store", "compact"), environ)
        names = f"S{told.symbols // 2:05}", f"S{FEW // 2:05}"
        met += one_of_many(big, small, names, (environ, environ), told.rounds)
        met.append(everything(big, environ, told.rounds))
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
