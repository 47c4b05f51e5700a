"""What the ledger says of waits, of counts and of the pace, where two rules meet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mdagent.guard.limits import Grant, Refusal, Window
from mdagent.guard.outcome import Attempt, Failure, FailureKind
from mdagent.market import Priority
from mdagent.store.quota import LOOK, Lesson, Reservation, Rules
from mdagent.store.recall import factor_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.clock import VirtualClock
    from mdagent.store.ledger import Ledger

START = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
WHAT = Reservation("bars", "one.example", "run-1", "AAPL", priority=Priority.HIGH)
RULES = Rules(observe_only=True)
TEN = (Window(10, 60.0),)
BUSY = Failure(FailureKind.RATE_LIMITED, "HTTP 429", 429)


def granted(ledger: Ledger, windows: Sequence[Window] = TEN) -> int:
    """How many more go now."""
    return next(n for n in range(100) if not isinstance(ledger.reserve("parrot", windows, what=WHAT, rules=RULES), Grant))


def went(ledger: Ledger, failure: Failure | None = None) -> None:
    grant = ledger.reserve("parrot", TEN, what=WHAT, rules=RULES)
    assert isinstance(grant, Grant)
    attempt = Attempt("parrot", "bars", "one.example", START, 10.0, failure.status if failure else 200, 10, failure, token=grant.token)
    ledger.settle(grant.token, attempt, refund=False, lesson=Lesson("parrot", TEN, RULES, grant.generations))


# What the provider counts


@pytest.mark.parametrize("of", ["credits", "requests"])
def test_a_provider_that_has_less_left_is_believed_whatever_it_counts(ledger: Ledger, of: str) -> None:
    windows = (Window(10, 60.0, of=of),)  # type: ignore[arg-type]
    ledger.correct("parrot", windows[0], left=2)
    assert granted(ledger, windows) == 2


# What a refusal tells


def test_of_a_block_and_a_quota_the_longer_wait_is_told(ledger: Ledger, clock: VirtualClock) -> None:
    """Else one that can wait 30 s waits for 10 s in vain."""
    assert granted(ledger) == 10
    ledger.block("parrot", 10.0, "asked to be left alone")
    refused = ledger.reserve("parrot", TEN, what=replace(WHAT, patience=30.0), rules=RULES)
    assert isinstance(refused, Refusal)
    assert (refused.wait, refused.ticket) == (62.0, None)


def test_a_waiter_that_is_gone_keeps_its_place_for_no_longer_than_two_looks(ledger: Ledger, clock: VirtualClock) -> None:
    for _ in range(10):
        went(ledger)
    for _ in range(10):
        gone = ledger.reserve("parrot", TEN, what=replace(WHAT, patience=1e9), rules=RULES)
        assert isinstance(gone, Refusal)
        assert gone.wait == 62.0
    clock.pause(2 * LOOK)
    refused = ledger.reserve("parrot", TEN, what=WHAT, rules=RULES)
    assert isinstance(refused, Refusal)
    assert refused.wait == 62.0 - 2 * LOOK, "as if nobody were ahead"


# The pace


def hastened(ledger: Ledger, clock: VirtualClock) -> datetime:
    """Slowed by a refusal, and a window later, well used, a step faster. When the refusal came."""
    went(ledger, BUSY)
    slowed = clock.now()
    clock.pause(62.0)
    for _ in range(3):
        went(ledger)
    assert factor_of(ledger, "parrot") == pytest.approx(0.55)
    return slowed


def test_a_429_after_a_step_up_slows_down_again(ledger: Ledger, clock: VirtualClock) -> None:
    slowed = hastened(ledger, clock)
    went(ledger, BUSY)
    assert clock.now() - slowed > timedelta(seconds=60), "the last step down is a window ago"
    assert factor_of(ledger, "parrot") == pytest.approx(0.275)


def test_no_step_up_comes_within_a_window_after_a_429(ledger: Ledger, clock: VirtualClock) -> None:
    went(ledger, BUSY)
    clock.pause(59.0)
    went(ledger, BUSY)
    clock.pause(1.0)
    for _ in range(3):
        went(ledger)
    assert factor_of(ledger, "parrot") == 0.5
