"""`mdagent sources list` and `status`: the providers, their facts, and how they do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.cli.sources import COMMANDS
from mdagent.clock import VirtualClock
from mdagent.sources import NAMES, spec_of
from mdagent.store.ledger import open_ledger
from tests.cli.shell import JANUARY, NOW

if TYPE_CHECKING:
    from tests.cli.shell import Said, Shell

LIVE = {"MDAGENT_SANDBOX": ""}
KEYED = [name for name in NAMES if spec_of(name).needs_key]
STATUS = "source state why until sent_1h failed_1h median_ms quota_left last_request last_failure".split()
FIRST = "source title enabled key intervals prices quota cost base terms facts_checked".split()  # never moved: scripts count on them


def of(said: Said, name: str) -> dict[str, str]:
    return next(row for row in said.rows if row["source"] == name)


def fact(shell: Shell, name: str, **environ: str) -> dict[str, Any]:
    return next(row for row in shell.good("sources", "list", "--json", **environ).json if row["source"] == name)


def test_the_list_has_every_source_and_its_old_columns_where_they_were(shell: Shell) -> None:
    said = shell.good("sources", "list", "--json").json
    assert [row["source"] for row in said] == list(NAMES)
    assert list(said[0])[: len(FIRST)] == FIRST


def test_the_status_has_its_old_columns_where_they_were(shell: Shell) -> None:
    assert list(shell.good("sources", "status", "--json").json[0])[: len(STATUS)] == STATUS


def test_the_list_tells_the_facts_of_each_source(shell: Shell) -> None:
    row = fact(shell, "yahoo")
    assert (row["enabled"], row["key"], row["cost"], row["usd_month"], row["auth"]) == (True, "not needed", "free", 0, "none")
    assert row["intervals"] == "1m 5m 15m 30m 1h 1d 1w 1mo"
    assert row["prices"] == "1m 5m 15m 30m 1h splits; 1d 1w 1mo splits all"
    assert row["quota"] == "60 per 1m, 2000 per 1h"
    assert row["base"] == "https://query1.finance.yahoo.com"
    assert (row["plan"], row["plans"], row["delay"], row["state"]) == ("free", "free", "real time", "active")
    assert {"quote", "search", "market"} <= set(row["offers"].split(", "))
    assert row["note"], "that the figures are ours is said"


@pytest.mark.parametrize("name", KEYED)
def test_a_source_that_needs_a_key_says_where_it_goes_and_whether_it_is_there(shell: Shell, name: str) -> None:
    key = {f"MDAGENT_{name.upper()}_API_KEY": "canary-4711-key"}
    assert fact(shell, name, **LIVE)["key"] == "missing"
    assert fact(shell, name)["key"] == "not needed", "the sandbox has its own"
    said = shell.good("sources", "list", "--json", **LIVE, **key)
    assert "canary" not in said.out + said.err
    assert of(shell.good("sources", "list", "--csv", **LIVE, **key), name)["key"] == "present"
    assert fact(shell, name)["auth"] == f"{spec_of(name).auth.place} {spec_of(name).auth.name}"


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_in_force_is_the_one_of_the_settings_else_a_new_users_in_the_sandbox_the_largest(shell: Shell, name: str) -> None:
    plans = [p.name for p in spec_of(name).plans]
    assert fact(shell, name)["plan"] == plans[-1]
    assert fact(shell, name, **LIVE)["plan"] == plans[0]
    for plan in spec_of(name).plans:
        row = fact(shell, name, **LIVE, **{f"MDAGENT_SOURCES__{name.upper()}__PLAN": plan.name})
        assert (row["plan"], row["plans"], row["usd_month"]) == (plan.name, " ".join(plans), plan.usd)
        assert row["lacks"] == ", ".join(sorted(plan.lacks))


@pytest.mark.parametrize("words", [("sources", "list"), ("sources", "status"), ("sources", "probe"), ("quote", "AAPL"), ("market",)])
def test_a_plan_that_the_source_does_not_have_is_a_wrong_setting(shell: Shell, words: tuple[str, ...]) -> None:
    said = shell.run(*words, MDAGENT_SOURCES__YAHOO__PLAN="gold")
    assert (said.code, said.out) == (3, "")
    assert "sources.yahoo.plan is 'gold': Yahoo Finance has no such plan" in said.err
    assert "use one of free" in said.err


def test_the_list_shows_the_settings_in_force(shell: Shell) -> None:
    off = fact(shell, "yahoo", MDAGENT_SOURCES__YAHOO__ENABLED="false")
    assert (off["enabled"], off["disabled_by"]) == (False, "sources.yahoo.enabled is false")
    assert fact(shell, "yahoo")["disabled_by"] == ""
    limits = "[{limit: 8, per: 1m}, {limit: 800, per: day, zone: UTC}]"
    assert fact(shell, "yahoo", MDAGENT_SOURCES__YAHOO__LIMITS=limits)["quota"] == "8 per 1m, 800 per day (UTC)"
    assert fact(shell, "yahoo", MDAGENT_SOURCES__YAHOO__BASE_URL="http://127.0.0.1:1")["base"] == "http://127.0.0.1:1"
    assert fact(shell, "yahoo", MDAGENT_SOURCES__YAHOO__COST="0.002")["cost"] == "free, 0.002 a request"


def test_the_list_tells_what_became_of_a_provider_by_today(shell: Shell) -> None:
    ends = [(name, m) for name in NAMES for m in spec_of(name).lifecycle if m.state == "retired"]
    for name, end in ends:
        before, after = (datetime(end.day.year, end.day.month, end.day.day, hour, tzinfo=UTC) for hour in (0, 12))
        shell.clock.set(before.replace(year=before.year - 1))
        assert fact(shell, name)["state"] != "retired"
        shell.clock.set(after)
        row = fact(shell, name)
        assert (row["state"], row["since"], row["what"]) == ("retired", f"{end.day}", end.what)


def test_the_status_counts_what_was_sent(stocked: Shell) -> None:
    row = of(stocked.good("sources", "status", "--csv"), "yahoo")
    assert (row["state"], row["sent_1h"], row["failed_1h"]) == ("ready", "2", "0")
    assert row["quota_left"] == "58 of 60 per 1m, 1998 of 2000 per 1h"
    assert row["last_request"] == "2024-02-05T22:00:00Z"
    stocked.clock.pause(63.0)
    assert of(stocked.good("sources", "status", "--csv"), "yahoo")["quota_left"] == "60 of 60 per 1m, 1998 of 2000 per 1h"


def test_a_source_that_nobody_asked_yet_is_ready(shell: Shell) -> None:
    for row in shell.good("sources", "status", "--csv").rows:
        assert (row["state"], row["sent_1h"], row["last_request"]) == ("ready", "0", "")


def test_most_keys_are_missing_in_a_fresh_home_and_that_is_no_error(shell: Shell) -> None:
    shell.clock.set(datetime(2026, 11, 24, 12, tzinfo=UTC))
    said = shell.good("sources", "status", "--csv", **LIVE)
    for row in said.rows:
        end = spec_of(row["source"]).retired(shell.clock.now().date())
        assert row["state"] == ("retired" if end else "no key" if row["source"] in KEYED else "ready")
        assert row["why"] == ("" if row["state"] == "ready" else row["why"])
        if row["state"] == "no key":
            assert row["why"] == f"no key: set MDAGENT_{row['source'].upper()}_API_KEY"
        if end:
            assert f"{end.day}" in row["why"]


def test_a_provider_that_has_closed_still_answers_in_the_sandbox(shell: Shell) -> None:
    shell.clock.set(datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert {row["state"] for row in shell.good("sources", "status", "--csv").rows} == {"ready"}


def test_a_blocked_source_says_why_and_until_when_and_cannot_serve(stocked: Shell) -> None:
    with open_ledger(stocked.home / "ledger.db", VirtualClock(NOW)) as ledger:
        ledger.block("yahoo", 300.0, "yahoo asked to be left alone (RATE_LIMITED)")
    said = stocked.run("sources", "status", "--csv")
    assert said.code == 4
    row = of(said, "yahoo")
    assert (row["state"], row["until"]) == ("throttled", "2024-02-05T22:05:00Z")
    assert "left alone" in row["why"]
    fetched = stocked.run("fetch", "NVDA", *JANUARY, "--source", "yahoo")
    assert fetched.code == 7
    assert "free again at 2024-02-05 22:05:00Z" in fetched.err
    assert stocked.good("fetch", "AAPL", *JANUARY).rows, "the store serves what it has"


def test_a_spent_quota_is_told(stocked: Shell) -> None:
    said = stocked.run("sources", "status", "--csv", MDAGENT_SOURCES__YAHOO__LIMITS="[{limit: 2, per: 1h}]")
    assert said.code == 4
    assert of(said, "yahoo")["state"] == "quota spent"
    assert of(said, "yahoo")["quota_left"] == "0 of 2 per 1h"


def test_a_disabled_source_is_told_and_not_asked(shell: Shell) -> None:
    off = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES}
    assert {row["state"] for row in shell.good("sources", "status", "--csv", **off).rows} == {"disabled"}
    said = shell.run("fetch", "AAPL", *JANUARY, **off)
    assert said.code == 4
    assert "no source is enabled" in said.err
    named = shell.run("fetch", "AAPL", *JANUARY, "--source", "yahoo", **off)
    assert named.code == 2
    assert "sources.yahoo.enabled" in named.err


def test_a_person_reads_one_fact_a_line(shell: Shell) -> None:
    shell.screens = (True, True)
    out = shell.good("sources", "list").out
    assert out.startswith(f"{NAMES[0]}\n")
    assert "60 per 1m" in out


def test_the_help_of_the_group_names_every_command_in_one_line(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.good("sources", "--help")
    lines = [line.split() for line in capsys.readouterr().out.partition("Commands:")[2].splitlines() if line.strip()]
    assert [line[0] for line in lines] == list(COMMANDS)
    assert all(line[-1].endswith(".") and not line[-1].endswith("...") for line in lines), "none is cut"


@pytest.mark.parametrize(("word", "told"), [("opne", "did you mean open?"), ("zzz", "mdagent sources --help lists them")])
def test_a_command_that_is_not_there_is_answered_with_the_right_one(shell: Shell, word: str, told: str) -> None:
    said = shell.run("sources", word)
    assert (said.code, said.out) == (2, "")
    assert f"there is no command sources '{word}'" in said.err
    assert told in said.err
