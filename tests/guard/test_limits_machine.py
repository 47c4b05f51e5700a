"""Drill D25: the limiter, as the ledger keeps it for several processes, against a model that holds a list of what was sent.

While the clock is right the model foretells every answer. Whatever happens, what the provider sees is within its limits in true time,
and what a day or a month of the machine's own calendar has.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from mdagent.clock import VirtualClock
from mdagent.guard.cost import Budget
from mdagent.guard.limits import Denied, Grant, Refusal, Window
from mdagent.guard.outcome import Attempt, Failure, FailureKind
from mdagent.market import Priority
from mdagent.store.ledger import Ledger, open_ledger
from mdagent.store.quota import Lesson, Reservation, Rules
from mdagent.store.recall import factor_of, quota_left
from tests.guard.limits_model import Model, Sent, Waiter, label

START = datetime(2024, 3, 9, 22, 0, tzinfo=UTC)  # two hours before a day of 23 hours in New York, and three weeks before a month's end
SOURCE, ACCOUNT = "parrot", "parrot:1111"
GRACE, FOREVER = 5.0, 1e9
PROCESSES = 2
WINDOWS = [
    (Window(10, 60.0),),
    (Window(3, 60.0), Window(6, "day")),
    (Window(10, 10.0, of="requests"), Window(30, 600.0)),
    (Window(2, 1.0, of="requests"), Window(5, 3600.0), Window(8, "month", "America/New_York")),
    (Window(10, "day", "America/New_York"),),
]
BUDGETS: list[tuple[Budget, ...]] = [(), (Budget(0.05, "day", SOURCE),), (Budget(0.04, "day"), Budget(0.10, "month"))]
FAILURES = {
    "good": None,
    "429": Failure(FailureKind.RATE_LIMITED, "HTTP 429", 429),
    "503": Failure(FailureKind.SERVER_ERROR, "HTTP 503", 503),
    "else": Failure(FailureKind.SERVER_ERROR, "HTTP 500", 500),
}
UNSENT = Failure(FailureKind.CONNECT_FAIL, "refused")
priorities = st.sampled_from(Priority)
forth = st.sampled_from([0.5, 1.0, 3.0, 5.5, 12.0, 30.0, 61.5, 62.0, 600.0, 3600.0, 7200.0, 86400.0])


def wish(cost: int, priority: Priority, **more: Any) -> Reservation:
    return Reservation("bars", "one.example", "run-1", "AAPL", cost, priority=priority, **more)


class Machine(RuleBasedStateMachine):
    model: Model

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = VirtualClock(START)
        self.wrong = timedelta(0)  # by so much the wall clock is ahead
        self.clock_moves = False
        self.begun: list[tuple[Grant, Sent]] = []
        self.silent_until = 0.0  # on the true clock
        self.straight = True  # it was never wrong
        self.ledgers: list[Ledger] = []

    def teardown(self) -> None:
        for ledger in self.ledgers:
            ledger.close()
        self.folder.cleanup()

    @initialize(
        windows=st.sampled_from(WINDOWS),
        budgets=st.sampled_from(BUDGETS),
        strategy=st.sampled_from(["conservative", "balanced", "aggressive"]),
        clock_moves=st.booleans(),
    )
    def all_begins(self, windows: tuple[Window, ...], budgets: tuple[Budget, ...], strategy: str, clock_moves: bool) -> None:
        self.model = Model(windows, budgets, strategy)
        self.law = Rules(ACCOUNT, budgets, strategy, observe_only=True)
        self.ledgers, self.clock_moves = self.opened(), clock_moves

    def opened(self) -> list[Ledger]:
        return [open_ledger(Path(self.folder.name) / "ledger.db", self.clock) for _ in range(PROCESSES)]

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def ask(self, process: int, what: Reservation) -> Grant | Refusal | Denied:
        """Reserve, and compare with what the model foretells."""
        expected = self.foretold(what)
        answer = self.ledgers[process].reserve(SOURCE, self.model.windows, what=what, rules=self.law)
        if self.straight and expected is not None:
            told = answer.kind if isinstance(answer, Denied) else answer.until if isinstance(answer, Refusal) else "goes"
            assert told == expected
        if isinstance(answer, Grant):
            self.went(answer, what)
        if isinstance(answer, Refusal):
            self.waits(answer, what)
        else:
            self.model.leave(what.ticket)
        return answer

    def foretold(self, what: Reservation) -> object:
        """That it goes, or until when it must wait, or the kind of failure; None where that is not known."""
        model, now = self.model, self.now
        if model.over_budget(what.usd, now):
            return FailureKind.BUDGET
        if not model.ever(what.cost):
            return FailureKind.PLAN_LIMIT
        if not self.straight:
            return None
        since = max(now, model.blocked or now)
        at = model.first_fit(what.cost, what.priority, since, self.ahead(what.priority, what.ticket))
        return "goes" if at == now else at

    def ahead(self, priority: Priority, ticket: int | None) -> list[int]:
        return self.model.ahead(priority, ticket, self.clock.monotonic())

    def went(self, grant: Grant, what: Reservation) -> None:
        assert self.clock.monotonic() >= self.silent_until, "nothing goes while the provider wants silence"
        sent = Sent(self.now, self.clock.monotonic(), what.cost, what.usd)
        self.model.sent.append(sent)
        self.begun.append((grant, sent))

    def waits(self, refusal: Refusal, what: Reservation) -> None:
        assert refusal.wait > 0
        assert refusal.until == self.now + timedelta(seconds=refusal.wait)
        assert (refusal.ticket is not None) == (refusal.wait <= what.patience)
        self.model.leave(what.ticket)
        self.model.waiting = [w for w in self.model.waiting if w.until >= self.clock.monotonic()]
        if refusal.ticket is not None:
            look = min(refusal.wait, max(5.0, min(refusal.wait / 20, 300.0)))  # who waits for hours looks less often
            until = self.clock.monotonic() + look + GRACE
            self.model.waiting.append(Waiter(refusal.ticket, what.priority, what.cost, until))

    @rule(passed=forth)
    def time_passes(self, passed: float) -> None:
        self.clock.pause(passed)

    @rule(
        process=st.integers(0, PROCESSES - 1),
        cost=st.sampled_from([1, 1, 1, 1, 2, 3, 11]),
        priority=priorities,
        cents=st.sampled_from([0, 1, 3]),
        times=st.integers(1, 12),
    )
    def requests_ask(self, process: int, cost: int, priority: Priority, cents: int, times: int) -> None:
        for _ in range(times):
            self.ask(process, wish(cost, priority, usd=cents / 100))

    @rule(process=st.integers(0, PROCESSES - 1), priority=priorities, cents=st.sampled_from([0, 1]))
    def a_class_uses_up_all_that_it_may(self, process: int, priority: Priority, cents: int) -> None:
        for _ in range(11):
            self.ask(process, wish(1, priority, usd=cents / 100))

    @rule(process=st.integers(0, PROCESSES - 1), cost=st.sampled_from([1, 1, 2]), priority=priorities)
    def a_request_takes_a_place_in_the_queue(self, process: int, cost: int, priority: Priority) -> None:
        self.ask(process, wish(cost, priority, patience=FOREVER))

    @rule(which=st.integers(0, 10), process=st.integers(0, PROCESSES - 1))
    def one_that_waits_asks_again_or_gives_up(self, which: int, process: int) -> None:
        if self.model.waiting:
            one = self.model.waiting[which % len(self.model.waiting)]
            if which % 2:
                self.ledgers[process].leave(one.ticket)
                self.model.leave(one.ticket)
            else:
                self.ask(process, wish(one.cost, one.priority, patience=FOREVER, ticket=one.ticket))

    @rule(cost=st.sampled_from([1, 1, 2, 4]), priority=priorities)
    def who_waits_as_long_as_it_was_told_is_granted_if_nobody_else_asks(self, cost: int, priority: Priority) -> None:
        answer = self.ask(0, wish(cost, priority, patience=FOREVER))
        if isinstance(answer, Refusal) and self.straight and not self.ahead(priority, answer.ticket):
            self.clock.pause(answer.wait)
            again = self.ask(0, wish(cost, priority, patience=FOREVER, ticket=answer.ticket))
            assert isinstance(again, Grant), again

    @precondition(lambda self: not self.calendars())
    @rule()
    def after_a_whole_window_and_block_of_rest_there_is_room_whatever_the_clock_did(self) -> None:
        self.ask(0, wish(1, Priority.CRITICAL))
        self.clock.pause(5000.0)
        if not self.ahead(Priority.CRITICAL, None):
            assert isinstance(self.ask(1, wish(1, Priority.CRITICAL)), Grant)

    @rule(which=st.integers(0, 10), how=st.sampled_from(["good", "good", "429", "503", "else"]), times=st.integers(1, 4))
    def answers_come(self, which: int, how: str, times: int) -> None:
        for _ in range(min(times, len(self.begun))):
            grant, _ = self.begun.pop(which % len(self.begun))
            self.settle(which % PROCESSES, grant, FAILURES[how], refund=False)
            self.model.answered(how, self.now)

    @rule(which=st.integers(0, 10))
    def a_request_turns_out_not_to_have_been_sent(self, which: int) -> None:
        """The proof without which nothing is given back."""
        if self.begun:
            grant, sent = self.begun.pop(which % len(self.begun))
            self.model.sent.remove(sent)
            self.settle(which % PROCESSES, grant, UNSENT, refund=True)
            self.model.answered("else", self.now)

    def settle(self, process: int, grant: Grant, failure: Failure | None, *, refund: bool) -> None:
        status = failure.status if failure else 200
        attempt = Attempt(SOURCE, "bars", "one.example", self.now, 10.0, status, 10, failure, sent=not refund, token=grant.token)
        lesson = Lesson(SOURCE, self.model.windows, self.law, grant.generations)
        self.ledgers[process].settle(grant.token, attempt, refund=refund, lesson=lesson)

    @rule()
    def all_processes_are_killed(self) -> None:
        """What was sent stays sent."""
        self.begun.clear()
        for ledger in self.ledgers:
            ledger.close()
        self.ledgers = self.opened()

    @rule(seconds=st.sampled_from([1.0, 1.0, 10.0, 10.0, 90.0, 5000.0]))
    def the_provider_wants_silence(self, seconds: float) -> None:
        self.ledgers[0].block(SOURCE, seconds, "asked to be left alone", account=ACCOUNT)
        self.model.blocked = max(self.now + timedelta(seconds=seconds), self.model.blocked or self.now)
        self.silent_until = max(self.silent_until, self.clock.monotonic() + seconds)

    @rule()
    def a_good_answer_ends_the_silence(self) -> None:
        self.ledgers[1].unblock(SOURCE, ACCOUNT)
        self.model.blocked, self.silent_until = None, 0.0

    @precondition(lambda self: self.model.windows)
    @rule(which=st.integers(0, 2), left=st.integers(0, 8))
    def the_provider_counts_for_itself(self, which: int, left: int) -> None:
        window = self.model.windows[which % len(self.model.windows)]
        more = window.limit - left - self.model.used(window, self.now)
        if not self.straight:  # then the model does not know what is used
            (told,) = quota_left(self.ledgers[0], SOURCE, [window], ACCOUNT, self.now)
            more = window.limit - left - told.used
        self.ledgers[0].correct(SOURCE, window, left, ACCOUNT)
        for cost in ([more] if window.of == "credits" else [1] * more) if more > 0 else []:
            self.model.sent.append(Sent(self.now, self.clock.monotonic(), cost, foreign=True))

    @precondition(lambda self: self.clock_moves)
    @rule(seconds=st.sampled_from([1.0, 4.0, 30.0, 3600.0, 9000.0, 86400.0, 40 * 86400.0]), back=st.booleans(), full=st.booleans())
    def the_clock_is_set(self, seconds: float, back: bool, full: bool) -> None:
        for _ in range(10 * full):
            self.ask(0, wish(1, Priority.CRITICAL))
        self.wrong += timedelta(seconds=-seconds if back else seconds)
        self.clock.set(START + timedelta(seconds=self.clock.monotonic()) + self.wrong)
        self.straight = False

    @precondition(lambda self: self.wrong)
    @rule()
    def the_clock_is_put_right(self) -> None:
        self.wrong = timedelta(0)
        self.clock.set(START + timedelta(seconds=self.clock.monotonic()))

    def calendars(self) -> list[Window]:
        return [w for w in self.model.windows if isinstance(w.per, str)]

    @invariant()
    def the_provider_never_sees_more_than_it_allows(self) -> None:
        own = [s for s in self.model.sent if not s.foreign]
        for window in self.model.windows:
            weights = [(s, self.model.weight(window, s.cost)) for s in own]
            if isinstance(window.per, str):
                days = [(self.model.day(window, s.wall), w) for s, w in weights]
                for day in {day for day, _ in days}:
                    assert sum(w for its, w in days if its == day) <= window.limit, window
            else:
                for first in own:
                    inside = sum(w for s, w in weights if 0 <= s.mono - first.mono < window.per + 2)
                    assert inside <= window.limit, window

    @invariant()
    def no_budget_is_passed(self) -> None:
        for budget in self.model.budgets:
            days = [label(s.wall, budget.per, "UTC") for s in self.model.sent]
            for day in set(days):
                assert sum(s.usd for s, d in zip(self.model.sent, days, strict=True) if d == day) <= budget.usd + 1e-9

    @invariant()
    def the_ledger_says_what_is_used_and_how_fast_it_goes(self) -> None:
        if self.straight and self.ledgers:
            left = quota_left(self.ledgers[0], SOURCE, self.model.windows, ACCOUNT, self.now)
            assert [told.used for told in left] == [self.model.used(w, self.now) for w in self.model.windows]
            assert factor_of(self.ledgers[0], ACCOUNT) == pytest.approx(self.model.factor)


def run(examples: int, *, same: bool) -> None:
    bounds = settings(
        max_examples=examples, stateful_step_count=50, derandomize=same, database=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Machine, settings=bounds)


def test_no_order_of_events_tells_the_limiter_from_its_model() -> None:
    run(60, same=True)


@pytest.mark.drill(number="D25")
def test_no_order_of_events_in_two_thousand_times_fifty_tells_the_limiter_from_its_model() -> None:
    run(2000, same=False)
