"""A probe: the cheapest request tells whether a source is there, whether the key is good, and what the plan includes."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from mdagent.guard.limits import Window
from mdagent.guard.outcome import FailureKind
from mdagent.work.probe import Probed, cheapest, probe_all
from tests.work.clerks import ENDED, Clerk, clerk, door
from tests.work.played import START, fails, says

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.work.played import Stage


def probed(stage: Stage, *clerks: Clerk, named: bool = True, world: str = "live") -> list[Probed]:
    return stage.run(probe_all(door(stage), clerks or (clerk(keyed=True, key="k"),), 10.0, world, named=named))


def test_a_good_answer_shows_a_valid_key_and_a_plan_that_includes_it(play: Callable[..., Stage]) -> None:
    (told,) = probed(play(says()))
    assert (told.key, told.entitled, told.status, told.verdict, told.ok) == ("valid", "yes", 200, "ready", True)
    (told,) = probed(play(says()), clerk())
    assert told.key == "not needed"


@pytest.mark.parametrize(
    ("status", "key", "entitled"), [(401, "refused", ""), (402, "valid", "no: HTTP 402: sorry"), (404, "valid", ""), (418, "untested", "")]
)
def test_a_refusal_tells_key_from_plan(play: Callable[..., Stage], status: int, key: str, entitled: str) -> None:
    (told,) = probed(play(says("sorry", status)))
    assert (told.key, told.entitled, told.status, told.ok) == (key, entitled, status, False)
    assert told.verdict.endswith(f": HTTP {status}: sorry")
    assert told.next_step


def test_a_network_that_is_down_says_nothing_of_the_key(play: Callable[..., Stage]) -> None:
    down = fails(FailureKind.TLS_FAIL, sent=False)
    (told,) = probed(play(down))
    assert (told.key, told.status, told.verdict) == ("untested", None, "TLS_FAIL: the wire failed")


def test_the_time_that_it_took_is_told(play: Callable[..., Stage]) -> None:
    (told,) = probed(play(0.25))
    assert told.latency_ms == 250.0


@pytest.mark.parametrize(("theirs", "ours"), [(0, 0), (-1, 0), (-125, 124), (90, -90)])
def test_the_clock_is_compared_with_the_date_of_the_answer(play: Callable[..., Stage], theirs: int, ours: int) -> None:
    (told,) = probed(play(says(date=format_datetime(START + timedelta(seconds=theirs), usegmt=True))))
    assert told.clock_skew_s == ours
    assert ("this clock is" in told.verdict) is (abs(ours) >= 60)


def test_an_answer_out_of_a_cache_was_dated_when_it_was_made(play: Callable[..., Stage]) -> None:
    made = format_datetime(START - timedelta(seconds=300), usegmt=True)
    assert probed(play(says(date=made, age="300")))[0].clock_skew_s == 0


@pytest.mark.parametrize("date", ["", "soon", "Mon, 99 Foo 2024 00:00:00 GMT"])
def test_a_date_that_is_none_tells_nothing(play: Callable[..., Stage], date: str) -> None:
    assert probed(play(says(date=date)))[0].clock_skew_s is None


def test_what_the_answer_says_of_the_quota_is_told_in_its_own_words(play: Callable[..., Stage]) -> None:
    reply = says(x_ratelimit_remaining="59", api_credits_left="7", iexcloud_messages_used="1", set_cookie="session", x_request_id="1")
    (told,) = probed(play(reply))
    assert told.quota_left == "x-ratelimit-remaining 59, api-credits-left 7, iexcloud-messages-used 1"


def test_a_secret_in_such_a_header_is_blanked(play: Callable[..., Stage]) -> None:
    (told,) = probed(play(says(x_quota_of="canary-key-1 has 5"), secrets=("canary-key-1",)))
    assert told.quota_left == "x-quota-of *** has 5"


def test_a_source_without_a_key_or_after_its_end_is_told_and_not_asked(play: Callable[..., Stage]) -> None:
    stage = play()
    keyless, late = probed(stage, clerk("dear", keyed=True), clerk("late", ended=ENDED))
    assert (keyless.key, keyless.verdict, keyless.next_step) == ("missing", "no key: set MDAGENT_DEAR_API_KEY", "set MDAGENT_DEAR_API_KEY")
    assert "2023-08-31" in late.verdict
    assert not keyless.ok
    assert not late.ok
    assert stage.asked == []
    assert probed(stage, clerk("dear", keyed=True), named=False) == []


def test_the_failure_of_one_does_not_stop_the_others(play: Callable[..., Stage]) -> None:
    stage = play(says("sorry", 401), says())
    assert [p.ok for p in probed(stage, clerk("one", keyed=True, key="k"), clerk("two"))] == [False, True]


def test_a_probe_is_counted_like_any_request(play: Callable[..., Stage]) -> None:
    stage = play(says(), windows=(Window(1, "day"),))
    assert probed(stage)[0].ok
    assert stage.rows() == [("settled", 200, None)]
    (told,) = probed(stage)
    assert told.verdict.startswith("THROTTLED: parrot: the quota of 1 per day (UTC) is spent")
    assert (told.key, told.latency_ms) == ("untested", None)


@pytest.mark.parametrize(
    ("lacks", "path"),
    [
        ((), "quote/AAPL"),
        (("quote",), "market"),
        (("quote", "market"), "search/AAPL"),
        (("quote", "market", "search"), "bars/AAPL/1d/raw/2024-01-10/2024-01-17"),
    ],
)
def test_the_cheapest_request_is_one_that_the_plan_includes(play: Callable[..., Stage], lacks: tuple[str, ...], path: str) -> None:
    stage = play(says())
    assert probed(stage, clerk(lacks=lacks))[0].ok
    assert [asked for _, asked in stage.asked] == [f"one.example/parrot/{path}"]
    assert cheapest(clerk(lacks=lacks), START)[0] == path.partition("/")[0]
