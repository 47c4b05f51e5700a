"""What the store's file holds, and what takes its room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.literal import aware
from mdagent.store.schema import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mdagent.store.series import Ask


class Room(NamedTuple):
    """Rows, and the bytes that they take in the file."""

    rows: int
    bytes: int


class Sizes(NamedTuple):
    """By table, and of the bars by source and interval; bytes of free blocks within the file, when it was first and last written, and
    the version of its tables."""

    tables: dict[str, Room]
    series: dict[tuple[str, str], Room]
    free: int
    first: datetime | None
    last: datetime | None
    version: int


_TABLES = "SELECT table_name FROM duckdb_tables() WHERE NOT temporary AND NOT internal ORDER BY 1"
# Where each segment begins is known, and not where it ends: it ends where the next one of its block begins.
_SEGMENTS = """
    SELECT name, grp, sum(bytes)::BIGINT AS bytes FROM (
        SELECT name, grp, coalesce(lead(pos) OVER (PARTITION BY block ORDER BY pos), {block}) - pos + {block} * more AS bytes
        FROM (SELECT block, pos, any_value(name) AS name, any_value(grp) AS grp, max(more) AS more FROM ({all}) GROUP BY block, pos)
    ) GROUP BY name, grp
"""
_ONE = (
    "SELECT '{0}' AS name, row_group_id AS grp, block_id AS block, block_offset AS pos, len(additional_block_ids) AS more"
    " FROM pragma_storage_info('{0}') WHERE persistent AND block_id >= 0"
)
# Each row of `bars` by the row group that it lies in; a group begins where the rows of those before it end, deleted ones among them.
_SERIES = """
    WITH held AS (
        SELECT grp, coalesce(sum(n) OVER (ORDER BY grp ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS first FROM (
            SELECT row_group_id AS grp, sum(count) AS n FROM pragma_storage_info('bars')
            WHERE column_id = 0 AND segment_type <> 'VALIDITY' GROUP BY 1)
    )
    SELECT source, interval, grp, count(*) FROM bars b ASOF JOIN held g ON b.rowid >= g.first GROUP BY ALL ORDER BY ALL
"""


def sizes_of(ask: Ask) -> Sizes:
    """Of an open store."""
    names = [row[0] for row in ask(_TABLES, []).fetchall()]
    block, free = ask("SELECT block_size, free_blocks FROM pragma_database_size() WHERE database_name = current_database()", []).fetchone()
    segments = _SEGMENTS.format(block=block, all=" UNION ALL ".join(_ONE.format(name) for name in names))
    bytes_of: dict[str, dict[int, int]] = {name: {} for name in names}
    for name, group, size in ask(segments, []).fetchall():
        bytes_of[name][group] = size
    rows = {name: int(ask(f'SELECT count(*) FROM "{name}"', []).fetchone()[0]) for name in names}
    tables = {name: Room(rows[name], sum(bytes_of[name].values())) for name in names}
    first, last = ask("SELECT min(kept_at), max(kept_at) FROM journal", []).fetchone()
    series = dict(_by_series(ask(_SERIES, []).fetchall(), bytes_of["bars"]))
    return Sizes(tables, series, block * free, aware(first) if first else None, aware(last) if last else None, VERSION)


def _by_series(rows: list[tuple[Any, ...]], bytes_of: dict[int, int]) -> Iterator[tuple[tuple[str, str], Room]]:
    """A row group's bytes are shared by its rows."""
    whole: dict[int, int] = {}
    for _, _, group, count in rows:
        whole[group] = whole.get(group, 0) + count
    for key in dict.fromkeys((source, interval) for source, interval, _, _ in rows):
        mine = [(group, count) for source, interval, group, count in rows if (source, interval) == key]
        taken = sum(bytes_of.get(group, 0) * count / whole[group] for group, count in mine)
        yield key, Room(sum(count for _, count in mine), round(taken))
