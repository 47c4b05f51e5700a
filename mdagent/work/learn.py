"""The splits and dividends by which one basis is made of another, learned where the store does not know them yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from mdagent.guard.outcome import Failure
from mdagent.market import Adjustment, Interval
from mdagent.store.read import Span
from mdagent.store.write import COMPLETE, Known, Told
from mdagent.work.fill import Filled, fill
from mdagent.work.fit import daily_basis, tells_actions
from mdagent.work.need import is_known, need_of
from mdagent.work.spans import latest_end

if TYPE_CHECKING:
    from datetime import datetime

    from mdagent.market import BarRequest
    from mdagent.sources.base import Source
    from mdagent.store.bars import BarStore
    from mdagent.work.fill import Tools
    from mdagent.work.need import Need


def widened(source: Source, stored: BarRequest, wanted: Adjustment, store: BarStore, now: datetime) -> BarRequest:
    """The request up to now where the daily bars themselves tell, or weigh, what happened after its window: one answer serves both."""
    with_bars = "actions with bars" in source.spec.offers
    if stored.interval is not Interval.D1 or not tells_actions(source.spec, source.plan):
        return stored
    useful = with_bars or Adjustment.ALL in (stored.adjustment, wanted)
    if useful and stored.adjustment is wanted:  # adjusted bars of an earlier day: was there a split since?
        useful = with_bars and wanted is not Adjustment.RAW and _is_older(source, stored, store, now)
    return stored.over(stored.start, max(stored.end, latest_end(stored.interval, now))) if useful else stored


def _is_older(source: Source, stored: BarRequest, store: BarStore, now: datetime) -> bool:
    """Does the series have bars of an earlier day, with what happened since not known?"""
    name = source.spec.name
    if not store.exists():
        return False
    with store.reading() as reader:
        came = reader.deliveries(stored, name)
        if came is None or came[0].date() == now.date():
            return False
        reached = reader.knows(stored, name, "splits", came[0])
    return reached is None or reached < stored.start


async def learn(source: Source, stored: BarRequest, wanted: Adjustment, tools: Tools) -> Filled:
    """Ask for what the store does not know yet: with daily bars where those tell it, else by a request of its own; and for the daily
    closes that weigh dividends. Nothing is asked where the source cannot tell."""
    name, now = source.spec.name, tools.clock.now()
    with tools.store.reading() as reader:
        need = need_of(reader, stored, wanted, name)
        known = need is None or is_known(reader, stored, name, need, now)
    if need is None or not tells_actions(source.spec, source.plan):
        return Filled()
    done, with_bars = Filled(), "actions with bars" in source.spec.offers
    weighs = need.kinds == "all" and stored.adjustment is not wanted
    basis = daily_basis(source) if weighs or (with_bars and not known) else None
    if basis is not None:
        done = await fill(source, _days(stored, basis, need.since, now), tools)
    if done.failure is None and not with_bars and not known:
        done = done.and_then(await _ask_actions(source, stored, need, tools))
        if done.restated:  # bars delivered before a split that was told now
            done = done.and_then(await fill(source, stored, tools))
    return done


def weighing(source: Source, stored: BarRequest, wanted: Adjustment, now: datetime) -> BarRequest | None:
    """The daily bars that weigh the dividends by which one basis is made of the other; None where nothing is to be weighed."""
    basis = daily_basis(source) if Adjustment.ALL in (stored.adjustment, wanted) and stored.adjustment is not wanted else None
    return _days(stored, basis, stored.start, now) if basis is not None and tells_actions(source.spec, source.plan) else None


def _days(stored: BarRequest, basis: Adjustment, since: datetime, now: datetime) -> BarRequest:
    """The daily bars from then to now."""
    first = since.replace(hour=0, minute=0, second=0, microsecond=0)
    return replace(stored, interval=Interval.D1, adjustment=basis, start=first, end=latest_end(Interval.D1, now))


async def _ask_actions(source: Source, stored: BarRequest, need: Need, tools: Tools) -> Filled:
    now = tools.clock.now()
    begin = partial(source.actions, stored.symbol, need.since, now + timedelta(days=1), payments=need.kinds == "all")
    result = await tools.gate.converse(source, begin, tools.call("actions", stored))
    sent = sum(a.sent for a in result.attempts)
    if result.failure is not None or result.value is None:
        told = result.failure.detail if result.failure else "no answer"
        kind = result.failure.kind if result.failure else None
        words = f"its splits and dividends, by which {stored.adjustment} prices are brought to another basis, could not be had: {told}"
        return Filled(sent, Failure(kind, words) if kind else None)
    known = Known(need.kinds, Span(need.since, now, COMPLETE, None))
    with tools.store.writing(f"actions {stored.symbol}") as writer:
        restated = writer.keep_actions(stored.symbol.ticker, source.spec.name, Told(result.value, now, known=known))
    return Filled(sent, restated=restated)
