"""Drill D17: over three years a calendar window starts anew exactly once in each day, or month, of the provider's zone.

The oracle knows of zones only what a clock on the provider's wall shows: a day begins where its date changes.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

import pytest

from mdagent.guard.limits import Grant, Refusal, Usage, Window, admit, span
from mdagent.sources import NAMES, spec_of

Per = Literal["day", "month"]

FIRST, LAST = datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2027, 1, 1, 12, tzinfo=UTC)
HOUR, SECOND, DAY = timedelta(hours=1), timedelta(seconds=1), timedelta(days=1)
GUARD = timedelta(seconds=60)  # a reset is waited for so long, since its exact second is the provider's
USED = {(q.zone, q.per) for name in NAMES for plan in spec_of(name).plans for q in plan.quotas if isinstance(q.per, str)}
ZONES = sorted({zone for zone, _ in USED})
# None of ours, and harder: half an hour of summer time; midnights that do not exist, or come twice; the far end of the date line.
HARD = ["Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "America/Santiago", "Pacific/Kiritimati"]


def of_zones(zones: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("zone", "per"), [(zone, per) for zone in zones for per in ("day", "month")])


@cache
def moments(zone: str) -> tuple[datetime, ...]:
    """Four a day over three years; every hour of the days round a month's end, and round a change of the zone's clocks."""
    there, found, at = ZoneInfo(zone), list[datetime](), FIRST
    while at < LAST:
        near = at - DAY, at + DAY
        busy = near[0].month != near[1].month or near[0].astimezone(there).utcoffset() != near[1].astimezone(there).utcoffset()
        found += [at + n * HOUR for n in range(0, 24, 1 if busy else 6)]
        at += DAY
    return (*found, LAST)


def day_of(at: datetime, zone: str, per: Per) -> date:
    """What the provider's calendar shows: the day, or the first of the month."""
    local = at.astimezone(ZoneInfo(zone)).date()
    return local if per == "day" else local.replace(day=1)


@cache
def beginnings(zone: str, per: Per) -> tuple[datetime, ...]:
    """When its days or months begin: on a quarter of an hour, in every zone of today."""
    found = list[datetime]()
    for before, after in pairwise(moments(zone)):
        if day_of(before, zone, per) == day_of(after, zone, per):
            continue
        quarters = [before + n * HOUR / 4 for n in range(int(4 * (after - before) / HOUR) + 1)]
        found += [b for a, b in pairwise(quarters) if day_of(a, zone, per) != day_of(b, zone, per)]
    return tuple(found)


def test_the_zones_are_those_of_the_sources() -> None:
    assert set(ZONES) >= {"America/New_York", "UTC"}, "else this drill says nothing"
    assert {per for _, per in USED} == {"day", "month"}


def test_the_three_years_have_days_of_23_and_of_25_hours() -> None:
    lengths = [(b - a) / HOUR for a, b in pairwise(beginnings("America/New_York", "day"))]
    assert {length: lengths.count(length) for length in set(lengths)} == {23: 3, 24: 1089, 25: 3}
    assert len(beginnings("UTC", "day")) == 1096
    assert len(beginnings("UTC", "month")) == 36


@of_zones(ZONES)
def test_who_asks_all_the_time_gets_one_request_of_one_in_each_day_or_month(zone: str, per: Per) -> None:
    """By the provider's calendar no date has two, and none has none."""
    window, usage = Window(1, per, zone), list[Usage]()
    for at in moments(zone):
        if isinstance(admit([window], usage[-1:], 1, at), Grant):
            usage.append(Usage(at, 1))
    dates = dict.fromkeys(day_of(at, zone, per) for at in moments(zone))
    assert [day_of(use.at, zone, per) for use in usage] == list(dates)


@of_zones([*ZONES, *HARD])
def test_there_is_one_reset_a_day_or_month_a_minute_after_it_begins(zone: str, per: Per) -> None:
    window = Window(1, per, zone)
    resets = list(dict.fromkeys(span(window, at)[1] for at in moments(zone)))
    assert resets[:-1] == [begun + GUARD for begun in beginnings(zone, per)]
    assert resets[-1] > LAST


@of_zones([*ZONES, *HARD])
def test_at_no_second_round_a_reset_does_quota_come_back_early_or_late(zone: str, per: Per) -> None:
    """What was sent up to a minute before the day began may be of that day to the provider, and a minute after it may not be yet."""
    window, there = Window(1, per, zone), ZoneInfo(zone)
    for begun in beginnings(zone, per):
        if zone in HARD and (begun - DAY).astimezone(there).utcoffset() == (begun + DAY).astimezone(there).utcoffset():
            continue
        old, new = [Usage(begun - GUARD, 1)], [Usage(begun - GUARD + SECOND, 1)]
        for seconds in (-60, -1, 0, 59):
            refused = admit([window], old, 1, begun + seconds * SECOND)
            assert isinstance(refused, Refusal)
            assert refused.until == begun + GUARD
        for seconds in (60, 3600):
            assert isinstance(admit([window], old, 1, begun + seconds * SECOND), Grant)
            assert isinstance(admit([window], new, 1, begun + seconds * SECOND), Refusal)
