"""What a request is remembered by and where it goes, and what may be told of its answer."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.untrusted import one_line, without

if TYPE_CHECKING:
    import httpx

_COUNTS = re.compile(r"date|age|retry-after|[a-z0-9-]*(rate-?limit|credits|messages|quota)[a-z0-9-]*")
_MOST_COUNTS = 16


def network_down(failure: Failure) -> Failure:
    """The failure of a source that is out of reach together with others."""
    return replace(failure, kind=FailureKind.NETWORK_DOWN, detail=one_line(f"several sources cannot be reached at once: {failure.detail}"))


def memory_of(request: httpx.Request) -> str:
    """What makes two requests one, whichever of a provider's hosts they went to."""
    return f"{request.method} {request.url.raw_path.decode()}"


def rehosted(request: httpx.Request, hosts: tuple[str, ...], tried: int) -> httpx.Request:
    """Where a provider has several hosts, the first try goes to the first of them, a second one to the next."""
    if request.url.host not in hosts:
        return request
    there = hosts[(tried - 1) % len(hosts)]
    if there == request.url.host:
        return request
    headers = {k: v for k, v in request.headers.items() if k != "host"}
    return type(request)(request.method, request.url.copy_with(host=there), headers=headers, extensions=request.extensions)


def counts_in(reply: httpx.Response, secrets: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The headers that tell the time and what is left of a quota. No others: one of them may hold a session or a key."""
    told = [(k.lower(), v) for k, v in reply.headers.items() if _COUNTS.fullmatch(k.lower())]
    return tuple((k, one_line(without(v, secrets), 80)) for k, v in told[:_MOST_COUNTS])


def cleaned(failure: Failure, secrets: tuple[str, ...]) -> Failure:
    """The failure without any secret in its words."""
    return replace(failure, detail=one_line(without(failure.detail, secrets)))
