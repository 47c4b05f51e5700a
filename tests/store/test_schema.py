"""The tables of a store, as migrations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import duckdb

from mdagent.cli.render import COLUMNS
from mdagent.store.read import STORED
from mdagent.store.schema import KEY, MIGRATIONS, QUARANTINED, VERSION
from tests.store.batches import batch, keep, store_at, table

if TYPE_CHECKING:
    from pathlib import Path


def test_the_version_is_the_number_of_migrations_and_a_new_store_has_it(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch({"2024-01-02": 10.0}))
    assert len(MIGRATIONS) == VERSION
    assert dict(table(store, "SELECT key, value FROM meta")) == {"version": str(VERSION), "world": "live"}


def test_each_migration_runs_after_those_before_it() -> None:
    with duckdb.connect() as db:
        for migration in MIGRATIONS:
            db.execute(migration)


def test_every_time_is_stored_without_a_zone_because_all_are_utc(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch({"2024-01-02": 10.0}))
    kinds = table(store, "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'main'")
    assert {k for (k,) in kinds} <= {"VARCHAR", "BIGINT", "TIMESTAMP", "DATE", "DOUBLE", "BOOLEAN", "TIMESTAMP[]"}


def test_the_columns_that_are_shown_are_columns_of_bars(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch({"2024-01-02": 10.0}))
    columns = {c for (c,) in table(store, "SELECT column_name FROM information_schema.columns WHERE table_name = 'bars'")}
    assert set(STORED) <= columns
    assert [c for c in COLUMNS if c != "grade"] == list(STORED), "the letter is made of the score where it is shown"


def test_the_key_names_the_series_of_one_source() -> None:
    assert re.findall(r"(\w+) = \?", KEY) == ["symbol", "interval", "source", "adjustment"]
    assert re.findall(r"q\.(\w+) = \?", QUARANTINED) == ["symbol", "interval", "source", "adjustment"]
