"""A fork in the wire: requests to some addresses take one way, all others the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Container


class Fork(httpx.AsyncBaseTransport):
    """`there` serves the `host:port` pairs that are named, `here` everything else. So a sandbox that is served on loopback can
    be asked over a real socket, while nothing else of the sandbox reaches the network."""

    def __init__(self, named: Container[str], there: httpx.AsyncBaseTransport, here: httpx.AsyncBaseTransport) -> None:
        self._named = named
        self._there = there
        self._here = here

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        way = self._there if f"{request.url.host}:{port}" in self._named else self._here
        return await way.handle_async_request(request)

    async def aclose(self) -> None:
        await self._there.aclose()
        await self._here.aclose()
