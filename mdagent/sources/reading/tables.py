"""Lists of JSON objects as columns of cells."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from mdagent.guard.outcome import FailureKind
from mdagent.sources.reading.body import failed

if TYPE_CHECKING:
    from collections.abc import Sequence

_OBJECTS = frozenset((dict,))


def objects(made: object, what: str) -> list[dict[str, Any]]:
    """`made`, if it is a list of objects and nothing else. Raises ConversationFailed SCHEMA, naming `what`."""
    if isinstance(made, list) and set(map(type, made)) <= _OBJECTS:
        return made
    msg = f"the answer holds no list of {what}"
    raise failed(FailureKind.SCHEMA, msg)


def cells(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    """One column: the value of that key in each row, None where it is missing."""
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name) for row in rows]


def has(rows: Sequence[dict[str, Any]], name: str) -> bool:
    """Does any row have that key? A key that no row has is not a column of nothing: the format lacks it."""
    return any(name in row for row in rows)
