"""Experiments on real processes: the machine's faults strike them, and the verdict tells what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from mdagent.chaos.resets import edges
from mdagent.chaos.shipped import shipped
from mdagent.config.kinds import LimitSettings
from mdagent.sources import NAMES, spec_of
from mdagent.wire.faults.host import BAD, GOOD, edits
from tests.cli.shell import Shell

FEW = """\
title: Hardly any file may be open
clock: 2024-02-05T15:00:00Z
sources: [yahoo]
real_time: true
phases: {before: 100ms, during: 800ms, after: 100ms}
load:
  - {who: watcher, asks: status, every: 400ms, deadline: 60s}
  - {who: chart, asks: fetch, every: 400ms, symbols: [AAPL], deadline: 60s, after: 200ms}
hypothesis: {named_failures: 100%, tracebacks: 0, times_struck: 1, keys_told: 0}
faults:
  - {kind: FAULT}
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize(("fault", "verdict"), [("few_files, files: 8", "held"), ("few_files, files: 512", "deviated")])
def test_a_fault_of_the_host_strikes_real_processes_and_what_does_not_fail_names_nothing(shell: Shell, fault: str, verdict: str) -> None:
    (shell.cwd / "x.yaml").write_text(FEW.replace("FAULT", fault), "utf-8")
    told = shell.run("chaos", "run", "x.yaml", "--json").json
    assert told["verdict"] == verdict, told["why"]
    assert told["replay"] == "mdagent chaos run x.yaml --seed 1"
    assert told["time"].startswith("real")
    assert told["faults"][0]["struck"] > 0
    if verdict == "held":
        assert set(told["failed_calls"]["during"]) == {"CONFIG"}


@pytest.mark.drill
@pytest.mark.parametrize(
    "name", ["killed-backfills", "full-disk", "few-files", "pressed-machine", "edited-settings", "rotten-store", "rotten-ledger"]
)
def test_the_shipped_ones_hold(shell: Shell, name: str) -> None:
    told = shell.run("chaos", "run", name, "--json").json
    assert told["verdict"] == "held", told["why"]


def test_edits_are_told_apart_and_undone(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text(f"sources:\n  yahoo:\n    user_agent: {GOOD}-0\n", "utf-8")
    before, told = config.read_bytes(), edits(config, Random(1))
    assert [next(told) for _ in range(4)] == [f"{BAD}-1", f"{GOOD}-2", f"{BAD}-3", f"{GOOD}-4"]
    assert f"{GOOD}-4" in config.read_text("utf-8")
    told.close()
    assert config.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [config]


def test_the_resets_are_those_of_changed_clocks_and_of_months() -> None:
    start, end = datetime(2024, 3, 5, tzinfo=UTC), datetime(2024, 4, 3, tzinfo=UTC)
    found = [edge.at for edge in edges(LimitSettings(3, "day", "America/New_York"), start, end)]
    assert found == [datetime(2024, 3, d, h, tzinfo=UTC) for d, h in ((10, 5), (11, 4), (12, 4))] + [datetime(2024, 4, 1, 4, tzinfo=UTC)]
    assert [edge.at for edge in edges(LimitSettings(3, "month"), start, end)] == [datetime(2024, 4, 1, tzinfo=UTC)]


def test_the_experiment_on_resets_has_every_zone_of_a_quota_and_three_years() -> None:
    told = shipped("calendar-resets")
    asked = {(quota.per, quota.zone) for quotas in told.quotas.values() for quota in quotas}
    known = {(q.per, q.zone) for name in NAMES for plan in spec_of(name).plans for q in plan.quotas if isinstance(q.per, str)}
    assert known <= asked
    assert told.phases.during >= 3 * 365 * 86400
    days = [edge.at for edge in edges(told.quotas["alphavantage"][0], told.clock, datetime(2026, 12, 1, tzinfo=UTC))]
    assert len(days) > 3 * (12 + 2 * 2)
    assert all(a < b for a, b in pairwise(days))
