"""Strict reading of a provider's JSON: what Python's parser forgives is told here.

The body is parsed once, where it is understood; the wire bounds its size and time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind

if TYPE_CHECKING:
    import httpx


class Conflict:
    """Stands for a value that the body gives twice and differently: it is neither."""

    def __repr__(self) -> str:
        return "<given twice>"


CONFLICT = Conflict()


def failed(kind: FailureKind, detail: str, status: int | None = None) -> ConversationFailed:
    """The exception that ends a conversation."""
    return ConversationFailed(Failure(kind, detail, status))


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
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError:
        msg = "the answer is nested too deeply"
    except UnicodeDecodeError as error:
        msg = f"the answer is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        msg = f"the answer is not JSON at character {error.pos} of {len(raw)}"
    except ValueError:
        msg = "the answer holds a number of thousands of digits"
    raise failed(FailureKind.MALFORMED, msg, reply.status_code)


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
