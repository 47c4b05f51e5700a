"""Providers that answer questions about now, each with facts and a plan to the taste of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from mdagent.guard.outcome import Failure, kind_of_status
from mdagent.market import Adjustment, CorporateAction, Interval, Symbol
from mdagent.sources.base import Adapter, Auth, Depth, Milestone, Plan, Quota, SourceSpec
from tests.work.played import HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import httpx

    from mdagent.market import BarRequest, BarSet, Listing, MarketStatus, Quote
    from mdagent.sources.base import Conversation
    from mdagent.work.gate import Gate
    from tests.work.played import Stage

TODAY = date(2024, 1, 17)
EVERYTHING = frozenset(("quote", "search", "market", "actions"))
ENDED = Milestone(date(2023, 8, 31), "retired", "the service was closed")
SPLIT = CorporateAction("split", date(2020, 8, 31), 4.0)


class Clerk(Adapter):
    """Whatever is asked, the word of the answer is the value; its status tells what is wrong."""

    def __init__(self, spec: SourceSpec, key: str | None) -> None:
        self.spec = spec  # type: ignore[misc]  # each test has facts of its own
        super().__init__(spec.plans[0], api_key=key)

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        return self._word(f"quote/{symbol}")

    def search(self, words: str) -> Conversation[list[Listing]]:
        return self._word(f"search/{words}")

    def market(self) -> Conversation[list[MarketStatus]]:
        return self._word("market")

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        days = f"{request.start:%Y-%m-%d}/{request.end:%Y-%m-%d}"
        return self._word(f"bars/{request.symbol}/{request.interval}/{request.adjustment}/{days}")

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        del start, end, payments
        yield self.get(f"/actions/{symbol}")
        return (SPLIT,)

    def _word(self, path: str) -> Conversation[Any]:
        reply = yield self.get(f"/{self.spec.name}/{path}")
        return reply.text

    def error_in(self, reply: httpx.Response) -> Failure | None:
        kind = kind_of_status(reply.status_code, reply.text)
        return Failure(kind, f"HTTP {reply.status_code}: {reply.text}", reply.status_code) if kind else None


def clerk(
    name: str = "parrot", *, keyed: bool = False, key: str | None = None, offers: frozenset[str] = EVERYTHING, lacks: tuple[str, ...] = (),
    ended: Milestone | None = None, a_day: int = 1000,
) -> Clerk:  # fmt: skip
    plan = Plan("basic", (Quota(a_day, "day"),), lacks=frozenset(lacks))
    spec = SourceSpec(
        name=name, title=name.title(), hosts=HOSTS[:1], intervals={Interval.H1: Depth(), Interval.D1: Depth(delivers=(Adjustment.RAW,))},
        plans=(plan,), cooldown=60.0, delay=timedelta(0), concurrency=1, covers="words", terms="none", checked=TODAY, offers=offers,
        auth=Auth("header", "x-key") if keyed else Auth(), lifecycle=(ended,) if ended else (),
    )  # fmt: skip
    return Clerk(spec, key)


def door(stage: Stage) -> Callable[[], AbstractAsyncContextManager[Gate]]:
    """The way in to the played provider."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Gate]:
        yield stage.gate()

    return opened
