"""`mdagent chaos`: verdicts, exit codes, reports that are the same each time, and nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdagent.cli.exits import ExitCode
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

DOWN = """\
title: The first source is down
clock: 2024-02-05T15:00:00Z
sources: [yahoo, twelvedata]
phases: {before: 4s, during: 10s, after: 4s}
load:
  - {who: prompt, asks: quote, every: 1s, symbols: [AAPL]}
  - {who: chart, asks: fetch, every: 5s, symbols: [MSFT], after: 500ms}
hypothesis:
  availability: 99.5%
  wrong_bars: 0
  failover_p95: 300ms
faults:
  - {kind: refused, sources: [yahoo]}
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def ran(shell: Shell, text: str, *words: str) -> tuple[int, Any]:
    """An experiment; its exit code and its report."""
    (shell.cwd / "x.yaml").write_text(text, "utf-8")
    said = shell.run("chaos", "run", "x.yaml", "--json", *words)
    assert said.out, said.err
    return said.code, said.json


def test_what_holds_exits_with_zero_and_is_the_same_each_time(shell: Shell) -> None:
    code, told = ran(shell, DOWN)
    assert (code, told["verdict"]) == (ExitCode.OK, "held")
    assert told["availability"]["all"] == {"answered": 22, "asked": 22, "beyond_reach": 0, "beyond_reach_answered": 0}
    assert told["faults"][0]["struck"] > 0
    assert told["quota"]["during"]["twelvedata"]["theirs"] == told["quota"]["during"]["twelvedata"]["ours"] > 0
    again, first, second = shell.run("chaos", "run", "x.yaml"), shell.run("chaos", "report", "1"), shell.run("chaos", "report")
    assert again.out == first.out == second.out
    assert "| availability | at least 0.995 share | 1.0000 (5/5) ok | 1.0000 (12/12) ok |" in again.out
    same = shell.good("chaos", "report", "--compare", "1", "2")
    assert {row["same"] for row in same.rows} == {"true"}
    assert not [name for name in shell.files() if "bars" in name], "the store was thrown away"


@pytest.mark.parametrize(("name", "begins"), [("run.png", b"\x89PNG"), ("run.svg", b"<?xml")])
def test_its_course_is_drawn_into_a_file(shell: Shell, name: str, begins: bytes) -> None:
    _, told = ran(shell, DOWN)
    assert sum(of for _, of in told["course"]["calls"].values()) == told["availability"]["all"]["asked"] == 22
    assert told["course"]["began"] == {"before": 0.0, "during": 4.0, "after": 14.0}
    down = [(int(second), good) for second, (good, _) in told["course"]["sources"]["yahoo"].items()]
    assert {good > 0 for second, good in down if 4 <= second < 14} == {False}
    assert {good > 0 for second, good in down if second < 4} == {True}
    said = shell.good("chaos", "report", "--plot", name)
    assert f"run 1 of x is in {name}" in said.err
    drawn = (shell.cwd / name).read_bytes()
    assert drawn.startswith(begins)
    assert shell.run("chaos", "report", "--plot", name).code == ExitCode.USAGE
    shell.good("chaos", "report", "1", "--plot", name, "--force")
    assert (shell.cwd / name).read_bytes() == drawn, "the same run makes the same file"


def test_what_has_failed_before_any_fault_is_drawn_too(shell: Shell) -> None:
    ran(shell, DOWN.replace("wrong_bars: 0", "latency_max: 10ms"))
    shell.good("chaos", "report", "--plot", "failed.svg")
    assert b"failed" in (shell.cwd / "failed.svg").read_bytes()


def test_what_does_not_hold_under_faults_has_deviated(shell: Shell) -> None:
    alone = DOWN.replace("[yahoo, twelvedata]", "[yahoo]")
    code, told = ran(shell, alone.replace("kind: refused", "kind: status, probability: 0.9"))
    assert (code, told["verdict"]) == (ExitCode.BELOW_GRADE, "deviated")
    assert "availability during" in told["why"]


def test_what_does_not_hold_before_has_failed_and_nothing_is_injected(shell: Shell) -> None:
    code, told = ran(shell, DOWN.replace("wrong_bars: 0", "latency_max: 10ms"))
    assert (code, told["verdict"], list(told["phases"])) == (ExitCode.BELOW_GRADE, "failed", ["before"])
    assert told["faults"][0]["struck"] == 0


def test_a_probe_without_samples_is_no_success(shell: Shell) -> None:
    code, told = ran(shell, DOWN.replace("wrong_bars: 0", "blocked_requests: 0"))
    assert (code, told["verdict"], told["why"]) == (ExitCode.BELOW_GRADE, "deviated", "not kept: blocked_requests during")
    assert next(row for row in told["hypothesis"] if row["probe"] == "blocked_requests")["during"] is None


def test_beyond_its_stop_a_run_is_aborted_and_rolled_back(shell: Shell) -> None:
    code, told = ran(shell, DOWN.replace("every: 1s", "every: 200ms") + "stop: {faults_met: 2}\n")
    assert (code, told["verdict"], list(told["phases"])) == (ExitCode.BELOW_GRADE, "aborted", ["before", "during"])
    assert told["phases"]["during"] < 10.0
    assert told["why"].startswith("stopped: faults_met was ")


def test_the_duration_and_the_seed_can_be_said(shell: Shell) -> None:
    _, told = ran(shell, DOWN, "--duration", "3s", "--seed", "9")
    assert (told["phases"]["during"], told["seed"]) == (3.0, 9)
    assert told["replay"] == "mdagent chaos run x.yaml --seed 9 --duration 3s"


def test_new_writes_an_experiment_that_can_be_run(shell: Shell) -> None:
    shell.good("chaos", "new", "monday.yaml")
    assert shell.run("chaos", "new", "monday.yaml").code == ExitCode.USAGE
    assert shell.good("chaos", "new").out == (shell.cwd / "monday.yaml").read_text("utf-8")


def test_list_names_experiments_faults_and_probes(shell: Shell) -> None:
    assert "primary-down" in {row["name"] for row in shell.good("chaos", "list").rows}
    assert "refused" in {row["kind"] for row in shell.good("chaos", "list", "--faults").rows}
    assert "availability" in {row["probe"] for row in shell.good("chaos", "list", "--probes").rows}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "primary-dwn"), "no experiment is called 'primary-dwn'\n  → did you mean primary-down?"),
        (("run", "nosuch.yaml"), "the experiment file cannot be read: No such file or directory"),
        (("suite", "slow"), "there is no suite 'slow'\n  → use quick, standard"),
        (("report",), "no run of chaos is kept yet\n  → mdagent chaos run primary-down"),
        (("report", "--plot", "x.gif"), "ends in .png or .svg"),
        (("report", "--list", "--plot", "x.svg"), "--list and --plot exclude each other\n  → name one"),
        (("report", "7"), "no run of chaos has the number 7"),
    ],
)
def test_a_wrong_word_is_told_with_the_next_step(shell: Shell, words: tuple[str, ...], message: str) -> None:
    said = shell.run("chaos", *words)
    assert said.code in (ExitCode.USAGE, ExitCode.CONFIG)
    assert message in said.err
