"""The stored series of a symbol, each source's by itself -> what the checks say of it, beside what the other sources have."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.market import COLUMNS, Adjustment, BarRequest, BarSet, CorporateAction, Delivery, Instrument, RejectedRow, Symbol
from mdagent.quality.checks import Circumstances, judge
from mdagent.quality.grade import grade
from mdagent.work.calendar import calendar_for, known_sessions
from mdagent.work.validate import MARGIN, SPAN, Desk, Judged, Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date

    from mdagent.market import Interval
    from mdagent.sessions import Session
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader, Series
    from mdagent.store.series import Joint

_ONE_SPLIT = timedelta(days=5)  # sources date a split by the days of their own market
AT_ONCE = 16  # symbols that are read while the store is held, and judged after it was given back


class _Case(NamedTuple):
    """One series, read and not yet judged. `others` are on its basis; `left` says who could not be brought to it."""

    request: BarRequest
    bars: BarSet
    others: tuple[BarSet, ...]
    sessions: Sequence[Session] | None
    listed: bool
    notes: tuple[str, ...]


@dataclass(eq=False)
class Shelf:
    """Where stored series are read from. `delay` is how late a source lets a finished bar change, `enabled` who could have been asked,
    `closures` days without a session by calendar."""

    store: BarStore
    desk: Desk
    delay: Callable[[str], timedelta]
    enabled: Sequence[str]
    closures: Mapping[str, Sequence[date]]
    _earned: dict[str, float] = field(default_factory=dict)
    _sessions: dict[tuple[str, date, date], Sequence[Session]] = field(default_factory=dict)

    def symbols(self) -> list[str]:
        """All that have bars."""
        with self.store.reading("validate") as reader:
            return reader.symbols()

    def judged(self, symbols: Sequence[Symbol], interval: Interval, wish: Wish) -> Iterator[tuple[Symbol, list[Judged], tuple[str, ...]]]:
        """For each symbol its series, none where the store has none; and who was left out. Raises StoreError."""
        for at in range(0, len(symbols), AT_ONCE):
            few = symbols[at : at + AT_ONCE]
            with self.store.reading("validate") as reader:
                self._earned = self._earned or reader.earned()
                cases = [self._cases(reader, symbol, interval, wish) for symbol in few]
            for symbol, (found, left) in zip(few, cases, strict=True):
                yield symbol, [self._judge(case, wish) for case in found], left

    def _cases(self, reader: Reader, symbol: Symbol, interval: Interval, wish: Wish) -> tuple[list[_Case], tuple[str, ...]]:
        found = reader.series(symbol.ticker, interval.value)
        if wish.adjustment is not None:
            bases = [wish.adjustment] if found else []
        else:
            bases = sorted({Adjustment(one.adjustment) for one in found})
        made: list[_Case] = []
        left: dict[str, None] = {}
        for basis in bases:
            request = self._window(symbol, interval, basis, found, wish)
            if request is not None:
                joint = reader.joint(request)
                made += self._on_one_basis(reader, request, (found, joint), wish)
                left |= dict.fromkeys(_words(joint))
        return made, tuple(left)

    def _window(self, symbol: Symbol, interval: Interval, basis: Adjustment, found: Sequence[Series], wish: Wish) -> BarRequest | None:
        """The widest of all sources' on this basis; each is judged in its own."""
        start = wish.start or min(one.first for one in found)
        end = wish.end or max(self._until(one, interval) for one in found)
        return BarRequest(symbol, interval, start, end, basis) if start < end else None

    def _until(self, one: Series, interval: Interval) -> datetime:
        """As far as the source was asked, but not into the future."""
        after = one.last + timedelta(seconds=interval.seconds)
        return max(after, min(one.asked_until or after, self.desk.now))

    def _on_one_basis(self, reader: Reader, request: BarRequest, told: tuple[Sequence[Series], Joint], wish: Wish) -> list[_Case]:
        found, joint = told
        columns = sorted(reader.apart(request, joint).items())
        sets = {
            source: replace(bars_of(request, source, cells, joint), venue=reader.venue_of(request, source))
            for source, cells in columns
            if len(cells["ts"])
        }
        made = []
        for source, bars in sets.items():
            own = [one for one in found if one.source == source and (wish.adjustment or one.adjustment == request.adjustment.value)]
            if not own or wish.source not in (None, source):
                continue
            window = request.over(wish.start or min(s.first for s in own), wish.end or max(self._until(s, request.interval) for s in own))
            others = tuple(other for name, other in sets.items() if name != source)
            made.append(self._case(reader, window, bars, others, (own[0], _words(joint))))
        return made

    def _case(
        self, reader: Reader, request: BarRequest, bars: BarSet, others: tuple[BarSet, ...], told: tuple[Series, tuple[str, ...]]
    ) -> _Case:
        series, notes = told
        symbol, source = request.symbol, bars.source
        last = bars.ts[-1].item().replace(tzinfo=UTC)
        listed = knows_all(reader, request.over(request.start, max(last, request.start + timedelta(seconds=1))), source)
        others = tuple(self._with_actions(reader, request, other) for other in others)
        bars = replace(
            bars,
            actions=on_basis(self._actions(reader, request, (source, *(other.source for other in others))), request.adjustment),
            delivery=lost_rows(reader.quarantined(request, source), bars.ts),
            instrument=Instrument(symbol, source, first_trade=series.first_trade),
        )
        return _Case(request, bars, others, self._round(reader, request), listed, notes)

    def _with_actions(self, reader: Reader, request: BarRequest, other: BarSet) -> BarSet:
        """Another source's bars with what it lists, by which it has a voice on splits and payments."""
        told = reader.actions_of(request.symbol.ticker, other.source, request.start, request.end)
        events = knows_all(reader, request, other.source)
        return replace(other, actions=on_basis(told, request.adjustment), delivery=Delivery(events=events)) if told or events else other

    def _actions(self, reader: Reader, request: BarRequest, names: Sequence[str]) -> list[CorporateAction]:
        """What the first of these sources tells; and the splits that only another one does, since a split is the symbol's, whoever tells
        it."""
        own, *rest = (reader.actions_of(request.symbol.ticker, name, request.start, SPAN[1]) for name in names)
        made = list(own)
        for action in (one for told in rest for one in told if one.kind == "split"):
            if all(a.kind != "split" or abs(a.date - action.date) > _ONE_SPLIT for a in made):
                made.append(action)
        return sorted(made, key=lambda a: (a.date, a.kind))

    def _round(self, reader: Reader, request: BarRequest) -> Sequence[Session] | None:
        """The sessions round a window: the stored ones, or where these are out of date those of the desk."""
        code = calendar_for(reader, request.symbol)
        if not code:
            return None
        key = (code, (request.start - MARGIN).date(), (request.end + MARGIN).date())
        if key not in self._sessions:
            stored = known_sessions(reader, request, self.closures)
            self._sessions[key] = (stored[0] if stored else None) or self.desk.sessions(*key)
        return self._sessions[key]

    def _judge(self, case: _Case, wish: Wish) -> Judged:
        source = case.bars.source
        families = {one.source: one.venue for one in case.others if one.venue}
        known = Circumstances(mode=wish.mode, listed=case.listed, others=case.others, earned=self._earned, families=families)
        verdict = judge(case.bars, case.request, case.sessions, self.desk.now, self.delay(source), known)
        there = {source, *(other.source for other in case.others)}
        lacking = tuple(name for name in self.enabled if name not in there)
        return Judged(case.request.symbol.ticker, case.bars, verdict, grade(verdict), case.notes, lacking)


def knows_all(reader: Reader, request: BarRequest, source: str) -> bool:
    """Has a source told all splits and payments of the window?"""
    known = reader.knows(request, source, "all", request.start)
    return known is not None and known >= request.end - _ONE_SPLIT


def _words(joint: Joint) -> tuple[str, ...]:
    return tuple(f"{one.source} is left out: {one.why}" for one in joint.left)


def lost_rows(rows: Sequence[RejectedRow], ts: np.ndarray) -> Delivery:
    """The rows in quarantine, the last of each stamp, where no good one came later."""
    here = frozenset(ts.astype("datetime64[us]").tolist())
    lost = {row.ts: row for row in rows if row.ts is not None and row.ts.replace(tzinfo=None) not in here}
    return Delivery(rows=len(ts) + len(lost), rejected=tuple(lost.values()))


def bars_of(request: BarRequest, source: str, told: Mapping[str, np.ndarray], joint: Joint) -> BarSet:
    """One source's columns, as `Reader.apart` gives them, as a set."""
    open_ones = np.flatnonzero(told["provisional"])
    until = told["ts"][open_ones[0]].astype("datetime64[us]").item().replace(tzinfo=UTC) if len(open_ones) else None
    known = (request.symbol, request.interval, source, request.adjustment, joint.currency, told["ts"])
    opened, high, low, close, volume = (told[name] for name in COLUMNS)
    own = [part for part in joint.parts if part.held.source == source]
    as_traded = any(part.held.raw_volume and all(step.volume == 1.0 for step in part.way.by_stamp) for part in own)
    return BarSet(*known, opened, high, low, close, volume, complete_until=until, raw_volume=as_traded)


def on_basis(actions: Sequence[CorporateAction], basis: Adjustment) -> tuple[CorporateAction, ...]:
    """Amounts in shares of the time that the prices are told in: of their own day where these are raw, else of today."""
    splits = [a for a in actions if a.kind == "split"]
    made = []
    for action in actions:
        times = prod(s.value for s in splits if s.date > action.date)
        if action.kind == "split" or action.adjusted is (basis is not Adjustment.RAW):
            made.append(action)
        else:
            made.append(action._replace(value=action.value * times if action.adjusted else action.value / times))
    return tuple(made)
