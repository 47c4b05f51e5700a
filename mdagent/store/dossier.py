"""All that the store knows of one bar: who said what and when, and all that was found, graded, decided and mended about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.decisions import Mended, Override, mended, overrides
from mdagent.store.literal import aware, naive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    Ask = Callable[[str, Sequence[Any]], Any]


class Told(NamedTuple):
    """A row as a source delivered it. Times are aware UTC here and below."""

    source: str
    adjustment: str
    cells: tuple[float | None, ...]
    currency: str | None
    provisional: bool
    score: float
    fetched_at: datetime
    batch: int
    run: str | None


class Remark(NamedTuple):
    """A finding that touches the bar. `stands`: is it of the last judgement of this series?"""

    source: str
    adjustment: str
    check: str
    type: str
    severity: str
    message: str
    graded_at: datetime
    stands: bool


class Given(NamedTuple):
    """The grade of the delivery that a row came with."""

    source: str
    adjustment: str
    letter: str
    score: float
    mode: str
    confidence: float | None
    arithmetic: tuple[str, ...]
    skipped: str
    graded_at: datetime


class Quarantined(NamedTuple):
    """A row of this stamp that is not served."""

    source: str
    adjustment: str
    check: str
    reason: str
    raw: str
    fetched_at: datetime


class Revision(NamedTuple):
    """What a final row said before it came back different, and what the difference is put down to."""

    source: str
    adjustment: str
    cells: tuple[float | None, ...]
    fetched_at: datetime
    replaced_at: datetime
    cause: str


class Agreement(NamedTuple):
    """How far sources agreed on the close when they were last compared."""

    source: str
    adjustment: str
    voices: int
    agreement: float
    middle: float
    spread: float | None
    outvoted: bool
    checked_at: datetime


class Action(NamedTuple):
    """A split or payment after the bar, as a source tells it."""

    source: str
    kind: str
    date: date
    value: float
    currency: str | None


class Asked(NamedTuple):
    """A stretch around the bar for which a source was asked, and what came of it."""

    source: str
    adjustment: str
    reason: str
    as_of: datetime
    expires: datetime | None


class Dossier(NamedTuple):
    """The rows, and everything about them; each in an order that never changes."""

    told: tuple[Told, ...]
    findings: tuple[Remark, ...]
    grades: tuple[Given, ...]
    quarantine: tuple[Quarantined, ...]
    revisions: tuple[Revision, ...]
    agreements: tuple[Agreement, ...]
    actions: tuple[Action, ...]
    asked: tuple[Asked, ...]
    overrides: tuple[Override, ...]
    repairs: tuple[Mended, ...]


_CELLS = "open, high, low, close, volume"
_BAR = "symbol = ? AND interval = ? AND ts = ?"


def dossier(ask: Ask, symbol: str, interval: str, ts: datetime) -> Dossier:
    """The file on the bar with that stamp."""
    key = [symbol, interval, naive(ts)]
    told = _told(ask, key)
    sources = {t.source for t in told}
    return Dossier(
        told,
        _remarks(ask, key),
        _grades(ask, [t.batch for t in told]),
        tuple(
            Quarantined._make((*r[:5], aware(r[5])))
            for r in _rows(ask, "source, adjustment, check_name, reason, raw, fetched_at", "quarantine", key)
        ),
        tuple(
            Revision(r[0], r[1], tuple(r[2:7]), aware(r[7]), aware(r[8]), r[9])
            for r in _rows(ask, f"source, adjustment, {_CELLS}, fetched_at, replaced_at, cause", "revisions", key)
        ),
        tuple(
            Agreement._make((*r[:7], aware(r[7])))
            for r in _rows(ask, "source, adjustment, voices, agreement, middle, spread, outvoted, checked_at", "agreements", key)
        ),
        tuple(a for a in _actions(ask, symbol, ts) if a.source in sources),
        _asked(ask, key),
        tuple(o for o in overrides(ask, symbol) if (o.bar.interval, o.bar.ts) == (interval, ts)),
        tuple(mended(ask, symbol, interval, ts)),
    )


def _rows(ask: Ask, columns: str, table: str, key: list[Any]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = ask(f"SELECT {columns} FROM {table} WHERE {_BAR} ORDER BY ALL", key).fetchall()
    return rows


def _told(ask: Ask, key: list[Any]) -> tuple[Told, ...]:
    rows = ask(
        f"SELECT b.source, b.adjustment, {_CELLS}, currency, provisional, score, fetched_at, batch, run FROM bars b LEFT JOIN journal j"
        " USING (batch) WHERE b.symbol = ? AND b.interval = ? AND b.ts = ? ORDER BY 1, 2",
        key,
    ).fetchall()
    return tuple(Told._make((r[0], r[1], tuple(r[2:7]), *r[7:10], aware(r[10]), *r[11:])) for r in rows)


def _remarks(ask: Ask, key: list[Any]) -> tuple[Remark, ...]:
    """Of equal findings the last one; those of the last judgement first."""
    symbol, interval, ts = key
    rows = ask(
        "SELECT f.source, g.adjustment, f.check_name, f.type, f.severity, f.message, g.kept_at, f.spans, f.batch >= (SELECT max(batch)"
        " FROM grades l WHERE l.symbol = g.symbol AND l.interval = g.interval AND l.source = g.source AND l.adjustment = g.adjustment"
        " AND l.start_ts <= ? AND l.end_ts > ?) FROM findings f JOIN grades g USING (batch)"
        " WHERE f.symbol = ? AND f.interval = ? AND f.start_ts <= ? AND f.end_ts >= ? ORDER BY f.batch DESC, f.check_name, f.message",
        [ts, ts, symbol, interval, ts, ts],
    ).fetchall()
    made: dict[tuple[str, ...], Remark] = {}
    for source, basis, check, kind, severity, message, at, spans, stands in rows:
        if not spans or any(a <= ts <= b for a, b in zip(spans[::2], spans[1::2], strict=True)):
            made.setdefault((source, basis, check, kind), Remark(source, basis, check, kind, severity, message, aware(at), bool(stands)))
    return tuple(sorted(made.values(), key=lambda r: not r.stands))


def _grades(ask: Ask, batches: list[int]) -> tuple[Given, ...]:
    if not batches:
        return ()
    rows = ask(
        "SELECT source, adjustment, letter, score, mode, confidence, arithmetic, skipped, kept_at FROM grades"
        f" WHERE batch IN ({', '.join('?' * len(batches))}) ORDER BY 1, 2",
        batches,
    ).fetchall()
    return tuple(Given._make((*r[:6], tuple(r[6].splitlines()), r[7], aware(r[8]))) for r in rows)


def _actions(ask: Ask, symbol: str, ts: datetime) -> list[Action]:
    rows = ask(
        "SELECT source, kind, date, value, currency FROM actions WHERE symbol = ? AND date > ? AND replaced_at IS NULL ORDER BY 3, 1, 2",
        [symbol, ts.date()],
    ).fetchall()
    return [Action(*row) for row in rows]


def _asked(ask: Ask, key: list[Any]) -> tuple[Asked, ...]:
    rows = ask(
        "SELECT source, adjustment, reason, as_of, expires FROM coverage WHERE symbol = ? AND interval = ? AND start_ts <= ? AND end_ts > ?"
        " ORDER BY 1, 2",
        [*key, key[2]],
    ).fetchall()
    return tuple(Asked._make((*r[:3], aware(r[3]), r[4] and aware(r[4]))) for r in rows)


def first_trade(ask: Ask, symbol: str) -> tuple[str, date] | None:
    """The first day of trading that any source tells, the earliest, and who tells it."""
    row = ask("SELECT source, first_trade FROM instruments WHERE symbol = ? AND first_trade IS NOT NULL ORDER BY 2, 1 LIMIT 1", [symbol])
    found = row.fetchone()
    return (found[0], found[1]) if found else None


def stamp_in(ask: Ask, symbol: str, interval: str, moment: datetime, seconds: int) -> datetime | None:
    """The stamp of the stored or quarantined bar whose period holds this moment; None where there is none."""
    among = "SELECT ts FROM bars WHERE symbol = ? AND interval = ? AND ts <= ? UNION ALL SELECT ts FROM quarantine"
    row = ask(
        f"SELECT max(ts) FROM ({among} WHERE symbol = ? AND interval = ? AND ts <= ?)", [symbol, interval, naive(moment)] * 2
    ).fetchone()
    found = aware(row[0]) if row and row[0] else None
    return found if found and (moment - found).total_seconds() < seconds else None
