"""What the store holds of a request, as a line of the report: the same whether the bars were fetched now or long ago."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from mdagent.market import Adjustment
from mdagent.work.need import is_known, need_of
from mdagent.work.report import Considered, Line
from mdagent.work.spans import BENIGN, EMPTY, gaps, open_stretches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.guard.outcome import Failure
    from mdagent.market import BarRequest
    from mdagent.sessions import Session
    from mdagent.store.read import Reader, Span
    from mdagent.store.series import Joint


def line_of(  # noqa: PLR0913  what a line says besides what the store says
    reader: Reader,
    request: BarRequest,
    source: str,
    *,
    requests: int = 0,
    failure: Failure | None = None,
    notes: tuple[str, ...] = (),
    spans: Sequence[Span] | None = None,
) -> Line:
    """The line of one request from one source. Absent bars are told by the spans that the fetch left behind."""
    held = reader.standing(request, source)
    spans = reader.coverage(request, source) if spans is None else spans
    # What is empty before the first bar was not yet listed.
    first = reader.first_bar(request, source) if any(s.reason == EMPTY for s in spans) else None
    absent: Counter[str] = Counter()
    for span in spans:
        if span.reason not in BENIGN and (span.reason != EMPTY or (first and first < span.start)):
            absent[span.reason] += _bars_in(span, request)
    if failure is None and not held.bars:
        from mdagent.guard.outcome import Failure, FailureKind

        told = f"{source} has no {request.interval} bars of {request.symbol} in this range"
        failure = Failure(FailureKind.NO_DATA, f"{told} but {held.rejected} that were rejected" if held.rejected else told)
    notes = (*notes, *_decided(held.rejected))
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


def _decided(rejected: int) -> tuple[str, ...]:
    bars = "1 bar was" if rejected == 1 else f"{rejected} bars were"
    return (f"{bars} rejected by a person (mdagent override --list)",) if rejected else ()


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
) -> tuple[Line, Joint] | None:
    """The line of a request that the store can serve by itself, and its series: one of `sources` covers all of the window, final or
    fresh, and is on the basis asked for or can be brought to it by what is known."""
    joint: Joint | None = None
    for source, basis, spans in reader.covered(request, sources):
        same = basis == request.adjustment.value
        stored = request if same else replace(request, adjustment=Adjustment(basis))
        stretches = open_stretches(stored, spans, now)
        if stretches and gaps(stored, stretches, sessions(reader, stored.over(stretches[0][0], stretches[-1][1])), now):
            continue
        need = None if same else need_of(reader, stored, request.adjustment, source)
        if need is not None and not is_known(reader, stored, source, need, now):
            continue
        joint = joint or reader.joint(request, sources)
        if not same and all(part.held.source != source for part in joint.parts):
            continue
        line = line_of(reader, stored, source, spans=spans)._replace(request=request)
        left = next((one for one in joint.left if one.source == source), None)
        if left and line.bars:
            continue
        told = Considered(source, chosen=True, reasons=("the store has it",))
        return line._replace(considered=(told,)), joint
    return None


def whole_series(
    reader: Reader, lines: Sequence[tuple[Line, Joint | None]], sources: Sequence[str]
) -> tuple[list[Line], list[tuple[object, ...]]]:
    """The consolidated rows of all lines that have bars, each on the basis asked for; the lines tell which sources are left out of them,
    and why."""
    told, rows = [], []
    for line, known in lines:
        if not line.bars or (line.failure is not None and line.failure.kind == "MISMATCH"):
            told.append(line)
            continue
        joint = known or reader.joint(line.request, sources)
        rows += reader.rows(line.request, joint)
        left = tuple(f"{one.source} is left out: {one.why}" for one in joint.left if one.source != line.source)
        told.append(line._replace(notes=(*line.notes, *left)) if left else line)
    return told, rows
