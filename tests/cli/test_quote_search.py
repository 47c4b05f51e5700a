"""`mdagent quote` and `mdagent search`: what a source says now; nothing is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import VirtualClock
from mdagent.sources import NAMES, spec_of
from mdagent.store.lock import locked
from tests.cli.shell import NOW

if TYPE_CHECKING:
    from tests.cli.shell import Shell

KEYED = [name for name in NAMES if spec_of(name).needs_key]
RETIRED = [name for name in NAMES if any(m.state == "retired" for m in spec_of(name).lifecycle)]
QUOTE = "symbol,last,bid,ask,as_of,currency,previous_close,day_high,day_low,volume,source,late_s,grade,why"


def test_a_quote_tells_the_price_and_the_exchanges_time(shell: Shell) -> None:
    said = shell.good("quote", "AAPL", "IBE.MC", "--csv")
    assert said.out.splitlines()[0] == QUOTE
    aapl, iberdrola = said.rows
    assert (aapl["symbol"], aapl["currency"], aapl["source"]) == ("AAPL", "USD", "yahoo")
    assert (aapl["bid"], aapl["ask"]) == ("", "")
    assert aapl["as_of"].startswith("2024-02-05T21:00:0")
    assert float(aapl["day_low"]) <= float(aapl["last"]) <= float(aapl["day_high"])
    assert iberdrola["currency"] == "EUR"


def test_a_quote_is_an_a_only_when_another_source_says_the_same(shell: Shell) -> None:
    (alone,) = shell.good("quote", "AAPL").rows
    assert (alone["grade"], alone["late_s"], alone["why"]) == ("B+", "0", "the last price of the session, compared with no other")
    (confirmed,) = shell.good("quote", "AAPL", "--cross-check", "1").rows
    assert (confirmed["grade"], confirmed["why"]) == ("A", "the last price of the session, confirmed")


def test_a_quote_is_the_last_close_that_a_fetch_has(shell: Shell) -> None:
    last = shell.good("fetch", "AAPL", "--start", "2024-02-05", "--source", "yahoo").rows[-1]["close"]
    assert float(shell.good("quote", "AAPL").rows[0]["last"]) == pytest.approx(float(last), abs=0.005)


def test_a_price_far_from_what_is_stored_is_asked_of_another_source(shell: Shell) -> None:
    days = "\n".join(f"2024-01-{day},20,20.5,19.5,20,1000000" for day in (22, 23, 24, 25, 26, 29, 30, 31))
    (shell.cwd / "aapl.csv").write_text(f"date,open,high,low,close,volume\n{days}\n", "utf-8")
    shell.good("import", "aapl.csv", "--symbol", "AAPL", "--currency", "USD", "--interval", "1d", "--adjust", "splits")
    (told,) = shell.good("quote", "AAPL").rows
    assert (told["source"], told["grade"]) == ("yahoo", "A")
    assert told["why"] == "the last price of the session, confirmed, far from the last close stored, 20 of 2024-01-31"
    alone = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES if name != "yahoo"}
    (told,) = shell.good("quote", "AAPL", **alone).rows
    assert told["grade"].startswith("D")


def test_a_store_that_is_held_keeps_nobody_from_a_price(shell: Shell) -> None:
    shell.good("fetch", "AAPL", "--start", "2024-02-01")
    with locked(shell.home / "bars.duckdb", VirtualClock(NOW), write=True, wait=0, purpose="backfill"):
        said = shell.run("quote", "AAPL")
    assert (said.code, said.rows[0]["grade"]) == (0, "B+")
    assert "prices are not held against stored closes: " in said.err


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


@pytest.mark.parametrize("name", [n for n in NAMES if "quote" in spec_of(n).offers])
def test_every_source_that_tells_quotes_can_be_asked(shell: Shell, name: str) -> None:
    (row,) = shell.good("quote", "AAPL", "--source", name, "--csv").rows
    assert (row["symbol"], row["source"]) == ("AAPL", name)
    assert float(row["last"]) == pytest.approx(float(shell.good("quote", "AAPL", "--source", "yahoo").rows[0]["last"]), rel=0.01)


@pytest.mark.parametrize("name", [n for n in NAMES if "search" in spec_of(n).offers])
def test_every_source_that_searches_can_be_asked(shell: Shell, name: str) -> None:
    rows = shell.good("search", "apple", "--source", name, "--csv").rows
    assert "AAPL" in {row["symbol"] for row in rows}
    assert {row["source"] for row in rows} == {name}


@pytest.mark.parametrize("name", [n for n in KEYED if n not in RETIRED])
@pytest.mark.parametrize("words", [("quote", "AAPL", "MSFT"), ("search", "apple"), ("market",), ("actions", "AAPL")])
def test_a_source_named_without_its_key_is_told_once_with_the_variable_to_set(shell: Shell, name: str, words: tuple[str, ...]) -> None:
    if words[0] not in spec_of(name).offers:
        pytest.skip("this source does not offer it, key or no key")
    said = shell.run(*words, "--source", name, MDAGENT_SANDBOX="")
    assert (said.code, said.out) == (11, "")
    assert said.err == f"mdagent: {name}: no key\n  → set MDAGENT_{name.upper()}_API_KEY\n"


@pytest.mark.parametrize("name", RETIRED)
def test_a_retired_source_is_refused_in_the_live_world(shell: Shell, name: str) -> None:
    shell.clock.set(datetime(2026, 11, 24, 12, tzinfo=UTC))
    said = shell.run("quote", "AAPL", "--source", name, MDAGENT_SANDBOX="", **{f"MDAGENT_{name.upper()}_API_KEY": "k" * 20})
    assert (said.code, said.out) == (4, "")
    assert "retired" in said.err
    assert "use another source" in said.err


@pytest.mark.parametrize("name", KEYED)
def test_a_plan_without_quotes_says_so_and_sends_nothing(shell: Shell, name: str) -> None:
    for plan in spec_of(name).plans:
        if "quote" in plan.lacks:
            said = shell.run("quote", "AAPL", "--source", name, **{f"MDAGENT_SOURCES__{name.upper()}__PLAN": plan.name})
            assert (said.code, said.out) == (4, "")
            assert f"its plan {plan.name} does not include quotes" in said.err


def test_a_wrong_key_of_a_named_source_is_told_as_that(shell: Shell) -> None:
    for name in KEYED:
        if "quote" in spec_of(name).offers:
            said = shell.run("quote", "AAPL", "--source", name, **{f"MDAGENT_{name.upper()}_API_KEY": "canary-4711-key"})
            assert said.code == 11
            assert "canary" not in said.err
