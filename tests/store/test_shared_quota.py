"""The ledger as eight processes use it at once: classes, queue, keys, pace, budgets and what a provider says itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mdagent.guard.cost import Budget
from mdagent.guard.limits import Denied, Grant, Refusal, Window
from mdagent.guard.outcome import Attempt, Failure, FailureKind
from mdagent.market import Priority
from mdagent.store.ledger import Ledger, open_ledger
from mdagent.store.quota import LOOK, NO_RULES, Lesson, Reservation, Rules
from mdagent.store.recall import factor_of, quota_left

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mdagent.clock import VirtualClock

START = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
WHAT = Reservation("bars", "one.example", "run-1", "AAPL", priority=Priority.HIGH)
TEN = (Window(10, 60.0),)


def granted(ledger: Ledger, what: Reservation = WHAT, rules: Rules = NO_RULES) -> int:
    """How many such requests go at once."""
    return next(n for n in range(100) if not isinstance(ledger.reserve("yahoo", TEN, what=what, rules=rules), Grant))


def went(ledger: Ledger, failure: Failure | None = None, *, rules: Rules = NO_RULES, ms: float = 10.0) -> None:
    """One more request, and how it ended."""
    grant = ledger.reserve("yahoo", TEN, what=WHAT, rules=rules)
    assert isinstance(grant, Grant), grant
    attempt = Attempt("yahoo", "bars", "one.example", START, ms, failure.status if failure else 200, 10, failure, token=grant.token)
    ledger.settle(grant.token, attempt, refund=False, lesson=Lesson("yahoo", TEN, rules, grant.generations))


# Classes


@pytest.mark.parametrize(
    ("priority", "share"), [(Priority.CRITICAL, 10), (Priority.HIGH, 10), (Priority.NORMAL, 9), (Priority.LOW, 8), (Priority.BATCH, 7)]
)
def test_each_class_leaves_a_part_of_the_window_to_those_above_it(ledger: Ledger, priority: Priority, share: int) -> None:
    assert granted(ledger, replace(WHAT, priority=priority)) == share
    assert granted(ledger) == 10 - share, "somebody at the prompt still finds room"


def test_a_refusal_of_a_share_says_that_it_is_one(ledger: Ledger) -> None:
    batch = replace(WHAT, priority=Priority.BATCH)
    granted(ledger, batch)
    refused = ledger.reserve("yahoo", TEN, what=batch)
    assert isinstance(refused, Refusal)
    assert refused.reason == "the quota of 7 of 10 per 1m is spent"


def test_a_request_that_costs_more_than_its_share_goes_when_nothing_else_does(ledger: Ledger, clock: VirtualClock) -> None:
    dear = replace(WHAT, priority=Priority.BATCH, cost=9)
    assert isinstance(ledger.reserve("yahoo", TEN, what=dear), Grant)
    assert isinstance(ledger.reserve("yahoo", TEN, what=dear), Refusal)
    clock.pause(62.0)
    assert isinstance(ledger.reserve("yahoo", TEN, what=dear), Grant)


# The queue


def waiting(ledger: Ledger, what: Reservation) -> Refusal:
    answer = ledger.reserve("yahoo", TEN, what=replace(what, patience=1000.0))
    assert isinstance(answer, Refusal)
    assert answer.ticket is not None
    return answer


def look(ledger: Ledger, clock: VirtualClock, waiters: Sequence[Reservation], until: float = 62.1) -> None:
    """Those that wait look again as often as they do, until then."""
    while clock.monotonic() < until:
        clock.pause(min(LOOK, until - clock.monotonic()))
        for what in waiters if clock.monotonic() < until else ():
            assert isinstance(ledger.reserve("yahoo", TEN, what=replace(what, patience=1000.0)), Refusal)


def test_who_waits_longer_goes_first_in_its_class_and_a_better_class_before_all(ledger: Ledger, clock: VirtualClock) -> None:
    granted(ledger)
    order = [replace(WHAT, subject=name, priority=p) for name, p in (("A", 4), ("B", 2), ("C", 2), ("D", 1))]  # type: ignore[arg-type]
    tickets = {what.subject: waiting(ledger, what).ticket for what in order}
    look(ledger, clock, [replace(what, ticket=tickets[what.subject]) for what in order])
    for _ in range(7):  # of the nine that NORMAL may use two are left
        ledger.reserve("yahoo", TEN, what=replace(WHAT, priority=Priority.CRITICAL))
    went = []
    for what in order:  # whoever looks first: those behind find the places taken
        answer = ledger.reserve("yahoo", TEN, what=replace(what, ticket=tickets[what.subject], patience=1000.0))
        went += [what.subject] * isinstance(answer, Grant)
    assert went == ["B", "D"]


def test_the_wait_that_is_told_counts_those_ahead(ledger: Ledger) -> None:
    granted(ledger)
    waits = [waiting(ledger, replace(WHAT, subject=str(n))).wait for n in range(21)]
    assert waits[:10] == [62.0] * 10
    assert waits[10:20] == [124.0] * 10
    assert waits[20] == 186.0


def test_a_newcomer_does_not_overtake_those_that_wait(ledger: Ledger, clock: VirtualClock) -> None:
    granted(ledger)
    look(ledger, clock, [replace(WHAT, ticket=waiting(ledger, WHAT).ticket) for _ in range(10)])
    refused = ledger.reserve("yahoo", TEN, what=WHAT)
    assert isinstance(refused, Refusal)
    assert isinstance(ledger.reserve("yahoo", TEN, what=replace(WHAT, priority=Priority.CRITICAL)), Grant), "a better class does"


def test_who_does_not_come_back_has_lost_its_place(ledger: Ledger, clock: VirtualClock) -> None:
    granted(ledger)
    look(ledger, clock, [replace(WHAT, ticket=waiting(ledger, WHAT).ticket) for _ in range(10)], until=57.0)
    clock.pause(LOOK + 5.1)
    assert granted(ledger) == 10


def test_a_place_can_be_given_up(ledger: Ledger, clock: VirtualClock) -> None:
    granted(ledger)
    tickets = [waiting(ledger, WHAT).ticket for _ in range(10)]
    for ticket in tickets:
        ledger.leave(ticket)  # type: ignore[arg-type]
    clock.pause(62.1)
    assert granted(ledger) == 10


def test_who_cannot_wait_so_long_takes_no_place(ledger: Ledger) -> None:
    granted(ledger)
    refused = ledger.reserve("yahoo", TEN, what=replace(WHAT, patience=61.0))
    assert isinstance(refused, Refusal)
    assert refused.ticket is None
    assert ledger.rows("SELECT * FROM waiting") == []


# Keys


def test_each_key_has_a_quota_of_its_own_and_older_requests_count_for_all(ledger: Ledger) -> None:
    assert granted(ledger, rules=Rules("yahoo:1111")) == 10
    assert granted(ledger, rules=Rules("yahoo:2222")) == 10
    assert isinstance(ledger.reserve("other", TEN, what=WHAT), Grant)  # before keys were told apart
    assert isinstance(ledger.reserve("other", TEN, what=WHAT, rules=Rules("other:1111")), Grant)
    left = quota_left(ledger, "other", TEN, "other:1111", START)
    assert [w.used for w in left] == [2]


# What the provider says


def test_a_provider_that_counts_more_is_believed_and_one_that_counts_less_is_not(ledger: Ledger) -> None:
    went(ledger)
    ledger.correct("yahoo", TEN[0], left=4)
    assert granted(ledger) == 4
    ledger.correct("yahoo", TEN[0], left=9)
    assert granted(ledger) == 0


# Pace


BUSY = Failure(FailureKind.RATE_LIMITED, "HTTP 429", 429)
OVERLOADED = Failure(FailureKind.SERVER_ERROR, "HTTP 503", 503)


def test_a_429_that_the_quota_did_not_foresee_halves_the_pace_once_a_window(ledger: Ledger, clock: VirtualClock) -> None:
    went(ledger, BUSY)
    assert factor_of(ledger, "yahoo") == 0.5
    went(ledger, BUSY)
    assert factor_of(ledger, "yahoo") == 0.5
    assert granted(ledger) == 3, "half of ten, two of which are used"
    clock.pause(62.0)
    went(ledger, BUSY)
    assert factor_of(ledger, "yahoo") == 0.25


def test_it_grows_again_by_a_step_a_window_but_only_when_it_is_used(ledger: Ledger, clock: VirtualClock) -> None:
    went(ledger, BUSY)
    clock.pause(62.0)
    went(ledger)
    assert factor_of(ledger, "yahoo") == 0.5, "one of five is no use of it"
    for _ in range(4):
        went(ledger)
    assert factor_of(ledger, "yahoo") == 0.55
    clock.pause(3600.0)
    assert factor_of(ledger, "yahoo") == 0.55, "time alone proves nothing"


@pytest.mark.parametrize(("strategy", "factor"), [("conservative", 0.5), ("balanced", 0.5), ("aggressive", 0.7)])
def test_the_strategy_says_how_much(ledger: Ledger, strategy: str, factor: float) -> None:
    went(ledger, BUSY, rules=Rules(strategy=strategy, observe_only=True))
    assert factor_of(ledger, "yahoo") == factor


def test_three_overloads_in_a_row_are_a_refusal(ledger: Ledger) -> None:
    for failure, factor in ((OVERLOADED, 1.0), (OVERLOADED, 1.0), (None, 1.0), (OVERLOADED, 1.0), (OVERLOADED, 1.0), (OVERLOADED, 0.5)):
        went(ledger, failure, rules=Rules(observe_only=True))
        assert factor_of(ledger, "yahoo") == factor


def test_the_pace_survives_a_restart(tmp_path: Path, ledger: Ledger, clock: VirtualClock) -> None:
    went(ledger, BUSY)
    with open_ledger(tmp_path / "ledger.db", clock) as other:
        assert factor_of(other, "yahoo") == 0.5


# Budgets


def test_a_budget_is_enforced_and_says_until_when(ledger: Ledger, clock: VirtualClock) -> None:
    rules, paid = Rules(budgets=(Budget(0.05, "day", "yahoo"), Budget(1.0, "month"))), replace(WHAT, usd=0.02)
    assert granted(ledger, paid, rules) == 2
    denied = ledger.reserve("yahoo", TEN, what=paid, rules=rules)
    assert isinstance(denied, Denied)
    assert denied.kind is FailureKind.BUDGET
    assert denied.reason == "the budget of 0.05 USD a day for yahoo would be passed: 0.0400 is spent, 0.0200 more is asked for"
    assert denied.until == datetime(2024, 1, 18, 0, 1, tzinfo=UTC)
    assert isinstance(ledger.reserve("yahoo", TEN, what=WHAT, rules=rules), Grant), "what costs nothing still goes"
    clock.pause((denied.until - clock.now()).total_seconds())
    assert isinstance(ledger.reserve("yahoo", TEN, what=paid, rules=rules), Grant)


def test_a_budget_of_all_counts_every_source(ledger: Ledger) -> None:
    rules, paid = Rules(budgets=(Budget(0.05, "month"),)), replace(WHAT, usd=0.03)
    assert isinstance(ledger.reserve("yahoo", TEN, what=paid, rules=rules), Grant)
    assert isinstance(ledger.reserve("polygon", TEN, what=paid, rules=rules), Denied)


# Clocks


def test_a_clock_set_back_does_not_mislead_what_was_counted_before(ledger: Ledger, clock: VirtualClock) -> None:
    day = (Window(5, "day"),)
    for _ in range(5):
        assert isinstance(ledger.reserve("yahoo", day, what=WHAT), Grant)
    clock.set(START - timedelta(days=3))
    assert isinstance(ledger.reserve("yahoo", day, what=WHAT), Refusal)
    clock.set(START)
    assert isinstance(ledger.reserve("yahoo", day, what=WHAT), Refusal)
    clock.pause(86_400.0)
    assert isinstance(ledger.reserve("yahoo", day, what=WHAT), Grant)
