"""Rows -> a Parquet file, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from mdagent.errors import StoreFull, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np


def write(columns: Sequence[str], rows: Sequence[tuple[Any, ...]], path: Path) -> None:
    """Write `path` (it must not exist). Columns of text, of numbers (float64, null where absent) and of truth values keep their
    kind; `ts` becomes a timestamp (UTC). Raises StoreFull."""
    import numpy as np

    made: dict[str, Any] = {}
    for name, column in zip(columns, zip(*rows, strict=True) if rows else [()] * len(columns), strict=True):
        kinds = {type(v) for v in column} - {type(None)}
        if name == "ts":
            stamps = [
                v
                if isinstance(v, datetime)
                else datetime.fromisoformat(v).astimezone(UTC).replace(tzinfo=None)
                if "T" in v
                else datetime.fromisoformat(v)
                for v in column
            ]
            made[name] = np.array(stamps, dtype="datetime64[us]")
        elif kinds == {bool}:
            made[name] = np.array(column, dtype=bool)
        elif kinds and kinds <= {int, float}:
            made[name] = np.ma.masked_invalid(np.array(column, dtype=np.float64))
        else:
            made[name] = np.array([None if v is None else str(v) for v in column], dtype=object)
    db = duckdb.connect()
    try:
        db.register("made", made)
        db.execute(f"COPY (SELECT * FROM made) TO '{str(path).replace(chr(39), chr(39) * 2)}' (FORMAT parquet)")
    except duckdb.Error as error:
        if "space" in str(error):
            msg = f"{path} could not be written: no space left"
            raise StoreFull(msg, "free some space, or write elsewhere") from error
        raise
    finally:
        db.close()


_STAMPS = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_TEXTS = ("VARCHAR", "ENUM", "UUID")
_SEALED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def read(path: Path) -> dict[str, np.ndarray | list[str]]:
    """The columns of a Parquet file by name: stamps as datetime64[us] in UTC, numbers as float64 with NaN for null, texts as a list
    with "" for null; others are left out. Raises UsageError for a file that is none."""
    import numpy as np

    db = duckdb.connect(config=_SEALED)
    try:
        # In brackets a sign of a pattern stands for itself.
        name = "".join(f"[{c}]" if c in "*?[" else c for c in str(path)).replace("'", "''")
        kinds = [(str(row[0]), str(row[1])) for row in db.execute(f"DESCRIBE SELECT * FROM read_parquet('{name}')").fetchall()]
        casts = [(column, cast) for column, kind in kinds if (cast := _cast(column, kind))]
        if not casts:
            return {}
        told = db.execute(f"SELECT {', '.join(cast for _, cast in casts)} FROM read_parquet('{name}')").fetchnumpy()
    except duckdb.Error as error:
        msg = f"{path} cannot be read as Parquet: {str(error).splitlines()[0][:200]}"
        raise UsageError(msg, "name a whole Parquet or CSV file") from error
    finally:
        db.close()
    return {column: _filled(np.ma.asarray(values)) for (column, _), values in zip(casts, told.values(), strict=True)}


def _cast(column: str, kind: str) -> str:
    """The column as a query selects it, "" for a kind that no column of a bar has."""
    name = '"' + column.replace('"', '""') + '"'
    if kind.endswith("WITH TIME ZONE") and kind.startswith("TIMESTAMP"):
        return f"make_timestamp(epoch_us({name})) AS {name}"  # a cast would be to this machine's time
    if kind in _STAMPS:
        return f"CAST({name} AS TIMESTAMP) AS {name}"
    if kind.startswith(_TEXTS):
        return f"coalesce(CAST({name} AS VARCHAR), '') AS {name}"
    numeric = kind.startswith(("DECIMAL", "U", "HUGE")) or kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE")
    return f"CAST({name} AS DOUBLE) AS {name}" if numeric else ""


def _filled(values: np.ma.MaskedArray[Any, Any]) -> np.ndarray | list[str]:
    import numpy as np

    if values.dtype.kind == "O":
        return [str(v) for v in values.tolist()]
    kind, nothing = ("datetime64[us]", np.datetime64("NaT")) if values.dtype.kind == "M" else ("float64", np.nan)
    filled: np.ndarray = np.ma.filled(values.astype(kind), nothing)
    return filled
