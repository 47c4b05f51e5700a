"""`mdagent quote` and `mdagent search`: what a source says now; nothing is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.shell import Shell

QUOTE = "symbol,last,bid,ask,as_of,currency,previous_close,day_high,day_low,volume,source"


def test_a_quote_tells_the_price_and_the_exchanges_time(shell: Shell) -> None:
    said = shell.good("quote", "AAPL", "IBE.MC", "--csv")
    assert said.out.splitlines()[0] == QUOTE
    aapl, iberdrola = said.rows
    assert (aapl["symbol"], aapl["currency"], aapl["source"]) == ("AAPL", "USD", "yahoo")
    assert (aapl["bid"], aapl["ask"]) == ("", "")
    assert aapl["as_of"].startswith("2024-02-05T21:00:0")
    assert float(aapl["day_low"]) <= float(aapl["last"]) <= float(aapl["day_high"])
    assert iberdrola["currency"] == "EUR"


def test_a_quote_is_the_last_close_that_a_fetch_has(shell: Shell) -> None:
    last = shell.good("fetch", "AAPL", "--start", "2024-02-05").rows[-1]["close"]
    assert float(shell.good("quote", "AAPL").rows[0]["last"]) == pytest.approx(float(last), abs=0.005)


def test_one_bad_symbol_among_good_ones_is_partly_served(shell: Shell) -> None:
    said = shell.run("quote", "AAPL", "NOSUCH")
    assert said.code == 5
    assert [r["symbol"] for r in said.rows] == ["AAPL"]
    assert "mdagent: NOSUCH: " in said.err
    assert shell.run("quote", "NOSUCH").code == 13


def test_nothing_of_a_quote_or_a_search_enters_the_store(shell: Shell) -> None:
    shell.good("quote", "AAPL")
    shell.good("search", "apple")
    assert not (shell.home / "bars.duckdb").exists()


def test_a_search_finds_symbols_by_name(shell: Shell) -> None:
    said = shell.good("search", "iberdrola", "--json")
    assert said.json == [{"symbol": "IBE.MC", "name": "Iberdrola, S.A.", "exchange": "MCE", "kind": "EQUITY", "source": "yahoo"}]


def test_what_a_search_finds_is_in_the_spelling_that_a_fetch_takes(shell: Shell) -> None:
    assert "BRK.B" in {r["symbol"] for r in shell.good("search", "berkshire").rows}


def test_words_need_no_quotes_round_them(shell: Shell) -> None:
    assert shell.good("search", "Bank", "of", "America").rows


def test_a_search_without_a_hit_is_no_data(shell: Shell) -> None:
    said = shell.run("search", "zzzzqqqq")
    assert (said.code, said.out) == (12, "symbol,name,exchange,kind,source\n")
    assert "nothing fits 'zzzzqqqq'" in said.err


@pytest.mark.parametrize("words", [("quote", "A B"), ("quote", "AAPL", "--source", "nobody"), ("quote",), ("search",), ("search", "  ")])
def test_a_wrong_word_is_told_before_anything_is_spent(shell: Shell, words: tuple[str, ...]) -> None:
    said = shell.run(*words)
    assert (said.code, said.out) == (2, "")
    assert not shell.files()


@pytest.mark.parametrize("words", [("quote", "AAPL"), ("search", "apple")])
def test_a_file_that_is_there_is_not_written_over_nor_a_request_spent(shell: Shell, words: tuple[str, ...]) -> None:
    (shell.cwd / "x.csv").write_text("mine", "utf-8")
    assert shell.run(*words, "-o", "x.csv").code == 2
    assert shell.run(*words, "--format", "parquet").code == 2
    assert shell.files() == {"x.csv"}
    shell.good(*words, "-o", "x.csv", "--force")
    assert (shell.cwd / "x.csv").read_text("utf-8").startswith("symbol,")
