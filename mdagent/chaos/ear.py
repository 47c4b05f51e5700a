"""A transport that listens: what was sent to whom, when, and what came of it, written down apart from what the agent believes."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mdagent.clock import Clock

_DAY = 86400.0


class Heard(NamedTuple):
    """One exchange, in seconds of the monotonic clock. `status` is None where no answer came; `rest`: seconds that a refusal asked to be
    left alone."""

    source: str
    began: float
    ended: float
    status: int | None
    rest: float = 0.0


class Ear(httpx.AsyncBaseTransport):
    """Stands before another transport, for one caller; `log` may be shared with others. `kept` are its own exchanges."""

    def __init__(self, inner: httpx.AsyncBaseTransport, clock: Clock, source_of: Callable[[str], str | None], log: list[Heard]) -> None:
        self.kept: list[Heard] = []
        self._inner = inner
        self._clock = clock
        self._source_of = source_of
        self._log = log

    def before(self, inner: httpx.AsyncBaseTransport) -> Ear:
        """The same ear at another transport."""
        other = Ear(inner, self._clock, self._source_of, self._log)
        other.kept = self.kept
        return other

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        began, status, rest = self._clock.monotonic(), None, 0.0
        try:
            reply = await self._inner.handle_async_request(request)
            status = reply.status_code
            if status == httpx.codes.TOO_MANY_REQUESTS:
                rest = rest_of(reply.headers.get("retry-after", ""), self._clock.now())
            return reply
        finally:
            heard = Heard(self._source_of(request.url.netloc.decode()) or request.url.host, began, self._clock.monotonic(), status, rest)
            self.kept.append(heard)
            self._log.append(heard)


def rest_of(text: str, now: datetime) -> float:
    """Seconds that a Retry-After asks for, a day at most; 0 for none, and for what makes no sense."""
    word = text.strip()
    if word.isascii() and word.isdigit():
        return min(float(word), _DAY)
    try:
        return min(max(0.0, (parsedate_to_datetime(word) - now).total_seconds()), _DAY)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
