"""Bars in every format: the same numbers, in files that appear whole."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.cli.shell import HEADER, JANUARY, strict

if TYPE_CHECKING:
    from tests.cli.shell import Shell

SESSIONS = 21
NUMBERS = ("open", "high", "low", "close", "volume")


def test_json_is_one_array_of_objects_in_the_frozen_order(stocked: Shell) -> None:
    told = stocked.good("fetch", "AAPL", *JANUARY, "--json").json
    assert [list(row) for row in told] == [HEADER.split(",")] * SESSIONS
    assert (told[0]["ts"], told[0]["provisional"], told[0]["score"]) == ("2024-01-02", False, 96)
    assert isinstance(told[0]["close"], float)


def test_ndjson_is_an_object_a_line(stocked: Shell) -> None:
    lines = stocked.good("fetch", "AAPL", *JANUARY, "--format", "ndjson").out.splitlines()
    assert [strict(line) for line in lines] == stocked.good("fetch", "AAPL", *JANUARY, "--json").json


def test_every_format_tells_the_same_numbers(stocked: Shell) -> None:
    told = stocked.good("fetch", "AAPL", *JANUARY, "--json").json
    rows = stocked.good("fetch", "AAPL", *JANUARY, "--csv").rows
    assert [[float(r[c]) for c in NUMBERS] for r in rows] == [[r[c] for c in NUMBERS] for r in told]
    stocked.good("fetch", "AAPL", *JANUARY, "-o", "bars.parquet")
    with duckdb.connect() as db:
        kept = db.execute(f"SELECT * FROM '{stocked.cwd / 'bars.parquet'}'")
        assert [d[0] for d in kept.description or ()] == HEADER.split(",")
        assert [row[3:8] for row in kept.fetchall()] == [tuple(float(r[c]) for c in NUMBERS) for r in told]


def test_parquet_keeps_the_kinds_of_its_columns(stocked: Shell) -> None:
    stocked.good("fetch", "AAPL", *JANUARY, "-o", "bars.parquet")
    with duckdb.connect() as db:
        kinds = {r[0]: r[1] for r in db.execute(f"DESCRIBE SELECT * FROM '{stocked.cwd / 'bars.parquet'}'").fetchall()}
    assert {kinds[c] for c in ("open", "high", "low", "close", "volume", "score")} == {"DOUBLE"}
    assert (kinds["ts"], kinds["provisional"], kinds["symbol"]) == ("TIMESTAMP", "BOOLEAN", "VARCHAR")


def test_a_person_at_a_terminal_gets_a_table(stocked: Shell) -> None:
    stocked.screens = (True, True)
    said = stocked.good("fetch", "AAPL", "--start", "2024-01-02", "--end", "2024-01-04")
    assert HEADER not in said.out
    assert "2024-01-02" in said.out
    assert "AAPL" in said.out
    piped = stocked.good("fetch", "AAPL", *JANUARY, "--format", "table")
    assert "2024-01-31" in piped.out


# Files


@pytest.mark.parametrize(
    ("name", "first"), [("x.csv", HEADER), ("x.json", "["), ("x.ndjson", '{"symbol": "AAPL"'), ("x.jsonl", "{"), ("x", HEADER)]
)
def test_the_suffix_of_a_file_tells_its_format(stocked: Shell, name: str, first: str) -> None:
    said = stocked.good("fetch", "AAPL", *JANUARY, "-o", name)
    assert said.out == ""
    assert f"21 rows written to {name}" in said.err
    assert (stocked.cwd / name).read_text("utf-8").startswith(first)


def test_a_file_that_is_there_is_written_over_only_with_force(stocked: Shell) -> None:
    mine = stocked.cwd / "x.csv"
    mine.write_text("mine", "utf-8")
    said = stocked.run("fetch", "AAPL", *JANUARY, "-o", "x.csv")
    assert said.code == 2
    assert "--force" in said.err
    assert mine.read_text("utf-8") == "mine"
    stocked.good("fetch", "AAPL", *JANUARY, "-o", "x.csv", "--force")
    assert mine.read_text("utf-8").startswith(HEADER)


def test_a_file_appears_whole_under_its_own_name_and_nothing_is_left_beside_it(stocked: Shell) -> None:
    before = stocked.files()
    stocked.good("fetch", "AAPL", *JANUARY, "-o", "x.csv")
    stocked.good("fetch", "AAPL", *JANUARY, "-o", "x.parquet")
    assert stocked.files() - before == {"x.csv", "x.parquet"}


def test_a_csv_of_the_same_bars_reads_back_as_it_was_written(stocked: Shell) -> None:
    out = stocked.good("fetch", "AAPL", *JANUARY).out
    again = StringIO()
    rows = list(csv.reader(StringIO(out)))
    csv.writer(again, lineterminator="\n").writerows(rows)
    assert again.getvalue() == out
