"""`mdagent sources limits`: each window, each class, and who waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdagent.guard.limits import Refusal, Window
from mdagent.market import Priority
from mdagent.sources import NAMES
from mdagent.store.quota import Reservation, Rules
from tests.cli.test_sources_status import ask, ledger_of, slowed

if TYPE_CHECKING:
    from tests.cli.shell import Shell

HEADER = "source,window,of,limit,used,left,critical,high,normal,low,batch,factor,resets_at,waiting,waits,overage"
TWO = "[{limit: 10, per: 1m}, {limit: 500, per: day, zone: America/New_York}]"


def windows(shell: Shell, *names: str, **environ: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = shell.good("sources", "limits", *names, "--json", **environ).json
    return rows


def test_every_window_of_every_source_is_a_row(shell: Shell) -> None:
    said = shell.good("sources", "limits", "--csv")
    assert said.out.splitlines()[0] == HEADER
    assert list(dict.fromkeys(row["source"] for row in said.rows)) == list(NAMES)
    assert [row["window"] for row in said.rows if row["source"] == "yahoo"] == ["60 per 1m", "2000 per 1h"]


def test_a_row_tells_what_is_used_and_what_each_class_may_use(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock)
    minute, day = windows(shell, "yahoo", MDAGENT_SOURCES__YAHOO__LIMITS=TWO)
    assert (minute["of"], minute["limit"], minute["used"], minute["left"]) == ("credits", 10, 1, 9)
    assert [minute[name] for name in ("critical", "high", "normal", "low", "batch")] == [10, 10, 9, 8, 7]
    assert minute["resets_at"] == "2024-02-05T22:01:02Z", "its oldest request comes back, with a margin"
    assert day["resets_at"] == "2024-02-06T05:01:00Z", "by the calendar of its zone"
    assert (day["window"], day["left"]) == ("500 per day (America/New_York)", 499)


def test_a_window_that_nobody_used_resets_at_no_time(shell: Shell) -> None:
    assert [(row["used"], row["resets_at"]) for row in windows(shell, "yahoo")] == [(0, None), (0, None)]


def test_a_refusal_that_was_not_foreseen_lowers_what_the_classes_find_in_rolling_windows(shell: Shell) -> None:
    slowed(shell)
    minute_row, day = windows(shell, "yahoo", MDAGENT_SOURCES__YAHOO__LIMITS=TWO)
    assert (minute_row["factor"], minute_row["limit"], minute_row["high"], minute_row["normal"]) == (0.5, 10, 5, 5)
    assert (day["factor"], day["high"]) == (1, 500)


def test_who_waits_is_told_by_class_request_run_and_time(shell: Shell) -> None:
    one = (Window(1, 60.0),)
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock)
        for priority, run in ((Priority.BATCH, "run-8"), (Priority.HIGH, "run-9")):
            shell.clock.pause(1)
            what = Reservation("bars", "", run, "MSFT", priority=priority, patience=600.0)
            assert isinstance(ledger.reserve("yahoo", one, what=what, rules=Rules("yahoo")), Refusal)
    row = windows(shell, "yahoo")[0]
    assert row["waiting"] == 2
    assert row["waits"] == "high bars MSFT since 22:00:02Z (run run-9); batch bars MSFT since 22:00:01Z (run run-8)"
    status = shell.good("sources", "status", "--csv").rows
    assert {r["source"]: r["waiting"] for r in status} == {name: "2" if name == "yahoo" else "0" for name in NAMES}


def test_more_used_than_a_lowered_limit_allows_leaves_nothing_not_less(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        for _ in range(3):
            ask(ledger, shell.clock)
    row = windows(shell, "yahoo", MDAGENT_SOURCES__YAHOO__LIMITS="[{limit: 2, per: 1h}]")[0]
    assert (row["used"], row["left"]) == (3, 0)


def test_a_person_reads_a_table(shell: Shell) -> None:
    shell.screens = (True, True)
    assert "60 per 1m" in shell.good("sources", "limits", "yahoo").out


def test_an_unknown_source_is_answered_with_the_right_one(shell: Shell) -> None:
    said = shell.run("sources", "limits", "yaho")
    assert (said.code, said.out) == (2, "")
    assert "no source is called 'yaho'" in said.err
    assert "did you mean yahoo?" in said.err
