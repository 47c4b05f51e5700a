"""Columns of text -> numbers, dates and local times, for the providers that send them so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mdagent.guard.outcome import FailureKind
from mdagent.sources.reading.body import failed
from mdagent.sources.reading.columns import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?")
_MARKS = frozenset(b"+-eE")
_TEXTS = frozenset((str,))
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?")


def decimals(name: str, cells: Sequence[Any]) -> Column:
    """Plain decimal texts as float64: no comma, no space, no word. A cell of None is null; what is no such text is bad in its row,
    a JSON number too; a column of which no cell is one is refused whole (SCHEMA)."""
    if set(map(type, cells)) == _TEXTS:
        rest = "".join(cells).encode("utf-8", "replace").translate(None, b"0123456789.")
        if not _MARKS.issuperset(rest):
            return _one_by_one(name, cells)
        try:
            values = np.array(list(map(float, cells)), dtype=np.float64)
        except ValueError:
            return _one_by_one(name, cells)
        return Column(values, np.zeros(len(cells), dtype=bool), ~np.isfinite(values))
    return _one_by_one(name, cells)


def _one_by_one(name: str, cells: Sequence[Any]) -> Column:
    null = np.array([c is None for c in cells], dtype=bool)
    values = np.array([_number(c) for c in cells], dtype=np.float64)
    bad = ~np.isfinite(values) & ~null
    if len(cells) and bad.all():
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
    if set(map(type, cells)) <= _TEXTS and set(map(len, cells)) <= {length} and not _foreign(cells):
        try:
            return np.array(cells, dtype=kind), np.ones(len(cells), dtype=bool)
        except ValueError:
            pass
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


def _foreign(cells: Sequence[str]) -> bytes:
    """What of the cells no stamp is made of."""
    return "".join(cells).encode("utf-8", "replace").translate(None, b"0123456789-: T")
