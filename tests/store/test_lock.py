"""The lock between processes: shared for readers, exclusive for the writer, and it ends with its holder."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import VirtualClock
from mdagent.errors import ConfigError, StoreBusy
from mdagent.store.lock import holder, is_wanted, locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "bars.duckdb"


@contextmanager
def held(store: Path, *, write: bool, purpose: str = "fetch AAPL", wait: float = 0.0) -> Iterator[VirtualClock]:
    """The lock taken through a descriptor of its own, as another process would."""
    clock = VirtualClock(START)
    with locked(store, clock, write=write, wait=wait, purpose=purpose):
        yield clock


def busy(store: Path, *, write: bool, wait: float) -> tuple[StoreBusy, float]:
    """The refusal, and how long it took by the clock."""
    clock = VirtualClock(START)
    with pytest.raises(StoreBusy) as caught, locked(store, clock, write=write, wait=wait, purpose="test"):
        pass
    return caught.value, clock.monotonic()


def test_readers_share_the_lock(store: Path) -> None:
    with held(store, write=False), held(store, write=False), held(store, write=False):
        pass


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_a_writer_is_alone(store: Path, first: bool, second: bool) -> None:
    with held(store, write=first):
        busy(store, write=second, wait=0.0)
    with held(store, write=second):
        pass


def test_a_busy_store_names_its_writer_and_what_to_do(store: Path) -> None:
    with held(store, write=True, purpose="fetch AAPL"):
        error, _ = busy(store, write=False, wait=0.0)
    assert f"pid {os.getpid()} (fetch AAPL, since 2024-01-17T12:00:00)" in error.message
    assert str(store) in error.message
    assert "--lock-wait" in error.hint


@pytest.mark.parametrize("wait", [0.0, 2.0, 30.0])
def test_waiting_ends_at_the_wait(store: Path, wait: float) -> None:
    with held(store, write=True):
        _, waited = busy(store, write=True, wait=wait)
    assert wait <= waited <= wait + 0.1


def test_who_waits_gets_the_lock_when_it_is_free(store: Path) -> None:
    class Releasing(VirtualClock):
        """After a second of waiting the other one is done."""

        def pause(self, seconds: float) -> None:
            super().pause(seconds)
            if self.monotonic() >= 1.0:
                fcntl.flock(other, fcntl.LOCK_UN)

    other = os.open(store.with_name("bars.duckdb.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(other, fcntl.LOCK_EX)
    clock = Releasing(START)
    with locked(store, clock, write=True, wait=5.0, purpose="test"):
        assert 1.0 <= clock.monotonic() < 1.2
    os.close(other)


def test_a_writer_at_the_turnstile_goes_before_readers_that_come_later(store: Path) -> None:
    turnstile = os.open(store.with_name("bars.duckdb.turn"), os.O_RDWR | os.O_CREAT, 0o600)
    with held(store, write=False):
        fcntl.flock(turnstile, fcntl.LOCK_EX)  # a writer that waits for that reader
        busy(store, write=False, wait=1.0)
        os.close(turnstile)
        with held(store, write=False):
            pass


def test_the_turnstile_is_free_again_once_one_is_through(store: Path) -> None:
    with held(store, write=True):
        turnstile = os.open(store.with_name("bars.duckdb.turn"), os.O_RDWR)
        fcntl.flock(turnstile, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(turnstile)


def test_a_writer_knows_whether_another_waited_when_it_left(store: Path) -> None:
    with held(store, write=True):
        pass
    assert not is_wanted(store)
    with store.with_name("bars.duckdb.turn").open("r+") as turnstile:
        with held(store, write=True):
            fcntl.flock(turnstile, fcntl.LOCK_EX)  # as one does who waits
        assert is_wanted(store)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        with held(store, write=True):
            pass
    assert not is_wanted(store)


def test_an_error_inside_gives_the_lock_back(store: Path) -> None:
    with pytest.raises(ZeroDivisionError), held(store, write=True):
        _ = 1 / 0
    with held(store, write=True):
        pass


def test_a_killed_holder_leaves_nothing_locked(store: Path) -> None:
    code = """
import sys
from pathlib import Path
from mdagent.clock import SystemClock
from mdagent.store.lock import locked
with locked(Path(sys.argv[1]), SystemClock(), write=True, wait=0, purpose='backfill'):
    print('held', flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", code, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    error, _ = busy(store, write=False, wait=0.5)
    assert f"pid {other.pid} (backfill, " in error.message
    other.kill()
    other.communicate()
    with held(store, write=True):
        pass


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"pid": "x"}', '{"pid": 1}', "null"])
def test_an_unsigned_lock_is_held_by_another_process(store: Path, text: str) -> None:
    store.with_name("bars.duckdb.lock").write_text(text)
    assert holder(store) == "another process"


def test_a_signature_is_shown_only_so_far(store: Path) -> None:
    store.with_name("bars.duckdb.lock").write_text('{"pid": 7, "purpose": "' + "x" * 500 + '", "since": "' + "9" * 500 + '"}')
    assert len(holder(store)) < 100


def test_a_lock_file_is_for_its_owner_alone(store: Path) -> None:
    with held(store, write=True):
        assert {p.name for p in store.parent.iterdir()} == {"bars.duckdb.lock", "bars.duckdb.turn"}
        assert all(p.stat().st_mode & 0o777 == 0o600 for p in store.parent.iterdir())


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be written"), held(tmp_path / "file" / "bars.duckdb", write=True):
        pass


def test_a_reader_who_can_make_no_side_file_reads_without_one(store: Path) -> None:
    for suffix in (".lock", ".turn"):  # they cannot be made, as on a read-only disk
        store.with_name(store.name + suffix).symlink_to(store.parent / "nowhere" / "file")
    with held(store, write=False), held(store, write=False):
        pass
    with pytest.raises(ConfigError), locked(store, VirtualClock(START), write=True, wait=0.0, purpose="test"):
        pass


def test_who_gives_the_lock_back_and_comes_again_at_once_steps_back_first(store: Path) -> None:
    clock = VirtualClock(START)
    for _ in range(2):
        with locked(store, clock, write=False, wait=0.0, purpose="test"):
            pass
    assert 0.0 < clock.monotonic() < 0.01
