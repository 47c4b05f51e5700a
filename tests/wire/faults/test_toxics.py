"""The eight toxics over real sockets, before a simulated provider on loopback."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdagent.clock import SystemClock
from mdagent.guard.outcome import FailureKind
from mdagent.wire import Limits, WireFailed, WireOptions, open_wire
from mdagent.wire.faults import KINDS, Plan
from mdagent.wire.sandbox.server import serve
from mdagent.wire.toxics import RunningProxies
from tests.wire.faults.scene import fault
from tests.wire.nasty import NastyServer, head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdagent.wire.faults import Fault

SHORT = Limits(connect=0.3, read=0.3, total=0.5)  # for what takes all the time that it is given
ROOMY = Limits(connect=5.0, read=5.0, total=10.0)
PATH = "/v8/finance/chart/CARR?period1=1714521600&period2=1717200000&interval=1d"
AT = datetime(2024, 6, 5, 21, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with serve(SystemClock.starting_at(AT), names=["yahoo"]) as running:
        url = running.base_urls["yahoo"]
        ask(url)  # the first answer is made of much that the next ones find ready
        yield url


@contextmanager
def before(url: str, *faults: Fault) -> Iterator[tuple[str, Plan]]:
    clock = SystemClock()
    plan = Plan(faults, clock, Random(1), clock.monotonic())
    with RunningProxies({"yahoo": url}, plan) as proxies:
        yield proxies.base_urls["yahoo"], plan


def ask(url: str, limits: Limits = ROOMY) -> httpx.Response:
    async def conversation() -> httpx.Response:
        wire = open_wire("live", SystemClock(), options=WireOptions(loopback=frozenset({url.removeprefix("http://")})))
        try:
            return await wire.send(httpx.Request("GET", url + PATH), limits)
        finally:
            await wire.aclose()

    return asyncio.run(conversation())


def kind(url: str, limits: Limits = ROOMY) -> FailureKind | None:
    try:
        assert ask(url, limits).status_code == 200
    except WireFailed as error:
        return error.failure.kind
    return None


K = FailureKind
TOXICS: list[tuple[str, dict[str, Any], FailureKind | None]] = [
    ("toxic_latency", {"delay": 0.05, "jitter": 0.02}, None),
    ("toxic_latency", {"delay": 0.4}, K.TIMEOUT_READ),
    ("toxic_bandwidth", {"rate": 2e5}, None),
    ("toxic_bandwidth", {"rate": 1000.0}, K.TIMEOUT_READ),
    ("toxic_timeout", {}, K.TIMEOUT_READ),
    ("toxic_timeout", {"after": 0.05}, K.TRUNCATED),
    ("toxic_reset", {}, K.TRUNCATED),
    ("toxic_reset", {"way": "up"}, K.TRUNCATED),
    ("toxic_slicer", {"size": 7}, None),
    ("toxic_slicer", {"size": 1, "pause": 0.1}, K.TIMEOUT_READ),
    ("toxic_limit_data", {"bytes": 400}, K.TRUNCATED),
    ("toxic_down", {}, K.CONNECT_FAIL),
]


@pytest.mark.parametrize(("name", "settings", "expected"), TOXICS, ids=[f"{n} {s}" for n, s, _ in TOXICS])
def test_a_toxic_is_called_by_its_name(provider: str, name: str, settings: dict[str, Any], expected: FailureKind | None) -> None:
    with before(provider, fault(name, "yahoo", **settings)) as (url, plan):
        assert kind(url, SHORT if expected is K.TIMEOUT_READ else ROOMY) is expected
        assert {event.kind for event in plan.events} == {name}


def test_each_toxic_is_tried_here() -> None:
    assert {"toxic_slow_close", *(name for name, *_ in TOXICS)} == {name for name, kind in KINDS.items() if kind.where == "proxy"}


@pytest.mark.parametrize(("delay", "expected"), [(0.05, None), (2.0, K.TIMEOUT_READ)])
def test_an_answer_that_ends_with_the_connection_ends_when_it_is_closed(delay: float, expected: FailureKind | None) -> None:
    with (
        NastyServer([head(), b"{}"]) as server,
        before(f"http://{server.place}", fault("toxic_slow_close", delay=delay)) as (url, plan),
    ):
        assert kind(url, SHORT if expected is K.TIMEOUT_READ else ROOMY) is expected
        assert [(event.kind, event.what) for event in plan.events] == [("toxic_slow_close", "downstream")]


def test_what_passes_unharmed_is_whole(provider: str) -> None:
    with before(provider, fault("toxic_slicer", size=3), fault("toxic_bandwidth", "polygon", rate=1.0)) as (url, _):
        assert ask(url).content == ask(provider).content


def test_a_port_that_was_down_opens_again(provider: str) -> None:
    clock = SystemClock()
    with before(provider, fault("toxic_down", seconds=0.2)) as (url, plan):
        assert kind(url) is K.CONNECT_FAIL
        clock.pause(0.25 - plan.elapsed)
        while kind(url) is not None and plan.elapsed < 5.0:
            clock.pause(0.02)
        assert kind(url) is None


def test_a_connection_is_hit_or_not_by_the_dice(provider: str) -> None:
    with before(provider, fault("toxic_reset", probability=0.5)) as (url, _):
        assert {kind(url) for _ in range(8)} == {None, K.TRUNCATED}


def test_closing_twice_does_no_harm_and_frees_the_port(provider: str) -> None:
    clock = SystemClock()
    proxies = RunningProxies({"yahoo": provider}, Plan((), clock, Random(1), clock.monotonic()))
    url = proxies.base_urls["yahoo"]
    assert kind(url) is None
    proxies.close()
    proxies.close()
    assert kind(url) is K.CONNECT_FAIL
