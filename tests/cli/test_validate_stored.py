"""`mdagent validate` of what the store holds: each source's series by itself, and beside those of the others."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.shell import JANUARY, Shell, strict

if TYPE_CHECKING:
    from pathlib import Path

HALF_A_YEAR = ("--start", "2023-08-01", "--end", "2024-02-01")
THREE = ("--source", "twelvedata", "--source", "tiingo", "--source", "polygon")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store has half a year of MSFT from three sources, on one basis."""
    folder = tmp_path_factory.mktemp("three")
    Shell(folder).good("compare", "MSFT", *HALF_A_YEAR, *THREE, "--adjust", "raw")
    return folder


@pytest.fixture
def three(asked: Path, tmp_path: Path) -> Shell:
    shutil.copytree(asked / "home", tmp_path / "home")
    return Shell(tmp_path)


def change(shell: Shell, sql: str) -> None:
    """What somebody did to the store."""
    import duckdb

    with duckdb.connect(shell.home / "bars.duckdb") as db:
        db.execute(sql)


def lines(shell: Shell, *words: str, code: int = 0) -> list[Any]:
    said = shell.run("validate", *words, "--json")
    assert said.code == code, said.err
    return [strict(line) for line in said.out.splitlines()]


def test_every_stored_symbol_is_judged_where_none_is_named(stocked: Shell) -> None:
    told = lines(stocked)
    assert [(t["symbol"], t["source"], t["bars"], t["expected"], t["findings"]) for t in told] == [
        ("AAPL", "yahoo", 21, 21, []),
        ("MSFT", "yahoo", 21, 21, []),
    ]
    assert [t["grade"]["letter"] for t in told] == ["A", "A"]
    assert "staleness" in told[0]["checks"]["ran"]
    assert [t["symbol"] for t in lines(stocked, "MSFT")] == ["MSFT"]


def test_each_source_is_judged_against_the_others(three: Shell) -> None:
    told = lines(three, "MSFT")
    assert [t["source"] for t in told] == ["polygon", "tiingo", "twelvedata"]
    assert [t["confirmed_by"] for t in told] == [["tiingo", "twelvedata"], ["polygon", "twelvedata"], ["polygon", "tiingo"]]
    assert {t["grade"]["letter"] for t in told} == {"A+"}


def test_the_source_that_stands_apart_is_the_one_that_is_told(three: Shell) -> None:
    change(three, "UPDATE bars SET close = close * 1.05, high = high * 1.06 WHERE source = 'tiingo' AND ts = TIMESTAMP '2023-11-14'")
    found = {t["source"]: {(f["type"], f["start"]) for f in t["findings"] if f["severity"] != "info"} for t in lines(three, "MSFT")}
    assert found["tiingo"] == {("bad_tick", "2023-11-14")}
    assert found["polygon"] == found["twelvedata"] == set()
    (alone,) = lines(three, "MSFT", "--source", "tiingo", "--min-grade", "A", code=6)
    assert (alone["source"], alone["confirmed_by"]) == ("tiingo", ["polygon", "twelvedata"])


def test_bars_that_went_missing_are_told(stocked: Shell) -> None:
    change(stocked, "DELETE FROM bars WHERE symbol = 'AAPL' AND ts IN (TIMESTAMP '2024-01-10', TIMESTAMP '2024-01-11')")
    aapl, msft = lines(stocked)
    assert [(f["type"], f["start"], f["count"]) for f in aapl["findings"]] == [("missing_rows", "2024-01-10", 2)]
    assert (aapl["bars"], aapl["expected"]) == (19, 21)
    assert msft["findings"] == []
    (part,) = lines(stocked, "AAPL", "--start", "2024-01-16", "--end", "2024-01-20")
    assert (part["bars"], part["expected"], part["findings"]) == (4, 4, [])


def test_what_is_in_quarantine_is_told_of_a_hole(stocked: Shell) -> None:
    change(
        stocked,
        "DELETE FROM bars WHERE symbol = 'AAPL' AND ts = TIMESTAMP '2024-01-10'; INSERT INTO quarantine SELECT 'AAPL', '1d',"
        " TIMESTAMP '2024-01-10', 'yahoo', 'splits', 'ohlc', 'a high below the low', '{}', now()::TIMESTAMP, 1",
    )
    (told,) = lines(stocked, "AAPL")
    assert told["absences"] == [{"ts": "2024-01-10", "reason": "row rejected"}]
    assert told["quarantined"] == 1
    assert {f["type"] for f in told["findings"]} == {"ohlc_violation"}


def test_another_basis_is_made_from_what_the_source_told(stocked: Shell) -> None:
    said = stocked.run("validate", "AAPL", "--adjust", "all", "--json")
    assert (said.code, said.out) == (4, "")
    assert "its splits and dividends are known only to 2024-02-01" in said.err
    stocked.good("fetch", "AAPL", *JANUARY, "--adjust", "all")
    (told,) = lines(stocked, "AAPL", "--adjust", "all")
    assert told["adjustment"] == "all"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("NVDA",), 12, "the store has no 1d bars of NVDA"),
        (("AAPL", "--interval", "5m"), 12, "the store has no 5m bars of AAPL"),
        (("--interval", "5m"), 12, "the store has no 5m bars"),
        (("AAPL", "--source", "tiingo"), 12, "of AAPL from tiingo"),
        (("AAPL", "--source", "yaho"), 2, "did you mean yahoo?"),
        (("AAPL", "--start", "2025-01-01"), 2, "lies in the future"),
        (("AAPL", "--mode", "cross-source"), 4, "needs 2 sources"),
        (("AAPL", "--min-grade", "A+"), 6, "is below A+"),
    ],
)
def test_what_cannot_be_judged_or_is_not_good_enough_is_told(stocked: Shell, words: tuple[str, ...], code: int, told: str) -> None:
    said = stocked.run("validate", *words, "--json")
    assert said.code == code
    assert told in said.err


def test_cross_source_says_who_is_missing(stocked: Shell) -> None:
    said = stocked.run("validate", "AAPL", "--mode", "cross-source")
    assert "missing: " in said.err
    assert "tiingo" in said.err
    assert "yahoo," not in said.err.partition("missing: ")[2]


def test_a_split_that_only_another_source_tells_is_no_mistake(shell: Shell) -> None:
    shell.good("compare", "AAPL", "--start", "2020-07-01", "--end", "2020-11-01", "--source", "tiingo", "--source", "alphavantage",
               "--adjust", "raw")  # fmt: skip
    change(shell, "DELETE FROM actions WHERE source = 'alphavantage'")
    assert [(t["source"], t["adjustment"], t["grade"]["band"]) for t in lines(shell, "AAPL")] == [
        ("alphavantage", "raw", "A"), ("tiingo", "raw", "A"),
    ]  # fmt: skip


def test_nothing_is_asked_and_nothing_is_written(stocked: Shell) -> None:
    before = {name: (stocked.cwd / name).read_bytes() for name in stocked.files() if not name.endswith(("lock", "turn"))}
    stocked.good("validate", "--csv")
    assert {name: (stocked.cwd / name).read_bytes() for name in stocked.files() if not name.endswith(("lock", "turn"))} == before


def test_intraday_bars_of_the_store_are_judged_by_the_minute(shell: Shell) -> None:
    shell.good("fetch", "AAPL", "--interval", "5m", "--start", "2024-01-16", "--end", "2024-01-20")
    (told,) = lines(shell, "AAPL", "--interval", "5m")
    assert told["bars"] == told["expected"] == 4 * 78
    assert told["start"] == "2024-01-16T14:30:00Z"


def test_january_is_what_was_asked_for(stocked: Shell) -> None:
    """Up to where the source was asked, not up to its last bar."""
    change(stocked, "DELETE FROM bars WHERE symbol = 'AAPL' AND ts >= TIMESTAMP '2024-01-25'")
    (told,) = lines(stocked, "AAPL")
    assert told["end"] == JANUARY[3]
    assert {f["type"] for f in told["findings"]} <= {"truncated_history", "stale_feed", "missing_rows"}
    assert told["findings"]
