"""Columns of text -> numbers, dates and local times, for the providers that send them so.

A column is read as a whole where all its cells are plain, by arithmetic on its letters, and cell by cell where one of them is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mdagent.guard.outcome import FailureKind
from mdagent.sources.reading.body import failed
from mdagent.sources.reading.columns import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MARKS = frozenset(b"+-eE")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", re.ASCII)
_AT_ONCE = 4096  # cells, whose letters and places stay in the processor's cache
_LINE, _SPACE, _COMMA, _DASH, _POINT, _ZERO, _COLON, _T = b"\n ,-.0:T"
_TENS = 10.0 ** np.arange(16)  # exact, as whole numbers of 15 digits are, so that a quotient is the float nearest to the decimal


def decimals(name: str, cells: Sequence[Any]) -> Column:
    """Plain decimal texts as float64: no comma, no space, no word. A cell of None is null; what is no such text is bad in its row,
    a JSON number too; a column of which no cell is one is refused whole (SCHEMA)."""
    parts = [_plain(cells[low : low + _AT_ONCE]) for low in range(0, len(cells), _AT_ONCE)]
    known = [part for part in parts if part is not None]
    if not parts or len(known) < len(parts):
        return _one_by_one(name, cells)
    values = known[0] if len(known) == 1 else np.concatenate(known)
    return Column(values, np.zeros(len(cells), dtype=bool), ~np.isfinite(values))


def _plain(cells: Sequence[Any]) -> np.ndarray | None:
    """The numbers of cells that are all plain; None where one is not."""
    try:
        joined = ",".join(cells).encode("utf-8", "replace")
    except TypeError:  # not all of them are texts
        return None
    rest = joined.translate(None, b"0123456789.,")
    if not _MARKS.issuperset(rest):
        return None
    values = None if rest else _whole(joined, len(cells))
    if values is not None:
        return values
    try:
        return np.array(list(map(float, cells)), dtype=np.float64)
    except ValueError:
        return None


def _whole(joined: bytes, length: int) -> np.ndarray | None:
    """The numbers of a column of digits in which every cell has a decimal point, or none has; None where it is not so, or where
    a number has more digits than fit."""
    letters = np.frombuffer(joined + b",", dtype=np.uint8)
    ends, points = (letters == _COMMA).nonzero()[0], (letters == _POINT).nonzero()[0]
    if len(ends) != length:
        return None  # a comma within a cell
    starts = np.zeros_like(ends)
    np.add(ends[:-1], 1, out=starts[1:])
    if not len(points):
        return _digits(joined, ends - starts)
    if len(points) != length:
        return None
    before, after = points - starts, ends - points - 1
    if before.min() < 1 or after.min() < 1:
        return None  # a digit on both sides of each point, and so one point in each cell
    values = _digits(joined.translate(None, b"."), before + after)
    return None if values is None else values / _TENS[after]


def _digits(joined: bytes, lengths: np.ndarray) -> np.ndarray | None:
    """Whole numbers of so many digits each, between commas."""
    if lengths.min() < 1 or lengths.max() >= len(_TENS):
        return None
    return np.fromstring(joined.decode("ascii"), dtype=np.int64, sep=",").astype(np.float64)


def _one_by_one(name: str, cells: Sequence[Any]) -> Column:
    null = np.array([c is None for c in cells], dtype=bool)
    values = np.array([_number(c) for c in cells], dtype=np.float64)
    bad = ~np.isfinite(values) & ~null
    if bad.any() and not np.isfinite(values).any():
        msg = f"column {name} holds no numbers"
        raise failed(FailureKind.SCHEMA, msg)
    return Column(values, null, bad)


def _number(cell: object) -> float:
    return float(cell) if isinstance(cell, str) and _PLAIN.fullmatch(cell) else np.nan


def dates(cells: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """`2024-01-02` as datetime64[D], and which cells are such a date; the others stand as 1970-01-01. No cell is one: SCHEMA."""
    return _stamps(cells, _DATE, 10, "D")


def times(cells: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """`2024-01-02 15:30:00` (a T or a blank, the seconds may be missing) as naive datetime64[s]; else as `dates`."""
    return _stamps(cells, _TIME, 19, "s")


def _stamps(cells: Sequence[Any], form: re.Pattern[str], length: int, unit: Literal["D", "s"]) -> tuple[np.ndarray, np.ndarray]:
    kind = f"datetime64[{unit}]"
    parts = [_calendar(cells[low : low + _AT_ONCE], length) for low in range(0, len(cells), _AT_ONCE)]
    known = [part for part in parts if part is not None]
    if parts and len(known) == len(parts):
        return np.concatenate(known), np.ones(len(cells), dtype=bool)
    made = np.zeros(len(cells), dtype=np.int64).astype(kind)
    real = np.zeros(len(cells), dtype=bool)
    for i, cell in enumerate(cells):
        if isinstance(cell, str) and form.fullmatch(cell):
            try:
                made[i], real[i] = np.datetime64(cell, unit), True
            except ValueError:
                continue
    if len(cells) and not real.any():
        msg = "the answer's time stamps are not written as its format has them"
        raise failed(FailureKind.SCHEMA, msg)
    return made, real


def _calendar(cells: Sequence[Any], length: int) -> np.ndarray | None:
    """Dates (datetime64[D]) or times (datetime64[s]) of ten or nineteen letters each; None where a cell is none. numpy alone would
    read `-900-01-01` as a year, and `15:30-03` as a time of another zone."""
    try:
        lines = ("\n".join(cells) + "\n").encode("utf-8", "replace")
    except TypeError:  # not all of them are texts
        return None
    if len(lines) != len(cells) * (length + 1):
        return None
    letters = np.ascontiguousarray(np.frombuffer(lines, dtype=np.uint8).reshape(-1, length + 1).T)
    figures = letters - np.uint8(_ZERO)  # what comes before 0 is above 9, too
    places = [n for n in range(length) if n not in (4, 7, 10, 13, 16)]
    marks = [(4, _DASH), (7, _DASH), (length, _LINE), *((n, _COLON) for n in (13, 16) if n < length)]
    if (figures[places] > 9).any() or any((letters[place] != mark).any() for place, mark in marks):
        return None

    def two(place: int) -> np.ndarray:
        made: np.ndarray = figures[place] * np.uint8(10) + figures[place + 1]
        return made

    month, day = two(5), two(8)
    if ((month < 1) | (month > 12)).any():
        return None
    months = (two(0).astype(np.int64) * 100 + two(2) - 1970) * 12 + month - 1
    first = months.min()
    begins = np.arange(first, months.max() + 2).astype("datetime64[M]").astype("datetime64[D]")  # each month's first day, and the next's
    months -= first
    days: np.ndarray = begins[months] + (day.astype(np.int64) - 1)
    if (day < 1).any() or (days >= begins[months + 1]).any():
        return None
    if length == 10:
        return days
    hour, minute, second, mark = two(11), two(14), two(17), letters[10]
    if (hour > 23).any() or (minute > 59).any() or (second > 59).any() or ((mark != _SPACE) & (mark != _T)).any():
        return None
    moments: np.ndarray = days.astype("datetime64[s]") + (hour.astype(np.int64) * 3600 + minute.astype(np.int64) * 60 + second)
    return moments
