"""`mdagent sources`: the providers, their facts, and how they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdagent.clock import VirtualClock
from mdagent.store.ledger import open_ledger
from tests.cli.shell import JANUARY, NOW

if TYPE_CHECKING:
    from tests.cli.shell import Shell


def test_the_list_tells_the_facts_of_each_source(shell: Shell) -> None:
    (row,) = shell.good("sources", "list", "--json").json
    assert (row["source"], row["enabled"], row["key"], row["cost"]) == ("yahoo", True, "not needed", "free")
    assert row["intervals"] == "1m 5m 15m 30m 1h 1d 1w 1mo"
    assert row["prices"] == "splits all"
    assert row["quota"] == "60 per 1m, 2000 per 1h"
    assert row["base"] == "https://query1.finance.yahoo.com"


def test_the_list_shows_the_settings_in_force(shell: Shell) -> None:
    (row,) = shell.good("sources", "list", "--json", MDAGENT_SOURCES__YAHOO__ENABLED="false").json
    assert row["enabled"] is False
    limits = "[{limit: 8, per: 1m}, {limit: 800, per: day, zone: UTC}]"
    (row,) = shell.good("sources", "list", "--json", MDAGENT_SOURCES__YAHOO__LIMITS=limits).json
    assert row["quota"] == "8 per 1m, 800 per day (UTC)"


def test_the_status_counts_what_was_sent(stocked: Shell) -> None:
    row = stocked.good("sources", "status", "--csv").rows[0]
    assert (row["source"], row["state"], row["sent_1h"], row["failed_1h"]) == ("yahoo", "ready", "2", "0")
    assert row["quota_left"] == "58 of 60 per 1m, 1998 of 2000 per 1h"
    assert row["last_request"] == "2024-02-05T22:00:00Z"
    stocked.clock.pause(63.0)
    assert stocked.good("sources", "status", "--csv").rows[0]["quota_left"] == "60 of 60 per 1m, 1998 of 2000 per 1h"


def test_a_source_that_nobody_asked_yet_is_ready(shell: Shell) -> None:
    row = shell.good("sources", "status", "--csv").rows[0]
    assert (row["state"], row["sent_1h"], row["last_request"]) == ("ready", "0", "")


def test_a_blocked_source_says_why_and_until_when_and_cannot_serve(stocked: Shell) -> None:
    with open_ledger(stocked.home / "ledger.db", VirtualClock(NOW)) as ledger:
        ledger.block("yahoo", 300.0, "yahoo asked to be left alone (RATE_LIMITED)")
    said = stocked.run("sources", "status", "--csv")
    assert said.code == 4
    assert (said.rows[0]["state"], said.rows[0]["until"]) == ("blocked", "2024-02-05T22:05:00Z")
    assert "left alone" in said.rows[0]["why"]
    fetched = stocked.run("fetch", "NVDA", *JANUARY)
    assert fetched.code == 7
    assert "free again at 2024-02-05 22:05:00Z" in fetched.err
    assert stocked.good("fetch", "AAPL", *JANUARY).rows, "the store serves what it has"


def test_a_spent_quota_is_told(stocked: Shell) -> None:
    said = stocked.run("sources", "status", "--csv", MDAGENT_SOURCES__YAHOO__LIMITS="[{limit: 2, per: 1h}]")
    assert said.code == 4
    assert said.rows[0]["state"] == "quota spent"
    assert said.rows[0]["quota_left"] == "0 of 2 per 1h"


def test_a_disabled_source_is_told_and_not_asked(shell: Shell) -> None:
    off = {"MDAGENT_SOURCES__YAHOO__ENABLED": "false"}
    assert shell.good("sources", "status", "--csv", **off).rows[0]["state"] == "disabled"
    said = shell.run("fetch", "AAPL", *JANUARY, **off)
    assert said.code == 4
    assert "no source is enabled" in said.err
    named = shell.run("fetch", "AAPL", *JANUARY, "--source", "yahoo", **off)
    assert named.code == 2
    assert "sources.yahoo.enabled" in named.err


def test_a_person_reads_one_fact_a_line(shell: Shell) -> None:
    shell.screens = (True, True)
    out = shell.good("sources", "list").out
    assert out.startswith("yahoo\n")
    assert "60 per 1m" in out
