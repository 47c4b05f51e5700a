"""People at the machine's own time: all at once, and none goes on once one has failed."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Barrier

import pytest

from mdagent.chaos.crowd import Crowd, CrowdClock

START = datetime(2024, 2, 5, 15, tzinfo=UTC)
LONG = 3600.0


def test_all_are_at_work_at_once() -> None:
    together = Barrier(3, timeout=10.0)
    Crowd(CrowdClock.starting_at(START)).run([(0.0, lambda: (together.wait(), None)[1])] * 3)
    assert not together.broken


def test_one_who_fails_is_told_and_nobody_waits_any_longer() -> None:
    clock, went_on = CrowdClock.starting_at(START), []

    def sleeps() -> None:
        clock.pause(LONG)
        went_on.append("slept")

    def fails() -> None:
        msg = "a bug"
        raise LookupError(msg)

    crowd = Crowd(clock)
    with pytest.raises(LookupError, match="a bug"):
        crowd.run([(0.0, sleeps), (0.01, fails), (LONG, sleeps)])
    assert crowd.over
    assert went_on == []
    clock.pause(0.0)  # it is anybody's again
