"""One DuckDB for a store that is opened again and again: the file itself is open no longer than it is asked."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest

from mdagent.errors import StoreDamaged
from tests.store.batches import batch, closes, keep, store_at

WEEK = {"2024-01-02": 10.0, "2024-01-03": 11.0, "2024-01-04": 12.0}
_TWO = 2


def held(path: Path) -> int:
    """How often this process has the file open."""
    places = [fd.readlink() for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    return sum(place == path.resolve() for place in places)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells")
def test_the_file_is_open_only_while_it_is_asked(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    for n in range(3):
        keep(store, batch({f"2024-01-0{n + 2}": 10.0}))
        assert held(store.path) == 0
        with store.reading():
            assert held(store.path) > 0
        assert held(store.path) == 0
    with pytest.raises(LookupError), store.reading():
        raise LookupError
    assert held(store.path) == 0


def test_two_who_read_at_once_share_it_and_the_last_closes_it(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK))
    both, found = Barrier(_TWO, timeout=10), []

    def read() -> None:
        with store.reading() as reader:
            both.wait()
            found.append(reader.sizes()["bars"])
            both.wait()

    threads = [Thread(target=read) for _ in range(_TWO)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3, 3]
    keep(store, batch(WEEK | {"2024-01-05": 13.0}))
    assert len(closes(store)) == 4


def test_after_damage_nothing_of_it_is_left(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK))
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:8000])
    with pytest.raises(StoreDamaged), store.reading() as reader:
        reader.sizes()
    store.path.write_bytes(whole)
    assert closes(store) == WEEK


def test_a_file_that_took_its_place_is_the_one_that_is_read(tmp_path: Path) -> None:
    one, other = (store_at(folder) for folder in (tmp_path / "one", tmp_path / "other"))
    for store, told in ((one, WEEK), (other, {"2024-01-02": 20.0})):
        keep(store, batch(told))
        assert closes(store) == told
    shutil.copy(other.path, one.path.with_suffix(".new"))
    one.path.with_suffix(".new").rename(one.path)
    assert closes(one) == closes(other) == {"2024-01-02": 20.0}


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM read_text('{0}')", "COPY bars TO '{0}'", "ATTACH '{0}'", "SET threads = 7", "DELETE FROM bars"]
)
def test_what_we_ask_ourselves_reaches_no_other_file_either(tmp_path: Path, sql: str) -> None:
    store, near = store_at(tmp_path), tmp_path / "near"
    keep(store, batch(WEEK))
    near.write_text("private", "ascii")
    with pytest.raises(StoreDamaged, match=r"disabled by configuration|has been locked|read-only"), store.reading() as reader:
        reader.ask(sql.format(near), [])
    assert near.read_text("ascii") == "private"
    assert closes(store) == WEEK


def test_a_process_that_was_forked_begins_anew(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK))
    assert closes(store) == WEEK
    child = os.fork()
    if not child:
        try:
            keep(store, batch(WEEK | {"2024-01-05": 13.0}))
        finally:
            os._exit(int(len(closes(store)) != 4))
    assert os.waitpid(child, 0)[1] == 0
    assert len(closes(store)) == 4
