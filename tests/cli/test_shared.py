"""What one command learned, the next one knows: ranking, hosts, budgets and switches through the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.shell import Shell

JANUARY = ("--start", "2024-01-02", "--end", "2024-02-01")


def test_a_budget_refuses_before_anything_is_spent(shell: Shell) -> None:
    shell.environ |= {"MDAGENT_SOURCES__POLYGON__COST": "0.5", "MDAGENT_SOURCES__POLYGON__BUDGET__DAY": "0.75"}
    words = ("--source", "polygon", "--adjust", "raw", *JANUARY)
    shell.good("fetch", "AAPL", *words)
    said = shell.run("fetch", "MSFT", *words)
    assert said.code == 7
    assert "the budget of 0.75 USD a day for polygon would be passed: 0.5000 is spent, 0.5000 more is asked for" in said.err
    spent = [r for r in shell.good("sources", "costs", "--csv").rows if r["kind"] == "spent"]
    assert [(r["source"], r["requests"], r["usd"]) for r in spent] == [("polygon", "1", "0.5")]


def test_a_source_that_is_dear_comes_after_one_that_is_not(shell: Shell) -> None:
    shell.environ["MDAGENT_SOURCES__YAHOO__COST"] = "5"
    shell.environ["MDAGENT_WEIGHTS__KEY"] = "0"
    assert shell.good("sources", "rank", "AAPL", "--csv").rows[0]["source"] != "yahoo"


def test_a_source_that_is_switched_off_is_not_asked_by_any_command(shell: Shell) -> None:
    shell.good("sources", "disable", "yahoo")
    assert {r["source"] for r in shell.good("fetch", "AAPL", *JANUARY).rows} != {"yahoo"}
    assert shell.good("quote", "AAPL", "--csv").rows[0]["source"] != "yahoo"
    said = shell.run("fetch", "MSFT", *JANUARY, "--source", "yahoo")
    assert said.code == 2
    assert "mdagent sources enable yahoo" in said.err
    shell.good("sources", "enable", "yahoo")
    assert {r["source"] for r in shell.good("fetch", "MSFT", *JANUARY).rows} == {"yahoo"}


def test_an_open_source_is_passed_over_and_the_reason_is_told(shell: Shell) -> None:
    shell.good("sources", "open", "yahoo", "--why", "wrong splits")
    said = shell.good("fetch", "AAPL", *JANUARY, "--explain")
    assert {r["source"] for r in said.rows} != {"yahoo"}
    assert "refuses now: wrong splits" in said.err


def test_who_waits_says_for_what_and_a_class_is_a_word(shell: Shell) -> None:
    shell.environ["MDAGENT_SOURCES__YAHOO__LIMITS"] = "[{limit: 10, per: 1m}]"
    for n in range(7):
        shell.good("fetch", "AAPL", *JANUARY, "--source", "yahoo", "--refresh", "--priority", "batch")
        assert n < 7
    said = shell.run("fetch", "AAPL", *JANUARY, "--source", "yahoo", "--refresh", "--priority", "batch")
    assert said.code in (5, 7)
    assert "the quota of 7 of 10 per 1m is spent; free again at 2024-02-05 22:01:02Z" in said.err
    shell.good("fetch", "AAPL", *JANUARY, "--source", "yahoo", "--refresh", "--priority", "critical")
    bad = shell.run("fetch", "AAPL", "--priority", "soon")
    assert bad.code == 2
    assert "critical, high, normal, low, batch" in bad.err


def test_the_report_holds_the_arithmetic_of_every_candidate(shell: Shell) -> None:
    shell.good("fetch", "AAPL", *JANUARY, "--report", "r.json")
    considered = json.loads((shell.cwd / "r.json").read_text("utf-8"))["symbols"][0]["considered"]
    assert len(considered) == 7
    assert all(c["arithmetic"][-1].startswith("score") for c in considered)
