"""The gate and what a provider allows: quota is waited for or refused, and who was told to stay away stays away."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdagent.guard.limits import Window
from mdagent.guard.outcome import FailureKind
from mdagent.sources.base import COST
from mdagent.store.quota import Rules
from tests.work.played import SPEC, START, Parrot, Stage, fails, says

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdagent.sources.base import Conversation


K = FailureKind
ONE = SPEC.bases[:1]


def test_a_request_waits_for_its_quota_as_long_as_the_deadline_allows(play: Callable[..., Stage]) -> None:
    some = play(*[says()] * 3, windows=(Window(2, 10.0),))
    assert some.ask("x", "y", "z", deadline=30.0).value == ["word"] * 3
    assert some.times() == [0.0, 0.0, 12.0]
    assert some.said == ["waiting 12.0 s for parrot: the quota of 2 per 10s is spent; free again at 2024-01-17 12:00:12Z"]


def test_a_wait_past_the_deadline_is_refused_at_once_and_says_when(play: Callable[..., Stage]) -> None:
    some = play(*[says()] * 3, windows=(Window(2, 60.0),))
    result = some.ask("x", "y", "z", deadline=30.0)
    assert result.failure is not None
    assert result.failure.kind is K.THROTTLED
    assert result.failure.until == START + timedelta(seconds=62)
    assert "free again at 2024-01-17 12:01:02Z" in result.failure.detail
    assert some.clock.monotonic() == 0.0
    assert [a.sent for a in result.attempts] == [True, True, False]


def test_patience_waits_for_quota_beyond_the_deadline(play: Callable[..., Stage]) -> None:
    some = play(*[says()] * 3, windows=(Window(2, 60.0),))
    assert some.ask("x", "y", "z", deadline=10.0, patience=120.0).value == ["word"] * 3
    assert some.times() == [0.0, 0.0, 62.0]


def test_a_request_that_the_quota_never_allows_is_refused_at_once_and_waits_for_nothing(play: Callable[..., Stage]) -> None:
    some = play(windows=(Window(19, 60.0), Window(800, "day")))

    def dear() -> Conversation[str]:
        return (yield httpx.Request("GET", "https://one.example/x", extensions={COST: 20})).text

    result = some.drive(dear, patience=1e9)
    assert result.failure is not None
    assert result.failure.kind is K.PLAN_LIMIT
    assert result.failure.detail == "parrot: a request of 20 credits is more than the quota of 19 per 1m ever allows"
    assert (some.asked, some.said, some.clock.monotonic()) == ([], [], 0.0)
    assert [a.sent for a in result.attempts] == [False]


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (fails(K.CONNECT_FAIL, sent=False), 1000),
        (fails(K.CONNECT_FAIL, sent=True), 999),
        (fails(K.TLS_FAIL, sent=False), 1000),
        (fails(K.SECURITY_BLOCK, sent=False), 1000),
        (fails(K.SECURITY_BLOCK, sent=True), 999),
        (fails(K.PROTOCOL, sent=True), 999),
        (fails(K.TIMEOUT_READ, sent=False), 999),
        (says("no", 400), 999),
        (says("no", 429), 999),
    ],
)
def test_quota_comes_back_only_where_nothing_was_sent(play: Callable[..., Stage], answer: object, left: int) -> None:
    some = play(answer, windows=(Window(1000, 60.0),), luck=1.0, bases=ONE)
    some.ask("x", deadline=0.001)  # too short for a second try
    used = some.ledger.usage("parrot", some.windows, some.clock.now())
    assert 1000 - sum(u.cost for u in used) == left


def test_a_provider_that_says_nothing_is_left_is_believed(play: Callable[..., Stage]) -> None:
    some = play(says("a", x_ratelimit_remaining="0", x_ratelimit_reset="30"), says("b"))
    assert some.ask("x", "y").value == ["a", "b"]
    assert some.times() == [0.0, 30.0]


# Blocks


def test_a_429_blocks_the_source_for_every_process(play: Callable[..., Stage]) -> None:
    some = play(says("slow down", 429, retry_after="90"), says())
    result = some.ask("x")
    assert result.failure is not None
    assert (result.failure.kind, result.failure.retry_after) == (K.RATE_LIMITED, 90.0)
    again = some.ask("x")
    assert again.failure is not None
    assert again.failure.kind is K.THROTTLED
    assert "asked to be left alone (RATE_LIMITED)" in again.failure.detail
    assert len(some.asked) == 1
    some.clock.pause(90.0)
    assert some.ask("x").value == ["word"]


def test_without_a_time_of_its_own_a_429_blocks_for_the_sources_cooldown_doubled_by_each_strike(play: Callable[..., Stage]) -> None:
    some = play(*[says("slow down", 429)] * 3, says(), says("slow down", 429), luck=0.0)
    seconds = []
    for _ in range(3):
        some.ask("x")
        block = some.ledger.blocked("parrot")
        assert block is not None
        seconds.append((block.until - some.clock.now()).total_seconds())
        some.clock.pause(seconds[-1])
    assert seconds == [300.0, 600.0, 1200.0]
    assert some.ask("x").value == ["word"], "a good answer ends the row of strikes"
    some.ask("x")
    block = some.ledger.blocked("parrot")
    assert block is not None
    assert (block.strikes, block.until - some.clock.now()) == (1, timedelta(seconds=300))


def test_the_first_429_of_the_hour_is_a_block_and_no_spent_quota(play: Callable[..., Stage]) -> None:
    some = play(says("slow down", 429), says(), says("slow down", 429))
    first = some.ask("x").failure
    assert first is not None
    assert first.detail == "parrot refuses this client (HTTP 429 on its first request): blocked, not a quota that was spent"
    some.clock.pause(1000.0)
    some.ask("x")
    later = some.ask("x").failure
    assert later is not None
    assert later.detail == "HTTP 429: slow down"


def test_a_429_with_a_time_is_what_it_says(play: Callable[..., Stage]) -> None:
    failure = play(says("slow down", 429, retry_after="90")).ask("x").failure
    assert failure is not None
    assert failure.detail == "HTTP 429: slow down"


def test_a_server_that_names_a_time_is_left_alone_by_every_process(play: Callable[..., Stage]) -> None:
    some = play(*[says("no", 503, retry_after="500")] * 3)
    some.ask("x")
    block = some.ledger.blocked("parrot")
    assert block is not None
    assert block.until == START + timedelta(seconds=500)


# What the plan does not include


def test_what_a_plan_does_not_include_is_not_asked_for_again_within_a_day(play: Callable[..., Stage]) -> None:
    some = play(says("not in your plan", 402), says("other"), says(), rules=Rules("parrot:1111"))
    for words in ("HTTP 402", "asked before; it is asked again from 2024-01-18 12:00Z, or after `mdagent sources reset parrot`)"):
        failure = some.ask("x").failure
        assert failure is not None
        assert (failure.kind, words in failure.detail) == (K.PLAN_LIMIT, True), failure.detail
    assert some.ask("y").value == ["other"], "something else may be in it"
    some.clock.pause(86_400.0)
    assert some.ask("x").value == ["word"]
    assert len(some.asked) == 3


def test_an_operator_or_another_key_may_ask_again_at_once_and_a_probe_always(play: Callable[..., Stage]) -> None:
    some = play(says("not in your plan", 402), says(), says(), says(), rules=Rules("parrot:1111"))
    assert some.ask("x").failure is not None
    assert some.drive(lambda: Parrot().talk("x"), anyway=True).value == ["word"]
    some.rules = Rules("parrot:2222")
    assert some.ask("x").value == ["word"]
    some.rules = Rules("parrot:1111")
    some.ledger.reset_breaker("parrot:1111", "")
    assert some.ask("x").value == ["word"]


def test_five_requests_that_a_source_does_not_understand_within_ten_minutes_are_our_fault(play: Callable[..., Stage]) -> None:
    some = play(*[says("what?", 400)] * 6)
    for n in range(6):
        some.ask(str(n))
        some.clock.pause(60.0)
        told = ["parrot refused 5 requests as bad ones within ten minutes: is this mdagent older than what parrot expects?"]
        assert some.said == (told if n >= 4 else [])


# Overage


PAID = Rules(overage=0.5)


def test_a_request_that_never_went_out_pays_no_overage_and_leaves_the_quota_to_the_next(play: Callable[..., Stage]) -> None:
    some = play(fails(K.CONNECT_FAIL, sent=False), says(), says(), windows=(Window(1, "day"),), rules=PAID, usd=0.25, luck=1.0, bases=ONE)
    some.ask("x", deadline=0.001)  # too short for a second try
    assert some.ask("y", "z").value == ["word"] * 2
    assert some.ledger.rows("SELECT cost, usd, overage FROM attempts ORDER BY id") == [(0, 0, 0), (1, 0.25, 0), (1, 0.75, 0.5)]


def test_a_refunded_overage_is_no_spend(play: Callable[..., Stage]) -> None:
    some = play(says(), fails(K.CONNECT_FAIL, sent=False), windows=(Window(1, "day"),), rules=PAID, luck=1.0, bases=ONE)
    some.ask("x")
    some.ask("y", deadline=0.001)
    assert some.ledger.rows("SELECT cost, usd, overage FROM attempts ORDER BY id") == [(1, 0, 0), (0, 0, 0)]


def test_a_provider_that_says_nothing_is_left_of_a_day_is_paid_and_one_that_says_so_of_a_minute_is_left_alone(
    play: Callable[..., Stage],
) -> None:
    spent: Any = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "30"}
    windows = (Window(9, 60.0), Window(5, "day"))
    some = play(says(x_ratelimit_limit="5", **spent), says(x_ratelimit_limit="9", **spent), says(), windows=windows, rules=PAID)
    assert some.ask("x", "y", "z", deadline=120.0).value == ["word"] * 3
    assert some.times() == [0.0, 0.0, 62.0]
    assert some.ledger.rows("SELECT usd FROM attempts WHERE state = 'settled' ORDER BY id") == [(0,), (0.5,), (0.5,)], (
        "others used the rest"
    )


def test_a_provider_that_refuses_for_its_quota_is_left_alone_whatever_we_would_pay(play: Callable[..., Stage]) -> None:
    some = play(says(), windows=(Window(5, "day"),), rules=PAID)
    some.ledger.block("parrot", 600.0, "parrot asked to be left alone (QUOTA_EXHAUSTED)")
    result = some.ask("x")
    assert result.failure is not None
    assert (result.failure.kind, some.asked) == (K.THROTTLED, [])
