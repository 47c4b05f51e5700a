"""Faults of the network, in front of any transport: what the wire would see of them, without a network to break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from mdagent.wire.faults.network import AFTER, BEFORE
from mdagent.wire.faults.plan import FAULTS, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from mdagent.clock import Clock
    from mdagent.wire.faults.kinds import Fault
    from mdagent.wire.faults.plan import Injected


class FaultTransport(httpx.AsyncBaseTransport):
    """Wraps a transport. `source_of` maps the `host` or `host:port` of a request to the name of a source; None is left alone.

    A sandbox underneath is told of the plan with each request, so that its providers bring about the faults of providers and of truth for
    who comes this way, and for nobody else. Raises what the network would: `WireFailed` and httpx's own errors. `events`: what was
    injected when.
    """

    def __init__(  # noqa: PLR0913, PLR0917  the plan's parts, and what it stands between
        self,
        inner: httpx.AsyncBaseTransport,
        faults: Sequence[Fault],
        clock: Clock,
        dice: Random,
        began: float,
        source_of: Callable[[str], str | None],
    ) -> None:
        self.inner = inner
        self.plan = Plan(faults, clock, dice, began)
        self._source_of = source_of

    @classmethod
    def of(cls, plan: Plan, inner: httpx.AsyncBaseTransport, source_of: Callable[[str], str | None]) -> FaultTransport:
        """One of several that have their faults from the same plan."""
        made = cls(inner, (), plan.clock, plan.dice, plan.began, source_of)
        made.plan = plan
        return made

    @property
    def events(self) -> list[Injected]:
        return self.plan.events

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        source = self._source_of(request.url.netloc.decode())
        if source is None:
            return await self.inner.handle_async_request(request)
        striking = self.plan.striking("transport", source)
        for fault in striking:
            if fault.kind in BEFORE:
                self.plan.note(fault, source)
                answer = await BEFORE[fault.kind](fault, request, self.plan)
                if answer is not None:
                    return answer
        request.extensions[FAULTS] = self.plan
        reply = await self.inner.handle_async_request(request)
        for fault in striking:
            if fault.kind in AFTER:
                self.plan.note(fault, source)
                reply = AFTER[fault.kind](fault, reply, self.plan)
        return reply

    async def aclose(self) -> None:
        await self.inner.aclose()
