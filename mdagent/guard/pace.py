"""The adaptive factor of a key's rolling limits: down when the provider refuses what it should have allowed, slowly up again. Pure.

Multiplicative decrease, additive increase, as TCP has it (Chiu and Jain 1989): several clients that share a key without knowing of each
other come to fair shares so. Never above what the plan allows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

_LEAST, _RUN = 0.1, 3  # the smallest factor; overloads in a row that count as a refusal


class Strategy(NamedTuple):
    """What a refusal takes, and what a good window gives back."""

    times: float
    plus: float


STRATEGIES = {
    "conservative": Strategy(0.5, 0.02),
    "balanced": Strategy(0.5, 0.05),
    "aggressive": Strategy(0.7, 0.1),
}


@dataclass(frozen=True, slots=True)
class Pace:
    """The factor of one key, how many overloads (503) came in a row, and when it was last made slower, made faster, and refused."""

    factor: float = 1.0
    overloads: int = 0
    slowed: datetime | None = None
    eased: datetime | None = None
    refused: datetime | None = None


def refused(pace: Pace, strategy: Strategy, window: timedelta, now: datetime) -> Pace:
    """After a 429 that our own count did not foresee: slower, at most once a window."""
    if pace.factor < 1.0 and _within(pace.slowed, window, now):
        return replace(pace, overloads=0, refused=now)
    return replace(pace, factor=max(_LEAST, pace.factor * strategy.times), overloads=0, slowed=now, refused=now)


def overloaded(pace: Pace, strategy: Strategy, window: timedelta, now: datetime) -> Pace:
    """After a 503: the third in a row is a refusal."""
    if pace.overloads + 1 >= _RUN:
        return refused(pace, strategy, window, now)
    return replace(pace, overloads=pace.overloads + 1)


def answered(pace: Pace) -> Pace:
    """After any other answer: the row of overloads is over."""
    return replace(pace, overloads=0) if pace.overloads else pace


def eased(pace: Pace, strategy: Strategy, window: timedelta, used: float, now: datetime) -> Pace:
    """Faster by one step, where a window has passed without a refusal and at least half of what the factor allows was used in it
    (`used`, a share). What nobody asks for proves nothing."""
    if pace.factor >= 1.0 or used < 0.5:
        return pace
    if _within(pace.refused, window, now) or _within(pace.eased, window, now):
        return pace
    return replace(pace, factor=min(1.0, pace.factor + strategy.plus), eased=now)


def _within(since: datetime | None, window: timedelta, now: datetime) -> bool:
    return since is not None and timedelta(0) <= now - since < window
