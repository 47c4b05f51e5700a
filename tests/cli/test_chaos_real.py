"""`mdagent chaos run --real-time`: sockets of loopback, the machine's clock, and every kind of fault that these know."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from mdagent.cli.exits import ExitCode
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

SPOILT = """\
title: One is slow on the wire, one refuses, one is gone
clock: 2024-02-05T15:00:00Z
sources: [yahoo, twelvedata, polygon]
phases: {before: 300ms, during: 30s, after: 300ms}
load:
  - {who: prompt, asks: quote, every: 200ms, symbols: [AAPL, MSFT]}
  - {who: chart, asks: fetch, every: 300ms, fresh: true}
hypothesis: {availability: 50%, wrong_bars: 0, lost_bars: 0, duplicate_bars: 0, quota_violations: 0, uncounted_requests: 0}
faults:
  - {kind: toxic_latency, sources: [yahoo, twelvedata], delay: 20ms}
  - {kind: refused, sources: [polygon]}
  - {kind: rate_limited, sources: [yahoo]}
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_on_real_sockets_faults_of_proxy_network_and_provider_strike(shell: Shell) -> None:
    (shell.cwd / "x.yaml").write_text(SPOILT, "utf-8")
    said = shell.run("chaos", "run", "x.yaml", "--real-time", "--duration", "1s", "--json")
    told = json.loads(said.out)
    assert (said.code, told["verdict"]) == (ExitCode.OK, "held"), told["why"]
    assert told["time"] == "real, from 2024-02-05T15:00:00Z"
    assert told["replay"] == "mdagent chaos run x.yaml --seed 1 --duration 1s --real-time"
    assert told["phases"]["during"] >= 1.0
    struck = {one["kind"]: one["struck"] for one in told["faults"]}
    assert struck["toxic_latency"] > 0
    assert struck["rate_limited"] > 0
    assert told["availability"]["during"]["beyond_reach"] == 0, "who is late is at work"
    assert told["refusals"]["during"]["yahoo"] > 0
    assert set(told["quota"]["before"]) | set(told["quota"]["during"]) <= {"yahoo", "twelvedata", "polygon"}, "addresses are named"
    assert told["bars"]["after"]["compared"] > 0
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith(("mdagent-crowd", "mdagent-toxics", "sandbox-"))]
    assert left == []
    assert not [name for name in shell.files() if "bars" in name], "the store was thrown away"


@pytest.mark.parametrize(
    ("fault", "words", "message"),
    [
        (
            "kind: lock_held",
            ("--real-time",),
            "fault lock_held is one of simulated time, and cannot be had with --real-time\n  → leave out",
        ),
        (
            "kind: few_files",
            (),
            "fault few_files strikes processes of the machine, and time is simulated here\n  → add --real-time, or real_time: true",
        ),
        ("kind: refused}\n  - {kind: few_files", ("--real-time",), "fault refused is injected where a request leaves"),
        ("kind: toxic_reset", (), "fault toxic_reset needs real sockets, and time is simulated here\n  → add --real-time"),
    ],
)
def test_a_fault_that_this_time_does_not_know_is_refused_in_a_line(shell: Shell, fault: str, words: tuple[str, ...], message: str) -> None:
    text = SPOILT.partition("faults:")[0] + f"faults:\n  - {{{fault}}}\n"
    (shell.cwd / "x.yaml").write_text(text, "utf-8")
    said = shell.run("chaos", "run", "x.yaml", *words)
    assert (said.code, said.out) == (ExitCode.CONFIG, "")
    assert message in said.err
