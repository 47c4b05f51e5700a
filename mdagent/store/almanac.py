"""Built calendars in small files of their own, so that a file of bars is judged without a store.

To build a calendar takes exchange_calendars and pandas, half a second; to read one back a few milliseconds. A file's name holds the
version of what it was built from: another library, other rules or closures make another name, and the old file is removed.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from mdagent.sessions import ALWAYS, WEEKDAYS, Session, build, version_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SINCE, _AHEAD = date(1985, 1, 1), timedelta(days=500)
_NONE = np.iinfo(np.int64).min  # no lunch break
_COMPUTED = (ALWAYS, WEEKDAYS)  # a rule and no table: made anew faster than it is read


class Almanac:
    """The sessions of any calendar: remembered, else read from `folder`, else built and kept there where it can be written.
    `closures`: days without a session by calendar, from the settings."""

    def __init__(self, folder: Path, closures: Mapping[str, Sequence[date]], today: date) -> None:
        self._folder = folder
        self._closures = closures
        self._today = today
        self._tables: dict[str, np.ndarray] = {}
        self._slices: dict[tuple[str, date, date], tuple[Session, ...]] = {}

    def sessions(self, calendar: str, start: date, end: date) -> tuple[Session, ...]:
        """The sessions with start <= day < end, as far as the calendar knows. Raises ConfigError for one that nobody knows."""
        key = (calendar, start, end)
        if key not in self._slices:
            self._slices[key] = self._slice(calendar, start, end)
        return self._slices[key]

    def _slice(self, calendar: str, start: date, end: date) -> tuple[Session, ...]:
        extra = tuple(self._closures.get(calendar, ()))
        if calendar in _COMPUTED:
            return build(calendar, start, end, extra).sessions
        table = self._tables.get(calendar)
        if table is None:
            table = self._read(self._place(calendar, extra))
        if table is None or not _reaches(table, start, end):
            low, high = min(start, _SINCE), max(end, self._today + _AHEAD)
            table = _packed(build(calendar, low, high, extra).sessions, low, high)
            self._keep(calendar, self._place(calendar, extra), table)
        self._tables[calendar] = table
        return _unpacked(table[1:][(table[1:, 0] >= start.toordinal()) & (table[1:, 0] < end.toordinal())])

    def _place(self, calendar: str, closures: Sequence[date]) -> Path:
        version = hashlib.sha256(version_of(calendar, closures).encode()).hexdigest()[:16]
        return self._folder / f"{_plain(calendar)}-{version}.npy"

    def _read(self, path: Path) -> np.ndarray | None:
        """None for a file that is absent or not ours."""
        try:
            table: np.ndarray = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return table if table.dtype == np.int64 and table.ndim == 2 and table.shape[1] == len(Session._fields) + 1 and len(table) else None

    def _keep(self, calendar: str, path: Path, table: np.ndarray) -> None:
        """Write under another name and rename. Where nothing can be written the next run builds the calendar again: no harm done."""
        new = path.with_name(f".{path.name}.new-{os.getpid()}")
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in self._folder.glob(f"{_plain(calendar)}-*.npy"):
                old.unlink(missing_ok=True)
            with new.open("wb") as stream:
                np.save(stream, table, allow_pickle=False)
            new.rename(path)


def _plain(calendar: str) -> str:
    """A calendar's code as a part of a file name."""
    return "".join(c if c.isalnum() else "_" for c in calendar)


def _reaches(table: np.ndarray, start: date, end: date) -> bool:
    return bool(table[0, 0] <= start.toordinal() and end.toordinal() <= table[0, 1])


def _packed(sessions: Sequence[Session], start: date, end: date) -> np.ndarray:
    """A row a session: ordinal of the day, then opens, closes and the break as epoch seconds; above them a row with the horizon."""
    rows: list[tuple[int, ...]] = [(start.toordinal(), end.toordinal(), 0, 0, 0)]
    for s in sessions:
        rest = (_NONE, _NONE) if s.breaks is None else tuple(int(t.timestamp()) for t in s.breaks)
        rows.append((s.day.toordinal(), int(s.opens.timestamp()), int(s.closes.timestamp()), *rest))
    return np.array(rows, dtype=np.int64)


def _unpacked(rows: np.ndarray) -> tuple[Session, ...]:
    days = [date.fromordinal(n) for n in rows[:, 0].tolist()]
    opens, closes = ([t.replace(tzinfo=UTC) for t in rows[:, n].astype("datetime64[s]").tolist()] for n in (1, 2))
    pauses = [
        None if pause is None or resume is None else (pause.replace(tzinfo=UTC), resume.replace(tzinfo=UTC))
        for pause, resume in zip(*(rows[:, n].astype("datetime64[s]").tolist() for n in (3, 4)), strict=True)
    ]
    return tuple(map(Session, days, opens, closes, pauses))
