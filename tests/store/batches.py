"""Small batches for a store, and what became of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mdagent.clock import VirtualClock
from mdagent.market import BarRequest, BarSet
from mdagent.quality.finding import Finding, Severity, Verdict
from mdagent.quality.grade import arithmetic, grade
from mdagent.store.bars import BarStore
from mdagent.store.read import Span
from mdagent.store.write import Batch, Kept

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mdagent.market import CorporateAction, RejectedRow

NOW = datetime(2024, 2, 5, 22, 0, tzinfo=UTC)


def store_at(folder: Path, world: str = "live", clock: VirtualClock | None = None) -> BarStore:
    return BarStore(folder / "bars.duckdb", world, clock or VirtualClock(NOW))


def utc(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def batch(closes: Mapping[str, float], **more: Any) -> Batch:
    """Flat bars at these closes, by day; a day that ends in `?` is provisional. `more` replaces fields of the batch, and among them
    symbol, source, actions, quarantine, findings, volume."""
    closes = dict(sorted(closes.items()))
    days = [d.rstrip("?") for d in closes]
    prices = np.array(list(closes.values()), dtype=np.float64)
    request = BarRequest(more.pop("symbol", "AAPL"), more.pop("interval", "1d"), utc(min(days)), utc(max(days)) + timedelta(days=1))
    actions: tuple[CorporateAction, ...] = more.pop("actions", ())
    quarantine: tuple[RejectedRow, ...] = more.pop("quarantine", ())
    bars = BarSet(
        request.symbol, request.interval, more.pop("source", "yahoo"), request.adjustment, "USD", np.array(days, dtype="datetime64[us]"),
        prices, prices, prices, prices, np.full(len(days), more.pop("volume", 100.0)), actions=actions,
    )  # fmt: skip
    verdict = Verdict(more.pop("findings", ()), ("schema",), (), request.start, request.end, len(days), len(days), quarantine, bars)
    given = grade(verdict)
    made = Batch(
        run="test",
        request=request,
        bars=bars,
        scores=np.full(len(days), given.score),
        provisional=np.array([d.endswith("?") for d in closes], dtype=bool),
        verdict=verdict,
        grade=given,
        arithmetic="\n".join(arithmetic(given)),
        spans=(Span(request.start, request.end, "complete", None),),
        at=NOW,
    )
    return replace(made, **more)


def finding(message: str) -> Finding:
    return Finding("gaps", "missing_rows", Severity.LOW, utc("2024-01-02"), utc("2024-01-03"), 2, 1.0, "none", message)


def keep(store: BarStore, *batches: Batch) -> list[Kept]:
    """Write each batch in a transaction of its own."""
    kept = []
    for one in batches:
        with store.writing("test") as writer:
            kept.append(writer.keep(one))
    return kept


def closes(store: BarStore, symbol: str = "AAPL", *sources: str) -> dict[str, float]:
    """The stored closes by day; a provisional day ends in `?`."""
    with store.reading() as reader:
        rows: list[Any] = reader.bars([BarRequest(symbol, "1d", "2000-01-01", "2030-01-01")], sources)  # type: ignore[arg-type]
    return {f"{r[2]:%Y-%m-%d}" + ("?" if r[12] else ""): r[6] for r in rows}


def table(store: BarStore, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a SELECT."""
    with store.reading() as reader:
        _, rows, wrong = reader.query(sql)
    assert not wrong, wrong
    return rows
