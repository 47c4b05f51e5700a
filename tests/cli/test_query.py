"""`mdagent query`: the user's own SELECT, read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.shell import Shell


def test_a_select_has_its_own_columns_in_every_format(stocked: Shell) -> None:
    sql = "SELECT symbol, count(*) AS n, max(ts) AS last FROM bars GROUP BY symbol ORDER BY symbol"
    assert stocked.good("query", sql).out == "symbol,n,last\nAAPL,21,2024-01-31T00:00:00Z\nMSFT,21,2024-01-31T00:00:00Z\n"
    assert stocked.good("query", sql, "--json").json[0] == {"symbol": "AAPL", "n": 21, "last": "2024-01-31T00:00:00Z"}
    assert "AAPL" in stocked.good("query", sql, "--format", "table").out
    stocked.good("query", sql, "-o", "x.ndjson")
    assert (stocked.cwd / "x.ndjson").read_text("utf-8").count("\n") == 2


def test_every_table_of_the_store_can_be_read(stocked: Shell) -> None:
    names = {row["name"] for row in stocked.good("query", "SHOW TABLES").rows}
    assert names >= set("bars consolidated findings grades coverage quarantine revisions actions journal instruments".split())
    for name in names:
        stocked.good("query", f"SELECT * FROM {name} LIMIT 3", "--json")


def test_an_answer_without_rows_is_only_its_header(stocked: Shell) -> None:
    assert stocked.good("query", "SELECT symbol, ts FROM bars WHERE symbol = 'NONE'").out == "symbol,ts\n"
    assert stocked.good("query", "SELECT symbol FROM bars WHERE symbol = 'NONE'", "--json").json == []


@pytest.mark.parametrize(
    ("sql", "cell"),
    [
        ("SELECT 'NaN'::DOUBLE AS x", None),
        ("SELECT 'Infinity'::DOUBLE AS x", None),
        ("SELECT NULL AS x", None),
        ("SELECT 1.5::DOUBLE AS x", 1.5),
        ("SELECT 2.0::DOUBLE AS x", 2),
        ("SELECT true AS x", True),
        ("SELECT [1, 2] AS x", "[1, 2]"),
        ("SELECT DATE '2024-01-02' AS x", "2024-01-02"),
        ("SELECT 12345678901234567890::HUGEINT AS x", 12345678901234567890),
    ],
)
def test_json_never_holds_what_json_has_not(stocked: Shell, sql: str, cell: object) -> None:
    assert stocked.good("query", sql, "--json").json == [{"x": cell}]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|'/c calc'!A1"])
def test_text_cannot_be_taken_for_a_formula_by_a_spreadsheet(stocked: Shell, text: str) -> None:
    said = stocked.good("query", f"SELECT '{text.replace(chr(39), chr(39) * 2)}' AS x, -1 AS n", "--csv")
    assert said.rows == [{"x": "'" + text, "n": "-1"}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY bars TO 'out.csv'",
        "ATTACH 'other.db'",
        "INSERT INTO bars SELECT * FROM bars",
        "DROP TABLE bars",
        "SELEC 1",
        "",
    ],
)
def test_what_is_no_reading_of_the_store_is_a_usage_error(stocked: Shell, sql: str) -> None:
    said = stocked.run("query", sql)
    assert (said.code, said.out) == (2, "")
    assert "SHOW TABLES" in said.err
    assert "Traceback" not in said.err
    assert stocked.good("query", "SELECT count(*) AS n FROM bars").rows == [{"n": "42"}]


def test_without_a_store_there_is_nothing_to_ask_and_none_is_made(shell: Shell) -> None:
    said = shell.run("query", "SELECT 1")
    assert said.code == 2
    assert "fetch something first" in said.err
    assert not shell.files()


def test_a_query_of_a_store_of_another_world_is_refused(stocked: Shell) -> None:
    said = stocked.run("query", "SELECT 1", "--store", str(stocked.home / "bars.duckdb"), MDAGENT_SANDBOX="")
    assert said.code == 3
    assert "holds sandbox bars" in said.err
