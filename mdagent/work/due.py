"""What has to be asked of a source for a request: one look at the store."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from mdagent.market import Adjustment, Interval
from mdagent.store.foreseen import Foreseen
from mdagent.work.fit import tells_actions
from mdagent.work.spans import gaps, latest_end, open_stretches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mdagent.market import BarRequest
    from mdagent.sessions import Session
    from mdagent.sources.base import Source
    from mdagent.store.read import Reader, Span
    from mdagent.work.fill import Tools


class Due(NamedTuple):
    """The stored window that is filled, the sessions round it (None: unknown), and the parts of it to ask for."""

    window: BarRequest
    sessions: Sequence[Session] | None
    parts: list[BarRequest]


class Held(NamedTuple):
    """What the store tells of a window: the window itself, which its bars may make wider, what of it is there, and its sessions in a tuple
    where these are stored."""

    window: BarRequest
    spans: Sequence[Span] = ()
    known: tuple[Sequence[Session] | None] | None = None


class Asked(NamedTuple):
    """A look into the store for one request, as `held` is asked for it."""

    source: Source
    stored: BarRequest
    wanted: Adjustment | None
    refresh: bool
    tools: Tools


async def due(source: Source, stored: BarRequest, wanted: Adjustment | None, tools: Tools, *, refresh: bool) -> Due:
    """All of the window on a refresh, else what the store lacks; again all of it where the bars are adjusted and nobody would tell that
    they were adjusted anew, since a series may not hold two deliveries then. `wanted`: the basis that the bars are brought to, for which
    the window may be wider; None leaves it as it is. Raises StoreError."""
    asked = Asked(source, stored, wanted, refresh, tools)
    seen = tools.clerk.foreseen(stored.symbol.ticker)
    if seen is None:
        return lacking(source, await tools.clerk.ask(held_all, asked), tools)
    try:
        found = held(source, stored, wanted, seen, tools, refresh=refresh)
    except LookupError:  # a calendar that nobody asked for yet: read at once, for who waits now chooses a source that others took meanwhile
        with tools.store.reading() if tools.store.exists() else nullcontext() as reader:
            found = held_all(reader, [asked])[0]
    return lacking(source, found, tools)


def held_all(reader: Reader | None, asked: Sequence[Asked]) -> list[Held]:
    """`held` for several, of which the store is asked together."""
    calendars = asked[0].tools.clerk.calendars
    seen = None if reader is None else Foreseen(reader, (one.stored.symbol.ticker for one in asked), calendars)
    return [held(one.source, one.stored, one.wanted, seen, one.tools, refresh=one.refresh) for one in asked]


def held(  # noqa: PLR0913  what is asked of whom, and where that is looked up
    source: Source, stored: BarRequest, wanted: Adjustment | None, reader: Reader | None, tools: Tools, *, refresh: bool
) -> Held:
    """A look into the store, which is open; without a reader it is empty."""
    wide = stored if wanted is None else widened(source, stored, wanted, reader, tools.clock.now())
    if reader is None:
        return Held(wide)
    return Held(wide, [] if refresh else reader.coverage(wide, source.spec.name), tools.known(reader, wide))


def lacking(source: Source, found: Held, tools: Tools) -> Due:
    """What is to be asked for, once the store is closed: sessions that it does not know yet are written into it."""
    sessions = found.known[0] if found.known else tools.sessions(found.window)
    return Due(found.window, sessions, parts_of(source, found.window, found.spans, sessions, tools.clock.now()))


def parts_of(
    source: Source, window: BarRequest, spans: Sequence[Span], sessions: Sequence[Session] | None, now: datetime
) -> list[BarRequest]:
    """The parts of a window to ask for, of which the store has these spans."""
    parts = gaps(window, open_stretches(window, spans, now), sessions, now)
    if parts and spans and window.adjustment is not Adjustment.RAW and not tells_actions(source.spec, source.plan):
        return [window]
    return parts


def widened(source: Source, stored: BarRequest, wanted: Adjustment, reader: Reader | None, now: datetime) -> BarRequest:
    """The request up to now where the daily bars themselves tell, or weigh, what happened after its window: one answer serves both.
    Without a reader the store is empty."""
    with_bars = "actions with bars" in source.spec.offers
    if stored.interval is not Interval.D1 or not tells_actions(source.spec, source.plan):
        return stored
    useful = with_bars or Adjustment.ALL in (stored.adjustment, wanted)
    if useful and stored.adjustment is wanted:  # adjusted bars of an earlier day: was there a split since?
        useful = with_bars and wanted is not Adjustment.RAW and reader is not None and _is_older(source, stored, reader, now)
    return stored.over(stored.start, max(stored.end, latest_end(stored.interval, now))) if useful else stored


def _is_older(source: Source, stored: BarRequest, reader: Reader, now: datetime) -> bool:
    """Does the series have bars of an earlier day, with what happened since not known?"""
    came = reader.deliveries(stored, source.spec.name)
    if came is None or came[0].date() == now.date():
        return False
    reached = reader.knows(stored, source.spec.name, "splits", came[0])
    return reached is None or reached < stored.start
