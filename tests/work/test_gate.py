"""One guarded request after another: reserve, send, classify, record, and again if it is worth it."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from mdagent.errors import StoreError
from mdagent.guard.limits import Window
from mdagent.guard.outcome import CONSEQUENCES, FailureKind, Retry
from mdagent.store.quota import Rules
from mdagent.work.gate import Call
from tests.work.played import START, Parrot, Stage, fails, says

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdagent.sources.base import Conversation

K = FailureKind
WATCHED = Rules(observe_only=True)  # no breaker refuses
WIRE = [K.CONNECT_FAIL, K.TLS_FAIL, K.TIMEOUT_READ, K.TRUNCATED, K.PROTOCOL, K.TOO_LARGE, K.SECURITY_BLOCK]


# A good conversation


def test_a_conversation_is_driven_to_its_value(play: Callable[..., Stage]) -> None:
    some = play(says("a"), says("b"))
    result = some.ask("x", "y")
    assert (result.value, result.failure) == (["a", "b"], None)
    assert some.asked == [(0.0, "one.example/x"), (0.0, "one.example/y")]
    assert [(a.source, a.endpoint, a.host, a.status, a.size, a.ok, a.sent) for a in result.attempts] == [
        ("parrot", "bars", "one.example", 200, 1, True, True)
    ] * 2
    assert some.rows() == [("settled", 200, None)] * 2


def test_the_time_of_an_exchange_is_measured(play: Callable[..., Stage]) -> None:
    (attempt,) = play(1.5).ask("x").attempts
    assert attempt.ms == pytest.approx(1500.0)
    assert attempt.began == START


# What is tried again


@pytest.mark.parametrize("kind", WIRE)
def test_a_failure_of_the_wire_is_tried_again_as_the_table_says(play: Callable[..., Stage], kind: FailureKind) -> None:
    some = play(*[fails(kind, sent=True)] * 5)
    result = some.ask("x")
    assert result.failure is not None
    assert result.failure.kind is kind
    assert len(some.asked) == {Retry.NO: 1, Retry.ONCE: 2}[CONSEQUENCES[kind].retry]


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        (500, K.SERVER_ERROR, 3),
        (503, K.SERVER_ERROR, 3),
        (400, K.BAD_REQUEST, 1),
        (401, K.AUTH, 1),
        (403, K.PLAN_LIMIT, 1),
        (404, K.UNKNOWN_SYMBOL, 1),
        (418, K.UNEXPECTED_STATUS, 1),
        (429, K.RATE_LIMITED, 1),
    ],
)
def test_a_status_is_tried_again_as_the_table_says(play: Callable[..., Stage], status: int, kind: FailureKind, tries: int) -> None:
    some = play(*[says("no", status)] * 5)
    result = some.ask("x")
    assert result.failure is not None
    assert result.failure.kind is kind
    assert len(some.asked) == len(result.attempts) == tries
    assert some.rows() == [("settled", status, kind.value)] * tries


def test_an_answer_that_cannot_be_read_is_tried_once_more_and_one_of_another_shape_is_not(play: Callable[..., Stage]) -> None:
    torn = play(says("torn"), says("fine"))
    assert torn.ask("x").value == ["fine"]
    assert [row[2] for row in torn.rows()] == ["MALFORMED", None]
    assert play(says("strange"), says("fine")).ask("x").failure.kind is K.SCHEMA  # type: ignore[union-attr]


def test_a_second_try_goes_to_the_other_host_and_a_third_back_to_the_first(play: Callable[..., Stage]) -> None:
    some = play(says("no", 500), says("no", 500), says("at last"))
    assert some.ask("x").value == ["at last"]
    assert some.hosts() == ["one", "two", "one"]
    assert all(r.headers["x-mine"] == "kept" and r.headers["host"] == r.url.host for r in some.requests)


def test_a_person_is_told_what_is_waited_for(play: Callable[..., Stage]) -> None:
    some = play(says("no", 500), says("fine"))
    some.ask("x")
    assert some.said == ["parrot: HTTP 500: no; trying again in 0.5 s"]


def test_pauses_grow_with_full_jitter(play: Callable[..., Stage]) -> None:
    some = play(*[says("no", 500)] * 3, luck=1.0)
    some.ask("x")
    assert some.times() == [0.0, 1.0, 3.0]
    hasty = play(*[says("no", 500)] * 3, luck=0.0, rules=WATCHED)
    hasty.ask("x")
    assert hasty.times() == [0.0, 0.0, 0.0]


def test_no_try_goes_before_retry_after(play: Callable[..., Stage]) -> None:
    some = play(says("no", 503, retry_after="7"), says("fine"), luck=0.0)
    assert some.ask("x").value == ["fine"]
    assert some.times() == [0.0, 7.0]


def test_no_try_that_would_pass_the_deadline(play: Callable[..., Stage]) -> None:
    some = play(says("no", 503, retry_after="7"), says("fine"), luck=0.0)
    result = some.ask("x", deadline=6.0)
    assert result.failure is not None
    assert result.failure.kind is K.SERVER_ERROR
    assert some.times() == [0.0]


def test_a_request_has_no_more_time_than_the_deadline_leaves(play: Callable[..., Stage]) -> None:
    some = play(4.0, 100.0, 100.0)
    result = some.ask("x", "y", deadline=10.0)
    assert result.failure is not None
    assert result.failure.kind is K.TIMEOUT_READ
    assert [round(limits.total, 3) for limits in some.limits] == [10.0, 6.0]
    assert some.clock.monotonic() == pytest.approx(10.0)


def test_a_request_that_could_not_be_sent_in_time_is_not_charged(play: Callable[..., Stage]) -> None:
    some = play()
    result = some.ask("x", deadline=0.0)
    assert result.failure is not None
    assert result.failure.kind is K.DEADLINE
    assert some.rows() == [("refunded", None, "DEADLINE")]
    assert some.asked == []


def test_the_retry_budget_is_shared_by_all_calls_of_a_gate(play: Callable[..., Stage]) -> None:
    some = play(*[says("no", 500)] * 50, luck=0.0, rules=WATCHED)
    gate = some.gate()
    tries = []
    for _ in range(6):
        before = len(some.asked)
        some.ask("x", gate=gate)
        tries.append(len(some.asked) - before)
    assert tries == [3, 3, 2, 1, 1, 2]


def test_the_retry_budget_is_shared_by_all_processes(play: Callable[..., Stage]) -> None:
    some = play(*[says("no", 500)] * 50, luck=0.0, rules=WATCHED)
    tries = []
    for _ in range(6):
        before = len(some.asked)
        some.ask("x", gate=some.gate())
        tries.append(len(some.asked) - before)
    assert tries == [3, 3, 2, 1, 1, 2], "as many as if one had asked"


def test_a_retry_budget_heals_in_ten_minutes(play: Callable[..., Stage]) -> None:
    some = play(*[says("no", 500)] * 50, luck=0.0, rules=WATCHED)
    gate = some.gate()
    for _ in range(4):
        some.ask("x", gate=gate)
    some.clock.pause(601.0)
    before = len(some.asked)
    some.ask("x", gate=gate)
    assert len(some.asked) - before == 3


# What is not asked for twice


def test_a_good_first_answer_is_not_asked_for_again_when_the_second_fails(play: Callable[..., Stage]) -> None:
    some = play(says("a"), says("no", 500), says("b"), says("c"))
    assert some.ask("x", "y", "z").value == ["a", "b", "c"]
    assert [address for _, address in some.asked] == ["one.example/x", "one.example/y", "two.example/y", "two.example/z"]


def test_an_answer_that_could_not_be_read_is_the_only_one_asked_for_again(play: Callable[..., Stage]) -> None:
    some = play(says("a"), says("torn"), says("b"))
    assert some.ask("x", "y").value == ["a", "b"]
    assert [address.partition("/")[2] for _, address in some.asked] == ["x", "y", "y"]
    assert some.rows() == [("settled", 200, None), ("settled", 200, "MALFORMED"), ("settled", 200, None)]


def test_a_failure_that_the_conversation_can_do_without_is_recorded_and_not_asked_for_again(play: Callable[..., Stage]) -> None:
    some = play(says("nothing"), says("no", 500), says("b"))
    result = some.drive(lambda: Parrot().patient("x", "y"))
    assert result.value == ["-", "b"]
    assert [address.partition("/")[2] for _, address in some.asked] == ["x", "y", "y"]
    assert [row[2] for row in some.rows()] == ["NO_DATA", "SERVER_ERROR", None]


# What is remembered of a symbol


def test_an_unknown_symbol_is_remembered_for_a_day_but_not_that_of_a_search(play: Callable[..., Stage]) -> None:
    some = play(says("no such", 404), says("no such", 404))
    some.ask("x", endpoint="search")
    assert some.ledger.unknown("parrot", "AAPL") is None
    some.ask("x")
    assert some.ledger.unknown("parrot", "AAPL") == (START + timedelta(hours=24), "HTTP 404: no such")


# Settings


def test_the_policy_is_asked_for_before_every_request(play: Callable[..., Stage]) -> None:
    some = play(says("a"), says("b"))
    gate = some.gate()

    def talk() -> Conversation[list[str]]:
        words = yield from Parrot().talk("x")
        some.windows = (Window(1, 60.0),)
        words += yield from Parrot().talk("y")
        return words

    result = some.drive(talk, gate=gate, deadline=5.0)
    assert result.failure is not None
    assert result.failure.kind is K.THROTTLED, "the new limit holds from the second request on"
    assert set(some.policies) == {"parrot"}


def test_so_many_requests_are_under_way_at_once_as_the_source_allows(play: Callable[..., Stage]) -> None:
    some = play(*[1.0] * 6, concurrency=2)
    gate = some.gate()

    async def all_of_them() -> None:
        calls = [gate.converse(Parrot(), lambda n=n: Parrot().talk(f"x{n}"), Call("bars", "A", 60.0)) for n in range(6)]  # type: ignore[misc]
        await asyncio.gather(*calls)

    some.run(all_of_them())
    assert some.busiest == 2
    assert some.clock.monotonic() == pytest.approx(3.0)


# What must not leak, and what must not come in


def test_a_secret_in_the_words_of_a_provider_is_blanked(play: Callable[..., Stage]) -> None:
    some = play(says("bad key CANARY123 for you\r\n\x1b[31m", 400), secrets=("CANARY123",))
    failure = some.ask("x").failure
    assert failure is not None
    assert failure.detail == "HTTP 400: bad key *** for you [31m"


def test_a_synthetic_answer_is_refused_in_the_live_world_only(play: Callable[..., Stage]) -> None:
    refused = play(says("a", x_mdagent_world="sandbox")).ask("x").failure
    assert refused is not None
    assert refused.kind is K.MISMATCH
    assert "--sandbox" in refused.detail
    assert play(says("a", x_mdagent_world="sandbox"), world="sandbox").ask("x").value == ["a"]


# Being stopped


def test_a_request_that_was_cut_short_is_charged_and_written_down(play: Callable[..., Stage]) -> None:
    some = play(100.0)

    async def impatient() -> None:
        task = asyncio.ensure_future(some.gate().converse(Parrot(), lambda: Parrot().talk("x"), Call("bars", "A", 60.0)))
        await some.clock.sleep(3.0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    some.run(impatient())
    assert some.rows() == [("settled", None, "CANCELLED")]
    assert len(some.ledger.usage("parrot", some.windows, some.clock.now())) == 1


def test_an_answer_that_nobody_reads_any_more_is_charged_and_written_down(play: Callable[..., Stage]) -> None:
    some = play(says("a"))

    async def too_late() -> None:
        task = asyncio.ensure_future(some.gate().converse(Parrot(), lambda: Parrot().talk("x"), Call("bars", "A", 60.0)))
        while not some.asked:  # noqa: ASYNC110  a turn of the loop more is what this is about
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done(), "the next one goes first"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    some.run(too_late())
    assert some.rows() == [("settled", 200, "CANCELLED")]


def test_the_next_request_is_on_its_way_before_an_answer_is_read(play: Callable[..., Stage]) -> None:
    some = play(says("a"), says("b"), concurrency=1)
    gate, asked = some.gate(), list[int]()

    def talk(word: str) -> Conversation[list[str]]:
        told = yield from Parrot().talk(word)
        asked.append(len(some.asked))
        return told

    async def both() -> None:
        await asyncio.gather(*(gate.converse(Parrot(), lambda w=w: talk(w), Call("bars", w, 60.0)) for w in "xy"))  # type: ignore[misc]

    some.run(both())
    assert asked == [2, 2]


def test_an_error_of_the_ledger_is_no_failure_of_the_provider(play: Callable[..., Stage]) -> None:
    some = play(says())
    some.ledger.close()
    with pytest.raises(StoreError):
        some.ask("x")
    assert some.asked == []


def test_a_bug_in_a_source_is_not_hidden(play: Callable[..., Stage]) -> None:
    def broken() -> Conversation[list[str]]:
        yield httpx.Request("GET", "https://one.example/x")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(says()).drive(broken)
