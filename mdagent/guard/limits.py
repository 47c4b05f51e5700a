"""Quota windows: may one more request go, and if not, when. Pure; the ledger makes each decision one transaction.

A rolling window of a provider is counted over its period plus a margin, because our clock and theirs, and the way a request
takes, differ: with fixed provider minutes of unknown phase and 0-2 s of jitter a bare rolling window was over 6 times in 40
hours, one with a 2 s margin never.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from mdagent.guard.outcome import FailureKind
from mdagent.market import Priority

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The share of each window that a class leaves to those above it, so that a person at the prompt need not wait for a backfill.
KEPT_BACK = {Priority.CRITICAL: 0.0, Priority.HIGH: 0.0, Priority.NORMAL: 0.1, Priority.LOW: 0.2, Priority.BATCH: 0.3}
_MOST_STEPS = 100  # from one window's refusal to the next; each step is a whole wait
_GUARD = timedelta(seconds=60)  # round a calendar reset, whose exact second is the provider's


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` in `per`: seconds of a rolling window, or a calendar `day` or `month` of `zone`. Counted are `credits`, of which
    a request may cost several, or bare `requests`."""

    limit: int
    per: float | Literal["day", "month"]
    zone: str = "UTC"
    of: Literal["credits", "requests"] = "credits"
    whole: int = 0  # the limit of which this is a share; 0 where it is all

    @property
    def calendar(self) -> bool:
        """Does it start anew by the calendar, all of it at once?"""
        return isinstance(self.per, str)

    def beyond(self, used: int, cost: int) -> int:
        """Credits of a request that it does not include, where `used` is taken of it. A request is counted whole or not at all."""
        if self.of == "requests":
            return cost if used + 1 > self.limit else 0
        return min(cost, max(0, used + cost - self.limit))

    def used(self, usage: Iterable[Usage]) -> int:
        """What these requests take of the window."""
        return sum(u.cost if self.of == "credits" else u.requests for u in usage)

    def counted(self, usage: Iterable[Usage], now: datetime) -> int:
        """What it has counted of them at that time."""
        return self.used(self.inside(usage, now))

    def inside(self, usage: Iterable[Usage], now: datetime) -> list[Usage]:
        """Those of them that the window counts at that time."""
        since, reset = span(self, now)
        calendar = isinstance(self.per, str)
        return [u for u in usage if u.at > since or (calendar and u.dated is not None and since < u.dated <= reset)]

    @property
    def text(self) -> str:
        """As a person says it: `60 per 1m`, `800 per day (UTC)`; a share as `54 of 60 per 1m`."""
        most = f"{self.limit} of {self.whole}" if self.whole else f"{self.limit}"
        if isinstance(self.per, str):
            return f"{most} per {self.per} ({self.zone})"
        for size, unit in ((3600, "h"), (60, "m"), (1, "s")):
            if self.per % size == 0:
                return f"{most} per {self.per / size:.0f}{unit}"
        return f"{most} per {self.per:g}s"


@dataclass(frozen=True, slots=True)
class Usage:
    """One request that counts, or several that no rolling window counts any more, `at` the time of the last. `dated` is what the clock said
    when it went, where that was wrong or may have been: it counts on both days."""

    at: datetime
    cost: int
    requests: int = 1
    dated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """The request may go; `token` names its row in the ledger. `generations` are those of the two breakers it passed, and `probe` says
    that one of them waits for its outcome; `degraded`: it is not to be tried a second time there.
    `plain`: nothing out of the ordinary is noted of the account, no block either. `overage` is what it costs for credits beyond the
    quota, in USD, besides the price of its credits."""

    token: int
    generations: tuple[int, int] = (0, 0)
    probe: bool = False
    degraded: bool = False
    plain: bool = False
    overage: float = 0.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """The request may not go now: the reason, and the seconds (and instant) to wait. `ticket` is its place in the queue of those that
    wait, None where it has taken none."""

    reason: str
    wait: float
    until: datetime
    ticket: int | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """No wait within a call helps: what the request costs is more than a window ever holds (PLAN_LIMIT), or more than the budget
    (BUDGET), or a breaker is open (BREAKER_OPEN). `until` is when it may be asked again, None where no time ends it."""

    kind: FailureKind
    reason: str
    until: datetime | None = None


def admit(  # noqa: PLR0913  what is asked, what goes before it, and since when
    windows: Sequence[Window],
    usage: Sequence[Usage],
    cost: int,
    now: datetime,
    *,
    ahead: Sequence[Usage] = (),
    rest: datetime | None = None,
) -> Grant | Refusal | Denied:
    """All windows, or none. Of several refusals the one with the longest wait is told. `usage` is in order of time; `ahead` are
    requests that wait already and go first; nothing goes before `rest`."""
    for window in windows:
        if window.used((Usage(now, cost),)) > window.limit:
            return Denied(FailureKind.PLAN_LIMIT, f"a request of {cost} credits is more than the quota of {window.text} ever allows")
    taken, first = list(usage), max(now, rest or now)
    for other in ahead:  # each takes the first place that is left to it, and not before the one that goes before it
        first = _slot(windows, taken, other.cost, first)
        taken.append(Usage(first, other.cost))
    refusal = _worst(windows, taken, cost, first)
    if refusal is None and first <= now:
        return Grant(0)
    until = _slot(windows, taken, cost, first)
    told = refusal or _worst(windows, usage, cost, now)
    return Refusal(told.reason if told else "others wait for it already", max(0.001, (until - now).total_seconds()), until)


def _slot(windows: Sequence[Window], usage: Sequence[Usage], cost: int, now: datetime) -> datetime:
    """The first moment, from now on, at which all windows have room."""
    for _ in range(_MOST_STEPS):
        refusal = _worst(windows, usage, cost, now)
        if refusal is None:
            break
        now = max(refusal.until, now + timedelta(microseconds=1))
    return now


def _worst(windows: Sequence[Window], usage: Sequence[Usage], cost: int, now: datetime) -> Refusal | None:
    refusals = [r for w in windows if (r := _refusal(w, usage, cost, now))]
    return max(refusals, key=lambda r: r.wait) if refusals else None


def usable(window: Window, priority: Priority, cost: int, factor: float = 1.0) -> Window:
    """The window as a request of that class and cost may use it: a rolling one times the adaptive factor, less what is kept back for
    the classes above. A request that costs more than its share may still go when nothing else does."""
    whole = window.limit if isinstance(window.per, str) else max(1, int(window.limit * factor + 1e-9))
    share = max(whole - int(whole * KEPT_BACK[priority]), min(cost if window.of == "credits" else 1, window.limit))
    return window if share == window.limit else replace(window, limit=share, whole=window.limit)


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
    counted = window.inside(usage, now)
    over = window.used(counted) + (cost if window.of == "credits" else 1) - window.limit
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
