"""What the store knows of bars that are not there: who was asked for them, what was rejected, and what was found about their absence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.decided import DECIDED
from mdagent.store.literal import aware, naive
from mdagent.store.series import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    import numpy as np

    from mdagent.market import BarRequest

    Ask = Callable[[str, Sequence[Any]], Any]


class Extent(NamedTuple):
    """How far the bars of a symbol reach, how far any source was asked for them, and the first day of trading that any source tells.
    None where there is no such thing."""

    first: datetime | None
    last: datetime | None
    asked_from: datetime | None
    asked_until: datetime | None
    first_trade: date | None


class Asked(NamedTuple):
    """A stretch that a source was asked for, and what came of it; `at` is when."""

    source: str
    start: datetime
    end: datetime
    reason: str
    at: datetime


class Untraded(NamedTuple):
    """Runs of missing stamps that were judged, in order of the judgement: from `start` to `end` (datetime64), both included. `quiet`: as
    when nobody traded."""

    batch: np.ndarray
    quiet: np.ndarray
    start: np.ndarray
    end: np.ndarray


def extent(ask: Ask, symbol: str, interval: str, source: str | None) -> Extent | None:
    """None where there is no bar and nobody was asked for one."""
    own, words = _own(source)
    query = (
        f"SELECT (SELECT struct_pack(a := min(ts), b := max(ts)) FROM bars WHERE symbol = ? AND interval = ?{own}),"
        f" (SELECT struct_pack(a := min(start_ts), b := max(end_ts)) FROM coverage WHERE symbol = ? AND interval = ?{own}),"
        " (SELECT min(first_trade) FROM instruments WHERE symbol = ?)"
    )
    bars, asked, listed = ask(query, [symbol, interval, *words, symbol, interval, *words, symbol]).fetchone()
    first, last, since, until = (moment and aware(moment) for pair in (bars, asked) for moment in (pair["a"], pair["b"]))
    return Extent(first, last, since, until, listed) if first or since else None


def stamps(ask: Ask, request: BarRequest, source: str | None) -> np.ndarray:
    """The stamps of the window that any source has a bar for that may come out, on whatever basis; ascending."""
    symbol = request.symbol.ticker
    decided = ask(f"SELECT 1 FROM ({DECIDED}) WHERE symbol = ? LIMIT 1", [symbol]).fetchone() is not None
    own, words = _own(source)
    query = f"SELECT DISTINCT ts FROM {rows_of(symbol, decided=decided)} t WHERE {_WINDOW}{own} ORDER BY ts"
    found: np.ndarray = ask(query, [*_window(request), *words]).fetchnumpy()["ts"]
    return found.astype("datetime64[us]")


def asked(ask: Ask, request: BarRequest, source: str | None) -> list[Asked]:
    """Every stretch of the window that a source was asked for, on whatever basis."""
    own, words = _own(source)
    rows = ask(
        "SELECT source, start_ts, end_ts, reason, as_of FROM coverage WHERE symbol = ? AND interval = ? AND end_ts > ? AND start_ts < ?"
        f"{own} ORDER BY ALL",
        [*_window(request), *words],
    ).fetchall()
    return [Asked(name, aware(a), aware(b), reason, aware(at)) for name, a, b, reason, at in rows]


def quarantined(ask: Ask, request: BarRequest, source: str | None) -> dict[datetime, tuple[str, str]]:
    """The rows of the window that are not served, by stamp (naive UTC): whose, and why not."""
    own, words = _own(source)
    query = f"SELECT ts, source, reason || ' (' || check_name || ')' FROM quarantine WHERE {_WINDOW}{own} ORDER BY ALL"
    return {ts: (name, why) for ts, name, why in ask(query, [*_window(request), *words]).fetchall()}


def rejected(ask: Ask, request: BarRequest, source: str | None) -> dict[datetime, tuple[str, str]]:
    """The bars of the window that a person does not let stand, by stamp (naive UTC): whose, and who decided it why."""
    own, words = _own(source)
    told = f"SELECT symbol, interval, ts, source FROM bars WHERE {_WINDOW}{own}"
    query = (
        "SELECT b.ts, b.source, 'rejected by ' || o.who || ' (override ' || o.number || '): ' || o.reason FROM overrides o"
        f" JOIN ({told}) b ON o.symbol = b.symbol AND o.interval = b.interval AND o.ts = b.ts AND o.source IN (b.source, '*')"
        " WHERE o.undone_at IS NULL AND o.decision = 'reject' ORDER BY o.number, b.source"
    )
    return {ts: (name, why) for ts, name, why in ask(query, [*_window(request), *words]).fetchall()}


def untraded(ask: Ask, request: BarRequest, source: str | None) -> Untraded:
    """What was found about missing bars of the window. The check of gaps tells with the lowest severity, and only so, what is missing as
    when nobody traded."""
    own, words = _own(source)
    found = (
        "SELECT batch, severity = 'info' AS quiet, coalesce(spans, [start_ts, end_ts]) AS s FROM findings WHERE check_name = 'gaps'"
        f" AND start_ts IS NOT NULL AND symbol = ? AND interval = ? AND end_ts >= ? AND start_ts < ?{own}"
    )
    runs = f"SELECT batch, quiet, s, unnest(range(1, len(s), 2)) AS i FROM ({found})"
    query = f"SELECT batch, quiet, s[i] AS start, s[i + 1] AS end FROM ({runs}) ORDER BY batch, start, quiet"
    told = ask(query, [*_window(request), *words]).fetchnumpy()
    return Untraded(told["batch"], told["quiet"], *(told[n].astype("datetime64[us]") for n in ("start", "end")))


_WINDOW = "symbol = ? AND interval = ? AND ts >= ? AND ts < ?"


def _window(request: BarRequest) -> list[Any]:
    return [request.symbol.ticker, request.interval.value, naive(request.start), naive(request.end)]


def _own(source: str | None) -> tuple[str, list[str]]:
    return (" AND source = ?", [source]) if source else ("", [])
