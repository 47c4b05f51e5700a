"""`mdagent gaps`: is all there that ought to be, and why is what is not?"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.shell import JANUARY
from tests.cli.three import HALF, change

if TYPE_CHECKING:
    from tests.cli.shell import Shell

YEAR = ("--start", "2023-12-28")


def lose(shell: Shell, day: str) -> None:
    change(shell, f"DELETE FROM bars WHERE symbol = 'AAPL' AND ts = '{day}'")


def ask_too(shell: Shell, source: str, start: str, end: str, reason: str = "complete") -> None:
    words = f"'AAPL', '1d', '{source}', 'splits', '{start}', '{end}', '{reason}', NULL, '2024-02-05 22:00'"
    change(shell, f"INSERT INTO coverage VALUES ({words})")


def attempt(shell: Shell, source: str, kind: str) -> None:
    with sqlite3.connect(shell.home / "ledger.db") as db:
        db.execute(
            "INSERT INTO attempts (at, source, account, endpoint, host, run, subject, cost, state, kind, interval)"
            " VALUES (1707170400000000, ?, ?, 'bars', 'h', 'r', 'AAPL', 1, 'settled', ?, '1d')",
            (source, source, kind),
        )
    db.close()


def reasons(shell: Shell, *words: str) -> dict[str, tuple[Any, ...]]:
    """By first stamp: last stamp, reason, is it a fault, and the sources."""
    (told,) = shell.run("gaps", *words, "--json").json
    return {a["first"]: (a["last"], a["reason"], a["fault"], a["sources"]) for a in told["absences"]}


def spoil(shell: Shell) -> None:
    """An absence of every kind that the store itself can tell."""
    for day in ("2024-01-03", "2024-01-04", "2024-01-05", "2024-01-17", "2024-01-22", "2024-01-23", "2024-01-25"):
        lose(shell, day)
    ask_too(shell, "tiingo", "2024-01-04", "2024-01-05")
    change(
        shell,
        "INSERT INTO quarantine VALUES ('AAPL', '1d', '2024-01-05', 'yahoo', 'splits', 'ohlc', 'high below low', '{}', '2024-02-05', 1)",
    )
    shell.good("override", "AAPL", "2024-01-08", "--reject", "--reason", "a misprint", "--by", "ann")
    change(
        shell,
        "INSERT INTO findings SELECT max(batch), 'AAPL', '1d', 'yahoo', 'gaps', 'info', '2024-01-17', '2024-01-18', 1, NULL, NULL,"
        " 'as when nobody traded', 'missing_rows', NULL FROM grades",
    )
    change(shell, "DELETE FROM coverage WHERE symbol = 'AAPL' AND interval = '1d' AND source = 'yahoo'")
    ask_too(shell, "yahoo", "2023-12-28", "2024-01-22")
    ask_too(shell, "yahoo", "2024-01-24", "2024-01-25")
    ask_too(shell, "yahoo", "2024-01-25", "2024-01-26", "null bar at source")
    ask_too(shell, "yahoo", "2024-01-26", "2024-02-02")
    ask_too(shell, "yahoo", "2024-02-02", "2024-02-03", "pending")
    change(shell, "UPDATE instruments SET first_trade = '2024-01-02' WHERE symbol = 'AAPL'")


def test_what_is_complete_is_certified(stocked: Shell) -> None:
    said = stocked.good("gaps", "--json")
    assert [(c["symbol"], c["expected"], c["present"], c["missing"], c["complete"]) for c in said.json] == [
        ("AAPL", 21, 21, 0, True),
        ("MSFT", 21, 21, 0, True),
    ]
    assert said.json[0] | {"absences": []} == said.json[0]
    assert (said.json[0]["calendar"], said.json[0]["start"], said.json[0]["end"]) == (
        "XNYS",
        "2024-01-02T00:00:00Z",
        "2024-02-01T00:00:00Z",
    )
    assert "AAPL 1d, 2024-01-02 to 2024-02-01: complete, 21 of 21 bars are there" in said.err


def test_every_absence_has_its_true_reason(stocked: Shell) -> None:
    spoil(stocked)
    assert reasons(stocked, "AAPL", *YEAR) == {
        "2023-12-28": ("2023-12-29", "not yet listed", False, ["yahoo"]),
        "2024-01-01": ("2024-01-01", "holiday", False, []),
        "2024-01-03": ("2024-01-03", "provider gap", True, ["yahoo"]),
        "2024-01-04": ("2024-01-04", "provider gap", True, ["tiingo", "yahoo"]),
        "2024-01-05": ("2024-01-05", "quarantined", True, ["yahoo"]),
        "2024-01-08": ("2024-01-08", "rejected by a person", False, ["yahoo"]),
        "2024-01-15": ("2024-01-15", "holiday", False, []),
        "2024-01-17": ("2024-01-17", "not traded", False, ["yahoo"]),
        "2024-01-22": ("2024-01-23", "never asked", True, []),
        "2024-01-25": ("2024-01-25", "null bar at source", True, ["yahoo"]),
        "2024-02-01": ("2024-02-01", "provider gap", True, ["yahoo"]),
        "2024-02-02": ("2024-02-02", "asked too early", True, []),
        "2024-02-05": ("2024-02-05", "never asked", True, []),
        "2024-02-06": ("2024-02-06", "pending", False, []),
    }


def test_a_gap_tells_how_many_sources_confirm_it_and_a_decision_who_made_it(stocked: Shell) -> None:
    spoil(stocked)
    said = stocked.run("gaps", "AAPL", *YEAR, "--csv")
    assert said.code == 5
    details = {row["first"]: row["detail"] for row in said.rows}
    assert details["2024-01-03"] == "confirmed by 1 source"
    assert details["2024-01-04"] == "confirmed by 2 sources"
    assert details["2024-01-05"] == "high below low (ohlc)"
    assert details["2024-01-08"] == "rejected by ann (override 1): a misprint"
    assert "mdagent: AAPL 1d, 2023-12-28 to 2024-02-07: 9 missing, 13 of 27 bars are there (2 not yet listed, 3 provider gap" in said.err


def test_a_halt_that_a_fetch_found_is_no_fault(shell: Shell) -> None:
    shell.good("fetch", "HALTED", "--start", "2020-06-01", "--end", "2021-07-01", "--source", "yahoo")
    said = shell.good("gaps", "HALTED", "--json")
    assert [(a["first"], a["last"], a["bars"], a["reason"]) for a in said.json[0]["absences"]] == [
        ("2021-03-08", "2021-03-12", 5, "not traded")
    ]


def test_neighbours_of_which_each_has_a_story_of_its_own_are_no_run(stocked: Shell) -> None:
    for day, why in (("2024-01-09", "one"), ("2024-01-10", "one"), ("2024-01-11", "two")):
        stocked.good("override", "AAPL", day, "--reject", "--reason", why, "--by", "ann")
    rows = stocked.good("gaps", "AAPL", "--csv").rows
    assert [(r["first"], r["detail"].rpartition(" ")[2]) for r in rows] == [
        ("2024-01-09", "one"),
        ("2024-01-10", "one"),
        ("2024-01-11", "two"),
    ]


def test_a_source_that_refused_is_named_where_nobody_was_asked(stocked: Shell) -> None:
    attempt(stocked, "tiingo", "RATE_LIMITED")
    (told,) = stocked.run("gaps", "AAPL", "--start", "2024-01-29", "--json").json
    assert [(a["first"], a["reason"], a["detail"]) for a in told["absences"]] == [
        ("2024-02-01", "refused", "tiingo said RATE_LIMITED at 2024-02-05 22:00Z"),
        ("2024-02-06", "pending", ""),
    ]
    assert reasons(stocked, "AAPL", "--start", "2024-01-29", "--source", "yahoo")["2024-02-01"][1] == "never asked"


def test_what_its_source_does_not_know_any_more_is_delisted(stocked: Shell) -> None:
    attempt(stocked, "yahoo", "UNKNOWN_SYMBOL")
    (told,) = stocked.good("gaps", "AAPL", "--start", "2024-01-29", "--json").json
    assert [(a["first"], a["last"], a["reason"]) for a in told["absences"]] == [
        ("2024-02-01", "2024-02-05", "delisted"),
        ("2024-02-06", "2024-02-06", "pending"),
    ]
    assert told["absences"][0]["detail"] == "yahoo said UNKNOWN_SYMBOL at 2024-02-05 22:00Z"


def test_many_days_without_a_bar_at_two_sources_are_a_delisting_at_one_a_gap(three_sources: Shell) -> None:
    change(three_sources, "DELETE FROM bars WHERE ts >= '2023-10-16'")
    assert reasons(three_sources, "AAPL", *HALF)["2023-10-16"][1:3] == ("delisted", False)
    change(three_sources, "DELETE FROM coverage WHERE source <> 'yahoo' AND interval = '1d'")
    assert reasons(three_sources, "AAPL", *HALF)["2023-10-16"][1:] == ("provider gap", True, ["yahoo"])


def test_a_series_that_begins_late_was_not_listed_where_its_source_does_not_tell(three_sources: Shell) -> None:
    change(three_sources, "DELETE FROM bars WHERE ts < '2023-07-20'; UPDATE instruments SET first_trade = NULL")
    said = three_sources.good("gaps", "AAPL", *HALF[2:], "--json")
    first = said.json[0]["absences"][0]
    assert (first["first"], first["last"], first["reason"]) == ("2023-06-01", "2023-07-19", "not yet listed")


def test_a_bar_of_any_source_is_there(three_sources: Shell) -> None:
    change(three_sources, "DELETE FROM bars WHERE source = 'yahoo' AND ts = '2023-08-08'")
    assert three_sources.good("gaps", "AAPL", *HALF).out.count("holiday") == 4
    assert list(reasons(three_sources, "AAPL", "--source", "yahoo")) == ["2023-08-08"]


def test_what_cannot_be_brought_to_a_basis_is_not_there_on_it(stocked: Shell) -> None:
    assert stocked.good("gaps", "AAPL", "--adjust", "splits", "--json").json[0]["present"] == 21
    said = stocked.run("gaps", "AAPL", "--adjust", "raw", "--json")
    (only,) = said.json[0]["absences"]
    assert (said.code, only["bars"], only["reason"], only["fault"]) == (5, 21, "not convertible", True)
    assert "mdagent fetch AAPL --interval 1d --start 2024-01-02 --adjust raw" in said.err
    assert only["detail"].startswith("yahoo: it has splits prices, and its splits are known only to 2024-02-01")


@pytest.mark.parametrize(("day", "reason"), [("2024-01-15", "holiday"), ("2024-01-13", "no session")])
def test_a_day_without_a_session_says_so(stocked: Shell, day: str, reason: str) -> None:
    after = f"{day[:-2]}{int(day[-2:]) + 1}"
    said = stocked.good("gaps", "AAPL", "--start", day, "--end", after, "--json")
    assert (said.json[0]["expected"], said.json[0]["absences"][0]["reason"]) == (0, reason)


def test_days_that_the_calendar_does_not_know_are_no_success(stocked: Shell) -> None:
    change(stocked, "DELETE FROM sessions WHERE day >= '2023-12-01'")
    said = stocked.run("gaps", "AAPL", "--start", "2023-11-01", "--source", "yahoo", "--json")
    assert said.code == 5
    assert said.json[0]["absences"][-1]["reason"] == "calendar not known"


def test_without_a_calendar_nothing_is_known_to_be_missing_and_that_is_no_success(stocked: Shell) -> None:
    change(stocked, "UPDATE bars SET symbol = '^XYZ'; UPDATE coverage SET symbol = '^XYZ'")
    said = stocked.run("gaps", "--json")
    assert said.code == 5
    assert (said.json[0]["expected"], said.json[0]["complete"]) == (None, None)
    assert "its trading calendar is not" in said.err


def test_minutes_are_held_against_the_session(shell: Shell) -> None:
    shell.good("fetch", "AAPL", "-i", "1m", "--start", "2024-02-01", "--end", "2024-02-03")
    change(shell, "DELETE FROM bars WHERE ts >= '2024-02-01 15:00' AND ts < '2024-02-01 15:45'")
    (told,) = shell.run("gaps", "-i", "1m", "--json").json
    assert told["expected"] == 780
    assert told["present"] == 735
    assert [(a["first"], a["last"], a["bars"], a["reason"]) for a in told["absences"]] == [
        ("2024-02-01T15:00:00Z", "2024-02-01T15:44:00Z", 45, "provider gap")
    ]


@pytest.mark.parametrize(("interval", "expected"), [("1w", 5), ("1mo", 1)])
def test_weeks_and_months_are_counted_too(shell: Shell, interval: str, expected: int) -> None:
    shell.good("fetch", "AAPL", "-i", interval, "--start", "2024-01-01", "--end", "2024-02-01")
    (told,) = shell.good("gaps", "-i", interval, "--json").json
    assert (told["expected"], told["present"], told["complete"]) == (expected, expected, True)


def test_on_a_terminal_each_symbol_is_a_table(stocked: Shell) -> None:
    spoil(stocked)
    stocked.screens = (True, True)
    said = stocked.run("gaps")
    assert said.code == 5
    assert "MSFT 1d, 2024-01-02 to 2024-02-01: complete, 21 of 21 bars are there" in said.out
    assert "provider gap" in said.out
    assert "1 of 2 symbols are not complete" in said.err
    assert "another source may have it: mdagent fetch AAPL --interval 1d --start 2024-01-03 --source NAME" in said.err


def test_what_lacks_nothing_is_one_row_of_the_csv(stocked: Shell) -> None:
    rows = stocked.good("gaps", "--csv").rows
    assert [(r["symbol"], r["expected"], r["present"], r["bars"], r["reason"], r["fault"]) for r in rows] == [
        ("AAPL", "21", "21", "0", "", "false"),
        ("MSFT", "21", "21", "0", "", "false"),
    ]


def test_a_symbol_that_was_asked_for_and_has_no_bar_lacks_all(stocked: Shell) -> None:
    change(stocked, "DELETE FROM bars WHERE symbol = 'AAPL'")
    said = stocked.run("gaps", "AAPL", "--json")
    assert (said.code, said.json[0]["present"], said.json[0]["missing"]) == (5, 0, 21)


def test_nothing_stored_is_no_data(shell: Shell, stocked: Shell) -> None:
    assert stocked.run("gaps", "NVDA").code == 12
    assert "the store has no 1h bars of AAPL" in stocked.run("gaps", "AAPL", "-i", "1h").err
    assert stocked.run("gaps", "-i", "1h").code == 12
    some = stocked.run("gaps", "AAPL", "NVDA", "--json")
    assert (some.code, len(some.json)) == (5, 1)
    assert "the store has no 1d bars of NVDA" in some.err


def test_no_store_is_no_data_and_none_is_made(shell: Shell) -> None:
    said = shell.run("gaps")
    assert said.code == 12
    assert "fetch something first" in said.err
    assert not shell.files()


def test_a_word_that_is_wrong_is_usage(stocked: Shell) -> None:
    assert stocked.run("gaps", "--adjust", "half").code == 2
    assert stocked.run("gaps", "--source", "yaho").code == 2
    assert stocked.run("gaps", *JANUARY[2:], "--period", "max", "--format", "parquet").code == 2


def test_nobody_is_asked_and_nothing_is_written(stocked: Shell) -> None:
    before = stocked.good("sources", "log", "--csv").out
    rows = change(stocked, "SELECT count(*) FROM journal")
    stocked.run("gaps", "AAPL", *YEAR)
    assert stocked.good("sources", "log", "--csv").out == before
    assert change(stocked, "SELECT count(*) FROM journal") == rows
