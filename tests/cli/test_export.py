"""`mdagent export`: stored bars as they are, without asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from tests.cli.shell import HEADER, JANUARY

if TYPE_CHECKING:
    from tests.cli.shell import Shell


def sent(shell: Shell) -> str:
    return shell.good("sources", "status", "--csv").rows[0]["sent_1h"]


def test_an_export_is_what_the_fetch_showed_without_a_request(stocked: Shell) -> None:
    fetched = stocked.good("fetch", "AAPL", *JANUARY)
    before = sent(stocked)
    assert stocked.good("export", "AAPL").out == fetched.out
    assert stocked.good("export", "AAPL", *JANUARY).out == fetched.out
    assert sent(stocked) == before


def test_without_a_symbol_all_that_is_stored_is_exported(stocked: Shell) -> None:
    said = stocked.good("export")
    assert [r["symbol"] for r in said.rows] == ["AAPL"] * 21 + ["MSFT"] * 21
    assert said.err == ""


def test_a_window_is_half_open(stocked: Shell) -> None:
    rows = stocked.good("export", "AAPL", "--start", "2024-01-03", "--end", "2024-01-05").rows
    assert [r["ts"] for r in rows] == ["2024-01-03", "2024-01-04"]


def test_what_is_not_stored_is_no_data_and_never_fetched(stocked: Shell) -> None:
    said = stocked.run("export", "NVDA")
    assert (said.code, said.out) == (12, HEADER + "\n")
    assert "mdagent fetch SYMBOL" in said.err
    assert stocked.run("export", "AAPL", "-i", "1h").code == 12


def test_what_cannot_be_brought_to_the_basis_is_refused_with_the_reason(stocked: Shell) -> None:
    said = stocked.run("export", "AAPL", "--adjust", "all")
    assert (said.code, said.out) == (4, HEADER + "\n")
    assert "AAPL: yahoo is left out: it has splits prices, and its splits and dividends are known only to 2024-02-01" in said.err
    assert "mdagent fetch SYMBOL" in said.err


def test_without_a_store_there_is_nothing_to_export_and_none_is_made(shell: Shell) -> None:
    said = shell.run("export")
    assert (said.code, said.out) == (2, "")
    assert "there is no store" in said.err
    assert not shell.files()


def test_everything_goes_into_one_parquet_file(stocked: Shell) -> None:
    stocked.good("export", "-o", "all.parquet")
    with duckdb.connect() as db:
        file = stocked.cwd / "all.parquet"
        told = db.execute(f"SELECT symbol, count(*), min(ts) FROM '{file}' GROUP BY symbol ORDER BY symbol").fetchall()
    assert [(s, n, f"{t:%Y-%m-%d}") for s, n, t in told] == [("AAPL", 21, "2024-01-02"), ("MSFT", 21, "2024-01-02")]


def test_an_existing_file_is_not_written_over(stocked: Shell) -> None:
    (stocked.cwd / "x.csv").write_text("mine", "utf-8")
    assert stocked.run("export", "-o", "x.csv").code == 2
    assert (stocked.cwd / "x.csv").read_text("utf-8") == "mine"
