"""What the commands about the quality of stored bars write into a pipe, by real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.three import spike

if TYPE_CHECKING:
    from tests.cli.shell import Shell

COMMANDS = ("grade", "grade --history", "grade --by month", "explain AAPL 2023-08-08", "repair AAPL", "override --list")


def piped(shell: Shell, words: str, reader: str) -> str:
    """What the reader of a pipe prints; neither side may fail."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MDAGENT_")}
    environ |= {"MDAGENT_HOME": str(shell.cwd / "home"), "MDAGENT_SANDBOX": "1", "MDAGENT_CLOCK": "2024-02-05T22:00:00Z"}
    line = f"set -o pipefail; {sys.executable} -m mdagent {words} | {sys.executable} {reader}"
    done = subprocess.run(["bash", "-c", line], cwd=shell.cwd, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("words", COMMANDS)
def test_json_can_be_read_by_a_program(three_sources: Shell, words: str) -> None:
    spike(three_sources)
    assert piped(three_sources, f"{words} --json", "-m json.tool")[:1] in ("[", "{")


@pytest.mark.parametrize("words", [w for w in COMMANDS if not w.startswith("explain")])
def test_csv_is_what_a_pipe_gets_by_itself(three_sources: Shell, words: str) -> None:
    spike(three_sources)
    count = '-c "import csv, sys; rows = list(csv.reader(sys.stdin)); print(len({len(r) for r in rows}))"'
    assert piped(three_sources, words, count) == "1\n"
