"""Which late sessions are to be asked for again: providers correct what they said at the close for some days."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from mdagent.market import Adjustment, BarRequest, Priority
from mdagent.store.survey import answers
from mdagent.work.backfill import GROUP, Chunk
from mdagent.work.calendar import remembering

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdagent.market import Interval, Symbol
    from mdagent.sessions import Session
    from mdagent.sources.base import Source
    from mdagent.store.bars import BarStore
    from mdagent.store.survey import Answer

AGES = (0, 1, 3, 7)  # sessions after which one is asked for again: at its close, and so many later
BACK = timedelta(days=16)  # what was not settled by then, since nobody ran, is left as it is
_DAY = 86400
_SESSIONS = 10  # of them: seven, and those of a long weekend


def recent(
    store: BarStore, symbols: Sequence[Symbol], intervals: Sequence[Interval], sources: Mapping[str, Source], now: datetime
) -> list[Chunk]:
    """A chunk for each stored series with such sessions, source after source. Weeks and months are settled by their days."""
    made: list[Chunk] = []
    if not store.exists():
        return made
    known, sessions = {s.ticker: s for s in symbols}, remembering()
    for interval in (i for i in intervals if i.seconds <= _DAY):
        for first in range(0, len(symbols), GROUP):
            with store.reading("settle") as reader:
                found = answers(reader.ask, [s.ticker for s in symbols[first : first + GROUP]], interval.value, now - BACK)
                for (ticker, name, basis), told in found.items():
                    if name not in sources:
                        continue
                    request = BarRequest(known[ticker], interval, now - BACK, now, Adjustment(basis), Priority.BATCH)
                    window = again(request, told, sessions(reader, request) or (), now - sources[name].delay)
                    made += [Chunk(window, name, refresh=True)] if window else []
    return sorted(made, key=lambda chunk: chunk.source)


def again(request: BarRequest, answers: Sequence[Answer], sessions: Sequence[Session], over: datetime) -> BarRequest | None:
    """The window from the first to the last session that is due again; None for none. `over`: what closed by then can be final."""
    done = [s for s in sessions if s.closes <= over]
    due = [s for age, s in enumerate(reversed(done[-_SESSIONS:])) if _is_due(len(done) - 1 - age, done, request, answers)]
    if not due:
        return None
    first, last = due[-1], due[0]
    if request.interval.intraday:
        return request.over(first.opens, last.closes)
    return request.over(_midnight(first), _midnight(last) + timedelta(days=1))


def _is_due(place: int, done: Sequence[Session], request: BarRequest, answers: Sequence[Answer]) -> bool:
    """Was the session asked for, and not since it came to the age that it has?"""
    session = done[place]
    stamp = session.opens if request.interval.intraday else _midnight(session)
    asked = max((a.kept_at for a in answers if a.start <= stamp < a.end), default=None)
    age = max(a for a in AGES if a <= len(done) - 1 - place)
    return asked is not None and asked < done[place + age].closes


def _midnight(session: Session) -> datetime:
    return datetime.combine(session.day, time(), UTC)
