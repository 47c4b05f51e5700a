"""Has the disk room for what a long run may bring? Told before anything is spent; a run that fills the disk all the same loses nothing."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from mdagent.market import Interval

LEAST = 256 * 1024 * 1024
_A_BAR = 40  # bytes, in a file that was not compacted yet
_SPARE = 3  # times as much: for the log, and for the new file beside the old one when it is compacted
_OPEN = timedelta(hours=6.5)  # of a day, as in New York
_WORKDAYS = 5 / 7


def bars_in(interval: Interval, start: datetime, end: datetime) -> int:
    """How many bars a window has, about."""
    days = (end - start) / timedelta(days=1)
    if interval.intraday:
        return round(days * _WORKDAYS * (_OPEN / timedelta(seconds=interval.seconds)))
    return round(days / (interval.seconds / 86_400) * (_WORKDAYS if interval.seconds <= 86_400 else 1))


def scarce(store: Path, bars: int, free: Callable[[Path], int] | None = None) -> str:
    """What to say where the disk may not have room for so many bars beside those that the store has already, else ""."""
    place = store.resolve().parent
    while not place.exists():
        place = place.parent
    held = store.stat().st_size if store.exists() else 0
    there, wanted = (free or _free)(place), max(LEAST, _SPARE * _A_BAR * bars - held)
    if there >= wanted:
        return ""
    return f"{place} has {_mb(there)} free, and {_mb(wanted)} may be needed; if it fills, nothing is lost: run it again when there is room"


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _mb(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
