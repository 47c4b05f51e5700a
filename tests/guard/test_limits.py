"""Quota windows: may one more request go, and if not, when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.limits import Denied, Grant, Refusal, Usage, Window, admit, span
from mdagent.guard.outcome import FailureKind

NOW = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)


def used(*seconds_ago: float, cost: int = 1, now: datetime = NOW) -> list[Usage]:
    return [Usage(now - timedelta(seconds=s), cost) for s in sorted(seconds_ago, reverse=True)]


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (Window(60, 60.0), "60 per 1m"),
        (Window(2000, 3600.0), "2000 per 1h"),
        (Window(5, 90.0), "5 per 90s"),
        (Window(5, 0.5), "5 per 0.5s"),
        (Window(800, "day"), "800 per day (UTC)"),
        (Window(800, "month", "America/New_York"), "800 per month (America/New_York)"),
    ],
)
def test_a_window_is_said_as_a_person_says_it(window: Window, text: str) -> None:
    assert window.text == text


def test_requests_go_while_the_window_has_room() -> None:
    assert isinstance(admit([Window(3, 60.0)], used(10, 20), 1, NOW), Grant)
    refused = admit([Window(3, 60.0)], used(10, 20, 30), 1, NOW)
    assert isinstance(refused, Refusal)
    assert refused.reason == "the quota of 3 per 1m is spent"


def test_a_rolling_window_is_longer_than_its_period_by_two_seconds_or_two_percent() -> None:
    assert isinstance(admit([Window(1, 60.0)], used(61.9), 1, NOW), Refusal)
    assert isinstance(admit([Window(1, 60.0)], used(62.0), 1, NOW), Grant)
    assert isinstance(admit([Window(1, 3600.0)], used(3671.9), 1, NOW), Refusal)
    assert isinstance(admit([Window(1, 3600.0)], used(3672.0), 1, NOW), Grant)


def test_the_wait_ends_when_enough_old_requests_have_left() -> None:
    refused = admit([Window(3, 60.0)], used(10, 20, 30), 1, NOW)
    assert isinstance(refused, Refusal)
    assert refused.wait == pytest.approx(32.0)  # the one of 30 s ago leaves 62 s after it was sent
    assert refused.until == NOW + timedelta(seconds=32)
    two = admit([Window(3, 60.0)], used(10, 20, 30), 2, NOW)
    assert isinstance(two, Refusal)
    assert two.wait == pytest.approx(42.0)


def test_costs_count_not_requests() -> None:
    assert isinstance(admit([Window(10, 60.0)], used(5, cost=8), 2, NOW), Grant)
    assert isinstance(admit([Window(10, 60.0)], used(5, cost=8), 3, NOW), Refusal)


@pytest.mark.parametrize("per", [60.0, "day", "month"])
def test_what_costs_more_than_a_whole_window_never_goes_and_is_told_no_time(per: float | str) -> None:
    window = Window(10, per)  # type: ignore[arg-type]
    assert isinstance(admit([window], [], 10, NOW), Grant)
    answer = admit([Window(5, 60.0), window], used(*range(1, 7)), 11, NOW)
    assert isinstance(answer, Denied)
    alone = admit([window], used(1, cost=9), 11, NOW)
    assert alone == Denied(FailureKind.PLAN_LIMIT, f"a request of 11 credits is more than the quota of {window.text} ever allows")


def test_a_window_of_bare_requests_does_not_mind_what_they_cost() -> None:
    assert isinstance(admit([Window(1, 60.0, of="requests")], [], 11, NOW), Grant)


def test_all_windows_admit_or_none_and_the_longest_wait_is_told() -> None:
    windows = [Window(5, 60.0), Window(6, "day")]
    usage = used(*range(1, 7))
    refused = admit(windows, usage, 1, NOW)
    assert isinstance(refused, Refusal)
    assert refused.reason == "the quota of 6 per day (UTC) is spent"
    assert refused.until == datetime(2024, 1, 18, 0, 1, tzinfo=UTC)
    assert isinstance(admit([Window(7, 60.0), Window(7, "day")], usage, 1, NOW), Grant)


def test_without_a_window_everything_goes() -> None:
    assert isinstance(admit([], used(*range(100)), 1, NOW), Grant)


@pytest.mark.parametrize(
    ("now", "per", "zone", "since", "until"),
    [
        (NOW, "day", "UTC", "2024-01-17T00:00Z", "2024-01-18T00:00Z"),
        (NOW, "month", "UTC", "2024-01-01T00:00Z", "2024-02-01T00:00Z"),
        (datetime(2024, 12, 31, 23, 59, tzinfo=UTC), "month", "UTC", "2024-12-01T00:00Z", "2025-01-01T00:00Z"),
        (datetime(2024, 2, 10, tzinfo=UTC), "month", "UTC", "2024-02-01T00:00Z", "2024-03-01T00:00Z"),
        (NOW, "day", "America/New_York", "2024-01-17T05:00Z", "2024-01-18T05:00Z"),
        (datetime(2024, 1, 17, 3, tzinfo=UTC), "day", "America/New_York", "2024-01-16T05:00Z", "2024-01-17T05:00Z"),
        (datetime(2024, 3, 10, 12, tzinfo=UTC), "day", "America/New_York", "2024-03-10T05:00Z", "2024-03-11T04:00Z"),  # 23 hours
        (datetime(2024, 11, 3, 12, tzinfo=UTC), "day", "America/New_York", "2024-11-03T04:00Z", "2024-11-04T05:00Z"),  # 25 hours
        (datetime(2024, 3, 20, 12, tzinfo=UTC), "month", "America/New_York", "2024-03-01T05:00Z", "2024-04-01T04:00Z"),
    ],
)
def test_a_calendar_window_is_that_of_the_providers_zone(now: datetime, per: str, zone: str, since: str, until: str) -> None:
    start, reset = span(Window(1, per, zone), now)  # type: ignore[arg-type]
    minute = timedelta(minutes=1)  # on both sides of a reset, whose exact second is the provider's
    assert start == datetime.fromisoformat(since) - minute
    assert reset == datetime.fromisoformat(until) + minute


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "UTC"])
def test_days_of_a_zone_follow_each_other_without_a_hole_over_a_year(zone: str) -> None:
    at = datetime(2024, 1, 1, 12, tzinfo=UTC)
    resets = set()
    for hour in range(0, 366 * 24, 6):
        since, reset = span(Window(1, "day", zone), at + timedelta(hours=hour))
        assert since < at + timedelta(hours=hour) < reset
        assert timedelta(hours=23) <= reset - since - timedelta(minutes=2) <= timedelta(hours=25)
        resets.add(reset)
    assert len(resets) in (366, 367)


def test_a_day_quota_comes_back_a_minute_after_the_providers_midnight() -> None:
    midnight = datetime(2024, 1, 18, 5, tzinfo=UTC)
    window = Window(1, "day", "America/New_York")
    usage = [Usage(midnight - timedelta(hours=5), 1)]
    early = admit([window], usage, 1, midnight - timedelta(seconds=1))
    assert isinstance(early, Refusal)
    assert early.until == midnight + timedelta(minutes=1)
    assert isinstance(admit([window], usage, 1, early.until), Grant)


def test_in_the_first_minute_of_a_day_the_day_before_still_counts() -> None:
    midnight = datetime(2024, 1, 18, tzinfo=UTC)
    usage = [Usage(midnight - timedelta(hours=5), 1)]
    refused = admit([Window(1, "day")], usage, 1, midnight + timedelta(seconds=30))
    assert isinstance(refused, Refusal)
    assert refused.wait == 30.0


def test_the_last_minute_of_a_day_counts_for_both_days() -> None:
    midnight = datetime(2024, 1, 18, tzinfo=UTC)
    usage = [Usage(midnight - timedelta(seconds=30), 1)]
    assert isinstance(admit([Window(1, "day")], usage, 1, midnight + timedelta(hours=3)), Refusal)


def test_what_went_when_the_clock_was_wrong_counts_on_both_days() -> None:
    """A rolling window knows when it went."""
    day, minute = Window(1, "day"), Window(1, 60.0)
    for days, counts in ((0, 1), (1, 0), (-1, 0)):
        usage = [Usage(NOW - timedelta(days=3), 1, dated=NOW + timedelta(days=days))]
        assert day.counted(usage, NOW) == counts
        assert minute.inside(usage, NOW) == []


def test_nothing_goes_before_the_end_of_a_block_and_after_it_only_what_the_quota_allows() -> None:
    windows, rest = [Window(2, 60.0)], NOW + timedelta(seconds=30)
    for ago, wait in ((40, 30.0), (10, 52.0)):
        refused = admit(windows, used(ago, ago), 1, NOW, rest=rest)
        assert isinstance(refused, Refusal)
        assert refused.wait == wait


@given(
    limit=st.integers(1, 6),
    per=st.sampled_from([1.0, 10.0, 60.0, 3600.0]),
    steps=st.lists(st.floats(min_value=0.0, max_value=40.0), min_size=1, max_size=60),
)
def test_never_more_than_the_limit_in_any_period_and_never_a_wait_for_nothing(limit: int, per: float, steps: list[float]) -> None:
    window, now, usage = Window(limit, per), NOW, list[Usage]()
    for step in steps:
        now += timedelta(seconds=step)
        answer = admit([window], usage, 1, now)
        if isinstance(answer, Refusal):
            assert answer.wait > 0
            assert isinstance(admit([window], usage, 1, answer.until + timedelta(milliseconds=1)), Grant)
        else:
            usage.append(Usage(now, 1))
    sent = [u.at for u in usage]
    for first in sent:
        assert sum(first <= at < first + timedelta(seconds=per) for at in sent) <= limit


@given(
    limit=st.integers(1, 4),
    zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
    hours=st.lists(st.sampled_from([0.0, 0.005, 0.01, 3.0, 5.99, 6.0, 12.0]), min_size=1, max_size=40),
)
def test_never_more_than_the_limit_in_a_day_of_the_zone(limit: int, zone: str, hours: list[float]) -> None:
    window, now, usage = Window(limit, "day", zone), datetime(2024, 3, 8, tzinfo=UTC), list[Usage]()
    for step in hours:
        now += timedelta(hours=step)
        if isinstance(admit([window], usage, 1, now), Grant):
            usage.append(Usage(now, 1))
    for skew in (-60, 0, 60):  # seconds by which the provider's clock may differ
        days = [(u.at + timedelta(seconds=skew)).astimezone(ZoneInfo(zone)).date() for u in usage]
        assert all(days.count(day) <= limit for day in days)


def test_what_a_window_does_not_include_of_a_request() -> None:
    day, calls = Window(10, "day"), Window(2, "day", of="requests")
    assert [day.beyond(used, 4) for used in (0, 6, 7, 10, 20)] == [0, 0, 1, 4, 4]
    assert [calls.beyond(used, 4) for used in (0, 1, 2, 3)] == [0, 0, 4, 4], "whole or not at all"
