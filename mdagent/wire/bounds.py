"""The bounds of one exchange: time, size, ratio, headers, redirects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from mdagent.errors import MdagentError
from mdagent.guard.outcome import Failure, FailureKind

if TYPE_CHECKING:
    import zlib
    from collections.abc import Iterable

    import httpx

MIB: Final = 1024 * 1024
PROGRESS: Final = "mdagent.progress"  # the request extension by which a transport tells how far it came

_PIECE: Final = 64 * 1024
_RATIO_FREE: Final = MIB  # a small answer may be packed as tightly as it likes
_ENDLESS: Final = 4 * MIB  # a timer that expires after this much was not slow: the answer has no end
_WBITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_DEFLATE: Final = -15
_DROPPED: Final = frozenset({"content-encoding", "content-length", "transfer-encoding", "set-cookie", "set-cookie2"})
_TEXT_LIMIT: Final = 120


@dataclass(frozen=True, slots=True)
class Limits:
    """What one attempt may take. Seconds and bytes; `max_ratio` is decoded to raw, beyond the first MiB."""

    connect: float = 2.0
    read: float = 8.0
    total: float = 15.0
    max_bytes: int = 32 * MIB
    max_ratio: int = 200
    max_header_bytes: int = 64 * 1024


class WireFailed(MdagentError):
    """No answer that could be read. `sent` is False only where it is proved that nothing reached the socket."""

    def __init__(self, failure: Failure, *, sent: bool) -> None:
        super().__init__(failure.detail, failure.consequence.next_step)
        self.failure = failure
        self.sent = sent


@dataclass(slots=True)
class Progress:
    """How far an exchange came. A transport that writes to sockets sets `tracked` and keeps it true."""

    tracked: bool = False
    written: bool = False
    headers_done: bool = False
    before_body: int = 0  # bytes read before the headers of the answer were complete
    received: int = 0  # bytes of the body, still encoded


class _Verdict(NamedTuple):
    kind: FailureKind
    sent: bool
    words: str


_K = FailureKind
_VERDICTS: Final[dict[str, _Verdict]] = {  # by the name of httpx's exception: httpx is loaded with the first exchange only
    "ConnectTimeout": _Verdict(_K.CONNECT_FAIL, sent=False, words="no connection in time"),
    "PoolTimeout": _Verdict(_K.CONNECT_FAIL, sent=False, words="no free connection in time"),
    "ConnectError": _Verdict(_K.CONNECT_FAIL, sent=False, words="could not connect"),
    "ProxyError": _Verdict(_K.CONNECT_FAIL, sent=False, words="the proxy refused"),
    "UnsupportedProtocol": _Verdict(_K.SECURITY_BLOCK, sent=False, words="only https is spoken"),
    "LocalProtocolError": _Verdict(_K.PROTOCOL, sent=False, words="the request is not legal HTTP"),
    "RemoteProtocolError": _Verdict(_K.PROTOCOL, sent=True, words="the answer broke the rules of HTTP"),
    "DecodingError": _Verdict(_K.MALFORMED, sent=True, words="the body does not fit its content coding"),
    "ReadTimeout": _Verdict(_K.TIMEOUT_READ, sent=True, words="no answer in time"),
    "WriteTimeout": _Verdict(_K.TIMEOUT_READ, sent=True, words="the request was not taken in time"),
}
_CUT_OFF: Final = _Verdict(_K.TRUNCATED, sent=True, words="the connection broke before the answer was complete")


def plain(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Untrusted text made fit for a sentence: one line, printable, at most `limit` characters."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return line if len(line) <= limit else line[: limit - 3] + "..."


def failed(kind: FailureKind, detail: str, *, sent: bool = True, status: int | None = None, unreachable: bool = False) -> WireFailed:
    """The exception for a failure of the wire."""
    return WireFailed(Failure(kind, plain(detail, 300), status=status, unreachable=unreachable), sent=sent)


async def exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request, limits: Limits) -> httpx.Response:
    """Send one request and read the whole answer within `limits`.

    The answer's content is decoded, its coding, framing and cookie headers are gone. Raises `WireFailed`.
    """
    import asyncio

    import httpx

    progress = Progress()
    timer = asyncio.timeout(limits.total)
    try:
        async with timer:
            return await _converse(transport, request, limits, progress)
    except (httpx.TransportError, httpx.DecodingError, OSError) as error:
        if isinstance(error, TimeoutError) and timer.expired():
            raise _out_of_time(request, limits, progress) from None
        raise _judged(error, request, progress) from error


async def _converse(transport: httpx.AsyncBaseTransport, request: httpx.Request, limits: Limits, progress: Progress) -> httpx.Response:
    import httpx

    reply = await transport.handle_async_request(_outgoing(request, limits, progress))
    if not isinstance(reply.stream, httpx.AsyncByteStream):
        msg = f"{type(transport).__name__} answers with a stream that cannot be read asynchronously"
        raise TypeError(msg)
    try:
        coding = _inspected(reply, limits)
        unpacker = Unpacker(coding, limits)
        async for chunk in reply.stream:
            progress.received += len(chunk)
            unpacker.feed(chunk)
        content = unpacker.close()
    finally:
        await reply.aclose()
    kept = [(name, value) for name, value in reply.headers.multi_items() if name.lower() not in _DROPPED]
    return httpx.Response(reply.status_code, headers=kept, content=content, request=request)


def _outgoing(request: httpx.Request, limits: Limits, progress: Progress) -> httpx.Request:
    import httpx

    headers = request.headers.copy()
    headers.pop("Cookie", None)
    headers["Accept-Encoding"] = "gzip, deflate"
    headers.setdefault("User-Agent", "mdagent")
    timeout = {"connect": limits.connect, "read": limits.read, "write": limits.read, "pool": limits.total}
    extensions = {"timeout": timeout, PROGRESS: progress}
    return httpx.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=extensions)


def _inspected(reply: httpx.Response, limits: Limits) -> str:
    """The one content coding of an answer whose head is acceptable, or an empty string."""
    status = reply.status_code
    if sum(len(name) + len(value) + 4 for name, value in reply.headers.raw) > limits.max_header_bytes:
        raise failed(_K.PROTOCOL, f"more than {limits.max_header_bytes} bytes of response headers", status=status)
    location = reply.headers.get("location")
    if 300 <= status < 400 and status != 304 and location is not None:
        raise failed(_K.SECURITY_BLOCK, f"a redirect to {_place(location)} was not followed", status=status)
    declared = reply.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limits.max_bytes):
        raise failed(_K.TOO_LARGE, f"the answer declares {plain(declared, 24)} bytes, more than {limits.max_bytes}", status=status)
    named = reply.headers.get_list("content-encoding", split_commas=True)
    codings = [coding for name in named if (coding := name.strip().lower()) not in {"", "identity"}]
    if len(codings) > 1:
        raise failed(_K.MALFORMED, f"the body is encoded {len(codings)} times; at most one coding is undone", status=status)
    if codings and codings[0] not in _WBITS:
        raise failed(_K.MALFORMED, f"the content coding {plain(codings[0], 24)!r} was not asked for", status=status)
    return codings[0] if codings else ""


def _place(location: str) -> str:
    import httpx

    try:
        url = httpx.URL(location)
    except (httpx.InvalidURL, ValueError):
        return "an unreadable place"
    if not url.host:
        return "another path of the same host"
    return plain(f"{url.scheme or 'the'} host {url.host}", 100)


def _out_of_time(request: httpx.Request, limits: Limits, progress: Progress) -> WireFailed:
    host = request.url.host
    if progress.received > _ENDLESS:
        return failed(_K.TOO_LARGE, f"{host} was still sending after {progress.received} bytes and {limits.total:g} s")
    if progress.tracked and not progress.written:
        return failed(_K.CONNECT_FAIL, f"no connection to {host} within {limits.total:g} s", sent=False, unreachable=True)
    return failed(_K.TIMEOUT_READ, f"no full answer from {host} within {limits.total:g} s")


def _judged(error: Exception, request: httpx.Request, progress: Progress) -> WireFailed:
    text = str(error)
    verdict = _VERDICTS.get(type(error).__name__, _CUT_OFF)
    words = verdict.words
    if verdict.kind is _K.PROTOCOL and verdict.sent:
        if "disconnected" in text or "peer closed" in text:
            verdict, words = _CUT_OFF, _CUT_OFF.words
        else:
            words = f"{words} ({plain(text.partition(':')[0], 60)})"  # behind a colon may stand what the peer sent
    elif verdict.kind is _K.TIMEOUT_READ and progress.received > _ENDLESS:
        verdict = verdict._replace(kind=_K.TOO_LARGE)
    elif verdict.kind is _K.CONNECT_FAIL and _is_tls(error):
        verdict, words = verdict._replace(kind=_K.TLS_FAIL), "no trusted encrypted connection"
    sent = progress.written if progress.tracked else verdict.sent
    timed_out = type(error).__name__ == "ConnectTimeout"
    return failed(verdict.kind, f"{request.url.host}: {words}", sent=sent, unreachable=timed_out and verdict.kind is _K.CONNECT_FAIL)


def _is_tls(error: BaseException | None) -> bool:
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__
    return False


class Unpacker:
    """Undoes at most one content coding, in pieces, and stops at the first byte too many. `coding` is empty for none."""

    def __init__(self, coding: str, limits: Limits) -> None:
        self._coding = coding
        self._limits = limits
        self._stream: zlib._Decompress | None = None
        self._pieces: list[bytes] = []
        self._head = b""
        self._raw = 0
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Take the next raw bytes. Raises `WireFailed`: TOO_LARGE or MALFORMED."""
        self._raw += len(data)
        if not self._coding:
            self._keep(data, self._raw)
            return
        if self._stream is None:
            self._head += data
            if len(self._head) < 2:  # the coding shows in the first two bytes
                return
            data, self._head = self._head, b""
        self._inflate(data)

    def close(self) -> bytes:
        """The decoded content. Raises `WireFailed` TRUNCATED when the coding has not come to its end."""
        if self._coding and self._raw and (self._stream is None or not self._stream.eof):
            raise failed(_K.TRUNCATED, f"the {self._coding} stream of the body is cut short")
        return b"".join(self._pieces)

    def _opened(self, data: bytes) -> zlib._Decompress:
        import zlib

        zlib_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950, 2.2
        raw = self._coding == "deflate" and not zlib_header  # many servers send bare deflate under that name
        return zlib.decompressobj(_RAW_DEFLATE if raw else _WBITS[self._coding])

    def _inflate(self, data: bytes) -> None:
        import zlib

        full = False
        try:
            while data or full:
                if self._stream is None:
                    self._stream = self._opened(data)
                elif self._stream.eof:
                    if not data.strip(b"\0"):
                        return
                    self._stream = self._next_member(data)
                piece = self._stream.decompress(data, _PIECE)
                data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
                full = len(piece) == _PIECE and not self._stream.eof
                self._keep(piece, self._raw - len(data))
        except zlib.error:
            raise failed(_K.MALFORMED, f"the body is declared {self._coding} and is not") from None

    def _next_member(self, data: bytes) -> zlib._Decompress:
        import zlib

        if self._coding == "deflate" or not data.startswith(b"\x1f"):
            raise failed(_K.MALFORMED, f"bytes follow the end of the {self._coding} stream")
        return zlib.decompressobj(_WBITS[self._coding])

    def _keep(self, piece: bytes, consumed: int) -> None:
        self._size += len(piece)
        if self._size > self._limits.max_bytes:
            raise failed(_K.TOO_LARGE, f"the answer is larger than {self._limits.max_bytes} bytes")
        if self._size > _RATIO_FREE and self._size > self._limits.max_ratio * consumed:
            raise failed(_K.TOO_LARGE, f"the answer unpacks to more than {self._limits.max_ratio} times its size")
        self._pieces.append(piece)


def unpacked(chunks: Iterable[bytes], coding: str, limits: Limits) -> bytes:
    """The decoded content of chunks at hand; raises like `Unpacker`."""
    unpacker = Unpacker(coding, limits)
    for chunk in chunks:
        unpacker.feed(chunk)
    return unpacker.close()
