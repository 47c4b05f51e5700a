"""The simulated providers behind real HTTP servers on loopback, one port each."""

from __future__ import annotations

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from mdagent.wire.sandbox.dialects import Ask, dialects, sandbox_key
from mdagent.wire.sandbox.provider import Gone, Provider

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from mdagent.clock import Clock
    from mdagent.wire.faults import Plan


@dataclass(eq=False)
class RunningServer:
    """Servers in threads of their own. By the name of a source: `base_urls` has the address that stands for its host, `providers` who
    answers there, `keys` the key of its largest plan ("" where none is needed)."""

    base_urls: dict[str, str]
    providers: dict[str, Provider]
    keys: dict[str, str]
    _servers: list[_Server]

    def close(self) -> None:
        """Stop answering and free the ports; twice does no harm."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def serve(  # noqa: PLR0913  where, who, and how they behave
    clock: Clock,
    host: str = "127.0.0.1",
    port: int = 0,
    names: Sequence[str] = (),
    provider: Provider | None = None,
    *,
    faults: Plan | None = None,
) -> RunningServer:
    """Start answering for these sources (none named: all). Port 0 takes free ones, another is the first of consecutive ones;
    `provider` takes the place of a single source's; `faults` are those that providers bring about. Raises OSError where a port is taken."""
    running = RunningServer({}, {}, {}, [])
    shown = f"[{host}]" if ":" in host else host
    try:
        for place, name in enumerate(names or tuple(dialects())):
            referee = provider or Provider(clock, only=name, faults=faults)
            server = _Server((host, port + place if port else 0), _answering(referee, name))
            running._servers.append(server)  # noqa: SLF001  ours
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name=f"sandbox-{name}", daemon=True).start()
            running.base_urls[name] = f"http://{shown}:{server.server_port}"
            running.providers[name] = referee
            dialect = dialects()[name]
            running.keys[name] = sandbox_key(name, [*dialect.plans][-1]) if dialect.key_in else ""
    except BaseException:
        running.close()
        raise
    return running


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # an idle keep-alive connection must not hold up close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


def _answering(provider: Provider, name: str) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            target = urlsplit(self.path)
            query = dict(parse_qsl(target.query, keep_blank_values=True))
            told = {k.lower(): v for k, v in self.headers.items()}
            ask = Ask(unquote(target.path), query, told, 0, f"http://{told.get('host', '')}")
            try:
                reply, headers = provider.answer(dialects()[name], ask, self.client_address[0])
            except Gone:
                self.close_connection = True
                return
            self.send_response_only(reply.status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature is http.server's
            """Stay silent: stderr belongs to the command line."""

    return Answer
