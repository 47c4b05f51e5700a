"""Whole stored series as they were delivered, and what lies beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdagent.market import CorporateAction, RejectedRow
from mdagent.store.literal import aware
from mdagent.store.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.store.decisions import Series

    Ask = Callable[[str, Sequence[Any]], Any]


def delivered(ask: Ask, series: Series) -> dict[datetime, tuple[float | None, ...]]:
    """Open, high, low, close and volume by stamp, to the digit as they came."""
    key = [series.symbol, series.interval, series.source, series.adjustment]
    rows = ask(f"SELECT ts, open, high, low, close, volume FROM bars WHERE {KEY}", key).fetchall()
    return {aware(ts): tuple(cells) for ts, *cells in rows}


def listed_actions(ask: Ask, symbol: str) -> list[tuple[str, CorporateAction]]:
    """Splits and payments as each source lists them now."""
    rows = ask(
        "SELECT source, kind, date, value, adjusted, currency FROM actions WHERE symbol = ? AND replaced_at IS NULL ORDER BY 1, 3, 2",
        [symbol],
    ).fetchall()
    return [(source, CorporateAction(*action)) for source, *action in rows]


def quarantined(ask: Ask, series: Series) -> list[RejectedRow]:
    """The rows of a series that are not served, where no bar took their place."""
    key = [series.symbol, series.interval, series.source, series.adjustment]
    rows = ask(
        f"SELECT ts, check_name, reason, raw FROM quarantine WHERE {KEY} AND ts IS NOT NULL AND ts NOT IN"
        f" (SELECT ts FROM bars WHERE {KEY}) ORDER BY 1, 2",
        [*key, *key],
    ).fetchall()
    return [RejectedRow(aware(ts), *told) for ts, *told in rows]
