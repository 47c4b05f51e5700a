"""The sessions round a window: read from the store, and built into it the first time a calendar is needed."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mdagent.market import Instrument
from mdagent.sessions import build, calendar_of, version_of
from mdagent.store.read import MARGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mdagent.market import BarRequest, Symbol
    from mdagent.sessions import Session
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader

_FIRST_YEAR, _AHEAD = 2000, timedelta(days=500)


def calendar_for(reader: Reader | None, symbol: Symbol) -> str:
    """The calendar code of a symbol by its spelling and what its sources told, "" when unknown."""
    told = reader.exchange_of(symbol.ticker) if reader else None
    return calendar_of(symbol, Instrument(symbol, "", exchange=told[0], zone=told[1], kind=told[2]) if told else None)


def read_sessions(reader: Reader, request: BarRequest) -> Sequence[Session] | None:
    """The materialised sessions round the window; None where the calendar is unknown or not built that far."""
    code = calendar_for(reader, request.symbol)
    return reader.sessions(code, *days_of(request)) if code else None


def known_sessions(reader: Reader, request: BarRequest, closures: Mapping[str, Sequence[date]]) -> tuple[Sequence[Session] | None] | None:
    """What `ensure_sessions` would give, where nothing has to be built for it; else None."""
    code = calendar_for(reader, request.symbol)
    if not code:
        return (None,)
    found = reader.sessions(code, *days_of(request))
    up_to_date = found is not None and reader.calendar_version(code) == version_of(code, tuple(closures.get(code, ())))
    return (found,) if up_to_date else None


def ensure_sessions(store: BarStore, request: BarRequest, closures: Mapping[str, Sequence[date]]) -> Sequence[Session] | None:
    """As `read_sessions`, but builds what is missing or out of date. None only where the calendar is unknown."""
    code, known = calendar_of(request.symbol), None
    if store.exists():
        with store.reading() as reader:
            code, known = calendar_for(reader, request.symbol), known_sessions(reader, request, closures)
    if known or not code:
        return known[0] if known else None
    extra = tuple(closures.get(code, ()))
    start, end = days_of(request)
    table = build(code, min(start - MARGIN, date(_FIRST_YEAR, 1, 1)), max(end, store.clock.now().date() + _AHEAD), extra)
    with store.writing(f"calendar {code}") as writer:
        writer.keep_sessions(table)
    if table.start > start or table.end < end:
        return None  # beyond what the calendar knows
    return tuple(s for s in table.sessions if start - MARGIN <= s.day < end + MARGIN)


def ensure_all(store: BarStore, requests: Iterable[BarRequest], closures: Mapping[str, Sequence[date]]) -> None:
    """Build the calendars that these requests need, each once; what is there stays."""
    widest: dict[str, BarRequest] = {}
    with store.reading() if store.exists() else nullcontext() as reader:
        for request in requests:
            code = calendar_for(reader, request.symbol)
            old = widest.get(code, request)
            widest[code] = old.over(min(old.start, request.start), max(old.end, request.end))
        lacking = [r for code, r in widest.items() if code and not (reader and known_sessions(reader, r, closures))]
    for request in lacking:
        ensure_sessions(store, request, closures)


def remembering() -> Callable[[Reader | None, BarRequest], Sequence[Session] | None]:
    """`read_sessions` for many requests that have the same sessions round their windows."""
    found: dict[tuple[str, date, date], Sequence[Session] | None] = {}

    def sessions(reader: Reader | None, request: BarRequest) -> Sequence[Session] | None:
        code = calendar_for(reader, request.symbol)
        if reader is None or not code:
            return None
        key = (code, *days_of(request))
        if key not in found:
            found[key] = reader.sessions(*key)
        return found[key]

    return sessions


def days_of(request: BarRequest) -> tuple[date, date]:
    """The first day of the window, and the first after it."""
    return request.start.date(), (request.end + timedelta(days=1)).date()
