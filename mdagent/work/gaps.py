"""Is all there that ought to be? The bars of a symbol against the sessions of its exchange, and each missing one with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.market import Adjustment, BarRequest, Interval
from mdagent.quality.timetable import timetable_of, within
from mdagent.sessions import period_of
from mdagent.store.absent import asked, extent, quarantined, rejected, stamps, untraded
from mdagent.work.calendar import calendar_for
from mdagent.work.spans import BEGINNING, PENDING, first_pending, latest_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mdagent.market import Symbol
    from mdagent.sessions import Session
    from mdagent.store.absent import Asked, Extent
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader
    from mdagent.store.recall import LastAsked

AT_ONCE = 16  # symbols that are read while the store is held
_UNHEARD = 20  # so many missing bars before the first, or after the last, are no hole in a series that begins or ends there
_EARLIEST = datetime(1985, 1, 1, tzinfo=UTC)  # calendars are kept from here on
_CLOSED_LONGEST = timedelta(days=40)  # no exchange is closed for longer, but in wars
_UNKNOWN, _NO_DATA = "UNKNOWN_SYMBOL", "NO_DATA"
_NULL = "null bar at source"

HOLIDAY, CLOSED, UNLISTED, DELISTED, HALTED, WAITING = "holiday", "no session", "not yet listed", "delisted", "not traded", "pending"
OVERRULED, BAD_ROW, OTHER_BASIS, HOLE, NULLS = "rejected by a person", "quarantined", "not convertible", "provider gap", _NULL
TOO_EARLY, REFUSED, UNASKED, NO_CALENDAR = "asked too early", "refused", "never asked", "calendar not known"
# Each reason, and whether it is a fault: something that ought to be there, and that nothing excuses. The first that fits is the reason.
FAULTS: dict[str, bool] = {
    OVERRULED: False,
    BAD_ROW: True,
    OTHER_BASIS: True,
    WAITING: False,
    UNLISTED: False,
    HALTED: False,
    DELISTED: False,
    NULLS: True,
    HOLE: True,
    TOO_EARLY: True,
    REFUSED: True,
    UNASKED: True,
    NO_CALENDAR: True,
    HOLIDAY: False,
    CLOSED: False,
}
_ORDER = tuple(FAULTS)


class Missing(NamedTuple):
    """A run of bars that are not there, from the first to the last stamp. `sources` were asked for it and have none; of a quarantined or
    rejected bar they are who told it."""

    first: datetime
    last: datetime
    bars: int
    reason: str
    sources: tuple[str, ...]
    detail: str

    @property
    def fault(self) -> bool:
        """Is it missing without excuse?"""
        return FAULTS[self.reason]


class Certificate(NamedTuple):
    """What is there of a symbol in a window, of what ought to be. `expected` is None where no calendar tells; days without a session are
    among the absences, and not expected."""

    symbol: str
    interval: Interval
    start: datetime
    end: datetime
    calendar: str
    expected: int | None
    present: int
    absences: tuple[Missing, ...]

    @property
    def missing(self) -> int:
        """Bars that nothing excuses."""
        return sum(one.bars for one in self.absences if one.fault)

    @property
    def complete(self) -> bool:
        """Is every expected bar there, or excused?"""
        return self.expected is not None and not any(one.fault for one in self.absences)


class Wish(NamedTuple):
    """What is asked about; None where it is left to what the store holds."""

    interval: Interval
    start: datetime | None = None
    end: datetime | None = None
    source: str | None = None
    adjustment: Adjustment | None = None


@dataclass(frozen=True)
class Books:
    """Where the evidence is. `delay` is how late a source lets a finished bar change, `last_asked` what the ledger has of a symbol and
    interval, asked only where bars are missing."""

    store: BarStore
    sessions: Callable[[Reader, BarRequest], Sequence[Session] | None]
    delay: Callable[[str], timedelta]
    last_asked: Callable[[str, str], Sequence[LastAsked]]
    now: datetime

    def certificates(self, symbols: Sequence[Symbol], wish: Wish) -> Iterator[tuple[Symbol, Certificate | None]]:
        """One for each symbol, None where the store knows nothing of it. Raises StoreError."""
        for at in range(0, len(symbols), AT_ONCE):
            with self.store.reading("gaps") as reader:
                made = [(symbol, self._certify(reader, symbol, wish)) for symbol in symbols[at : at + AT_ONCE]]
            yield from made

    def _certify(self, reader: Reader, symbol: Symbol, wish: Wish) -> Certificate | None:
        known = extent(reader.ask, symbol.ticker, wish.interval.value, wish.source)
        if known is None:
            return None
        request = _window(symbol, wish, known, self.now)
        have, sessions = stamps(reader.ask, request, wish.source), self.sessions(reader, request)
        told = (symbol.ticker, wish.interval, request.start, request.end, calendar_for(reader, symbol))
        if sessions is None or not sessions:
            return Certificate(*told, None, len(have), ())
        served, left = _brought(reader, request, wish, have)
        due = timetable_of(sessions).due(wish.interval, request.start, request.end)
        here = within(due, served)
        case = _Case(self, reader, request, wish.source, known, due, np.flatnonzero(~here), have, left)
        runs = [
            *case.runs(sessions),
            *_beyond(request, sessions, self.now),
            *(_closed(request, sessions, told[-1]) if wish.start or not len(due) else ()),
        ]
        return Certificate(*told, len(due), int(here.sum()), tuple(sorted(runs)))


def _window(symbol: Symbol, wish: Wish, known: Extent, now: datetime) -> BarRequest:
    """As asked; else from the first bar, or from where a source was asked on, to where one was asked."""
    length = timedelta(seconds=wish.interval.seconds)
    listed = datetime(known.first_trade.year, known.first_trade.month, known.first_trade.day, tzinfo=UTC) if known.first_trade else None
    since = known.asked_from
    if since is None or since <= BEGINNING:  # all there is was asked for
        since = listed or known.first or _EARLIEST
    since = min(since, known.first or since)
    until = max(known.last + length if known.last else since + length, min(known.asked_until or since, latest_end(wish.interval, now)))
    start = wish.start or since
    return BarRequest(symbol, wish.interval, start, max(wish.end or until, start + length), wish.adjustment or Adjustment.SPLITS)


def _brought(reader: Reader, request: BarRequest, wish: Wish, have: np.ndarray) -> tuple[np.ndarray, str]:
    """The stamps that come out on the basis asked for, all where none is; and why others do not."""
    if wish.adjustment is None:
        return have, ""
    joint = reader.joint(request, (wish.source,) if wish.source else ())
    sets = [columns["ts"].astype("datetime64[us]") for columns in reader.apart(request, joint).values()]
    return np.unique(np.concatenate(sets)) if sets else have[:0], "; ".join(f"{one.source}: {one.why}" for one in joint.left)


def _closed(request: BarRequest, sessions: Sequence[Session], code: str) -> Iterator[Missing]:
    """The days without a session: holidays, and where the window holds nothing else weekends."""
    if request.interval in (Interval.W1, Interval.MO1):
        return
    days, (low, high) = timetable_of(sessions).days, timetable_of(sessions).known
    asked_days = np.arange(_day(request.start), _day(request.end - timedelta(microseconds=1)) + 1)
    closed = asked_days[~np.isin(asked_days, days) & (asked_days >= low) & (asked_days < high)]
    weekend = (closed.astype(np.int64) + 3) % 7 >= 5
    for day, on in zip(closed.tolist(), weekend.tolist(), strict=True):
        if not on or len(closed) == len(asked_days):
            at = datetime(day.year, day.month, day.day, tzinfo=UTC)
            yield Missing(at, at, 1, CLOSED if on else HOLIDAY, (), f"{day:%A}, no trading day of {code}")


def _beyond(request: BarRequest, sessions: Sequence[Session], now: datetime) -> Iterator[Missing]:
    """Before the first and after the last session that the calendar knows: how many bars ought to be there nobody can say."""
    edges = [datetime(s.day.year, s.day.month, s.day.day, tzinfo=UTC) for s in (sessions[0], sessions[-1])]
    low, high = edges[0] - _CLOSED_LONGEST, edges[1] + _CLOSED_LONGEST
    for start, end in ((request.start, low), (high, min(request.end, now))):
        if start < end:
            yield Missing(start, end, 0, NO_CALENDAR, (), "the calendar does not reach so far")


def _day(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.date(), "D")


@dataclass(frozen=True)
class _Case:
    """What is missing of one symbol: the `places` among the stamps that are `due`. `have` are the stamps of all bars, `left` says why some
    cannot be brought to the basis asked for."""

    books: Books
    reader: Reader
    request: BarRequest
    source: str | None
    known: Extent
    due: np.ndarray
    places: np.ndarray
    have: np.ndarray
    left: str

    def runs(self, sessions: Sequence[Session]) -> list[Missing]:
        """Neighbours that are missing for the same reason, at the same sources."""
        if not len(self.places):
            return []
        gone, ask = self.due[self.places], self.reader.ask
        bad, ruled = (look(ask, self.request, self.source) for look in (quarantined, rejected))
        spans = asked(ask, self.request, self.source)
        names = tuple(sorted({span.source for span in spans}))
        voices, pending = _voices(gone, spans, names), self._pending(gone, sessions, names)
        last = self.books.last_asked(self.request.symbol.ticker, self.request.interval.value)
        last = [one for one in last if self.source in (None, one.source)]
        masks = self._masks(gone, voices, pending, last) | {
            OVERRULED: np.isin(gone, np.array(list(ruled), dtype="datetime64[us]")),
            BAD_ROW: np.isin(gone, np.array(list(bad), dtype="datetime64[us]")),
            NULLS: _covered(gone, [s for s in spans if s.reason == _NULL]),
            TOO_EARLY: _covered(gone, [s for s in spans if s.reason == PENDING]),
        }
        codes = np.select([masks[name] for name in _ORDER if name in masks], [i for i, name in enumerate(_ORDER) if name in masks])
        told = _Told(gone, names, voices, bad, ruled, last, self.left)
        edges = _edges(self.places, codes, voices, _owners(gone, (bad, ruled)))
        return [told.run(first, after, _ORDER[codes[first]]) for first, after in edges]

    def _pending(self, gone: np.ndarray, sessions: Sequence[Session], names: Sequence[str]) -> np.ndarray:
        """Not over yet, at the source that is the soonest to say so."""
        delay = min(map(self.books.delay, names), default=timedelta(0))
        mask: np.ndarray = gone >= _stamp(first_pending(self.request, sessions, self.books.now, delay))
        return mask

    def _masks(self, gone: np.ndarray, voices: np.ndarray, pending: np.ndarray, last: Sequence[LastAsked]) -> dict[str, np.ndarray]:
        was_asked, always = voices != 0, np.ones(len(gone), dtype=bool)
        refused = any(one.kind not in ("", _UNKNOWN, _NO_DATA) for one in last)
        return {
            OTHER_BASIS: np.isin(gone, self.have),
            WAITING: pending,
            UNLISTED: self._unlisted(gone, was_asked),
            HALTED: self._quiet(gone),
            DELISTED: self._delisted(gone, voices, pending, last),
            HOLE: was_asked,
            REFUSED: always & refused,
            UNASKED: always,
        }

    def _unlisted(self, gone: np.ndarray, was_asked: np.ndarray) -> np.ndarray:
        """Before the first day of trading. Where no source tells that, before the first bar of a series that begins there."""
        if self.known.first_trade is not None:
            day = self.known.first_trade
            first = period_of(self.request.interval, datetime(day.year, day.month, day.day, tzinfo=UTC))[0]
            told: np.ndarray = gone < np.datetime64(first, "us")
            return told
        if self.known.first is None:
            return np.zeros(len(gone), dtype=bool)
        head: np.ndarray = was_asked & (gone < _stamp(self.known.first))
        return head if head.sum() > _UNHEARD else np.zeros(len(gone), dtype=bool)

    def _delisted(self, gone: np.ndarray, voices: np.ndarray, pending: np.ndarray, last: Sequence[LastAsked]) -> np.ndarray:
        """After the last bar of a symbol that a source had and does not know any more; or where two were asked for many bars in vain."""
        if self.known.last is None:
            return np.zeros(len(gone), dtype=bool)
        tail: np.ndarray = (gone > _stamp(self.known.last)) & ~pending
        had = set(self.reader.told_by(self.request.symbol.ticker, self.request.interval.value))
        if any(one.kind == _UNKNOWN and one.source in had for one in last):
            return tail
        twice = tail & (voices & (voices - 1) != 0)
        return tail if twice.sum() > _UNHEARD else np.zeros(len(gone), dtype=bool)

    def _quiet(self, gone: np.ndarray) -> np.ndarray:
        """What the last judgement of it put down to nobody having traded."""
        found = untraded(self.reader.ask, self.request, self.source)
        quiet = np.zeros(len(gone), dtype=bool)
        for batch in np.unique(found.batch):
            for kind in (True, False):
                some = (found.batch == batch) & (found.quiet == kind)
                quiet[_inside(gone, found.start[some], found.end[some])] = kind
        return quiet


def _voices(gone: np.ndarray, spans: Sequence[Asked], names: Sequence[str]) -> np.ndarray:
    """For each stamp a bit for each source that was asked for it when it was over, and has none."""
    made = np.zeros(len(gone), dtype=np.int64)
    for bit, name in enumerate(names):
        made |= _covered(gone, [s for s in spans if s.source == name and s.reason != PENDING]).astype(np.int64) << bit
    return made


def _covered(gone: np.ndarray, spans: Sequence[Asked]) -> np.ndarray:
    made = np.zeros(len(gone), dtype=bool)
    for span in spans:
        made[np.searchsorted(gone, _stamp(span.start)) : np.searchsorted(gone, _stamp(span.end))] = True
    return made


def _inside(gone: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which stamps lie within one of the runs, which are in order and do not overlap."""
    at = np.searchsorted(starts, gone, "right") - 1
    inside: np.ndarray = (at >= 0) & (gone <= ends[at]) if len(starts) else np.zeros(len(gone), dtype=bool)
    return inside


def _owners(gone: np.ndarray, told: Sequence[dict[datetime, tuple[str, str]]]) -> np.ndarray:
    """For each stamp a number for what is said of it alone, 0 where nothing is: neighbours of which it differs are no run."""
    made, numbers = np.zeros(len(gone), dtype=np.int64), dict[tuple[str, str], int]()
    for ts, words in (pair for some in told for pair in some.items()):
        at = int(np.searchsorted(gone, np.datetime64(ts, "us")))
        if at < len(gone) and gone[at] == np.datetime64(ts, "us"):
            made[at] = numbers.setdefault(words, len(numbers) + 1)
    return made


def _edges(places: np.ndarray, *columns: np.ndarray) -> list[tuple[int, int]]:
    """First, and first after, of each run of neighbours that are alike in all columns."""
    breaks = np.diff(places) != 1
    for column in columns:
        breaks |= np.diff(column) != 0
    edges = np.r_[0, np.flatnonzero(breaks) + 1, len(places)].tolist()
    return list(pairwise(edges))


def _stamp(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None), "us")


class _Told(NamedTuple):
    """The evidence, to be told of a run."""

    gone: np.ndarray
    names: tuple[str, ...]
    voices: np.ndarray
    bad: dict[datetime, tuple[str, str]]
    ruled: dict[datetime, tuple[str, str]]
    last: Sequence[LastAsked]
    left: str

    def run(self, first: int, after: int, reason: str) -> Missing:
        begin, end = self.gone[first].item(), self.gone[after - 1].item()
        sources = tuple(name for bit, name in enumerate(self.names) if self.voices[first] >> bit & 1)
        detail = ""
        if reason in (BAD_ROW, OVERRULED):
            owner, detail = (self.bad if reason == BAD_ROW else self.ruled)[begin]
            sources = (owner,)
        elif reason == OTHER_BASIS:
            detail = self.left
        elif reason == HOLE:
            detail = f"confirmed by {len(sources)} {'source' if len(sources) == 1 else 'sources'}"
        elif reason in (REFUSED, DELISTED):
            kinds = [one for one in self.last if one.kind and (one.kind == _UNKNOWN) is (reason == DELISTED) and one.kind != _NO_DATA]
            detail = ", ".join(f"{one.source} said {one.kind} at {one.at:%Y-%m-%d %H:%M}Z" for one in kinds)
        return Missing(begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC), after - first, reason, sources, detail)
