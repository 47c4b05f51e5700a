"""One request -> the best bars: what is missing, who can serve it, ask, judge, keep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.quality.checks import judge
from mdagent.quality.grade import arithmetic, bar_scores, grade
from mdagent.store.read import key_of
from mdagent.store.write import Batch
from mdagent.work.gate import Call
from mdagent.work.report import Considered, Line
from mdagent.work.spans import BEGINNING, first_pending, gaps, nothing, open_stretches, settle, within_depth
from mdagent.work.standing import line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import numpy as np

    from mdagent.clock import Clock
    from mdagent.market import BarRequest, BarSet
    from mdagent.sessions import Session
    from mdagent.sources.base import Source
    from mdagent.store.bars import BarStore
    from mdagent.store.ledger import Ledger
    from mdagent.store.read import Span
    from mdagent.store.write import Kept
    from mdagent.work.gate import Gate


@dataclass(frozen=True, slots=True)
class Tools:
    """What a fetch works with. `sessions` gives the sessions round a window, None where the calendar is unknown."""

    store: BarStore
    ledger: Ledger
    gate: Gate
    clock: Clock
    sessions: Callable[[BarRequest], Sequence[Session] | None]
    deadline: float
    patience: float  # seconds that a request may wait for its turn and for quota, besides
    bounded_depth: bool  # does the world keep only so much past? (a recording is what it is)


@dataclass(frozen=True, slots=True)
class Wish:
    """One request of the user: which sources may serve it, and whether what is stored may."""

    request: BarRequest
    sources: tuple[Source, ...]
    refresh: bool = False
    considered: tuple[Considered, ...] = ()
    notes: tuple[str, ...] = ()


async def fetch(wish: Wish, tools: Tools) -> Line:
    """Bring the store up to date for one request. The line tells how it went; bars are read from the store afterwards.
    Raises StoreError."""
    considered = list(wish.considered)
    last: Line | None = None
    for source in wish.sources:
        line = await _from(source, wish, tools)
        chosen = line.failure is None
        why = "served it" if chosen else f"{line.failure.kind}: {line.failure.detail}" if line.failure else ""
        considered.append(Considered(source.spec.name, chosen, (why,)))
        last = line._replace(considered=tuple(considered), requests=line.requests + (last.requests if last else 0))
        if chosen:
            return last
    if last is not None:
        return last
    words = "; ".join(f"{c.source}: {', '.join(c.reasons)}" for c in considered) or "no source is enabled"
    failure = Failure(FailureKind.BAD_REQUEST, f"no source can serve {wish.request.symbol}: {words}")
    return Line(wish.request, None, failure=failure, considered=tuple(considered), notes=wish.notes)


async def _from(source: Source, wish: Wish, tools: Tools) -> Line:
    """One source's try: every gap it can fill, each kept as soon as it is judged."""
    request, name = wish.request, source.spec.name
    known = None if wish.refresh else tools.ledger.unknown(name, request.symbol.ticker)
    if known:
        told = f"{name} does not know {request.symbol} (asked before; it is asked again from {known[0]:%Y-%m-%d %H:%M}Z, or with --refresh)"
        return _standing(wish, name, 0, Failure(FailureKind.UNKNOWN_SYMBOL, told), tools)
    sessions = tools.sessions(request)
    done = await _fill(source, wish, sessions, tools)
    if done.restated and done.failure is None:  # a split came with the new bars, and made the old ones due again
        more = await _fill(source, replace(wish, refresh=False), sessions, tools)
        done = replace(done, sent=done.sent + more.sent, failure=more.failure)
    line = _standing(replace(wish, notes=(*wish.notes, *done.notes)), name, done.sent, done.failure, tools)
    if not line.bars and done.failure is None and done.lacking is not None:
        return line._replace(failure=done.lacking)
    return line._replace(cut=bool(done.notes) and request.start > BEGINNING)


@dataclass(frozen=True, slots=True)
class _Filled:
    """What came of asking for all that was due: requests sent, the failure that ended it, the reason why a window stayed empty,
    and whether older bars were restated."""

    sent: int = 0
    failure: Failure | None = None
    lacking: Failure | None = None
    notes: tuple[str, ...] = ()
    restated: bool = False


async def _fill(source: Source, wish: Wish, sessions: Sequence[Session] | None, tools: Tools) -> _Filled:
    """Ask for every window that is due; each answer is kept as soon as it is judged. An empty window does not stop the others."""
    request, name, now = wish.request, source.spec.name, tools.clock.now()
    due, notes = within_depth(_due(wish, name, sessions, tools), request.interval, source.spec, now if tools.bounded_depth else None)
    done = _Filled(lacking=Failure(FailureKind.NO_DATA, notes[0]) if notes else None, notes=tuple(notes))
    for window in due:
        call = Call("bars", request.symbol.ticker, tools.clock.monotonic() + (request.deadline or tools.deadline), tools.patience)
        result = await tools.gate.converse(source, partial(source.bars, window), call)
        done = replace(done, sent=done.sent + sum(a.sent for a in result.attempts))
        came: Kept | Failure | None = result.failure
        if result.value is not None:
            if wish.refresh:
                tools.ledger.forget_unknown(name, request.symbol.ticker)
            came = _keep(source, window, replace(result.value, fetched_at=tools.clock.now()), sessions, tools)
        if isinstance(came, Failure) and came.kind is FailureKind.NO_DATA:
            _remember_nothing(source, window, tools, now)
            done = replace(done, lacking=came)
        elif isinstance(came, Failure):
            if result.failure is None:
                tools.gate.blame(result.attempts, came)
            return replace(done, failure=came)
        elif came is not None:
            done = replace(done, restated=done.restated or came.restated)
    return done


def _due(wish: Wish, name: str, sessions: Sequence[Session] | None, tools: Tools) -> list[BarRequest]:
    """The windows to ask for: all of it on a refresh, else what the store lacks."""
    spans: list[Span] = []
    if not wish.refresh and tools.store.exists():
        with tools.store.reading() as reader:
            spans = reader.coverage(wish.request, name)
    now = tools.clock.now()
    return gaps(wish.request, open_stretches(wish.request, spans, now), sessions, now)


def _keep(source: Source, window: BarRequest, bars: BarSet, sessions: Sequence[Session] | None, tools: Tools) -> Kept | Failure:
    """Judge an answer and write it, or say why it cannot be kept."""
    now, delay = tools.clock.now(), source.delay
    if bars.adjustment is not window.adjustment:
        words = f"{window.adjustment} prices of {window.symbol} were asked for, the answer has {bars.adjustment} prices"
        return Failure(FailureKind.MISMATCH, words)
    verdict = judge(bars, window, sessions, now, delay)
    if verdict.refused:
        bad, told = len(verdict.quarantine), verdict.quarantine[0]
        return Failure(
            FailureKind.BAD_VALUES, f"{bad} of {bars.delivery.rows} rows cannot be right (the first: {told.reason}); all were refused"
        )
    if not len(verdict.keep) and not verdict.quarantine:
        return Failure(FailureKind.NO_DATA, f"{source.spec.name} has no {window.interval} bars of {window.symbol} in this range")
    pending = first_pending(window, sessions, now, delay)
    if bars.complete_until is not None:
        pending = min(pending, bars.complete_until)
    kept = replace(verdict.keep, complete_until=pending)
    given = grade(verdict)
    batch = Batch(
        tools.gate.run,
        window,
        kept,
        bar_scores(given, verdict, kept),
        _not_before(kept, pending),
        verdict,
        given,
        "\n".join(arithmetic(given)),
        settle(window, verdict.absences, pending, now),
        now,
    )
    with tools.store.writing(f"fetch {window.symbol}") as writer:
        return writer.keep(batch)


def _not_before(bars: BarSet, pending: datetime) -> np.ndarray:
    import numpy as np

    made: np.ndarray = bars.ts >= np.datetime64(pending.replace(tzinfo=None), "us")
    return made


def _remember_nothing(source: Source, window: BarRequest, tools: Tools, now: datetime) -> None:
    """Write an empty answer down, so that it is not asked for again at once."""
    with tools.store.writing(f"fetch {window.symbol}") as writer:
        writer.cover(key_of(window, source.spec.name), (nothing(window, now),), now)


def _standing(wish: Wish, name: str, sent: int, failure: Failure | None, tools: Tools) -> Line:
    """The line of a request, from what the store holds of it now."""
    if not tools.store.exists():
        nothing_yet = Failure(FailureKind.NO_DATA, f"{name} has no {wish.request.interval} bars of {wish.request.symbol} in this range")
        return Line(wish.request, name, sent, failure=failure or nothing_yet, notes=wish.notes)
    with tools.store.reading() as reader:
        return line_of(reader, wish.request, name, requests=sent, failure=failure, notes=wish.notes)
