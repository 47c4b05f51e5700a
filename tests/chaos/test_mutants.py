"""The suite is tested, too: with a safeguard switched off, the matching experiment does not hold."""

from __future__ import annotations

import pytest

from mdagent.chaos.chance import broken_by
from mdagent.chaos.shipped import SUITES, shipped
from tests.chaos.mutants import MUTANTS, Mutant, let_loose


@pytest.mark.drill
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.off.replace(" ", "-"))
def test_a_mutant_is_killed_by_its_experiment(mutant: Mutant) -> None:
    ran = let_loose(mutant)
    assert ran.verdict in ("failed", "deviated")
    assert mutant.claim in broken_by(ran)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.off.replace(" ", "-"))
def test_the_experiment_that_kills_it_is_in_the_standard_suite_or_of_real_time(mutant: Mutant) -> None:
    real = shipped(mutant.experiment).real_time
    assert mutant.experiment in SUITES["comprehensive" if real else "standard"]
