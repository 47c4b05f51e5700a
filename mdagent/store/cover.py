"""What sources were asked, and when: read for several symbols at once, changed in memory, and written back at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mdagent.store.append import append
from mdagent.store.literal import literal, naive
from mdagent.store.read import Span
from mdagent.store.series import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

    from duckdb import DuckDBPyConnection

Key = tuple[str, str, str, str]  # symbol, interval, source, adjustment


class Coverage:
    """The spans of all series of some symbols. Times are naive UTC, as the table has them. What is changed is in the table after `write`;
    until then nobody else may change it."""

    def __init__(self, db: DuckDBPyConnection, symbols: Iterable[str]) -> None:
        self._db = db
        self._symbols = sorted(set(symbols))
        self._spans: dict[Key, list[Span]] = {}
        self._told: dict[tuple[str, str], list[Key]] = {}  # the series of a symbol by a source
        self._changed: set[Key] = set()
        for *key, start, end, reason, expires, as_of in db.execute(
            "SELECT symbol, interval, source, adjustment, start_ts, end_ts, reason, expires, as_of FROM coverage"
            f" WHERE symbol IN ({among(self._symbols)})"
        ).fetchall():
            self._of((key[0], key[1], key[2], key[3])).append(Span(start, end, reason, expires, as_of))
        self._stored = set(self._spans)

    def lay(self, key: Sequence[str], spans: Sequence[Span], at: datetime) -> None:
        """New spans, of aware times, take the place of what they overlap, and final neighbours become one."""
        if not spans:
            return
        own = (key[0], key[1], key[2], key[3])
        fresh = [Span(naive(s.start), naive(s.end), s.reason, s.expires and naive(s.expires), naive(at)) for s in spans]
        self._spans[own] = merge(self._of(own), fresh)
        self._changed.add(own)

    def expire(self, kind: str, day: date, symbol: str, source: str) -> bool:
        """A split restates every earlier price that was delivered adjusted for splits, a dividend those adjusted for all: what
        was fetched before it took effect is to be asked for again, so that a series never mixes two bases. Was anything?"""
        from datetime import datetime, time

        first, taken = datetime.combine(day, time()), datetime.combine(day, time()) + timedelta(days=1)
        stale = ("splits", "all") if kind == "split" else ("all",)
        expired = False
        for key in self._told.get((symbol, source), ()):
            if key[1] == ACTIONS or key[3] not in stale:
                continue
            spans = self._spans[key]
            left = [s for s in spans if not (s.start < first and s.as_of is not None and s.as_of < taken)]
            if len(left) < len(spans):
                self._spans[key], expired = left, True
                self._changed.add(key)
        return expired

    def _of(self, key: Key) -> list[Span]:
        if key not in self._spans:
            self._spans[key] = []
            self._told.setdefault((key[0], key[2]), []).append(key)
        return self._spans[key]

    def write(self) -> None:
        """Bring the table up to date."""
        old = sorted(self._changed & self._stored)
        if old:
            keys = ", ".join(f"({', '.join(map(literal, key))})" for key in old)
            where = f"symbol IN ({among(sorted({key[0] for key in old}))}) AND (symbol, interval, source, adjustment) IN ({keys})"
            self._db.execute(f"DELETE FROM coverage WHERE {where}")
        append(self._db, "coverage", [(*key, *span) for key in sorted(self._changed) for span in self._spans[key]])
        self._stored |= self._changed
        self._changed = set()


def among(symbols: Iterable[str]) -> str:
    """The inside of an SQL `IN ()`."""
    return ", ".join(map(literal, symbols)) or "NULL"


def merge(old: list[Span], new: list[Span]) -> list[Span]:
    """The spans after `new` took the place of what they overlap in `old`; touching final spans of one reason are joined."""
    left: list[Span] = list(old)
    for fresh in new:
        pieces: list[Span] = []
        for span in left:
            if span.end <= fresh.start or span.start >= fresh.end:
                pieces.append(span)
                continue
            if span.start < fresh.start:
                pieces.append(span._replace(end=fresh.start))
            if span.end > fresh.end:
                pieces.append(span._replace(start=fresh.end))
        left = [*pieces, fresh]
    joined: list[Span] = []
    for span in sorted(left):
        last = joined[-1] if joined else None
        if last and last.end == span.start and last.expires is None and span.expires is None and last.reason == span.reason:
            joined[-1] = last._replace(end=span.end, as_of=_older(last.as_of, span.as_of))
        else:
            joined.append(span)
    return joined


def _older(a: datetime | None, b: datetime | None) -> datetime | None:
    return min(a, b) if a and b else a or b
