"""A provider's list of numbers -> a float64 column, with the places that hold none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mdagent.guard.outcome import FailureKind
from mdagent.sources.reading.body import failed

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBERS = frozenset((int, float))
_PLAIN = frozenset((int, float, type(None)))


class Column(NamedTuple):
    """`values` float64, NaN where there is no number; `null` marks what the body gives as null, `bad` what is no finite number."""

    values: np.ndarray
    null: np.ndarray
    bad: np.ndarray


def numbers(name: str, cells: object, length: int) -> Column:
    """The column of `cells`. A true, a text, an infinity or a NaN is bad in its row; unequal lengths and a column of which no
    cell is a number are refused whole (SCHEMA): never zipped to the shortest, never guessed."""
    if not isinstance(cells, list) or len(cells) != length:
        told = len(cells) if isinstance(cells, list) else type(cells).__name__
        msg = f"column {name} has {told} values where {length} were due"
        raise failed(FailureKind.SCHEMA, msg)
    kinds = set(map(type, cells))
    if kinds - _PLAIN and not kinds & _NUMBERS:
        msg = f"column {name} holds no numbers"
        raise failed(FailureKind.SCHEMA, msg)
    null = np.array([c is None for c in cells], dtype=bool) if type(None) in kinds else np.zeros(length, dtype=bool)
    values = _floats(cells, plain=kinds <= _PLAIN)
    return Column(values, null, ~np.isfinite(values) & ~null)


def _floats(cells: Sequence[Any], *, plain: bool) -> np.ndarray:
    if plain:
        try:
            return np.array(cells, dtype=np.float64)
        except OverflowError:  # an integer past 1e308
            pass
    return np.array([_float(c) for c in cells], dtype=np.float64)


def _float(cell: object) -> float:
    if type(cell) not in _NUMBERS:
        return np.nan
    try:
        return float(cell)  # type: ignore[arg-type]
    except OverflowError:
        return np.nan


def row_text(names: Sequence[str], cells: Sequence[object]) -> str:
    """One row as delivered, as JSON text of at most 500 characters; what is no JSON value is shown in words."""
    shown = {n: (c if isinstance(c, str | int | float | bool | None) else repr(c)) for n, c in zip(names, cells, strict=True)}
    try:
        return json.dumps(shown)[:500]
    except ValueError:  # an integer of thousands of digits
        return "{}"
