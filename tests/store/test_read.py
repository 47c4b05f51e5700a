"""What can be read from the bar store, and what cannot."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.store.literal import aware, literal, naive
from tests.store.batches import batch, closes, keep, store_at, utc

if TYPE_CHECKING:
    from pathlib import Path

WEEK = {"2024-01-02": 10.0, "2024-01-03": 11.0, "2024-01-04": 12.0}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "COPY bars TO 'out.csv'",
        "COPY (SELECT 1) TO '/tmp/out.parquet'",
        "EXPORT DATABASE 'out'",
        "ATTACH 'other.duckdb'",
        "ATTACH ':memory:' AS m",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "INSERT INTO bars SELECT * FROM bars",
        "DELETE FROM bars",
        "UPDATE bars SET close = 0",
        "DROP TABLE bars",
        "CREATE TABLE mine (x INT)",
        "SELECT 1; DROP TABLE bars",
        "SELEC 1",
        "SELECT nothing FROM bars",
        "",
        "-- nothing",
    ],
)
def test_a_query_reads_the_store_and_nothing_else(tmp_path: Path, sql: str) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK))
    with store.reading(foreign=True) as reader:
        columns, rows, wrong = reader.query(sql)
    assert (columns, rows) == ([], [])
    assert wrong
    assert "\n" not in wrong
    assert closes(store) == WEEK
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bars.duckdb", "bars.duckdb.lock", "bars.duckdb.turn"]


def test_a_select_has_columns_and_rows(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK))
    with store.reading(foreign=True) as reader:
        assert reader.query("SELECT symbol, count(*) AS n FROM bars GROUP BY symbol") == (["symbol", "n"], [("AAPL", 3)], "")


# Proofs


def test_rows_that_share_a_key_would_be_counted(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK))
    db = duckdb.connect(store.path)
    db.execute("INSERT INTO bars SELECT * FROM bars WHERE ts >= TIMESTAMP '2024-01-03'")
    db.close()
    with store.reading() as reader:
        assert reader.duplicates() == 2
        assert reader.sizes()["bars"] == 5


@pytest.mark.parametrize(
    "word", ["plain", "it's", "''", "a\\'b", "?", "--", "/*", "; DROP TABLE bars", "é東\U0001f600", "\n\t", "$$", "%s", "{}"]
)
def test_a_text_in_sql_keeps_every_character(tmp_path: Path, word: str) -> None:
    del tmp_path
    assert duckdb.sql(f"SELECT {literal(word)}").fetchone() == (word,)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_in_sql_is_that_text(word: str) -> None:
    with duckdb.connect() as db:
        assert db.execute(f"SELECT {literal(word)}").fetchone() == (word,)


def test_numbers_days_and_instants_in_sql_are_themselves() -> None:
    instant = naive(utc("2024-01-02T03:04:05.678901"))
    with duckdb.connect() as db:
        assert db.execute(f"SELECT {literal(-7)}, {literal(date(2024, 2, 29))}, {literal(instant)}").fetchone() == (
            -7,
            date(2024, 2, 29),
            instant,
        )


def test_a_stored_time_is_utc() -> None:
    assert aware(naive(utc("2024-01-02T03:04"))) == utc("2024-01-02T03:04")
