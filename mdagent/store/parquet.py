"""Rows -> a Parquet file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from mdagent.errors import StoreFull

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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
