"""From page to page: within a provider's own addresses, never in a circle, and what came before a failure is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import Adjustment, BarSet, Delivery, Interval, Symbol
from mdagent.sources.base import Adapter, Auth, Depth, Plan, SourceSpec
from mdagent.sources.reading.pages import entries, joined, pages
from tests.sources.answers import hold, reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

K = FailureKind
FREE = Plan("free", ())


class Paged(Adapter):
    """A provider with two hosts."""

    spec: ClassVar[SourceSpec] = SourceSpec(
        name="paged",
        title="Paged",
        hosts=("one.example", "two.example"),
        intervals={Interval.D1: Depth(delivers=(Adjustment.RAW,))},
        plans=(FREE,),
        cooldown=1.0,
        delay=FREE.delay,
        concurrency=1,
        covers="",
        terms="",
        checked=date(2026, 1, 1),
        auth=Auth("header", "Authorization", "Bearer {key}"),
    )


def some(*days: int, adjustment: Adjustment = Adjustment.RAW, currency: str | None = "USD", vwap: float | None = None) -> BarSet:
    """Bars of these days of January 2024, each with its day as every price."""
    ts = np.array([f"2024-01-{day:02d}" for day in days], dtype="datetime64[us]")
    price = np.array(days, dtype=np.float64)
    bars = BarSet(
        Symbol.parse("AAPL"), Interval.D1, "paged", adjustment, currency, ts, open=price, high=price, low=price, close=price, volume=price
    )
    return replace(bars, vwap=None if vwap is None else price + vwap, delivery=Delivery(rows=len(days)))


def read(answer: httpx.Response) -> tuple[BarSet, str]:
    """A page whose body is `{"days": [...], "next": "..."}`."""
    body: dict[str, Any] = answer.json()
    return some(*body["days"], vwap=0.5), body.get("next", "")


def page(days: Sequence[int], following: str = "") -> httpx.Response:
    return reply({"days": list(days), "next": following})


def walk(*replies: httpx.Response, base_url: str | list[str] | None = None) -> tuple[list[httpx.Request], BarSet]:
    adapter = Paged(FREE, api_key="secret", base_url=base_url)
    return hold(pages(adapter, adapter.get("/bars?page=1"), read), *replies)


def broken(*replies: httpx.Response, base_url: str | list[str] | None = None) -> ConversationFailed:
    with pytest.raises(ConversationFailed) as caught:
        walk(*replies, base_url=base_url)
    return caught.value


def days(bars: object) -> list[int]:
    assert isinstance(bars, BarSet)
    return [int(price) for price in bars.close]


def test_one_page_is_the_answer() -> None:
    requests, bars = walk(page([2, 3]))
    assert (len(requests), days(bars)) == (1, [2, 3])


def test_pages_are_followed_as_they_are_written_and_get_the_key() -> None:
    following = "https://two.example/bars?cursor=a%2Fb=="
    requests, bars = walk(page([2, 3], following), page([3, 4]))
    assert str(requests[1].url) == following
    assert requests[1].headers["authorization"] == "Bearer secret"
    assert days(bars) == [2, 3, 4]
    assert bars.delivery.rows == 4
    assert bars.vwap is not None
    assert bars.vwap.tolist() == [2.5, 3.5, 4.5]


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/bars",
        "http://one.example/bars",
        "https://one.example:8443/bars",
        "https://one.example.evil.example/bars",
        "https://one.example@evil.example/bars",
        "https://user:word@one.example/bars",
        "https://one.example\\@evil.example/",
        "//one.example/bars",
        "/bars?page=2",
        "cursor",
        "file:///etc/passwd",
        "https://[",
        "https://\ud800/",
        "https://one.example/\ud800",
        "https://xn--/",
        "https://one.example/" + "a" * 70_000,
    ],
)
def test_the_key_goes_nowhere_else(address: str) -> None:
    error = broken(page([2], address))
    assert error.failure.kind is K.SECURITY_BLOCK
    assert days(error.partial) == [2]
    assert len(error.failure.detail) < 200


@pytest.mark.parametrize("address", ["https://one.example:443/bars?page=2", "https://ONE.example/bars?page=2", "https://two.example/x"])
def test_its_own_hosts_may_be_written_in_any_way(address: str) -> None:
    assert days(walk(page([2], address), page([3]))[1]) == [2, 3]


def test_a_replaced_address_is_followed_too() -> None:
    here = "http://127.0.0.1:8800"
    assert len(walk(page([2], f"{here}/bars?page=2"), page([3]), base_url=here)[0]) == 2
    assert broken(page([2], "http://127.0.0.1:8801/bars?page=2"), base_url=here).failure.kind is K.SECURITY_BLOCK


def test_each_of_several_addresses_may_lead_to_another_one_of_them_and_nowhere_else() -> None:
    both = ["http://127.0.0.1:8800", "http://127.0.0.1:8801/api"]
    asked, _ = walk(page([2], f"{both[1]}/bars?page=2"), page([3]), base_url=both)
    assert [str(request.url) for request in asked] == [f"{both[0]}/bars?page=1", f"{both[1]}/bars?page=2"]
    assert broken(page([2], "http://127.0.0.1:8802/bars?page=2"), base_url=both).failure.kind is K.SECURITY_BLOCK


@given(st.text(max_size=60))
def test_any_address_is_followed_or_refused(address: str) -> None:
    if not address:
        return
    assert broken(page([2], address)).failure.kind is K.SECURITY_BLOCK


def test_a_circle_is_seen_whichever_host_serves_it() -> None:
    error = broken(page([2], "https://two.example/bars?page=2"), page([3], "https://two.example/bars?page=1"))
    assert (error.failure.kind, days(error.partial)) == (K.SCHEMA, [2, 3])


def test_empty_pages_are_followed_but_not_for_ever() -> None:
    places = [f"https://one.example/bars?page={n}" for n in range(2, 6)]
    assert days(walk(page([], places[0]), page([], places[1]), page([5]))[1]) == [5]
    error = broken(*(page([], place) for place in places[:3]))
    assert (error.failure.kind, error.partial) == (K.SCHEMA, None)


def test_pages_come_to_an_end() -> None:
    error = broken(*(page([n % 28 + 1], f"https://one.example/bars?page={n}") for n in range(2, 202)))
    assert error.failure.kind is K.SCHEMA
    assert len(days(error.partial)) == 28


def test_what_came_before_a_failure_is_told() -> None:
    adapter = Paged(FREE)
    talk = pages(adapter, adapter.get("/bars"), read)
    next(talk)
    talk.send(page([2, 3], "https://one.example/bars?page=2"))
    with pytest.raises(ConversationFailed) as caught:
        talk.throw(ConversationFailed(Failure(K.SERVER_ERROR, "down")))
    assert caught.value.failure.kind is K.SERVER_ERROR
    assert days(caught.value.partial) == [2, 3]


def test_a_failure_of_the_first_page_has_nothing_before_it() -> None:
    adapter = Paged(FREE)
    talk = pages(adapter, adapter.get("/bars"), read)
    next(talk)
    with pytest.raises(ConversationFailed) as caught:
        talk.throw(ConversationFailed(Failure(K.SERVER_ERROR, "down")))
    assert caught.value.partial is None


def test_other_lists_are_followed_alike() -> None:
    adapter = Paged(FREE)

    def words(answer: httpx.Response) -> tuple[list[str], str]:
        body = answer.json()
        return body["words"], body.get("next", "")

    first = reply({"words": ["a", "b"], "next": "https://one.example/words?page=2"})
    requests, found = hold(entries(adapter, adapter.get("/words"), words), first, reply({"words": ["c"]}))
    assert (len(requests), found) == (2, ["a", "b", "c"])


def test_two_bases_or_currencies_never_stand_in_one_set() -> None:
    for other in (some(3, adjustment=Adjustment.SPLITS), some(3, currency="GBp")):
        with pytest.raises(ConversationFailed) as caught:
            joined([some(2), other])
        assert caught.value.failure.kind is K.MISMATCH


def test_an_answer_without_bars_has_no_say_in_the_basis() -> None:
    whole = joined([some(adjustment=Adjustment.SPLITS), some(2), some(adjustment=Adjustment.ALL, currency=None)])
    assert (whole.adjustment, whole.currency, days(whole)) == (Adjustment.RAW, "USD", [2])
    assert joined([some(), some()]).adjustment is Adjustment.RAW


def test_a_column_that_only_some_answers_have_is_unknown_in_the_others() -> None:
    whole = joined([some(3, vwap=0.5), some(2)])
    assert whole.vwap is not None
    assert np.array_equal(whole.vwap, [np.nan, 3.5], equal_nan=True)
    assert whole.trades is None
