"""Drills D2 and D3: SIGKILL, EIO and ENOSPC at every system call by which one commit changes its files, that of the very first run among
them. The store always opens afterwards, an answer is wholly in it or not at all, and the same command completes it."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.cli import main
from mdagent.cli.terminal import Terminal
from mdagent.clock import SystemClock
from mdagent.store.bars import BarStore
from mdagent.store.ledger import open_ledger
from tests.processes.program import Program
from tests.processes.stricken import FAILING, KINDS, LEDGER_FILES, NEEDS_STRACE, STORE_FILES, Blow, strike
from tests.processes.tables import tables

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.processes.stricken import Struck

pytestmark = NEEDS_STRACE

WINDOW = ("--start", "2024-01-02", "--end", "2024-01-17", "--csv")
SESSIONS = 10
FIRST, SECOND = ("fetch", "AAPL", *WINDOW), ("fetch", "MSFT", *WINDOW)
DEAD_DISK, FULL_DISK = "error=EIO", "error=ENOSPC"
GIVEN_UP = (9, 10)  # exit codes of a file that cannot be read or written


@dataclass
class Bench:
    """A fetch that is struck again and again, each time in the home that it found: an empty one, or one with a store."""

    folder: Path
    words: tuple[str, ...]
    template: Path | None = None
    count: int = 0
    wanted: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    hit: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        calm = self.program()
        assert run(calm, self.words) == (0, SESSIONS)
        self.wanted = tables(calm.store)

    def program(self) -> Program:
        home = self.folder / f"home{self.count}"
        self.count += 1
        if self.template is None:
            home.mkdir()
        else:
            shutil.copytree(self.template, home)
        return Program(home)

    def strike(self, blow: Blow) -> bool:
        """One blow, and all that has to hold after it. False where the run came to no such call."""
        program = self.program()
        struck = strike(program, blow, *self.words)
        if struck.hit:
            self.hit[f"{blow.file.replace('-$$', '')} {blow.kind}"] += 1
            self.look(program, blow, struck)
        shutil.rmtree(program.home)
        return struck.hit

    def look(self, program: Program, blow: Blow, struck: Struck) -> None:
        held = bars_of(program, self.words[1])
        assert held in (0, SESSIONS), blow
        told = struck.out.count("\n") - 1
        assert (struck.code, held, told) == (0, SESSIONS, SESSIONS) or struck.code in (-signal.SIGKILL, *GIVEN_UP), (blow, struck, held)
        self.codes[struck.code] += 1
        if program.store.with_name("ledger.db").exists():
            with open_ledger(program.store.with_name("ledger.db"), SystemClock()) as ledger:
                assert ledger.check() == "ok", blow
        assert run(program, self.words) == (0, SESSIONS), blow
        assert tables(program.store) == self.wanted, blow
        assert not [p.name for p in program.store.parent.iterdir() if ".new-" in p.name], blow

    def sweep(self, files: Iterable[str], kinds: Iterable[str], what: str = "signal=KILL", *, on: bool = False) -> str:
        """A blow to every call of these kinds to these files, and what came of it in words."""
        self.hit.clear()
        self.codes.clear()
        for file in files:
            for kind in kinds:
                number = 1
                while self.strike(Blow(file, kind, number, what, on)):
                    number += 1
        codes = ", ".join(f"exit {code} {n} times" for code, n in sorted(self.codes.items()))
        return f"{what}{' from there on' * on} at {self.hit.total()} calls: {', '.join(f'{n} {w}' for w, n in self.hit.items())}; {codes}"


def run(program: Program, words: tuple[str, ...]) -> tuple[int, int]:
    """The same command, in this process: its exit code and how many bars it showed."""
    out, err = StringIO(), StringIO()
    code = main(words, Terminal(program.environ, program.home, out, err))
    return code, out.getvalue().count("\n") - 1


def bars_of(program: Program, symbol: str) -> int:
    """Bars of a symbol; whoever has any has their batch and coverage, too."""
    if not program.store.exists():
        return 0
    with BarStore(program.store, "sandbox", SystemClock()).reading() as reader:
        assert reader.duplicates() == 0
        counts = [
            reader.ask(f"SELECT {what} FROM {table} WHERE symbol = ? AND interval = '1d'", [symbol]).fetchone()[0]
            for what, table in (("count(*)", "bars"), ("coalesce(sum(inserted), 0)", "journal"), ("10 * count(*)", "coverage"))
        ]
    assert len(set(counts)) == 1, counts
    return int(counts[0])


@pytest.fixture
def first(tmp_path: Path) -> Bench:
    """The very first run, which makes the store, the ledger and New York's calendar."""
    return Bench(tmp_path, FIRST)


@pytest.fixture
def second(tmp_path: Path) -> Bench:
    """A run that adds one answer to a store that is there."""
    template = tmp_path / "template"
    template.mkdir()
    assert run(Program(template), FIRST) == (0, SESSIONS)
    return Bench(tmp_path, SECOND, template)


@pytest.mark.parametrize("blow", [Blow("bars.duckdb.wal", "fsync", 1), Blow(".ledger.db.new-$$", "link", 1)])
def test_a_first_run_killed_at_a_call_is_completed_by_the_next(first: Bench, blow: Blow) -> None:
    assert first.strike(blow)


def test_a_call_that_fails_is_no_success_and_the_next_run_completes(second: Bench) -> None:
    assert second.strike(Blow("bars.duckdb.wal", "fsync", 1, DEAD_DISK))
    assert 0 not in second.codes


@pytest.mark.drill(number="D2")
@pytest.mark.parametrize("bench", ["first", "second"])
@pytest.mark.parametrize("files", [STORE_FILES, LEDGER_FILES], ids=["store", "ledger"])
def test_a_run_killed_at_any_call_is_completed_by_the_next(
    bench: str, files: tuple[str, ...], request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    found: Bench = request.getfixturevalue(bench)
    told = found.sweep(files, KINDS)
    assert found.hit.total() >= 5, told
    with capsys.disabled():
        print(f"\n{bench} run: {told}")  # noqa: T201  a drill's figures are its result


@pytest.mark.drill(number="D3")
@pytest.mark.parametrize("bench", ["first", "second"])
@pytest.mark.parametrize("what", [DEAD_DISK, FULL_DISK])
@pytest.mark.parametrize("files", [STORE_FILES, LEDGER_FILES], ids=["store", "ledger"])
def test_any_call_that_fails_is_no_success_and_the_next_run_completes(
    bench: str, what: str, files: tuple[str, ...], request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    found: Bench = request.getfixturevalue(bench)
    told = found.sweep(files, FAILING, what, on=what == FULL_DISK)
    assert found.hit.total() >= 5, told
    with capsys.disabled():
        print(f"\n{bench} run: {told}")  # noqa: T201  a drill's figures are its result
