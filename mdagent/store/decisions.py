"""What people decide about bars and mend of them: written, undone and read. What becomes of the bars is told in decided.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.errors import UsageError
from mdagent.market import COLUMNS
from mdagent.store.decided import ANYBODY, MARK, REPAIRED, SAID, SAME_BAR
from mdagent.store.literal import aware, naive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.quality.repair import Correction

    Ask = Callable[[str, Sequence[Any]], Any]

ACCEPT, REJECT = "accept", "reject"
_AT_ONCE = 500  # rows in one statement


class Bar(NamedTuple):
    """A place for one row: `source` is `*` for whoever tells that bar, `ts` an aware UTC stamp."""

    symbol: str
    interval: str
    ts: datetime
    source: str = ANYBODY


class Override(NamedTuple):
    """A person's decision on a bar. Times are aware UTC."""

    number: int
    bar: Bar
    decision: str
    reason: str
    who: str
    decided_at: datetime
    undone_at: datetime | None = None


class Series(NamedTuple):
    """The stored series that a repair is about; `source` without the mark."""

    symbol: str
    interval: str
    source: str
    adjustment: str


class Repaired(NamedTuple):
    """One application of a repair: so many bars of one series, of one type of defect."""

    number: int
    series: Series
    type: str
    bars: int
    first: datetime
    last: datetime
    who: str
    applied_at: datetime
    undone_at: datetime | None


class Mended(NamedTuple):
    """A repaired row: what it says, what the source said, and whether the repair holds. It does not once the source says something else."""

    number: int
    ts: datetime
    source: str
    adjustment: str
    type: str
    evidence: str
    factor: float | None
    new: tuple[float | None, ...]
    old: tuple[float | None, ...]
    who: str
    applied_at: datetime
    undone_at: datetime | None
    holds: bool


_NEW, _OLD = ", ".join(f"m.{c}" for c in COLUMNS), ", ".join(f"m.was_{c}" for c in COLUMNS)


def overrides(ask: Ask, symbol: str | None = None) -> list[Override]:
    """Every decision, of one symbol or of all, the newest first."""
    where, words = (" WHERE symbol = ?", [symbol]) if symbol else ("", [])
    columns = "number, symbol, interval, ts, source, decision, reason, who, decided_at, undone_at"
    return [_override(row) for row in ask(f"SELECT {columns} FROM overrides{where} ORDER BY number DESC", words).fetchall()]


def rule_on(source: str, decided: Sequence[Override]) -> Override | None:
    """Of decisions about one bar that in force for a source: the last one, on that source or on whoever tells the bar."""
    among = [o for o in decided if o.undone_at is None and o.bar.source in (source, ANYBODY)]
    return max(among, key=lambda o: o.number, default=None)


def _override(row: Any) -> Override:  # noqa: ANN401  a row of DuckDB
    number, symbol, interval, ts, source, decision, reason, who, at, undone = row
    return Override(number, Bar(symbol, interval, aware(ts), source), decision, reason, who, aware(at), undone and aware(undone))


def override(ask: Ask, asked: Override) -> tuple[Override, bool]:
    """Write a decision, whose number is given here; and whether it is new: the same one again changes nothing."""
    bar = asked.bar
    held = next((o for o in overrides(ask, bar.symbol) if o.bar == bar and o.undone_at is None), None)
    if held is not None and (held.decision, held.reason) == (asked.decision, asked.reason):
        return held, False
    made = asked._replace(number=_next(ask))
    key = [bar.symbol, bar.interval, naive(bar.ts), bar.source]
    words = [made.number, *key, made.decision, made.reason, made.who, naive(made.decided_at)]
    ask(f"INSERT INTO overrides VALUES ({', '.join('?' * 9)}, NULL)", words)
    return made, True


def undo_override(ask: Ask, number: int, at: datetime) -> Override:
    """Take a decision back; it stays on record. Raises UsageError where there is none to take back."""
    found = next((o for o in overrides(ask) if o.number == number), None)
    if found is None:
        msg = f"there is no override {number}"
        raise UsageError(msg, "mdagent override --list shows their numbers")
    if found.undone_at is not None:
        msg = f"override {number} was undone at {found.undone_at:%Y-%m-%d %H:%M:%S}Z"
        raise UsageError(msg, "decide anew where it is to hold again")
    ask("UPDATE overrides SET undone_at = ? WHERE number = ?", [naive(at), number])
    return found._replace(undone_at=at)


def _next(ask: Ask) -> int:
    return int(ask("SELECT nextval('decisions')", []).fetchone()[0])


def repairs(ask: Ask, symbol: str) -> list[Repaired]:
    """Every application of repairs to a symbol, the newest first."""
    rows = ask(
        "SELECT number, symbol, interval, source, adjustment, type, count(*), min(ts), max(ts), who, applied_at, undone_at FROM repairs"
        " WHERE symbol = ? GROUP BY ALL ORDER BY number DESC",
        [symbol],
    ).fetchall()
    return [
        Repaired(number, Series(*series), kind, bars, aware(first), aware(last), who, aware(at), undone and aware(undone))
        for number, *series, kind, bars, first, last, who, at, undone in rows
    ]


def mended(ask: Ask, symbol: str, interval: str, ts: datetime | None = None) -> list[Mended]:
    """Every repaired row of a symbol and interval, or of one stamp, the newest first."""
    at, words = (" AND m.ts = ?", [naive(ts)]) if ts else ("", [])
    found = ask(
        f"SELECT m.number, m.ts, m.source, m.adjustment, m.type, m.evidence, m.factor, {_NEW}, {_OLD}, m.who, m.applied_at, m.undone_at,"
        f" b.ts IS NULL OR {SAID} FROM repairs m LEFT JOIN bars b ON {SAME_BAR} WHERE m.symbol = ? AND m.interval = ?{at}"
        " ORDER BY m.number DESC, m.ts",
        [symbol, interval, *words],
    ).fetchall()
    made, newest = [], set()
    for number, stamp, source, basis, *told, who, applied, undone, as_then in found:
        key = (stamp, source, basis)
        holds = undone is None and key not in newest and as_then
        newest |= {key} if undone is None else set()
        kind, evidence, factor = told[:3]
        rows = tuple(told[3:8]), tuple(told[8:13])
        times = aware(applied), undone and aware(undone)
        made.append(Mended(number, aware(stamp), source, basis, kind, evidence, factor, *rows, who, *times, holds))
    return made


class Mending(NamedTuple):
    """Corrections of one type to one series, to be applied by `who` in a run."""

    series: Series
    type: str
    corrections: tuple[Correction, ...]
    who: str
    run: str
    at: datetime


def repair(ask: Ask, asked: Mending) -> Repaired | None:
    """Write the corrections that are not in force yet, of rows that say still what was corrected; None where there are none."""
    series, held = asked.series, {}
    for one in mended(ask, series.symbol, series.interval):
        if one.holds and (one.source, one.adjustment) == (series.source, series.adjustment):
            held[one.ts] = one.new
    due = [c for c in asked.corrections if c.new is not None and held.get(c.ts) != cells(c.new)]
    if not due:
        return None
    number, batch = _next(ask), int(ask("SELECT nextval('batches')", []).fetchone()[0])
    stamps: list[datetime] = []
    for from_quarantine in (False, True):
        some = [c for c in due if c.from_quarantine is from_quarantine]
        for start in range(0, len(some), _AT_ONCE):
            stamps += _insert(ask, asked, some[start : start + _AT_ONCE], (number, batch))
    if not stamps:
        return None
    _journal(ask, asked, (batch, min(stamps), max(stamps), len(stamps)))
    return Repaired(number, series, asked.type, len(stamps), min(stamps), max(stamps), asked.who, asked.at, None)


def cells(row: Sequence[float]) -> tuple[float | None, ...]:
    """Open, high, low, close and volume as they are stored: what is not given is NULL."""
    return tuple(None if v != v else float(v) for v in row)  # noqa: PLR0124  NaN


def _insert(ask: Ask, asked: Mending, some: Sequence[Correction], marks: tuple[int, int]) -> list[datetime]:
    """Each beside the facts of the row that it mends; of a quarantined row beside those of the series' last bar."""
    if not some:
        return []
    key = list(asked.series)
    values = ", ".join(f"({', '.join('?' * 14)})" for _ in some)
    words = [w for c in some for w in (naive(c.ts), c.type, c.evidence, c.factor, *cells(c.new or ()), *cells(c.old))]
    names = f"ts, type, evidence, factor, {', '.join(COLUMNS)}, {', '.join(f'was_{c}' for c in COLUMNS)}"
    of_series = "b.symbol = ? AND b.interval = ? AND b.source = ? AND b.adjustment = ?"
    if some[0].from_quarantine:
        fetched = (
            "(SELECT max(fetched_at) FROM quarantine q WHERE q.symbol = b.symbol AND q.interval = b.interval AND q.source = b.source"
            " AND q.adjustment = b.adjustment AND q.ts = m.ts)"
        )
        join = f"(SELECT * FROM bars b WHERE {of_series} ORDER BY ts DESC LIMIT 1) b"
        join += f" ON NOT EXISTS (SELECT 1 FROM bars o WHERE {of_series.replace('b.', 'o.')} AND o.ts = m.ts)"
        words += [*key, *key]
    else:
        fetched, join = "b.fetched_at", f"bars b ON {of_series} AND b.ts = m.ts AND {SAID}"
        words += key
    provisional = "false" if some[0].from_quarantine else "b.provisional"
    rows = ask(
        f"INSERT INTO repairs SELECT {marks[0]}, b.symbol, b.interval, m.ts, b.source, b.adjustment, m.type, m.evidence, m.factor,"
        f" {_NEW}, {_OLD}, b.currency, {provisional}, {REPAIRED}, {fetched}, {marks[1]}, b.lot, b.scale, b.raw_volume, b.venue,"
        f" ?, ?, NULL FROM (VALUES {values}) m({names}) JOIN {join} RETURNING ts",
        [asked.who, naive(asked.at), *words],
    ).fetchall()
    return [aware(ts) for (ts,) in rows]


def _journal(ask: Ask, asked: Mending, what: tuple[int, datetime, datetime, int]) -> None:
    """A repair is a delivery of rows under the mark: none of them comes from a source."""
    batch, first, last, count = what
    symbol, interval, source, basis = asked.series
    words = [batch, naive(asked.at), asked.run, symbol, interval, source + MARK, basis, naive(first), naive(last)]
    ask(f"INSERT INTO journal VALUES ({', '.join('?' * 15)})", [*words, count, count, 0, 0, 0, f"repair {asked.type}"])


def undo_repair(ask: Ask, number: int, symbol: str, run: str, at: datetime) -> Repaired:
    """Take an application back; what the source said stands again. Raises UsageError where there is none to take back."""
    found = next((r for r in repairs(ask, symbol) if r.number == number), None)
    if found is None:
        msg = f"there is no repair {number} of {symbol}"
        raise UsageError(msg, f"mdagent repair {symbol} shows what was applied, and its numbers")
    if found.undone_at is not None:
        msg = f"repair {number} was undone at {found.undone_at:%Y-%m-%d %H:%M:%S}Z"
        raise UsageError(msg, f"mdagent repair {symbol} --apply applies it anew")
    ask("UPDATE repairs SET undone_at = ? WHERE number = ?", [naive(at), number])
    batch = int(ask("SELECT nextval('batches')", []).fetchone()[0])
    undoing = Mending(found.series, f"{found.type} undone", (), found.who, run, at)
    _journal(ask, undoing, (batch, found.first, found.last, 0))
    return found._replace(undone_at=at)
