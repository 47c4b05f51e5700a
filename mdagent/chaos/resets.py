"""Quotas that start anew by the calendar, asked for all that they allow on both sides of it: where clocks change and months end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from mdagent.chaos.ear import Ear
from mdagent.chaos.probes import Called
from mdagent.guard.outcome import Failure
from mdagent.market import Symbol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdagent.chaos.load import Person
    from mdagent.config.kinds import LimitSettings

_AHEAD = timedelta(hours=3)  # more than anybody waits for quota
_CLOSE = (-90.0, -30.0, 5.0, 30.0)  # seconds from a reset: asked once each
_AFTER = 120.0  # seconds: by then it has been on everybody's clock
_MORE = 3  # requests that are tried beyond what is allowed
_SYMBOL = Symbol.parse("AAPL")


class Edge(NamedTuple):
    """A reset, and the allowance that it renews."""

    at: datetime
    limit: int


def edges(quota: LimitSettings, start: datetime, end: datetime) -> list[Edge]:
    """The resets of a calendar quota between two instants that are out of the ordinary: the first of each month, and for a quota of a day
    both midnights of the days on which its zone changes its clocks, and the day after."""
    zone, made = ZoneInfo(quota.zone), []
    day = start.astimezone(zone).date()
    while (at := _midnight(day, zone)) < end:
        if at > start + _AHEAD and (day.day == 1 or (quota.per == "day" and _changes(day, zone))):
            made.append(Edge(at, quota.limit))
        day += timedelta(days=1)
    return made


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _changes(day: date, zone: ZoneInfo) -> bool:
    """Is the day, or one of the two before it, one of 23 or 25 hours?"""
    return any(
        _midnight(day - timedelta(days=n - 1), zone) - _midnight(day - timedelta(days=n), zone) != timedelta(days=1) for n in range(3)
    )


def live_through(person: Person, quota: LimitSettings, until: float) -> Iterator[Called]:
    """Ask round each of them; one call for each, good where what was granted after it is all that the quota allows."""
    clock = person.desk.clock
    end = clock.now() + timedelta(seconds=until - clock.monotonic())
    for edge in edges(quota, clock.now(), end - _AHEAD):
        began = clock.monotonic() + max(0.0, (edge.at - clock.now()).total_seconds())
        clock.pause(began - _AHEAD.total_seconds() - clock.monotonic())
        granted = [at for _ in range(edge.limit + _MORE) if (at := _granted(person))]
        for off in _CLOSE:
            clock.pause(began + off - clock.monotonic())
            granted.append(_granted(person) or 0.0)
        clock.pause(began + _AFTER - clock.monotonic())
        granted += [_granted(person) or 0.0 for _ in range(edge.limit + _MORE)]
        anew = sum(at >= began for at in granted)
        why = "" if anew == edge.limit else "granted too little" if anew < edge.limit else "granted too much"
        yield Called(person.habit.who, "resets", "", began, clock.monotonic(), why, person.habit.source)


def _granted(person: Person) -> float:
    """Ask for one price; when it was told, 0 where it was not."""
    desk, source = person.desk, person.habit.source
    ear = Ear(desk.transport, desk.clock, desk.source_of, desk.heard)
    with desk.agent(f"{person.habit.who}-{len(desk.heard)}", ear, person.dice) as agent:
        told = agent.quote([_SYMBOL], source=source)[0]
    return 0.0 if isinstance(told, Failure) else desk.clock.monotonic()
