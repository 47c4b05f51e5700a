"""SIGKILL while the store is written anew: the old file or the new one is there, whole, and the next run clears away what was left."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.processes.program import Program

if TYPE_CHECKING:
    from pathlib import Path

MANY = 300_000  # bars: enough that the rewriting takes a while
FULL = (
    "INSERT INTO bars SELECT b.* REPLACE (ts - INTERVAL 1 MILLISECOND * n AS ts, open + n / 100 AS open)"
    " FROM bars b, range(1, {0}) r(n) LIMIT {0}"
)


def contents(store: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(store, read_only=True) as db:
        return db.execute("SELECT count(*), sum(hash(b)::HUGEINT), (SELECT count(*) FROM journal) FROM bars b").fetchall()


def kill_one(program: Program, part: float) -> int:
    """The exit code of a compaction that is killed when the new file is that part of the old one, if it is not over by then."""
    least = part * program.store.stat().st_size
    with program.start("store", "compact") as child:
        while child.poll() is None:
            if any(written(p) >= least for p in program.store.parent.iterdir() if ".new-" in p.name):
                child.kill()
                break
        child.communicate()
        return child.returncode


def written(path: Path) -> int:
    """The size of a file that may be gone by now, which is as good as none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def drill(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """How many were killed, and how many got to the end."""
    program, dice = Program(folder), random.Random(seed)
    assert program.run("fetch", "AAPL", "--period", "1mo").returncode == 0
    with duckdb.connect(program.store) as db:
        db.execute(FULL.format(MANY))
    before, codes = contents(program.store), []
    for turn in range(kills):
        codes.append(kill_one(program, dice.uniform(0.0, 1.0) if turn else 0.0))
        assert contents(program.store) == before
    done = program.run("store", "compact")
    assert (done.returncode, contents(program.store)) == (0, before)
    assert [p.name for p in program.store.parent.iterdir() if ".new-" in p.name or p.name.endswith(".wal")] == []
    assert program.run("store", "check").returncode == 0
    return codes.count(-signal.SIGKILL), codes.count(0)


def test_a_compaction_that_is_killed_leaves_a_whole_store(tmp_path: Path) -> None:
    killed, ended = drill(tmp_path, 8, 11)
    assert killed + ended == 8
    assert killed > 0


@pytest.mark.drill
def test_a_compaction_that_is_killed_fifty_times_leaves_a_whole_store(tmp_path: Path) -> None:
    killed, ended = drill(tmp_path, 50, 12)
    assert killed + ended == 50
