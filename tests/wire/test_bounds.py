"""One exchange over real sockets, its bounds, and what each breach is called."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import time
import tracemalloc
import zlib
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import TYPE_CHECKING

import httpx
import pytest

from mdagent.clock import SystemClock, VirtualClock, virtual_loop
from mdagent.guard.outcome import FailureKind
from mdagent.wire import Limits, WireFailed, WireOptions, open_wire
from mdagent.wire.bounds import MIB, Unpacker, exchange, plain, unpacked
from tests.wire.nasty import NastyServer, NextRequest, Pause, Reset, Step, answer, chunked, head

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORT = Limits(connect=0.3, read=0.3, total=0.4)
BODY = b'{"symbol":"AAPL","bars":[]}'


def _ask(place: str, limits: Limits = SHORT, headers: dict[str, str] | None = None) -> httpx.Response:
    async def conversation() -> httpx.Response:
        wire = open_wire("live", SystemClock(), options=WireOptions(loopback=frozenset({place})))
        try:
            return await wire.send(httpx.Request("GET", f"http://{place}/v8/chart/AAPL?apikey=CANARY-123", headers=headers), limits)
        finally:
            await wire.aclose()

    return asyncio.run(conversation())


def _failure(script: Iterable[Step], limits: Limits = SHORT) -> WireFailed:
    with NastyServer(script) as server, pytest.raises(WireFailed) as caught:
        _ask(server.place, limits)
    assert "CANARY" not in str(caught.value)
    assert len(caught.value.failure.detail) <= 300
    assert caught.value.failure.detail.isprintable()
    return caught.value


def _bomb(mebibytes: int) -> bytes:
    """A gzip stream of that many MiB of one character, made from one compressed block."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = packer.compress(b"0" * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"0" * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * (mebibytes - 1)


def _deflated(data: bytes, wbits: int) -> bytes:
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(data) + packer.flush()


def _dripping(drop: bytes) -> list[Step]:
    return [drop, Pause(0.05)] * 40


_K = FailureKind
_GZIP = "Content-Encoding: gzip"
BREACHES: dict[str, tuple[FailureKind, list[Step]]] = {
    "PB02 fewer bytes than declared": (_K.TRUNCATED, [answer(b'{"symbol":"AAPL","bars":[', length=1000)]),
    "PB04 declared gzip, plain text": (_K.MALFORMED, [answer(b"hello", _GZIP)]),
    "PB05 encoded twice": (_K.MALFORMED, [answer(gzip.compress(gzip.compress(BODY)), "Content-Encoding: gzip, gzip")]),
    "PB05 encoded twice, two headers": (_K.MALFORMED, [answer(gzip.compress(BODY), _GZIP, "Content-Encoding: deflate")]),
    "a coding not asked for": (_K.MALFORMED, [answer(b"?", "Content-Encoding: br")]),
    "gzip cut short": (_K.TRUNCATED, [answer(gzip.compress(BODY)[:-9], _GZIP)]),
    "gzip broken inside": (_K.MALFORMED, [answer(gzip.compress(BODY)[:-8] + bytes(8), _GZIP)]),
    "gzip with a tail": (_K.MALFORMED, [answer(gzip.compress(BODY) + b"tail", _GZIP)]),
    "TS01 redirect to metadata": (
        _K.SECURITY_BLOCK, [answer(b"", "Location: http://169.254.169.254/latest/?apikey=CANARY", status="302 Found")],
    ),
    "TS02 redirect to loopback": (_K.SECURITY_BLOCK, [answer(b"", "Location: http://127.0.0.1:8080/", status="302 Found")]),
    "TS03 redirect to another host": (_K.SECURITY_BLOCK, [answer(b"", "Location: https://other.example/", status="307 T")]),
    "redirect to nonsense": (_K.SECURITY_BLOCK, [answer(b"", "Location: http://[::bad/", status="301 M")]),
    "TS04 a gibibyte declared": (_K.TOO_LARGE, [head("Content-Length: 1073741824"), Pause(5)]),
    "TS07 a byte now and then": (
        _K.TIMEOUT_READ, [head("Content-Length: 1000"), *_dripping(b"[")],
    ),
    "silence": (_K.TIMEOUT_READ, [Pause(5)]),
    "dripping headers": (_K.TIMEOUT_READ, [b"HTTP/1.1 200 OK\r\n", *_dripping(b"A: b\r\n")]),
    "TS08 a flood of headers": (_K.PROTOCOL, [head(*(f"H{n}: {'x' * 1000}" for n in range(5000)))]),
    "headers just over the cap": (_K.PROTOCOL, [answer(BODY, "X: " + "x" * 70_000)]),
    "a flood of interim answers": (_K.PROTOCOL, [head("Link: " + "x" * 1000, status="103 Early Hints") * 3000, Pause(5)]),
    "TS09 two lengths": (_K.PROTOCOL, [head("Content-Length: 2", "Content-Length: 9") + b"okokokoko"]),
    "no HTTP at all": (_K.PROTOCOL, [b"220 mail.example ESMTP \x1b[31mCANARY\r\n\r\n"]),
    "TS12 reset after half the body": (_K.TRUNCATED, [answer(b"x" * 500, length=1000), Pause(0.05), Reset()]),
    "closed without a word": (_K.TRUNCATED, []),
    "a chunked body cut off": (_K.TRUNCATED, [head("Transfer-Encoding: chunked"), chunked(b"[1,2")]),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "script"), BREACHES.values(), ids=BREACHES)
def test_a_breach_has_its_class_and_was_charged(kind: FailureKind, script: list[Step]) -> None:
    began = time.monotonic()
    failure = _failure(script)
    assert failure.failure.kind is kind
    assert failure.sent
    assert time.monotonic() - began < SHORT.total + 0.5


def test_a_redirect_names_the_host_it_points_to() -> None:
    failure = _failure([answer(b"", "Location: https://other.example/path?k=CANARY", status="307 T")])
    assert "other.example" in failure.failure.detail
    assert failure.failure.status == 307


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "300 Many", "404 Not Found", "503 Busy", "999 Request denied"])
def test_any_other_status_is_left_to_the_gate(status: str) -> None:
    body = b"" if status[:3] in {"204", "304"} else b"text"
    with NastyServer([answer(body, status=status)]) as server:
        assert _ask(server.place).status_code == int(status[:3])


def test_a_gzip_bomb_is_dropped_and_memory_stays_flat() -> None:
    bomb = _bomb(300)
    assert len(bomb) < 400_000
    script = [answer(bomb, _GZIP)]
    tracemalloc.start()
    try:
        failure = _failure(script, Limits())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert failure.failure.kind is FailureKind.TOO_LARGE
    assert peak < 16 * MIB


def test_an_endless_body_ends_at_the_size_cap() -> None:
    script = chain([head("Transfer-Encoding: chunked")], repeat(chunked(b" " * 65536)))
    failure = _failure(script, Limits(total=5, max_bytes=3 * MIB))
    assert failure.failure.kind is FailureKind.TOO_LARGE


def test_an_endless_body_that_outlasts_the_timer_is_too_large_not_slow() -> None:
    script: list[Step] = [head("Transfer-Encoding: chunked"), *[chunked(b" " * MIB)] * 5, *_dripping(chunked(b" "))]
    failure = _failure(script, Limits(read=1, total=0.6))
    assert failure.failure.kind is FailureKind.TOO_LARGE


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY[:10]) + gzip.compress(BODY[10:])),
        ("gzip", gzip.compress(BODY) + b"\0\0\0"),
        ("deflate", _deflated(BODY, 15)),
        ("deflate", _deflated(BODY, -15)),
        ("identity", BODY),
    ],
    ids=["gzip", "two members", "padded", "deflate", "bare deflate", "identity"],
)
def test_one_coding_is_undone(coding: str, packed: bytes) -> None:
    with NastyServer([answer(packed, f"Content-Encoding: {coding}", "Content-Type: application/json")]) as server:
        reply = _ask(server.place)
    assert reply.content == BODY
    assert reply.json()["symbol"] == "AAPL"
    assert "content-encoding" not in reply.headers
    assert reply.request.url.path == "/v8/chart/AAPL"


def test_a_packed_body_may_come_byte_by_byte() -> None:
    packed = gzip.compress(BODY * 9000)
    assert unpacked((packed[i : i + 1] for i in range(len(packed))), "gzip", Limits()) == BODY * 9000
    bare = _deflated(BODY, -15)
    assert unpacked((bare[i : i + 1] for i in range(len(bare))), "deflate", Limits()) == BODY


def test_a_small_answer_may_be_packed_tightly_and_a_large_one_may_not() -> None:
    tight = gzip.compress(b"0" * (MIB - 1))
    assert len(unpacked([tight], "gzip", Limits())) == MIB - 1
    unpacker = Unpacker("gzip", Limits())
    with pytest.raises(WireFailed, match="200 times"):
        unpacker.feed(gzip.compress(b"0" * (2 * MIB)))


def test_an_empty_body_has_no_coding_to_end() -> None:
    assert unpacked([], "gzip", Limits()) == b""


def test_no_cookie_is_kept_or_sent() -> None:
    async def conversation(place: str) -> list[httpx.Response]:
        wire = open_wire("live", SystemClock(), options=WireOptions(loopback=frozenset({place})))
        try:
            url = f"http://{place}/"
            return [await wire.send(httpx.Request("GET", url, headers={"Cookie": "mine=1"}), SHORT) for _ in range(2)]
        finally:
            await wire.aclose()

    with NastyServer([answer(BODY, "Set-Cookie: track=1"), NextRequest(), answer(BODY)]) as server:
        replies = asyncio.run(conversation(server.place))
        heads = [request.lower() for request in server.requests]
    assert [reply.content for reply in replies] == [BODY, BODY]
    assert len(heads) == 2
    assert server.connections == 1
    assert not any(b"cookie" in request for request in heads)
    assert not any("set-cookie" in reply.headers for reply in replies)
    assert b"accept-encoding: gzip, deflate\r\n" in heads[0]


def test_a_source_may_name_its_own_user_agent() -> None:
    with NastyServer([answer()]) as server:
        _ask(server.place, headers={"User-Agent": "Mozilla/5.0"})
        assert b"user-agent: mozilla/5.0\r\n" in server.requests[0].lower()


def test_the_wire_can_be_used_in_one_event_loop_after_another() -> None:
    with NastyServer([answer()]) as server:
        wire = open_wire("live", SystemClock(), options=WireOptions(loopback=frozenset({server.place})))

        async def once() -> int:
            try:
                return (await wire.send(httpx.Request("GET", f"http://{server.place}/"), SHORT)).status_code
            finally:
                await wire.aclose()

        assert [asyncio.run(once()) for _ in range(2)] == [200, 200]


def test_a_refused_connection_was_never_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(WireFailed) as caught:
        _ask(place)
    assert caught.value.failure.kind is FailureKind.CONNECT_FAIL
    assert not caught.value.sent


@pytest.mark.parametrize("limits", [Limits(connect=0.2, total=5), Limits(connect=5, total=0.2)])
def test_a_black_hole_ends_at_the_limit_and_was_never_sent(limits: Limits) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            with pytest.raises(WireFailed) as caught:
                _ask(f"127.0.0.1:{address[1]}", limits)
        finally:
            for filler in fillers:
                filler.close()
    assert caught.value.failure.kind is FailureKind.CONNECT_FAIL
    assert not caught.value.sent


def test_the_url_with_its_key_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), NastyServer([answer()]) as server:
        _ask(server.place)
    assert "CANARY" not in caplog.text


class _Sleepy(httpx.AsyncBaseTransport):
    def __init__(self, clock: VirtualClock, error: Exception | None = None) -> None:
        self._clock = clock
        self._error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert "Cookie" not in request.headers
        if self._error is not None:
            raise self._error
        await self._clock.sleep(3600)
        return httpx.Response(200)


def _on_virtual_time(error: Exception | None = None) -> tuple[WireFailed, float]:
    clock = VirtualClock(datetime(2024, 1, 2, tzinfo=UTC))
    loop = virtual_loop(clock)
    try:
        with pytest.raises(WireFailed) as caught:
            loop.run_until_complete(exchange(_Sleepy(clock, error), httpx.Request("GET", "https://data.example/"), Limits()))
    finally:
        loop.close()
    return caught.value, clock.monotonic()


def test_the_timer_of_the_whole_attempt_runs_on_virtual_time() -> None:
    failure, elapsed = _on_virtual_time()
    assert failure.failure.kind is FailureKind.TIMEOUT_READ
    assert failure.sent
    assert elapsed == pytest.approx(15, abs=0.1)


@pytest.mark.parametrize(
    ("error", "kind", "sent"),
    [
        (httpx.ConnectError("refused"), FailureKind.CONNECT_FAIL, False),
        (httpx.ConnectTimeout("late"), FailureKind.CONNECT_FAIL, False),
        (httpx.ProxyError("407"), FailureKind.CONNECT_FAIL, False),
        (httpx.ReadTimeout("late"), FailureKind.TIMEOUT_READ, True),
        (httpx.ReadError("reset"), FailureKind.TRUNCATED, True),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), FailureKind.TRUNCATED, True),
        (httpx.RemoteProtocolError("illegal header line"), FailureKind.PROTOCOL, True),
        (httpx.DecodingError("bad"), FailureKind.MALFORMED, True),
        (httpx.UnsupportedProtocol("ftp"), FailureKind.SECURITY_BLOCK, False),
        (ConnectionResetError(104, "reset"), FailureKind.TRUNCATED, True),
        (TimeoutError(110, "timed out"), FailureKind.TRUNCATED, True),
    ],
)
def test_errors_of_another_transport_are_classified_too(error: Exception, kind: FailureKind, sent: bool) -> None:
    failure, _ = _on_virtual_time(error)
    assert (failure.failure.kind, failure.sent) == (kind, sent)


def test_untrusted_text_becomes_one_short_printable_line() -> None:
    assert plain("a\x1b[31m\nb\u202ec") == "a [31m b c"
    assert len(plain("x" * 500)) == 120
