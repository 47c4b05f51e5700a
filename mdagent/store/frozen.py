"""Results that are pinned by a name: the request, the instant as of which it was read, a hash of its bars, and a mark of each bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.literal import aware, literal, naive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from duckdb import DuckDBPyConnection

    Ask = Callable[[str, Sequence[Any]], Any]


class Frozen(NamedTuple):
    """A pinned result. `digest` is the SHA-256 of all its bars, symbol by symbol in the order named, each in order of time."""

    name: str
    symbols: tuple[str, ...]
    interval: str
    start: datetime
    end: datetime
    adjustment: str
    as_of: datetime
    bars: int
    digest: str
    frozen_at: datetime


class Pin(NamedTuple):
    """One of its bars: the source that won then and the score that it had, which later judgements change; and the first 64 bits of the
    hash of the row, as a signed number. `ts` is naive UTC, as rows have it."""

    ts: datetime
    source: str
    score: float
    mark: int


def frozen(ask: Ask, name: str | None = None) -> list[Frozen]:
    """The pinned result of that name, or all, in order of their names."""
    where, words = (" WHERE name = ?", [name]) if name is not None else ("", [])
    columns = "name, symbols, interval, start_ts, end_ts, adjustment, as_of, bars, digest, frozen_at"
    rows = ask(f"SELECT {columns} FROM frozen{where} ORDER BY name", words).fetchall()
    return [
        Frozen._make((r[0], tuple(r[1].split()), r[2], aware(r[3]), aware(r[4]), r[5], aware(r[6]), *r[7:9], aware(r[9]))) for r in rows
    ]


def pins(ask: Ask, name: str, symbol: str) -> list[Pin]:
    """The bars of one symbol, in order of time."""
    rows = ask("SELECT ts, source, score, mark FROM frozen_bars WHERE name = ? AND symbol = ? ORDER BY ts", [name, symbol]).fetchall()
    return [Pin._make(row) for row in rows]


def keep(ask: Ask, made: Frozen) -> None:
    """Write the result; its bars are written by `keep_pins`."""
    words = [made.name, " ".join(made.symbols), made.interval, naive(made.start), naive(made.end), made.adjustment, naive(made.as_of)]
    ask("INSERT INTO frozen VALUES (?,?,?,?,?,?,?,?,?,?)", [*words, made.bars, made.digest, naive(made.frozen_at)])


def keep_pins(db: DuckDBPyConnection, name: str, symbol: str, some: Sequence[Pin]) -> None:
    """Write the bars of one symbol."""
    import numpy as np

    if not some:
        return
    ts, sources, scores, marks = zip(*some, strict=True)
    columns = {
        "ts": np.array(ts, dtype="datetime64[us]"),
        "source": np.array(sources, dtype=object),
        "score": np.array(scores, dtype=np.float64),
        "mark": np.array(marks, dtype=np.int64),
    }
    db.register("pinned", columns)
    try:
        db.execute(f"INSERT INTO frozen_bars SELECT {literal(name)}, {literal(symbol)}, ts, source, score, mark FROM pinned")
    finally:
        db.unregister("pinned")


def drop(ask: Ask, name: str) -> None:
    """Forget a pinned result. The bars themselves stay."""
    for table in ("frozen", "frozen_bars"):
        ask(f"DELETE FROM {table} WHERE name = ?", [name])
