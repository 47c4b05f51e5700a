"""`mdagent fetch`: bars from the store where it has them, else fetched, checked, graded and stored."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from mdagent.sources import NAMES
from tests.cli.shell import HEADER, JANUARY, NOW

if TYPE_CHECKING:
    from tests.cli.shell import Shell

SESSIONS = 21


# The main job


def test_two_symbols_have_21_sessions_each_in_exactly_the_frozen_columns(shell: Shell) -> None:
    said = shell.good("fetch", "AAPL", "MSFT", *JANUARY, "--csv")
    assert said.out.splitlines()[0] == HEADER
    rows = said.rows
    assert [r["symbol"] for r in rows] == ["AAPL"] * SESSIONS + ["MSFT"] * SESSIONS
    assert (rows[0]["ts"], rows[SESSIONS - 1]["ts"]) == ("2024-01-02", "2024-01-31")
    assert "2024-01-15" not in {r["ts"] for r in rows}, "Martin Luther King day"
    assert {(r["interval"], r["source"], r["adjustment"], r["currency"], r["provisional"]) for r in rows} == {
        ("1d", "yahoo", "splits", "USD", "false")
    }
    assert all(float(r["low"]) <= float(r["close"]) <= float(r["high"]) and float(r["volume"]) > 0 for r in rows)
    assert {(r["grade"], r["score"]) for r in rows} == {("A", "96")}


def test_the_same_again_gives_the_same_bytes_without_a_request(shell: Shell) -> None:
    first, told = shell.fetch("AAPL", "MSFT", *JANUARY, "--csv")
    again, report = shell.fetch("AAPL", "MSFT", *JANUARY, "--csv")
    assert (told["requests"], report["requests"]) == (2, 0)
    assert again.out == first.out
    assert again.code == first.code == 0
    told = {"source": "yahoo", "chosen": True, "reasons": ["the store has it"], "arithmetic": []}
    assert [s["considered"] for s in report["symbols"]] == [[told]] * 2


def test_standard_output_holds_data_and_nothing_else(shell: Shell) -> None:
    said = shell.good("fetch", "AAPL", *JANUARY, "--csv", "--explain", "-v")
    assert len(said.out.splitlines()) == 1 + SESSIONS
    assert "AAPL 1d: 21 bars from yahoo, grade A (96.0), 1 request" in said.err
    assert "1 request sent" in said.err
    assert "sandbox: these prices are synthetic" in said.err


def test_quiet_says_nothing_but_data_and_errors(stocked: Shell) -> None:
    said = stocked.good("fetch", "AAPL", *JANUARY, "-q")
    assert said.err == ""
    assert len(said.rows) == SESSIONS
    bad = stocked.run("fetch", "NOSUCH", *JANUARY, "-q")
    assert bad.code == 13
    assert bad.err.startswith("mdagent: NOSUCH: ")


def test_progress_of_several_symbols_goes_to_standard_error(shell: Shell) -> None:
    said = shell.good("fetch", "AAPL", "MSFT", *JANUARY)
    assert "1/2 " in said.err
    assert "2/2 " in said.err
    assert "/2 " not in said.out


# Which symbols


def test_a_symbol_named_twice_is_fetched_once(shell: Shell) -> None:
    said, report = shell.fetch("AAPL", "aapl", "AAPL,MSFT", *JANUARY)
    assert report["requests"] == 2
    assert [s["symbol"] for s in report["symbols"]] == ["AAPL", "MSFT"]
    assert len(said.rows) == 2 * SESSIONS


def test_both_spellings_of_a_share_class_are_one_symbol(shell: Shell) -> None:
    said, report = shell.fetch("BRK.B", "BRK-B", *JANUARY)
    assert report["requests"] == 1
    assert {r["symbol"] for r in said.rows} == {"BRK.B"}


def test_a_dash_reads_symbols_from_standard_input(stocked: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO("# mine\nAAPL\n\n  msft, AAPL  # both\n"))
    assert {r["symbol"] for r in stocked.good("fetch", "-", *JANUARY).rows} == {"AAPL", "MSFT"}


def test_an_at_sign_reads_symbols_from_a_file(stocked: Shell) -> None:
    (stocked.cwd / "symbols.txt").write_text("AAPL\nMSFT\n", "utf-8")
    assert len(stocked.good("fetch", "@symbols.txt", *JANUARY).rows) == 2 * SESSIONS
    missing = stocked.run("fetch", "@nowhere.txt")
    assert (missing.code, missing.out) == (2, "")
    assert "nowhere.txt cannot be read" in missing.err


def test_symbols_of_other_exchanges_keep_their_currency_and_calendar(shell: Shell) -> None:
    said = shell.good("fetch", "IBE.MC", "EUR/USD", "--start", "2024-01-02", "--end", "2024-01-09")
    assert {(r["symbol"], r["currency"]) for r in said.rows} == {("IBE.MC", "EUR"), ("EUR/USD", "USD")}
    assert [r["ts"] for r in said.rows if r["symbol"] == "IBE.MC"][-1] == "2024-01-08"


# A symbol that nobody knows


def test_an_unknown_symbol_is_told_once_and_remembered(shell: Shell) -> None:
    said, report = shell.fetch("NOSUCH", *JANUARY, "--source", "yahoo")
    assert (said.code, said.out) == (13, HEADER + "\n")
    assert report["requests"] == 1
    assert (report["exit_code"], report["symbols"][0]["failure"]["kind"]) == (13, "UNKNOWN_SYMBOL")
    assert "mdagent search NAME" in said.err
    again, report = shell.fetch("NOSUCH", *JANUARY, "--source", "yahoo")
    assert (again.code, report["requests"]) == (13, 0)
    assert "asked again from 2024-02-06 22:00Z, or with --refresh" in again.err
    refreshed, report = shell.fetch("NOSUCH", *JANUARY, "--source", "yahoo", "--refresh")
    assert (refreshed.code, report["requests"]) == (13, 1)


def test_what_one_source_does_not_know_the_others_are_asked_for(shell: Shell) -> None:
    said, report = shell.fetch("NOSUCH", *JANUARY)
    assert said.code == 13
    asked = [told["source"] for told in report["symbols"][0]["considered"]]
    assert set(asked) == set(NAMES)
    assert asked[0] == "yahoo", "a source without a key comes first"
    assert "Yahoo does not know this symbol" in said.err


def test_symbols_share_no_request_that_costs_more_than_the_quota_of_the_settings(shell: Shell) -> None:
    shell.environ["MDAGENT_SOURCES__TWELVEDATA__LIMITS"] = "[{limit: 1, per: 1h}]"
    words = ("--start", "2023-01-02", "--end", "2023-01-05", "--source", "twelvedata", "--adjust", "raw")
    said, report = shell.fetch("AAPL", "MSFT", *words)
    assert said.code == 5
    assert len(said.rows) == 2
    assert [told["requests"] for told in report["symbols"]] == [1, 0]
    assert "waiting" not in said.err
    assert "the quota of 1 per 1h is spent; free again at 2024-02-05 23:01:12Z" in said.err


def test_what_the_quota_can_never_pay_is_told_as_that_and_not_waited_for(shell: Shell) -> None:
    shell.environ["MDAGENT_SOURCES__TWELVEDATA__LIMITS"] = "[{limit: 10, per: 1m}]"
    said = shell.run("fetch", "AAPL", "--start", "2020-01-02", "--end", "2020-01-05", "--source", "twelvedata", "--adjust", "splits")
    assert said.code == 5
    assert "a request of 20 credits is more than the quota of 10 per 1m ever allows" in said.err
    assert "waiting" not in said.err
    assert shell.clock.now() - NOW < timedelta(seconds=10)


def test_one_bad_symbol_among_good_ones_is_partly_served(stocked: Shell) -> None:
    said = stocked.run("fetch", "AAPL", "NOSUCH", "MSFT", *JANUARY)
    assert said.code == 5
    assert len(said.rows) == 2 * SESSIONS
    assert "NOSUCH 1d: nothing (UNKNOWN_SYMBOL)" in said.err


# Windows


def test_without_a_window_a_year_of_days_is_fetched(shell: Shell) -> None:
    rows = shell.good("fetch", "AAPL").rows
    assert (rows[0]["ts"], rows[-1]["ts"]) == ("2023-02-06", "2024-02-05")


def test_an_end_in_the_future_is_taken_as_now_and_said(shell: Shell) -> None:
    said = shell.good("fetch", "AAPL", "--start", "2024-02-01", "--end", "2999-01-01")
    assert "the end 2999-01-01 lies in the future: taken as now" in said.err
    assert said.rows[-1]["ts"] == "2024-02-05"


def test_a_window_without_a_session_is_no_data(shell: Shell) -> None:
    said, report = shell.fetch("AAPL", "--start", "2024-01-13", "--end", "2024-01-16", "--source", "yahoo")
    assert (said.code, report["requests"], said.out) == (12, 0, HEADER + "\n")


@pytest.mark.parametrize(
    "words",
    [
        ("--start", "2024-02-01", "--end", "2024-01-01"),
        ("--start", "2024-02-30"),
        ("--start", "2030-01-01"),
        ("--start", "2024-01-01", "--period", "1y"),
        ("--period", "1q"),
        ("--period", "0d"),
        ("--interval", "2h"),
        ("--adjust", "net"),
        ("--source", "yaho"),
        ("--format", "xml"),
        ("--json", "--csv"),
        ("--format", "parquet"),
        ("-o", "no/such/folder/x.csv"),
        ("-o", "."),
        ("--report", "no/such/folder/x.json"),
    ],
)
def test_a_wrong_word_is_told_before_anything_is_spent(shell: Shell, words: tuple[str, ...]) -> None:
    said = shell.run("fetch", "AAPL", *words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("mdagent: ")
    assert "  → " in said.err
    assert not shell.files()


def test_weeks_and_months_carry_their_first_day(shell: Shell) -> None:
    weeks = shell.good("fetch", "AAPL", "-i", "1w", "--start", "2024-01-01").rows
    assert [r["ts"] for r in weeks] == ["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-22", "2024-01-29", "2024-02-05"]
    months = shell.good("fetch", "AAPL", "-i", "1mo", "--start", "2023-12-15").rows
    assert [(r["ts"], r["provisional"]) for r in months] == [("2024-01-01", "false"), ("2024-02-01", "true")]


# Bars in progress


def test_the_bar_of_an_open_session_is_provisional_re_asked_after_a_minute_and_becomes_final(shell: Shell) -> None:
    window = ("AAPL", "--start", "2024-02-01")
    shell.clock.set(datetime(2024, 2, 5, 17, 0, tzinfo=UTC))
    first, report = shell.fetch(*window)
    assert (first.rows[-1]["provisional"], first.rows[-1]["grade"], report["requests"]) == ("true", "B+", 1)
    assert "1 provisional" in first.err
    at_once, report = shell.fetch(*window)
    assert (at_once.out, report["requests"]) == (first.out, 0)
    shell.clock.pause(60.0)
    minute_later, report = shell.fetch(*window)
    assert (minute_later.rows[-1]["provisional"], report["requests"]) == ("true", 1)
    assert minute_later.rows[-1]["volume"] != first.rows[-1]["volume"]
    assert minute_later.rows[:-1] == first.rows[:-1]
    shell.clock.set(datetime(2024, 2, 5, 21, 21, tzinfo=UTC))
    final, report = shell.fetch(*window)
    assert (final.rows[-1]["provisional"], final.rows[-1]["grade"], report["requests"]) == ("false", "A", 1)
    shell.clock.pause(86400.0)
    later, report = shell.fetch("AAPL", "--start", "2024-02-01", "--end", "2024-02-06")
    assert (later.out, report["requests"]) == (final.out, 0)
    assert shell.good("query", "SELECT count(*) AS n FROM revisions").rows == [{"n": "0"}]


# Minutes


def test_ten_days_of_minutes_are_asked_for_in_two_legal_pieces(shell: Shell) -> None:
    said, report = shell.fetch("AAPL", "-i", "1m", "--start", "2024-01-22", "--end", "2024-02-01")
    assert (said.code, report["requests"]) == (0, 2)
    assert len(said.rows) == 8 * 390
    assert (said.rows[0]["ts"], said.rows[-1]["ts"]) == ("2024-01-22T14:30:00Z", "2024-01-31T20:59:00Z")


def test_minutes_older_than_thirty_days_are_clipped_and_said_each_time(shell: Shell) -> None:
    for requests in (1, 0):
        said, report = shell.fetch("AAPL", "-i", "1m", "--start", "2023-12-20", "--end", "2024-01-10")
        assert (said.code, report["requests"]) == (5, requests)
        assert said.rows[0]["ts"] == "2024-01-08T14:30:00Z"
        assert "yahoo keeps 1m bars for 30 days; before 2024-01-06 it has none" in said.err
        assert report["symbols"][0]["cut"] is True


def test_minutes_wholly_older_than_thirty_days_are_refused_without_a_request(shell: Shell) -> None:
    said, report = shell.fetch("AAPL", "-i", "1m", "--start", "2023-11-01", "--end", "2023-11-10", "--source", "yahoo")
    assert (said.code, report["requests"]) == (12, 0)
    assert "yahoo keeps 1m bars for 30 days" in said.err


def test_all_there_is_is_asked_for_with_period_max(shell: Shell) -> None:
    said, report = shell.fetch("AAPL", "-i", "1h", "--period", "max")
    assert (said.code, report["requests"]) == (0, 1)
    assert said.rows[0]["ts"].startswith("2022-02-0")


# Prices


def test_one_delivery_serves_every_basis(stocked: Shell) -> None:
    said, report = stocked.fetch("IBE.MC", "--start", "2023-04-03", "--end", "2023-07-03", "--adjust", "all")
    assert report["requests"] == 1
    assert {r["adjustment"] for r in said.rows} == {"all"}
    splits, report = stocked.fetch("IBE.MC", "--start", "2023-04-03", "--end", "2023-07-03")
    assert report["requests"] == 0
    assert {r["adjustment"] for r in splits.rows} == {"splits"}
    ratios = {round(float(a["close"]) / float(b["close"]), 6) for a, b in zip(said.rows, splits.rows, strict=True)}
    assert len(ratios) == 2, "the dividend of May lies between"


def test_what_no_source_delivers_is_told_and_not_invented(shell: Shell) -> None:
    said, report = shell.fetch("AAPL", "-i", "1w", "--source", "iexcloud", *JANUARY)
    assert (said.code, report["requests"], said.out) == (4, 0, HEADER + "\n")
    assert "it has no 1w bars" in said.err
    assert "mdagent sources list" in said.err


def test_a_grade_below_the_floor_of_the_settings_is_told(stocked: Shell) -> None:
    alone = {"MDAGENT_FETCH__MIN_GRADE": "A+", "MDAGENT_FETCH__SECOND_OPINION": "false"}
    said = stocked.run("fetch", "AAPL", *JANUARY, **alone)
    assert said.code == 6
    assert len(said.rows) == SESSIONS
    assert stocked.run("fetch", "AAPL", *JANUARY, "--min-grade", "A+", MDAGENT_FETCH__SECOND_OPINION="false").code == 6
    assert stocked.run("fetch", "AAPL", *JANUARY, MDAGENT_FETCH__MIN_GRADE="A+").code == 0  # a second source says the same
    assert stocked.run("fetch", "AAPL", *JANUARY, MDAGENT_FETCH__MIN_GRADE="A").code == 0


# Asking again, or not at all


def test_a_refresh_asks_again_and_changes_nothing_when_nothing_changed(stocked: Shell) -> None:
    before = stocked.good("fetch", "AAPL", *JANUARY).out
    said, report = stocked.fetch("AAPL", *JANUARY, "--refresh")
    assert (said.out, report["requests"]) == (before, 1)
    assert stocked.good("query", "SELECT (SELECT count(*) FROM bars) AS bars, (SELECT count(*) FROM revisions) AS revised").rows == [
        {"bars": str(2 * SESSIONS), "revised": "0"}
    ]


def test_a_dry_run_sends_and_stores_nothing_and_says_what_it_would_ask(stocked: Shell) -> None:
    said, report = stocked.fetch("AAPL", "NVDA", "--start", "2024-01-02", "--end", "2024-02-03", "--dry-run")
    assert (said.code, said.out) == (0, "")
    assert (report["dry_run"], report["requests"]) == (True, 2)
    assert "2 requests would be sent; nothing was" in said.err
    assert "would ask yahoo for 2024-02-01 00:00 to 2024-02-03 00:00" in said.err
    status = {row["source"]: row["sent_1h"] for row in stocked.good("sources", "status", "--csv").rows}
    assert status["yahoo"] == "2", "those that stocked it"
    assert stocked.good("query", "SELECT DISTINCT symbol FROM bars ORDER BY 1").rows == [{"symbol": "AAPL"}, {"symbol": "MSFT"}]


def test_a_dry_run_of_what_cannot_be_had_ends_as_the_fetch_would(shell: Shell) -> None:
    said, report = shell.fetch("AAPL", "-i", "5m", "--source", "iexcloud", "--dry-run")
    assert (said.code, report["exit_code"], report["requests"]) == (4, 4, 0)
    assert "iexcloud: it has no 5m bars" in said.err


# Explaining


def test_explain_tells_the_source_and_the_sum_behind_the_grade(stocked: Shell) -> None:
    said = stocked.good("fetch", "AAPL", *JANUARY, "--explain")
    assert "AAPL 1d splits [2024-01-02 00:00, 2024-02-01 00:00)" in said.err
    assert "source yahoo: chosen: the store has it" in said.err
    parts = [line.split() for line in said.err.splitlines() if " x " in line]
    assert len(parts) == 6
    assert sum(float(p[-1]) for p in parts) == pytest.approx(100.0)
    assert "at most       96.00  one source, compared with no other" in said.err


def test_explain_tells_why_a_source_was_left_out(shell: Shell) -> None:
    said = shell.run("fetch", "AAPL", "-i", "5m", "--explain", *JANUARY)
    assert "source iexcloud: left out: it has no 5m bars" in said.err


# The report


def test_the_report_has_a_version_and_a_line_for_each_symbol(stocked: Shell) -> None:
    _, report = stocked.fetch("AAPL", "NOSUCH", *JANUARY, "--source", "yahoo")
    assert list(report) == ["schema_version", "run", "exit_code", "dry_run", "requests", "ms", "symbols"]
    assert (report["schema_version"], report["exit_code"], report["requests"]) == (1, 5, 1)
    good, bad = report["symbols"]
    assert list(good) == list(bad) == [
        "symbol", "interval", "adjustment", "start", "end", "source", "requests", "bars", "provisional", "quarantined", "gaps", "grade",
        "score", "findings", "checks_skipped", "arithmetic", "considered", "failure", "cut", "notes",
    ]  # fmt: skip
    assert (good["bars"], good["grade"], good["score"], good["failure"]) == (SESSIONS, "A", 96.0, None)
    assert (good["start"], good["end"]) == ("2024-01-02T00:00:00+00:00", "2024-02-01T00:00:00+00:00")
    assert (bad["bars"], bad["failure"]["kind"]) == (0, "UNKNOWN_SYMBOL")
    assert bad["failure"]["next_step"]


def test_a_report_may_be_written_over(stocked: Shell) -> None:
    stocked.fetch("AAPL", *JANUARY)
    _, report = stocked.fetch("MSFT", *JANUARY)
    assert report["symbols"][0]["symbol"] == "MSFT"
