"""What a source is: a sheet of facts, and conversations that yield requests and return bars.

A conversation is a plain generator. It yields an `httpx.Request`, is sent the `httpx.Response`, and returns its result. It
cannot wait, retry, count, log or reach the network; the gate does all that. An answer of no use ends it with
`ConversationFailed`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import httpx

    from mdagent.guard.outcome import Failure
    from mdagent.market import Adjustment, BarRequest, BarSet, Interval, Listing, Quote, Symbol

T = TypeVar("T")
Conversation = Generator["httpx.Request", "httpx.Response", T]


@dataclass(frozen=True, slots=True)
class Depth:
    """How far back a source keeps an interval, and how long one request may be. None: no limit known."""

    history: timedelta | None = None
    per_request: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit` requests per `per`: seconds of a rolling window, or `day` or `month` in `zone` for a calendar window."""

    limit: int
    per: float | str
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """The facts of a provider; every figure is the default of a setting. `checked` is the day they were last compared."""

    name: str
    title: str
    hosts: tuple[str, ...]
    needs_key: bool
    intervals: dict[Interval, Depth]
    delivers: tuple[Adjustment, ...]
    quotas: tuple[Quota, ...]
    cooldown: float  # seconds of silence after a 429 that says no time of its own
    delay: timedelta  # how late a finished bar may still change
    concurrency: int
    cost: str
    terms: str
    checked: date
    user_agent: str = ""
    search: bool = False


class Source(Protocol):
    """One provider, as mdagent sees it. Everything it raises below the command line is `ConversationFailed`."""

    spec: SourceSpec

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars of the window asked for, in the basis that the provider delivers."""

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The latest price."""

    def search(self, words: str) -> Conversation[list[Listing]]:
        """Symbols that fit the words, in the provider's order."""

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The error that this answer tells, whatever its status says; None for an answer to be read."""
