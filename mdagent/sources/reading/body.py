"""Strict reading of a provider's JSON: what Python's parser forgives is told here.

The body is parsed once, where it is understood; the wire bounds its size and time. Keys given twice are looked for by counting:
a good answer costs less than `json.loads` would, and only one whose count is off is read again, object by object.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx


class Conflict:
    """Stands for a value that the body gives twice and differently: it is neither."""

    def __repr__(self) -> str:
        return "<given twice>"


CONFLICT = Conflict()


def failed(kind: FailureKind, detail: str, status: int | None = None) -> ConversationFailed:
    """The exception that ends a conversation."""
    return ConversationFailed(Failure(kind, detail, status))


def plain_words(head: str) -> str:
    """What to say of a body that is no JSON: plain words as they are, never a page of HTML."""
    return "an HTML page" if head.lstrip()[:1] == "<" else head.strip() or "an empty answer"


def failure_in_words(status: int, words: str, kinds: Sequence[tuple[str, FailureKind]]) -> Failure:
    """The failure of an answer that says in words what is wrong: by the first of the patterns (case aside) that is in them, else by
    the status. A page of HTML and a status from 500 on are not the provider's own words."""
    kind = kind_of_status(status, words) or FailureKind.BAD_REQUEST
    if words.lstrip()[:1] != "<" and kind is not FailureKind.SERVER_ERROR:
        kind = next((k for pattern, k in kinds if re.search(pattern, words, re.IGNORECASE)), kind)
    return Failure(kind, one_line(f"HTTP {status}: {plain_words(words)}"), status)


def read_json(reply: httpx.Response) -> Any:  # noqa: ANN401  JSON is whatever it is
    """The body as Python values. A leading byte-order mark is dropped; a key given twice with different values becomes
    `CONFLICT`, element by element where both are lists of one length; NaN, Infinity and 1e400 come as such floats, for the
    row that holds them to be judged. Raises ConversationFailed MALFORMED."""
    raw = reply.content.removeprefix(b"\xef\xbb\xbf")
    if not raw.strip():
        msg = "the answer is empty"
        raise failed(FailureKind.MALFORMED, msg, reply.status_code)
    if raw.lstrip()[:1] == b"<":
        msg = "an HTML page came instead of data"
        raise failed(FailureKind.MALFORMED, msg, reply.status_code)
    try:
        made = _parsed(raw)
        return made if _keys_are_distinct(made, raw) else json.loads(raw.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError:
        msg = "the answer is nested too deeply"
    except UnicodeDecodeError as error:
        msg = f"the answer is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        msg = f"the answer is not JSON at character {error.pos} of {len(raw)}"
    except ValueError:
        msg = "the answer holds a number of thousands of digits"
    raise failed(FailureKind.MALFORMED, msg, reply.status_code)


def _parsed(raw: bytes) -> Any:  # noqa: ANN401  JSON is whatever it is
    """By orjson, two to six times as fast as Python's own parser on bars; what it does not take (NaN, 1e400, half a surrogate pair, a
    thousand levels) is for the other to judge. Whole numbers of more than 64 bits come as floats."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return json.loads(raw.decode("utf-8"))


_LARGE, _AT_ONCE = 100_000, 1 << 17
_QUOTE, _COLON, _BLANK = b'": '


def _keys_are_distinct(made: object, raw: bytes) -> bool:
    """Is no key given twice in one object, for certain? Each key ends in `":` where no blank stands before a colon; a key that was
    given twice is counted there twice, and among the objects made of them once."""
    return _count(raw) == _keys(made, _DEEPEST)


def _count(raw: bytes) -> int:
    """How often `":` stands there; -1 where a colon stands behind a blank. Of a large body six times as fast by columns of letters."""
    if len(raw) < _LARGE:
        return -1 if any(gap in raw for gap in (b" :", b"\t:", b"\n:", b"\r:")) else raw.count(b'":')
    import numpy as np  # what is large is bars, which are made of it

    letters, count = np.frombuffer(raw, dtype=np.uint8), 0
    for low in range(0, len(letters), _AT_ONCE):
        part = letters[low : low + _AT_ONCE + 1]
        colons, before = part[1:] == _COLON, part[:-1]
        if (colons & (before <= _BLANK)).any():
            return -1
        count += int(np.count_nonzero(colons & (before == _QUOTE)))
    return count


_DEEPEST = 8  # objects further down are not counted, so that they are read with care
_NESTED = (dict, list)


def _keys(made: Any, deeper: int) -> int:  # noqa: ANN401  JSON is whatever it is
    """The keys of an object or list and of what is in it."""
    if not deeper:
        return 0
    inner = list(made.values()) if isinstance(made, dict) else made
    held = len(made) if isinstance(made, dict) else 0
    if not isinstance(inner, list) or not inner:
        return held
    if isinstance(made, list) and not isinstance(inner[0], _NESTED):
        return 0  # a list of numbers; should an object hide behind them, the count will be off
    ends = (inner[0], inner[-1])
    flat = all(isinstance(end, dict) and not any(isinstance(value, _NESTED) for value in end.values()) for end in ends)
    if flat and set(map(type, inner)) == {dict}:
        return held + sum(map(len, inner))  # rows; the same holds for what hides in one of them
    return held + sum(_keys(item, deeper - 1) for item in inner if isinstance(item, _NESTED))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    made = {}
    for key, value in pairs:
        made[key] = _either(made[key], value) if key in made else value
    return made


def _either(first: object, second: object) -> object:
    if type(first) is type(second) and first == second:
        return first
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [_either(a, b) for a, b in zip(first, second, strict=True)]
    return CONFLICT
