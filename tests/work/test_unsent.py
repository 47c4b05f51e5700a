"""The requests of a conversation are told without sending any."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import BarRequest, Symbol
from mdagent.sources import NAMES, load, spec_of
from mdagent.sources.base import COST
from mdagent.work.unsent import unsent

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdagent.sources.base import Conversation, Source

WINTER = ("2024-01-01", "2024-03-04")  # whole weeks and months
AAPL, SINCE, NOW = Symbol.parse("AAPL"), datetime(2023, 1, 2, tzinfo=UTC), datetime(2024, 2, 5, tzinfo=UTC)


def get(path: str) -> httpx.Request:
    return httpx.Request("GET", f"https://one.example/{path}")


def paths(begin: Callable[[], Conversation[object]]) -> list[str]:
    return [request.url.path for request in unsent(begin)[0]]


def source(name: str) -> Source:
    return load(name, api_key="k" * 20, plan=spec_of(name).plans[-1].name)


def test_one_that_passes_over_what_is_not_there_tells_all() -> None:
    def patient() -> Conversation[None]:
        for path in "abc":
            try:
                yield get(path)
            except ConversationFailed:
                continue

    assert paths(patient) == ["/a", "/b", "/c"]


@pytest.mark.parametrize("nothing", [[], {}])
def test_one_that_reads_an_empty_answer_tells_all(nothing: object) -> None:
    def strict() -> Conversation[None]:
        for path in "ab":
            reply = yield get(path)
            if reply.json() != nothing:
                raise ConversationFailed(Failure(FailureKind.SCHEMA, "no such thing"))

    assert paths(strict) == ["/a", "/b"]


def test_an_equal_request_is_sent_once() -> None:
    def twice() -> Conversation[None]:
        yield get("a")
        yield get("a")

    assert paths(twice) == ["/a"]


def test_one_that_asks_for_nothing_says_why() -> None:
    def unwilling() -> Conversation[None]:
        if not NAMES:
            yield get("never")
        raise ConversationFailed(Failure(FailureKind.BAD_REQUEST, "not here"))

    requests, failure = unsent(unwilling)
    assert requests == []
    assert failure is not None
    assert failure.detail == "not here"


@pytest.mark.parametrize("name", NAMES)
def test_every_source_tells_its_pieces(name: str) -> None:
    for interval in spec_of(name).intervals:
        one = source(name)
        request = BarRequest(AAPL, interval, *WINTER, spec_of(name).intervals[interval].delivers[0])  # type: ignore[arg-type]
        requests, failure = unsent(partial(one.bars, request))
        assert failure is None
        assert len(requests) == len(one.cut(request)), interval
        assert all(request.extensions[COST] >= 1 for request in requests)


@pytest.mark.parametrize("name", [name for name in NAMES if "actions" in spec_of(name).offers])
def test_every_source_tells_what_splits_and_dividends_take(name: str) -> None:
    costs = {
        payments: [r.extensions[COST] for r in unsent(partial(source(name).actions, AAPL, SINCE, NOW, payments=payments))[0]]
        for payments in (False, True)
    }
    with_bars = "actions with bars" in spec_of(name).offers
    assert [len(costs[False]), len(costs[True])] == [1, 1 if with_bars else 2]
    assert costs[True] == {"twelvedata": [20, 20], "iexcloud": [10, 200]}.get(name, [1] * len(costs[True]))


@pytest.mark.parametrize("name", [name for name in NAMES if "batch" in spec_of(name).offers])
def test_every_source_tells_what_a_shared_request_takes(name: str) -> None:
    one, windows = source(name), [BarRequest(s, "1d", "2024-01-02", "2024-01-05", "raw") for s in ("AAPL", "MSFT", "IBM")]  # type: ignore[arg-type]
    requests, _ = unsent(partial(one.batch, windows))
    assert len(requests) == one.batch_requests(windows)
    assert sum(r.extensions[COST] for r in requests) == {"iexcloud": 3 * 3 * 2, "twelvedata": 3, "polygon": 3}[name]
