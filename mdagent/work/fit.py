"""Which sources can serve a request at all, and why the others cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdagent.market import Adjustment
from mdagent.work.fetch import Wish
from mdagent.work.report import Considered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdagent.market import BarRequest
    from mdagent.sources.base import Source, SourceSpec


def wish_for(request: BarRequest, sources: Iterable[Source], *, refresh: bool) -> Wish:
    """The request with the sources that may be asked for it, in their order; those left out with their reason."""
    able, left = [], []
    for source in sources:
        why = unfit(source.spec, request)
        if why:
            left.append(Considered(source.spec.name, chosen=False, reasons=(why,)))
        else:
            able.append(source)
    return Wish(request, tuple(able), refresh, tuple(left))


def unfit(spec: SourceSpec, request: BarRequest) -> str:
    """Why this source cannot serve the request at all, or ""."""
    if request.interval not in spec.intervals:
        return f"it has no {request.interval} bars"
    delivers = spec.intervals[request.interval].delivers
    if request.adjustment not in delivers:
        return f"it delivers {' or '.join(delivers)} prices, not {request.adjustment}"
    if request.adjustment is Adjustment.ALL and request.interval.intraday:
        return f"its {request.interval} bars are not adjusted for dividends"
    return ""
