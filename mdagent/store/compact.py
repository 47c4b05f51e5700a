"""The store's file written anew, without waste and in the order in which it is read."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from mdagent.errors import StoreDamaged, StoreFull
from mdagent.store.literal import literal
from mdagent.store.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mdagent.store.bars import BarStore
    from mdagent.store.series import Ask

# A row group holds 122,880 rows: with the bars of a symbol side by side one symbol is read from one or two of them.
_ORDER = ("symbol", "interval", "source", "adjustment", "ts", "start_ts", "date", "day", "number", "batch")
_AT_ONCE = 500_000  # bars that are sorted at once; of half as many the file would become larger by half
_ROOM = 64 * 1024 * 1024  # beyond the size of the file
_BOUNDS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "300MB",
    "threads": 1,  # each has rows of its own in memory; two take as much of the processor's time
}


class Compacted(NamedTuple):
    """Bytes of the file before and after, the share of it that was waste, and whether it was rewritten."""

    before: int
    after: int
    waste: float
    rewritten: bool


def compact(store: BarStore, *, least_waste: float = 0.0, free: Callable[[Path], int] | None = None) -> Compacted:
    """Rewrite the store when at least that share of it is waste. `free` tells the bytes that a folder's disk has left. Raises StoreFull
    where the new file might not fit beside the old one, StoreDamaged where the two do not hold the same; the old one stays."""
    with store.reading("compact") as reader:
        waste = waste_of(reader.ask)
    before = store.path.stat().st_size
    if waste < least_waste:
        return Compacted(before, before, waste, rewritten=False)
    _need_room(store.path, before, free or _free)
    with store.rewriting("compact") as new:
        _rewrite(store.path, new)
    return Compacted(before, store.path.stat().st_size, waste, rewritten=True)


def waste_of(ask: Ask) -> float:
    """The share of the file that holds nothing: free blocks, and bars that were replaced."""
    total, used = ask(
        "SELECT total_blocks, used_blocks FROM pragma_database_size() WHERE database_name = current_database()", []
    ).fetchone() or (0, 0)
    there = ask("SELECT sum(count) FROM pragma_storage_info('bars') WHERE column_id = 0 AND segment_type <> 'VALIDITY'", []).fetchone()
    live = ask("SELECT count(*) FROM bars", []).fetchone()
    share = live[0] / there[0] if there and live and there[0] else 1.0
    return float(1.0 - min(share, 1.0) * used / total) if total else 0.0


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _need_room(path: Path, size: int, free: Callable[[Path], int]) -> None:
    there, needed = free(path.resolve().parent), size + size // 10 + _ROOM
    if there < needed:
        msg = f"{path.parent} has {there:,} bytes free, and the new file beside {path.name} may need {needed:,}"
        raise StoreFull(msg, "free some space, then run mdagent store compact again; the store was left as it is")


def _rewrite(old: Path, new: Path) -> None:
    db = duckdb.connect(new, config=_BOUNDS)
    try:
        migrate(db, 0)
        db.execute(f"ATTACH {literal(str(old))} AS old (READ_ONLY)")
        db.execute("DELETE FROM meta")
        names = [row[0] for row in db.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'old' ORDER BY 1").fetchall()]
        ours = {row[0] for row in db.execute("SELECT table_name FROM duckdb_tables() WHERE database_name <> 'old'").fetchall()}
        for name in names:
            if name not in ours:
                db.execute(f'CREATE TABLE "{name}" AS SELECT * FROM old."{name}" LIMIT 0')
            for part in _parts(db) if name == "bars" else ("true",):
                db.execute(f'INSERT INTO "{name}" BY NAME SELECT * FROM old."{name}" WHERE {part}{_order(db, name)}')
        _count_on(db)
        db.execute("CHECKPOINT")
        for name in names:
            _prove(db, old, name)
    finally:
        db.close()


def _order(db: duckdb.DuckDBPyConnection, name: str) -> str:
    told = f"SELECT column_name FROM duckdb_columns() WHERE database_name = 'old' AND table_name = {literal(name)}"
    rows = db.execute(told).fetchall()  # without a parameter: with one DuckDB would load pandas
    columns = [column for column in _ORDER if (column,) in rows]
    return f" ORDER BY {', '.join(columns)}" if columns else ""


def _parts(db: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Conditions that between them choose every bar once, each as many symbols as can be sorted at once, in order."""
    rows = db.execute("SELECT symbol, count(*) FROM old.bars GROUP BY 1 ORDER BY 1").fetchall()
    first, held = None, 0
    for n, (symbol, count) in enumerate(rows):
        first, held = first or symbol, held + count
        if n + 1 == len(rows) or held + rows[n + 1][1] > _AT_ONCE:
            yield f"symbol BETWEEN {literal(first)} AND {literal(symbol)}"
            first, held = None, 0


def _count_on(db: duckdb.DuckDBPyConnection) -> None:
    """The counters go on where the old ones stand, and beyond every number that was given."""
    told = "SELECT sequence_name, coalesce(last_value + increment_by, start_value) FROM duckdb_sequences() WHERE database_name = 'old'"
    given = "SELECT coalesce(max(batch), 0) FROM (SELECT batch FROM journal UNION ALL SELECT batch FROM grades)"
    beyond = {"batches": 1 + (db.execute(given).fetchone() or (0,))[0]}
    for name, following in db.execute(told).fetchall():
        db.execute(f'CREATE OR REPLACE SEQUENCE "{name}" START {max(int(following), beyond.get(name, 1))}')


def _prove(db: duckdb.DuckDBPyConnection, old: Path, name: str) -> None:
    """Every row of the old file is in the new one, and no other. Raises StoreDamaged."""
    sums = [db.execute(f'SELECT count(*), sum(hash(t)::HUGEINT) FROM {place}"{name}" t').fetchone() for place in ("old.", "")]
    if sums[0] != sums[1]:
        msg = f"the new file does not hold the same rows of {name} as {old}"
        raise StoreDamaged(msg, "mdagent store check looks for the damage; the store was left as it is")
