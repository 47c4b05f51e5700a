"""What a look back at stored bars leaves in the store: other findings, other grades, and how far sources agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.literal import naive
from mdagent.store.read import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy as np
    from duckdb import DuckDBPyConnection

    from mdagent.market import BarRequest
    from mdagent.quality.finding import Verdict
    from mdagent.quality.grade import Grade


class Review(NamedTuple):
    """One source's stored series judged anew. `scores` stand beside the bars of `verdict.keep`."""

    request: BarRequest
    source: str
    verdict: Verdict
    grade: Grade
    arithmetic: str
    scores: np.ndarray
    at: datetime


class Agreement(NamedTuple):
    """How far a source agrees with the others on each bar: columns ts, voices, agreement, middle, spread and outvoted."""

    request: BarRequest
    source: str
    columns: Mapping[str, Any]
    at: datetime


def rescore(db: DuckDBPyConnection, review: Review) -> None:
    """Give the bars of a series, on whatever basis it is stored, the scores of a review; a provisional bar keeps its own, and so does one
    that is repaired: what was reviewed is the repair."""
    db.register("reviewed", {"ts": review.verdict.keep.ts, "score": review.scores})
    try:
        symbol, interval, source, _ = key_of(review.request, review.source)
        db.execute(
            "UPDATE bars SET score = reviewed.score FROM reviewed WHERE bars.ts = reviewed.ts AND symbol = ? AND interval = ?"
            " AND source = ? AND NOT provisional AND abs(bars.score - reviewed.score) > 1e-9 AND NOT EXISTS (SELECT 1 FROM repairs r"
            " WHERE r.undone_at IS NULL AND r.symbol = bars.symbol AND r.interval = bars.interval AND r.source = bars.source"
            " AND r.ts = bars.ts)",
            [symbol, interval, source],
        )
    finally:
        db.unregister("reviewed")


def keep_agreements(db: DuckDBPyConnection, agreements: Sequence[Agreement]) -> None:
    """Write how far the sources agree, in place of what was written of the same bars before."""
    for one in agreements:
        symbol, interval, source, adjustment = key_of(one.request, one.source)
        window = [naive(one.request.start), naive(one.request.end)]
        db.execute(
            "DELETE FROM agreements WHERE symbol = ? AND interval = ? AND source = ? AND adjustment = ? AND ts >= ? AND ts < ?",
            [symbol, interval, source, adjustment, *window],
        )
        db.register("agreed", dict(one.columns))
        try:
            db.execute(
                "INSERT INTO agreements SELECT ?, ?, ts, ?, ?, voices, agreement, middle, spread, outvoted, ? FROM agreed",
                [symbol, interval, adjustment, source, naive(one.at)],
            )
        finally:
            db.unregister("agreed")
