"""The price of this minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from mdagent.quality.letters import band
from mdagent.quality.live import Stored, grade_live

NOW = datetime(2024, 1, 3, 16, 0, tzinfo=UTC)


def grade(late: float, *others: float, promised: float = 0.0, closed: datetime | None = None) -> str:
    told = grade_live(NOW - timedelta(seconds=late), NOW, timedelta(seconds=promised), others, 100.0, closed)
    return band(told.score)


@pytest.mark.parametrize(
    ("late", "letter"), [(0.0, "A"), (0.9, "A"), (1.5, "B"), (4.9, "B"), (5.1, "C"), (29.0, "C"), (31.0, "D"), (1000.0, "F")]
)
def test_the_later_the_worse(late: float, letter: str) -> None:
    assert grade(late, 100.1) == letter


def test_alone_no_price_is_an_a() -> None:
    assert grade(0.0) == "B"


def test_a_plan_that_promises_delay_is_held_to_its_promise() -> None:
    assert grade(900.5, 100.0, promised=900.0) == "A"
    assert grade(903.0, 100.0, promised=900.0) == "B"


def test_after_the_close_the_last_price_of_the_session_is_in_time() -> None:
    assert grade(3600.0, 100.0, closed=NOW - timedelta(hours=1)) == "A"
    assert grade(86400.0, 100.0, closed=NOW - timedelta(hours=1)) == "F"


def test_a_price_that_another_source_denies_is_a_d() -> None:
    assert grade(0.0, 110.0) == "D"
    assert grade(0.0, 110.0, 100.0, 100.0) == "A"


def test_a_price_without_a_time_is_a_c() -> None:
    told = grade_live(None, NOW, timedelta(0), (), 100.0, None)
    assert (band(told.score), told.late) == ("C", None)


YESTERDAY = date(2024, 1, 2)
CALM = Stored(YESTERDAY, 100.0, 0.01)


@pytest.mark.parametrize(
    ("last", "others", "letter"),
    [(119.0, (), "B"), (84.0, (), "B"), (125.0, (), "D"), (1.0, (), "D"), (-3.0, (), "D"), (125.0, (125.1,), "A"), (125.0, (100.0,), "D")],
)
def test_a_price_far_from_the_last_close_stored_is_a_d_until_another_says_it_too(
    last: float, others: tuple[float, ...], letter: str
) -> None:
    told = grade_live(NOW, NOW, timedelta(0), others, last, None, CALM)
    assert band(told.score) == letter
    if letter == "D" and not others:
        assert told.why == "in time, far from the last close stored, 100 of 2024-01-02, and compared with no other"


def test_a_wild_market_and_an_old_close_reach_further() -> None:
    assert CALM.denies(125.0, NOW)
    assert not CALM._replace(move=0.05).denies(125.0, NOW)
    assert not CALM._replace(day=date(2023, 11, 1)).denies(125.0, NOW)


def test_what_a_price_usually_moves_is_told_by_its_closes() -> None:
    assert Stored.of(YESTERDAY, []) is None
    assert Stored.of(YESTERDAY, [1.0, 0.0]) is None
    some = Stored.of(YESTERDAY, [100.0, 101.0] * 10 + [300.0])
    assert some is not None
    assert some.move == pytest.approx(0.0148, abs=1e-4)
    few = Stored.of(YESTERDAY, [100.0])
    assert few is not None
    assert few.denies(1.0, NOW)


def test_a_price_without_a_time_is_denied_all_the_same() -> None:
    assert band(grade_live(None, NOW, timedelta(0), (), 1.0, None, CALM).score) == "D"
