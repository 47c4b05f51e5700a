"""A reader that knows beforehand what it will be asked of some symbols: two queries instead of several for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from mdagent.store.cover import among
from mdagent.store.literal import aware
from mdagent.store.read import Reader, Span, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from mdagent.market import BarRequest
    from mdagent.sessions import Session


@dataclass(slots=True)
class Calendars:
    """Sessions that were read once, by calendar and days, and the version of each calendar then: they are thousands of objects, and the
    same for all symbols."""

    versions: dict[str, str | None] = field(default_factory=dict)
    sessions: dict[tuple[str, str | None, date, date], tuple[Session, ...]] = field(default_factory=dict)


class Foreseen(Reader):
    """Answers as the reader that it is made of; nothing may be written meanwhile. `calendars` is kept from one to the next."""

    def __init__(self, reader: Reader, symbols: Iterable[str], calendars: Calendars) -> None:
        super().__init__(reader._db)  # noqa: SLF001  a reader of the same connection
        self._calendars, self._versions = calendars, dict[str, str | None]()
        self._few = among(sorted(set(symbols)))

    @cached_property
    def _spans(self) -> dict[tuple[str, ...], list[Span]]:
        made: dict[tuple[str, ...], list[Span]] = {}
        for *key, start, end, reason, expires in self._db.execute(
            f"SELECT symbol, interval, source, adjustment, start_ts, end_ts, reason, expires FROM coverage WHERE symbol IN ({self._few})"
            " ORDER BY start_ts"
        ).fetchall():
            made.setdefault(tuple(key), []).append(Span(aware(start), aware(end), reason, aware(expires) if expires else None))
        return made

    @cached_property
    def _listed(self) -> dict[str, tuple[str, str, str]]:
        told = f"SELECT symbol, exchange, zone, kind FROM instruments WHERE symbol IN ({self._few}) ORDER BY seen_at"
        return {symbol: (exchange, zone, kind) for symbol, exchange, zone, kind in self._db.execute(told).fetchall()}

    @cached_property
    def _answered(self) -> set[tuple[str, ...]]:
        told = f"SELECT DISTINCT symbol, interval, source, adjustment FROM journal WHERE symbol IN ({self._few})"
        return set(self._db.execute(told).fetchall())

    def coverage(self, request: BarRequest, source: str) -> list[Span]:
        return [s for s in self._spans.get(tuple(key_of(request, source)), ()) if s.end > request.start and s.start < request.end]

    def exchange_of(self, symbol: str) -> tuple[str, str, str] | None:
        return self._listed.get(symbol)

    def deliveries(self, request: BarRequest, source: str) -> tuple[datetime, datetime] | None:
        return super().deliveries(request, source) if tuple(key_of(request, source)) in self._answered else None

    def calendar_version(self, calendar: str) -> str | None:
        if calendar not in self._versions:
            self._versions[calendar] = self._calendars.versions[calendar] = super().calendar_version(calendar)
        return self._versions[calendar]

    def sessions(self, calendar: str, start: date, end: date) -> tuple[Session, ...] | None:
        key = (calendar, self.calendar_version(calendar), start, end)
        if key in self._calendars.sessions:
            return self._calendars.sessions[key]
        found = super().sessions(calendar, start, end)
        if found is not None:  # else it will be built
            self._calendars.sessions[key] = found
        return found


class Blank(Foreseen):
    """A reader of a store that is known to hold nothing of a symbol, so that it need not be opened. Raises LookupError where a calendar
    is asked for that was not read yet."""

    def __init__(self, calendars: Calendars) -> None:
        self._calendars = calendars
        self._spans, self._listed, self._answered = {}, {}, set()

    def knows(self, request: BarRequest, source: str, kinds: str, since: datetime) -> datetime | None:
        del request, source, kinds, since
        return None

    def calendar_version(self, calendar: str) -> str | None:
        return self._calendars.versions[calendar]

    def sessions(self, calendar: str, start: date, end: date) -> tuple[Session, ...] | None:
        return self._calendars.sessions[calendar, self._calendars.versions[calendar], start, end]
