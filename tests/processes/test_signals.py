"""Ctrl-C, SIGTERM and a closed pipe: what is stored stays, the next step is told, and the next run completes."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import SystemClock
from mdagent.store.bars import BarStore
from tests.processes.program import PATIENCE, Program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MANY = ",".join(f"SYM{n:05}" for n in range(1, 41))
WINDOW = ("--start", "2024-01-02", "--end", "2024-02-01", "--csv")
STOPPED = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]


def stop(program: Program, signals: Sequence[signal.Signals]) -> tuple[int, str, str]:
    """Fetch many symbols, and send the signals once the first is told to be done. Exit code, stdout and stderr."""
    with program.start("fetch", MANY, *WINDOW) as running:
        assert running.stderr is not None
        said = ""
        while "/40 " not in said:
            line = running.stderr.readline()
            assert line, said
            said += line
        for each in signals:
            running.send_signal(each)
        out, err = running.communicate(timeout=PATIENCE)
    return running.returncode, out, said + err


@pytest.mark.parametrize(("sign", "code", "word"), STOPPED)
def test_a_stopped_fetch_says_how_to_go_on_and_the_next_one_completes(tmp_path: Path, sign: signal.Signals, code: int, word: str) -> None:
    program = Program(tmp_path)
    told, out, err = stop(program, [sign])
    assert told == code, err
    assert out == ""
    assert "Traceback" not in err
    assert f"mdagent: {word}" in err
    assert "run the same command again" in err
    with BarStore(program.store, "sandbox", SystemClock()).reading() as reader:
        stored = reader.symbols()
        assert reader.duplicates() == 0
    assert 1 <= len(stored) < 40
    again = program.run("fetch", MANY, *WINDOW)
    assert again.returncode == 0, again.stderr
    assert len(again.stdout.splitlines()) == 1 + 40 * 21


@pytest.mark.parametrize(("sign", "code", "word"), STOPPED)
def test_a_second_signal_is_no_worse_than_the_first(tmp_path: Path, sign: signal.Signals, code: int, word: str) -> None:
    program = Program(tmp_path)
    told, _, err = stop(program, [sign, sign])
    assert told == code, err
    assert "Traceback" not in err
    with BarStore(program.store, "sandbox", SystemClock()).reading() as reader:
        assert reader.symbols()


def test_a_closed_pipe_is_silent(tmp_path: Path) -> None:
    program = Program(tmp_path)
    assert program.run("fetch", "AAPL", "--period", "10y", "--csv").returncode == 0
    words = [sys.executable, "-m", "mdagent", "-q", "fetch", "AAPL", "--period", "10y", "--csv"]
    with subprocess.Popen(words, cwd=tmp_path, env=program.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("symbol,")
        running.stdout.close()  # what head does, after one line of 2500
        assert running.stderr is not None
        assert running.stderr.read() == ""
    assert running.returncode in (0, 141)
