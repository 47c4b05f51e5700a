"""What a request is remembered by and where it goes, and what may be told of its answer."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, timedelta
from math import ceil
from typing import TYPE_CHECKING

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.untrusted import one_line, without

if TYPE_CHECKING:
    import httpx

    from mdagent.guard.outcome import Attempt

_COUNTS = re.compile(r"date|age|retry-after|[a-z0-9-]*(rate-?limit|credits|messages|quota)[a-z0-9-]*")
_MOST_COUNTS = 16
_MADE = "mdagent.made"  # in a request's extensions: what it is remembered by, as it was before it was sent elsewhere


def network_down(failure: Failure) -> Failure:
    """The failure of a source that is out of reach together with others."""
    return replace(failure, kind=FailureKind.NETWORK_DOWN, detail=one_line(f"several sources cannot be reached at once: {failure.detail}"))


def memory_of(request: httpx.Request) -> str:
    """What makes two requests one, whichever of a source's addresses they went to."""
    return str(request.extensions.get(_MADE) or f"{request.method} {request.url.raw_path.decode()}")


def rehosted(request: httpx.Request, bases: tuple[str, ...], best: str) -> httpx.Request:
    """The request to any of these addresses, sent to the `best` of them instead; one to another place goes there."""
    url, there = request.url, type(request.url)(best)
    here = next((one for one in map(type(url), bases) if _within(url, one)), None)
    if here is None or here == there:
        return request
    path = _path(there) + url.raw_path[len(_path(here)) :]
    moved = url.copy_with(scheme=there.scheme, host=there.host, port=there.port, raw_path=path)
    headers = {k: v for k, v in request.headers.items() if k != "host"}
    return type(request)(request.method, moved, headers=headers, extensions=request.extensions | {_MADE: memory_of(request)})


def _within(url: httpx.URL, base: httpx.URL) -> bool:
    return (url.scheme, url.netloc) == (base.scheme, base.netloc) and url.raw_path.startswith(_path(base) + b"/")


def _path(base: httpx.URL) -> bytes:
    return base.raw_path.rstrip(b"/")


def impostor(reply: httpx.Response, world: str) -> Failure | None:
    """A sandbox marks its answers, so that a base_url that leads to one cannot put synthetic bars among live ones."""
    if world != "live" or "x-mdagent-world" not in reply.headers:
        return None
    return Failure(
        FailureKind.MISMATCH, "the answer is synthetic: this base_url leads to a sandbox; use it with --sandbox", reply.status_code
    )


def counts_in(reply: httpx.Response, secrets: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The headers that tell the time and what is left of a quota. No others: one of them may hold a session or a key."""
    told = [(k.lower(), v) for k, v in reply.headers.items() if _COUNTS.fullmatch(k.lower())]
    return tuple((k, one_line(without(v, secrets), 80)) for k, v in told[:_MOST_COUNTS])


def skew_of(attempt: Attempt) -> int | None:
    """Whole seconds that our clock is ahead of the answer's Date, 0 where it lies between sending and receiving: that header is cut to
    the second. An answer out of a cache was dated when it was made, `Age` seconds ago. None where nothing is told."""
    from email.utils import parsedate_to_datetime

    told = dict(attempt.headers)
    try:
        dated = parsedate_to_datetime(told.get("date", ""))
        dated = (dated if dated.tzinfo else dated.replace(tzinfo=UTC)) + timedelta(seconds=int(told.get("age", "0")))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    ahead = (attempt.began - timedelta(seconds=1) - dated).total_seconds()
    behind = (dated - attempt.began - timedelta(milliseconds=attempt.ms)).total_seconds()
    return ceil(ahead) if ahead > 0 else -ceil(behind) if behind > 0 else 0


def cleaned(failure: Failure, secrets: tuple[str, ...]) -> Failure:
    """The failure without any secret in its words."""
    return replace(failure, detail=one_line(without(failure.detail, secrets)))
