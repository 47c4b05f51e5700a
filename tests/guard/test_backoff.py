"""How long to wait before the same request goes again, or whether to stop."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.backoff import Budget, block_for, next_pause, read_remaining, read_retry_after
from mdagent.guard.outcome import CONSEQUENCES, Failure, FailureKind, Retry

NOW = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
AMPLE = Budget(requests=100, retries=0)
K = FailureKind


class Highest:
    """Dice that always fall on the highest number."""

    def uniform(self, a: float, b: float) -> float:
        del a
        return b


class Lowest:
    """Dice that always fall on the lowest number."""

    def uniform(self, a: float, b: float) -> float:
        del b
        return a


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failure_is_tried_again_as_often_as_its_row_says(kind: FailureKind) -> None:
    allowed = {Retry.NO: 0, Retry.ONCE: 1, Retry.TWICE: 2, Retry.AFTER_BLOCK: 0}[CONSEQUENCES[kind].retry]
    tries = [next_pause(Failure(kind, ""), tried, 1000.0, AMPLE, Highest()) for tried in range(1, 5)]
    assert [t is not None for t in tries] == [tried <= allowed for tried in range(1, 5)]


def test_pauses_grow_and_fill_their_whole_range() -> None:
    failure = Failure(K.SERVER_ERROR, "")
    assert [next_pause(failure, n, 1000.0, AMPLE, Highest()) for n in (1, 2)] == [1.0, 2.0]
    assert [next_pause(failure, n, 1000.0, AMPLE, Lowest()) for n in (1, 2)] == [0.0, 0.0]


@given(st.floats(min_value=1.0, max_value=86400.0), st.integers(min_value=0, max_value=99))
def test_no_try_goes_before_the_time_that_the_source_named(wait: float, seed: int) -> None:
    pause = next_pause(Failure(K.SERVER_ERROR, "", retry_after=wait), 1, 1e6, AMPLE, Random(seed))
    assert pause is not None
    assert pause >= wait


def test_no_try_that_could_not_end_before_the_deadline() -> None:
    failure = Failure(K.SERVER_ERROR, "", retry_after=5.0)
    assert next_pause(failure, 1, 5.0, AMPLE, Lowest()) is None
    assert next_pause(failure, 1, 5.1, AMPLE, Lowest()) == 5.0
    assert next_pause(Failure(K.TRUNCATED, ""), 1, -1.0, AMPLE, Lowest()) is None


@pytest.mark.parametrize(
    ("requests", "retries", "left"), [(0, 0, True), (0, 3, False), (10, 4, True), (10, 5, False), (100, 22, True), (100, 23, False)]
)
def test_the_retry_budget_is_a_fifth_of_the_requests_and_three(requests: int, retries: int, left: bool) -> None:
    assert Budget(requests, retries).left is left
    pause = next_pause(Failure(K.SERVER_ERROR, ""), 1, 100.0, Budget(requests, retries), Lowest())
    assert (pause is not None) is left


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 1.0),
        ("999999999", 86400.0),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("", None),
        ("1.5", None),
        (None, None),
        ("Wed, 17 Jan 2024 12:02:00 GMT", 120.0),
        ("Wed, 17 Jan 2024 11:00:00 GMT", 1.0),
        ("Wed, 17 Jan 2034 11:00:00 GMT", 86400.0),
        ("Wed, 99 Jan 2024 12:00:00 GMT", None),
        ("9" * 20, None),
    ],
)
def test_retry_after_is_digits_or_a_date_between_a_second_and_a_day(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, None, NOW) == seconds


def test_a_date_is_measured_against_the_answers_own_clock() -> None:
    ours = datetime(2024, 1, 17, 9, 0, tzinfo=UTC)  # three hours slow
    assert read_retry_after("Wed, 17 Jan 2024 12:02:00 GMT", "Wed, 17 Jan 2024 12:00:00 GMT", ours) == 120.0


@given(st.text(max_size=60), st.text(max_size=40))
def test_no_header_makes_the_reader_fail(value: str, date: str) -> None:
    seconds = read_retry_after(value, date, NOW)
    assert seconds is None or 1.0 <= seconds <= 86400.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 90)}, 90.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"}, 1.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-remaining": "0"}, None),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "30"}, None),
        ({"x-ratelimit-reset": "30"}, None),
        ({}, None),
    ],
)
def test_a_source_that_says_nothing_is_left_is_believed(headers: dict[str, str], seconds: float | None) -> None:
    assert read_remaining(headers, NOW) == seconds


def test_a_block_lasts_as_long_as_the_source_says() -> None:
    assert block_for(Failure(K.RATE_LIMITED, "", retry_after=77.0), 5, 300.0, Highest()) == 77.0
    assert block_for(Failure(K.QUOTA_EXHAUSTED, "", retry_after=77.0), 5, 300.0, Highest()) == 77.0


def test_without_a_word_a_block_doubles_with_each_strike_up_to_an_hour() -> None:
    blocks = [block_for(Failure(K.RATE_LIMITED, ""), strikes, 300.0, Lowest()) for strikes in range(6)]
    assert blocks == [300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0]
    assert block_for(Failure(K.RATE_LIMITED, ""), 0, 300.0, Highest()) == pytest.approx(330.0)
    assert block_for(Failure(K.RATE_LIMITED, ""), 0, 0.0, Lowest()) == 1.0
    assert block_for(Failure(K.QUOTA_EXHAUSTED, ""), 0, 300.0, Lowest()) == 3600.0


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - {K.RATE_LIMITED, K.QUOTA_EXHAUSTED}))
def test_nothing_but_a_throttle_blocks_a_source(kind: FailureKind) -> None:
    assert block_for(Failure(kind, "", retry_after=5.0), 0, 300.0, Lowest()) is None


@given(st.integers(min_value=0, max_value=10**6), st.floats(min_value=0.0, max_value=1e5), st.integers(min_value=0, max_value=99))
def test_chance_never_shortens_a_block(strikes: int, cooldown: float, seed: int) -> None:
    seconds = block_for(Failure(K.RATE_LIMITED, ""), strikes, cooldown, Random(seed))
    least = min(max(cooldown, 1.0) * 2.0 ** min(strikes, 8), 3600.0)
    assert seconds is not None
    assert least <= seconds <= 1.1 * least
