"""What each fault does to an answer on its way: its head, its pace, its end."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mdagent.wire.faults.kinds import Fault
    from mdagent.wire.faults.plan import Plan

    Pieces = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]

_PIECE: Final = 4096
_MIB: Final = 1024 * 1024


class _Flow(httpx.AsyncByteStream):
    """The body of an answer as something else lets it through."""

    def __init__(self, reply: httpx.Response, pieces: Pieces) -> None:
        self._reply = reply
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces(_raw(self._reply)):
            yield piece

    async def aclose(self) -> None:
        await self._reply.aclose()


async def _raw(reply: httpx.Response) -> AsyncIterator[bytes]:
    assert isinstance(reply.stream, httpx.AsyncByteStream)  # noqa: S101  a transport that is asynchronous answers with nothing else
    async for chunk in reply.stream:
        yield chunk


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def _through(reply: httpx.Response, pieces: Pieces, **headers: str | None) -> httpx.Response:
    """The answer with its body let through; a header that is None goes."""
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = [(name, value) for name, value in reply.headers.multi_items() if name.lower() not in changed]
    kept += [(name, value) for name, value in changed.items() if value is not None]
    return httpx.Response(reply.status_code, headers=kept, stream=_Flow(reply, pieces))


def _paced(reply: httpx.Response, plan: Plan, size: int, every: float) -> httpx.Response:
    async def pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            for begin in range(0, len(chunk), size):
                await plan.clock.sleep(every)
                yield chunk[begin : begin + size]

    return _through(reply, pieces)


def bandwidth(fault: Fault, reply: httpx.Response, plan: Plan) -> httpx.Response:
    """So many bytes a second."""
    rate = float(fault.settings["rate"])
    size = max(1, min(_PIECE, int(rate)))
    return _paced(reply, plan, size, size / rate)


def slow_loris(fault: Fault, reply: httpx.Response, plan: Plan) -> httpx.Response:
    """A drop, a pause, a drop."""
    return _paced(reply, plan, int(fault.settings["drop"]), float(fault.settings["every"]))


def reset(fault: Fault, reply: httpx.Response, _plan: Plan) -> httpx.Response:
    """A part of it, then an error of the connection."""
    share = float(fault.settings["share"])

    async def pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        whole = await _whole(chunks)
        yield whole[: int(len(whole) * share)]
        msg = "Connection reset by peer"
        raise httpx.ReadError(msg)

    return _through(reply, pieces)


def cut(fault: Fault, reply: httpx.Response, _plan: Plan) -> httpx.Response:
    """A part of it, then the end: an error where a length was promised, else a clean one."""
    share, told = float(fault.settings["share"]), fault.settings["told"] == "yes"

    async def pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        whole = await _whole(chunks)
        kept = whole[: int(len(whole) * share)]
        yield kept
        if told and len(kept) < len(whole):
            msg = "peer closed connection without sending complete message body"
            raise httpx.RemoteProtocolError(msg)

    return _through(reply, pieces) if told else _through(reply, pieces, content_length=None)


def header_flood(fault: Fault, reply: httpx.Response, _plan: Plan) -> httpx.Response:
    """The same answer under a huge head."""
    return _through(reply, lambda chunks: chunks, x_filler="x" * int(fault.settings["kib"]) * 1024)


def endless(fault: Fault, reply: httpx.Response, plan: Plan) -> httpx.Response:
    """The body, and then blanks for ever."""
    rate = float(fault.settings["rate"])

    async def pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk
        blank = b" " * max(1, int(rate / 4))
        while True:
            await plan.clock.sleep(len(blank) / rate)
            yield blank

    return _through(reply, pieces, content_length=None)


def bomb(fault: Fault, reply: httpx.Response, _plan: Plan) -> httpx.Response:
    """Blanks, packed."""
    mib = int(fault.settings["mib"])

    async def pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        await _whole(chunks)
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        for _ in range(mib):
            yield packer.compress(b" " * _MIB)
        yield packer.flush()

    return _through(reply, pieces, content_length=None, content_encoding="gzip")
