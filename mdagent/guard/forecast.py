"""When requests could go that are made one after another, as the quota and the budgets stand now. Pure.

The same sums as an admission makes (`limits.admit`, of which a test holds it to be the equal), for thousands of requests: each takes
the first place that is left to it, and not before the one that goes before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING

from mdagent.guard.cost import price, walls
from mdagent.guard.limits import Denied, Window, span, usable
from mdagent.guard.outcome import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from mdagent.guard.cost import Budget, Price
    from mdagent.guard.limits import Usage
    from mdagent.market import Priority

_MOST_STEPS = 100  # from one window's refusal to the next


@dataclass(slots=True)
class Tally:
    """The quota of one account: what is used of it by now, and by the requests that are foreseen. `first` is the earliest moment at which
    one more can go; `factor` is the adaptive one, `overage` the price of a credit beyond the calendar windows (None: they are walls)."""

    windows: Sequence[Window]
    first: datetime
    factor: float = 1.0
    overage: float | None = None
    _times: list[datetime] = field(default_factory=list)
    _credits: list[int] = field(default_factory=lambda: [0])  # of the requests before each, and of all of them
    _requests: list[int] = field(default_factory=lambda: [0])
    _dated: list[Usage] = field(default_factory=list)  # those that count by another date, too
    _shares: dict[tuple[Priority, int], tuple[Window, ...]] = field(default_factory=dict)

    def used(self, usage: Iterable[Usage]) -> None:
        """Enter what is used already, oldest first."""
        for one in usage:
            self.take(one.cost, min(one.at, self.first), one.requests)
            if one.dated is not None:
                self._dated.append(one)

    def take(self, cost: int, at: datetime, requests: int = 1) -> None:
        """One request goes at that time; the next one not before it."""
        self._times.append(at)
        self._credits.append(self._credits[-1] + cost)
        self._requests.append(self._requests[-1] + requests)
        self.first = max(self.first, at)

    def slot(self, cost: int, priority: Priority, since: datetime) -> datetime | Denied:
        """When a request could go that is made at `since`; Denied where no wait helps."""
        shares = self._shares.get((priority, cost))
        if shares is None:
            found = (usable(w, priority, cost, self.factor) for w in walls(self.windows, self.overage))
            shares = self._shares[priority, cost] = tuple(found)
        for window in shares:
            if window.of == "credits" and cost > window.limit:
                words = f"a request of {cost} credits is more than the quota of {window.text} ever allows"
                return Denied(FailureKind.PLAN_LIMIT, words)
        at = max(since, self.first)
        for _ in range(_MOST_STEPS):
            free = max((self._free(w, cost, at) for w in shares), default=at)
            if free <= at:
                break
            at = free
        return at

    def price(self, usd: float, cost: int, at: datetime) -> Price:
        """Of a request that goes at that time."""
        return price(self.windows, self.overage, usd, cost, at, used=lambda window: self._used(window, at))

    def left(self, now: datetime) -> float | None:
        """The share of its tightest window that is left; None without windows."""
        return min((max(0.0, 1 - self._used(w, now) / w.limit) for w in self.windows), default=None)

    def _sum(self, window: Window) -> Sequence[int]:
        return self._credits if window.of == "credits" else self._requests

    def _used(self, window: Window, now: datetime) -> int:
        sums = self._sum(window)
        return sums[-1] - sums[bisect_right(self._times, span(window, now)[0])] + self._elsewhen(window, now)

    def _elsewhen(self, window: Window, now: datetime) -> int:
        """What the window counts by its date alone."""
        if not self._dated:
            return 0
        since = span(window, now)[0]
        return window.used(u for u in window.inside(self._dated, now) if u.at <= since)

    def _free(self, window: Window, cost: int, now: datetime) -> datetime:
        """The first moment from now on at which this window has room, if nothing else is taken."""
        sums, (since, reset) = self._sum(window), span(window, now)
        inside = bisect_right(self._times, since)
        over = sums[-1] + self._elsewhen(window, now) + (cost if window.of == "credits" else 1) - window.limit
        if over <= sums[inside]:
            return now
        if isinstance(window.per, str):
            return reset
        return self._times[bisect_left(sums, over, lo=inside) - 1] + (now - since)


def last_of(tallies: Mapping[str, Tally], needs: Mapping[frozenset[str], int], priority: Priority, now: datetime) -> datetime:
    """When the last of so many requests of one credit goes, each to whoever can serve it soonest of those who can serve it at all. What
    nobody can serve takes no time. The tallies are used up."""
    last = now
    for servers, count in sorted(needs.items(), key=lambda need: len(need[0])):  # whoever has least choice comes first
        free = [(at, name) for name in servers if (at := _slot(tallies, name, priority, now)) is not None]
        heapify(free)
        for _ in range(count if free else 0):
            at, name = free[0]
            tallies[name].take(1, at)
            last = max(last, at)
            following = _slot(tallies, name, priority, now)
            heapreplace(free, (following or at, name))
    return last


def _slot(tallies: Mapping[str, Tally], name: str, priority: Priority, now: datetime) -> datetime | None:
    found = tallies[name].slot(1, priority, now) if name in tallies else None
    return None if isinstance(found, Denied) else found


@dataclass(slots=True)
class Purse:
    """What the budgets have left as foreseen requests are paid for. `spent` tells how much was spent in a time, by a source or, "",
    by all."""

    spent: Callable[[tuple[datetime, datetime], str], float]
    _paid: dict[tuple[str, datetime], float] = field(default_factory=dict)

    def over(self, budgets: Sequence[Budget], price: Price, at: datetime) -> Denied | None:
        """Why so much may not be spent at that time; None where it may."""
        for budget in budgets:
            when = span(Window(0, budget.per), at)
            refused = budget.denied(self._of(budget.source, when), price, when[1])
            if refused:
                return refused
        return None

    def pay(self, budgets: Sequence[Budget], usd: float, at: datetime) -> None:
        """Spend it."""
        spans = [(b.source, span(Window(0, b.per), at)) for b in budgets]
        for (source, since), when in {(source, when[0]): when for source, when in spans}.items():  # a day and a month may begin as one
            self._paid[source, since] = self._of(source, when) + usd

    def _of(self, source: str, when: tuple[datetime, datetime]) -> float:
        key = (source, when[0])
        if key not in self._paid:
            self._paid[key] = self.spent(when, source)
        return self._paid[key]
