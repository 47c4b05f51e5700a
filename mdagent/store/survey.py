"""What is stored of many symbols, by one query a table: nothing is asked for one symbol at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mdagent.store.literal import aware, naive
from mdagent.store.read import Span
from mdagent.store.series import ACTIONS, known_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mdagent.store.series import Ask

Key = tuple[str, str, str]  # symbol, source, basis


class Graded(NamedTuple):
    """The last grade of a series."""

    letter: str
    score: float


class Answer(NamedTuple):
    """What a source was asked of a series and when its answer was kept."""

    start: datetime
    end: datetime
    kept_at: datetime


@dataclass(frozen=True, slots=True)
class Survey:
    """Of some symbols and one interval: the spans by series, in order; what is known of splits; when the oldest and the newest answer was
    kept; the last grade; rows in quarantine; and exchange, zone and kind, as a source told them last. Times are aware."""

    spans: dict[Key, list[Span]] = field(default_factory=dict)
    splits: dict[tuple[str, str], list[tuple[datetime, datetime]]] = field(default_factory=dict)
    answered: dict[Key, tuple[datetime, datetime]] = field(default_factory=dict)
    grades: dict[Key, Graded] = field(default_factory=dict)
    quarantined: dict[Key, int] = field(default_factory=dict)
    listed: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def series(self, symbol: str, sources: Sequence[str], basis: str) -> list[Key]:
        """The series of a symbol on that basis that any of the sources was asked for, in the order of `sources`."""
        return [key for name in sources if (key := (symbol, name, basis)) in self.spans]

    def is_of_one_piece(self, key: Key) -> bool:
        """Can all rows of the series stand on one adjusted basis? They came on one day, or the splits between are known."""
        found = self.answered.get(key)
        if found is None or found[0].date() == found[1].date():
            return True
        since = found[0].replace(hour=0, minute=0, second=0, microsecond=0)
        reached = known_to(self.splits.get(key[:2], ()), since)
        return reached is not None and reached.date() >= found[1].date()


def survey(ask: Ask, symbols: Sequence[str], interval: str, window: tuple[datetime, datetime]) -> Survey:
    """A look at those symbols, as far as they bear on the window."""
    if not symbols:
        return Survey()
    among = f"symbol IN ({', '.join('?' * len(symbols))})"
    words, bounds, made = list(symbols), [naive(window[0]), naive(window[1])], Survey()
    spans = (
        "SELECT symbol, source, adjustment, interval, start_ts, end_ts, reason, expires FROM coverage"
        f" WHERE {among} AND (interval = ? OR interval = ?) AND (interval = ? OR (end_ts > ? AND start_ts < ?)) ORDER BY start_ts"
    )
    for symbol, source, basis, of, a, b, reason, expires in ask(spans, [*words, interval, ACTIONS, ACTIONS, *bounds]).fetchall():
        if of == ACTIONS:
            made.splits.setdefault((symbol, source), []).append((aware(a), aware(b)))
        else:
            made.spans.setdefault((symbol, source, basis), []).append(Span(aware(a), aware(b), reason, aware(expires) if expires else None))
    by, own = "GROUP BY symbol, source, adjustment", f"{among} AND interval = ?"
    kept = (
        f"SELECT symbol, source, adjustment, min(kept_at), max(kept_at) FROM journal WHERE {own} AND inserted + replaced + revised > 0 {by}"
    )
    made.answered.update(((s, n, b), (aware(x), aware(y))) for s, n, b, x, y in ask(kept, [*words, interval]).fetchall())
    graded = (
        "SELECT symbol, source, adjustment, arg_max(letter, batch), arg_max(score, batch) FROM grades"
        f" WHERE {own} AND end_ts > ? AND start_ts < ? {by}"
    )
    made.grades.update(((s, n, b), Graded(x, y)) for s, n, b, x, y in ask(graded, [*words, interval, *bounds]).fetchall())
    bad = f"SELECT symbol, source, adjustment, count(*) FROM quarantine WHERE {own} AND ts >= ? AND ts < ? {by}"
    made.quarantined.update(((s, n, b), x) for s, n, b, x in ask(bad, [*words, interval, *bounds]).fetchall())
    listed = f"SELECT symbol, arg_max((exchange, zone, kind), seen_at) FROM instruments WHERE {among} GROUP BY symbol"
    made.listed.update((s, tuple(told.values()) if isinstance(told, dict) else tuple(told)) for s, told in ask(listed, words).fetchall())
    return made


def answers(ask: Ask, symbols: Sequence[str], interval: str, since: datetime) -> dict[Key, list[Answer]]:
    """What was asked of each series that reaches beyond `since`, and answered with bars."""
    sql = (
        f"SELECT symbol, source, adjustment, start_ts, end_ts, kept_at FROM journal WHERE symbol IN ({', '.join('?' * len(symbols))})"
        " AND interval = ? AND end_ts > ? AND delivered > 0 ORDER BY kept_at"
    )
    made: dict[Key, list[Answer]] = {}
    for symbol, source, basis, *times in ask(sql, [*symbols, interval, naive(since)]).fetchall() if symbols else ():
        made.setdefault((symbol, source, basis), []).append(Answer(*map(aware, times)))
    return made


def last_bars(ask: Ask, interval: str) -> dict[str, datetime]:
    """The stamp of the last stored bar of every symbol that has bars of that interval, in order of the symbols."""
    rows = ask("SELECT symbol, max(ts) FROM bars WHERE interval = ? GROUP BY symbol ORDER BY symbol", [interval]).fetchall()
    return {symbol: aware(ts) for symbol, ts in rows}
