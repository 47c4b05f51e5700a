"""SIGKILL at random moments: the store always opens afterwards, holds all that was acknowledged, and nothing twice."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import SystemClock
from mdagent.store.bars import BarStore
from tests.processes.keeper import SIZE, WORLD, state
from tests.processes.program import start_keeper

if TYPE_CHECKING:
    from pathlib import Path

FOREVER = "600"
CREATING, WRITING = 0.4, 0.8  # seconds in which a first creation, and some commits, come to pass


def kill_one(path: Path, after: float) -> int:
    """Start a writer, kill it so many seconds after it set out to write, and return the bars it was told are safe."""
    with start_keeper("write", str(path), "W0", FOREVER) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        assert first == "ready\n", child.communicate()
        try:
            child.wait(after)
        except subprocess.TimeoutExpired:
            child.kill()
        out, err = child.communicate()
    assert err == ""
    acks = [line.split() for line in out.splitlines() if line.startswith("ack ") and len(line.split()) == 3]
    return int(acks[-1][1]) if acks else 0


def look(path: Path, acknowledged: int) -> int:
    """The bars that are there: all that were acknowledged and at most one batch more, each whole and once."""
    store = BarStore(path, WORLD, SystemClock(), read_wait=2.0)
    if not store.exists():
        assert acknowledged == 0
        return 0
    held = state(store).get("W0", 0)
    assert acknowledged <= held <= acknowledged + SIZE
    with store.reading() as reader:
        assert reader.duplicates() == 0
    return held


def drill(folder: Path, kills: int, seed: int) -> str:
    """Half of the kills hit a first creation, half a store that lives on. What was found, in words."""
    dice = random.Random(seed)
    unborn = unacknowledged = 0
    for n in range(kills // 2):
        path = folder / f"new{n}" / "bars.duckdb"
        told = kill_one(path, dice.uniform(0.0, CREATING))
        held = look(path, told)
        unborn += not path.exists()
        unacknowledged += held > told
    path, held = folder / "old" / "bars.duckdb", 0
    for _ in range(kills - kills // 2):
        told = max(held, kill_one(path, dice.uniform(0.0, WRITING)))
        held = look(path, told)
        unacknowledged += held > told
    between = f"{unborn} before the store was there, {unacknowledged} between a commit and its acknowledgement"
    return f"seed {seed}, {kills} kills: {between}; {held} bars, none lost"


@pytest.mark.parametrize("seed", [7])
def test_after_a_kill_the_store_opens_and_holds_all_that_was_acknowledged_once(tmp_path: Path, seed: int) -> None:
    assert drill(tmp_path, 8, seed)


@pytest.mark.drill(number="D1")
@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(10**6)])
def test_after_fifty_kills_the_store_opens_and_holds_all_that_was_acknowledged_once(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    told = drill(tmp_path, 50, seed)
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201  a drill's figures are its result


def test_what_a_killed_creation_left_behind_is_removed_by_the_next(tmp_path: Path) -> None:
    leftover = tmp_path / ".bars.duckdb.new-1"
    leftover.write_bytes(b"half")
    with BarStore(tmp_path / "bars.duckdb", WORLD, SystemClock()).writing("drill"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bars.duckdb", "bars.duckdb.lock", "bars.duckdb.turn"]
