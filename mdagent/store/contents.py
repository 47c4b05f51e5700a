"""What was delivered, hashed again: a stored bar that is not what came with its batch is found, whatever changed it."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.write import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdagent.store.series import Ask

_AT_ONCE = 200_000  # rows that are hashed together: some 50 MB
# In the order of `digest`. As lists, so that numpy need not be loaded.
_PRICES = ("open", "high", "low", "close", "coalesce(volume, 'nan'::DOUBLE)")
_LISTS = ", ".join(f"list({column} ORDER BY ts)" for column in ("epoch_us(ts)", *_PRICES))
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
    between = f"batch BETWEEN {part[0][0]:d} AND {part[-1][0]:d}"
    held = {number: columns for number, *columns in ask(f"SELECT batch, {_LISTS} FROM bars WHERE {between} GROUP BY batch", []).fetchall()}
    for number, _, told, name in part:
        ts, *prices = held[number]
        if digest_of([array("q", ts), *(array("d", column) for column in prices)]) != told:
            yield name
