"""What a store holds, but for when and by whom it was written: two stores of the same answers are equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdagent.clock import SystemClock
from mdagent.store.bars import BarStore

if TYPE_CHECKING:
    from pathlib import Path

TABLES = {
    "bars": "SELECT symbol, interval, ts, source, adjustment, open, high, low, close, volume, currency, provisional, score, lot FROM bars",
    "coverage": "SELECT symbol, interval, source, adjustment, start_ts, end_ts, reason FROM coverage WHERE interval <> 'actions'",
    "journal": "SELECT symbol, inserted, replaced, revised, digest FROM journal",
    "grades": "SELECT symbol, letter, score FROM grades",
    "revisions": "SELECT symbol, ts FROM revisions",
}


def tables(store: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row, in an order of its own; no key twice."""
    with BarStore(store, "sandbox", SystemClock()).reading() as reader:
        assert reader.duplicates() == 0
        return {name: sorted(reader.ask(sql, []).fetchall(), key=repr) for name, sql in TABLES.items()}
