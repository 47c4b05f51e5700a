"""Plain words of a settings file as values: the core rules of YAML 1.2, so that 012, on and 12:30 stay text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})\Z")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,39})(\.[0-9]{0,40})?([eE][-+]?[0-9]{1,4})?\Z")
_LONGEST = 60
_FEW = 20


def scalar(text: str) -> str | float | bool | None:
    """The value that an unquoted word stands for. Numbers longer than any setting can be stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.match(text):
        return int(text)
    return float(text) if _NUMBER.match(text) else text


def shown(raw: object) -> str:
    """A refused value as one short printable word for an error message."""
    if isinstance(raw, list):
        return "a list"
    if isinstance(raw, dict):
        return "a mapping"
    if isinstance(raw, str):
        text = repr(raw)
        return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return text_of(raw)


def text_of(value: object) -> str:
    """A value as YAML on one line: `null`, `true`, `2.5`, `[{limit: 8, per: 1m}]`; text stands without quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(text_of(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {text_of(item)}" for key, item in value.items()) + "}"
    return str(value)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question that names the nearest known word, else the known words if they are few."""
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(word[:_LONGEST], names, n=3, cutoff=0.6)
    if near:
        swapped = [name for name in near if sorted(name) == sorted(word)]
        return f"did you mean {(swapped or near)[0]}?"
    return f"known: {', '.join(names)}" if 0 < len(names) <= _FEW else ""
