"""The splits and dividends by which one basis is made of another, learned where the store does not know them yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from mdagent.guard.outcome import Failure
from mdagent.market import Adjustment, Interval
from mdagent.store.facts import Heard, Known, Told
from mdagent.store.read import Span
from mdagent.store.write import COMPLETE, Writer
from mdagent.work.fill import Filled, fill
from mdagent.work.fit import daily_basis, tells_actions
from mdagent.work.need import is_known, need_of
from mdagent.work.spans import latest_end

if TYPE_CHECKING:
    from datetime import datetime

    from mdagent.market import BarRequest
    from mdagent.sources.base import Source
    from mdagent.store.read import Reader
    from mdagent.work.fill import Tools
    from mdagent.work.need import Need


_LAST_DAYS = timedelta(days=7)


class Unlearned(NamedTuple):
    """What has to be known, whether it is, and whether daily closes weigh it."""

    need: Need
    known: bool
    weighs: bool


def unlearned(reader: Reader, source: Source, stored: BarRequest, wanted: Adjustment, now: datetime) -> Unlearned | None:
    """What the stored bars lack to be served on the basis wanted; None for nothing, or nothing that the source can tell."""
    need = need_of(reader, stored, wanted, source.spec.name) if tells_actions(source.spec, source.plan) else None
    if need is None:
        return None
    known = is_known(reader, stored, source.spec.name, need, now)
    weighs = need.kinds == "all" and stored.adjustment is not wanted
    return Unlearned(need, known, weighs) if weighs or not known else None


async def learn(source: Source, stored: BarRequest, lack: Unlearned, tools: Tools) -> Filled:
    """Ask for what the store does not know yet: with daily bars where those tell it, else by a request of its own; and for the daily
    closes that weigh dividends."""
    (need, known, weighs), now = lack, tools.clock.now()
    done, with_bars = Filled(), "actions with bars" in source.spec.offers
    basis = daily_basis(source) if weighs or (with_bars and not known) else None
    if basis is not None:
        done = await fill(source, days_since(stored, basis, need.since, now), tools)
        if with_bars and not known and not done.sent and done.failure is None:  # no session since: the last days tell of today, too
            done = await fill(source, days_since(stored, basis, max(need.since, now - _LAST_DAYS), now), tools, refresh=True)
    if done.failure is None and not with_bars and not known:
        done = done.and_then(await _ask_actions(source, stored, need, tools))
        if done.restated:  # bars delivered before a split that was told now
            done = done.and_then(await fill(source, stored, tools))
    return done


def days_since(stored: BarRequest, basis: Adjustment, since: datetime, now: datetime) -> BarRequest:
    """The daily bars from then to now."""
    first = since.replace(hour=0, minute=0, second=0, microsecond=0)
    return replace(stored, interval=Interval.D1, adjustment=basis, start=first, end=latest_end(Interval.D1, now))


async def _ask_actions(source: Source, stored: BarRequest, need: Need, tools: Tools) -> Filled:
    now = tools.clock.now()
    begin = partial(source.actions, stored.symbol, need.since, now + timedelta(days=1), payments=need.kinds == "all")
    result = await tools.gate.converse(source, begin, replace(tools.call("actions", stored), choice=inf))
    sent = sum(a.sent for a in result.attempts)
    if result.failure is not None or result.value is None:
        told = result.failure.detail if result.failure else "no answer"
        kind = result.failure.kind if result.failure else None
        words = f"its splits and dividends, by which {stored.adjustment} prices are brought to another basis, could not be had: {told}"
        return Filled(sent, Failure(kind, words) if kind else None)
    known = Known(need.kinds, Span(need.since, now, COMPLETE, None))
    heard = Heard(stored.symbol.ticker, source.spec.name, Told(result.value, now, known=known))
    restated = await tools.clerk.bring(Writer.hear_all, heard, stored.symbol.ticker)
    return Filled(sent, restated=restated)
