"""`mdagent sources log`: the attempts, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdagent.guard.outcome import FailureKind
from tests.cli.test_sources_status import ask, ledger_of

if TYPE_CHECKING:
    from tests.cli.shell import Said, Shell

HEADER = "at,source,endpoint,subject,host,state,status,kind,ms,size,cost,usd,score,detail,run"


@pytest.fixture
def asked(shell: Shell) -> Shell:
    """Three requests a minute apart: a good one, one that failed, and a good quote."""
    with ledger_of(shell) as ledger:
        ledger.judge(ask(ledger, shell.clock, ms=12.345, usd=0.5), 21, 0, 96.0)
        shell.clock.pause(60)
        ask(ledger, shell.clock, FailureKind.SERVER_ERROR)
        shell.clock.pause(60)
        ask(ledger, shell.clock, endpoint="quote")
    return shell


def times(said: Said) -> list[str]:
    return [row["at"][11:16] for row in said.rows]


def test_the_latest_is_the_last_and_each_has_its_facts(asked: Shell) -> None:
    said = asked.good("sources", "log", "--csv")
    assert said.out.splitlines()[0] == HEADER
    assert times(said) == ["22:00", "22:01", "22:02"]
    first, second, third = said.rows
    assert [first[k] for k in ("source", "endpoint", "subject", "state", "status", "kind", "ms", "usd", "score", "run")] == (
        ["yahoo", "bars", "AAPL", "settled", "200", "", "12.3", "0.5", "96", "run-7"]
    )
    assert (second["kind"], second["detail"], third["endpoint"]) == ("SERVER_ERROR", "it said SERVER_ERROR", "quote")


def test_what_a_real_fetch_sent_is_there(stocked: Shell) -> None:
    rows = stocked.good("sources", "log", "--json").json
    assert [(row["source"], row["endpoint"], row["subject"], row["status"]) for row in rows] == [
        ("yahoo", "bars", "AAPL", 200),
        ("yahoo", "bars", "MSFT", 200),
    ]


def test_failed_last_since_and_names_narrow_it(asked: Shell) -> None:
    assert times(asked.good("sources", "log", "--failed", "--csv")) == ["22:01"]
    assert times(asked.good("sources", "log", "--last", "2", "--csv")) == ["22:01", "22:02"]
    assert times(asked.good("sources", "log", "--since", "2024-02-05T22:00:30Z", "--csv")) == ["22:01", "22:02"]
    assert times(asked.good("sources", "log", "yahoo", "polygon", "--csv")) == ["22:00", "22:01", "22:02"]
    assert times(asked.good("sources", "log", "polygon", "--csv")) == []


def test_a_person_reads_a_table(asked: Shell) -> None:
    asked.screens = (True, True)
    out = asked.good("sources", "log").out
    assert "SERVER_ERROR" in out
    assert "run-7" not in out, "what a program needs is left out"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("yaho",), "did you mean yahoo?"),
        (("--since", "last week"), "'last week' is not a date"),
        (("--last", "0"), "--last"),
        (("--format", "xml"), "'xml' is not a format"),
    ],
)
def test_a_wrong_word_is_told(shell: Shell, words: tuple[str, ...], told: str) -> None:
    said = shell.run("sources", "log", *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
