"""Addresses in settings: which base_url and proxy may be written down at all.

The wire checks the resolved address again when it connects; this catches at load time what is plain from the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mdagent.config.refused import Refused

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address
    from urllib.parse import SplitResult

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?\Z")
_NUMERIC_END = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?\Z")  # resolvers read such names as IPv4 addresses
_LONGEST, _MOST = 2048, 8
_PORTS = {"http": 80, "https": 443}


def read_base_url(raw: object) -> str:
    """The address without a closing slash. https; plain http for a loopback address only. Raises Refused."""
    parts = _split(raw)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        words = "an address without user, query or fragment"
        raise Refused(words)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        words = "https: plain http is only for a loopback address (127.0.0.1, ::1, localhost)"
        raise Refused(words)
    return parts.geturl().rstrip("/")


def read_base_urls(raw: object) -> tuple[str, ...]:
    """One address, or a list of them, each at a host or port of its own: by these the ledger tells them apart. Raises Refused."""
    if not isinstance(raw, list):
        return (read_base_url(raw),)
    if not 1 <= len(raw) <= _MOST:
        words = f"an address such as https://host/path, or a list of 1 to {_MOST} of them"
        raise Refused(words)
    found: dict[tuple[str | None, int], str] = {}
    for number, item in enumerate(raw):
        try:
            url = read_base_url(item)
        except Refused as exc:
            raise Refused(exc.words, item=number) from None
        parts = urlsplit(url)
        place = (parts.hostname, parts.port or _PORTS[parts.scheme])
        if place in found:
            words = "at another host or port than the addresses before it"
            raise Refused(words, item=number)
        found[place] = url
    return tuple(found.values())


def read_proxy(raw: object) -> str:
    """The address of an HTTP proxy, which may hold user and password. Raises Refused."""
    parts = _split(raw)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        words = "an address such as http://host:port, with nothing behind the port"
        raise Refused(words)
    return parts.geturl().rstrip("/")


def userinfo_of(url: str) -> str:
    """The `user:password` of an address; empty if there is none."""
    return urlsplit(url).netloc.rpartition("@")[0]


def is_loopback(host: str) -> bool:
    """Is that this machine, by the text alone?"""
    address = _address(host)
    return host.rstrip(".") == "localhost" if address is None else address.is_loopback


def is_private(host: str) -> bool:
    """Is that a literal address which is neither public nor loopback (private, link-local, metadata, reserved)?"""
    address = _address(host)
    return address is not None and not address.is_loopback and (not address.is_global or address.is_multicast)


def _split(raw: object) -> SplitResult:
    words = "an address such as https://host/path"
    if not isinstance(raw, str) or len(raw) > _LONGEST or not raw.isascii() or not raw.isprintable() or " " in raw or "\\" in raw:
        raise Refused(words)
    try:
        parts = urlsplit(raw)
        port = parts.port
    except ValueError:
        raise Refused(words) from None
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or port == 0 or not _is_host(host):
        raise Refused(words)
    return parts


def _is_host(host: str) -> bool:
    if _address(host) is not None:
        return "%" not in host
    return bool(_NAME.match(host)) and not _NUMERIC_END.search(host)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    import ipaddress

    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address
