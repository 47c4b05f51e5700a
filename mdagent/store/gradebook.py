"""How good the stored bars are, month by month, and every grade that was ever given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.decided import ACCEPTED
from mdagent.store.literal import aware

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    Ask = Callable[[str, Sequence[Any]], Any]


class Month(NamedTuple):
    """The bars of one source in one month (`2024-01`) as decisions and repairs leave them: the sum and the least of their scores, how many
    are provisional, and how many a finding holds below the grade that they came with. Quarantined rows are no bars."""

    symbol: str
    interval: str
    source: str
    month: str
    bars: int
    total: float
    least: float | None
    provisional: int
    suspect: int
    quarantined: int


class Grading(NamedTuple):
    """A grade as it was given, with the types of what was found, worst first, and what the delivery changed."""

    batch: int
    symbol: str
    interval: str
    source: str
    adjustment: str
    graded_at: datetime
    start: datetime
    end: datetime
    letter: str
    score: float
    mode: str
    findings: tuple[tuple[str, str, int], ...]  # type, severity, bars
    inserted: int
    revised: int


def earned(ask: Ask) -> dict[str, float]:
    """What each source has earned by the grades of all that it delivered, 0 to 1."""
    return {source: score / 100 for source, score in ask("SELECT source, avg(score) FROM grades GROUP BY source", []).fetchall()}


def months(ask: Ask, symbols: Sequence[str] = (), interval: str | None = None) -> list[Month]:
    """Every month that has bars or quarantined rows, in order; of all symbols where none is named."""
    where, words = _among(symbols, interval, "t")
    rows = ask(
        "SELECT symbol, interval, source, month, sum(bars)::BIGINT, sum(total), min(least), sum(provisional)::BIGINT, sum(suspect)::BIGINT,"
        " sum(quarantined)::BIGINT FROM ("
        " SELECT t.symbol, t.interval, t.source, strftime(t.ts, '%Y-%m') AS month, count(*) AS bars, sum(t.score) AS total,"
        " min(t.score) AS least, count(*) FILTER (t.provisional) AS provisional,"
        f" count(*) FILTER (NOT t.provisional AND g.score IS NOT NULL AND t.score < least(g.score, {ACCEPTED}) - 1e-9) AS suspect,"
        " 0 AS quarantined"
        f" FROM settled t LEFT JOIN grades g USING (batch) WHERE {where} GROUP BY ALL UNION ALL"
        " SELECT t.symbol, t.interval, t.source, coalesce(strftime(t.ts, '%Y-%m'), ''), 0, 0, NULL, 0, 0, count(*)"
        f" FROM quarantine t WHERE {where} GROUP BY ALL) GROUP BY ALL ORDER BY 1, 2, 3, 4",
        [*words, *words],
    ).fetchall()
    return [Month(*row) for row in rows]


def gradings(ask: Ask, symbols: Sequence[str] = (), interval: str | None = None) -> list[Grading]:
    """Every grade, series by series, the oldest first."""
    where, words = _among(symbols, interval, "g")
    rows = ask(
        "SELECT g.batch, g.symbol, g.interval, g.source, g.adjustment, g.kept_at, g.start_ts, g.end_ts, g.letter, g.score, g.mode,"
        " f.types, coalesce(j.inserted, 0), coalesce(j.revised, 0)"
        " FROM grades g LEFT JOIN (SELECT batch, list(type || ' ' || severity || ' ' || count) AS types FROM findings GROUP BY batch) f"
        f" USING (batch) LEFT JOIN journal j USING (batch) WHERE {where} ORDER BY 2, 3, 4, 5, 6, 1",
        words,
    ).fetchall()
    return [
        Grading._make((*r[:5], aware(r[5]), aware(r[6]), aware(r[7]), *r[8:11], tuple(_finding(f) for f in r[11] or ()), *r[12:]))
        for r in rows
    ]


def _finding(text: str) -> tuple[str, str, int]:
    kind, severity, count = text.rsplit(" ", 2)
    return kind, severity, int(count)


def _among(symbols: Sequence[str], interval: str | None, table: str) -> tuple[str, list[str]]:
    parts, words = ["true"], list(symbols)
    if symbols:
        parts.append(f"{table}.symbol IN ({', '.join('?' * len(symbols))})")
    if interval:
        parts.append(f"{table}.interval = ?")
        words.append(interval)
    return " AND ".join(parts), words
