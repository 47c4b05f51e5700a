"""What a limiter is to do, in the simplest words: a list of what was sent, and a count of it for every question.

Times are seconds on two clocks: `mono`, the true one, and the machine's `wall`, which may be set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mdagent.guard.limits import Window
from mdagent.market import Priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.guard.cost import Budget

KEPT_BACK = {Priority.CRITICAL: 0, Priority.HIGH: 0, Priority.NORMAL: 10, Priority.LOW: 20, Priority.BATCH: 30}  # percent
GUARD, TICK = timedelta(seconds=60), timedelta(microseconds=1)
TIMES, PLUS = {"conservative": 0.5, "balanced": 0.5, "aggressive": 0.7}, {"conservative": 0.02, "balanced": 0.05, "aggressive": 0.1}


@dataclass
class Sent:
    """A request that really went, or one of somebody else that uses the key."""

    wall: datetime
    mono: float
    cost: int
    usd: float = 0.0
    foreign: bool = False


@dataclass
class Waiter:
    ticket: int
    priority: Priority
    cost: int
    until: float


def label(at: datetime, per: str, zone: str) -> date:
    """What a calendar on the wall of the zone shows: the day, or the first of the month."""
    day = at.astimezone(ZoneInfo(zone)).date()
    return day if per == "day" else day.replace(day=1)


def length(window: Window) -> timedelta:
    """Of a rolling window, as a client counts it."""
    assert not isinstance(window.per, str)
    return timedelta(seconds=window.per + max(2.0, window.per / 50))


def counts(window: Window, at: datetime, now: datetime) -> bool:
    """Does the window count at `now` what went at `at`? A minute to both sides of a reset belongs to both days."""
    if isinstance(window.per, str):
        return label(at + GUARD - TICK, window.per, window.zone) >= label(now - GUARD, window.per, window.zone)
    return now - at < length(window)


@dataclass
class Model:
    """One account, whose clock is right: then all that it decides can be foretold."""

    windows: tuple[Window, ...]
    budgets: tuple[Budget, ...]
    strategy: str = "balanced"
    sent: list[Sent] = field(default_factory=list)
    waiting: list[Waiter] = field(default_factory=list)
    blocked: datetime | None = None
    factor: float = 1.0
    overloads: int = 0
    slowed: datetime | None = None
    eased: datetime | None = None
    refused: datetime | None = None

    def weight(self, window: Window, cost: int) -> int:
        return cost if window.of == "credits" else 1

    def used(self, window: Window, now: datetime) -> int:
        return sum(self.weight(window, s.cost) for s in self.sent if counts(window, s.wall, now))

    def share(self, window: Window, priority: Priority, cost: int) -> int:
        """Of a class; who costs more than that may go still, when nothing else does."""
        whole = window.limit if isinstance(window.per, str) else max(1, int(window.limit * self.factor + 1e-9))
        return max(whole - whole * KEPT_BACK[priority] // 100, min(self.weight(window, cost), window.limit))

    def fits(self, cost: int, mine: tuple[Priority, int], now: datetime, others: Sequence[Sent] = ()) -> bool:
        """Is there room for so much, in the share of one of that class and cost, if these others have gone, too?"""
        for window in self.windows:
            used = self.used(window, now) + sum(self.weight(window, o.cost) for o in others if counts(window, o.wall, now))
            if used + self.weight(window, cost) > self.share(window, *mine):
                return False
        return True

    def first_fit(self, cost: int, priority: Priority, now: datetime, ahead: Sequence[int] = ()) -> datetime | None:
        """The first moment, from now on, at which it fits; those ahead go before, each as soon as it can. None: one of them never can."""
        others = list[Sent]()
        for one in (*ahead, cost):
            found = self._moment(one, (priority, cost), now, others)
            if found is None:
                return None
            now = found
            others.append(Sent(now, 0.0, one))
        return now

    def _moment(self, cost: int, mine: tuple[Priority, int], now: datetime, others: Sequence[Sent]) -> datetime | None:
        moments, reset = {now}, now
        for window in self.windows:
            if isinstance(window.per, str):
                for _ in range(3):
                    reset = self.reset(window.per, window.zone, reset)
                    moments.add(reset)
                reset = now
            else:
                moments |= {s.wall + length(window) for s in (*self.sent, *others)}
        return next((at for at in sorted(moments) if at >= now and self.fits(cost, mine, at, others)), None)

    @staticmethod
    def day(window: Window, at: datetime) -> date:
        """Of a calendar window: the day or month of its zone."""
        return label(at, str(window.per), window.zone)

    @staticmethod
    def reset(per: str, zone: str, now: datetime) -> datetime:
        """A minute after the next day or month begins in the zone."""
        today = label(now - GUARD, per, zone)
        at = datetime(today.year, today.month, today.day, tzinfo=UTC) - timedelta(hours=15)
        while label(at, per, zone) <= today:
            at += timedelta(hours=1)
        return at + GUARD

    def ever(self, cost: int) -> bool:
        """Is any window large enough for that, when it is empty?"""
        return all(self.weight(w, cost) <= w.limit for w in self.windows)

    def over_budget(self, usd: float, now: datetime) -> bool:
        def spent(budget: Budget) -> float:
            return sum(s.usd for s in self.sent if counts(Window(0, budget.per), s.wall, now))

        return usd > 0 and any(spent(b) + usd > b.usd + 1e-9 for b in self.budgets)

    def ahead(self, priority: Priority, ticket: int | None, mono: float) -> list[int]:
        """The costs of those that wait and go first, in their order."""
        place = (priority, 10**9 if ticket is None else ticket)
        first = sorted((w.priority, w.ticket, w.cost) for w in self.waiting if w.until > mono)
        return [cost for *where, cost in first if tuple(where) < place]

    def leave(self, ticket: int | None) -> None:
        self.waiting = [w for w in self.waiting if w.ticket != ticket]

    def shortest(self) -> Window | None:
        return min((w for w in self.windows if not isinstance(w.per, str)), key=lambda w: w.per, default=None)

    def answered(self, what: str, now: datetime) -> None:
        """An answer, and what it does to the pace: `good`, `429`, `503`, or anything `else`."""
        shortest = self.shortest()
        window = timedelta(seconds=float(shortest.per)) if shortest else timedelta(minutes=1)
        self.overloads = self.overloads + 1 if what == "503" else 0
        if what == "429" or self.overloads == 3:
            self.overloads, self.refused = 0, now
            if self.factor == 1.0 or self.slowed is None or now - self.slowed >= window:
                self.factor, self.slowed = max(0.1, self.factor * TIMES[self.strategy]), now
        elif what != "503" and self.factor < 1.0 and shortest is not None and self.half_used(shortest, now):
            quiet = all(at is None or now - at >= window for at in (self.refused, self.eased))
            self.factor, self.eased = (min(1.0, self.factor + PLUS[self.strategy]), now) if quiet else (self.factor, self.eased)
        if self.factor == 1.0:
            self.slowed = self.eased = self.refused = None

    def half_used(self, window: Window, now: datetime) -> bool:
        return 2 * self.used(window, now) >= self.share(window, Priority.HIGH, 1)
