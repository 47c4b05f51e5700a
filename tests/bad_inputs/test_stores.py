"""A damaged, locked, full or read-only store is told as what it is, and is left as it was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs.cases import TEN
from tests.bad_inputs.stage import FETCH, LeapingClock, Stage, Turns, said
from tests.wire.nasty import NastyServer

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLD = """
import sys
from datetime import timedelta
from pathlib import Path
from mdagent.clock import SystemClock
from mdagent.store.lock import locked
with locked(Path(sys.argv[1]), SystemClock(), write=True, wait=5.0, purpose="a long write"):
    print("held", flush=True)
    sys.stdin.read()
"""
DIE = """
import os, signal, sys
import duckdb
db = duckdb.connect(sys.argv[1])
db.execute("SET wal_autocheckpoint='1GB'")
for n in range(20):
    words = "range, now(), 'a run of ' || range, 'AAPL', '1d', 'yahoo', 'splits', now(), now(), 0, 0, 0, 0, 0, md5('x' || range)"
    db.execute(f"INSERT INTO journal SELECT {words} FROM range(100)")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_store_of_zero_bytes_is_refused_and_left_alone(stage: Stage) -> None:
    store = stage.home / "bars.duckdb"
    store.write_bytes(b"")
    with NastyServer(Turns([said(TEN)])) as server:
        for words in (FETCH, ("export", "AAPL"), ("query", "SELECT 1"), ("doctor",)):
            ran = stage.run(*words, server=server)
            assert ran.code == 9, words
            assert "0 bytes" in ran.err + ran.out
        assert server.requests == []
    assert "mdagent doctor" in stage.run(*FETCH).err
    assert store.read_bytes() == b""


@pytest.fixture
def with_log(stage: Stage) -> Path:
    """A store whose writer was killed after its commits: they stand in the write-ahead log."""
    store = stage.home / "bars.duckdb"
    done = subprocess.run([sys.executable, "-c", DIE, str(store)], check=False, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return Path(f"{store}.wal")


def test_committed_rows_of_a_killed_writer_are_there_at_the_next_start(stage: Stage, with_log: Path) -> None:
    assert with_log.stat().st_size > 100_000
    assert stage.run("query", "SELECT count(*) AS n FROM journal WHERE run LIKE 'a run of %'", "--csv").out == "n\n2000\n"


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_in_the_write_ahead_log_is_refused_and_left_alone(seed: int, stage: Stage, with_log: Path) -> None:
    store = stage.home / "bars.duckdb"
    log = bytearray(with_log.read_bytes())
    log[random.Random(seed).randrange(len(log) // 10, len(log))] ^= 1 << seed
    with_log.write_bytes(log)
    before = bytes(log), store.read_bytes()
    with NastyServer(Turns([said(TEN)])) as server:
        for words in (("export", "AAPL"), FETCH):
            ran = stage.run(*words, server=server)
            assert ran.code == 9, ran.err
            assert "mdagent doctor" in ran.err
        assert server.requests == []
    assert (with_log.read_bytes(), store.read_bytes()) == before


@pytest.fixture
def held(stage: Stage) -> Iterator[int]:
    """Another process holds the store; its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(stage.home / "bars.duckdb")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder.pid
        holder.communicate("")


@pytest.mark.parametrize("words", [FETCH, ("export", "AAPL")], ids=["fetch", "export"])
def test_a_lock_held_too_long_ends_the_wait_and_names_the_holder(words: tuple[str, ...], stage: Stage, held: int) -> None:
    began = stage.clock.monotonic()
    with NastyServer(Turns([said(TEN)])) as server:
        ran = stage.run(*words, "--lock-wait", "2", server=server)
        assert server.requests == []
    assert ran.code == 8
    assert f"pid {held} (a long write" in ran.err
    assert 2.0 <= stage.clock.monotonic() - began <= 2.5


def test_a_clock_set_back_by_a_day_between_two_runs_is_accepted(tmp_path: Path, small_ca: Path) -> None:
    stage = Stage(tmp_path / "home", tmp_path, small_ca)
    words = ("--sandbox", "fetch", "AAPL", "--start", "2023-12-04", "--end", "2024-01-10", "--refresh")
    assert stage.run(*words).code == 0
    stage.clock = LeapingClock(stage.clock.now() - timedelta(days=1))
    assert stage.run(*words).code == 0
    assert stage.clock.leapt < 1  # nobody had to wait for quota


def test_what_a_killed_first_run_leaves_is_cleared_away(tmp_path: Path, small_ca: Path) -> None:
    stage = Stage(tmp_path / "home", tmp_path / "work", small_ca)
    stage.cwd.mkdir()
    stage.home.mkdir()
    leftover = stage.home / ".bars.duckdb.new-4711"
    leftover.write_bytes(b"half a store")
    with NastyServer(Turns([said(TEN)])) as server:
        ran, line = stage.fetch(server)
    assert (ran.code, line["bars"]) == (0, 10)
    assert not leftover.exists()
    assert stage.leaks() == []


STRACE = ("strace", "-f", "-qq", "-o", "/dev/null")


@pytest.mark.drill(number="D2")
@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")
@pytest.mark.parametrize("call", ["pwrite64", "write", "ftruncate", "fsync", "fdatasync", "rename"])
def test_a_first_run_killed_at_any_write_needs_no_repair(call: str, tmp_path: Path) -> None:
    words = ("--sandbox", "fetch", "AAPL", "--start", "2024-01-02", "--end", "2024-01-17", "--csv")
    for n in range(1, 200):
        stage = Stage(tmp_path / f"home-{n}", tmp_path, None)
        kill = (*STRACE, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={n}")
        environ = {**os.environ, **stage.environ(), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([*kill, sys.executable, "-m", "mdagent", *words], env=environ, capture_output=True, check=False, timeout=60)
        ran = stage.run(*words)
        assert (ran.code, ran.out.count("\n")) == (0, 11), (n, ran.err)
        assert b"Traceback" not in done.stderr
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert n > 1
    assert done.returncode == 0, "the run was never let alone"


def _mounted(script: str, stage: Stage, server: NastyServer | None = None) -> dict[str, int]:
    """The `name=number` lines of a shell script, run in a mount namespace of its own with an empty file system of 6 MiB at /mnt.
    Skips the test where mounting is not permitted."""
    mount = "mount -t tmpfs -o size=6m tmpfs /mnt || exit 77\n"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MDAGENT_", "XDG_"))}
    environ |= stage.environ(server) | {"MDAGENT": f"{sys.executable} -m mdagent", "TO": str(stage.cwd)}
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount + script], env=environ, capture_output=True, text=True, check=False, timeout=60, cwd=stage.cwd
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"mounting is not permitted here: {done.stderr}")
    assert "Traceback" not in done.stderr
    stage.streams += [done.stdout, done.stderr]
    return {name: int(code) for name, _, code in (line.partition("=") for line in done.stdout.splitlines())}


JANUARY = "--start 2024-01-02 --end 2024-01-17 --csv"

NEEDS_UNSHARE = pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare here")


@NEEDS_UNSHARE
def test_a_full_disk_loses_nothing_and_reads_go_on(stage: Stage) -> None:
    script = f"""
    export MDAGENT_STORE=/mnt/bars.duckdb
    cp $MDAGENT_HOME/bars.duckdb /mnt/
    head -c 6m /dev/zero >/mnt/filler 2>/dev/null
    $MDAGENT fetch AAPL {JANUARY} >$TO/full.csv; echo fetch=$?
    $MDAGENT export AAPL --csv >$TO/old.csv; echo export=$?; echo old=$(wc -l <$TO/old.csv)
    $MDAGENT export AAPL -o /mnt/new.csv; echo file=$?; echo left=$(ls -A /mnt | grep -c csv)
    rm /mnt/filler
    $MDAGENT fetch AAPL {JANUARY} >$TO/new.csv; echo again=$?; echo new=$(wc -l <$TO/new.csv)
    $MDAGENT export AAPL --csv >$TO/all.csv; echo all=$(wc -l <$TO/all.csv)
    """
    with NastyServer(Turns([said(TEN)])) as server:
        codes = _mounted(script, stage, server)
    assert codes == {"fetch": 10, "export": 0, "old": 11, "file": 10, "left": 0, "again": 0, "new": 11, "all": 21}
    assert "no space left" in stage.streams[-1]
    assert (stage.cwd / "full.csv").read_text("utf-8") == ""


@NEEDS_UNSHARE
def test_on_a_read_only_file_system_reads_work_and_writes_say_why(full_stage: Stage) -> None:
    script = f"""
    $MDAGENT fetch AAPL {JANUARY} --refresh >/dev/null; echo first=$?
    mount --bind $MDAGENT_HOME $MDAGENT_HOME && mount -o remount,ro,bind $MDAGENT_HOME
    $MDAGENT fetch AAPL {JANUARY} --refresh >/dev/null; echo fetch=$?
    MDAGENT_HOME=$TO/other $MDAGENT fetch AAPL {JANUARY} --store $MDAGENT_HOME/bars.duckdb --refresh >/dev/null; echo store=$?
    $MDAGENT export AAPL --csv >$TO/all.csv; echo export=$?; echo rows=$(wc -l <$TO/all.csv)
    $MDAGENT fetch AAPL {JANUARY} >$TO/all.csv; echo cached=$?
    """
    with NastyServer(Turns([said(TEN)])) as server:
        codes = _mounted(script, full_stage, server)
    assert codes == {"first": 0, "fetch": 10, "store": 10, "export": 0, "rows": 21, "cached": 0}
    assert full_stage.streams[-1].lower().count("read-only") >= 2
    assert "no space" not in full_stage.streams[-1]


@NEEDS_UNSHARE
def test_a_home_that_cannot_be_written_is_named_with_the_option_that_changes_it(stage: Stage) -> None:
    script = f"""
    mount -o remount,ro /mnt
    unset MDAGENT_HOME
    HOME=/mnt $MDAGENT fetch AAPL {JANUARY} >/dev/null; echo home=$?
    MDAGENT_HOME=/mnt/deep/down $MDAGENT fetch AAPL {JANUARY} >/dev/null; echo moved=$?
    MDAGENT_HOME=/mnt $MDAGENT config init >/dev/null; echo init=$?
    """
    with NastyServer(Turns([said(TEN)])) as server:
        codes = _mounted(script, stage, server)
        assert server.requests == []
    assert codes == {"home": 3, "moved": 3, "init": 3}
    assert "/mnt/.local/share/mdagent" in stage.streams[-1]
    assert stage.streams[-1].count("MDAGENT_HOME") == 3
