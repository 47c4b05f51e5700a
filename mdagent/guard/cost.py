"""Money: what a request costs, and whether a budget allows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from mdagent.guard.limits import Denied, span
from mdagent.guard.outcome import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.guard.limits import Window


class Price(NamedTuple):
    """What a request costs: `usd` for its credits, and `overage` for the `beyond` of them that the calendar windows no longer include;
    these start anew at `until`."""

    usd: float
    beyond: int = 0
    overage: float = 0.0
    until: datetime | None = None

    @property
    def total(self) -> float:
        """USD in all."""
        return self.usd + self.overage


def beyond(number: int) -> str:
    """So many credits beyond the quota, in words."""
    return f"{number} credit{'' if number == 1 else 's'} beyond the quota"


def walls(windows: Sequence[Window], overage: float | None) -> Sequence[Window]:
    """The windows that refuse a request. Where credits beyond a day or a month have a price, those of the calendar do not: they only
    count, and keep nothing back for any class, since nobody waits for them."""
    return windows if overage is None else [w for w in windows if not w.calendar]


def price(  # noqa: PLR0913  what is asked, and what counts it
    windows: Sequence[Window], overage: float | None, usd: float, cost: int, now: datetime, *, used: Callable[[Window], int]
) -> Price:
    """Of a request of that `usd` and `cost` in credits, where `used` is counted of each window already. A credit that lies beyond a day
    and a month is paid once."""
    if overage is None:
        return Price(usd)
    over = {w: n for w in windows if w.calendar and (n := w.beyond(used(w), cost))}
    most = max(over.values(), default=0)
    return Price(usd, most, most * overage, max((span(w, now)[1] for w in over), default=None))


def foreseen(windows: Sequence[Window], overage: float, paid: float, asked: tuple[int, int], scale: float) -> float:
    """USD of overage by the end of the month, of which `paid` are paid already, if it goes on as it began: `asked` are its requests and
    their credits so far, `scale` is how many times these the whole month will have. What a month includes is used up first."""
    requests, weight = asked
    found = [paid * scale if any(w.per == "day" for w in windows) else paid]
    for window in windows:
        if window.per == "month":
            used, each = (weight, 1.0) if window.of == "credits" else (requests, weight / max(1, requests))
            found.append(max(0.0, used * scale - window.limit) * each * overage)
    return max(found)


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `usd` in a day or month (UTC), of one source or of all ("")."""

    usd: float
    per: Literal["day", "month"]
    source: str = ""

    def over(self, spent: float, more: float) -> str:
        """Why `more` may not be spent on top of `spent`; "" where it may. What costs nothing always may."""
        if more <= 0 or spent + more <= self.usd + 1e-9:
            return ""
        of = f" for {self.source}" if self.source else ""
        return f"the budget of {self.usd:.2f} USD a {self.per}{of} would be passed: {spent:.4f} is spent, {more:.4f} more is asked for"

    def denied(self, spent: float, price: Price, reset: datetime) -> Denied | None:
        """Why so much may not be spent before the budget's `reset`; None where it may. Where it is the overage that is too much, the
        request may go once the quota starts anew."""
        words = self.over(spent, price.total)
        if not words:
            return None
        if price.until is not None and not self.over(spent, price.usd):
            words, reset = f"{words}, of that {beyond(price.beyond)}", min(reset, price.until)
        return Denied(FailureKind.BUDGET, words, reset)
