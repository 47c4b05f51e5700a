"""One field of a JSON object, as what it ought to be or as nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdagent.errors import UsageError
from mdagent.market import Symbol

if TYPE_CHECKING:
    from collections.abc import Mapping

_GREATEST = 2.0**53  # beyond it a float64 skips whole numbers
_LONGEST = 4096


def number(fields: Mapping[str, Any], name: str) -> float | None:
    """A finite number below 2**53; None for anything else, a true and a text of digits included."""
    value: Any = fields.get(name)
    if type(value) not in (int, float) or not abs(value) < _GREATEST:
        return None
    return float(value)


def text(fields: Mapping[str, Any], name: str) -> str:
    """A text of at most 4096 characters, else the empty one. Half characters (lone surrogates, which JSON can spell and UTF-8
    cannot) become `?`."""
    value = fields.get(name)
    return value[:_LONGEST].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def symbol_in(fields: Mapping[str, Any], name: str) -> Symbol | None:
    """A symbol; None for a spelling that could never be asked for."""
    try:
        return Symbol.parse(text(fields, name))
    except UsageError:
        return None
