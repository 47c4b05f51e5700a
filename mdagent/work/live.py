"""Quotes, each with its grade: how late it is beside what its plan promises, and whether other sources say the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mdagent.guard.outcome import Failure
from mdagent.quality.live import grade_live
from mdagent.sessions import calendar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime

    from mdagent.market import Quote, Symbol
    from mdagent.quality.live import Live
    from mdagent.sessions import Session

_WORTH_A_LOOK = timedelta(seconds=30)  # what is later than that may be so because the market is closed
_BACK = timedelta(days=12)


@dataclass(frozen=True)
class Ticker:
    """What quotes are graded with: `ask` asks one source for one symbol, `promised` tells how late each source's plan is, `sessions`
    those of a calendar with start <= day < end."""

    ask: Callable[[Symbol, str], Quote | Failure]
    promised: Mapping[str, timedelta]
    sessions: Callable[[str, date, date], Sequence[Session]]
    now: datetime

    def graded(self, quote: Quote, further: Sequence[str], count: int) -> Live:
        """The grade of a quote, after up to `count` of the `further` sources have been asked for theirs."""
        said: list[float] = []
        for name in further:
            if len(said) >= count:
                break
            other = self.ask(quote.symbol, name) if name != quote.source else None
            if other is not None and not isinstance(other, Failure):
                said.append(other.last)
        promised = self.promised.get(quote.source, timedelta(0))
        late = quote.as_of is not None and self.now - quote.as_of > promised + _WORTH_A_LOOK
        return grade_live(quote.as_of, self.now, promised, said, quote.last, self._closed(quote.symbol) if late else None)

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
