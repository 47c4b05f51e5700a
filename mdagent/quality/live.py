"""How good is the price of this minute: by how late it is, beside what its plan promises, and by what others say of it."""

from __future__ import annotations

from itertools import pairwise
from math import log, log1p, sqrt
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime, timedelta

REAL_TIME = 1.0  # seconds that a price takes through any wire
BANDS = ((5.0, 86.0), (30.0, 76.0))  # seconds late, and the score below
LATE = 66.0
STALE, STALE_AFTER = 45.0, 900.0  # seconds beyond the promise from which on a price is of another time
CONFIRMED, ALONE, UNDATED = 96.0, 89.0, 76.0
DISPUTED = 66.0
TOLERANCE = 0.005  # of a price: how far two sources of one minute may be apart
FAR, FAR_MOVES = 0.20, 6.0  # of a price, and usual moves: further from the last close it takes a second source to be believed
_FEW, _WILD = 10, 0.05  # closes that are too few to tell what is usual, and the daily move that is then taken for it
_SESSIONS = 5 / 7  # of a day


class Live(NamedTuple):
    """The score of a quote, 0 to 100, how many seconds it is later than its plan promises (None where it tells no time), and why."""

    score: float
    late: float | None
    why: str


class Stored(NamedTuple):
    """The last final close that is stored of a symbol, its day, and how far it usually moves in a day (a standard deviation of
    logarithms)."""

    day: date
    close: float
    move: float

    @classmethod
    def of(cls, day: date, closes: Sequence[float]) -> Self | None:
        """From its closes, the last of which is that of `day`; None where that is not above zero."""
        if not closes or not closes[-1] > 0:
            return None
        moves = sorted(abs(log(b / a)) for a, b in pairwise(closes) if a > 0 and b > 0)
        return cls(day, closes[-1], 1.4826 * moves[len(moves) // 2] if len(moves) >= _FEW else _WILD)

    def denies(self, price: float, now: datetime) -> bool:
        """Is the price further from that close than a market goes in the time between?"""
        sessions = max(1.0, (now.date() - self.day).days * _SESSIONS)
        return price <= 0 or abs(log(price / self.close)) > max(log1p(FAR), FAR_MOVES * self.move * sqrt(sessions))

    def __str__(self) -> str:
        return f"the last close stored, {self.close:g} of {self.day}"


def grade_live(  # noqa: PLR0913, PLR0917  a price, its time, and what both are held against
    as_of: datetime | None,
    now: datetime,
    promised: timedelta,
    others: Sequence[float],
    last: float,
    closed: datetime | None,
    stored: Stored | None = None,
) -> Live:
    """The grade of a quote of `last` as of `as_of` (the exchange's time), seen at `now`. `others` are prices of other sources; `closed` is
    when the market closed last, None while it is open or where that is not known. A is for what is in time and confirmed; what is far
    from the stored close is a D until another source says the same."""
    far = stored is not None and stored.denies(last, now)
    if as_of is None:
        score, late, why = UNDATED, None, "the source does not say of when this price is"
    else:
        until = min(now, closed) if closed is not None else now
        late = max(0.0, (until - as_of - promised).total_seconds())
        score, why = _by_delay(late, shut=closed is not None)
    if others and disputed(last, others):
        return Live(min(score, DISPUTED), late, f"{why}, and another source says {next(o for o in others if apart(o, last)):g}")
    if far and not others:
        return Live(min(score, DISPUTED), late, f"{why}, far from {stored}, and compared with no other")
    if score >= ALONE:
        score, why = (CONFIRMED, f"{why}, confirmed") if others else (ALONE, f"{why}, compared with no other")
    return Live(score, late, f"{why}, far from {stored}" if far else why)


def _by_delay(late: float, *, shut: bool) -> tuple[float, str]:
    if late <= (60.0 if shut else REAL_TIME):  # the print of a closing auction comes when it comes
        return CONFIRMED, "the last price of the session" if shut else "in time"
    for seconds, score in BANDS:
        if late < seconds:
            return score, f"{late:.0f} s late"
    return (LATE, f"{late:.0f} s late") if late <= STALE_AFTER else (STALE, f"stale: {late / 60:.0f} min late")


def disputed(last: float, others: Sequence[float]) -> bool:
    """Do most of the others say something else?"""
    return sum(apart(other, last) for other in others) * 2 > len(others)


def apart(one: float, other: float) -> bool:
    """Are two prices of one minute not the same?"""
    return abs(one - other) > TOLERANCE * abs(other)
