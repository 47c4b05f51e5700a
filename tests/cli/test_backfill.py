"""backfill: everything that is missing, once; told before it is spent, bounded while it runs, resumed by running it again."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.sources import NAMES
from mdagent.store.bars import BarStore
from tests.cli.shell import JANUARY, NOW, Shell, strict

if TYPE_CHECKING:
    from pathlib import Path

THREE = ("AAPL", "MSFT", "SYM00001")
ONLY_YAHOO = ("--source", "yahoo")
LISTED = [f"SYM{n:05}" for n in range(1, 40) if n % 10 != 7]  # those that end in 7 are halted now and then


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def sent(shell: Shell) -> int:
    """Requests that the ledger knows of, refunded ones left out."""
    path = shell.home / "ledger.db"
    if not path.exists():
        return 0
    db = sqlite3.connect(path)
    count = db.execute("SELECT count(*) FROM attempts WHERE cost > 0").fetchone()[0]
    db.close()
    return int(count)


def backfill(shell: Shell, *words: str, **environ: str) -> tuple[int, Any, str]:
    """Exit code, report and talk."""
    path = shell.cwd / "backfilled.json"
    said = shell.run("backfill", *words, "--report", str(path), **environ)
    assert said.out == ""
    return said.code, strict(path.read_text("utf-8")), said.err


def later(shell: Shell, by: timedelta) -> None:
    shell.clock.set(shell.clock.now() + by)


def bars(shell: Shell) -> list[dict[str, str]]:
    return shell.good("query", "SELECT symbol, ts, source, close FROM bars ORDER BY ALL", "--csv").rows


# ---- the whole path


def test_what_is_missing_is_stored_and_a_second_run_sends_nothing(shell: Shell) -> None:
    code, report, talk = backfill(shell, *THREE, *JANUARY)
    assert (code, report["symbols"]) == (0, {"done": 3, "partly": 0, "failed": 0}), talk
    assert report["requests"] == sent(shell) == 3
    assert report["bars"]["new"] == len(bars(shell)) == 3 * 21
    assert report["worst_grade"]["letter"] in ("A", "A-", "B+")
    assert "3 symbols: 3 done" in talk
    code, report, _ = backfill(shell, *THREE, *JANUARY)
    assert (code, report["requests"], report["chunks"]["there"]) == (0, 0, 3)
    assert sent(shell) == 3


def test_the_running_session_is_not_missing_and_the_next_one_is_all_that_is_asked_for(shell: Shell) -> None:
    later(shell, timedelta(hours=-4))  # New York is open
    assert backfill(shell, "AAPL", "--start", "2024-01-02")[0] == 0
    later(shell, timedelta(minutes=5))
    assert backfill(shell, "AAPL", "--start", "2024-01-02")[1]["requests"] == 0
    later(shell, timedelta(hours=6))
    assert backfill(shell, "AAPL", "--start", "2024-01-02")[1]["requests"] == 1
    assert bars(shell)[-1]["ts"] == "2024-02-05T00:00:00Z"


def test_an_unknown_symbol_is_told_in_a_line_and_the_others_are_served(shell: Shell) -> None:
    code, report, talk = backfill(shell, "AAPL", "NOSUCH", *JANUARY, *ONLY_YAHOO)
    assert (code, report["symbols"]) == (5, {"done": 1, "partly": 0, "failed": 1})
    assert [f["kind"] for f in report["failures"]] == ["UNKNOWN_SYMBOL"]
    assert "failed: NOSUCH 1d: UNKNOWN_SYMBOL" in talk
    assert backfill(shell, "NOSUCH", *JANUARY, *ONLY_YAHOO)[0] == 4


def test_several_intervals_are_cut_by_the_calendar(shell: Shell) -> None:
    code, report, talk = backfill(shell, "AAPL", "--interval", "1d,1h", "--start", "2023-11-01", "--end", "2024-02-01", *ONLY_YAHOO)
    assert code == 0, talk
    assert report["chunks"]["done"] == 1 + 2  # days in one, hours by year
    assert report["symbols"]["done"] == 2  # each interval by itself
    assert backfill(shell, "AAPL", "--interval", "1h", "--start", "2023-12-01", "--end", "2024-01-15", *ONLY_YAHOO)[1]["requests"] == 0


def test_only_twenty_failures_are_told_and_all_are_in_the_report(shell: Shell) -> None:
    names = [f"NOSUCH{n}" for n in range(25)]
    code, report, talk = backfill(shell, *names, *JANUARY, *ONLY_YAHOO)
    assert (code, len(report["failures"]), talk.count("failed: "), "and 5 more" in talk) == (4, 25, 20, True)


def test_what_fails_in_many_pieces_for_one_reason_is_told_once(shell: Shell) -> None:
    _, report, talk = backfill(shell, "NOSUCH", "--start", "2022-01-03", "--end", "2024-02-01", "--interval", "1h", "--source", "yahoo")
    assert report["chunks"]["done"] > 2
    lines = [line for line in talk.splitlines() if line.startswith("failed: NOSUCH 1h")]
    assert len(lines) == len(set(lines)) == 2, "that it is unknown, and that this is known"


@pytest.mark.parametrize(
    "words", [["AAPL"], ["AAPL", "--stored"], ["AAPL", *JANUARY, "--progress", "loud"], ["x", *JANUARY, "--max-runtime", "y"]]
)
def test_words_that_make_no_sense_are_refused(shell: Shell, words: list[str]) -> None:
    assert shell.run("backfill", *words).code == 2
    assert sent(shell) == 0


# ---- universes


def test_a_universe_is_a_file_standard_words_or_a_list_of_the_settings(shell: Shell) -> None:
    (shell.cwd / "two.txt").write_text("AAPL # apple\nMSFT\n")
    (shell.cwd / "mdagent.yaml").write_text("universes: {mine: [AAPL, SYM00001], kept: two.txt}\n")
    assert backfill(shell, "@two.txt", *JANUARY)[1]["symbols"]["done"] == 2
    assert backfill(shell, "@mine", *JANUARY)[1]["requests"] == 1
    assert backfill(shell, "@kept", *JANUARY)[1]["chunks"]["there"] == 2
    assert shell.run("backfill", "@nobody", *JANUARY).code == 2


def test_what_is_stored_is_brought_up_to_date_and_stale_tells_only_of_what_was_not(shell: Shell) -> None:
    shell.good("backfill", "AAPL", "--start", "2024-01-02", "--end", "2024-01-20")
    shell.good("backfill", "MSFT", "--start", "2024-01-02")
    code, report, talk = backfill(shell, "--stale")
    assert (code, report["symbols"]["done"], report["requests"]) == (0, 1, 1), talk
    code, report, _ = backfill(shell, "--stored")
    assert (code, report["symbols"]["done"], report["requests"]) == (0, 2, 0)
    code, report, _ = backfill(shell, "--stale")
    assert (code, report["symbols"]["done"]) == (0, 0)
    assert len(bars(shell)) == 2 * 24


# ---- plans


def test_a_dry_run_sends_nothing_and_foretells_what_the_run_sends(shell: Shell) -> None:
    _, plan, talk = backfill(shell, *THREE, "--start", "2023-01-03", "--dry-run")
    assert sent(shell) == 0
    assert "nothing was sent" in talk
    code, report, _ = backfill(shell, *THREE, "--start", "2023-01-03")
    assert code == 0
    assert (report["requests"], report["credits"]) == (plan["requests"], plan["credits"]) == (3, 3)


def test_the_same_request_makes_the_same_chunks(shell: Shell) -> None:
    first = backfill(shell, *THREE, *JANUARY, "--dry-run")[1]
    later(shell, timedelta(days=3))
    again = backfill(shell, *reversed(THREE), *JANUARY, "--dry-run")[1]
    assert {c["id"] for c in first["chunks"]} == {c["id"] for c in again["chunks"]}
    assert len(first["chunks"]) == 3


def test_a_plan_is_applied_as_it_was_made(shell: Shell) -> None:
    said = shell.good("plan", *THREE, *JANUARY, "-o", "plan.json")
    assert said.out == ""
    plan = strict((shell.cwd / "plan.json").read_text())
    assert shell.run("plan", *THREE, *JANUARY, "-o", "plan.json").code == 2, "it is there already"
    shell.good("apply", "plan.json")
    assert sent(shell) == plan["requests"] == 3
    assert len(bars(shell)) == 3 * 21
    said = shell.good("apply", "plan.json")
    assert "0 requests" in said.err
    assert sent(shell) == 3


def test_what_a_source_cannot_serve_is_in_the_plan_with_the_reason(shell: Shell) -> None:
    code, plan, talk = backfill(
        shell,
        "AAPL",
        "--start",
        "2024-01-02",
        "--interval",
        "1m",
        "--source",
        "finnhub",
        "--dry-run",
        MDAGENT_SOURCES__FINNHUB__PLAN="free",
    )
    assert code == 4, talk
    assert plan["chunks"] == []
    assert "its plan free has no 1m bars" in plan["unserved"][0]["why"]


def test_all_runs_of_a_plan_together_stay_within_it(shell: Shell) -> None:
    shell.good("plan", *THREE, *JANUARY, "--refresh", "--source", "yahoo", "-o", "plan.json")
    shell.good("apply", "plan.json")
    assert sent(shell) == 3
    said = shell.run("apply", "plan.json")  # all of it again, which would be three more
    assert said.code == 7
    assert "the requests of the plan would be passed" in said.err
    assert sent(shell) == 3


@pytest.mark.parametrize("change", ['"requests": 1', '"symbol": "AAPL"', '"what": "mdagent plan"'])
def test_a_plan_that_was_changed_is_refused(shell: Shell, change: str) -> None:
    shell.good("plan", *THREE, *JANUARY, "-o", "plan.json")
    path = shell.cwd / "plan.json"
    text = path.read_text()
    assert change in text
    path.write_text(text.replace(change, change.replace("1", "9").replace("AAPL", "IBM").replace("mdagent", "my")))
    said = shell.run("apply", "plan.json")
    assert said.code == 2
    assert "no plan" in said.err


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"what": "mdagent plan", "schema_version": 1}', "\x00"])
def test_what_is_no_plan_is_refused(shell: Shell, text: str) -> None:
    (shell.cwd / "plan.json").write_text(text)
    assert shell.run("apply", "plan.json").code == 2


# ---- bounds


def test_the_budget_of_a_run_is_never_passed(shell: Shell) -> None:
    price = {"MDAGENT_SOURCES__YAHOO__COST": "0.1"}
    code, plan, talk = backfill(shell, *LISTED[:5], *JANUARY, *ONLY_YAHOO, "--budget", "0.25", "--dry-run", **price)
    assert (code, plan["usd"]) == (7, 0.5), talk
    code, report, talk = backfill(shell, *LISTED[:5], *JANUARY, *ONLY_YAHOO, "--budget", "0.25", **price)
    assert (code, report["requests"], report["usd"]) == (7, 2, 0.2), talk
    assert report["symbols"] == {"done": 2, "partly": 0, "failed": 3}
    code, report, _ = backfill(shell, *LISTED[:5], *JANUARY, *ONLY_YAHOO, "--budget", "0.3", **price)
    assert (code, report["requests"]) == (0, 3)


def test_nothing_new_is_begun_after_the_time_and_the_next_run_goes_on(shell: Shell) -> None:
    slow = {"MDAGENT_SOURCES__YAHOO__LIMITS": "[{limit: 10, per: 1m}]"}
    words = (*LISTED[:20], *JANUARY, *ONLY_YAHOO)
    code, report, talk = backfill(shell, *words, "--max-runtime", "90s", **slow)
    assert code == 14, talk
    assert "run the same command again" in talk
    done, left = report["symbols"]["done"], report["chunks"]["not_begun"]
    assert (report["symbols"]["failed"], done, left) == (0, 14, 6)
    code, report, _ = backfill(shell, *words, **slow)
    assert (code, report["requests"], report["chunks"]["there"]) == (0, left, done)
    assert sent(shell) == 20


def test_a_small_quota_is_waited_for(shell: Shell) -> None:
    slow = {"MDAGENT_SOURCES__YAHOO__LIMITS": "[{limit: 10, per: 1m}]"}
    code, report, _ = backfill(shell, *LISTED[:20], *JANUARY, *ONLY_YAHOO, **slow)
    assert (code, report["requests"]) == (0, 20)
    assert report["ms"] >= 120_000, "batch leaves three of ten to others: seven a minute"


def test_the_quotas_of_all_sources_are_used_at_once(shell: Shell) -> None:
    limits = {f"MDAGENT_SOURCES__{name.upper()}__LIMITS": "[{limit: 10, per: 1m}]" for name in ("yahoo", "tiingo", "finnhub")}
    others = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES if name not in ("yahoo", "tiingo", "finnhub")}
    code, _, talk = backfill(shell, *LISTED[:21], *JANUARY, "--adjust", "raw", **limits, **others)
    assert code == 0, talk
    db = sqlite3.connect(shell.home / "ledger.db")
    by = dict(db.execute("SELECT source, count(*) FROM attempts WHERE cost > 0 GROUP BY source").fetchall())
    db.close()
    assert len(by) >= 2


def test_bars_below_the_grade_asked_for_have_an_exit_code(shell: Shell) -> None:
    assert backfill(shell, "AAPL", *JANUARY, "--min-grade", "A+")[0] == 6
    assert backfill(shell, "AAPL", *JANUARY, "--min-grade", "A+")[0] == 6, "known without asking again"
    assert backfill(shell, "AAPL", *JANUARY, "--min-grade", "D")[0] == 0


# ---- talk


def test_quiet_is_silent_on_success_and_one_line_on_failure(shell: Shell) -> None:
    said = shell.good("backfill", *THREE, *JANUARY, "--quiet")
    assert (said.out, said.err) == ("", "")
    said = shell.run("backfill", "NOSUCH", *JANUARY, *ONLY_YAHOO, "--quiet")
    assert (said.code, said.out, len(said.err.splitlines())) == (4, "", 1)
    assert said.err.startswith("mdagent: 1 symbol: 0 done, 1 failed")


def test_progress_as_json_is_an_object_a_line(shell: Shell) -> None:
    said = shell.good("backfill", *THREE, *JANUARY, "--progress", "json")
    events = [strict(line) for line in said.err.splitlines()]
    assert [e["event"] for e in events][-2:] == ["progress", "summary"]
    assert events[-2]["quota_left"]["yahoo"] == 0.95
    assert events[-2] | {"seconds": 0, "symbol": "", "quota_left": {}} == {
        "event": "progress", "done": 3, "of": 3, "failed": 0, "bars_new": 63, "bars_revised": 0, "requests": 3, "seconds": 0,
        "eta_seconds": 0.0, "symbol": "", "quota_left": {},
    }  # fmt: skip
    assert events[-1]["exit_code"] == 0


def test_on_a_terminal_a_bar_shows_how_far_it_is(tmp_path: Path) -> None:
    said = Shell(tmp_path, screens=(False, True)).good("backfill", *THREE, *JANUARY)
    assert "3/3" in said.err
    assert "63 bars, 3 requests" in said.err
    assert "\x1b[" in said.err


def test_the_report_can_go_to_standard_output(shell: Shell) -> None:
    assert shell.good("backfill", "AAPL", *JANUARY, "--report", "-").json["symbols"]["done"] == 1


# ---- settling


def again(shell: Shell) -> tuple[int, int]:
    """Requests and changed bars of a run that settles what is stored."""
    code, report, talk = backfill(shell, "AAPL", "--settle", *ONLY_YAHOO)
    assert code == 0, talk
    return report["requests"], report["bars"]["revised"]


def test_late_sessions_are_asked_for_again_once_at_each_age(shell: Shell) -> None:
    shell.good("backfill", "AAPL", "--start", "2024-01-02", *ONLY_YAHOO)
    assert again(shell) == (0, 0), "what was fetched after its close is settled for that day"
    for _ in range(3):
        later(shell, timedelta(days=1))
        assert again(shell) == (1, 0), "one request for all ages that were reached"
        assert again(shell) == (0, 0)


def test_a_bar_that_was_corrected_since_is_a_revision(shell: Shell) -> None:
    shell.good("backfill", "AAPL", "--start", "2024-01-02", *ONLY_YAHOO)
    with BarStore(shell.home / "bars.duckdb", "sandbox", shell.clock).writing("test") as writer:
        writer.ask("UPDATE bars SET close = close * 0.999 WHERE ts = ?", [NOW.replace(tzinfo=None, hour=0)])
    assert again(shell) == (0, 0)
    later(shell, timedelta(days=1))
    said = shell.good("backfill", "--stored", "--settle", *ONLY_YAHOO)
    assert "settled: 1 bars changed" in said.err
    assert [row["cause"] for row in shell.good("query", "SELECT cause FROM revisions", "--json").json] == ["revision"]
