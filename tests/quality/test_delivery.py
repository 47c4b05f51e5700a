"""What an answer says of itself: delayed prices, the volume of one market alone, rows before and after regular hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mdagent.market import BarRequest, Interval
from mdagent.quality.checks import judge
from mdagent.quality.delivery import regular_hours
from mdagent.quality.grade import grade
from tests.quality.ten import NOW, bars, bars_at, judged, sessions

if TYPE_CHECKING:
    from mdagent.market import BarSet

HOUR = BarRequest("AAPL", "1h", "2024-01-02", "2024-01-03")  # type: ignore[arg-type]


def at(*times: str, day: str = "2024-01-02", interval: Interval = Interval.H1, **delivery: Any) -> BarSet:
    """Bars of New York by their UTC times: the session is from 14:30 to 21:00."""
    stamps = [datetime.fromisoformat(f"{day}T{t}").replace(tzinfo=UTC) for t in times]
    return replace(bars_at(stamps, **{"extended": True} | delivery), interval=interval)


def kept(some: BarSet) -> tuple[list[str], int]:
    left, aside = regular_hours(some, sessions())
    return [f"{t.item():%H:%M}" for t in left.ts], aside


def told(verdict: Any, check: str) -> list[str]:
    return [f.message for f in verdict.findings if f.check == check]


def test_rows_that_trade_wholly_before_or_after_the_session_are_left_aside_and_counted() -> None:
    assert kept(at("09:00", "13:00", "14:30", "15:30", "20:30", "21:00", "22:00")) == (["14:30", "15:30", "20:30"], 4)


def test_a_bar_cut_by_the_clock_that_overlaps_the_open_stays() -> None:
    assert kept(at("13:30", "14:00", "15:00", "20:00", "21:00")) == (["14:00", "15:00", "20:00"], 2)
    assert kept(at("14:25", "14:29", "14:30", "20:59", "21:00", interval=Interval.M1)) == (["14:30", "20:59"], 3)


def test_a_half_day_ends_early() -> None:
    assert kept(at("14:30", "17:30", "18:00", "19:00", day="2023-11-24")) == (["14:30", "17:30"], 2)


def test_a_row_on_a_day_without_any_session_is_left_for_the_check_of_sessions_to_condemn() -> None:
    assert kept(at("15:30", day="2024-01-01")) == (["15:30"], 0)
    verdict = judge(at("15:30", day="2024-01-01"), replace(HOUR, start=HOUR.start - timedelta(days=1)), sessions(), NOW, timedelta(0))
    assert not len(verdict.keep)


def test_only_where_the_source_sends_these_along() -> None:
    assert kept(at("09:00", "15:30", extended=False)) == (["09:00", "15:30"], 0)


def test_daily_bars_and_unknown_sessions_have_no_hours() -> None:
    daily = bars(extended=True)
    assert regular_hours(daily, sessions()) == (daily, 0)
    early = at("09:00")
    assert regular_hours(early, None) == (early, 0)
    empty = early.take(np.array([], dtype=int))
    assert regular_hours(empty, sessions()) == (empty, 0)


def test_left_aside_rows_are_said_and_cost_no_grade() -> None:
    hours = [f"{h}:30" for h in range(14, 21)]
    alone = judge(at(*hours), HOUR, sessions(), NOW, timedelta(0))
    more = judge(at("09:30", *hours, "22:30"), HOUR, sessions(), NOW, timedelta(0))
    assert told(more, "hours") == ["2 rows before or after regular hours were left aside"]
    assert told(alone, "hours") == []
    assert len(more.keep) == len(alone.keep) == 7
    assert not more.quarantine
    assert grade(more).letter == grade(alone).letter == "A"


def test_delayed_prices_are_said_and_cost_the_best_grade() -> None:
    late = judged(bars(late=True))
    assert told(late, "delayed") == ["the provider says that these prices are delayed"]
    assert told(judged(bars()), "delayed") == []
    assert grade(late).score < grade(judged(bars())).score


def test_the_volume_of_one_market_is_said_and_costs_nothing() -> None:
    verdict = judged(replace(bars(), venue="IEX"))
    assert told(verdict, "venue") == ["the volume is that of IEX alone, a part of the market's"]
    assert grade(verdict).score == grade(judged(bars())).score
