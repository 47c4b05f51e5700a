"""Quota windows: may one more request go, and if not, when. Pure; the ledger makes each decision one transaction.

A rolling window of a provider is counted over its period plus a margin, because our clock and theirs, and the way a request
takes, differ: with fixed provider minutes of unknown phase and 0-2 s of jitter a bare rolling window was over 6 times in 40
hours, one with a 2 s margin never.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GUARD = timedelta(seconds=60)  # round a calendar reset, whose exact second is the provider's


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` in `per`: seconds of a rolling window, or a calendar `day` or `month` of `zone`. Counted are `credits`, of which
    a request may cost several, or bare `requests`."""

    limit: int
    per: float | Literal["day", "month"]
    zone: str = "UTC"
    of: Literal["credits", "requests"] = "credits"

    def used(self, usage: Iterable[Usage]) -> int:
        """What these requests take of the window."""
        return sum(u.cost if self.of == "credits" else 1 for u in usage)

    @property
    def text(self) -> str:
        """As a person says it: `60 per 1m`, `800 per day (UTC)`."""
        if isinstance(self.per, str):
            return f"{self.limit} per {self.per} ({self.zone})"
        for size, unit in ((3600, "h"), (60, "m"), (1, "s")):
            if self.per % size == 0:
                return f"{self.limit} per {self.per / size:.0f}{unit}"
        return f"{self.limit} per {self.per:g}s"


@dataclass(frozen=True, slots=True)
class Usage:
    """One request that counts."""

    at: datetime
    cost: int


@dataclass(frozen=True, slots=True)
class Grant:
    """The request may go; `token` names its row in the ledger."""

    token: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """The request may not go now: the reason, and the seconds (and instant) to wait."""

    reason: str
    wait: float
    until: datetime


@dataclass(frozen=True, slots=True)
class Never:
    """The request costs more than a whole window holds: no waiting helps."""

    reason: str


def admit(windows: Sequence[Window], usage: Sequence[Usage], cost: int, now: datetime) -> Grant | Refusal | Never:
    """All windows, or none. Of several refusals the one with the longest wait is told. `usage` is in order of time."""
    for window in windows:
        if window.used((Usage(now, cost),)) > window.limit:
            return Never(f"a request of {cost} credits is more than the quota of {window.text} ever allows")
    refusals = [r for w in windows if (r := _refusal(w, usage, cost, now))]
    return max(refusals, key=lambda r: r.wait) if refusals else Grant(0)


def oldest_needed(windows: Sequence[Window], now: datetime) -> datetime:
    """The time from which requests still count for any of the windows."""
    return min((span(w, now)[0] for w in windows), default=now)


def span(window: Window, now: datetime) -> tuple[datetime, datetime]:
    """The part of the past that the window counts, and when a calendar window starts anew (`now` for a rolling one)."""
    if not isinstance(window.per, str):
        return now - timedelta(seconds=window.per + max(2.0, 0.02 * window.per)), now
    local = (now - _GUARD).astimezone(ZoneInfo(window.zone))  # the first minute of a day may still be the day before to the provider
    start = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if window.per == "month":
        start = start.replace(day=1)
        following = (start + timedelta(days=32)).replace(day=1)
    else:
        following = start + timedelta(days=1)
    zone = ZoneInfo(window.zone)
    return start.replace(tzinfo=zone).astimezone(UTC) - _GUARD, following.replace(tzinfo=zone).astimezone(UTC) + _GUARD


def _refusal(window: Window, usage: Sequence[Usage], cost: int, now: datetime) -> Refusal | None:
    since, reset = span(window, now)
    counted = [u for u in usage if u.at > since]
    over = window.used((*counted, Usage(now, cost))) - window.limit
    if over <= 0:
        return None
    reason = f"the quota of {window.text} is spent"
    if isinstance(window.per, str):
        return Refusal(reason, (reset - now).total_seconds(), reset)
    free = now
    for used in counted:  # the oldest leave first
        over -= window.used((used,))
        free = used.at + (now - since)
        if over <= 0:
            break
    return Refusal(reason, max(0.001, (free - now).total_seconds()), free)
