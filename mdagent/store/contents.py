"""What was delivered, hashed again: a stored bar that is not what came with its batch is found, whatever changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.write import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdagent.store.series import Ask

_AT_ONCE = 1_000_000  # rows that are hashed together: some 100 MB
# Batches of which every bar stands as it came. Of others some were there before, or gave way to later ones.
_WHOLE = (
    "SELECT j.batch, j.delivered, j.digest, j.symbol || ' ' || j.interval || ' ' || j.source || ' from ' || CAST(j.start_ts AS VARCHAR)"
    " FROM (SELECT *, count(*) OVER (PARTITION BY batch) AS times FROM journal) j"
    " JOIN (SELECT batch, count(*) AS n FROM bars GROUP BY batch) h ON h.batch = j.batch AND h.n = j.delivered"
    " WHERE j.times = 1 ORDER BY 1"
)


class Contents(NamedTuple):
    """How many batches were hashed, how many cannot be, and the names of those whose bars are not what was delivered."""

    hashed: int
    others: int
    differ: tuple[str, ...]


def contents_of(ask: Ask) -> Contents:
    """Of an open store. Every bar is read once."""
    batches = ask(_WHOLE, []).fetchall()
    count = ask("SELECT count(*) FROM journal WHERE delivered > 0", []).fetchone()[0]
    differ = tuple(name for part in _parts(batches) for name in _differing(ask, part))
    return Contents(len(batches), count - len(batches), differ)


def _parts(batches: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Batches in their order, as many as can be hashed together."""
    part: list[tuple[Any, ...]] = []
    held = 0
    for batch in batches:
        if part and held + batch[1] > _AT_ONCE:
            yield part
            part, held = [], 0
        part.append(batch)
        held += batch[1]
    if part:
        yield part


def _differing(ask: Ask, part: list[tuple[Any, ...]]) -> Iterator[str]:
    import numpy as np

    between = f"batch BETWEEN {part[0][0]:d} AND {part[-1][0]:d}"
    rows = ask(f"SELECT batch, ts, open, high, low, close, volume FROM bars WHERE {between} ORDER BY batch, ts", []).fetchnumpy()
    made = {name: np.ma.filled(column, np.nan) if name == "volume" else column for name, column in rows.items()}
    numbers = np.asarray(made.pop("batch"))
    for number, _, told, name in part:
        mine = slice(*np.searchsorted(numbers, [number, number + 1]))
        if digest_of([np.ascontiguousarray(column[mine]) for column in made.values()]) != told:
            yield name
