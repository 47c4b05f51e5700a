"""A simulated Yahoo in this process: an httpx transport that never opens a socket. Its prices are synthetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from mdagent.wire.sandbox.provider import HOSTS, Provider

if TYPE_CHECKING:
    from mdagent.clock import Clock


class SandboxTransport(httpx.AsyncBaseTransport):
    """Answers for Yahoo's two hosts, after `latency` seconds of the clock; any other host cannot be connected to.

    `provider` counts what it saw: `transport.provider.requests`, `transport.provider.log`. Raises httpx.ConnectError.
    """

    def __init__(self, clock: Clock, latency: float = 0.0, provider: Provider | None = None) -> None:
        self._clock = clock
        self._latency = latency
        self.provider = provider or Provider(clock)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host not in HOSTS:
            msg = f"the sandbox has no host {request.url.host}"
            raise httpx.ConnectError(msg, request=request)
        if self._latency:
            await self._clock.sleep(self._latency)
        reply, headers = self.provider.answer(request.url.host, request.url.path, dict(request.url.params))
        return httpx.Response(reply.status, headers=headers, content=reply.body, request=request)
