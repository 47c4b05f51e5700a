"""The requests that a conversation would send, without sending any.

It is told of each that there is nothing, in three ways: as a failure, as an empty list, as an empty object. The telling on which it
goes on longest has every request but those that an answer leads to: further pages, which nobody can know beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from mdagent.sources.base import Conversation

_MOST = 100_000  # of one conversation: minutes of a lifetime are fewer
_NOTHING = Failure(FailureKind.NO_DATA, "nothing was asked")
_TOLD = (b"[]", b"{}", None)


def unsent(begin: Callable[[], Conversation[Any]]) -> tuple[list[httpx.Request], Failure | None]:
    """Its requests; and where it asks for nothing at all, the failure by which it says so."""
    tellings = [_tell(begin, body) for body in _TOLD]
    return max(tellings, key=lambda told: len(told[0]))


def _tell(begin: Callable[[], Conversation[Any]], body: bytes | None) -> tuple[list[httpx.Request], Failure | None]:
    import httpx

    asked: dict[str, httpx.Request] = {}  # the gate sends an equal request of one conversation once
    try:
        talk = begin()
        try:
            request = next(talk)
            for _ in range(_MOST):
                asked.setdefault(request.url.raw_path.decode(), request)
                nothing = httpx.Response(200, content=body, request=request) if body is not None else None
                request = talk.throw(ConversationFailed(_NOTHING)) if nothing is None else talk.send(nothing)
        finally:
            talk.close()
    except ConversationFailed as error:
        return [*asked.values()], None if asked else error.failure
    except StopIteration:
        pass
    return [*asked.values()], None
