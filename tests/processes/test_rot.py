"""Drill D19: bits that flip, files that are cut short. No wrong value is told in silence, nothing is deleted, no quota is spent twice."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb
import pytest

from mdagent.store.write import Writer
from tests.processes.keeper import SIZE, batch
from tests.processes.loopback import Market, open_market
from tests.processes.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WINDOW = ("--start", "2024-01-02", "--end", "2024-02-01")
ALL = "SELECT symbol, interval, ts, open, high, low, close, volume, batch FROM bars ORDER BY ALL"
BATCHES = 6  # in the write-ahead log
DAMAGED, SPENT = 9, 7


@dataclass
class Rotten:
    """A home of which one file rots at a time: the sound one is kept beside it."""

    sound: Path
    program: Program
    files: tuple[str, ...]
    dice: random.Random
    found: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return ", ".join(f"{n} {what}" for what, n in self.found.most_common())

    def renew(self) -> str:
        """Lay the sound home out again, and spoil one file of it; how, in words."""
        shutil.rmtree(self.program.home)
        shutil.copytree(self.sound, self.program.home)
        path = self.program.store.with_name(self.dice.choice(self.files))
        content = bytearray(path.read_bytes())
        if self.dice.random() < 0.3:
            at = self.dice.randrange(len(content))
            path.write_bytes(content[:at])
            return f"{path.name} cut at {at}"
        at, bit = self._place(content), self.dice.randrange(8)
        content[at] ^= 1 << bit
        path.write_bytes(content)
        return f"bit {bit} of byte {at} of {path.name} flipped"

    def _place(self, content: bytearray) -> int:
        """Anywhere, or where anything is written."""
        at = self.dice.randrange(len(content))
        while self.dice.random() < 0.9 and not content[at]:
            at = self.dice.randrange(len(content))
        return at

    @property
    def names(self) -> list[str]:
        """The files that may not go away."""
        return sorted(p.name for p in self.program.store.parent.iterdir() if p.name in self.files)


def told(program: Program) -> list[tuple[str, ...]] | None:
    """Every bar that the program tells, None where it says that the store is damaged."""
    ran = program.run("query", ALL, "--csv")
    assert ran.returncode in (0, DAMAGED), (ran.returncode, ran.stderr)
    return [tuple(line.split(",")) for line in ran.stdout.splitlines()[1:]] if ran.returncode == 0 else None


def look(rotten: Rotten, truth: set[tuple[str, ...]]) -> None:
    """Rot, read, check: what is told is true and whole batches, or the damage is."""
    how, names = rotten.renew(), rotten.names
    size = rotten.program.store.stat().st_size
    rows, check = told(rotten.program), rotten.program.run("store", "check", "--json")
    assert check.returncode in (0, DAMAGED), (how, check.stderr)
    assert (rotten.names, rotten.program.store.stat().st_size) == (names, size), how
    if rows is None:
        rotten.found["refused"] += 1
        assert check.returncode == DAMAGED, how
        doctor = rotten.program.run("doctor", "--json")
        assert (doctor.returncode, "bad" in doctor.stdout) == (DAMAGED, True), how
    elif check.returncode == DAMAGED:
        rotten.found["found by store check"] += 1
    else:
        lost = truth - set(rows)
        assert not set(rows) - truth, (how, "a wrong value, and nobody said so")
        assert all(Counter(row[-1] for row in lost)[number] == SIZE for number in {row[-1] for row in lost}), (how, "a batch in part")
        rotten.found["unharmed" if not lost else "last batches gone whole, to be asked for again"] += 1


@pytest.fixture
def stocked(tmp_path: Path) -> Path:
    """A home whose last batches stand in the log alone, as a kill leaves it."""
    program = Program(tmp_path / "made")
    program.home.mkdir()
    assert program.run("fetch", "AAPL", "MSFT", *WINDOW).returncode == 0
    sound = tmp_path / "sound"
    with duckdb.connect(program.store) as db:
        db.execute("SET wal_autocheckpoint = '1TB'")
        for number in range(BATCHES):
            db.execute("BEGIN")
            Writer(db).keep(batch("W0", number))
            db.execute("COMMIT")
        shutil.copytree(program.home, sound)
    return sound


def rot_store(stocked: Path, times: int, seed: int) -> str:
    home = stocked.with_name("home")
    shutil.copytree(stocked, home)
    truth = told(Program(home))
    assert truth is not None
    assert len(truth) == 2 * 21 + BATCHES * SIZE
    rotten = Rotten(stocked, Program(home), ("bars.duckdb", "bars.duckdb.wal"), random.Random(seed))
    for _ in range(times):
        look(rotten, set(truth))
    return f"seed {seed}: store and log spoilt {times} times: {rotten}"


def test_a_store_that_rots_tells_nothing_wrong(stocked: Path) -> None:
    assert rot_store(stocked, 2, 5)


@pytest.mark.drill(number="D19")
@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(10**6)])
def test_a_store_that_rots_a_hundred_times_tells_nothing_wrong(stocked: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    words = rot_store(stocked, 100, seed)
    with capsys.disabled():
        print(f"\n{words}")  # noqa: T201  a drill's figures are its result


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    with open_market(tmp_path) as opened:
        yield opened


def rot_ledger(market: Market, times: int, seed: int) -> str:
    """The quota of the day is spent; whatever becomes of the ledger, not one request more goes out."""
    program = market.machine("[{limit: 5, per: day}]")
    spent = program.run("fetch", *(f"SYM{n:05}" for n in range(1, 7)), *WINDOW, "--source", "yahoo")
    asked = market.provider.requests
    assert (spent.returncode, asked > 0) == (5, True), spent.stderr
    sound = program.home.with_name("sound")
    shutil.copytree(program.home, sound)
    rotten = Rotten(sound, program, ("ledger.db",), random.Random(seed))
    for _ in range(times):
        how = rotten.renew()
        ran = program.run("fetch", "SYM00011", *WINDOW, "--source", "yahoo")
        names = rotten.names
        assert (ran.returncode in (SPENT, DAMAGED), names) == (True, ["ledger.db"]), (how, ran)
        rotten.found["refused as damaged" if ran.returncode == DAMAGED else "counts on"] += 1
        if ran.returncode == DAMAGED:
            assert "a new one is made, which holds every quota to be spent" in ran.stderr, how
            for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
                place = program.store.with_name(name)
                if place.exists():
                    place.rename(program.home / name)
            anew = program.run("fetch", "SYM00011", *WINDOW, "--source", "yahoo")
            assert (anew.returncode, "was damaged" in anew.stderr) == (SPENT, True), (how, anew)
        assert market.provider.requests == asked, how
    return f"seed {seed}: ledger spoilt {times} times: {rotten}; no request too many"


def test_a_ledger_that_rots_grants_no_request_more(market: Market) -> None:
    assert rot_ledger(market, 2, 5)


@pytest.mark.drill(number="D19")
@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(10**6)])
def test_a_ledger_that_rots_a_hundred_times_grants_no_request_more(market: Market, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    words = rot_ledger(market, 100, seed)
    with capsys.disabled():
        print(f"\n{words}")  # noqa: T201  a drill's figures are its result
