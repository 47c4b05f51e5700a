"""The live transport: it calls only addresses that it has looked at."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import ssl
import sys
import threading
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpcore
import httpx

from mdagent.errors import ConfigError
from mdagent.guard.outcome import FailureKind
from mdagent.wire.bounds import MIB, PROGRESS, Progress, WireFailed, failed, plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from mdagent.wire import WireOptions

    Address = IPv4Address | IPv6Address
    Resolve = Callable[[str, int], list[str]]

_GLOBAL_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is meant
_METADATA: Final = frozenset({IPv4Address("168.63.129.16")})  # answers inside a cloud although its range is public
_BEFORE_BODY: Final = MIB
_AT_ONCE: Final = 256 * 1024  # bytes read in one piece, since each costs a few turns of the event loop; httpcore asks for 64 KiB
_TRIED_AT_MOST: Final = 4
_KEPT_IDLE: Final = 8
_IDLE_SECONDS: Final = 30.0

_watched: ContextVar[Progress] = ContextVar("mdagent_wire_progress")

_TRANSLATED: Final[dict[type[Exception], type[httpx.TransportError]]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}


class LiveTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over checked addresses, with no cookies, redirects, netrc or proxies of the environment.

    `resolve` maps (host, port) to address texts; it may block and may raise OSError. Connections live as long as the event
    loop that opened them; the TLS context is made once. Raises `WireFailed` for what is refused here, httpx's own
    errors for the rest.
    """

    def __init__(self, options: WireOptions, *, resolve: Resolve | None = None) -> None:
        if find_spec("sniffio") is None:  # httpcore would search the whole path for it with every lock that it makes
            sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
        for name in ("httpx", "httpcore"):  # at INFO they log whole URLs, keys included
            logging.getLogger(name).setLevel(logging.WARNING)
        self._rules = _Rules(options)
        self._proxy = _proxy_of(options.proxy)
        self._backend = _CheckedBackend(self._rules, resolve or _system_addresses, proxy=self._proxy)
        self._ssl = _trusting(options.ca_file)
        self._pools: dict[bool, httpcore.AsyncConnectionPool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body still unread and encoded."""
        progress = request.extensions.get(PROGRESS) or Progress()
        progress.tracked = True
        _watched.set(progress)
        self._rules.check_url(request.url)
        url = request.url
        core = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions={"timeout": request.extensions.get("timeout", {})},
        )
        with _translation():
            reply = await self._pool(through_proxy=not self._rules.is_own_loopback(url.host, _port(url))).handle_async_request(core)
        progress.headers_done = True
        return httpx.Response(reply.status, headers=reply.headers, stream=_Body(reply))

    async def aclose(self) -> None:
        """Close every connection; the next request opens new ones."""
        pools, self._pools = list(self._pools.values()), {}
        if self._loop is asyncio.get_running_loop():  # those of another loop went with it
            for pool in pools:
                await pool.aclose()

    def _pool(self, *, through_proxy: bool) -> httpcore.AsyncConnectionPool:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._pools = loop, {}
        proxied = through_proxy and self._proxy is not None
        if proxied not in self._pools:
            proxy = self._proxy if proxied else None
            self._pools[proxied] = httpcore.AsyncConnectionPool(
                ssl_context=self._ssl,
                proxy=proxy,
                max_connections=None,
                max_keepalive_connections=_KEPT_IDLE,
                keepalive_expiry=_IDLE_SECONDS,
                network_backend=self._backend,
            )
        return self._pools[proxied]


class _Rules:
    """Which places may be called."""

    def __init__(self, options: WireOptions) -> None:
        self._loopback = options.loopback
        self._allow_private = options.allow_private_hosts

    def is_own_loopback(self, host: str, port: int) -> bool:
        return f"{host}:{port}" in self._loopback or f"[{host}]:{port}" in self._loopback

    def check_url(self, url: httpx.URL) -> None:
        if url.userinfo:
            raise failed(FailureKind.SECURITY_BLOCK, f"the URL for {url.host} holds a user name", sent=False)
        if url.scheme != "https" and not (url.scheme == "http" and self.is_own_loopback(url.host, _port(url))):
            raise failed(FailureKind.SECURITY_BLOCK, f"{plain(url.scheme, 16)} to {url.host} refused: only https is spoken", sent=False)
        literal = _literal(url.host)
        if literal is not None:
            self.check(url.host, _port(url), literal)

    def check(self, host: str, port: int, address: Address) -> None:
        if self.is_own_loopback(host, port):
            if _embedded(address).is_loopback:
                return
            reason: str | None = "not a loopback address, as its base_url promises"
        else:
            reason = why_refused(address, allow_private=self._allow_private)
        if reason is not None:
            raise failed(FailureKind.SECURITY_BLOCK, f"{host} is at {address}: {reason}", sent=False)


def why_refused(address: Address, *, allow_private: bool = False) -> str | None:
    """Why an address may not be called, or None. IPv4 inside IPv6 (mapped, NAT64, 6to4, Teredo) counts as itself.

    `allow_private` opens private networks and loopback, never link-local, metadata, multicast or unspecified addresses.
    """
    meant = _embedded(address)
    if meant in _METADATA or meant.is_link_local:
        return "a link-local or metadata address"
    if meant.is_multicast or meant.is_unspecified:
        return "a multicast or unspecified address"
    public = meant in _GLOBAL_V6 and meant.is_global if isinstance(meant, IPv6Address) else meant.is_global
    if public or (allow_private and (meant.is_private or meant.is_loopback)):
        return None
    return "a private address"


def _embedded(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _system_addresses(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _proxy_of(text: str | None) -> httpcore.Proxy | None:
    if not text:
        return None
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        msg = "wire.proxy is not an http:// or https:// URL with a host"
        raise ConfigError(msg, "write it as http://HOST:PORT")
    auth = (url.username, url.password) if url.userinfo else None
    place = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=_port(url), target=b"/")
    return httpcore.Proxy(place, auth=auth)


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        if ca_file is not None:
            return ssl.create_default_context(cafile=str(ca_file))
        paths = ssl.get_default_verify_paths()
        if paths.cafile or (paths.capath and any(Path(paths.capath).iterdir())):
            return ssl.create_default_context()
        import certifi  # a bare container has no certificates of its own

        return ssl.create_default_context(cafile=certifi.where())
    except (OSError, ssl.SSLError) as error:
        msg = f"wire.ca_file {ca_file}: cannot be read as PEM certificates ({plain(error.strerror or type(error).__name__, 60)})"
        raise ConfigError(msg, "name a file of PEM certificates, or remove the setting") from error


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Looks a host up once, checks every address, and connects to what was checked."""

    def __init__(self, rules: _Rules, resolve: Resolve, *, proxy: httpcore.Proxy | None) -> None:
        self._rules = rules
        self._resolve = resolve
        self._proxy = (proxy.url.host.decode(), proxy.url.port) if proxy is not None else None
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        ends = loop.time() + (timeout if timeout is not None else 60.0)
        literal = _literal(host)
        addresses = [literal] if literal is not None else await self._looked_up(host, port, ends - loop.time())
        if (host, port) != self._proxy:  # the proxy is the user's own choice, wherever it stands
            for address in addresses:
                self._rules.check(host, port, address)
        tried = _alternating(addresses)[:_TRIED_AT_MOST]
        while True:
            address = tried.pop(0)
            patience = max(0.0, ends - loop.time()) / (len(tried) + 1)
            try:
                stream = await self._inner.connect_tcp(str(address), port, patience, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                if not tried:
                    raise _unreachable(host, port, error) from error
            else:
                return _WatchedStream(stream, host)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    async def _looked_up(self, host: str, port: int, patience: float) -> list[Address]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def tell(found: list[str] | None, error: Exception | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(found or [])

        def look_up() -> None:
            found, trouble = None, None
            try:
                found = self._resolve(host, port)
            except (OSError, UnicodeError) as error:
                trouble = error
            with suppress(RuntimeError):  # the loop is gone: nobody waits for the answer
                loop.call_soon_threadsafe(tell, found, trouble)

        # A daemon thread of its own: a look-up cannot be cancelled, and asyncio's pool would hold the process back for it.
        threading.Thread(target=look_up, name="mdagent-dns", daemon=True).start()
        try:
            texts = await asyncio.wait_for(answer, patience)
        except TimeoutError:
            raise failed(FailureKind.CONNECT_FAIL, f"the name {host} was not resolved in time", sent=False, unreachable=True) from None
        except (OSError, UnicodeError) as error:
            raise failed(FailureKind.CONNECT_FAIL, f"the name {host} cannot be resolved", sent=False, unreachable=True) from error
        if not texts:
            raise failed(FailureKind.CONNECT_FAIL, f"the name {host} has no address", sent=False, unreachable=True)
        return [ip_address(text) for text in dict.fromkeys(texts)]


def _alternating(addresses: list[Address]) -> list[Address]:
    """Families in turn, the resolver's first choice first: one dead family costs one try."""
    first = [address for address in addresses if address.version == addresses[0].version]
    other = [address for address in addresses if address.version != addresses[0].version]
    return [address for pair in zip_longest(first, other) for address in pair if address is not None]


def _unreachable(host: str, port: int, error: Exception) -> WireFailed:
    cause = error.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    why = "no connection in time" if isinstance(error, httpcore.ConnectTimeout) else (getattr(cause, "strerror", None) or "no connection")
    answered = isinstance(cause, ConnectionRefusedError)  # by somebody: the network is there
    return failed(FailureKind.CONNECT_FAIL, f"{host}:{port}: {plain(str(why), 80)}", sent=False, unreachable=not answered)


class _WatchedStream(httpcore.AsyncNetworkStream):
    """A connection that notes what was written and bounds what comes before a body."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, host: str) -> None:
        self._inner = inner
        self._host = host
        self._poll: select.poll | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 httpcore's interface
        data = await self._inner.read(max(max_bytes, _AT_ONCE), timeout)
        progress = _watched.get()
        if not progress.headers_done:
            progress.before_body += len(data)
            if progress.before_body > _BEFORE_BODY:
                raise failed(FailureKind.PROTOCOL, f"{self._host} sent more than {_BEFORE_BODY} bytes before any answer was complete")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 httpcore's interface
        if buffer and not buffer.startswith(b"CONNECT "):  # a word to the proxy is not yet a request
            _watched.get().written = True
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 httpcore's interface
    ) -> httpcore.AsyncNetworkStream:
        try:
            inner = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except httpcore.ConnectError as error:
            if not isinstance(error.__cause__, ssl.SSLError):
                raise
            name = server_hostname or self._host
            raise failed(FailureKind.TLS_FAIL, f"{name}: {_tls_words(error.__cause__)}", sent=False) from error
        return _WatchedStream(inner, self._host)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 httpcore's interface
        if info != "is_readable":
            return self._inner.get_extra_info(info)
        if self._poll is None:  # asked of every idle connection before each request, and the way through the layers is long
            self._poll = select.poll()
            self._poll.register(self._inner.get_extra_info("socket"), select.POLLIN)
        return bool(self._poll.poll(0))


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted ({plain(error.verify_message, 80)})"
    return f"no encrypted connection ({plain(str(error.reason or 'handshake failed'), 60)})"


class _Body(httpx.AsyncByteStream):
    """The raw body of an answer, its errors in httpx's words."""

    def __init__(self, reply: httpcore.Response) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._reply.aiter_stream():
                yield chunk
        except tuple(_TRANSLATED) as error:
            raise _TRANSLATED[type(error)](str(error)) from error

    async def aclose(self) -> None:
        with _translation():
            await self._reply.aclose()


@contextmanager
def _translation() -> Iterator[None]:
    try:
        yield
    except tuple(_TRANSLATED) as error:
        raise _TRANSLATED[type(error)](str(error)) from error
