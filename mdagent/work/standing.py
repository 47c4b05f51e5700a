"""What the store holds of a request, as a line of the report: the same whether the bars were fetched now or long ago."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from mdagent.work.report import Considered, Line
from mdagent.work.spans import BENIGN, EMPTY, gaps, open_stretches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.guard.outcome import Failure
    from mdagent.market import BarRequest
    from mdagent.sessions import Session
    from mdagent.store.read import Reader, Span


def line_of(  # noqa: PLR0913  what a line says besides what the store says
    reader: Reader, request: BarRequest, source: str, *, requests: int = 0, failure: Failure | None = None, notes: tuple[str, ...] = ()
) -> Line:
    """The line of one request from one source. Absent bars are told by the spans that the fetch left behind."""
    held = reader.standing(request, source)
    spans = reader.coverage(request, source)
    # What is empty before the first bar was not yet listed.
    first = reader.first_bar(request, source) if any(s.reason == EMPTY for s in spans) else None
    absent: Counter[str] = Counter()
    for span in spans:
        if span.reason not in BENIGN and (span.reason != EMPTY or (first and first < span.start)):
            absent[span.reason] += _bars_in(span, request)
    if failure is None and not held.bars:
        from mdagent.guard.outcome import Failure, FailureKind

        failure = Failure(FailureKind.NO_DATA, f"{source} has no {request.interval} bars of {request.symbol} in this range")
    return Line(
        request,
        source,
        requests=requests,
        bars=held.bars,
        provisional=held.provisional,
        quarantined=held.quarantined,
        absent=tuple(sorted(absent.items())),
        letter=held.letter,
        score=held.score,
        failure=failure,
        notes=notes,
        findings=tuple(f"{severity} {check}: {message}" for severity, check, message in held.findings),
        arithmetic=tuple(held.arithmetic.splitlines()),
        skipped=held.skipped,
    )


def _bars_in(span: Span, request: BarRequest) -> int:
    """How many bars of the window a span of missing ones stands for; one stretch where that is not known."""
    if span.reason == EMPTY or not request.interval.intraday:
        return 1
    within = min(span.end, request.end) - max(span.start, request.start)
    return -(-within // timedelta(seconds=request.interval.seconds))


def cached(
    reader: Reader,
    request: BarRequest,
    sources: Sequence[str],
    sessions: Callable[[Reader, BarRequest], Sequence[Session] | None],
    now: datetime,
) -> Line | None:
    """The line of a request that the store can serve by itself: a source of `sources` covers all of it, final or fresh."""
    for source in sources:
        stretches = open_stretches(request, reader.coverage(request, source), now)
        if stretches and gaps(request, stretches, sessions(reader, request.over(stretches[0][0], stretches[-1][1])), now):
            continue
        return _serve(reader, request, source)
    return None


def _serve(reader: Reader, request: BarRequest, source: str) -> Line:
    line = line_of(reader, request, source)
    told = Considered(source, chosen=True, reasons=("the store has it",))
    return line._replace(considered=(told,))
