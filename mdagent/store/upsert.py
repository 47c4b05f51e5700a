"""Bars into the table of bars: new ones at once for many series, and those that take the place of others one series at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdagent.exchanges import unit_of
from mdagent.store.append import told_as_json
from mdagent.store.cover import among
from mdagent.store.literal import literal, naive
from mdagent.store.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy as np
    from duckdb import DuckDBPyConnection

    from mdagent.market import BarSet
    from mdagent.store.series import Ask

# Prices come as float32 and adjusted series wobble in the last place from one fetch to the next: that is no revision.
_SAME = (
    " AND ".join(f"abs(o.{c} - n.{c}) <= 1e-6 * abs(o.{c})" for c in ("open", "high", "low", "close"))
    + " AND o.volume IS NOT DISTINCT FROM n.volume"
)
_PRICES = "open, high, low, close, volume"
_RESTATED = 1e-4  # a source rounds what it divides by a split
# The one factor between all rows that are replaced and what they become: that of a split which nobody told. 1 where there is none.
_ALIKE = (
    f"SELECT CASE WHEN count(*) > 5 AND (max(becomes / close) / min(becomes / close) - 1) < {_RESTATED}"
    " AND NOT median(becomes / close) BETWEEN 0.8 AND 1.25 THEN median(becomes / close) ELSE 1 END FROM gone WHERE close > 0"
)
_SHAPE = (
    '[{"k": "BIGINT", "symbol": "VARCHAR", "interval": "VARCHAR", "source": "VARCHAR", "adjustment": "VARCHAR", "currency": "VARCHAR",'
    ' "fetched_at": "TIMESTAMP", "batch": "BIGINT", "lot": "DOUBLE", "scale": "DOUBLE", "raw_volume": "BOOLEAN", "venue": "VARCHAR"}]'
)
_INSERT = (
    f"INSERT INTO bars SELECT symbol, interval, ts, source, adjustment, {_PRICES}, vwap, trades, currency, provisional, score, fetched_at,"
    " batch, lot, scale, raw_volume, venue FROM"
)


class Delivery(NamedTuple):
    """Bars of one series in order of time, its key, the number of their batch and when they came; `scores` and `provisional` stand beside
    them, row by row."""

    key: tuple[str, str, str, str]
    number: int
    bars: BarSet
    scores: np.ndarray
    provisional: np.ndarray
    at: datetime


class Counts(NamedTuple):
    """Rows new, in place of provisional ones, and of final ones; of these, accounted for by a split, and as they were."""

    inserted: int = 0
    replaced: int = 0
    revised: int = 0
    restatements: int = 0
    confirmed: int = 0


def upsert(db: DuckDBPyConnection, ask: Ask, deliveries: Sequence[Delivery]) -> list[Counts]:
    """Rows that the store has already are left alone; a provisional row is replaced; a final row that changed is kept in `revisions` and
    then replaced. No series may be delivered twice at once."""
    known = _asked_before(db, [one.key for one in deliveries])
    fresh = [one for one in deliveries if len(one.bars) and not (one.key in known and _overlaps(ask, one))]
    _insert(db, fresh)
    new = {one.key for one in fresh}
    return [Counts(len(one.bars)) if one.key in new else _merge(db, ask, one) if len(one.bars) else Counts() for one in deliveries]


def _asked_before(db: DuckDBPyConnection, keys: Sequence[tuple[str, str, str, str]]) -> set[tuple[str, ...]]:
    """The series of which an answer was kept before: only these can have bars."""
    symbols = among(sorted({key[0] for key in keys}))
    rows = db.execute(f"SELECT DISTINCT symbol, interval, source, adjustment FROM journal WHERE symbol IN ({symbols})").fetchall()
    return set(rows)


def _overlaps(ask: Ask, one: Delivery) -> bool:
    span = [*one.key, one.bars.ts[0].item(), one.bars.ts[-1].item()]
    return ask(f"SELECT 1 FROM bars WHERE {KEY} AND ts BETWEEN ? AND ? LIMIT 1", span).fetchone() is not None


def _insert(db: DuckDBPyConnection, fresh: Sequence[Delivery]) -> None:
    if not fresh:
        return
    told = [(k, *one.key, *_facts(one)) for k, one in enumerate(fresh)]
    db.register("incoming", _columns(fresh))
    try:
        db.execute(f"{_INSERT} (SELECT * FROM incoming JOIN ({told_as_json(told, _SHAPE)}) USING (k))")
    finally:
        db.unregister("incoming")


def _facts(one: Delivery) -> tuple[object, ...]:
    bars = one.bars
    return bars.currency, naive(one.at), one.number, bars.lot, unit_of(bars.currency or "")[1], bars.raw_volume, bars.venue or None


def _columns(deliveries: Sequence[Delivery]) -> dict[str, np.ndarray]:
    """The rows of all as one table; `k` is the place of their delivery."""
    import numpy as np

    def joined(name: str) -> np.ndarray:
        absent = np.full(1, np.nan)
        parts = [column if (column := getattr(d.bars, name)) is not None else np.broadcast_to(absent, len(d.bars)) for d in deliveries]
        return np.concatenate(parts)

    made = {name: joined(name) for name in ("ts", "open", "high", "low", "close")}
    made |= {name: np.ma.masked_invalid(joined(name)) for name in ("volume", "vwap", "trades")}
    made["provisional"] = np.concatenate([one.provisional for one in deliveries])
    made["score"] = np.concatenate([one.scores for one in deliveries])
    made["k"] = np.repeat(np.arange(len(deliveries)), [len(one.bars) for one in deliveries])
    return made


def _merge(db: DuckDBPyConnection, ask: Ask, one: Delivery) -> Counts:
    db.register("incoming", _columns([one]))
    try:
        counts = _supersede(db, ask, one)
        facts = ", ".join(f"{literal(word)} AS {name}" for name, word in zip(_NAMES, (*one.key, *_facts(one)), strict=True))  # type: ignore[arg-type]
        db.execute(f"{_INSERT} (SELECT ts, {_PRICES}, vwap, trades, provisional, score, {facts} FROM fresh)")
        db.execute("DROP TABLE fresh")
    finally:
        db.unregister("incoming")
    return counts


_NAMES = ("symbol", "interval", "source", "adjustment", "currency", "fetched_at", "batch", "lot", "scale", "raw_volume", "venue")


def _supersede(db: DuckDBPyConnection, ask: Ask, one: Delivery) -> Counts:
    """Leave in `fresh` the rows to insert, having removed those they replace. A provisional row never replaces a final one."""
    span = [*one.key, one.bars.ts[0].item(), one.bars.ts[-1].item()]
    ask(
        "CREATE TEMP TABLE fresh AS SELECT n.*, o.rid, o.provisional AS was FROM incoming n LEFT JOIN"
        f" (SELECT rowid AS rid, ts, {_PRICES}, provisional, fetched_at FROM bars WHERE {KEY} AND ts BETWEEN ? AND ?) o ON o.ts = n.ts"
        f" WHERE o.ts IS NULL OR (o.provisional AND (NOT n.provisional OR NOT ({_SAME})))"
        f" OR NOT (o.provisional OR n.provisional OR ({_SAME} AND NOT {_doubted(ask, one.key)}))",
        span,
    )
    told = db.execute("SELECT count(*) FILTER (rid IS NULL), count(*) FILTER (was), count(*) FILTER (NOT was) FROM fresh").fetchone()
    inserted, replaced, revised = told or (0, 0, 0)
    why = _revise(db, ask, one) if revised else (0, 0)
    if replaced or revised:
        db.execute("DELETE FROM bars WHERE rowid IN (SELECT rid FROM fresh WHERE rid IS NOT NULL)")
    return Counts(int(inserted), int(replaced), int(revised), *why)


def _doubted(ask: Ask, key: tuple[str, str, str, str]) -> str:
    """The condition for a row that a split told since its delivery would restate: coming again as it was, it had it already, which
    only its new time of delivery can tell."""
    row = ask(
        "SELECT max(date), max(least(fetched_at, CAST(date AS TIMESTAMP) + INTERVAL 1 DAY)) FROM actions"
        " WHERE symbol = ? AND source = ? AND kind = 'split' AND replaced_at IS NULL",
        [key[0], key[2]],
    ).fetchone()
    if not row or row[0] is None or key[3] == "raw":
        return "false"
    return f"(NOT n.provisional AND o.ts < {literal(row[0])} AND o.fetched_at < {literal(row[1])})"


def _revise(db: DuckDBPyConnection, ask: Ask, one: Delivery) -> tuple[int, int]:
    """Keep the final rows that are about to be replaced. A row that comes back divided by the splits since its delivery is restated
    and no error; those are counted, and logged as one restatement. Counted too are rows that came again as they were."""
    since = (  # what a split-adjusted row is to be multiplied by for the splits that were told after it came
        "(SELECT coalesce(product(1 / a.value), 1) FROM actions a"
        " WHERE a.symbol = o.symbol AND a.source = o.source AND a.kind = 'split'"
        " AND a.replaced_at IS NULL AND a.date > CAST(o.ts AS DATE)"
        " AND least(a.fetched_at, CAST(a.date AS TIMESTAMP) + INTERVAL 1 DAY) > o.fetched_at)"
    )
    db.execute(
        f"CREATE TEMP TABLE gone AS SELECT o.*, n.close AS becomes, {since} AS k FROM bars o JOIN fresh n ON o.rowid = n.rid"
        " WHERE NOT n.was"
    )
    db.execute(f"UPDATE gone SET k = ({_ALIKE}) WHERE NOT EXISTS (SELECT 1 FROM gone WHERE k <> 1)")
    split = f"adjustment <> 'raw' AND k <> 1 AND abs(close * k / becomes - 1) < {_RESTATED}"
    at = naive(one.at)
    ask(
        f"INSERT INTO revisions SELECT symbol, interval, ts, source, adjustment, {_PRICES}, score, fetched_at, batch, ?, ?,"
        f" currency, lot, raw_volume, CASE WHEN {split} THEN 'restatement'"
        " WHEN close = becomes THEN 'confirmation' ELSE 'revision' END FROM gone",
        [at, one.number],
    )
    ask(
        "INSERT INTO restatements SELECT ?, ?, ?, ?, count(*), min(ts), max(ts), k, ?, ? FROM gone"
        f" WHERE {split} GROUP BY k HAVING count(*) > 0",
        [*one.key, at, one.number],
    )
    counted = f"SELECT count(*) FILTER ({split}), count(*) FILTER (NOT ({split}) AND close = becomes) FROM gone"
    restated, confirmed = db.execute(counted).fetchone() or (0, 0)
    db.execute("DROP TABLE gone")
    return int(restated), int(confirmed)
