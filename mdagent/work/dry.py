"""What one source would be asked for a request: a look at the store, and nothing sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mdagent.market import Interval
from mdagent.sources.base import COST
from mdagent.store.read import Span
from mdagent.work.due import parts_of, widened
from mdagent.work.fit import daily_basis, tells_actions
from mdagent.work.learn import days_since
from mdagent.work.need import Need, is_known, need_of
from mdagent.work.spans import COMPLETE, within_depth
from mdagent.work.unsent import unsent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from typing import Any

    from mdagent.guard.outcome import Failure
    from mdagent.market import BarRequest
    from mdagent.sessions import Session
    from mdagent.sources.base import Conversation, Source
    from mdagent.store.read import Reader
    from mdagent.work.fit import Server


class Sight(NamedTuple):
    """What a look is taken with: the open store (None where there is none), the sessions round a window (None: unknown), the time, and
    whether the world keeps only so much past."""

    reader: Reader | None
    sessions: Callable[[BarRequest], Sequence[Session] | None]
    now: datetime
    bounded_depth: bool


class Lack(NamedTuple):
    """What a request lacks of one source: windows of its bars, of the daily bars that tell or weigh splits and dividends, and what has
    to be asked of these by itself. `bars` are in the store; `notes` say what is beyond the source's reach."""

    bars: int = 0
    windows: tuple[BarRequest, ...] = ()
    days: tuple[BarRequest, ...] = ()
    need: Need | None = None
    notes: tuple[str, ...] = ()

    def words(self, name: str) -> tuple[str, ...]:
        """What would be asked, for a person."""
        told = [f"would ask {name} for {w.start:%Y-%m-%d %H:%M} to {w.end:%Y-%m-%d %H:%M}" for w in self.windows]
        if self.need:
            what = "splits and dividends" if self.need.kinds == "all" else "splits"
            told.append(f"would ask for what makes one basis of another: {what}")
        if self.days:
            told.append("would ask for the daily bars that tell or weigh splits and dividends")
        return tuple(told)


class Talk(NamedTuple):
    """A conversation that would be held: what each of its requests costs, or the failure by which it asks for nothing."""

    endpoint: str
    costs: tuple[int, ...]
    failure: Failure | None = None

    @classmethod
    def of(cls, endpoint: str, begin: Callable[[], Conversation[Any]]) -> Talk:
        """What the conversation yields; pages that an answer leads to cannot be known."""
        requests, failure = unsent(begin)
        return cls(endpoint, tuple(r.extensions.get(COST, 1) for r in requests), failure)


def lack_of(server: Server, wanted: BarRequest, sight: Sight, *, refresh: bool = False, came: Sequence[BarRequest] = ()) -> Lack:
    """What a fetch from that source would find missing; `came`: windows that other symbols' requests bring along."""
    (source, basis), (reader, sessions, now, _) = server, sight
    name, stored = source.spec.name, replace(wanted, adjustment=basis)
    wide = widened(source, stored, wanted.adjustment, reader, now)
    spans = reader.coverage(wide, name) if reader and not refresh else []
    parts, notes = _within(sight, source, parts_of(source, wide, _with(spans, came), sessions(wide), now))
    bars = reader.standing(stored, name).bars if reader and not refresh else 0
    fresh = [*parts, *came]
    need = None
    if tells_actions(source.spec, source.plan):
        need = need_of(reader, stored, wanted.adjustment, name, coming=now if fresh else None)
    if need is None:
        return Lack(bars, parts, notes=notes)
    known = reader is not None and is_known(reader, stored, name, need, now)
    with_bars, weighs = "actions with bars" in source.spec.offers, need.kinds == "all" and basis is not wanted.adjustment
    days: tuple[BarRequest, ...] = ()
    by = daily_basis(source) if weighs or (with_bars and not known) else None
    if by is not None:
        window = days_since(stored, by, need.since, now)
        held = reader.coverage(window, name) if reader else []
        same = stored.interval is Interval.D1 and by is basis
        days, _ = _within(sight, source, parts_of(source, window, _with(held, fresh if same else ()), sessions(window), now))
    return Lack(bars, parts, days, None if known or with_bars else need, notes)


def _with(spans: Sequence[Span], came: Sequence[BarRequest]) -> list[Span]:
    """The spans of the store, and windows that are taken for fetched."""
    return sorted([*spans, *(Span(w.start, w.end, COMPLETE, None) for w in came)], key=lambda span: span.start) if came else list(spans)


def _within(sight: Sight, source: Source, parts: Sequence[BarRequest]) -> tuple[tuple[BarRequest, ...], tuple[str, ...]]:
    windows, notes = within_depth(parts, source, sight.now if sight.bounded_depth else None)
    return tuple(windows), notes


def talks(server: Server, wanted: BarRequest, lack: Lack, now: datetime) -> Iterator[Talk]:
    """The conversations that a fetch would hold to fill it, in their order."""
    source = server.source
    for window in (*lack.windows, *lack.days):
        yield Talk.of("bars", partial(source.bars, window))
    if lack.need is not None:
        end, payments = now + timedelta(days=1), lack.need.kinds == "all"
        yield Talk.of("actions", partial(source.actions, wanted.symbol, lack.need.since, end, payments=payments))
