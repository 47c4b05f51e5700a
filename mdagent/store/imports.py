"""What the store has already of a series that comes from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdagent.store.literal import aware
from mdagent.store.read import key_of
from mdagent.store.schema import KEY
from mdagent.store.write import digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mdagent.market import BarRequest, CorporateAction
    from mdagent.store.series import Ask
    from mdagent.store.write import Batch


class Delivered(NamedTuple):
    """The last delivery of a series: its window, what it held, and how strictly it was judged."""

    start: datetime
    end: datetime
    digest: str
    quarantined: int
    mode: str


def last_delivery(ask: Ask, request: BarRequest, source: str) -> Delivered | None:
    """None where the series was never delivered. The adjustment of the request is that of the bars as they came."""
    row = ask(
        f"SELECT start_ts, end_ts, digest, quarantined, (SELECT mode FROM grades g WHERE g.batch = j.batch) FROM journal j WHERE {KEY}"
        " ORDER BY batch DESC LIMIT 1",
        key_of(request, source),
    ).fetchone()
    return Delivered(aware(row[0]), aware(row[1]), row[2], int(row[3]), str(row[4])) if row else None


def is_stored(ask: Ask, batch: Batch) -> bool:
    """Was the last delivery of this series the very same: bars, bad rows, splits and payments, judged in the same mode?"""
    last = last_delivery(ask, batch.request, batch.bars.source)
    told = (batch.request.start, batch.request.end, digest(batch.bars), len(batch.verdict.quarantine), batch.verdict.mode)
    if last is None or tuple(last) != told:
        return False
    rows = ask(
        "SELECT kind, date, value FROM actions WHERE symbol = ? AND source = ? AND replaced_at IS NULL ORDER BY ALL",
        [batch.request.symbol.ticker, batch.bars.source],
    ).fetchall()
    return {(kind, day, value) for kind, day, value in rows} >= _in_force(batch.bars.actions, batch.at)


def _in_force(actions: Iterable[CorporateAction], at: datetime) -> set[tuple[object, ...]]:
    return {(one.kind, one.date, one.value) for one in actions if one.date <= at.date()}


def currency_of(ask: Ask, request: BarRequest, source: str) -> tuple[str | None] | None:
    """The currency of the stored bars of a series, in a tuple; None where it has no bars."""
    found: tuple[str | None] | None = ask(
        f"SELECT currency FROM bars WHERE {KEY} ORDER BY fetched_at DESC LIMIT 1", key_of(request, source)
    ).fetchone()
    return found
