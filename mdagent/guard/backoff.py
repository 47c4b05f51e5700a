"""How long to wait before the same request goes again, or whether to stop. Pure: the dice come from outside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mdagent.guard.outcome import FailureKind, Retry

if TYPE_CHECKING:
    from mdagent.guard.outcome import Failure

_BASE, _LONGEST_PAUSE = 0.5, 20.0
_SHORTEST_BLOCK, _LONGEST_BLOCK = 1.0, 86400.0
_TRIES = {Retry.NO: 0, Retry.ONCE: 1, Retry.TWICE: 2, Retry.AFTER_BLOCK: 0}


class Dice(Protocol):
    """A source of chance; `random.Random` is one."""

    def uniform(self, a: float, b: float) -> float:
        """A number between a and b."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Retries allowed now: a fifth of the requests of the last ten minutes, and three."""

    requests: int
    retries: int

    @property
    def left(self) -> bool:
        """May one more retry be sent?"""
        return self.retries < 0.2 * self.requests + 3


def next_pause(failure: Failure, tried: int, remaining: float, budget: Budget, dice: Dice) -> float | None:
    """Seconds to wait before try number `tried` + 1 (the first try is 1), or None to stop. Full jitter:
    U(0, min(20 s, 0.5 * 2^n)), but never before a Retry-After; no try that cannot end before `remaining` seconds."""
    allowed = _TRIES[failure.consequence.retry]
    if tried > allowed or not budget.left:
        return None
    pause = dice.uniform(0.0, min(_LONGEST_PAUSE, _BASE * 2.0**tried))
    if failure.retry_after is not None:
        pause = max(pause, failure.retry_after)
    return pause if pause < remaining else None


def read_retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for: digits, or an HTTP date measured against the answer's own Date header.
    Clamped to 1 s .. 24 h; None for nonsense (`-5`, `soon`, `1e9`)."""
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,19}", text):
        return _clamp(float(text))
    when = _http_date(text)
    if when is None:
        return None
    return _clamp((when - (_http_date(date or "") or now)).total_seconds())


def _clamp(seconds: float) -> float:
    return min(max(seconds, _SHORTEST_BLOCK), _LONGEST_BLOCK)


def _http_date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def read_remaining(headers: dict[str, str], now: datetime) -> float | None:
    """Seconds until the provider's own count starts anew, where a good answer says that nothing is left; else None.
    Reads X-RateLimit-Remaining and X-RateLimit-Reset (seconds, or an epoch time); believed only because it lowers."""
    if headers.get("x-ratelimit-remaining", "").strip() != "0":
        return None
    reset = headers.get("x-ratelimit-reset", "").strip()
    if not re.fullmatch(r"\d{1,12}", reset):
        return None
    seconds = float(reset)
    if seconds > timedelta(days=3650).total_seconds():  # an epoch time, then
        seconds -= now.timestamp()
    return _clamp(seconds)


class Counts(NamedTuple):
    """What a provider says of one of its windows: the limit, and what is left of it."""

    limit: int
    left: int


_COUNTED = (("x-ratelimit-limit", "x-ratelimit-remaining"), ("ratelimit-limit", "ratelimit-remaining"))


def read_counts(headers: dict[str, str]) -> Counts | None:
    """The counts of an answer's headers: X-RateLimit-Limit and -Remaining, or Twelve Data's api-credits-used and -left. None where they
    are missing or make no sense."""
    for limit, left in _COUNTED:
        told = headers.get(limit, "").strip(), headers.get(left, "").strip()
        if all(re.fullmatch(r"[0-9]{1,9}", word) for word in told) and int(told[1]) <= int(told[0]):
            return Counts(int(told[0]), int(told[1]))
    used, rest = headers.get("api-credits-used", "").strip(), headers.get("api-credits-left", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", used) and re.fullmatch(r"[0-9]{1,9}", rest):
        return Counts(int(used) + int(rest), int(rest))
    return None


def block_for(failure: Failure, strikes: int, cooldown: float, dice: Dice) -> float | None:
    """Seconds that no process may ask this source, or None for no block. Without a Retry-After: the source's cool-down,
    doubled by each strike in a row up to an hour (a day for a spent quota), plus 0-10 %, never minus."""
    if failure.kind is FailureKind.QUOTA_EXHAUSTED:
        return failure.retry_after or 3600.0
    if failure.kind is not FailureKind.RATE_LIMITED:
        return None
    if failure.retry_after is not None:
        return failure.retry_after
    return min(max(cooldown, _SHORTEST_BLOCK) * 2.0 ** min(strikes, 8), 3600.0) * dice.uniform(1.0, 1.1)
