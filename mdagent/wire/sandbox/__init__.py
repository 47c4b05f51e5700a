"""The simulated providers in this process: an httpx transport that never opens a socket. Their prices are synthetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from mdagent.wire.faults.plan import FAULTS
from mdagent.wire.sandbox.dialects import Ask
from mdagent.wire.sandbox.provider import Gone, Provider

if TYPE_CHECKING:
    from mdagent.clock import Clock


class SandboxTransport(httpx.AsyncBaseTransport):
    """Answers for the hosts of every dialect, after `latency` seconds of the clock; any other host cannot be connected to.

    `provider` counts what it saw: `transport.provider.requests`, `transport.provider.log`. Raises httpx.ConnectError.
    """

    def __init__(self, clock: Clock, latency: float = 0.0, provider: Provider | None = None) -> None:
        self._clock = clock
        self._latency = latency
        self.provider = provider or Provider(clock)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        dialect = self.provider.dialect_at(url.host)
        if dialect is None:
            msg = f"the sandbox has no host {url.host}"
            raise httpx.ConnectError(msg, request=request)
        if self._latency:
            await self._clock.sleep(self._latency)
        ask = Ask(url.path, dict(url.params), {k.lower(): v for k, v in request.headers.items()}, 0, f"{url.scheme}://{url.host}")
        try:
            plan = request.extensions.get(FAULTS)
            reply, headers = (self.provider if plan is None else self.provider.under(plan)).answer(dialect, ask)
        except Gone as gone:
            msg = f"{url.host} does not exist any more"
            raise httpx.ConnectError(msg, request=request) from gone
        return httpx.Response(reply.status, headers=headers, content=reply.body, request=request)
