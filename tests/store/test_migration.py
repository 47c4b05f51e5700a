"""A store of an older mdagent is brought up to date with all its rows, when it is first opened; a kill leaves it old or new."""

from __future__ import annotations

import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from mdagent.errors import StoreDamaged, WrongWorld
from mdagent.store.schema import MIGRATIONS, VERSION
from tests.store.batches import batch, closes, keep, store_at, table
from tests.store.told import read, tells

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdagent.store.bars import BarStore

WEEK = {"2024-01-02": 10.0, "2024-01-03": 11.0}
ROWS = """
INSERT INTO meta VALUES ('version', '1'), ('world', 'live');
INSERT INTO bars SELECT 'AAPL', '1d', ts, 'yahoo', 'splits', p, p, p, p, 100, NULL, NULL, 'USD', false, 100, '2024-02-05 22:00', 1
    FROM (VALUES (TIMESTAMP '2024-01-02', 10.0), (TIMESTAMP '2024-01-03', 11.0)) v(ts, p);
INSERT INTO revisions VALUES
    ('AAPL', '1d', '2024-01-02', 'yahoo', 'splits', 9, 9, 9, 9, 100, 100, '2024-02-01', 1, '2024-02-05 22:00', 2);
INSERT INTO actions VALUES ('AAPL', 'yahoo', 'split', '2020-08-31', 4.0, NULL, '2024-02-05 22:00', 1),
    ('AAPL', 'yahoo', 'dividend', '2024-02-09', 0.24, 'USD', '2024-02-05 22:00', 1);
INSERT INTO coverage VALUES ('AAPL', '1d', 'yahoo', 'splits', '2024-01-02', '2024-01-04', 'complete', NULL, '2024-02-05 22:00');
"""


@pytest.fixture(scope="module")
def first_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("old") / "bars.duckdb"
    with duckdb.connect(path) as db:
        db.execute(MIGRATIONS[0])
        db.execute(ROWS)
    return path


@pytest.fixture
def old(first_version: Path, tmp_path: Path) -> BarStore:
    shutil.copy(first_version, tmp_path / "bars.duckdb")
    return store_at(tmp_path)


def version(path: Path) -> str:
    with duckdb.connect(path, read_only=True) as db:
        row = db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    return str(row[0]) if row else ""


def by_reading(store: BarStore) -> None:
    assert closes(store) == WEEK


def by_writing(store: BarStore) -> None:
    keep(store, batch(WEEK | {"2024-01-04": 12.0}))


@pytest.mark.parametrize("opening", [by_reading, by_writing])
def test_opening_it_brings_it_up_to_date_with_its_rows(old: BarStore, opening: Callable[[BarStore], None]) -> None:
    opening(old)
    assert version(old.path) == str(VERSION)
    assert {d: c for d, c in closes(old).items() if d in WEEK} == WEEK
    assert table(old, "SELECT value FROM meta WHERE key = 'world'") == [("live",)]
    assert table(old, "SELECT DISTINCT lot, scale, raw_volume, venue FROM bars") == [(1.0, 1.0, False, None)]
    assert table(old, "SELECT close, cause, lot, raw_volume, currency FROM revisions") == [(9.0, "revision", 1.0, False, "USD")]
    assert table(old, "SELECT kind, adjusted, replaced_at FROM actions ORDER BY kind") == [
        ("dividend", True, None),  # Yahoo's, the only source that there was, are in shares of their delivery
        ("split", False, None),
    ]
    assert table(old, "SELECT count(*) FROM restatements") == [(0,)]


def test_an_old_store_can_be_read_as_of_a_time_before(old: BarStore) -> None:
    assert read(old, "splits", as_of="2024-02-02").closes == {"2024-01-02": 9.0}
    assert read(old, "splits", as_of="2024-02-06").closes == WEEK


def test_it_says_that_it_does_not_know_its_splits_rather_than_guess(old: BarStore) -> None:
    assert read(old, "raw").left == {"yahoo": "it has splits prices, and its splits since 2024-01-02 are not known"}
    tells(old, source="yahoo", at="2024-02-05T23:00")
    assert read(old, "raw").closes == WEEK


def test_a_migrated_store_is_like_a_new_one(old: BarStore, tmp_path: Path) -> None:
    by_reading(old)
    (tmp_path / "new").mkdir()
    new = store_at(tmp_path / "new")
    keep(new, batch(WEEK))
    columns = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'main' ORDER BY ALL"
    assert table(old, columns) == table(new, columns)
    assert table(old, "SELECT count(*) FROM consolidated") == [(2,)]


def test_a_write_that_fails_after_the_migration_takes_it_back_and_the_next_one_makes_it(old: BarStore) -> None:
    with pytest.raises(ZeroDivisionError), old.writing("test"):
        raise ZeroDivisionError
    assert version(old.path) == "1"
    by_writing(old)
    assert version(old.path) == str(VERSION)


def test_what_lies_in_the_log_after_a_kill_is_old_or_new(old: BarStore, tmp_path: Path) -> None:
    """A copy of file and log taken at every step of a migration, as a kill would leave them."""
    seen: list[str] = []
    db = duckdb.connect(old.path)
    db.execute("BEGIN TRANSACTION")
    for number, statement in enumerate([*MIGRATIONS[1].split(";\n"), "UPDATE meta SET value = '2' WHERE key = 'version'", "COMMIT"]):
        if statement.strip():
            db.execute(statement)
        left = tmp_path / f"left{number}"
        left.mkdir()
        for file in tmp_path.glob("bars.duckdb*"):
            shutil.copy(file, left / file.name)
        seen.append(version(left / "bars.duckdb"))
    db.close()
    assert seen == ["1"] * (len(seen) - 1) + ["2"]
    for left in (tmp_path / f"left{len(seen) - 2}", tmp_path / f"left{len(seen) - 1}"):
        by_reading(store_at(left))
        assert version(left / "bars.duckdb") == str(VERSION)


def test_a_store_of_another_world_is_not_touched(old: BarStore, tmp_path: Path) -> None:
    with pytest.raises(WrongWorld):
        by_reading(store_at(tmp_path, "sandbox"))
    assert version(old.path) == "1"


@pytest.mark.parametrize("told", [str(VERSION + 1), "0", "", "two"])
def test_a_version_that_this_program_does_not_know_is_not_touched(old: BarStore, told: str) -> None:
    with duckdb.connect(old.path) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'version'", [told])
    for opening in (by_reading, by_writing):
        with pytest.raises(StoreDamaged, match="has version"):
            opening(old)
    assert version(old.path) == told


def test_the_times_of_old_rows_are_as_they_were(old: BarStore) -> None:
    by_reading(old)
    rows: list[Any] = table(old, "SELECT DISTINCT fetched_at FROM bars")
    assert rows == [(datetime(2024, 2, 5, 22),)]
