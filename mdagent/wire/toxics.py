"""A TCP proxy that spoils what passes through it: eight toxics on real sockets, for what no seam in the code can show.

Whether a connection is hit by a fault is decided when it opens; the fault acts on it while it is in force.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import urlsplit

from mdagent.wire.faults.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping
    from types import TracebackType

    from mdagent.wire.faults.kinds import Fault
    from mdagent.wire.faults.plan import Plan

Way = Literal["up", "down"]  # to the provider, from the provider
_PIECE: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a RST


@dataclass(eq=False)
class _Link:
    """One connection through the proxy: who is at its ends, which faults hit it, and how many bytes came back so far."""

    client: asyncio.StreamWriter
    provider: asyncio.StreamWriter
    hit: tuple[Fault, ...]
    noted: set[str] = field(default_factory=set)
    passed: int = 0

    def drop(self, *, reset: bool = False) -> None:
        """Close both ends at once, the client's with a RST where asked."""
        sock = self.client.get_extra_info("socket")
        if reset and sock is not None:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for end in (self.client, self.provider):
            end.transport.abort()


class _Dropped(Exception):
    """The connection was ended by a toxic."""


class ToxicProxy:
    """Stands before one provider at `host:port`. Use within the loop that is to serve it; times are those of the plan's clock, which has to
    be a real one."""

    def __init__(self, source: str, host: str, port: int, plan: Plan) -> None:
        self.port = 0
        self._source = source
        self._behind = host, port
        self._plan = plan
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free port of loopback, `port` from then on, and go down and up again as the plan has it."""
        await self._listen()
        for fault in self._plan.faults:
            mine = not fault.sources or self._source in fault.sources
            if fault.kind == "toxic_down" and mine and self._plan.uniform(0.0, 1.0) < fault.probability:
                self._keep(self._outage(fault))

    async def aclose(self) -> None:
        """Stop listening and drop every connection; twice does no harm."""
        for task in tuple(self._tasks):
            task.cancel()
        self._hush()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    def _hush(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in tuple(self._links):
            link.drop()

    async def _outage(self, fault: Fault) -> None:
        await self._plan.clock.sleep(fault.start - self._plan.elapsed)
        self._plan.note(fault, self._source)
        self._hush()
        await self._plan.clock.sleep(fault.start + fault.seconds - self._plan.elapsed)
        await self._listen()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hit = tuple(
            fault
            for fault in self._plan.faults
            if KINDS[fault.kind].where == "proxy"
            and (not fault.sources or self._source in fault.sources)
            and self._plan.uniform(0.0, 1.0) < fault.probability
        )
        try:
            answers, provider = await asyncio.open_connection(*self._behind)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, provider, hit)
        self._links.add(link)
        self._keep(self._joined(link, reader, answers))

    async def _joined(self, link: _Link, asked: asyncio.StreamReader, answers: asyncio.StreamReader) -> None:
        pumps = [
            asyncio.ensure_future(self._pump(link, "up", asked, link.provider)),
            asyncio.ensure_future(self._pump(link, "down", answers, link.client)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (link.client, link.provider):
                end.close()
            self._links.discard(link)

    async def _pump(self, link: _Link, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, _Dropped):
            while data := await reader.read(_PIECE):
                async for piece in self._through(link, way, data):
                    writer.write(piece)
                    await writer.drain()
            for fault in self._on(link, way, "toxic_slow_close"):
                await self._plan.clock.sleep(float(fault.settings["delay"]))

    def _on(self, link: _Link, way: Way, kind: str) -> list[Fault]:
        """The faults of that kind which hit the connection and are in force, for what goes that way."""
        now = self._plan.elapsed
        found = [f for f in link.hit if f.kind == kind and f.settings["way"] in (way, "both") and f.start <= now < f.start + f.seconds]
        for fault in found:
            if kind not in link.noted:
                link.noted.add(kind)
                self._plan.note(fault, self._source, f"{way}stream")
        return found

    async def _through(self, link: _Link, way: Way, data: bytes) -> AsyncIterator[bytes]:
        """The pieces in which some bytes go on, each when its time has come. Raises _Dropped."""
        clock = self._plan.clock
        for fault in self._on(link, way, "toxic_timeout"):
            left, after = fault.start + fault.seconds - self._plan.elapsed, float(fault.settings["after"])
            await clock.sleep(min(left, after) if after else left)
            if after and after <= left:
                link.drop()
                raise _Dropped
        for fault in self._on(link, way, "toxic_reset"):
            await clock.sleep(float(fault.settings["after"]))
            link.drop(reset=True)
            raise _Dropped
        for fault in self._on(link, way, "toxic_latency"):
            jitter = float(fault.settings["jitter"])
            await clock.sleep(float(fault.settings["delay"]) + self._plan.uniform(-jitter, jitter))
        limit = min((int(f.settings["bytes"]) for f in self._on(link, way, "toxic_limit_data")), default=None)
        kept = data if limit is None else data[: max(0, limit - link.passed)]
        async for piece in self._paced(link, way, kept):
            link.passed += len(piece)
            yield piece
        if limit is not None and link.passed >= limit:
            raise _Dropped

    async def _paced(self, link: _Link, way: Way, data: bytes) -> AsyncIterator[bytes]:
        clock = self._plan.clock
        slicer = next(iter(self._on(link, way, "toxic_slicer")), None)
        narrow = next(iter(self._on(link, way, "toxic_bandwidth")), None)
        rate = float(narrow.settings["rate"]) if narrow else 0.0
        size = int(slicer.settings["size"]) if slicer else max(1, int(rate / 10)) if rate else len(data)
        for begin in range(0, len(data), max(1, size)):
            piece = data[begin : begin + size]
            if rate:
                await clock.sleep(len(piece) / rate)
            if slicer and begin:
                await clock.sleep(float(slicer.settings["pause"]))
            yield piece


class RunningProxies:
    """Proxies in a thread of their own, one before each address. `base_urls` has what stands for them, by the name of a source."""

    def __init__(self, behind: Mapping[str, str], plan: Plan) -> None:
        self._plan = plan
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="mdagent-toxics", daemon=True)
        self._thread.start()
        self._proxies: list[ToxicProxy] = []
        self.base_urls = {name: self._before(name, url) for name, url in behind.items()}

    def _before(self, name: str, url: str) -> str:
        place = urlsplit(url)
        proxy = ToxicProxy(name, place.hostname or "127.0.0.1", place.port or 80, self._plan)
        asyncio.run_coroutine_threadsafe(proxy.start(), self._loop).result()
        self._proxies.append(proxy)
        return f"http://127.0.0.1:{proxy.port}"

    def close(self) -> None:
        """Drop every connection, free the ports, end the thread; twice does no harm."""
        if self._loop.is_closed():
            return
        for proxy in self._proxies:
            asyncio.run_coroutine_threadsafe(proxy.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
