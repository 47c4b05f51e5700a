"""A decision of the ledger, reserve and settle together, against one bare `BEGIN IMMEDIATE` update of SQLite as durable as it is.

    python benchmarks/decisions.py [--rounds N]

Two windows (60 a minute, 500 a day, both half used), two breakers and the queue are asked each time. With eight processes each side is
eight at once on one file, and the time is that of all of them.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from timing import Contest, Cost, call, contest

from mdagent.clock import SystemClock
from mdagent.guard.limits import Grant, Window
from mdagent.guard.outcome import Attempt
from mdagent.store.ledger import open_ledger
from mdagent.store.quota import Lesson, Reservation, Rules

WINDOWS = (Window(100_000, 60.0), Window(50_000, "day"))  # never spent, so that each decision is a grant
COUNTED = 250  # requests that the day has counted before
DECISIONS = 1000
PACE = timedelta(seconds=2)  # between two decisions, so that a minute holds some thirty
RULES = Rules("source:key")


class Brisk(SystemClock):
    """A clock that is moved from one decision to the next."""

    def __init__(self, start: datetime) -> None:
        super().__init__()
        self._at = start

    def step(self) -> None:
        """Two seconds later."""
        self._at += PACE

    def now(self) -> datetime:
        return self._at


def decide(path: Path, count: int) -> None:
    """So many decisions, each settled."""
    what = Reservation("bars", "host.example", "run", "AAPL")
    clock = Brisk(_last(path))
    with open_ledger(path, clock) as ledger:
        for _ in range(count):
            clock.step()
            grant = ledger.reserve("source", WINDOWS, what=what, rules=RULES)
            assert isinstance(grant, Grant)
            attempt = Attempt("source", "bars", "host.example", datetime.now(UTC), 12.0, 200, 1000, None, token=grant.token)
            ledger.settle(grant.token, attempt, refund=False, lesson=Lesson("source", WINDOWS, RULES, grant.generations))


def _last(path: Path) -> datetime:
    """When the ledger was last used."""
    start = datetime(2024, 1, 17, tzinfo=UTC)
    if not path.exists():
        return start
    with open_ledger(path, SystemClock()) as ledger:
        return datetime.fromtimestamp(ledger.rows("SELECT max(at) FROM attempts")[0][0] / 1e6, UTC)


def update(path: Path, count: int) -> None:
    """So many bare updates."""
    db = sqlite3.connect(path, timeout=10.0, isolation_level=None)
    db.execute("PRAGMA synchronous=FULL")
    for _ in range(count):
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE counts SET n = n + 1 WHERE id = 1")
        db.execute("COMMIT")
    db.close()


def measure(folder: Path, rounds: int, processes: int) -> Contest:
    """One side decides, the other updates, in so many processes."""
    path, bare = folder / f"ledger{processes}.db", folder / f"bare{processes}.db"
    with sqlite3.connect(bare) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE counts (id INTEGER PRIMARY KEY, n INTEGER)")
        db.execute("INSERT INTO counts VALUES (1, 0)")
    decide(path, COUNTED)
    what = f"reserve + settle, {processes} process{'es' if processes > 1 else ''} / one bare update"

    def fresh() -> None:
        with open_ledger(path, SystemClock()) as ledger:  # what the day has counted is the same in each turn
            ledger._db.execute("DELETE FROM attempts WHERE id > ?", (COUNTED,))  # noqa: SLF001

    def ours() -> Cost:
        fresh()
        return _cost(processes, decide, "decide", path)

    return contest(what, ours, lambda: _cost(processes, update, "update", bare), rounds=rounds, goal=3.0)


def _cost(processes: int, work: object, role: str, path: Path) -> Cost:
    if processes == 1:
        return call(lambda: work(path, DECISIONS))  # type: ignore[operator]
    began = time.perf_counter()
    words = [sys.executable, __file__, "--role", role, str(path)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(processes)]
    told = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    cpu = sum(float(line) for line in told)
    return Cost(time.perf_counter() - began, cpu)


def main() -> int:
    words = argparse.ArgumentParser(description="Measure a decision of the ledger.")
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--role", nargs=2, metavar=("ROLE", "PATH"))
    told = words.parse_args()
    if told.role:
        work = {"decide": decide, "update": update}[told.role[0]]
        print(call(lambda: work(Path(told.role[1]), DECISIONS // 8)).cpu)
        return 0
    with TemporaryDirectory() as folder:
        contests = [measure(Path(folder), told.rounds, processes) for processes in (1, 8)]
    for c in contests:
        ms = f"{1000 * c.ours.cpu:.0f} / {1000 * c.other.cpu:.0f} ms CPU, {1000 * c.ours.wall:.0f} / {1000 * c.other.wall:.0f} wall"
        print(f"{c.name:50} {ms}  ratio {c.ratio.cpu:.2f} CPU, {c.ratio.wall:.2f} wall, goal {c.goal} {c.verdict}")
    return int(any(c.verdict == "MISSED" for c in contests))


if __name__ == "__main__":
    sys.exit(main())
