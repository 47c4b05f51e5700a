"""`mdagent sources open`, `reset` and `explain`: the breakers by hand, and the sums behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdagent.guard.outcome import FailureKind
from tests.cli.shell import JANUARY
from tests.cli.test_sources_status import ask, ledger_of, slowed, yahoo

if TYPE_CHECKING:
    from tests.cli.shell import Shell

LIVE = {"MDAGENT_SANDBOX": ""}


def test_what_is_opened_stays_shut_for_every_command_until_it_is_reset(shell: Shell) -> None:
    said = shell.good("sources", "open", "yahoo", "--why", "wrong splits since Monday")
    assert said.out == ""
    assert said.err == "yahoo is forced open: no process on this machine asks it (mdagent sources reset yahoo ends that)\n"
    row = yahoo(shell, 4)
    assert (row["state"], row["why"], row["since"]) == ("forced open", "by operator: wrong splits since Monday", "2024-02-05T22:00:00Z")
    refused = shell.run("fetch", "AAPL", *JANUARY, "--source", "yahoo")
    assert refused.code == 4
    assert "wrong splits since Monday" in refused.err
    assert shell.good("sources", "log", "--csv").rows == [], "nothing was sent"
    said = shell.good("sources", "reset", "yahoo")
    assert said.err == "yahoo was forced open, is half-open: the next request tests it\n"
    assert yahoo(shell)["state"] == "being tested"
    assert shell.good("fetch", "AAPL", *JANUARY, "--source", "yahoo").rows


def test_another_source_serves_meanwhile(shell: Shell) -> None:
    shell.good("sources", "open", "yahoo")
    said, report = shell.fetch("AAPL", *JANUARY)
    assert said.code == 0, said.err
    assert report["symbols"][0]["source"] != "yahoo"


def test_one_endpoint_alone_can_be_opened(shell: Shell) -> None:
    said = shell.good("sources", "open", "yahoo", "--endpoint", "quote")
    assert said.err.startswith("yahoo quote is forced open: ")
    assert "mdagent sources reset yahoo --endpoint quote" in said.err
    assert yahoo(shell)["why"] == "quote: forced open by operator, opened by hand"
    assert shell.good("fetch", "AAPL", *JANUARY, "--source", "yahoo").rows
    assert shell.run("quote", "AAPL", "--source", "yahoo").code == 4
    assert "yahoo quote is still forced open: mdagent sources reset yahoo --endpoint quote" in shell.good("sources", "reset", "yahoo").err
    shell.good("sources", "reset", "yahoo", "--endpoint", "quote")
    assert shell.good("quote", "AAPL", "--source", "yahoo").rows


def test_a_reset_lifts_a_block_and_says_so(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        ledger.block("yahoo", 300.0, "yahoo asked to be left alone (RATE_LIMITED)")
    said = shell.good("sources", "reset", "yahoo").err.splitlines()
    assert said == [
        "yahoo was closed, is closed: requests go",
        "yahoo: the block until 2024-02-05 22:05:00Z is lifted (yahoo asked to be left alone (RATE_LIMITED))",
    ]
    assert yahoo(shell)["state"] == "ready"


def test_a_reset_gives_the_pace_back_and_says_so(shell: Shell) -> None:
    slowed(shell)
    assert "yahoo: the pace is 0.5 no more, but that of the plan" in shell.good("sources", "reset", "yahoo").err
    assert shell.good("sources", "limits", "yahoo", "--json").json[0]["factor"] == 1


def test_the_breaker_of_a_key_is_that_of_its_account(shell: Shell) -> None:
    shell.good("sources", "open", "polygon")
    states = {row["source"]: row["state"] for row in shell.run("sources", "status", "--json").json}
    assert states["polygon"] == "forced open"
    other = shell.run("sources", "status", "--json", MDAGENT_POLYGON_API_KEY="canary-4711-key").json
    assert next(row for row in other if row["source"] == "polygon")["state"] == "ready", "another key is another account"


def test_quiet_says_nothing(shell: Shell) -> None:
    assert shell.good("sources", "open", "yahoo", "-q").err == ""
    assert yahoo(shell, 4)["state"] == "forced open"


@pytest.mark.parametrize("command", ["open", "reset"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("yaho",), "did you mean yahoo?"),
        (("yahoo", "--endpoint", "bras"), "did you mean bars?"),
        (("yahoo", "--endpoint", "xyz"), "use one of bars, quote, search, actions, market, batch"),
        ((), "SOURCE"),
    ],
)
def test_a_wrong_name_is_told_and_nothing_changes(shell: Shell, command: str, words: tuple[str, ...], told: str) -> None:
    said = shell.run("sources", command, *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert yahoo(shell)["state"] == "ready"


def test_a_source_without_a_key_has_no_breaker_to_open(shell: Shell) -> None:
    said = shell.run("sources", "open", "polygon", **LIVE)
    assert said.code == 2
    assert "polygon has no key" in said.err
    assert "mdagent sources disable polygon" in said.err


# Explain


def test_the_sums_of_a_breaker_are_printed(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        for kind in (None, None, None, None, FailureKind.SERVER_ERROR):
            ask(ledger, shell.clock, kind)
    said = shell.good("sources", "explain", "yahoo", "--csv")
    assert said.out.splitlines()[0] == "source,endpoint,state,told"
    assert {(row["source"], row["endpoint"], row["state"]) for row in said.rows} == {("yahoo", "", "degraded")}
    assert any("1 of 5 outcomes failed (20.0%)" in row["told"] for row in said.rows)


def test_a_closed_breaker_and_one_of_an_endpoint_are_told_apart(shell: Shell) -> None:
    shell.good("sources", "open", "yahoo", "--endpoint", "bars")
    rows = shell.good("sources", "explain", "yahoo", "--json").json
    assert [rows[0][k] for k in ("source", "endpoint", "state", "told")] == (
        ["yahoo", "", "closed", "no failure, and nothing slow, of late"]
    )
    assert {row["state"] for row in rows[1:]} == {"forced open"}
    one = shell.good("sources", "explain", "yahoo", "--endpoint", "bars", "--json").json
    assert {row["endpoint"] for row in one} == {"bars"}
    none = shell.good("sources", "explain", "yahoo", "--endpoint", "quote", "--json").json
    assert [(row["endpoint"], row["state"]) for row in none] == [("quote", "closed")]


def test_a_person_reads_a_line_for_each_sum(shell: Shell) -> None:
    shell.good("sources", "open", "yahoo", "--endpoint", "bars", "--why", "a test")
    shell.screens = (True, True)
    out = shell.good("sources", "explain", "yahoo").out.splitlines()
    assert out[:3] == ["yahoo: closed", "  no failure, and nothing slow, of late", "yahoo bars: forced open"]
    assert out[3].endswith("by operator: a test")
    assert all(line.startswith("  ") for line in out[3:])


@pytest.mark.parametrize(("words", "told"), [(("yaho",), "did you mean yahoo?"), (("yahoo", "--endpoint", "quot"), "did you mean quote?")])
def test_what_is_not_known_is_not_explained(shell: Shell, words: tuple[str, ...], told: str) -> None:
    said = shell.run("sources", "explain", *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
