"""Ctrl-C, SIGTERM and a closed pipe: what is stored stays, the next step is told, and the next run completes."""

from __future__ import annotations

import fcntl
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mdagent.clock import SystemClock
from mdagent.store.bars import BarStore
from tests.processes.program import PATIENCE, Program

COUNT = 150  # many more than are done when the first is told
MANY = ",".join([f"SYM{n:05}" for n in range(1, 2 * COUNT) if n % 10 != 7][:COUNT])
WINDOW = ("--start", "2024-01-02", "--end", "2024-02-01", "--csv")


def stop(program: Program, *signals: signal.Signals, after: float = 0.0) -> tuple[int, str, str]:
    """Fetch many symbols, and send the signals so many seconds after the first is told to be done. Exit code, stdout and stderr."""
    out = program.home / "out.csv"
    with out.open("w") as stream, program.start("fetch", MANY, *WINDOW, stdout=stream) as running:
        assert running.stderr is not None
        said = ""
        while f"/{COUNT} " not in said:
            line = running.stderr.readline()
            assert line, said
            said += line
        with suppress(subprocess.TimeoutExpired):
            running.wait(after)
        for each in signals:
            running.send_signal(each)
        said += running.stderr.read()
        code = running.wait(PATIENCE)
    return code, out.read_text(), said


def check_stopped(program: Program, code: int, word: str, *signals: signal.Signals) -> None:
    """Stop a fetch; it says how to go on, and what it stored by then is there."""
    told, out, err = stop(program, *signals)
    assert told == code, err
    assert out == ""
    assert "Traceback" not in err
    assert f"mdagent: {word}" in err
    assert "run the same command again" in err
    with BarStore(program.store, "sandbox", SystemClock()).reading() as reader:
        assert 1 <= len(reader.symbols()) < COUNT
        assert reader.duplicates() == 0


def test_after_ctrl_c_twice_the_same_command_completes_the_fetch(tmp_path: Path) -> None:
    program = Program(tmp_path)
    check_stopped(program, 130, "interrupted", signal.SIGINT, signal.SIGINT)
    again = program.run("fetch", MANY, *WINDOW)
    assert again.returncode == 0, again.stderr
    assert len(again.stdout.splitlines()) == 1 + COUNT * 21


def test_sigterm_ends_a_fetch_as_ctrl_c_does(tmp_path: Path) -> None:
    check_stopped(Program(tmp_path), 143, "terminated", signal.SIGTERM)


@pytest.mark.parametrize("ticks", [0, 5, 20])
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_long_query_is_stopped_while_the_store_works(tmp_path: Path, sign: signal.Signals, code: int, ticks: int) -> None:
    """After so many hundredths of a second of work."""
    program = Program(tmp_path)
    program.store.parent.mkdir()
    with BarStore(program.store, "sandbox", SystemClock()).writing("test"):
        pass
    with program.start("query", "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b") as running:
        begun: int | None = None
        while begun is None or worked(running.pid) < begun + ticks:
            with suppress(subprocess.TimeoutExpired):
                assert running.wait(0.01) is None
            if begun is None and is_held(program.store):
                begun = worked(running.pid)
        running.send_signal(sign)
        out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out) == (code, ""), err
    assert "Traceback" not in err


def worked(pid: int) -> int:
    """Hundredths of a second of processor time."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def is_held(store: Path) -> bool:
    """Does another process read or write this store?"""
    with store.with_name(store.name + ".lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.drill
@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(10**6)])
def test_a_signal_at_any_moment_of_a_fetch_ends_it_in_order(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    for n in range(30):
        program = Program(tmp_path / str(n))
        program.home.mkdir()
        sign, code = dice.choice([(signal.SIGINT, 130), (signal.SIGTERM, 143)])
        times = dice.choice([1, 2])
        told, _, err = stop(program, *[sign] * times, after=dice.uniform(0.0, 1.2))
        assert told in (code, 0), f"seed {seed}, run {n}, {times} x {sign.name}: {told}\n{err}"
        assert "Traceback" not in err
        assert "exception" not in err


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
