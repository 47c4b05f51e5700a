"""A conversation held in this process: with the simulated provider, or with answers made beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import httpx

from mdagent.clock import VirtualClock
from mdagent.guard.outcome import ConversationFailed, Failure
from mdagent.sources import load
from mdagent.wire.sandbox.dialects import Ask, dialects, sandbox_key
from mdagent.wire.sandbox.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mdagent.sources.base import Conversation, Source

T = TypeVar("T")
_MOST = 400  # requests of one conversation: more are a circle


def converse(source: Source, talk: Conversation[T], answer: Callable[[httpx.Request], httpx.Response]) -> T:
    """What a conversation comes to when every answer is looked at as the gate does it. Raises ConversationFailed."""
    try:
        request = next(talk)
        for _ in range(_MOST):
            reply = answer(request)
            failure = source.error_in(reply)
            request = talk.throw(ConversationFailed(failure)) if failure else talk.send(reply)
    except StopIteration as end:
        value: T = end.value
        return value
    msg = f"{source.spec.name} has no end of questions"
    raise AssertionError(msg)


@dataclass
class Simulated:
    """A source and its simulated provider at one instant. `plan` None is the one that includes everything, `key` the one to send
    instead of the right one; `asked` and `told` are the requests and replies so far."""

    name: str
    now: datetime
    plan: str | None = None
    key: str | None = None
    asked: list[httpx.Request] = field(default_factory=list)
    told: list[httpx.Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = self.plan or next(reversed(list(dialects()[self.name].plans)))
        self.provider = Provider(VirtualClock(self.now))
        key = sandbox_key(self.name, plan) if self.key is None else self.key
        self.source = load(self.name, api_key=key, plan=plan)

    def hold(self, begin: Callable[[Source], Conversation[T]]) -> T:
        """The value of the conversation. Raises ConversationFailed."""
        return converse(self.source, begin(self.source), self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        url = request.url
        dialect = self.provider.dialect_at(url.host)
        assert dialect is not None, f"{url.host} is nobody's"
        headers = {k.lower(): v for k, v in request.headers.items()}
        reply, told = self.provider.answer(dialect, Ask(url.path, dict(url.params), headers, 0, f"{url.scheme}://{url.host}"))
        self.told.append(httpx.Response(reply.status, headers=told, content=reply.body, request=request))
        return self.told[-1]


def outcome(begin: Callable[[], T]) -> T | Failure:
    """The value, or the failure where there is none."""
    try:
        return begin()
    except ConversationFailed as error:
        return error.failure
