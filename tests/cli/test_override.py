"""`mdagent override`: a person's decision on a bar, which outlives every fetch until it is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.shell import JANUARY
from tests.cli.three import HALF, spike

if TYPE_CHECKING:
    from tests.cli.shell import Shell

BAR = ("AAPL", "2024-01-03")
REJECT = (*BAR, "--reject", "--reason", "misprint", "--by", "ann")


def days(shell: Shell, *words: str) -> list[str]:
    return [r["ts"] for r in shell.good("export", "AAPL", *words).rows]


def test_a_rejected_bar_comes_out_nowhere_and_stays_in_the_table(stocked: Shell) -> None:
    stocked.good("override", *REJECT)
    assert "2024-01-03" not in days(stocked)
    fetched = stocked.good("fetch", "AAPL", *JANUARY)
    assert "2024-01-03" not in [r["ts"] for r in fetched.rows]
    assert "20 bars from yahoo" in fetched.err
    assert "1 bar was rejected by a person (mdagent override --list)" in fetched.err
    assert "0 requests sent" in fetched.err
    count = "SELECT count(*) n FROM {} WHERE symbol = 'AAPL' AND ts = '2024-01-03'"
    assert stocked.good("query", count.format("bars")).rows == [{"n": "1"}]
    assert stocked.good("query", count.format("consolidated")).rows == [{"n": "0"}]
    (row,) = stocked.good("grade", "AAPL", "--csv").rows
    assert row["bars"] == "20"


def test_it_survives_a_fetch_that_brings_the_bar_again(stocked: Shell) -> None:
    stocked.good("override", *REJECT)
    stocked.good("fetch", "AAPL", *JANUARY, "--refresh")
    assert "2024-01-03" not in days(stocked)
    stocked.good("fetch", "AAPL", *JANUARY, "--source", "tiingo")
    assert "2024-01-03" not in days(stocked), "without --source the decision is about whoever tells the bar"


def test_of_one_source_alone_another_takes_its_place(three_sources: Shell) -> None:
    (first,) = three_sources.good("export", "AAPL", "--start", "2023-08-08", "--end", "2023-08-09").rows
    three_sources.good("override", "AAPL", "2023-08-08", "--reject", "--source", first["source"], "--reason", "x")
    (then,) = three_sources.good("export", "AAPL", "--start", "2023-08-08", "--end", "2023-08-09").rows
    assert then["source"] != first["source"]
    compared = three_sources.good("compare", "AAPL", *HALF, "--stored", "--csv").rows
    assert [r["ts"] for r in compared if not r[first["source"]]] == ["2023-08-08"]


def test_an_export_as_of_a_time_before_the_decision_has_the_bar(stocked: Shell) -> None:
    stocked.clock.pause(1)
    before = f"{stocked.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    stocked.clock.pause(3600)
    stocked.good("override", *REJECT)
    assert "2024-01-03" in days(stocked, "--as-of", before)
    assert "2024-01-03" not in days(stocked, "--as-of", f"{stocked.clock.now():%Y-%m-%dT%H:%M:%SZ}")


def test_undone_it_is_as_before_and_still_on_record(stocked: Shell) -> None:
    before = stocked.good("export", "AAPL").out
    stocked.good("override", *REJECT)
    stocked.clock.pause(60)
    (row,) = stocked.good("override", "--undo", "1", "--csv").rows
    assert row["undone_at"] == "2024-02-05T22:01:00Z"
    assert stocked.good("export", "AAPL").out == before
    (listed,) = stocked.good("override", "--list", "--json").json
    assert (listed["who"], listed["reason"], listed["decided_at"]) == ("ann", "misprint", "2024-02-05T22:00:00Z")
    assert listed["undone_at"] == "2024-02-05T22:01:00Z"


def test_an_accepted_bar_is_no_longer_held_down(three_sources: Shell) -> None:
    spike(three_sources)
    window = ("--start", "2023-08-08", "--end", "2023-08-09", "--source", "yahoo")
    assert three_sources.good("export", "AAPL", *window).rows[0]["score"] == "45"
    three_sources.good("override", "AAPL", "2023-08-08", "--accept", "--source", "yahoo", "--reason", "the jump was real", "--by", "ann")
    (row,) = three_sources.good("export", "AAPL", *window).rows
    assert (row["score"], row["grade"], row["source"]) == ("90", "A-", "yahoo")
    assert "accepted by ann (override 1)" in three_sources.good("explain", "AAPL", "2023-08-08").out
    said = three_sources.good("repair", "AAPL", "--csv")
    assert [r["status"] for r in said.rows if r["ts"] == "2023-08-08"] == ["accepted"]


def test_the_last_decision_on_a_bar_holds(stocked: Shell) -> None:
    stocked.good("override", *REJECT)
    stocked.good("override", *BAR, "--accept", "--source", "yahoo", "--reason", "no, it is right")
    assert "2024-01-03" in days(stocked)
    stocked.good("override", "--undo", "2")
    assert "2024-01-03" not in days(stocked), "and when it is undone the one before it does"


def test_the_same_decision_twice_is_one(stocked: Shell) -> None:
    stocked.good("override", *REJECT)
    said = stocked.good("override", *REJECT)
    assert "already rejected" in said.err
    assert len(stocked.good("override", "--list", "--csv").rows) == 1


def test_an_intraday_bar_is_named_by_its_time(stocked: Shell) -> None:
    stocked.good("fetch", "AAPL", "-i", "1h", "--start", "2024-02-01", "--end", "2024-02-02")
    (row,) = stocked.good("override", "AAPL", "2024-02-01T15:45:00Z", "--reject", "--reason", "x", "-i", "1h", "--csv").rows
    assert row["ts"] == "2024-02-01T15:30:00Z"
    assert "2024-02-01T15:30:00Z" not in days(stocked, "-i", "1h")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((*BAR, "--reject"), 2, "add --reason TEXT"),
        ((*BAR, "--reject", "--reason", "  "), 2, "add --reason TEXT"),
        ((*BAR, "--reject", "--reason", "x" * 501), 2, "say it in 500"),
        ((*BAR, "--reason", "x"), 2, "say one of --accept, --reject, --list and --undo NUMBER"),
        ((*BAR, "--accept", "--reject", "--reason", "x"), 2, "exclude each other"),
        (("AAPL", "--reject", "--reason", "x"), 2, "no bar is named"),
        (("AAPL", "soon", "--reject", "--reason", "x"), 2, "is not a date"),
        ((*BAR, "--reject", "--reason", "x", "--source", "tiingo"), 2, "use one of yahoo"),
        ((*BAR, "--reject", "--reason", "x", "--by", " "), 2, "--by names nobody"),
        (("--undo", "7"), 2, "there is no override 7"),
        (("AAPL", "2024-01-01", "--reject", "--reason", "x"), 12, "no trading day of XNYS"),
        (("NVDA", "2024-01-03", "--reject", "--reason", "x"), 12, "no source was asked for it yet"),
    ],
)
def test_what_cannot_be_decided_is_refused_with_the_next_step(stocked: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    told = stocked.run("override", *words)
    assert (told.code, told.out) == (code, "")
    assert said in told.err
    assert stocked.good("override", "--list", "--csv").rows == []


def test_what_was_undone_cannot_be_undone_again(stocked: Shell) -> None:
    stocked.good("override", *REJECT)
    stocked.good("override", "--undo", "1")
    told = stocked.run("override", "--undo", "1")
    assert told.code == 2
    assert "override 1 was undone at 2024-02-05 22:00:00Z" in told.err


def test_without_a_store_there_is_nothing_to_decide_and_none_is_made(shell: Shell) -> None:
    told = shell.run("override", *REJECT)
    assert told.code == 12
    assert "nothing is stored" in told.err
    assert not shell.files()


def test_when_all_of_a_window_is_rejected_it_says_so(stocked: Shell) -> None:
    stocked.good("override", *REJECT)
    said = stocked.run("fetch", "AAPL", "--start", "2024-01-03", "--end", "2024-01-04")
    assert said.code == 12
    assert "but 1 that were rejected" in said.err


def test_who_decides_is_the_user_where_nobody_is_named(stocked: Shell) -> None:
    (row,) = stocked.run("override", *BAR, "--reject", "--reason", "x", "--csv", USER="bob").rows
    assert row["who"] == "bob"
    (other,) = stocked.run("override", "AAPL", "2024-01-04", "--reject", "--reason", "x", "--csv").rows
    assert other["who"]
