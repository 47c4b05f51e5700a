"""What a fetch would ask, without asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.work.report import Considered, Line
from mdagent.work.spans import BEGINNING, gaps, open_stretches, within_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.market import BarRequest
    from mdagent.sessions import Session
    from mdagent.store.bars import BarStore
    from mdagent.work.fetch import Wish


def dry_line(
    wish: Wish, store: BarStore, sessions: Callable[[BarRequest], Sequence[Session] | None], now: datetime, *, bounded_depth: bool
) -> Line:
    """The line of a request as it stands, with the number of requests that a fetch would send."""
    request = wish.request
    if not wish.sources:
        words = "; ".join(f"{c.source}: {', '.join(c.reasons)}" for c in wish.considered) or "no source is enabled"
        return Line(
            request,
            None,
            failure=Failure(FailureKind.BAD_REQUEST, f"no source can serve {request.symbol}: {words}"),
            considered=wish.considered,
        )
    source, spec = wish.sources[0], wish.sources[0].spec
    spans, bars = [], 0
    if store.exists() and not wish.refresh:
        with store.reading() as reader:
            spans, bars = reader.coverage(request, spec.name), reader.standing(request, spec.name).bars
    stretches = gaps(request, open_stretches(request, spans, now), sessions(request), now)
    due, notes = within_depth(stretches, request.interval, spec, now if bounded_depth else None)
    asked = sum(len(source.cut(w)) for w in due)
    told = tuple(f"would ask {spec.name} for {w.start:%Y-%m-%d %H:%M} to {w.end:%Y-%m-%d %H:%M}" for w in due)
    considered = (*wish.considered, Considered(spec.name, chosen=True, reasons=told or notes or ("the store has it",)))
    cut = bool(notes) and request.start > BEGINNING
    return Line(request, spec.name, requests=asked, bars=bars, considered=considered, notes=notes, cut=cut)
