"""`mdagent freeze`: the bars of a backtest are pinned, verified and exported as they were."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.cli.shell import JANUARY
from tests.cli.three import HALF, change

if TYPE_CHECKING:
    from tests.cli.shell import Said, Shell

PINNED = ("freeze", "study", "AAPL", "MSFT", *JANUARY)


def later(shell: Shell) -> None:
    shell.clock.set(shell.clock.now() + timedelta(hours=1))


@pytest.fixture
def stocked(stocked: Shell) -> Shell:
    """An hour after all of it was fetched."""
    later(stocked)
    return stocked


def verdict(shell: Shell, code: int = 0) -> dict[str, str]:
    said = shell.run("freeze", "study", "--verify", "--csv")
    assert said.code == code, said.err
    return said.rows[0]


def exported(shell: Shell, file: str = "out.csv") -> str:
    shell.good("freeze", "study", "--export", file, "--force")
    return (shell.cwd / file).read_text("utf-8")


def test_what_is_pinned_is_told_with_its_hash(stocked: Shell) -> None:
    said = stocked.good(*PINNED, "--csv")
    (row,) = said.rows
    assert {name: row[name] for name in ("name", "symbols", "interval", "start", "end", "adjustment", "as_of", "bars")} == {
        "name": "study", "symbols": "AAPL MSFT", "interval": "1d", "start": "2024-01-02", "end": "2024-02-01", "adjustment": "splits",
        "as_of": "2024-02-05T23:00:00.000000Z", "bars": "42",
    }  # fmt: skip
    assert "42 bars are pinned as study, sha256 " + row["digest"] in said.err
    assert stocked.good("freeze", "--list", "--csv").rows == [row]


def test_the_hash_is_that_of_the_canonical_rows(stocked: Shell) -> None:
    (row,) = stocked.good(*PINNED, "--csv").rows
    bars = change(
        stocked,
        "SELECT symbol, interval, ts, open, high, low, close, volume, source, adjustment, currency, score FROM consolidated"
        " WHERE interval = '1d' AND ts >= '2024-01-02' AND ts < '2024-02-01' ORDER BY symbol, ts",
    )
    lines = [",".join(c.isoformat() if i == 2 else repr(c) if isinstance(c, float) else str(c) for i, c in enumerate(b)) for b in bars]
    assert row["digest"] == hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


def test_it_holds_whatever_is_fetched_or_decided_later(three_sources: Shell) -> None:
    three_sources.good("freeze", "study", "AAPL", *HALF)
    before = exported(three_sources)
    later(three_sources)
    three_sources.good("override", "AAPL", "2023-08-08", "--reject", "--reason", "x")
    change(three_sources, "UPDATE bars SET score = 97 WHERE source = 'yahoo'")
    change(
        three_sources,
        "INSERT INTO revisions SELECT symbol, interval, ts, source, adjustment, open, high, low, close, volume, score, fetched_at, batch,"
        " '2024-02-05 22:30', 99, currency, lot, raw_volume, 'revision' FROM bars WHERE ts = '2023-07-05'",
    )
    change(three_sources, "UPDATE bars SET close = 1, fetched_at = '2024-02-05 22:30', batch = 99 WHERE ts = '2023-07-05'")
    assert verdict(three_sources)["holds"] == "true"
    assert exported(three_sources) == before
    assert three_sources.good("export", "AAPL", *HALF, "--csv").out != before


def test_it_holds_through_a_split(shell: Shell) -> None:
    spring = ("NVDA", "--start", "2024-04-01", "--end", "2024-05-01")
    shell.clock.set(datetime(2024, 5, 15, 22, 0, tzinfo=UTC))
    shell.good("fetch", *spring, "--source", "yahoo")
    shell.good("freeze", "study", *spring)
    before = exported(shell)
    shell.clock.set(datetime(2024, 6, 28, 22, 0, tzinfo=UTC))
    shell.good("fetch", "NVDA", "--start", "2024-04-01", "--end", "2024-06-28", "--source", "yahoo")
    assert verdict(shell)["holds"] == "true"
    assert exported(shell) == before
    shell.good("freeze", "again", *spring, "--as-of", "2024-05-16")
    digests = {row["digest"] for row in shell.good("freeze", "--list", "--csv").rows}
    assert len(digests) == 1, "the same bars as of a time that has been"


@pytest.mark.parametrize("source", ["yahoo", "tiingo"])
@pytest.mark.parametrize("basis", ["splits", "all", "raw"])
def test_it_holds_when_all_is_fetched_again_and_more(shell: Shell, source: str, basis: str) -> None:
    spring = ("NVDA", "--start", "2024-03-01", "--end", "2024-05-01", "--adjust", basis)
    shell.clock.set(datetime(2024, 5, 15, 22, 0, tzinfo=UTC))
    shell.good("fetch", *spring, "--source", source)
    later(shell)
    shell.good("freeze", "study", *spring)
    before = exported(shell)
    shell.clock.set(datetime(2024, 6, 28, 22, 0, tzinfo=UTC))
    shell.good("fetch", *spring, "--source", source, "--refresh")
    shell.good("fetch", "NVDA", "--start", "2024-01-02", "--end", "2024-06-28", "--source", source)
    assert verdict(shell)["holds"] == "true"
    assert exported(shell) == before


def broken(shell: Shell, said: Said, first: str) -> None:
    assert said.code == 9
    assert f"mdagent: study does not hold: {first}" in said.err
    assert not (shell.cwd / "out.csv").exists()


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        ("UPDATE bars SET close = close + 1 WHERE ts >= '2024-01-10'", "AAPL 2024-01-10: the bar of yahoo is another one: now open "),
        ("UPDATE bars SET volume = NULL WHERE symbol = 'MSFT'", "MSFT 2024-01-02: the bar of yahoo is another one: now open "),
        ("DELETE FROM bars WHERE ts = '2024-01-11'", "AAPL 2024-01-11: the bar of yahoo cannot be read any more"),
        ("UPDATE frozen SET digest = 'x'", "each bar is what its mark says, and all of them together are not: the list was changed"),
        ("DELETE FROM frozen_bars WHERE ts = '2024-01-12'", "AAPL 2024-01-12: a bar of yahoo is there that was not"),
    ],
)
def test_what_does_not_hold_is_damage_with_the_first_difference(stocked: Shell, sql: str, first: str) -> None:
    stocked.good(*PINNED)
    change(stocked, sql)
    broken(stocked, stocked.run("freeze", "study", "--verify"), first)
    broken(stocked, stocked.run("freeze", "study", "--export", "out.csv"), first)
    assert verdict(stocked, 9)["holds"] == "false"


def test_the_export_has_the_columns_of_bars_in_each_format(stocked: Shell) -> None:
    stocked.good(*PINNED)
    assert exported(stocked) == stocked.good("export", "AAPL", "MSFT", *JANUARY, "--csv").out
    stocked.good("freeze", "study", "--export", "out.parquet")
    with duckdb.connect() as db:
        assert db.execute(f"SELECT count(*), min(ts) FROM '{stocked.cwd / 'out.parquet'}'").fetchall() == [(42, datetime(2024, 1, 2))]
    assert stocked.run("freeze", "study", "--export", "out.parquet").code == 2, "it exists"


def test_provisional_bars_are_left_out_since_they_leave_no_trace(shell: Shell) -> None:
    shell.clock.set(datetime(2024, 2, 5, 19, 0, tzinfo=UTC))
    shell.good("fetch", "AAPL", "--start", "2024-02-01", "--end", "2024-02-06")
    said = shell.good("freeze", "study", "AAPL", "--csv")
    assert (said.rows[0]["bars"], "1 provisional bars are left out" in said.err) == ("2", True)
    shell.clock.set(datetime(2024, 2, 5, 23, 0, tzinfo=UTC))
    shell.good("fetch", "AAPL", "--start", "2024-02-01", "--end", "2024-02-06")
    assert verdict(shell)["holds"] == "true"


def test_without_a_name_all_are_verified(stocked: Shell) -> None:
    stocked.good(*PINNED)
    stocked.good("freeze", "other", "MSFT")
    rows = stocked.good("freeze", "--verify", "--json").json
    assert [(row["name"], row["holds"]) for row in rows] == [("other", True), ("study", True)]


def test_a_name_is_taken_until_it_is_dropped_and_the_bars_stay(stocked: Shell) -> None:
    stocked.good(*PINNED)
    taken = stocked.run(*PINNED)
    assert (taken.code, "study is pinned already" in taken.err) == (2, True)
    stocked.good("freeze", "study", "--drop")
    assert change(stocked, "SELECT (SELECT count(*) FROM frozen), (SELECT count(*) FROM frozen_bars)") == [(0, 0)]
    assert len(stocked.good("export", "--csv").rows) == 42
    stocked.good(*PINNED)


def test_a_symbol_without_bars_is_told(stocked: Shell) -> None:
    said = stocked.run("freeze", "study", "AAPL", "NVDA", "--csv")
    assert (said.code, said.rows[0]["symbols"], said.rows[0]["bars"]) == (5, "AAPL NVDA", "21")
    assert "study has no bars of NVDA" in said.err


def test_nothing_to_pin_is_no_data_and_pins_nothing(stocked: Shell, shell: Shell) -> None:
    assert stocked.run("freeze", "study", "NVDA").code == 12
    assert stocked.run("freeze", "study", "AAPL", "--as-of", "2020-01-01").code == 12
    assert stocked.good("freeze", "--list", "--json").json == []


@pytest.mark.parametrize(
    "words",
    [
        "freeze",
        "freeze study",
        "freeze --drop",
        "freeze st/udy AAPL",
        "freeze study AAPL --verify",
        "freeze study --verify --drop",
        "freeze study AAPL --as-of 2030-01-01",
        "freeze study AAPL --start then",
        "freeze nothing --verify",
        "freeze study --export nowhere/out.csv",
    ],
)
def test_a_word_that_is_wrong_is_usage(stocked: Shell, words: str) -> None:
    assert stocked.run(*words.split()).code == 2


def test_a_name_that_is_nearly_right_is_suggested(stocked: Shell) -> None:
    stocked.good(*PINNED)
    assert "nothing is pinned as studie: did you mean study?" in stocked.run("freeze", "studie", "--verify").err


def test_on_a_terminal_it_is_a_table(stocked: Shell) -> None:
    stocked.good(*PINNED)
    stocked.screens = (True, True)
    assert "AAPL MSFT" in stocked.good("freeze", "--list").out
    assert "study" in stocked.good("freeze", "--verify").out


def test_no_store_is_no_data(shell: Shell) -> None:
    assert shell.run("freeze", "study", "AAPL").code == 12
    assert not shell.files()
