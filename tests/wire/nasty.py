"""A loopback server that plays scripts of bytes and keeps what it was sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType


@dataclass(frozen=True)
class Pause:
    """Wait that long, or until the server is closed."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """Drop the connection with a RST."""


@dataclass(frozen=True)
class NextRequest:
    """Read another request on the same connection."""


@dataclass(frozen=True)
class StartTls:
    """Speak TLS from here on."""

    context: ssl.SSLContext


Step = bytes | Pause | Reset | NextRequest | StartTls


@dataclass
class NastyServer:
    """Every connection is served `script` after its first request was read. `tls`: with that context from the start."""

    script: Iterable[Step]
    tls: ssl.SSLContext | None = None
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        try:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            alive = self._read_request(connection)
            steps = iter(self.script)
            while alive and not self._over.is_set() and (step := next(steps, None)) is not None:
                if isinstance(step, StartTls):
                    connection = step.context.wrap_socket(connection, server_side=True)
                else:
                    alive = self._play(connection, step)
        except (OSError, ValueError):
            return
        finally:
            connection.close()

    def _play(self, connection: socket.socket, step: bytes | Pause | Reset | NextRequest) -> bool:
        """False when the connection is at its end."""
        match step:
            case bytes():
                connection.sendall(step)
            case Pause():
                self._over.wait(step.seconds)
            case NextRequest():
                return self._read_request(connection)
            case Reset():
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
        return True

    def _read_request(self, connection: socket.socket) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(65536)
            if not data:
                return False
            head += data
        self.requests.append(head)
        return True


def answer(body: bytes = b'{"ok":1}', *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A whole HTTP answer with a Content-Length (its own, unless `length` lies)."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def head(*headers: str, status: str = "200 OK") -> bytes:
    """The head of an answer, with nothing but those headers."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers]).encode() + b"\r\n\r\n"


def chunked(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
