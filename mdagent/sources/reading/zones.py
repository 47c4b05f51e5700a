"""Local time and UTC for whole columns: a zone's changes of offset are looked up once a year and process, not once a row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from mdagent.guard.outcome import FailureKind
from mdagent.sources.reading.body import failed
from mdagent.untrusted import one_line

_DAY = 86400
_STEP = 7 * _DAY  # no zone changes its offset and back within a week
_FIRST_YEAR, _LAST_YEAR = 1800, 2200


def zone_of(name: object) -> ZoneInfo:
    """The zone that an answer names. Raises ConversationFailed SCHEMA."""
    told = name if isinstance(name, str) else type(name).__name__
    try:
        return ZoneInfo(told)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"the answer names the time zone {one_line(told, 40)!a}, which does not exist"
        raise failed(FailureKind.SCHEMA, msg) from None


def dates_in(seconds: np.ndarray, zone: ZoneInfo) -> np.ndarray:
    """Epoch seconds (int64) -> the local date of each (datetime64[D])."""
    local: np.ndarray = (seconds + _offsets(seconds, zone)) // _DAY
    return local.astype("datetime64[D]")


def instants_in(local: np.ndarray, zone: ZoneInfo) -> np.ndarray:
    """Naive local times (datetime64[s]) -> UTC (datetime64[us]). Of an hour that comes twice the first is meant, as Python's
    `fold=0` has it; a time that the clock leaps over is read by the offset before the leap."""
    told = local.astype("datetime64[s]").astype(np.int64)
    if not len(told):
        return told.astype("datetime64[us]")
    guess = told - _offsets(told, zone)
    early, late = (told - _offsets(edge, zone) for edge in (guess - _DAY, guess + _DAY))
    fits = early + _offsets(early, zone) == told
    utc: np.ndarray = np.where(fits, early, np.where(late + _offsets(late, zone) == told, late, early))
    made: np.ndarray = utc.astype("datetime64[s]").astype("datetime64[us]")
    return made


def _offsets(seconds: np.ndarray, zone: ZoneInfo) -> np.ndarray:
    """Seconds east of Greenwich at each instant."""
    if not len(seconds):
        return np.zeros(0, dtype=np.int64)
    low, high = (min(max(_year(float(edge)), _FIRST_YEAR), _LAST_YEAR) for edge in (seconds.min(), seconds.max()))
    changes = [pair for year in range(low - 1, high + 1) for pair in _changes(zone.key, year)]
    begins = np.array([at for at, _ in changes], dtype=np.int64)
    values = np.array([offset for _, offset in changes], dtype=np.int64)
    found: np.ndarray = values[np.maximum(np.searchsorted(begins, seconds, side="right") - 1, 0)]
    return found


def _year(seconds: float) -> int:
    return 1970 + int(seconds // 31_556_952)


@lru_cache(maxsize=4096)
def _changes(key: str, year: int) -> tuple[tuple[int, int], ...]:
    """(instant, offset from then on) of the zone in some twelve months about that year, the first at their start."""
    zone = ZoneInfo(key)
    begin, end = (int((y - 1970) * 31_556_952) for y in (year, year + 1))
    found = [(begin, _offset(zone, begin))]
    for edge in range(begin, end, _STEP):
        after = min(edge + _STEP, end)
        if _offset(zone, after) == found[-1][1]:
            continue
        low, high = edge, after
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset(zone, middle) == found[-1][1] else (low, middle)
        found.append((high, _offset(zone, high)))
    return tuple(found)


def _offset(zone: ZoneInfo, seconds: int) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return int((moment.astimezone(zone).utcoffset() or timedelta()).total_seconds())
