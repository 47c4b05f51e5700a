"""Quotes, each with its grade: how late it is beside what its plan promises, and whether other sources and the store say the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mdagent.market import Adjustment, BarRequest, Interval
from mdagent.quality.live import Stored, apart, disputed, grade_live
from mdagent.sessions import calendar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from mdagent.market import Quote, Symbol
    from mdagent.quality.live import Live
    from mdagent.sessions import Session
    from mdagent.store.read import Reader

_SAME_TIME = timedelta(minutes=2)  # what is older than that by more is no word against a price: the market has moved since
_LOOKED_BACK = timedelta(days=120)  # for the last close that is stored
_WORTH_A_LOOK = timedelta(seconds=30)  # what is later than that may be so because the market is closed
_BACK = timedelta(days=12)


@dataclass(frozen=True)
class Ticker:
    """What quotes are graded with: `ask` asks one source for one symbol (None: it says nothing), `promised` tells how late each source's
    plan is, `sessions` those of a calendar with start <= day < end, `stored` what the store knows of a symbol in a currency."""

    ask: Callable[[Symbol, str], Quote | None]
    promised: Mapping[str, timedelta]
    sessions: Callable[[str, date, date], Sequence[Session]]
    stored: Callable[[Symbol, str | None], Stored | None]
    now: datetime

    def graded(self, quote: Quote, further: Sequence[str], count: int, *, named: bool = False) -> tuple[Quote, Live]:
        """A quote and its grade, after up to `count` of the `further` sources have been asked for theirs; one more where it is far from
        the last close stored, and one where sources differ. What is outvoted gives way to the other price, unless its source is the one
        that was `named`."""
        stored = self.stored(quote.symbol, quote.currency)
        far = stored is not None and stored.denies(quote.last, self.now)
        unheard = iter([name for name in further if name != quote.source])
        heard = self._heard(quote.symbol, unheard, max(count, int(far)))
        if heard and disputed(quote.last, [other.last for other in heard]):
            heard += self._heard(quote.symbol, unheard, 1)
        better = None if named else outvoted_by(quote, heard, stored, self.now)
        if better is None:
            return quote, self._grade(quote, heard, stored)
        rest = [other for other in heard if other is not better]
        live = self._grade(better, [other for other in rest if not apart(other.last, better.last)], stored)
        return better, live._replace(why=f"{live.why}; {quote.source} says {quote.last:g}")

    def _heard(self, symbol: Symbol, unheard: Iterator[str], count: int) -> list[Quote]:
        """What the next `count` of them say that say anything."""
        said: list[Quote] = []
        while len(said) < count and (name := next(unheard, None)) is not None:
            other = self.ask(symbol, name)
            if other is not None:
                said.append(other)
        return said

    def _grade(self, quote: Quote, others: Sequence[Quote], stored: Stored | None) -> Live:
        promised = self.promised.get(quote.source, timedelta(0))
        late = quote.as_of is not None and self.now - quote.as_of > promised + _WORTH_A_LOOK
        closed = self._closed(quote.symbol) if late else None
        return grade_live(quote.as_of, self.now, promised, [other.last for other in others], quote.last, closed, stored)

    def _closed(self, symbol: Symbol) -> datetime | None:
        """When its market closed last; None while it is open, or where nobody knows."""
        code = calendar_of(symbol)
        if not code:
            return None
        today = self.now.date()
        near = self.sessions(code, today - _BACK, today + timedelta(days=2))
        if any(s.opens <= self.now < s.closes for s in near):
            return None
        return max((s.closes for s in near if s.closes <= self.now), default=None)


def outvoted_by(quote: Quote, heard: Sequence[Quote], stored: Stored | None, now: datetime) -> Quote | None:
    """The first other quote of the same time that has more votes: of those who say the same, and of the last close stored, where one of
    the two prices is far from it and one is not."""

    def votes(one: Quote) -> int:
        alike = sum(not apart(other.last, one.last) for other in (quote, *heard)) - 1
        return alike + (stored is not None and not stored.denies(one.last, now))

    rivals = [other for other in heard if apart(other.last, quote.last) and _as_new(other, quote)]
    return next((other for other in rivals if votes(other) > votes(quote)), None)


def _as_new(other: Quote, quote: Quote) -> bool:
    return other.as_of is not None and (quote.as_of is None or other.as_of >= quote.as_of - _SAME_TIME)


def last_stored(reader: Reader, symbol: Symbol, currency: str | None, now: datetime) -> Stored | None:
    """The last final close that is stored, in that currency, from whichever source; None where there is none."""
    window = BarRequest(symbol, Interval.D1, now - _LOOKED_BACK, now, Adjustment.SPLITS)
    rows: list[tuple[Any, ...]] = [row for row in reader.bars([window]) if not row[12] and row[10] in (None, currency)]
    return Stored.of(rows[-1][2].date(), [row[6] for row in rows]) if rows else None
