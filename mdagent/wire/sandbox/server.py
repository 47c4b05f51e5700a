"""The simulated Yahoo behind a real HTTP server on loopback."""

from __future__ import annotations

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from mdagent.wire.sandbox.provider import Provider

if TYPE_CHECKING:
    from types import TracebackType

    from mdagent.clock import Clock


@dataclass(eq=False)
class RunningServer:
    """A server in a thread of its own. `base_urls` maps a source's name to the address that stands for its host."""

    base_urls: dict[str, str]
    provider: Provider
    _server: ThreadingHTTPServer
    _thread: Thread

    def close(self) -> None:
        """Stop answering and free the port; twice does no harm."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def serve(clock: Clock, host: str = "127.0.0.1", port: int = 0, provider: Provider | None = None) -> RunningServer:
    """Start answering; port 0 takes a free one. Raises OSError where the port is taken."""
    referee = provider or Provider(clock)
    server = _Server((host, port), _answering(referee))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox", daemon=True)
    thread.start()
    name = f"[{host}]" if ":" in host else host
    return RunningServer({"yahoo": f"http://{name}:{server.server_port}"}, referee, server, thread)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # an idle keep-alive connection must not hold up close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


def _answering(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            target = urlsplit(self.path)
            query = dict(parse_qsl(target.query, keep_blank_values=True))
            reply, headers = provider.answer(self.headers.get("host", ""), unquote(target.path), query, self.client_address[0])
            self.send_response_only(reply.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature is http.server's
            """Stay silent: stderr belongs to the command line."""

    return Answer
