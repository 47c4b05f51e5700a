"""A burst of changes to a settings file is one call."""

from __future__ import annotations

import threading
from pathlib import Path

from mdagent.config import watch

LONG = 10.0  # seconds; only a failure waits that long


class Bell:
    """Counts its rings, and lets a test wait for the next."""

    def __init__(self, file: Path | None = None) -> None:
        self.rings = 0
        self._rung = threading.Semaphore(0)
        self._file = file

    def ring(self) -> None:
        if self._file is not None:
            self._file.read_bytes()
        self.rings += 1
        self._rung.release()

    def wait(self, seconds: float = LONG) -> bool:
        return self._rung.acquire(timeout=seconds)


def test_a_burst_of_writes_is_one_call_and_reading_the_file_is_none(tmp_path: Path) -> None:
    file = tmp_path / "mdagent.yaml"
    file.touch()
    bell = Bell(file)
    with watch([file], bell.ring, debounce=0.3):
        for number in range(5):
            file.write_text(str(number))
        assert bell.wait()
        assert not bell.wait(0.6)


def test_a_file_replaced_by_rename_or_not_there_yet_is_seen(tmp_path: Path) -> None:
    file, fresh = tmp_path / "mdagent.yaml", tmp_path / "other"
    bell = Bell()
    with watch([file], bell.ring, debounce=0.05):
        fresh.write_text("a")
        assert not bell.wait(0.3), "another file is none of ours"
        fresh.replace(file)
        assert bell.wait()
        file.unlink()
        assert bell.wait()


def test_nothing_is_called_once_it_is_over(tmp_path: Path) -> None:
    file = tmp_path / "mdagent.yaml"
    bell = Bell()
    before = threading.active_count()
    with watch([file, tmp_path / "none/mdagent.yaml"], bell.ring, debounce=5):
        file.write_text("a")
    file.write_text("b")
    assert bell.rings == 0
    assert threading.active_count() == before
