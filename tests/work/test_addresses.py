"""A source with several addresses: the fastest healthy one is asked, and the next one where nobody answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from mdagent.clock import VirtualClock
from mdagent.guard.breaker import State
from mdagent.guard.outcome import FailureKind
from mdagent.store.ledger import open_ledger
from mdagent.store.recall import breakers_of
from mdagent.work.addresses import host_of
from mdagent.work.gate import Call
from mdagent.work.telling import memory_of, rehosted
from tests.work.played import START, Parrot, Stage, fails, says

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdagent.wire.bounds import Limits
    from mdagent.work.gate import Result

K = FailureKind
REFUSED, SILENT = fails(K.CONNECT_FAIL, sent=False), fails(K.TIMEOUT_READ, sent=True)


def state(some: Stage) -> State:
    found = breakers_of(some.ledger, "parrot").get("")
    return found.state if found else State.CLOSED


def ask_where_others_serve(some: Stage) -> Result[list[str]]:
    call = Call("bars", "AAPL", some.clock.monotonic() + 60.0, others=True)
    return some.run(some.gate().converse(Parrot(), lambda: Parrot().talk("x"), call))


# Which one is asked


def test_where_one_refuses_the_next_is_asked_at_once_and_the_next_process_asks_it_first(play: Callable[..., Stage]) -> None:
    some = play(REFUSED, says(), says(), luck=1.0)
    assert some.ask("x").value == ["word"]
    assert (some.hosts(), some.times()) == (["one", "two"], [0.0, 0.0])
    assert some.ask("y").value == ["word"], "a gate of its own, which knows the ledger alone"
    assert some.hosts() == ["one", "two", "two"]
    assert some.ledger.rows("SELECT host, state, kind FROM attempts ORDER BY id") == [
        ("one.example", "refunded", "CONNECT_FAIL"),
        ("two.example", "settled", None),
        ("two.example", "settled", None),
    ]


def test_one_that_does_not_answer_in_time_is_left_for_the_next(play: Callable[..., Stage]) -> None:
    some = play(SILENT, says(), says())
    assert some.ask("x", "y").value == ["word"] * 2
    assert some.hosts() == ["one", "two", "two"]


def test_of_three_the_third_is_asked_where_two_do_not_answer(play: Callable[..., Stage]) -> None:
    bases = tuple(f"https://{name}.example" for name in ("one", "two", "three"))
    some = play(REFUSED, SILENT, says(), bases=bases)
    assert some.ask("x").value == ["word"]
    assert some.hosts() == ["one", "two", "three"]


def test_each_is_tried_until_it_is_known_how_fast_it_is_and_then_the_fastest(play: Callable[..., Stage]) -> None:
    some = play(*[3.0] * 3, *[1.0] * 3, *[1.0] * 2)
    gate = some.gate()
    for _ in range(8):
        assert some.ask("x", gate=gate).value == ["word"]
    assert some.hosts() == ["one"] * 3 + ["two"] * 5
    some.answers += [1.0]
    some.clock.pause(3601)
    some.ask("x", gate=gate)
    assert some.hosts()[-1] == "one", "what is an hour old is forgotten"


class Half(Stage):
    """The first host refuses, after a while; the second answers."""

    async def send(self, request: httpx.Request, limits: Limits) -> httpx.Response:
        del limits
        self.asked.append((self.clock.monotonic(), request.url.host))
        await self.clock.sleep(0.1)
        if request.url.host == "one.example":
            raise REFUSED
        return says()


def four(folder: Path, concurrency: int) -> Half:
    """After four calls at once, all of which were served."""
    clock = VirtualClock(START)
    some = Half(open_ledger(folder / "ledger.db", clock), clock, concurrency=concurrency)
    gate, call = some.gate(), Call("bars", "AAPL", 60.0)

    async def work() -> list[Result[list[str]]]:
        return await asyncio.gather(*(gate.converse(Parrot(), lambda: Parrot().talk("x"), call) for _ in range(4)))

    assert [result.value for result in some.run(work())] == [["word"]] * 4
    return some


def test_those_who_wait_for_a_place_go_where_it_is_best_by_then(tmp_path: Path) -> None:
    assert four(tmp_path, 1).hosts() == ["one", "two", "two", "two", "two"]


# Who is to blame


def test_while_another_address_may_be_well_the_source_is_not_to_blame(tmp_path: Path) -> None:
    some = four(tmp_path, 4)
    assert some.hosts() == ["one"] * 4 + ["two"] * 4
    assert state(some) is State.CLOSED, "four failures in a row would open it"


def test_where_all_addresses_fail_the_breaker_opens(play: Callable[..., Stage]) -> None:
    some = play(*[REFUSED] * 6)
    for _ in range(2):
        failure = some.ask("x").failure
        assert failure is not None
        assert failure.kind is K.CONNECT_FAIL
    assert some.hosts() == ["one", "two"] * 2
    assert state(some) is State.OPEN, "three of the four counted"


def test_an_answer_that_is_cut_off_is_the_sources_fault_as_ever(play: Callable[..., Stage]) -> None:
    some = play(*[fails(K.TRUNCATED, sent=True)] * 6)
    for _ in range(2):
        some.ask("x")
    assert state(some) is State.OPEN


def test_a_refusal_costs_no_time_and_so_the_next_address_comes_before_the_next_source(play: Callable[..., Stage]) -> None:
    assert ask_where_others_serve(play(REFUSED, says())).value == ["word"]


def test_after_a_silence_the_next_source_comes_first_and_the_next_call_goes_to_the_next_address(play: Callable[..., Stage]) -> None:
    slow = play(SILENT, says())
    assert ask_where_others_serve(slow).failure is not None
    assert slow.hosts() == ["one"]
    assert slow.ask("x").value == ["word"]
    assert slow.hosts() == ["one", "two"]


# How a request is moved


BASES = ("https://one.example/a", "http://127.0.0.1:8001", "https://three.example:8443/deep/er/")


@pytest.mark.parametrize("start", [0, 1, 2])
@pytest.mark.parametrize("best", [0, 1, 2])
def test_a_request_is_moved_with_all_that_stands_behind_the_address(start: int, best: int) -> None:
    made = httpx.Request("GET", f"{BASES[start].rstrip('/')}/v8/b%2Fc?x=1&y=%20", headers={"x-key": "k"}, extensions={"mdagent.cost": 3})
    there = rehosted(made, BASES, BASES[best])
    assert str(there.url) == f"{BASES[best].rstrip('/')}/v8/b%2Fc?x=1&y=%20"
    assert (there.headers["x-key"], there.extensions["mdagent.cost"]) == ("k", 3)
    assert there.headers["host"] == there.url.netloc.decode()
    assert memory_of(there) == memory_of(made), "it is the same request"


@pytest.mark.parametrize(
    "url", ["https://other.example/a/x", "https://one.example/ab/x", "http://one.example/a/x", "https://one.example:1/a/x"]
)
def test_a_request_to_another_place_goes_there(url: str) -> None:
    assert str(rehosted(httpx.Request("GET", url), BASES, BASES[1]).url) == url


@pytest.mark.parametrize("base", ["https://One.example:443/a", "http://127.0.0.1:80", "http://[::1]:8001", "https://one.example:8443"])
def test_an_address_is_known_by_what_its_requests_say(base: str) -> None:
    assert host_of(base) == httpx.URL(f"{base}/x").netloc.decode()
