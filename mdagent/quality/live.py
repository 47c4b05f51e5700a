"""How good is the price of this minute: by how late it is, beside what its plan promises, and by what others say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

REAL_TIME = 1.0  # seconds that a price takes through any wire
BANDS = ((5.0, 86.0), (30.0, 76.0))  # seconds late, and the score below
LATE = 66.0
STALE, STALE_AFTER = 45.0, 900.0  # seconds beyond the promise from which on a price is of another time
CONFIRMED, ALONE, UNDATED = 96.0, 89.0, 76.0
DISPUTED = 66.0
TOLERANCE = 0.005  # of a price: how far two sources of one minute may be apart


class Live(NamedTuple):
    """The score of a quote, 0 to 100, how many seconds it is later than its plan promises (None where it tells no time), and why."""

    score: float
    late: float | None
    why: str


def grade_live(  # noqa: PLR0913, PLR0917  a price, its time, and what both are held against
    as_of: datetime | None, now: datetime, promised: timedelta, others: Sequence[float], last: float, closed: datetime | None
) -> Live:
    """The grade of a quote of `last` as of `as_of` (the exchange's time), seen at `now`. `others` are prices of other sources; `closed` is
    when the market closed last, None while it is open or where that is not known. A is for what is in time and confirmed."""
    if as_of is None:
        return Live(UNDATED, None, "the source does not say of when this price is")
    until = min(now, closed) if closed is not None else now
    late = max(0.0, (until - as_of - promised).total_seconds())
    score, why = _by_delay(late, shut=closed is not None)
    if others and _disputed(last, others):
        return Live(min(score, DISPUTED), late, f"{why}, and another source says {others[0]:g}")
    if score >= ALONE:
        return Live(CONFIRMED, late, f"{why}, confirmed") if others else Live(ALONE, late, f"{why}, compared with no other")
    return Live(score, late, why)


def _by_delay(late: float, *, shut: bool) -> tuple[float, str]:
    if late <= (60.0 if shut else REAL_TIME):  # the print of a closing auction comes when it comes
        return CONFIRMED, "the last price of the session" if shut else "in time"
    for seconds, score in BANDS:
        if late < seconds:
            return score, f"{late:.0f} s late"
    return (LATE, f"{late:.0f} s late") if late <= STALE_AFTER else (STALE, f"stale: {late / 60:.0f} min late")


def _disputed(last: float, others: Sequence[float]) -> bool:
    """Do most of the others say something else?"""
    apart = [abs(other / last - 1.0) > TOLERANCE for other in others if last]
    return sum(apart) * 2 > len(apart)
