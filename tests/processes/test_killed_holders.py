"""Drill D23: what a process holds when SIGKILL ends it is free again: its probe when the lease is over, the ledger's lock at once."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import SystemClock, VirtualClock
from mdagent.guard.breaker import State
from mdagent.guard.limits import Denied, Grant
from mdagent.guard.outcome import Attempt, Failure, FailureKind
from mdagent.store.ledger import Ledger, open_ledger
from mdagent.store.quota import Lesson
from mdagent.store.recall import breakers_of
from tests.processes.crowd import MANY, RULES, SOURCE, WHAT, hear, start, tell

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

START = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=RULES.lease)
SECOND = timedelta(seconds=1)


def went(ledger: Ledger, grant: Grant, failure: Failure | None = None) -> None:
    """How a request ended."""
    attempt = Attempt(SOURCE, "bars", "127.0.0.1", START, 10.0, failure.status if failure else 200, 10, failure, token=grant.token)
    ledger.settle(grant.token, attempt, refund=False, lesson=Lesson(SOURCE, MANY, RULES, grant.generations))


def opened(ledger: Ledger) -> datetime:
    """Fail three times; when the source is to be tested again."""
    for _ in range(3):
        grant = ledger.reserve(SOURCE, MANY, what=WHAT, rules=RULES)
        assert isinstance(grant, Grant)
        went(ledger, grant, Failure(FailureKind.SERVER_ERROR, "HTTP 500", 500))
    until = breakers_of(ledger, SOURCE)[""].until
    assert until is not None
    return until


@contextmanager
def doomed(role: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """A process that is ready to take hold of something; killed in the end."""
    with start(role, *words) as process:
        try:
            hear(process, "ready")
            yield process
        finally:
            process.kill()
            process.communicate()


def test_a_probe_whose_holder_was_killed_is_free_when_its_lease_is_over(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    with open_ledger(tmp_path / "ledger.db", clock) as ledger:
        due = opened(ledger)
        clock.set(due)
        with doomed("probe", ledger.path, due.isoformat()) as holder:
            tell(holder)
            hear(holder, "probing")
            held = ledger.reserve(SOURCE, MANY, what=WHAT, rules=RULES)
        assert held == Denied(FailureKind.BREAKER_OPEN, "run-killed is testing it", due + LEASE)
        clock.set(due + LEASE - SECOND)
        assert ledger.reserve(SOURCE, MANY, what=WHAT, rules=RULES) == held, "the dead hold it still"
        clock.set(due + LEASE + SECOND)
        grant = ledger.reserve(SOURCE, MANY, what=WHAT, rules=RULES)
        assert isinstance(grant, Grant)
        assert grant.probe
        went(ledger, grant)
        assert breakers_of(ledger, SOURCE)[""].good == 1, "it is one of the three that close it"


def test_a_probe_that_nobody_told_the_end_of_is_no_failure(tmp_path: Path) -> None:
    """Five holders in a row are killed: the breaker waits for a probe that comes to an end, and is not held to have failed."""
    clock = VirtualClock(START)
    with open_ledger(tmp_path / "ledger.db", clock) as ledger:
        due = opened(ledger)
        for _ in range(5):
            clock.set(due)
            grant = ledger.reserve(SOURCE, MANY, what=WHAT, rules=RULES)
            assert isinstance(grant, Grant)
            due += LEASE
        breaker = breakers_of(ledger, SOURCE)[""]
        assert (breaker.state, breaker.trips) == (State.HALF_OPEN, 1)


@pytest.mark.parametrize("times", [1, 3])
def test_a_decision_whose_process_is_killed_is_not_made_and_holds_up_nobody(tmp_path: Path, times: int) -> None:
    clock = SystemClock()
    with open_ledger(tmp_path / "ledger.db", clock) as ledger:
        for _ in range(times):
            with doomed("hold", ledger.path) as holder:
                tell(holder)
                hear(holder, "holding")
        began = clock.monotonic()
        assert isinstance(ledger.reserve(SOURCE, MANY, what=WHAT, rules=RULES), Grant)
        assert clock.monotonic() - began <= 1.0
        assert ledger.check() == "ok"
        assert ledger.rows("SELECT name FROM marks") == [], "nothing of it is left"
