"""When requests could go at the earliest, by the windows of their sources: the best possible schedule. Shares no code with mdagent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mdagent.sources.base import Quota

# What mdagent takes on itself: of each window a batch run leaves three of ten to others; a rolling one is counted over a little more
# than its period, and a calendar one begins a minute late, since nobody's clock is exact.
LEFT_TO_OTHERS, MARGIN, LEAST_MARGIN, GUARD = 0.3, 0.02, 2.0, timedelta(seconds=60)


class Bound(NamedTuple):
    """At most `limit` requests, of one credit each, in any `seconds`, or between two midnights of `zone`."""

    limit: int
    seconds: float
    zone: str = ""


def bounds_of(quotas: Iterable[Quota]) -> list[Bound]:
    """What a batch run may take of the windows of a plan, which are of seconds or of days."""
    made = []
    for quota in quotas:
        share = quota.limit - int(LEFT_TO_OTHERS * quota.limit)
        if isinstance(quota.per, str):
            assert quota.per == "day"
            made.append(Bound(share, 0.0, quota.zone))
        else:
            made.append(Bound(share, quota.per + max(LEAST_MARGIN, MARGIN * quota.per)))
    return made


def earliest(bounds: Sequence[Bound], start: datetime, count: int) -> list[float]:
    """The seconds after the start at which the requests of one source can go at the earliest, none before the one before it.

    The n-th may go when the one `limit` before it has left each window, so its earliest time follows from theirs; and since a request
    that goes sooner lets none of the later ones go later, no schedule of the source has its n-th request sooner than this.
    """
    times: list[float] = []
    for n in range(count):
        frees = (_after(b, times[n - b.limit], start) for b in bounds if n >= b.limit)
        times.append(max([0.0, *times[-1:], *frees]))
    return times


def _after(bound: Bound, at: float, start: datetime) -> float:
    """When a request of that time is not counted any more."""
    if not bound.zone:
        return at + bound.seconds
    zone = ZoneInfo(bound.zone)
    local = (start + timedelta(seconds=at) - GUARD).astimezone(zone)
    midnight = datetime(local.year, local.month, local.day, tzinfo=zone) + timedelta(days=1)
    return (midnight.astimezone(UTC) + GUARD - start).total_seconds()


def best(bounds: Mapping[str, Sequence[Bound]], start: datetime, count: int) -> tuple[float, dict[str, int]]:
    """The seconds after which the last of so many equal requests goes in the best possible schedule, and how many each source serves in
    it: the earliest of all. To serve each takes one request, or one credit of one, so fewer cannot do."""
    every = sorted((at, name) for name, told in bounds.items() for at in earliest(told, start, count))[:count]
    return every[-1][0], {name: sum(one == name for _, one in every) for name in bounds}
