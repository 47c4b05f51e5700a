"""Following a provider from page to page: within its own addresses, never in a circle, never without end."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.market import BarSet
from mdagent.sources.reading.body import failed
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from mdagent.sources.base import Adapter, Conversation

_MOST, _MOST_EMPTY = 200, 3  # pages of one answer; empty ones in a row


def pages(adapter: Adapter, first: httpx.Request, read: Callable[[httpx.Response], tuple[BarSet, str]]) -> Conversation[BarSet]:
    """The bars of all pages as one. `read` gives a page's bars and the address of the next one, "" for none. What ends it half-way
    (a failure of a later page, a circle, a strange address) is raised with the pages before it as `partial`."""
    parts: list[BarSet] = []
    seen: set[str] = set()
    request, empty = first, 0
    while True:
        try:
            reply = yield request
            bars, following = read(reply)
            parts.append(bars)
            empty = 0 if len(bars) else empty + 1
            if not following:
                return BarSet.join(parts)
            seen.add(_place(request))
            request = adapter.get(_checked(adapter, following))
            if _place(request) in seen or empty >= _MOST_EMPTY or len(parts) >= _MOST:
                msg = f"the pages of {adapter.spec.title} lead in a circle, or come without end (after {len(parts)})"
                raise failed(FailureKind.SCHEMA, msg)
        except ConversationFailed as error:
            held = [p for p in parts if len(p)]
            raise ConversationFailed(error.failure, BarSet.join(held) if held else None) from None


def _place(request: httpx.Request) -> str:
    """What two pages are told apart by, whichever of a provider's hosts serves them."""
    return request.url.raw_path.decode()


def _checked(adapter: Adapter, address: str) -> str:
    """The address, if it lies where this provider was asked, or on another of its own hosts. Raises ConversationFailed SECURITY_BLOCK:
    the key must not go elsewhere."""
    here, there = urlsplit(adapter.base), urlsplit(address)
    try:
        place = (there.scheme, there.hostname, there.port)
    except ValueError:
        place = ("", None, None)
    ours = {(here.scheme, here.hostname, here.port)} | {("https", host, port) for host in adapter.spec.hosts for port in (None, 443)}
    if place not in ours or there.username is not None or there.password is not None:
        msg = f"the next page of {adapter.spec.title} lies at {one_line(there.netloc.rpartition('@')[2] or address, 60)!a}: not followed"
        raise failed(FailureKind.SECURITY_BLOCK, msg)
    return address
