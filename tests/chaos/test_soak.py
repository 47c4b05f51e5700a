"""A day of real time, shortened: what it claims, what it says on the way, and how growth is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdagent.chaos.drill import slope
from mdagent.chaos.probes import PROBES
from mdagent.chaos.soak import DAY, soak
from mdagent.cli.exits import ExitCode
from mdagent.wire.faults import KINDS
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.drill
def test_the_extended_suite_runs_for_as_long_as_it_is_told_and_says_how_it_goes(shell: Shell) -> None:
    said = shell.run("chaos", "suite", "extended", "--duration", "20s", "--seed", "3", "--json")
    told = said.json
    assert (said.code, told["verdict"]) == (ExitCode.OK, "held"), told["why"]
    assert told["replay"] == "mdagent chaos suite extended --seed 3 --duration 20s"
    assert "whether memory grows: a run of less than an hour does not tell" in told["not_tested"]
    assert set(told["availability"]["by_what"]) == {"backfill", "fetch", "quote", "status"}
    assert " answered, faults struck " in said.err
    assert shell.good("chaos", "report", "--list").rows[0]["suite"] == "extended"


def test_only_the_extended_suite_has_a_length(shell: Shell) -> None:
    said = shell.run("chaos", "suite", "quick", "--duration", "2h")
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert "the suite quick lasts as long as its experiments" in said.err


def test_a_seed_makes_a_day_of_faults_of_which_one_source_is_spared() -> None:
    one, again, other = soak(7), soak(7), soak(8)
    assert one == again
    assert one.faults != other.faults
    assert len(one.faults) > 200
    assert len({source for fault in one.faults for source in fault.sources}) == 3
    assert len({fault.sources for fault in one.faults if KINDS[fault.kind].where == "truth"}) == 1
    assert all(0 < fault.start < DAY for fault in one.faults)
    claims = dict(one.hypothesis)
    assert (claims["availability"], claims["memory_slope"], claims["quota_violations"]) == (0.995, 1.0, 0.0)
    assert "memory_slope" not in dict(soak(7, 600.0).hypothesis)
    assert set(claims) <= set(PROBES)


def test_growth_is_told_by_the_hour_and_not_of_less_than_one() -> None:
    hours = 10 * 3600.0
    sizes = [(float(at), 100.0 + (50.0 if at < 3000 else 60.0 + at / 3600.0)) for at in range(0, 36000, 60)]
    assert slope(sizes, 0.0, hours) == pytest.approx(1.0, abs=0.01)
    assert slope([(at, 7.0) for at, _ in sizes], 0.0, hours) == 0.0
    assert slope(sizes, 0.0, 3000.0) is None
    assert slope([], 0.0, hours) is None
