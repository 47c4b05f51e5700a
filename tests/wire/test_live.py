"""Which places the live transport calls, and how it is sure of them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING

import httpx
import pytest

from mdagent.errors import ConfigError
from mdagent.guard.outcome import FailureKind
from mdagent.wire import Limits, WireFailed, WireOptions
from mdagent.wire.bounds import exchange
from mdagent.wire.live import LiveTransport, why_refused
from tests.wire.certificates import Certificates
from tests.wire.nasty import NastyServer, NextRequest, StartTls, answer, head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.wire.nasty import Step

SHORT = Limits(connect=1, read=1, total=2)


def _ask(url: str, options: WireOptions, resolve: Callable[[str, int], list[str]] | None = None, limits: Limits = SHORT) -> httpx.Response:
    async def conversation() -> httpx.Response:
        transport = LiveTransport(options, resolve=resolve)
        try:
            return await exchange(transport, httpx.Request("GET", url), limits)
        finally:
            await transport.aclose()

    return asyncio.run(conversation())


def _refusal(url: str, options: WireOptions | None = None, resolve: Callable[[str, int], list[str]] | None = None) -> WireFailed:
    with pytest.raises(WireFailed) as caught:
        _ask(url, options or WireOptions(), resolve, Limits(connect=0.3, total=0.6))
    assert not caught.value.sent
    return caught.value


PRIVATE = [
    "10.0.0.1", "172.16.3.4", "192.168.1.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "100.100.100.200", "168.63.129.16", "0.0.0.0",  # noqa: S104
    "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fec0::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_resolves_to_a_private_address_is_not_called(address: str) -> None:
    failure = _refusal("https://data.example/x?apikey=CANARY", resolve=lambda _host, _port: ["93.184.216.34", address])
    assert failure.failure.kind is FailureKind.SECURITY_BLOCK
    assert "data.example" in failure.failure.detail
    assert "CANARY" not in failure.failure.detail


@pytest.mark.parametrize("address", ["10.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"])
def test_a_private_address_in_the_url_is_not_called(address: str) -> None:
    assert _refusal(f"https://{address}/").failure.kind is FailureKind.SECURITY_BLOCK


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"])
def test_a_public_address_may_be_called(address: str) -> None:
    assert why_refused(ip_address(address)) is None


def test_private_hosts_can_be_allowed_but_never_metadata_or_multicast() -> None:
    assert why_refused(ip_address("10.0.0.1"), allow_private=True) is None
    assert why_refused(ip_address("fd00::7"), allow_private=True) is None
    for address in ("169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0"):  # noqa: S104
        assert why_refused(ip_address(address), allow_private=True) is not None


@pytest.mark.parametrize("url", ["http://data.example/", "ftp://data.example/", "http://127.0.0.1:9/", "https://user:pass@data.example/"])
def test_only_https_without_user_names_is_spoken(url: str) -> None:
    failure = _refusal(url, resolve=_unknown)  # a look-up would make it CONNECT_FAIL
    assert failure.failure.kind is FailureKind.SECURITY_BLOCK


def test_a_loopback_base_url_must_be_loopback() -> None:
    options = WireOptions(loopback=frozenset({"local.example:8080"}))
    failure = _refusal("http://local.example:8080/", options, lambda _host, _port: ["93.184.216.34"])
    assert failure.failure.kind is FailureKind.SECURITY_BLOCK


def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    with NastyServer([answer()]) as server:
        place = f"local.example:{server.port}"
        reply = _ask(f"http://{place}/", WireOptions(loopback=frozenset({place})), lambda _host, _port: next(answers))
        assert reply.status_code == 200
        assert f"host: {place}".encode() in server.requests[0].lower()
    assert next(answers) == ["10.0.0.1"]


def test_a_dead_first_address_costs_one_try() -> None:
    with NastyServer([answer()]) as server:
        place = f"local.example:{server.port}"
        addresses = ["::1", "127.0.0.1"]
        assert _ask(f"http://{place}/", WireOptions(loopback=frozenset({place})), lambda _host, _port: addresses).status_code == 200


def _unknown(host: str, _port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, f"no {host}")


@pytest.mark.parametrize("resolve", [_unknown, lambda _host, _port: []])
def test_an_unknown_name_was_never_sent(resolve: Callable[[str, int], list[str]]) -> None:
    assert _refusal("https://data.example/", resolve=resolve).failure.kind is FailureKind.CONNECT_FAIL


def test_a_hanging_look_up_ends_at_the_connect_limit() -> None:
    over = threading.Event()

    def hang(_host: str, _port: int) -> list[str]:
        over.wait(5)
        return []

    try:
        assert _refusal("https://data.example/", resolve=hang).failure.kind is FailureKind.CONNECT_FAIL
    finally:
        over.set()


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with NastyServer([answer(status="502 Bad")]) as proxy, NastyServer([answer()]) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.place}")
        reply = _ask(f"http://{server.place}/", WireOptions(loopback=frozenset({server.place})))
        assert reply.status_code == 200
        assert proxy.connections == 0


def test_a_proxy_that_refuses_means_nothing_was_sent() -> None:
    with NastyServer([answer(b"", status="407 Who are you")]) as proxy:
        failure = _refusal("https://data.example/x?apikey=CANARY", WireOptions(proxy=f"http://me:PASSWORD@{proxy.place}"))
        asked = proxy.requests[0]
    assert failure.failure.kind is FailureKind.CONNECT_FAIL
    assert asked.startswith(b"CONNECT data.example:443 ")
    assert b"proxy-authorization: basic" in asked.lower()
    assert "PASSWORD" not in repr(WireOptions(proxy="http://me:PASSWORD@p"))


def test_a_proxy_is_not_asked_for_a_private_address() -> None:
    with NastyServer([answer()]) as proxy:
        assert _refusal("https://169.254.169.254/", WireOptions(proxy=f"http://{proxy.place}")).failure.kind is FailureKind.SECURITY_BLOCK
        assert proxy.connections == 0


@pytest.mark.parametrize("proxy", ["socks5://h:1", "h:1", "http://", "::"])
def test_a_proxy_that_is_no_http_url_is_a_setting_error(proxy: str) -> None:
    with pytest.raises(ConfigError, match=r"wire\.proxy"):
        LiveTransport(WireOptions(proxy=proxy))


def test_a_ca_file_that_cannot_be_read_is_a_setting_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "absent.pem"):
        with pytest.raises(ConfigError, match="ca_file"):
            LiveTransport(WireOptions(ca_file=tmp_path / name))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def _ask_tls(context: ssl.SSLContext, ca_file: Path | None) -> httpx.Response:
    with NastyServer([answer(b"secret")], tls=context) as server:
        try:
            return _ask(f"https://{server.place}/?apikey=CANARY", WireOptions(ca_file=ca_file, loopback=frozenset({server.place})))
        finally:
            assert server.requests == [] or b"CANARY" in server.requests[0]


def test_a_good_certificate_is_accepted(certificates: Certificates) -> None:
    assert _ask_tls(certificates.server("good", subject="IP:127.0.0.1"), certificates.ca).content == b"secret"


@pytest.mark.parametrize(
    ("name", "subject", "days", "words"),
    [("expired", "IP:127.0.0.1", -1, "expired"), ("other", "DNS:other.example", 2, "not valid for")],
    ids=["TS10 expired", "TS11 another host"],
)
def test_a_bad_certificate_fails_before_anything_is_sent(
    certificates: Certificates, name: str, subject: str, days: int, words: str
) -> None:
    with pytest.raises(WireFailed, match=words) as caught:
        _ask_tls(certificates.server(name, subject=subject, days=days), certificates.ca)
    assert caught.value.failure.kind is FailureKind.TLS_FAIL
    assert not caught.value.sent


def test_an_unknown_authority_is_not_trusted(certificates: Certificates) -> None:
    with pytest.raises(WireFailed) as caught:
        _ask_tls(certificates.server("stranger", subject="IP:127.0.0.1"), None)
    assert caught.value.failure.kind is FailureKind.TLS_FAIL


def test_a_server_that_speaks_no_tls_gets_nothing() -> None:
    with NastyServer([answer()]) as server:
        failure = _refusal(f"https://{server.place}/", WireOptions(loopback=frozenset({server.place})))
    assert failure.failure.kind in {FailureKind.TLS_FAIL, FailureKind.CONNECT_FAIL}


def test_a_tunnel_through_the_configured_proxy_is_checked_to_its_end(certificates: Certificates) -> None:
    good = certificates.server("tunnel", subject="DNS:data.example")
    script: list[Step] = [head(status="200 Established"), StartTls(good), NextRequest(), answer(b"through")]
    with NastyServer(script) as proxy:
        options = WireOptions(ca_file=certificates.ca, proxy=f"http://{proxy.place}")
        assert _ask("https://data.example/x", options, _unknown).content == b"through"
        with pytest.raises(WireFailed, match="not valid for") as caught:
            _ask("https://other.example/x", options, _unknown)
    assert caught.value.failure.kind is FailureKind.TLS_FAIL
    assert not caught.value.sent
