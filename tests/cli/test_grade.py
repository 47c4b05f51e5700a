"""`mdagent grade`: how good what is stored is, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.shell import JANUARY
from tests.cli.three import change, spike, swap

if TYPE_CHECKING:
    from tests.cli.shell import Shell

WORSE = "UPDATE bars SET score = 60 WHERE symbol = 'MSFT'"


def test_the_worst_comes_first(stocked: Shell) -> None:
    change(stocked, WORSE)
    said = stocked.good("grade", "--csv")
    assert [(r["symbol"], r["bars"], r["score"], r["grade"]) for r in said.rows] == [("MSFT", "21", "60", "D"), ("AAPL", "21", "96", "A")]
    assert said.rows[0]["suspect"] == "21"
    assert "sandbox: these prices are synthetic" in said.err


def test_only_what_is_below_a_letter(stocked: Shell) -> None:
    change(stocked, WORSE)
    assert [r["symbol"] for r in stocked.good("grade", "--below", "c", "--csv").rows] == ["MSFT"]
    said = stocked.good("grade", "--below", "D", "--csv")
    assert said.rows == []
    assert "nothing is graded so low" in said.err


def test_the_trend_is_the_change_against_earlier_grades(stocked: Shell) -> None:
    change(stocked, "UPDATE grades SET score = 80, letter = 'B-' WHERE symbol = 'AAPL'")
    stocked.clock.pause(60)
    stocked.good("fetch", "AAPL", *JANUARY, "--refresh")
    (row,) = stocked.good("grade", "AAPL", "--csv").rows
    assert (row["trend"], row["last_grade"]) == ("16", "A")


def test_the_history_tells_what_changed(stocked: Shell) -> None:
    change(stocked, "UPDATE grades SET score = 80, letter = 'B-' WHERE symbol = 'AAPL'")
    change(
        stocked,
        "INSERT INTO findings SELECT batch, symbol, interval, source, 'gaps', 'low', NULL, NULL, 1, NULL, NULL, 'one', 'missing_rows', NULL"
        " FROM grades WHERE symbol = 'AAPL'",
    )
    stocked.clock.pause(60)
    stocked.good("fetch", "AAPL", *JANUARY, "--refresh")
    first, then = stocked.good("grade", "AAPL", "--history", "--csv").rows
    assert (first["grade"], first["what"], first["findings"]) == (
        "B-",
        "the first grade; found: missing_rows; 21 new",
        "missing_rows (low, 1)",
    )
    assert (then["grade"], then["change"], then["what"]) == ("A", "16", "gone: missing_rows")
    assert stocked.good("grade", "AAPL", "--history", "--below", "B", "--json").json[0]["grade"] == "B-"
    stocked.screens = (True, False)
    assert "missing_rows" in stocked.good("grade", "AAPL", "--history").out


def test_what_is_in_quarantine_and_what_is_suspicious_is_counted(three_sources: Shell) -> None:
    spike(three_sources)
    swap(three_sources)
    (row,) = three_sources.good("grade", "--json").json
    assert (row["suspect"], row["quarantined"], row["worst"]) == (1, 1, 45)
    three_sources.good("repair", "AAPL", "--apply")
    (mended,) = three_sources.good("grade", "--json").json
    assert (mended["suspect"], mended["worst"]) == (0, 86)


def test_by_source_and_by_month(three_sources: Shell) -> None:
    spike(three_sources)
    rows = three_sources.good("grade", "--by", "source", "--csv").rows
    assert rows[0]["source"] == "yahoo"
    assert {r["source"] for r in rows[1:]} == {"polygon", "tiingo"}
    months = {r["month"]: r for r in three_sources.good("grade", "--by", "month", "--csv").rows}
    assert months["2023-08"]["worst"] == "45"
    assert float(months["2023-08"]["trend"]) < 0 < float(months["2023-09"]["trend"])


def test_a_terminal_shows_a_map_of_letters(three_sources: Shell) -> None:
    three_sources.screens = (True, False)
    plain = three_sources.good("grade", "--by", "month", NO_COLOR="1").out
    assert "Jan Feb Mar" in plain
    assert "AAPL 1d  2023  .   .   .   .   .   A" in plain
    assert "\x1b" not in plain
    assert "\x1b[32mA" in three_sources.good("grade", "--by", "month").out
    assert "AAPL" in three_sources.good("grade").out


@pytest.mark.parametrize(("name", "begins"), [("grades.png", b"\x89PNG"), ("grades.svg", b"<?xml")])
def test_the_map_is_drawn_into_a_file(stocked: Shell, name: str, begins: bytes) -> None:
    said = stocked.good("grade", "--plot", name)
    assert f"a heat map of 2 symbols and 1 months is in {name}" in said.err
    assert (stocked.cwd / name).read_bytes().startswith(begins)
    assert stocked.run("grade", "--plot", name).code == 2
    again = (stocked.cwd / name).read_bytes()
    stocked.good("grade", "--plot", name, "--force")
    assert (stocked.cwd / name).read_bytes() == again, "the same grades make the same file"
    assert not list(stocked.cwd.glob(".grades*"))


def test_only_what_is_below_the_letter_is_drawn(stocked: Shell) -> None:
    change(stocked, WORSE)
    assert "a heat map of 1 symbols" in stocked.good("grade", "--below", "C", "--plot", "x.svg").err
    assert "there is nothing to draw" in stocked.good("grade", "--below", "F", "--plot", "y.svg").err
    assert not (stocked.cwd / "y.svg").exists()


def test_of_symbols_that_are_partly_stored_the_others_are_named(stocked: Shell) -> None:
    said = stocked.run("grade", "AAPL", "NVDA", "--csv")
    assert (said.code, [r["symbol"] for r in said.rows]) == (5, ["AAPL"])
    assert "the store has no such bars of NVDA" in said.err


@pytest.mark.parametrize("words", [("NVDA",), ("-i", "1h")])
def test_what_is_not_stored_is_no_data(stocked: Shell, words: tuple[str, ...]) -> None:
    said = stocked.run("grade", *words)
    assert (said.code, said.out) == (12, "")
    assert "mdagent fetch" in said.err


def test_without_a_store_it_is_no_data_and_none_is_made(shell: Shell) -> None:
    said = shell.run("grade")
    assert said.code == 12
    assert "nothing is stored" in said.err
    assert not shell.files()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--below", "G"), "use one of A+, A"),
        (("--by", "year"), "use one of symbol, source, month"),
        (("--plot", "x.gif"), "ends in .png or .svg"),
        (("--history", "--by", "month"), "exclude each other"),
        (("--history", "--plot", "x.png"), "exclude each other"),
        (("--plot", "nowhere/x.png"), "there is no folder"),
        (("-i", "2h"), "is not an interval"),
    ],
)
def test_words_that_mean_nothing_are_refused(stocked: Shell, words: tuple[str, ...], said: str) -> None:
    told = stocked.run("grade", *words)
    assert (told.code, told.out) == (2, "")
    assert said in told.err
