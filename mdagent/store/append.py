"""Many rows into a table by one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

_shapes: dict[str, str] = {}  # of each table


def append(db: DuckDBPyConnection, table: str, rows: Sequence[Sequence[object]]) -> None:
    """Rows in the order of the table's columns. They are told as JSON, which DuckDB reads some twenty times as fast as literals; values
    that it bound would load pandas. NaN becomes NULL."""
    if not rows:
        return
    db.execute(f"INSERT INTO {table} {told_as_json(rows, _shape_of(db, table))}")


def told_as_json(rows: Sequence[Sequence[object]], shape: str) -> str:
    """A query that gives these rows. `shape` names the columns in their order, and their types, as `from_json` has it."""
    import orjson

    columns = list(orjson.loads(shape)[0])
    told = orjson.dumps([dict(zip(columns, row, strict=True)) for row in rows]).decode().replace("'", "''")
    return f"SELECT told.* FROM (SELECT unnest(from_json('{told}', '{shape}')) AS told)"


def _shape_of(db: DuckDBPyConnection, table: str) -> str:
    """The same in every store of this version."""
    if table not in _shapes:
        import orjson

        found = db.execute(
            f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{table}' AND NOT internal ORDER BY column_index"
        ).fetchall()
        _shapes[table] = orjson.dumps([dict(found)]).decode()
    return _shapes[table]
