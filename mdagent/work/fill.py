"""What the store lacks of one source's bars, asked for, judged and kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.market import Delivery
from mdagent.quality.checks import Circumstances, judge
from mdagent.quality.decimals import as_decimals
from mdagent.quality.grade import arithmetic, bar_scores, grade
from mdagent.quality.modes import BALANCED
from mdagent.store.read import key_of
from mdagent.store.write import Batch, Laid, Writer
from mdagent.work.due import due
from mdagent.work.gate import Call
from mdagent.work.spans import first_pending, nothing, settle, within_depth
from mdagent.work.telling import skew_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    import numpy as np

    from mdagent.clock import Clock
    from mdagent.guard.outcome import Attempt
    from mdagent.market import Adjustment, BarRequest, BarSet
    from mdagent.quality.modes import Mode
    from mdagent.sessions import Session
    from mdagent.sources.base import Source
    from mdagent.store.bars import BarStore
    from mdagent.store.ledger import Ledger
    from mdagent.store.read import Reader
    from mdagent.store.write import Kept
    from mdagent.work.clerk import Clerk
    from mdagent.work.due import Due
    from mdagent.work.gate import Gate, Result

_SHORT, _LOOKED_BACK = 60, 80  # bars of an answer that is judged in the light of those before it, and how many of these
_TRUSTED = 70.0  # a bar that scores less trains no baseline
_AHEAD = 60  # seconds that our clock may be ahead of a provider's before it is not believed
_BACK = timedelta(minutes=300)  # for each minute of an interval: that many bars, and the nights between


async def _nothing() -> None:
    """To be done."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a fetch works with. `sessions` gives the sessions round a window, None where the calendar is unknown; `known` gives them as an
    open store has them, and None where they have to be made first."""

    clerk: Clerk
    ledger: Ledger
    gate: Gate
    clock: Clock
    sessions: Callable[[BarRequest], Sequence[Session] | None]
    deadline: float
    patience: float  # seconds that a request may wait for its turn and for quota, besides
    bounded_depth: bool  # does the world keep only so much past? (a recording is what it is)
    known: Callable[[Reader, BarRequest], tuple[Sequence[Session] | None] | None] = lambda _reader, _request: None
    last_resort: bool = False  # every source is down: one of them may be probed
    others: bool = False  # sources follow that can be asked instead
    choice: float = inf  # seconds that quota is waited for as long as nothing was sent, and another source may be asked
    mode: Mode = BALANCED
    brief: bool = False  # is a line told without reading a bar?
    answered: Callable[[], Awaitable[None]] = _nothing  # is told that an answer has come, so that another may set out

    @property
    def store(self) -> BarStore:
        """Where the clerk goes."""
        return self.clerk.store

    def call(self, endpoint: str, request: BarRequest, *, afresh: bool = False) -> Call:
        """A call for that request, from now on."""
        deadline = self.clock.monotonic() + (request.deadline or self.deadline)
        asked = (request.interval.value, request.priority, self.last_resort, self.others)
        return Call(endpoint, request.symbol.ticker, deadline, self.patience, *asked, afresh=afresh, choice=self.choice)


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of asking for all that was due: requests sent, the failure that ended it, the reason why a window stayed empty,
    whether older bars were restated, how many rows a split accounts for, how many came back different for no such reason, and how many
    are new."""

    sent: int = 0
    failure: Failure | None = None
    lacking: Failure | None = None
    notes: tuple[str, ...] = ()
    restated: bool = False
    restatements: int = 0
    revisions: int = 0
    inserted: int = 0

    @classmethod
    def by(cls, kept: Kept) -> Filled:
        """What one answer changed."""
        different = kept.revised - kept.restatements - kept.confirmed
        return cls(restated=kept.restated, restatements=kept.restatements, revisions=different, inserted=kept.inserted)

    @property
    def changes(self) -> tuple[str, ...]:
        """Notes for the report on stored bars that changed."""
        told = ((self.restatements, "restated by a split"), (self.revisions, "that were final came back different (table revisions)"))
        return tuple(f"{count} {'bar' if count == 1 else 'bars'} {words}" for count, words in told if count)

    def and_then(self, more: Filled) -> Filled:
        """Both, the later one's failure."""
        return replace(
            self,
            sent=self.sent + more.sent,
            failure=more.failure,
            restated=more.restated,
            restatements=self.restatements + more.restatements,
            revisions=self.revisions + more.revisions,
            inserted=self.inserted + more.inserted,
        )


async def fill(source: Source, request: BarRequest, tools: Tools, *, wanted: Adjustment | None = None, refresh: bool = False) -> Filled:
    """Ask for every window that is due, on the basis of the request; each answer is kept as soon as it is judged. An empty window does
    not stop the others. Bars that a split restated meanwhile are asked for once more. `wanted`: see `due`. Raises StoreError."""
    lack = await due(source, request, wanted, tools, refresh=refresh)
    done = await _ask(source, lack, tools, refresh=refresh)
    if done.restated and done.failure is None:  # a split came with the new bars, and made the old ones due again
        again = await due(source, lack.window, None, tools, refresh=False)
        done = done.and_then(await _ask(source, again, tools, refresh=False))
    return done


async def _ask(source: Source, lack: Due, tools: Tools, *, refresh: bool) -> Filled:
    name, now, request, sessions = source.spec.name, tools.clock.now(), lack.window, lack.sessions
    parts, notes = within_depth(lack.parts, source, now if tools.bounded_depth else None)
    done = Filled(lacking=Failure(FailureKind.NO_DATA, notes[0]) if notes else None, notes=tuple(notes))
    for window in parts:
        call = tools.call("bars", request, afresh=refresh)
        result = await tools.gate.converse(source, partial(source.bars, window), replace(call, choice=inf) if done.sent else call)
        done = replace(done, sent=done.sent + sum(a.sent for a in result.attempts))
        if result.value is not None and window is parts[-1]:
            await tools.answered()
        came = await take(source, window, result, sessions, tools)
        tools.gate.forget(result)
        if refresh and result.value is not None:
            tools.ledger.forget_unknown(name, request.symbol.ticker)
        if isinstance(came, Failure) and came.kind is FailureKind.NO_DATA:
            done = replace(done, lacking=came)
        elif isinstance(came, Failure):
            return replace(done, failure=came)
        else:
            told = Filled.by(came)
            done = done.and_then(replace(told, restated=done.restated or told.restated))
    return done


async def take(
    source: Source, window: BarRequest, result: Result[BarSet], sessions: Sequence[Session] | None, tools: Tools
) -> Kept | Failure:
    """Keep what came, of a failure half-way what came before it; an answer without bars is remembered as such."""
    now = result.came or tools.clock.now()
    came: Kept | Failure | None = result.failure
    if result.value is not None:
        bars = replace(as_decimals(result.value), fetched_at=now)
        if result.failure is not None and len(bars):  # pages up to the last one that came are settled, what follows is due still
            window = window.over(window.start, _after(bars, window))
        seen = seen_at(result.attempts, now) if tools.bounded_depth else now
        hears = partial(tools.gate.judged, result.attempts)
        kept = await keep(source, window, bars, sessions, tools, now=now, judged=hears, seen=seen)
        if isinstance(kept, Failure) and result.failure is None:
            tools.gate.blame(result.attempts, kept)
        came = result.failure or kept
    if isinstance(came, Failure) and came.kind is FailureKind.NO_DATA:
        empty = Laid(key_of(window, source.spec.name), (nothing(window, now),), now)  # so that it is not asked for again at once
        await tools.clerk.bring(Writer.cover_all, empty, window.symbol.ticker)
    assert came is not None  # noqa: S101  a result has a value or a failure
    return came


def seen_at(attempts: Sequence[Attempt], now: datetime) -> datetime:
    """As of when an answer is: by the clock of the provider, where ours is ahead of it. A session that is still on would be taken for
    finished otherwise, and half a bar for a whole one."""
    ahead = max((skew_of(a) or 0 for a in attempts if a.ok), default=0)
    return now - timedelta(seconds=ahead) if ahead > _AHEAD else now


def _after(bars: BarSet, window: BarRequest) -> datetime:
    """The first moment of the window that the bars do not reach."""
    from datetime import UTC, timedelta

    last: datetime = bars.ts[-1].item().replace(tzinfo=UTC)
    return min(last + timedelta(microseconds=1), window.end)


async def keep(  # noqa: PLR0913  an answer, what it was asked for, and who hears of it
    source: Source,
    window: BarRequest,
    bars: BarSet,
    sessions: Sequence[Session] | None,
    tools: Tools,
    *,
    now: datetime,
    judged: Callable[[int, int, float, tuple[float, float]], None],
    seen: datetime | None = None,
) -> Kept | Failure:
    """Judge an answer that came `now` and write it, or say why it cannot be kept. `judged` is told its rows, the bad ones, and the score
    of the rest. `seen`: as of when the answer is, where it is not now: what was not over by then is not final."""
    delay = source.delay
    if bars.adjustment is not window.adjustment:
        words = f"{window.adjustment} prices of {window.symbol} were asked for, the answer has {bars.adjustment} prices"
        return Failure(FailureKind.MISMATCH, words)
    known = Circumstances(tools.mode, listed=bars.delivery.events, before=await before(bars, window, tools))
    verdict = judge(bars, window, sessions, now, delay, known)
    if verdict.refused:
        bad, told = len(verdict.quarantine), verdict.quarantine[0]
        return Failure(
            FailureKind.BAD_VALUES, f"{bad} of {bars.delivery.rows} rows cannot be right (the first: {told.reason}); all were refused"
        )
    if not len(verdict.keep) and not verdict.quarantine:
        return Failure(FailureKind.NO_DATA, f"{source.spec.name} has no {window.interval} bars of {window.symbol} in this range")
    pending = first_pending(window, sessions, seen or now, delay)
    if bars.complete_until is not None:
        pending = min(pending, bars.complete_until)
    kept = replace(verdict.keep, complete_until=pending)
    given = grade(verdict)
    judged(bars.delivery.rows, len(verdict.quarantine), given.score, (given.of_prices, given.of_volume))
    spans, sums = settle(window, verdict.absences, pending, seen or now), "\n".join(arithmetic(given))
    marks = bar_scores(given, verdict, kept), _not_before(kept, pending)
    batch = Batch(tools.gate.run, window, kept, *marks, verdict, given, sums, spans, now, tells_actions=bars.delivery.events)
    return await tools.clerk.bring(Writer.keep_all, batch, window.symbol.ticker)


async def before(bars: BarSet, window: BarRequest, tools: Tools) -> BarSet | None:
    """Stored bars of the same series just before an answer that is too short to be judged by itself; None where there are none, or where a
    split lies between, after which those stand on another basis."""
    if not 0 < len(bars) < _SHORT or any(a.kind == "split" for a in bars.actions):
        return None
    seen = tools.clerk.foreseen(window.symbol.ticker)
    if seen is not None and seen.deliveries(window, bars.source) is None:
        return None
    import numpy as np

    earlier = window.over(window.start - _BACK * window.interval.seconds / 60, window.start)
    held = await tools.clerk.ask(_columns, (earlier, bars.source))
    if held is None or not len(held["ts"]) or held["currency"] != bars.currency:
        return None
    good = held["score"] >= _TRUSTED
    o, h, low, c, volume = (np.ma.filled(np.ma.asarray(held[n]), np.nan)[good] for n in ("open", "high", "low", "close", "volume"))
    columns: dict[str, Any] = {"ts": held["ts"][good], "open": o, "high": h, "low": low, "close": c, "volume": volume}
    return replace(bars, **columns, vwap=None, trades=None, actions=(), delivery=Delivery())


def _columns(reader: Reader | None, asked: Sequence[tuple[BarRequest, str]]) -> list[dict[str, Any] | None]:
    return [reader.columns(*one, last=_LOOKED_BACK) if reader else None for one in asked]


def _not_before(bars: BarSet, pending: datetime) -> np.ndarray:
    import numpy as np

    made: np.ndarray = bars.ts >= np.datetime64(pending.replace(tzinfo=None), "us")
    return made
