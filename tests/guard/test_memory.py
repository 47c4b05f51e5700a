"""What is remembered of a source: reputation from attempts and grades, the old ones fading."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mdagent.guard.memory import HALF_LIFE, PRIOR, Beta, Reputation, Seen, fold
from mdagent.guard.outcome import CONSEQUENCES, Blame, FailureKind

NOW = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def seen(
    kind: str | None = None, *, ago: timedelta = timedelta(0), interval: str = "1d", ms: float | None = None, score: float | None = None,
    symbol: str = "AAPL",
) -> Seen:  # fmt: skip
    return Seen(NOW - ago, interval, kind, ms, score, symbol)


def believed(*attempts: Seen, interval: str = "", symbol: str = "") -> Reputation:
    return fold("parrot", attempts, NOW, interval=interval, symbol=symbol)


some = st.builds(
    seen,
    st.sampled_from([None, *FailureKind]),
    ago=st.integers(-5, 60).map(lambda days: days * DAY),
    interval=st.sampled_from(["1d", "1h"]),
    ms=st.none() | st.floats(0.0, 1e4),
    score=st.none() | st.floats(0.0, 100.0),
    symbol=st.sampled_from(["AAPL", "MSFT"]),
)


def test_a_source_that_nobody_asked_is_believed_to_answer_nine_times_of_ten() -> None:
    assert believed() == Reputation("parrot", "", Beta(9.0, 1.0), (), None, "", None, 0.0, None)
    assert PRIOR.mean == 0.9


def test_good_answers_raise_it_and_failures_lower_it() -> None:
    assert believed(*[seen()] * 90).reliability.mean == pytest.approx(0.99)
    assert believed(*[seen("SERVER_ERROR")] * 8).reliability.mean == pytest.approx(0.5)


@pytest.mark.parametrize("kind", FailureKind)
def test_each_kind_counts_by_the_blame_of_its_row(kind: FailureKind) -> None:
    units = {Blame.NONE: (0, 0), Blame.SUCCESS: (1, 0), Blame.COUNT_DOUBLE: (0, 2)}
    good, bad = units.get(CONSEQUENCES[kind].blame, (0, 1))
    assert believed(seen(kind)).reliability == Beta(9.0 + good, 1.0 + bad)


def test_an_unknown_ticker_is_a_good_answer_and_a_spent_quota_none_at_all() -> None:
    assert believed(seen("UNKNOWN_SYMBOL")).reliability == Beta(10.0, 1.0)
    assert believed(seen("QUOTA_EXHAUSTED")).reliability == PRIOR


def test_a_kind_that_another_version_wrote_counts_neither_way_but_is_told() -> None:
    told = believed(seen("MOON_PHASE"))
    assert told.reliability == PRIOR
    assert [kind for kind, _ in told.by_kind] == ["MOON_PHASE"]


def test_after_a_half_life_an_attempt_counts_for_half() -> None:
    assert believed(seen("SERVER_ERROR", ago=HALF_LIFE)).reliability == Beta(9.0, 1.5)
    assert believed(seen(ago=2 * HALF_LIFE)).reliability == Beta(9.25, 1.0)
    assert fold("parrot", [seen(ago=DAY)], NOW, half_life=DAY).seen == 0.5


@given(st.lists(some, max_size=20))
def test_without_news_a_reputation_returns_to_where_it_began(attempts: list[Seen]) -> None:
    later = fold("parrot", attempts, NOW + 60 * HALF_LIFE)
    assert later.reliability.mean == pytest.approx(PRIOR.mean)
    assert later.seen == pytest.approx(0.0, abs=1e-9)
    assert all(share < 0.01 for _, share in later.by_kind)


def test_what_is_centuries_old_weighs_nothing_and_breaks_nothing() -> None:
    told = believed(*[seen(ago=timedelta(days=200_000), ms=5.0, score=90.0)] * 3, interval="1d", symbol="AAPL")
    assert (told.reliability, told.quality, told.basis, told.latency) == (PRIOR, None, "", None)


def test_the_future_of_a_clock_that_was_set_back_counts_as_now() -> None:
    told = believed(seen("SERVER_ERROR", ago=-365 * DAY))
    assert told == believed(seen("SERVER_ERROR"))
    assert told.last == NOW


@given(st.lists(some, max_size=30), st.integers(0, 99))
def test_the_order_of_attempts_does_not_matter(attempts: list[Seen], seed: int) -> None:
    mixed = random.Random(seed).sample(attempts, len(attempts))
    assert fold("parrot", mixed, NOW, interval="1d", symbol="AAPL") == fold("parrot", attempts, NOW, interval="1d", symbol="AAPL")


@given(st.lists(some, max_size=30), some)
def test_one_more_failure_never_raises_it_and_one_more_good_answer_never_lowers_it(attempts: list[Seen], more: Seen) -> None:
    worse, better = (believed(*attempts, replace(more, kind=kind)).reliability.mean for kind in ("MISMATCH", None))
    assert worse <= believed(*attempts).reliability.mean <= better


@given(st.lists(some, max_size=30))
def test_shares_are_shares(attempts: list[Seen]) -> None:
    told = believed(*attempts)
    shares = [share for _, share in told.by_kind]
    assert {kind for kind, _ in told.by_kind} == {s.kind for s in attempts} - {None}
    assert shares == sorted(shares, reverse=True)
    assert all(0.0 < share < 1.0 for share in shares)
    assert sum(shares) < 1.0
    assert told.seen <= len(attempts)


def test_the_share_of_a_kind_is_that_of_a_posterior() -> None:
    told = believed(*[seen()] * 6, *[seen("TIMEOUT_READ")] * 3, seen("SCHEMA"))
    kinds = len(FailureKind)  # the prior's one bad attempt is spread over them
    assert [kind for kind, _ in told.by_kind] == ["TIMEOUT_READ", "SCHEMA"]
    assert [share for _, share in told.by_kind] == pytest.approx([(3 + 1 / kinds) / 20, (1 + 1 / kinds) / 20])


def test_an_interval_narrows_what_is_told_of_attempts() -> None:
    attempts = [seen("SERVER_ERROR", interval="1h", ago=DAY), seen(ms=40.0, ago=3 * DAY)]
    daily, hourly, never = (believed(*attempts, interval=i) for i in ("1d", "1h", "1m"))
    assert (daily.by_kind, daily.latency, daily.last) == ((), 40.0, NOW - 3 * DAY)
    assert (hourly.latency, hourly.last) == (None, NOW - DAY)
    assert hourly.reliability.mean < 0.9 < daily.reliability.mean
    assert (never.interval, never.reliability, never.seen, never.last) == ("1m", PRIOR, 0.0, None)


# Quality


def graded(symbol: str, interval: str, *scores: float, ago: timedelta = timedelta(0)) -> list[Seen]:
    return [seen(symbol=symbol, interval=interval, score=score, ago=ago) for score in scores]


@pytest.mark.parametrize(
    ("attempts", "symbol", "interval", "quality", "basis"),
    [
        (graded("AAPL", "1d", 80, 90, 100) + graded("MSFT", "1d", 10), "AAPL", "1d", 90.0, "AAPL 1d"),
        (graded("AAPL", "1d", 80, 90) + graded("MSFT", "1d", 40), "AAPL", "1d", 70.0, "1d"),
        (graded("AAPL", "1d", 80, 90) + graded("MSFT", "1h", 40), "AAPL", "1d", 70.0, "all"),
        (graded("AAPL", "1d", 80, 90, 100) + graded("MSFT", "1d", 10), "", "1d", 70.0, "1d"),
        (graded("AAPL", "1d", 80, 90) + graded("AAPL", "1h", 100) + graded("MSFT", "1h", 10), "AAPL", "", 90.0, "AAPL"),
        (graded("AAPL", "1d", 80, 90, 100) + graded("MSFT", "1d", 10), "", "", 70.0, "all"),
        (graded("MSFT", "1h", 55), "AAPL", "1d", 55.0, "all"),
        ([seen()], "AAPL", "1d", None, ""),
    ],
)
def test_quality_is_that_of_the_narrowest_basis_with_three_grades(
    attempts: list[Seen], symbol: str, interval: str, quality: float | None, basis: str
) -> None:
    told = believed(*attempts, symbol=symbol, interval=interval)
    assert (told.quality, told.basis) == (quality if quality is None else pytest.approx(quality), basis)


def test_newer_grades_weigh_more() -> None:
    assert believed(*graded("AAPL", "1d", 100, ago=HALF_LIFE), *graded("AAPL", "1d", 40)).quality == pytest.approx(60.0)


def test_a_grade_counts_whatever_else_was_wrong_with_the_answer() -> None:
    assert believed(seen("BAD_VALUES", score=20.0)).quality == 20.0


# Latency


def test_latency_is_the_median_of_good_answers_alone() -> None:
    slow = seen("TIMEOUT_READ", ms=15_000.0)
    assert believed(seen(ms=100.0), seen(ms=200.0), seen(ms=9000.0), *[slow] * 9).latency == 200.0
    assert believed(slow, seen()).latency is None


def test_the_median_forgets() -> None:
    assert believed(*[seen(ms=5000.0, ago=5 * HALF_LIFE)] * 9, seen(ms=100.0)).latency == 100.0


@given(st.lists(some, max_size=30))
def test_what_is_told_lies_within_what_was_seen(attempts: list[Seen]) -> None:
    told = believed(*attempts)
    fast = [s.ms for s in attempts if s.kind is None and s.ms is not None]
    scores = [s.score for s in attempts if s.score is not None]
    assert (told.latency in fast) if fast else told.latency is None
    if scores:
        assert told.quality is not None
        assert min(scores) - 1e-9 <= told.quality <= max(scores) + 1e-9


# How sure it is


@given(st.floats(1.0, 1e5), st.floats(1.0, 1e5))
def test_the_interval_is_that_of_the_exact_beta_distribution(good: float, bad: float) -> None:
    beta = Beta(good, bad)
    assert (beta.low, beta.high) == pytest.approx(tuple(stats.beta.ppf([0.05, 0.95], good, bad)), abs=1e-4)
    assert 0.0 <= beta.low < beta.mean < beta.high <= 1.0


def test_more_attempts_narrow_the_interval() -> None:
    widths = [b.high - b.low for b in (PRIOR, believed(*[seen()] * 9, seen("SCHEMA")).reliability, Beta(900.0, 100.0))]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == pytest.approx(0.277, abs=0.001)


def test_prices_and_volumes_are_graded_apart_and_together_by_three_to_one() -> None:
    past = [Seen(NOW, "1d", None, 10.0, 76.0, "AAPL", 96.0, 76.0) for _ in range(3)]
    told = {field: fold("x", past, NOW, interval="1d", symbol="AAPL", field=field).quality for field in ("", "price", "volume")}
    assert told == {"": 91.0, "price": 96.0, "volume": 76.0}
