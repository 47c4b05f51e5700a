"""A reader that knows beforehand what it will be asked of some symbols: two queries instead of several for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mdagent.store.cover import among
from mdagent.store.literal import aware
from mdagent.store.read import Reader, Span, key_of
from mdagent.store.series import ACTIONS, known_to

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
    """Answers as the reader that it is made of; nothing may be written meanwhile. `calendars` is kept from one to the next. Once it is
    `detached`, it answers without the store, and raises LookupError where a calendar is asked for that was not read yet. Without a
    reader: that of a store which is not there."""

    def __init__(self, reader: Reader | None, symbols: Iterable[str], calendars: Calendars) -> None:
        self._calendars, self._versions = calendars, dict[str, str | None]()
        self._few = among(sorted(set(symbols)))
        self._detached = reader is None
        if reader is not None:
            super().__init__(reader._db)  # noqa: SLF001  a reader of the same connection
        else:
            self._spans, self._listed, self._came = {}, {}, {}

    def detached(self) -> Foreseen:
        """The same, with all that it can be asked read now."""
        if not self._detached:
            _ = self._spans, self._listed, self._came
            self._detached = True
        return self

    @cached_property
    def _spans(self) -> dict[tuple[str, ...], list[Span]]:
        made: dict[tuple[str, ...], list[Span]] = {}
        for *key, start, end, reason, expires in self._rows(
            "SELECT symbol, interval, source, adjustment, start_ts, end_ts, reason, expires FROM coverage", " ORDER BY start_ts"
        ):
            made.setdefault(tuple(key), []).append(Span(aware(start), aware(end), reason, aware(expires) if expires else None))
        return made

    @cached_property
    def _listed(self) -> dict[str, tuple[str, str, str]]:
        told = self._rows("SELECT symbol, exchange, zone, kind FROM instruments", " ORDER BY seen_at")
        return {symbol: (exchange, zone, kind) for symbol, exchange, zone, kind in told}

    @cached_property
    def _came(self) -> dict[tuple[str, ...], tuple[datetime, datetime]]:
        if not self._rows("SELECT 1 FROM journal", " LIMIT 1"):
            return {}
        sql = "SELECT symbol, interval, source, adjustment, min(fetched_at), max(fetched_at) FROM bars"
        return {tuple(key): (aware(first), aware(last)) for *key, first, last in self._rows(sql, " GROUP BY ALL")}

    def _rows(self, sql: str, after: str) -> list[tuple[Any, ...]]:
        return self._db.execute(f"{sql} WHERE symbol IN ({self._few}){after}").fetchall()

    def coverage(self, request: BarRequest, source: str) -> list[Span]:
        return [s for s in self._spans.get(tuple(key_of(request, source)), ()) if s.end > request.start and s.start < request.end]

    def exchange_of(self, symbol: str) -> tuple[str, str, str] | None:
        return self._listed.get(symbol)

    def deliveries(self, request: BarRequest, source: str) -> tuple[datetime, datetime] | None:
        return self._came.get(tuple(key_of(request, source)))

    def knows(self, request: BarRequest, source: str, kinds: str, since: datetime) -> datetime | None:
        symbol, told = request.symbol.ticker, ("all",) if kinds == "all" else ("splits", "all")
        spans = [span for kind in told for span in self._spans.get((symbol, ACTIONS, source, kind), ())]
        return known_to(((span.start, span.end) for span in spans), since)

    def calendar_version(self, calendar: str) -> str | None:
        if self._detached:
            return self._calendars.versions[calendar]
        if calendar not in self._versions:
            self._versions[calendar] = self._calendars.versions[calendar] = super().calendar_version(calendar)
        return self._versions[calendar]

    def sessions(self, calendar: str, start: date, end: date) -> tuple[Session, ...] | None:
        key = (calendar, self.calendar_version(calendar), start, end)
        if key in self._calendars.sessions or self._detached:
            return self._calendars.sessions[key]
        found = super().sessions(calendar, start, end)
        if found is not None:  # else it will be built
            self._calendars.sessions[key] = found
        return found
