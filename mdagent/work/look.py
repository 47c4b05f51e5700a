"""Which of many requests the store has served already: told by what was asked, without reading a bar."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.market import Adjustment, Instrument
from mdagent.sessions import calendar_of
from mdagent.store.survey import Survey, survey
from mdagent.work.calendar import days_of, read_sessions
from mdagent.work.report import Line
from mdagent.work.spans import BENIGN, EMPTY, first_pending, gaps, open_stretches, within_depth
from mdagent.work.standing import cached

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime, timedelta

    from mdagent.market import BarRequest, Symbol
    from mdagent.sessions import Session
    from mdagent.sources.base import Source
    from mdagent.store.read import Reader, Span
    from mdagent.store.survey import Key

Around = tuple[str, "date", "date"]


@dataclass(slots=True)
class Look:
    """One look into an open store. `sources` are those whose bars count, by name, in the order of preference."""

    reader: Reader
    sources: Mapping[str, Source]
    now: datetime
    bounded_depth: bool
    _sessions: dict[Around, Sequence[Session] | None] = field(default_factory=dict)
    _pending: dict[tuple[Around, str, timedelta], datetime] = field(default_factory=dict)

    def served(self, requests: Sequence[BarRequest]) -> dict[BarRequest, Line]:
        """A line for each request of which nothing final is missing. `bars` are not counted."""
        found: dict[BarRequest, Line] = {}
        for same in _by_interval(requests):
            window = min(r.start for r in same), max(r.end for r in same)
            seen = survey(self.reader.ask, list(dict.fromkeys(r.symbol.ticker for r in same)), same[0].interval.value, window)
            told = ((request, self._line(request, seen)) for request in same)
            found.update((request, line) for request, line in told if line is not None)
        return found

    def _line(self, request: BarRequest, seen: Survey) -> Line | None:
        names, wanted, empty = list(self.sources), request.adjustment, None
        for key in seen.series(request.symbol.ticker, names, wanted.value):
            spans = [s for s in seen.spans[key] if s.end > request.start and s.start < request.end]
            lacking, cut = self._lacks(request, key[1], spans, seen)
            if not lacking and (wanted is Adjustment.RAW or seen.is_of_one_piece(key)):
                line = _told(request, key, spans, seen)._replace(cut=cut)
                if line.failure is None:
                    return line
                empty = empty or line  # another source may have bars
        if empty is not None or not any(
            seen.series(request.symbol.ticker, names, basis.value) for basis in Adjustment if basis is not wanted
        ):
            return empty
        until = self._pending_of(request, None, seen)
        final = request.over(request.start, until) if request.start < until < request.end else request
        served = cached(self.reader, final, names, read_sessions, self.now)
        return served[0]._replace(request=request) if served else None

    def _lacks(self, request: BarRequest, name: str, spans: Sequence[Span], seen: Survey) -> tuple[bool, bool]:
        """Is anything final missing that this source can be asked for? And is anything beyond its reach?"""
        source = self.sources[name]
        until = self._pending_of(request, source, seen)
        stretches = [(a, min(b, until)) for a, b in open_stretches(request, spans, self.now) if a < until]
        if not stretches:
            return False, False
        parts = gaps(request, stretches, self._sessions_of(request, seen)[1], self.now)
        if not parts or request.interval not in source.spec.intervals:
            return bool(parts), False
        left, notes = within_depth(parts, source, self.now if self.bounded_depth else None)
        return bool(left), bool(notes)

    def _pending_of(self, request: BarRequest, source: Source | None, seen: Survey) -> datetime:
        """The first stamp that is not final yet, for this source or for the slowest."""
        delay = source.delay if source else max(s.delay for s in self.sources.values())
        around, sessions = self._sessions_of(request, seen)
        key = (around, request.interval.value, delay)
        if key not in self._pending:
            self._pending[key] = first_pending(request, sessions, self.now, delay)
        return self._pending[key]

    def _sessions_of(self, request: BarRequest, seen: Survey) -> tuple[Around, Sequence[Session] | None]:
        code = _calendar(request.symbol, seen.listed.get(request.symbol.ticker))
        key = (code, *days_of(request))
        if key not in self._sessions:
            self._sessions[key] = self.reader.sessions(*key) if code else None
        return key, self._sessions[key]


def _calendar(symbol: Symbol, told: tuple[str, str, str] | None) -> str:
    return calendar_of(symbol, Instrument(symbol, "", exchange=told[0], zone=told[1], kind=told[2]) if told else None)


def _by_interval(requests: Sequence[BarRequest]) -> Iterator[list[BarRequest]]:
    groups: dict[str, list[BarRequest]] = {}
    for request in requests:
        groups.setdefault(request.interval.value, []).append(request)
    yield from groups.values()


def _told(request: BarRequest, key: Key, spans: Sequence[Span], seen: Survey) -> Line:
    absent: Counter[str] = Counter(span.reason for span in spans if span.reason not in BENIGN and span.reason != EMPTY)
    grade, failure = seen.grades.get(key), None
    if spans and all(span.reason == EMPTY for span in spans):
        failure = Failure(FailureKind.NO_DATA, f"{key[1]} has no {request.interval} bars of {request.symbol} in this range")
    return Line(
        request,
        key[1],
        quarantined=seen.quarantined.get(key, 0),
        absent=tuple(sorted(absent.items())),
        letter=grade.letter if grade else None,
        score=grade.score if grade else None,
        failure=failure,
    )
