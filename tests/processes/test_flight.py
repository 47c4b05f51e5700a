"""Two `mdagent fetch` of one series at once: one asks, the other waits for it and finds in the store what came."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Self

import pytest

from mdagent.clock import SystemClock
from mdagent.store.flights import board, land
from mdagent.store.ledger import Ledger, open_ledger
from tests.processes.program import CLOCK, PATIENCE, Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERIES = "yahoo AAPL 1d splits"
FETCH = ("fetch", "AAPL", "--source", "yahoo", "--csv", "--report")
WAITING = "which fetches AAPL from yahoo already"
SECONDS = 300.0  # that a process may take, by the settings: longer than any of this does
PATIENT = {"MDAGENT_FETCH__DEADLINE": "300"}


class Came(NamedTuple):
    """What one command printed, and what its report counts."""

    rows: list[str]
    requests: int


class Fetch:
    """One `mdagent fetch`, which does not outlive the test."""

    def __init__(self, program: Program, report: Path) -> None:
        self.report, self.said = report, ""
        self.process = program.start(*FETCH, str(report))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def hear(self, words: str) -> str:
        """The first line in which it says so on stderr."""
        assert self.process.stderr is not None
        said = ""
        for line in self.process.stderr:
            if words in line:
                return line
            said += line
        raise AssertionError(said)

    def came(self) -> Came:
        """What it came to; it ends well."""
        out, self.said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, self.said
        assert "Traceback" not in self.said
        return Came(out.splitlines(), json.loads(self.report.read_text())["requests"])


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home", PATIENT)


@pytest.fixture
def ledger(program: Program) -> Iterator[Ledger]:
    """As the commands see it; the clock of each begins with it at the same moment."""
    with open_ledger(program.home / "sandbox" / "ledger.db", SystemClock.starting_at(datetime.fromisoformat(CLOCK))) as opened:
        yield opened


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Came:
    """The same command with nobody else about."""
    home = tmp_path_factory.mktemp("alone")
    with Fetch(Program(home, PATIENT), home / "report.json") as fetch:
        return fetch.came()


def attempts(ledger: Ledger) -> int:
    return int(ledger.rows("SELECT count(*) FROM attempts")[0][0])


def test_two_commands_at_once_send_the_requests_of_one_and_print_the_same(
    program: Program, ledger: Ledger, alone: Came, tmp_path: Path
) -> None:
    """Both are held back until both are there."""
    assert board(ledger, SERIES, ("run-of-the-test", os.getpid()), SECONDS, lambda _: True) is None
    with Fetch(program, tmp_path / "1.json") as one, Fetch(program, tmp_path / "2.json") as two:
        for fetch in (one, two):
            assert "waiting for run run-of-the-test" in fetch.hear(WAITING)
        assert attempts(ledger) == 0
        land(ledger, SERIES, "run-of-the-test")
        found = [one.came(), two.came()]
    assert [came.rows for came in found] == [alone.rows] * 2
    assert sorted(came.requests for came in found) == [0, alone.requests]
    assert attempts(ledger) == alone.requests == 1
    assert ledger.rows("SELECT * FROM flights") == []


def test_when_the_first_is_killed_half_way_the_second_goes_on_at_once(
    program: Program, ledger: Ledger, alone: Came, tmp_path: Path
) -> None:
    """The first has the right, and waits for a block of the source to end, when SIGKILL comes."""
    clock = SystemClock()
    ledger.block("yahoo", SECONDS - 60.0, "yahoo is held by the test")
    with Fetch(program, tmp_path / "1.json") as first:
        first.hear("yahoo is held by the test")
        with Fetch(program, tmp_path / "2.json") as second:
            assert f"-{first.process.pid}, {WAITING}" in second.hear(WAITING)
            ledger.unblock("yahoo")
            first.kill()
            killed = clock.monotonic()
            assert second.came() == alone
            assert clock.monotonic() - killed < 60.0, "the right of the first would have lasted five minutes"
    assert attempts(ledger) == alone.requests
    assert ledger.rows("SELECT * FROM flights") == []


def test_the_right_of_a_process_that_is_gone_holds_up_nobody(program: Program, ledger: Ledger, alone: Came, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait(PATIENCE)
    assert board(ledger, SERIES, ("run-gone", gone.pid), SECONDS, lambda _: True) is None
    with Fetch(program, tmp_path / "1.json") as fetch:
        assert fetch.came() == alone
        assert "waiting" not in fetch.said
    assert ledger.rows("SELECT * FROM flights") == []
