"""What a fetch would ask, without asking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mdagent.market import Adjustment, Interval
from mdagent.work.due import widened
from mdagent.work.fetch import unserved
from mdagent.work.fit import tells_actions
from mdagent.work.learn import weighing
from mdagent.work.need import Need, is_known, need_of
from mdagent.work.report import Considered, Line
from mdagent.work.spans import BEGINNING, gaps, open_stretches, within_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.market import BarRequest
    from mdagent.sessions import Session
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader, Span
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
    wide = widened(source, stored, request.adjustment, None, now)
    spans, bars, more = [], 0, _unlearned(wish, None, stored, now)
    if store.exists():
        with store.reading() as reader:
            wide = widened(source, stored, request.adjustment, reader, now)
            if not wish.refresh:
                spans, bars = reader.coverage(wide, spec.name), reader.standing(stored, spec.name).bars
                more = _unlearned(wish, reader, stored, now)
    stretches = gaps(wide, open_stretches(wide, spans, now), sessions(wide), now)
    due, notes = within_depth(stretches, source, now if bounded_depth else None)
    asked = sum(len(source.cut(w)) for w in due)
    told = tuple(f"would ask {spec.name} for {w.start:%Y-%m-%d %H:%M} to {w.end:%Y-%m-%d %H:%M}" for w in due)
    if more and not (due and wide != stored and "actions with bars" in spec.offers):
        asked += more
        told = (*told, "would ask for what makes one basis of another: splits" + (" and dividends" if more > 1 else ""))
    days = weighing(source, stored, request.adjustment, now)
    if days is not None and stored.interval is not Interval.D1 and "actions with bars" not in spec.offers:
        held = _covered(store, days, spec.name) if not wish.refresh else []
        weighed = sum(len(source.cut(w)) for w in gaps(days, open_stretches(days, held, now), sessions(days), now))
        asked += weighed
        told = (*told, "would ask for the daily closes that weigh dividends") if weighed else told
    considered = (*wish.considered, Considered(spec.name, chosen=True, reasons=told or notes or ("the store has it",)))
    cut = bool(notes) and request.start > BEGINNING
    return Line(request, spec.name, requests=asked, bars=bars, considered=considered, notes=notes, cut=cut)


def _covered(store: BarStore, request: BarRequest, source: str) -> list[Span]:
    if not store.exists():
        return []
    with store.reading() as reader:
        return reader.coverage(request, source)


def _unlearned(wish: Wish, reader: Reader | None, stored: BarRequest, now: datetime) -> int:
    """How many requests for splits, and for dividends, come on top."""
    source, wanted = wish.servers[0].source, wish.request.adjustment
    if not tells_actions(source.spec, source.plan):
        return 0
    if reader is None:
        need = Need("all" if Adjustment.ALL in (stored.adjustment, wanted) else "splits", stored.start)
        known = stored.adjustment is wanted
    else:
        found = need_of(reader, stored, wanted, source.spec.name)
        known = found is None or is_known(reader, stored, source.spec.name, found, now)
        need = found or Need("splits", stored.start)
    return 0 if known else 2 if need.kinds == "all" and "actions with bars" not in source.spec.offers else 1
