"""The gate and its breakers: what fails is left alone, by every process, and tested again by one at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from mdagent.guard.breaker import State
from mdagent.guard.limits import Grant, Window
from mdagent.guard.outcome import Attempt, Failure, FailureKind
from mdagent.store.ledger import open_ledger
from mdagent.store.quota import Lesson, Reservation, Rules
from mdagent.store.recall import breakers_of
from mdagent.wire.bounds import WireFailed
from mdagent.work.gate import Call
from tests.work.played import MANY, START, Parrot, Stage, fails, says

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdagent.work.gate import Result

K = FailureKind
WHAT = Reservation("bars", "one.example", "run-1", "AAPL")


def state(some: Stage, endpoint: str = "", account: str = "parrot") -> State:
    """Of one breaker."""
    found = breakers_of(some.ledger, account).get(endpoint)
    return found.state if found else State.CLOSED


def until(some: Stage) -> float:
    """Seconds from now until the source is tested again."""
    end = breakers_of(some.ledger, "parrot")[""].until
    assert end is not None
    return (end - some.clock.now()).total_seconds()


def opened(play: Callable[..., Stage], *more: object) -> Stage:
    """A source that failed three times."""
    some = play(*[says("no", 500)] * 3, *more)
    some.ask("x")
    assert state(some) is State.OPEN
    some.asked.clear()
    return some


def test_three_failures_open_it_and_nothing_more_is_sent(play: Callable[..., Stage]) -> None:
    some = opened(play, says())
    result = some.ask("x")
    assert result.failure is not None
    assert result.failure.kind is K.BREAKER_OPEN
    assert result.failure.detail.startswith("parrot: 3 failures in a row, the last: HTTP 500")
    assert some.asked == []
    assert 24.0 <= until(some) <= 36.0


def test_a_second_process_does_not_try_it_either(play: Callable[..., Stage], tmp_path: Path) -> None:
    some = opened(play, says())
    other = Stage(open_ledger(tmp_path / "ledger.db", some.clock), some.clock, [says()])
    failure = other.ask("x").failure
    assert failure is not None
    assert failure.kind is K.BREAKER_OPEN
    assert other.asked == []


def test_it_is_tested_after_its_wait_and_closes_after_three_good_answers(play: Callable[..., Stage]) -> None:
    some = opened(play, *[says()] * 5)
    some.clock.pause(until(some))
    for expected in (State.HALF_OPEN, State.HALF_OPEN, State.CLOSED):
        assert some.ask("x").failure is None
        assert state(some) is expected


def test_a_failed_test_doubles_the_wait(play: Callable[..., Stage]) -> None:
    some = opened(play, *[says("no", 500)] * 5)
    some.clock.pause(until(some))
    some.ask("x")
    assert len(some.asked) == 1, "a probe is not tried twice"
    assert 48.0 <= until(some) <= 72.0


def test_a_test_takes_less_of_the_time_that_is_left_than_others_may_need(play: Callable[..., Stage]) -> None:
    def most(some: Stage) -> float:
        call = Call("bars", "AAPL", some.clock.monotonic() + 10.0, others=True)
        some.run(some.gate().converse(Parrot(), lambda: Parrot().talk("x"), call))
        return some.limits[-1].total

    assert most(play(says())) == pytest.approx(6.0)
    tested = opened(play, says())
    tested.clock.pause(until(tested))
    assert most(tested) == pytest.approx(4.0)


def test_one_process_tests_it_at_a_time_and_a_killed_one_holds_nobody_up(play: Callable[..., Stage], tmp_path: Path) -> None:
    some = opened(play, says())
    some.clock.pause(until(some))
    dead = open_ledger(tmp_path / "ledger.db", some.clock)
    probe = dead.reserve("parrot", MANY, what=Reservation("bars", "one.example", "run-dead", "AAPL"), rules=Rules(lease=20.0))
    dead.close()
    assert getattr(probe, "probe", False)
    refused = some.ask("x").failure
    assert refused is not None
    assert refused.kind is K.BREAKER_OPEN
    assert "run-dead is testing it" in refused.detail
    some.clock.pause(20.0)
    assert some.ask("x").failure is None


def test_a_last_resort_probes_once_in_ten_seconds_for_the_whole_machine(play: Callable[..., Stage]) -> None:
    some = opened(play, *[says("no", 500)] * 5)
    wait = until(some)

    def resort() -> FailureKind | None:
        failure = some.run(_last_resort(some)).failure
        return failure.kind if failure else None

    assert resort() is K.SERVER_ERROR
    assert resort() is K.BREAKER_OPEN
    some.clock.pause(10.0)
    assert resort() is K.SERVER_ERROR
    assert len(some.asked) == 2
    assert until(some) == pytest.approx(wait - 10.0), "and a failed one makes no wait longer"


async def _last_resort(some: Stage) -> Result[list[str]]:
    call = Call("bars", "AAPL", some.clock.monotonic() + 5.0, last_resort=True)
    return await some.gate().converse(Parrot(), lambda: Parrot().talk("x"), call)


def test_a_bad_key_closes_its_own_account_and_no_other(play: Callable[..., Stage]) -> None:
    some = play(says("no", 401), says())
    some.rules = Rules("parrot:1111")
    some.ask("x")
    assert state(some, account="parrot:1111") is State.FORCED_OPEN
    some.clock.pause(1e6)
    refused = some.ask("x").failure
    assert refused is not None
    assert (refused.kind, refused.until) == (K.AUTH, None)
    some.rules = Rules("parrot:2222")  # another key
    assert some.ask("x").failure is None


@pytest.mark.parametrize("answer", [says("no", 404), says("nothing"), says("no", 400), says("no", 402)])
def test_what_is_no_fault_of_the_source_never_moves_a_breaker(play: Callable[..., Stage], answer: object) -> None:
    some = play(*[answer] * 40, windows=(Window(1000, 60.0),))
    for n in range(40):
        some.ask(f"x{n}")
    assert len(some.asked) == 40
    assert breakers_of(some.ledger, "parrot") == {}


def test_a_bad_format_opens_its_endpoint_alone(play: Callable[..., Stage]) -> None:
    some = play(*[says("strange")] * 3, says())
    for _ in range(3):
        some.ask("x")
    assert (state(some, "bars"), state(some)) == (State.OPEN, State.CLOSED)
    assert some.ask("x", endpoint="quote").failure is None


def test_two_endpoints_that_are_open_open_the_account(play: Callable[..., Stage]) -> None:
    some = play(*[says("strange")] * 6, says())
    for endpoint in ("bars", "quote"):
        for _ in range(3):
            some.ask("x", endpoint=endpoint)
    assert state(some) is State.OPEN


def test_a_degraded_source_is_not_asked_twice(play: Callable[..., Stage]) -> None:
    some = play(says(), says(), says(), says("no", 404), *[fails(K.TRUNCATED, sent=True), says()] * 2)
    some.ask("a", "b", "c")
    some.ask("x")
    some.ask("x")
    assert state(some) is State.DEGRADED
    before = len(some.asked)
    result = some.ask("x")
    assert len(some.asked) - before == 1
    assert result.failure is not None


def test_observed_only_it_counts_and_refuses_nothing(play: Callable[..., Stage]) -> None:
    some = play(*[says("no", 500)] * 12, rules=Rules(observe_only=True), luck=0.0)
    for _ in range(4):
        some.ask("x")
    assert state(some) is State.OPEN
    assert len(some.asked) > 3


def test_a_wall_opens_it_at_once_for_four_times_as_long(play: Callable[..., Stage]) -> None:
    some = play(says("<html>captcha</html>", 403))
    some.ask("x")
    assert state(some) is State.OPEN
    assert 96.0 <= until(some) <= 144.0


def test_late_outcomes_of_an_earlier_state_are_dropped(play: Callable[..., Stage], tmp_path: Path) -> None:
    some = play(*[says("no", 500)] * 3)
    late = some.ledger.reserve("parrot", MANY, what=WHAT, rules=Rules())
    some.ask("x")
    assert isinstance(late, Grant)
    good = Attempt("parrot", "bars", "one.example", START, 10.0, 200, 4, None, token=late.token)
    some.ledger.settle(late.token, good, refund=False, lesson=Lesson("parrot", MANY, generations=late.generations))
    assert state(some) is State.OPEN


def test_an_operator_opens_and_resets(play: Callable[..., Stage]) -> None:
    some = play(*[says()] * 5)
    some.ledger.force_open("parrot", "", "maintenance")
    refused = some.ask("x").failure
    assert refused is not None
    assert (refused.kind, refused.detail) == (K.BREAKER_OPEN, "parrot: maintenance")
    some.ledger.reset_breaker("parrot", "")
    assert state(some) is State.HALF_OPEN
    assert some.ask("x").failure is None


# The network


def unreachable() -> WireFailed:
    told = fails(K.CONNECT_FAIL, sent=False)
    return WireFailed(replace(told.failure, unreachable=True), sent=False)


def test_when_several_sources_are_out_of_reach_it_is_the_network_and_no_breaker_moves(play: Callable[..., Stage]) -> None:
    some = play(*[unreachable()] * 20)
    other = _attempt_of_another(some)
    result = some.ask("x")
    assert result.failure is not None
    assert result.failure.kind is K.NETWORK_DOWN
    assert some.clock.now() - START < timedelta(seconds=3)
    assert breakers_of(some.ledger, "parrot") == {}
    assert breakers_of(some.ledger, other) == {}, "what it did before is forgiven"


def _attempt_of_another(some: Stage) -> str:
    grant = some.ledger.reserve("other", MANY, what=WHAT, rules=Rules())
    assert isinstance(grant, Grant)
    failure = Failure(K.CONNECT_FAIL, "no such name", unreachable=True)
    attempt = Attempt("other", "bars", "one.example", START, 1.0, None, 0, failure, sent=False, token=grant.token)
    some.ledger.settle(grant.token, attempt, refund=True, lesson=Lesson("other", MANY))
    assert breakers_of(some.ledger, "other") != {}
    return "other"


def test_one_source_out_of_reach_is_its_own_fault(play: Callable[..., Stage]) -> None:
    some = play(*[unreachable()] * 4)
    some.ask("x")
    some.ask("x")
    assert state(some) is State.OPEN
