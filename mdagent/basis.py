"""One meaning of a price: the factors between raw, split-adjusted and fully adjusted prices. Pure, and free of numpy.

With S(d, a) the product of the ratios of all splits after day d that had taken effect when the prices were delivered at a, and D
the same of 1 - dividend / close before the ex-date (the method of CRSP and of most vendors):

    split-adjusted = raw / S        fully adjusted = raw / S * D        split-adjusted volume = raw volume * S

A row is multiplied by two factors: one by its day, one by when it was delivered, since what was delivered before a split knows
nothing of it. Times are naive UTC, as the store holds them.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from mdagent.market import Adjustment, Interval

if TYPE_CHECKING:
    from collections.abc import Iterable

_EARLY = frozenset(("XASX", "XNZE"))  # their sessions begin on the evening before, by the clock of Greenwich
_OVERNIGHT = timedelta(hours=4)


class Split(NamedTuple):
    """New shares for an old one from `day` on. `known` is when deliveries began to have it in their prices: when it was first told, or
    the end of its day at the latest."""

    day: date
    ratio: float
    known: datetime


class Payment(NamedTuple):
    """A dividend or distribution by ex-date: the share of the price that is left after it, None where that is not known."""

    day: date
    left: float | None


class Step(NamedTuple):
    """For every row before `at`: what to multiply its prices and its volume by."""

    at: datetime
    price: float
    volume: float


class Events(NamedTuple):
    """What happened to the shares of a listing on the exchange `mic`."""

    splits: tuple[Split, ...] = ()
    payments: tuple[Payment, ...] = ()
    mic: str | None = None


class Way(NamedTuple):
    """The way from one basis to another: factors by a row's stamp and by its delivery."""

    by_stamp: tuple[Step, ...] = ()
    by_delivery: tuple[Step, ...] = ()


def way(delivered: Adjustment, wanted: Adjustment, events: Events, interval: Interval = Interval.D1, *, raw_volume: bool = False) -> Way:
    """How to bring rows of one basis to the other. A payment whose weight is not known must not be among those that matter.
    `raw_volume`: the volume counts the shares of its day although prices are adjusted."""
    weighed = [(p.day, p.left) for p in events.payments if p.left is not None and p.left > 0]
    stamped = [
        (_stamp_of(s.day, interval, events.mic), *_split_factors(delivered, wanted, s.ratio, raw_volume=raw_volume)) for s in events.splits
    ]
    held, left = delivered is Adjustment.ALL, wanted is Adjustment.ALL
    if held is not left:
        stamped += [(_stamp_of(day, interval, events.mic), share if left else 1.0 / share, 1.0) for day, share in weighed]
    if delivered is Adjustment.RAW:
        return Way(_running(stamped))
    late = [(s.known, 1.0 / s.ratio, 1.0 if raw_volume else s.ratio) for s in events.splits]  # the prices came before they were known
    late += [(datetime.combine(day, time()), share, 1.0) for day, share in weighed if held]
    return Way(_running(stamped), _running(late))


def _split_factors(delivered: Adjustment, wanted: Adjustment, ratio: float, *, raw_volume: bool) -> tuple[float, float]:
    """Of a split after the row's day."""
    had, has = delivered is not Adjustment.RAW, wanted is not Adjustment.RAW
    price = (ratio if had else 1.0) / (ratio if has else 1.0)
    volume = (ratio if has else 1.0) / (ratio if had and not raw_volume else 1.0)
    return price, volume


def _stamp_of(day: date, interval: Interval, mic: str | None) -> datetime:
    """The stamp of the first bar that needs no factor for what happened on `day`: of a week or month the one that holds it."""
    if interval is Interval.W1:
        day -= timedelta(days=day.weekday())
    elif interval is Interval.MO1:
        day = day.replace(day=1)
    midnight = datetime.combine(day, time())
    return midnight - _OVERNIGHT if interval.intraday and mic in _EARLY else midnight


def _running(factors: Iterable[tuple[datetime, float, float]]) -> tuple[Step, ...]:
    """Factors of single events -> steps, ascending; those of one moment as one, and nothing where nothing changes."""
    made: list[Step] = []
    price = volume = 1.0
    for at, p, v in sorted(factors, reverse=True):
        price, volume = price * p, volume * v
        if made and made[-1].at == at:
            made[-1] = Step(at, price, volume)
        else:
            made.append(Step(at, price, volume))
    if all(step.price == 1.0 and step.volume == 1.0 for step in made):
        return ()
    return tuple(reversed(made))


def torn(interval: Interval, splits: Iterable[Split], start: date, end: date) -> date | None:
    """The first split in [start, end) that falls within a week or month: its raw bar is in two units, and no factor mends it."""
    if interval not in (Interval.W1, Interval.MO1):
        return None
    inside = (s.day for s in splits if start <= s.day < end)
    return min((d for d in inside if (d.weekday() if interval is Interval.W1 else d.day - 1)), default=None)
