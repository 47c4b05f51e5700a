"""`mdagent compare`: what each source says of the same bars, side by side."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

WEEK = ("--start", "2024-01-02", "--end", "2024-01-09")
THREE = ("--source", "twelvedata", "--source", "polygon", "--source", "yahoo")
COLUMNS = "symbol interval ts adjustment currency field median spread apart".split()
SPOILT = "UPDATE bars SET close = close * 1.05, high = high * 1.06 WHERE source = 'polygon' AND ts = TIMESTAMP '2024-01-04'"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store has a week of AAPL from three sources."""
    folder = tmp_path_factory.mktemp("three")
    Shell(folder).good("compare", "AAPL", *WEEK, *THREE)
    return folder


@pytest.fixture
def three(asked: Path, tmp_path: Path) -> Shell:
    shutil.copytree(asked / "home", tmp_path / "home")
    return Shell(tmp_path)


@pytest.fixture
def disputed(three: Shell) -> Shell:
    """The store after somebody moved a close of polygon by five percent."""
    import duckdb

    with duckdb.connect(three.home / "bars.duckdb") as db:
        db.execute(SPOILT)
    return three


def test_a_row_a_session_and_a_column_a_source(three: Shell) -> None:
    said = three.good("compare", "AAPL", *WEEK, *THREE, "--csv")
    assert said.out.splitlines()[0].split(",") == [*COLUMNS, "polygon", "twelvedata", "yahoo"]
    assert [r["ts"] for r in said.rows] == ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"]
    for row in said.rows:
        assert (row["symbol"], row["interval"], row["adjustment"], row["currency"], row["field"]) == (
            "AAPL",
            "1d",
            "splits",
            "USD",
            "close",
        )
        values = sorted(float(row[n]) for n in ("polygon", "twelvedata", "yahoo"))
        assert float(row["median"]) == values[1]
        assert float(row["spread"]) == pytest.approx((values[2] - values[0]) / values[1])
        assert float(row["spread"]) < 1e-6
        assert row["apart"] == ""


def test_a_person_is_told_the_widest_spread_and_that_it_is_synthetic(three: Shell) -> None:
    said = three.good("compare", "AAPL", *WEEK, *THREE)
    assert "5 bars of 3 sources compared, the widest spread is 0.0000 %" in said.err
    assert "sandbox: these prices are synthetic" in said.err


def test_a_program_gets_json(three: Shell) -> None:
    told = three.good("compare", "AAPL", *WEEK, *THREE, "--json").json
    assert list(told[0]) == [*COLUMNS, "polygon", "twelvedata", "yahoo"]
    assert all(isinstance(row[name], int | float) for row in told for name in ("median", "spread"))


def test_a_terminal_gets_a_table_without_what_is_the_same_in_every_row(three: Shell) -> None:
    three.screens = (True, False)
    said = three.good("compare", "AAPL", *WEEK, *THREE, "--stored")
    assert "2024-01-04" in said.out
    assert "0.0000 %" in said.out
    assert "USD" not in said.out
    assert "AAPL" not in said.out


def test_a_file_appears_whole_and_an_existing_one_is_kept(three: Shell) -> None:
    three.good("compare", "AAPL", *WEEK, *THREE, "--stored", "-o", "out.csv")
    assert len((three.cwd / "out.csv").read_text("utf-8").splitlines()) == 6
    assert three.run("compare", "AAPL", *WEEK, *THREE, "--stored", "-o", "out.csv").code == 2
    three.good("compare", "AAPL", *WEEK, *THREE, "--stored", "-o", "out.csv", "--force")


def test_what_is_stored_is_compared_without_asking_anybody(three: Shell) -> None:
    before = three.good("query", "SELECT count(*) n FROM journal").rows
    said = three.good("compare", "AAPL", *WEEK, "--stored", "--csv")
    assert {"polygon", "twelvedata", "yahoo"} <= set(said.rows[0])
    assert "finnhub" not in said.rows[0]
    assert three.good("query", "SELECT count(*) n FROM journal").rows == before


@pytest.mark.parametrize("basis", ["raw", "splits", "all"])
def test_they_agree_on_every_basis(three: Shell, basis: str) -> None:
    said = three.good("compare", "AAPL", *WEEK, *THREE, "--adjust", basis, "--csv")
    assert {r["adjustment"] for r in said.rows} == {basis}
    assert max(float(r["spread"]) for r in said.rows) < 1e-6


def test_of_three_the_one_that_stands_apart_is_named(disputed: Shell) -> None:
    said = disputed.good("compare", "AAPL", *WEEK, *THREE, "--stored", "--csv")
    apart = {r["ts"]: r["apart"] for r in said.rows if r["apart"]}
    assert apart == {"2024-01-04": "polygon"}
    assert "apart: polygon" in said.err
    assert "the widest spread is 5.0000 %" in said.err


def test_of_two_that_differ_nobody_can_say_which_is_wrong(disputed: Shell) -> None:
    said = disputed.good("compare", "AAPL", *WEEK, "--source", "polygon", "--source", "yahoo", "--stored", "--csv")
    assert {r["apart"] for r in said.rows} == {""}
    assert max(float(r["spread"]) for r in said.rows) > 0.04
    assert "apart" not in said.err


def test_the_tolerance_says_who_stands_apart(disputed: Shell) -> None:
    said = disputed.good("compare", "AAPL", *WEEK, *THREE, "--stored", "--tolerance", "0.1", "--csv")
    assert {r["apart"] for r in said.rows} == {""}


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
def test_any_field_can_be_compared(three: Shell, field: str) -> None:
    said = three.good("compare", "AAPL", *WEEK, *THREE, "--stored", "--field", field, "--csv")
    assert {r["field"] for r in said.rows} == {field}
    stored = three.good("export", "AAPL", *WEEK, "--source", "yahoo").rows
    assert [float(r["yahoo"]) for r in said.rows] == pytest.approx([float(r[field]) for r in stored])


def test_one_source_alone_is_nothing_to_compare(three: Shell) -> None:
    said = three.run("compare", "AAPL", *WEEK, "--source", "yahoo", "--stored", "--csv")
    assert (said.code, len(said.rows)) == (5, 5)
    assert "there is nothing to compare: only yahoo has these bars" in said.err


def test_where_nobody_has_anything_the_code_is_4(three: Shell) -> None:
    said = three.run("compare", "MSFT", *WEEK, "--stored")
    assert (said.code, said.rows) == (4, [])
    assert "no source has these bars" in said.err


def test_without_a_store_nothing_is_stored(shell: Shell) -> None:
    assert shell.run("compare", "AAPL", *WEEK, "--stored").code == 4


def test_who_could_not_answer_is_left_out_and_the_others_are_compared(three: Shell) -> None:
    said = three.good("compare", "AAPL", *WEEK, *THREE, "--source", "finnhub", "--csv", MDAGENT_SOURCES__FINNHUB__PLAN="free")
    assert "finnhub is left out: its plan free has no 1d bars" in said.err
    assert "finnhub" not in said.rows[0]


def test_who_cannot_be_brought_to_the_basis_is_left_out(shell: Shell) -> None:
    shell.good("fetch", "AAPL", *WEEK, "--source", "polygon", "--adjust", "raw")
    shell.good("fetch", "AAPL", *WEEK, "--source", "yahoo", "--adjust", "all")
    said = shell.run("compare", "AAPL", *WEEK, "--stored", "--adjust", "all")
    assert said.code == 5
    assert "polygon is left out: it has raw prices, and its splits and dividends since 2024-01-02 are not known" in said.err


def test_several_symbols_are_told_apart(three: Shell) -> None:
    said = three.good("compare", "AAPL", "MSFT", *WEEK, "--source", "yahoo", "--source", "polygon", "--csv")
    assert [r["symbol"] for r in said.rows] == ["AAPL"] * 5 + ["MSFT"] * 5


def test_words_that_mean_nothing_are_refused(shell: Shell) -> None:
    said = shell.run("compare", "AAPL", *WEEK, "--field", "vwap")
    assert said.code == 2
    assert "use one of open, high, low, close, volume" in said.err
    assert shell.run("compare", "AAPL", *WEEK, "--source", "nobody").code == 2
    assert shell.run("compare", "AAPL", *WEEK, "--tolerance", "-1").code == 2
