"""Faults by chance: the same for the same seed, and shrunk to the fewest that still break a claim."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mdagent.chaos.chance import as_yaml, random_experiment, smallest
from mdagent.chaos.drill import run
from mdagent.chaos.experiment import Bound
from mdagent.chaos.reading import read_experiment
from mdagent.chaos.shipped import find
from mdagent.config import Flags, load
from mdagent.wire.faults import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from mdagent.chaos.drill import Outcome
    from mdagent.chaos.experiment import Experiment


@pytest.mark.parametrize("seed", range(1, 40))
def test_a_seed_makes_one_experiment_which_can_be_kept_in_a_file(seed: int) -> None:
    made = random_experiment(seed)
    assert made == random_experiment(seed)
    assert read_experiment(as_yaml(made), "x", "random") == made


@pytest.mark.parametrize("seed", range(1, 40))
def test_somebody_is_always_spared_and_one_lies_at_most(seed: int) -> None:
    made = random_experiment(seed)
    struck = {source for fault in made.faults for source in fault.sources if KINDS[fault.kind].where != "truth"}
    liars = {source for fault in made.faults for source in fault.sources if KINDS[fault.kind].where == "truth"}
    assert set(made.sources) - struck - liars
    assert len(liars) <= 1


def test_for_real_time_only_faults_are_drawn_that_it_knows() -> None:
    drawn = {KINDS[fault.kind].where for seed in range(1, 40) for fault in random_experiment(seed, real=True).faults}
    assert drawn == {"transport", "provider", "truth"}


def test_an_experiment_by_chance_can_be_named(tmp_path: Path) -> None:
    assert find("random-7", tmp_path) == random_experiment(7)


def test_of_faults_that_break_a_claim_the_fewest_are_left() -> None:
    seed = next(n for n in range(1, 100) if len(random_experiment(n).faults) == 5)
    whole, runs = random_experiment(seed), []
    guilty = (whole.faults[1], whole.faults[3])

    def run(one: Experiment) -> Outcome:
        runs.append(len(one.faults))
        row: Any = SimpleNamespace(bound=Bound("wrong_bars", 0.0), held=(True, not all(fault in one.faults for fault in guilty), True))
        return cast("Outcome", SimpleNamespace(experiment=one, rows=(row,)))

    left = smallest(run(whole), run)
    assert left.experiment.faults == guilty
    assert len(runs) <= 1 + 5


@pytest.mark.drill
@pytest.mark.parametrize("name", ["first-bar-lies", "quote-lies", "slow-opinion"])
def test_what_chance_once_broke_holds(name: str, tmp_path: Path) -> None:
    settings = load(Flags(sandbox=True), {"MDAGENT_HOME": os.devnull}, tmp_path).settings
    assert run(find(name, tmp_path), settings).verdict == "held"
