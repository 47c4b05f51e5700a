"""Following a provider from page to page: within its own addresses, never in a circle, never without end."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import httpx
import numpy as np

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.market import BarSet
from mdagent.sources.reading.body import failed
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdagent.sources.base import Adapter, Conversation

T = TypeVar("T")
Page = TypeVar("Page", bound=Sized)
_MOST, _MOST_EMPTY = 200, 3  # pages of one answer; empty ones in a row


def pages(adapter: Adapter, first: httpx.Request, read: Callable[[httpx.Response], tuple[BarSet, str]]) -> Conversation[BarSet]:
    """The bars of all pages as one. `read` gives a page's bars and the address of the next one, "" for none. What ends it half-way
    (a failure of a later page, a circle, a strange address) is raised with the pages before it as `partial`."""
    parts: list[BarSet] = []
    try:
        yield from _walk(adapter, first, read, parts)
    except ConversationFailed as error:
        held = [p for p in parts if len(p)]
        raise ConversationFailed(error.failure, joined(held) if held else None) from None
    return joined(parts)


def entries(adapter: Adapter, first: httpx.Request, read: Callable[[httpx.Response], tuple[list[T], str]]) -> Conversation[list[T]]:
    """The same of lists that hold something else than bars: all their entries, or the failure."""
    parts: list[list[T]] = []
    yield from _walk(adapter, first, read, parts)
    return [entry for part in parts for entry in part]


def joined(parts: Sequence[BarSet]) -> BarSet:
    """Answers to one request as one set. Raises ConversationFailed MISMATCH where they differ in price basis or currency: rows of two
    bases never stand in one set. An answer without bars has no say in that."""
    told = {(p.adjustment, p.currency) for p in parts if len(p)}
    if len(told) > 1:
        msg = f"the answers to one request for {parts[0].symbol} differ in price basis or currency: {sorted(map(_basis, told))}"
        raise failed(FailureKind.MISMATCH, msg)
    return _together(parts)


def _basis(told: tuple[object, object]) -> str:
    return " ".join(one_line(str(word), 12) for word in told)


def _together(parts: Sequence[BarSet]) -> BarSet:
    """As `BarSet.join`, with the columns that not every source has; labelled as the last answer that has bars."""
    if len(parts) == 1:
        return parts[0]
    label = next((p for p in reversed(parts) if len(p)), parts[-1])
    whole = BarSet.join([*(replace(p, vwap=None, trades=None) for p in parts)])
    _, first = np.unique(np.concatenate([p.ts for p in parts]), return_index=True)
    vwap, trades = (_column([getattr(p, name) for p in parts], parts, first) for name in ("vwap", "trades"))
    return replace(whole, adjustment=label.adjustment, currency=label.currency, vwap=vwap, trades=trades)


def _column(columns: list[np.ndarray | None], parts: Sequence[BarSet], first: np.ndarray) -> np.ndarray | None:
    if all(column is None for column in columns):
        return None
    filled = [np.full(len(p), np.nan) if column is None else column for column, p in zip(columns, parts, strict=True)]
    whole: np.ndarray = np.concatenate(filled)[first]
    return whole


def _walk(
    adapter: Adapter, first: httpx.Request, read: Callable[[httpx.Response], tuple[Page, str]], parts: list[Page]
) -> Conversation[None]:
    """Append the pages to `parts` as they come, so that those before a failure are known."""
    seen: set[str] = set()
    request, empty = first, 0
    while True:
        reply = yield request
        page, following = read(reply)
        parts.append(page)
        empty = 0 if len(page) else empty + 1
        if not following:
            return
        seen.add(_place(request.url))
        request = adapter.get(_checked(adapter, following))
        if _place(request.url) in seen or empty >= _MOST_EMPTY or len(parts) >= _MOST:
            msg = f"the pages of {adapter.spec.title} lead in a circle, or come without end (after {len(parts)})"
            raise failed(FailureKind.SCHEMA, msg)


def _place(url: httpx.URL) -> str:
    """What two pages are told apart by, whichever of a provider's hosts serves them."""
    return url.raw_path.decode("ascii", "replace")


def _checked(adapter: Adapter, address: str) -> str:
    """The address, if it lies where this provider was asked, or on another of its own hosts. Raises ConversationFailed SECURITY_BLOCK:
    the key must not go elsewhere. It is read by the library that will call it: two readings of one address could differ."""
    try:
        there = httpx.URL(address)
        place = (there.scheme, there.host, there.port)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        there, place = httpx.URL(), ("", "", None)
    ours = {(here.scheme, here.host, here.port) for here in map(httpx.URL, (*adapter.bases, *adapter.spec.bases))}
    if place not in ours or there.userinfo:
        msg = f"the next page of {adapter.spec.title} lies at {one_line(there.host or address, 60)!a}: not followed"
        raise failed(FailureKind.SECURITY_BLOCK, msg)
    return str(there)
