"""A suite: several experiments at once, told in their order, the same as one after the other."""

from __future__ import annotations

import os
from pathlib import Path

from mdagent.chaos.reading import read_experiment
from mdagent.chaos.shipped import SUITES, shipped
from mdagent.chaos.suite import run_all, toil
from mdagent.config import Flags, load

SHORT = """\
title: The first source is down for {0} s
clock: 2024-02-05T15:00:00Z
sources: [yahoo, twelvedata]
phases: {{before: 1s, during: {0}s, after: 1s}}
load:
  - {{who: prompt, asks: quote, every: 500ms, symbols: [AAPL]}}
hypothesis: {{availability: 99%}}
faults:
  - {{kind: refused, sources: [yahoo]}}
"""


def test_several_at_once_are_told_in_their_order_and_as_one_after_the_other(tmp_path: Path) -> None:
    settings = load(Flags(sandbox=True), {"MDAGENT_HOME": os.devnull}, tmp_path).settings
    asked = [read_experiment(SHORT.format(seconds), "x.yaml", f"of-{seconds}") for seconds in (1, 3)]
    told = list(run_all(asked, settings, jobs=2))
    assert [one["experiment"] for one in told] == ["of-1", "of-3"]
    assert told == list(run_all(asked, settings, jobs=1))


def test_the_longest_of_the_standard_suite_is_known_beforehand() -> None:
    order = sorted(SUITES["standard"], key=lambda name: -toil(shipped(name)))
    assert order[:2] == ["trading-week", "cron-evening"], "what is begun last takes a second or two"
