"""Experiment files: strict, and an error names the line and the next step."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files

import pytest

from mdagent.chaos.experiment import Bound
from mdagent.chaos.probes import PROBES
from mdagent.chaos.reading import read_experiment
from mdagent.chaos.shipped import SUITES, names, shipped
from mdagent.errors import ConfigError

GOOD = """\
title: Yahoo is down
clock: 2024-02-05T15:00:00Z
sources: [yahoo, twelvedata]
phases: {before: 30s, during: 2m, after: 1h}
load:
  - {who: prompt, asks: quote, every: 500ms, symbols: [AAPL, MSFT]}
  - {who: chart, asks: fetch, every: 20, fresh: true, back: 7d}
hypothesis:
  availability: 99.5%
  failover_p95: 300ms
  wrong_bars: 0
faults:
  - {kind: latency, sources: [yahoo], start: 5s, for: 5s, again: 10s, times: 3, delay: 2s}
"""


def test_an_experiment_is_what_its_file_says() -> None:
    told = read_experiment(GOOD, "x.yaml", "x")
    assert told.clock == datetime(2024, 2, 5, 15, tzinfo=UTC)
    assert told.phases == (30.0, 120.0, 3600.0)
    assert [h.every for h in told.load] == [0.5, 20.0]
    assert told.hypothesis == (Bound("availability", 0.995), Bound("failover_p95", 0.3), Bound("wrong_bars", 0.0))
    assert [(f.start, f.seconds) for f in told.faults] == [(5.0, 5.0), (15.0, 5.0), (25.0, 5.0)]
    assert told.faults[0].settings == {"delay": 2.0, "jitter": 0.0}


def test_in_real_time_other_limits_hold() -> None:
    told = read_experiment(f"{GOOD}in_real_time:\n  failover_p95: 500ms\n", "x.yaml", "x")
    assert told.hypothesis[1] == Bound("failover_p95", 0.3)
    assert told.on_machine_time().hypothesis == (Bound("availability", 0.995), Bound("failover_p95", 0.5), Bound("wrong_bars", 0.0))


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("title:", "titel:", "x.yaml:1: the experiment: there is no setting 'titel'", "did you mean title?"),
        ("title: Yahoo is down\n", "", "x.yaml:1: the experiment title is missing", "mdagent chaos new"),
        ("sources: [yahoo,", "sources: [yaho,", "x.yaml:3: sources[0] is 'yaho': must be one of", "did you mean yahoo?"),
        ("asks: quote", "asks: quotes", "x.yaml:6: load[0].asks is 'quotes': must be one of", "did you mean quote?"),
        ("every: 500ms", "every: soon", "x.yaml:6: load[0].every is 'soon': must be a time", "mdagent chaos new"),
        ("[AAPL, MSFT]", "[AAPL, NOSUCH]", "x.yaml:6: load[0].symbols[1] is 'NOSUCH': is not traded in the sandbox", "use AAPL"),
        ("availability:", "availabilty:", "x.yaml:9: hypothesis: there is no probe 'availabilty'", "did you mean availability?"),
        ("99.5%", "-1", "x.yaml:9: hypothesis.availability is -1: must be a number", "mdagent chaos new"),
        ("kind: latency", "kind: latenzy", "x.yaml:13: faults[0]: fault 'latenzy': there is no such kind", "did you mean latency?"),
        ("delay: 2s", "delai: 2s", "x.yaml:13: faults[0]: fault latency: it has no setting 'delai'", "it has delay, jitter"),
        ("kind: latency, ", "kind: disk_full, ", "x.yaml:13: faults[0]: fault disk_full: it has no setting 'delay'", "it has room"),
        ("faults:", "in_real_time: {recovery: 9s}\nfaults:", "x.yaml: in_real_time has a limit of recovery, of which", "add it to the"),
        ("fresh: true, ", "fresh: true, source: tiingo, ", "x.yaml:7: load[1] resets are those of a source", "say source: tiingo"),
        (
            "sources: [yahoo",
            "quotas: {yahoo: [{limit: 0, per: day}]}\nsources: [yahoo",
            "x.yaml:3: quotas.yahoo must be",
            "mdagent chaos new",
        ),
        ("again: 10s", "again: 4s", "x.yaml:13: faults[0].again is '4s': must be longer", "mdagent chaos new"),
        ("fresh: true, ", "", "x.yaml:7: load[1] it asks for no symbol", "say symbols: 10"),
        ("who: chart", "who: prompt", "x.yaml:5: load two have the same name", "mdagent chaos new"),
        ("clock: 2024-02-05T15:00:00Z", "clock: monday", "x.yaml:2: clock is 'monday': must be an instant", "mdagent chaos new"),
        ("title: Yahoo is down", "title: &a Yahoo", "x.yaml:1: column 8: the alias or anchor 'a' is refused", "write the value out"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_the_next_step(old: str, new: str, message: str, hint: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as refused:
        read_experiment(GOOD.replace(old, new, 1), "x.yaml", "x")
    assert refused.value.message.startswith(message), refused.value.message
    assert hint in refused.value.hint


@pytest.mark.parametrize("name", names())
def test_every_experiment_that_comes_along_claims_something_and_is_in_a_suite(name: str) -> None:
    assert shipped(name).hypothesis
    assert any(name in suite for suite in SUITES.values())


def test_the_template_is_a_whole_experiment() -> None:
    text = files("mdagent.chaos").joinpath("template.yaml").read_text("utf-8")
    assert read_experiment(text, "new", "new").stop == (Bound("availability", 0.5),)


def test_every_probe_is_claimed_by_some_experiment() -> None:
    claimed = {bound.probe for name in names() for bound in shipped(name).hypothesis}
    assert set(PROBES) - claimed == set()
