"""Which stretches of a window need asking for, and what an answer settles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mdagent.market import Interval
from mdagent.sessions import any_expected, begun_by, last_complete
from mdagent.store.read import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdagent.market import BarRequest
    from mdagent.quality.finding import Absence
    from mdagent.sessions import Session
    from mdagent.sources.base import Source

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)  # a window from here asks for all there is
COMPLETE, PENDING, EMPTY = "complete", "pending", "no data"
# An absence with one of these reasons is as it should be; any other one leaves the answer partial.
BENIGN = frozenset((COMPLETE, PENDING, "not yet listed", "not traded"))
_SHORTEST, _LONGEST, _HALF_HOUR = timedelta(minutes=15), timedelta(days=30), timedelta(minutes=30)


def latest_end(interval: Interval, now: datetime) -> datetime:
    """Where the future begins: now; for daily and longer bars the end of the latest session date that has begun anywhere, which
    east of Greenwich is tomorrow's already."""
    if interval.intraday:
        return now
    return (now + timedelta(hours=14)).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def clamp_end(request: BarRequest, now: datetime) -> BarRequest:
    """The request without its future."""
    latest = latest_end(request.interval, now)
    return request if request.end <= latest or latest <= request.start else request.over(request.start, latest)


def open_stretches(request: BarRequest, spans: Iterable[Span], now: datetime) -> list[tuple[datetime, datetime]]:
    """The window less every span that is final or still fresh."""
    left, at = [], request.start
    for span in spans:
        if span.expires is not None and span.expires <= now:
            continue
        if span.start > at:
            left.append((at, span.start))
        at = max(at, span.end)
    if at < request.end:
        left.append((at, request.end))
    return left


def gaps(
    request: BarRequest, stretches: Sequence[tuple[datetime, datetime]], sessions: Sequence[Session] | None, now: datetime
) -> list[BarRequest]:
    """The stretches that hold bars which ought to exist by now; all of them where the sessions are not known."""
    if sessions is None:
        return [request.over(a, b) for a, b in stretches]
    begun = begun_by(sessions, now)
    return [request.over(a, b) for a, b in stretches if any_expected(begun, request.interval, a, b)]


def joined(windows: Sequence[BarRequest], longest: timedelta | None) -> list[BarRequest]:
    """Neighbouring windows as one wherever one request can hold them: a bar asked for twice costs less than a request."""
    made: list[BarRequest] = []
    for window in windows:
        if made and (longest is None or window.end - made[-1].start <= longest):
            made[-1] = made[-1].over(made[-1].start, window.end)
        else:
            made.append(window)
    return made


def within_depth(due: Sequence[BarRequest], source: Source, now: datetime | None) -> tuple[list[BarRequest], tuple[str, ...]]:
    """The windows cut to what the source keeps, joined into as few requests as it allows; and a word where something was cut off.
    Without `now` nothing is cut: a recording is what it is."""
    if not due:
        return [], ()
    spec, plan, interval = source.spec, source.plan, due[0].interval
    depth = spec.intervals[interval]
    whole = joined(due, depth.per_request)
    allowed = plan.history.get(interval)
    history = min((h for h in (depth.history, allowed) if h is not None), default=None)
    if history is None or now is None:
        return whole, ()
    oldest = now - history + timedelta(minutes=5)  # a request takes its time
    if all(w.start >= oldest for w in whole):
        return whole, ()
    by = f"{spec.name} keeps" if history == depth.history else f"the plan {plan.name} of {spec.name} has"
    told = f"{by} {interval} bars for {history.days} days; before {oldest:%Y-%m-%d} it has none"
    return [w.over(max(w.start, oldest), w.end) for w in whole if w.end > oldest], (told,)


def first_pending(request: BarRequest, sessions: Sequence[Session] | None, now: datetime, delay: timedelta) -> datetime:
    """The first stamp whose bar is not final yet: its period, or the source's delay, is not over. By nominal lengths where the
    sessions are not known."""
    if sessions is None:
        return now - delay - timedelta(seconds=request.interval.seconds)
    done = last_complete(sessions, request.interval, now, delay)
    return now - timedelta(days=40000) if done is None else done + timedelta(microseconds=1)


def settle(request: BarRequest, absences: Iterable[Absence], pending: datetime, now: datetime) -> tuple[Span, ...]:
    """What the answer to `request` settles, as spans to be laid over one another in this order."""
    laid = [Span(request.start, request.end, COMPLETE, None)]
    for start, end, reason in _holes(absences, request.interval):
        laid.append(Span(start, end, reason, now + min(max((now - start) / 4, _SHORTEST), _LONGEST)))
    if pending < request.end:
        fresh = timedelta(seconds=15 if request.interval.intraday else 60)
        laid.append(Span(max(pending, request.start), request.end, PENDING, now + fresh))
    return tuple(laid)


def _holes(absences: Iterable[Absence], interval: Interval) -> list[tuple[datetime, datetime, str]]:
    """The absences to be asked for again. Intraday, neighbours are one hole, and one of less than half an hour is no more than
    told in the findings: thin stocks are silent for minutes at a time."""
    step = timedelta(seconds=interval.seconds if interval.intraday else 86400)
    holes: list[tuple[datetime, datetime, str]] = []
    for absence in absences:
        if absence.reason in BENIGN:
            continue
        if interval.intraday and holes and holes[-1][1:] == (absence.ts, absence.reason):
            holes[-1] = (holes[-1][0], absence.ts + step, absence.reason)
        else:
            holes.append((absence.ts, absence.ts + step, absence.reason))
    return [h for h in holes if not interval.intraday or h[1] - h[0] >= _HALF_HOUR]


def nothing(request: BarRequest, now: datetime) -> Span:
    """The source had nothing in this window; to be asked again the sooner the younger it is."""
    return Span(request.start, request.end, EMPTY, now + min(max((now - request.end) / 4, _SHORTEST), _LONGEST))


def default_start(interval: Interval, end: datetime) -> datetime:
    """Where a window without a start begins."""
    days = {Interval.M1: 5, Interval.M5: 30, Interval.M15: 30, Interval.M30: 30, Interval.H1: 90}.get(interval, 365)
    return end - timedelta(days=days)
