"""`--record` writes every exchange down, and `--replay` answers from it instead of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.shell import JANUARY, strict

if TYPE_CHECKING:
    from tests.cli.shell import Shell

REPLAY = {"MDAGENT_SANDBOX": ""}


@pytest.fixture
def recorded(shell: Shell) -> Shell:
    """A folder `tape` with one recorded fetch."""
    (shell.cwd / "tape").mkdir()
    shell.good("fetch", "AAPL", *JANUARY, "--record", "tape")
    return shell


def test_a_recording_is_one_line_and_one_file_an_exchange(recorded: Shell) -> None:
    (line,) = (recorded.cwd / "tape" / "recordings.jsonl").read_text("utf-8").splitlines()
    told = strict(line)
    assert told["request"]["path"] == "/v8/finance/chart/AAPL"
    assert told["status"] == 200
    assert (recorded.cwd / "tape" / told["file"]).is_file()


def test_a_replay_gives_the_same_bars_in_a_store_of_its_own(recorded: Shell) -> None:
    first = recorded.good("fetch", "AAPL", *JANUARY)
    again = recorded.good("--replay", "tape", "fetch", "AAPL", *JANUARY, **REPLAY)
    assert again.out == first.out
    assert "replay: these prices are recordings" in again.err
    assert "home/replay/bars.duckdb" in recorded.files()
    cached = recorded.good("fetch", "AAPL", *JANUARY, **REPLAY, MDAGENT_REPLAY="tape")
    assert "0 requests sent" in cached.err


def test_what_was_not_recorded_is_a_clear_failure(recorded: Shell) -> None:
    said = recorded.run("--replay", "tape", "fetch", "MSFT", *JANUARY, **REPLAY)
    assert said.code == 12
    assert "no recording of GET query1.finance.yahoo.com/v8/finance/chart/MSFT" in said.err


def test_replayed_bars_never_enter_another_worlds_store(recorded: Shell) -> None:
    said = recorded.run("--replay", "tape", "fetch", "AAPL", *JANUARY, "--store", "home/sandbox/bars.duckdb", **REPLAY)
    assert (said.code, said.out) == (3, "")
    assert "holds sandbox bars; replay bars may not enter" in said.err


def test_a_folder_without_recordings_is_refused(shell: Shell) -> None:
    assert shell.run("--replay", "nowhere", "fetch", "AAPL", **REPLAY).code == 3
    (shell.cwd / "empty").mkdir()
    assert shell.run("--replay", "empty", "fetch", "AAPL", **REPLAY).code == 3
