"""What is claimed of real processes, of damaged files, of resets and of edits can fail, and does where nothing was seen."""

from __future__ import annotations

from typing import Any

import pytest

from mdagent.chaos.probes import PROBES, Called, Phase, Process, holds

_EMPTY: dict[str, Any] = {"heard": (), "theirs": {}, "ours": {}, "over": {}, "changes": {}, "bars": 0, "wrong": {}, "lost": 0, "twice": 0}


def phase(*calls: Called, **more: Any) -> Phase:
    from mdagent.chaos.probes import Machine

    return Phase("during", 0.0, 10.0, calls=calls, machine=Machine(), **{**_EMPTY, **more})


def ran(asks: str = "fetch", why: str = "", **process: Any) -> Called:
    """A call of a process of its own; those that are told nothing else are well."""
    return Called("cron", asks, "AAPL", 0.0, 1.0, why, process=Process(process.pop("number", 1), **process))


EDITS = {"mdagent-edit-0": 3, "mdagent-edit-2": 1}


@pytest.mark.parametrize(
    ("probe", "limit", "good", "bad"),
    [
        ("reads", 1.0, phase(ran("read")), phase(ran("read"), ran("read", "no bars"))),
        ("named_failures", 1.0, phase(ran(named=True)), phase(ran(named=True), ran(number=2, named=False))),
        ("tracebacks", 0.0, phase(ran()), phase(ran(bug=True))),
        ("keys_told", 0.0, phase(ran()), phase(ran(keys=1))),
        ("silent_damage", 0.0, phase(ran(silent=0)), phase(ran(silent=1))),
        ("deleted_files", 0.0, phase(ran(gone=0)), phase(ran(gone=1))),
        ("wrong_resets", 0.0, phase(ran("resets")), phase(ran("resets", "granted too little"))),
        ("edits_adopted", 1.0, phase(agents=EDITS), phase(agents={"mdagent-edit-0": 3})),
        ("bad_edits_adopted", 0.0, phase(agents=EDITS), phase(agents=EDITS | {"mdagent-bad-edit-1": 1})),
        ("undisturbed", 1.0, phase(ran()), phase(ran(), ran(why="late"))),
    ],
)
def test_a_probe_tells_good_from_bad_and_nothing_from_good(probe: str, limit: float, good: Phase, bad: Phase) -> None:
    told = PROBES[probe]
    assert holds(told, told.measure(good), limit)
    assert not holds(told, told.measure(bad), limit)
    assert told.measure(phase()) is None


def test_how_often_faults_struck_is_counted() -> None:
    told = PROBES["times_struck"]
    assert holds(told, told.measure(phase(struck=3)), 3.0)
    assert not holds(told, told.measure(phase()), 1.0)
