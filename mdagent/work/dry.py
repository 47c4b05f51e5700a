"""What a fetch would ask, without asking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mdagent.work.fetch import unserved
from mdagent.work.learn import widened
from mdagent.work.need import is_known, need_of
from mdagent.work.report import Considered, Line
from mdagent.work.spans import BEGINNING, gaps, open_stretches, within_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.market import BarRequest
    from mdagent.sessions import Session
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader
    from mdagent.work.fit import Wish


def dry_line(
    wish: Wish, store: BarStore, sessions: Callable[[BarRequest], Sequence[Session] | None], now: datetime, *, bounded_depth: bool
) -> Line:
    """The line of a request as it stands, with the number of requests that a fetch would send."""
    request = wish.request
    if not wish.servers:
        return unserved(wish)
    source, spec = wish.servers[0].source, wish.servers[0].source.spec
    stored = replace(request, adjustment=wish.servers[0].basis)
    wide = widened(source, stored, request.adjustment, store, now)
    spans, bars, more = [], 0, _unknown(wish, None, stored, now)
    if store.exists() and not wish.refresh:
        with store.reading() as reader:
            spans, bars = reader.coverage(wide, spec.name), reader.standing(stored, spec.name).bars
            more = _unknown(wish, reader, stored, now)
    stretches = gaps(wide, open_stretches(wide, spans, now), sessions(wide), now)
    due, notes = within_depth(stretches, source, now if bounded_depth else None)
    asked = sum(len(source.cut(w)) for w in due)
    if more and not (due and wide != stored and "actions with bars" in spec.offers):
        asked += 1
        notes = (*notes, "and its splits and dividends")
    told = tuple(f"would ask {spec.name} for {w.start:%Y-%m-%d %H:%M} to {w.end:%Y-%m-%d %H:%M}" for w in due)
    considered = (*wish.considered, Considered(spec.name, chosen=True, reasons=told or notes or ("the store has it",)))
    cut = bool(notes) and request.start > BEGINNING
    return Line(request, spec.name, requests=asked, bars=bars, considered=considered, notes=notes, cut=cut)


def _unknown(wish: Wish, reader: Reader | None, stored: BarRequest, now: datetime) -> bool:
    """Must the splits be asked for besides?"""
    source, wanted = wish.servers[0].source, wish.request.adjustment
    if reader is None:
        return stored.adjustment is not wanted
    need = need_of(reader, stored, wanted, source.spec.name)
    return need is not None and not is_known(reader, stored, source.spec.name, need, now)
