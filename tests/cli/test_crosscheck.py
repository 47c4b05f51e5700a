"""A second opinion on the command line, and markets that crash without being blamed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdagent.wire.sandbox.crises import CRISES
from tests.cli.shell import JANUARY

if TYPE_CHECKING:
    from tests.cli.shell import Shell


def test_further_sources_are_asked_compared_and_written_down(shell: Shell) -> None:
    said, report = shell.fetch("AAPL", *JANUARY, "--cross-check", "2")
    assert said.code == 0
    assert report["requests"] >= 3
    line = report["symbols"][0] if "symbols" in report else report["lines"][0]
    assert line["grade"] == "A+"
    assert {row["grade"] for row in said.rows} == {"A+"}
    told = shell.good("query", "SELECT source, min(agreement) AS least, max(voices) AS voices FROM agreements GROUP BY ALL")
    assert len(told.rows) == 3
    assert {(row["least"], row["voices"]) for row in told.rows} == {("1", "3")}
    modes = shell.good("query", "SELECT letter, mode, count(*) AS n FROM grades GROUP BY ALL ORDER BY 1").rows
    assert modes == [{"letter": "A", "mode": "balanced", "n": "3"}, {"letter": "A+", "mode": "balanced", "n": "3"}]


def test_shares_as_traded_are_not_held_against_shares_of_today(shell: Shell) -> None:
    window = ("--start", "2012-01-03", "--end", "2012-06-29")  # before two splits, of which Finnhub's volumes know nothing
    for source in ("finnhub", "yahoo", "twelvedata"):
        shell.good("fetch", "AAPL", *window, "--source", source)
    shell.good("fetch", "AAPL", *window, "--cross-check", "3")
    assert "volume_scale" not in shell.good("query", "SELECT type FROM findings").out


def test_what_was_compared_once_is_not_asked_for_again(shell: Shell) -> None:
    shell.fetch("AAPL", *JANUARY, "--cross-check", "1")
    said, report = shell.fetch("AAPL", *JANUARY, "--cross-check", "1")
    assert (said.code, report["requests"]) == (0, 0)


def test_a_named_source_is_compared_with_no_other_and_that_is_said(shell: Shell) -> None:
    said = shell.run("fetch", "AAPL", *JANUARY, "--source", "yahoo", "--cross-check", "1")
    assert said.code == 0
    assert "no further source could be compared with yahoo" in said.err


def test_a_mode_is_heard_and_kept_with_the_grade(shell: Shell) -> None:
    shell.good("fetch", "AAPL", *JANUARY, "--mode", "emergency")
    assert shell.good("query", "SELECT mode FROM grades").rows == [{"mode": "emergency"}]
    told = shell.good("query", "SELECT skipped FROM grades").out
    assert "ticks: the mode emergency looks for no anomalies" in told


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--mode", "harsh"), "'harsh' is not a mode"),
        (("--min-grade", "E"), "'E' is not a grade"),
        (("--cross-check", "9"), "cross-check"),
    ],
)
def test_what_is_no_mode_grade_or_number_is_refused_before_anything_is_sent(shell: Shell, words: tuple[str, ...], wrong: str) -> None:
    said = shell.run("fetch", "AAPL", *JANUARY, *words)
    assert said.code == 2
    assert wrong in said.err
    assert said.out == ""


@pytest.mark.parametrize("symbol", CRISES)
def test_a_market_that_crashes_or_halts_has_an_a(shell: Shell, symbol: str) -> None:
    crisis = CRISES[symbol]
    year = int(crisis.start[:4])
    window = ("--start", f"{year - 2}-01-02", "--end", f"{year + 2}-12-31")
    for source in ("yahoo", "tiingo", "polygon"):
        said, report = shell.fetch(symbol, *window, "--source", source)
        line = report["symbols"][0] if "symbols" in report else report["lines"][0]
        assert (said.code, line["grade"]) == (0, "A"), (source, line["findings"])
        assert {row["grade"] for row in said.rows} == {"A"}
