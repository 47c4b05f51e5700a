"""Two writers and five readers on one store, in real processes: no error is shown, nothing is lost, nobody starves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import SystemClock
from mdagent.store.bars import BarStore
from tests.processes.keeper import WORLD, state
from tests.processes.program import Program, lines_of, start_keeper

if TYPE_CHECKING:
    from pathlib import Path

WINDOW = ("--start", "2024-01-02", "--end", "2024-02-01")
SESSIONS = 21
PATIENT = ("--lock-wait", "60")  # how long a wait may be is for the drill to judge, on a machine that does nothing else


@dataclass(frozen=True, slots=True)
class Account:
    """What the processes told: milliseconds of each read and write, commits of each writer; symbols that mdagent itself fetched."""

    reads: list[float]
    writes: list[float]
    commits: list[int]
    fetched: int

    def __str__(self) -> str:
        shares = " and ".join(f"{n / sum(self.commits):.0%}" for n in self.commits)
        return f"reads {_spread(self.reads)}; commits ({shares}) {_spread(self.writes)}; {self.fetched} symbols fetched beside them"


def at(share: float, times: list[float]) -> float:
    """The time that this share of them does not exceed."""
    return sorted(times)[int(share * (len(times) - 1))]


def _spread(times: list[float]) -> str:
    return f"{len(times)}: p50 {at(0.5, times):.0f} ms, p99 {at(0.99, times):.0f} ms, max {max(times):.0f} ms"


def share(home: Path, writers: int, readers: int, seconds: float) -> Account:
    """Let them all loose on one store, and the real program beside them; then count."""
    program, clock = Program(home), SystemClock()
    assert program.run("fetch", "SYM00001", *WINDOW, "--csv").returncode == 0
    names = [f"W{i}" for i in range(writers)]
    writing = [start_keeper("write", str(program.store), name, str(seconds)) for name in names]
    reading = [start_keeper("read", str(program.store), "-", str(seconds)) for _ in range(readers)]
    fetched, end = 1, clock.monotonic() + seconds
    while clock.monotonic() < end:
        fetched += 1
        done = program.run(*PATIENT, "fetch", f"SYM{fetched:05}", *WINDOW, "--csv")
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 1 + SESSIONS), done.stderr
        told = program.run(*PATIENT, "query", "SELECT count(*) FROM bars WHERE symbol LIKE 'SYM%'", "--csv")
        assert (told.returncode, told.stdout.split()[-1]) == (0, str(fetched * SESSIONS)), told.stderr
    wrote, read = [lines_of(p)[1:] for p in writing], [line for p in reading for line in lines_of(p)[1:]]
    acks = [[(int(line.split()[1]), float(line.split()[2])) for line in lines] for lines in wrote]
    safe = {name: told[-1][0] for name, told in zip(names, acks, strict=True)}
    store = BarStore(program.store, WORLD, clock)
    assert state(store) == safe
    with store.reading() as reader:
        assert reader.duplicates() == 0
    writes = [ms for told in acks for _, ms in told]
    return Account([float(line.split()[2]) for line in read], writes, [len(told) for told in acks], fetched)


def test_two_writers_and_two_readers_and_the_program_itself_share_a_store_without_an_error(tmp_path: Path) -> None:
    account = share(tmp_path, writers=2, readers=2, seconds=2.0)
    assert min(account.commits) >= 1
    assert len(account.reads) >= 2


@pytest.mark.drill(number="D4")
def test_two_writers_and_five_readers_share_a_store_for_a_minute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    account = share(tmp_path, writers=2, readers=5, seconds=60.0)
    with capsys.disabled():
        print(f"\n{account}")  # noqa: T201  a drill's figures are its result
    assert at(0.99, account.reads) <= 1000
    assert max(account.writes) <= 2000
    assert min(account.commits) >= 0.3 * sum(account.commits)
