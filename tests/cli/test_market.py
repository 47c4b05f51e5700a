"""`mdagent market` and `mdagent actions`: what a source says of markets, splits and dividends; nothing is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mdagent.sources import NAMES, spec_of

if TYPE_CHECKING:
    from tests.cli.shell import Shell

ACTION = "symbol,kind,date,value,adjusted,currency,source"
SINCE = ("--start", "2020-08-01", "--end", "2020-11-01")


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (datetime(2024, 2, 5, 20, 0, tzinfo=UTC), "open"),
        (datetime(2024, 2, 5, 22, 0, tzinfo=UTC), "closed"),
        (datetime(2024, 2, 4, 18, 0, tzinfo=UTC), "closed"),
    ],
)
def test_a_market_is_open_or_closed(shell: Shell, now: datetime, state: str) -> None:
    shell.clock.set(now)
    said = shell.good("market", "--source", "yahoo", "--csv")
    assert said.out.splitlines()[0] == "market,state,session,as_of,source"
    (row,) = said.rows
    assert (row["state"], row["source"]) == (state, "yahoo")


@pytest.mark.parametrize("name", [n for n in NAMES if "market" in spec_of(n).offers])
def test_every_source_that_tells_of_markets_can_be_asked(shell: Shell, name: str) -> None:
    shell.clock.set(datetime(2024, 2, 5, 20, 0, tzinfo=UTC))
    rows = shell.good("market", "--source", name, "--csv").rows
    assert rows
    assert {row["source"] for row in rows} == {name}
    assert "open" in {row["state"] for row in rows}


def test_the_first_source_is_the_one_that_needs_no_key(shell: Shell) -> None:
    assert shell.good("market", "--json").json[0]["source"] == "yahoo"


def test_splits_and_dividends_are_told_by_ex_date(shell: Shell) -> None:
    said = shell.good("actions", "AAPL", *SINCE, "--source", "yahoo", "--csv")
    assert said.out.splitlines()[0] == ACTION
    dates = [row["date"] for row in said.rows]
    assert dates == sorted(dates)
    (split,) = [row for row in said.rows if row["kind"] == "split"]
    assert (split["symbol"], split["date"], split["value"], split["source"]) == ("AAPL", "2020-08-31", "4", "yahoo")
    assert "dividend" in {row["kind"] for row in said.rows}


@pytest.mark.parametrize("name", [n for n in NAMES if "actions" in spec_of(n).offers])
def test_every_source_that_tells_of_splits_can_be_asked(shell: Shell, name: str) -> None:
    rows = shell.good("actions", "AAPL", *SINCE, "--source", name, "--csv").rows
    assert [(r["date"], r["value"], r["source"]) for r in rows if r["kind"] == "split"] == [("2020-08-31", "4", name)]


@pytest.mark.parametrize("name", [n for n in NAMES if "actions" in spec_of(n).offers])
def test_a_split_of_long_ago_is_told_whoever_is_asked(shell: Shell, name: str) -> None:
    shell.clock.set(datetime(2026, 11, 24, 12, tzinfo=UTC))  # one counts its years back from today
    rows = shell.good("actions", "AAPL", *SINCE, "--source", name, "--csv").rows
    assert [(r["kind"], r["date"]) for r in rows] == [("split", "2020-08-31"), ("dividend", "2020-10-08")]


def test_a_year_is_looked_back_on_where_nothing_else_is_said(shell: Shell) -> None:
    dates = [row["date"] for row in shell.good("actions", "AAPL", "--csv").rows]
    assert dates
    assert min(dates) > "2023-02-01"


def test_a_window_without_any_is_said_and_no_failure(shell: Shell) -> None:
    said = shell.good("actions", "AAPL", "--start", "2020-08-29", "--end", "2020-08-31", "--csv", "--source", "yahoo")
    assert said.out == ACTION + "\n"
    assert "AAPL: no split or dividend from 2020-08-29 to 2020-08-31, says yahoo" in said.err


def test_one_bad_symbol_among_good_ones_is_partly_served(shell: Shell) -> None:
    said = shell.run("actions", "AAPL", "NOSUCH", *SINCE, "--source", "yahoo")
    assert said.code == 5
    assert {row["symbol"] for row in said.rows} == {"AAPL"}
    assert "mdagent: NOSUCH: " in said.err


def test_nothing_of_either_enters_the_store(shell: Shell) -> None:
    shell.good("market")
    shell.good("actions", "AAPL", *SINCE)
    assert not (shell.home / "bars.duckdb").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("actions",), ("actions", "A B"), ("actions", "AAPL", "--start", "soon"), ("market", "--source", "nobody"), ("market", "AAPL"),
        ("actions", "AAPL", "--start", "2024-01-02", "--end", "2024-01-01"), ("market", "--format", "parquet"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_told_before_anything_is_spent(shell: Shell, words: tuple[str, ...]) -> None:
    said = shell.run(*words)
    assert (said.code, said.out) == (2, "")
    assert not shell.files()


def test_each_writes_to_a_file(shell: Shell) -> None:
    shell.good("actions", "AAPL", *SINCE, "-o", "actions.csv")
    assert (shell.cwd / "actions.csv").read_text("utf-8").startswith(ACTION)
    shell.good("market", "-o", "market.json")
    assert (shell.cwd / "market.json").read_text("utf-8").startswith("[")


def test_a_person_gets_a_table(shell: Shell) -> None:
    shell.screens = (True, True)
    assert "closed" in shell.good("market").out
    assert "split" in shell.good("actions", "AAPL", *SINCE).out
