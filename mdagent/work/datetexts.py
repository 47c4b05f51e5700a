"""Dates and times as files write them -> stamps: ISO 8601, seconds since 1970, and the forms in use by country."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?\Z")
_EPOCH = re.compile(r"\d{9,19}(?:\.\d+)?\Z")
_TIME = re.compile(r"(.*?)[ T,]+(\d{1,2}):(\d\d)(?::(\d\d))?(?:\.\d+)?\s*([AaPp][Mm])?\Z")
_FORMS = ("%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y")
_TWO_WAYS = (("%m/%d/%Y", "%d/%m/%Y"), ("%m-%d-%Y", "%d-%m-%Y"), ("%m/%d/%y", "%d/%m/%y"))  # the American way first
_PER_SECOND = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (0.0, 1.0))  # from this number on it counts in so many parts of a second
_LONGEST = 40


class Written(NamedTuple):
    """`local` as written (datetime64[us], NaT where it is no time) and how far that clock is ahead of UTC (timedelta64[us])."""

    local: np.ndarray
    ahead: np.ndarray


def from_texts(texts: Sequence[str]) -> Written:
    """A column of texts. One that names no zone is taken as UTC. Raises UsageError for days and months that nobody can tell apart."""
    bare = [text[:-1] if text[-1:] == "Z" else text for text in texts]
    if all(map(_ISO.match, bare)):
        try:
            return at_greenwich(np.array(bare, dtype="datetime64[us]"))
        except ValueError:  # the 30th of February
            pass
    distinct = {text: _moment(text) for text in dict.fromkeys(texts)}
    odd = [text for text, moment in distinct.items() if moment is None and text and len(text) <= _LONGEST]
    if odd:
        distinct |= dict(zip(odd, _by_country(odd), strict=True))
    moments = [distinct[text] for text in texts]
    local = np.array([None if m is None else m.replace(tzinfo=None) for m in moments], dtype="datetime64[us]")
    zones = [m.utcoffset() if m is not None else None for m in moments]
    return Written(local, np.array([0 if z is None else int(z.total_seconds() * 1e6) for z in zones], dtype="timedelta64[us]"))


def at_greenwich(stamps: np.ndarray) -> Written:
    """Stamps of UTC."""
    return Written(stamps.astype("datetime64[us]"), np.zeros(len(stamps), dtype="timedelta64[us]"))


def from_numbers(numbers: np.ndarray) -> Written:
    """Seconds since 1970, or thousandths, millionths, billionths of one, by their size; NaT for what is none of these."""
    known = np.isfinite(numbers) & (numbers >= 1e8) & (numbers < 1e20)
    parts = np.select([numbers >= least for least, _ in _PER_SECOND], [per for _, per in _PER_SECOND], 1.0)
    micros = np.where(known, np.round(np.where(known, numbers, 0.0) / parts * 1e6), 0.0).astype(np.int64)
    return at_greenwich(np.where(known, micros.astype("datetime64[us]"), np.datetime64("NaT")))


def _moment(text: str) -> datetime | None:
    """What stands for itself, whatever the rest of the column is like."""
    if _EPOCH.match(text):
        found = from_numbers(np.array([float(text)])).local[0].item()
        return found.replace(tzinfo=UTC) if isinstance(found, datetime) else None
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC")) if len(text) <= _LONGEST else None
    except ValueError:
        return None


def _by_country(texts: Sequence[str]) -> list[datetime | None]:
    """By the one form that reads most of them."""
    plain = max(([_strict(text, form) for text in texts] for form in _FORMS), key=_read)
    best = plain
    for american, other in _TWO_WAYS:
        one, two = ([_strict(text, form) for text in texts] for form in (american, other))
        if _read(one) == _read(two) > _read(best) and one != two:
            msg = f"a date such as {next(t for t, a, b in zip(texts, one, two, strict=True) if a != b)!a} can be read in two ways"
            raise UsageError(msg, "write dates as 2024-01-31")
        best = max((best, one, two), key=_read)
    return best


def _read(found: Iterable[datetime | None]) -> int:
    return sum(moment is not None for moment in found)


def _strict(text: str, form: str) -> datetime | None:
    timed = _TIME.match(text)
    try:
        day = datetime.strptime(timed[1] if timed else text, form)  # noqa: DTZ007  a date without a zone is what is written
        if timed is None:
            return day
        hour = int(timed[2]) % 12 + 12 * (timed[5].lower() == "pm") if timed[5] else int(timed[2])
        return day.replace(hour=hour, minute=int(timed[3]), second=int(timed[4] or 0))
    except ValueError:
        return None
