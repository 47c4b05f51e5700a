"""Bars as people's decisions and repairs leave them, in SQL: what every reader of a series reads.

A rejected bar is not there. A repaired one stands in place of what its source says, under a mark of its own, for as long as the source
says what it said when it was repaired. An accepted one counts as good. The table `bars` itself stays as it was delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdagent.store.literal import literal

if TYPE_CHECKING:
    from datetime import datetime

MARK = "~repaired"  # follows the name of the source whose bar was repaired; no source is named so
ANYBODY = "*"  # in the place of a source: whoever tells the bar
ACCEPTED = 90.0  # the least that an accepted bar counts for
REPAIRED = 86.0  # what a repaired bar counts for: never as much as one that was right by itself

SAME_BAR = "b.symbol = m.symbol AND b.interval = m.interval AND b.ts = m.ts AND b.source = m.source AND b.adjustment = m.adjustment"
# Prices come as float32 and may come again with another last digit: then the source says what it said.
SAID = (
    "coalesce("
    + " AND ".join(f"abs(b.{c} - m.was_{c}) <= 1e-6 * abs(b.{c})" for c in ("open", "high", "low", "close"))
    + " AND b.volume IS NOT DISTINCT FROM m.was_volume, false)"
)
_FACTS = "open, high, low, close, volume, currency, provisional, score, fetched_at, batch, lot, scale, raw_volume, venue"
_NEWEST = "row_number() OVER (PARTITION BY symbol, interval, ts, source, adjustment ORDER BY number DESC) = 1"


def settled(bars: str = "bars", then: datetime | None = None) -> str:
    """The rows of `bars` (a table, or what stands for one) after all decisions in force, now or at a time (naive UTC), as a subquery.
    `source` stays the source's own name, by which its actions are found; `mark` is what to show for it."""
    rule = "h.symbol = {0}.symbol AND h.interval = {0}.interval AND h.ts = {0}.ts AND {0}.source = {1}"
    own, all_ = rule.format("x", "h.source"), rule.format("y", literal(ANYBODY))
    decision = "CASE WHEN coalesce(x.number, 0) > coalesce(y.number, 0) THEN x.decision ELSE y.decision END"
    return f"""(WITH ruled AS (
        SELECT symbol, interval, ts, source, max(number) AS number, arg_max(decision, number) AS decision
        FROM overrides WHERE {_in_force("decided_at", then)} GROUP BY ALL
    ), mended AS (
        SELECT * FROM repairs WHERE {_in_force("applied_at", then)} QUALIFY {_NEWEST}
    ), told AS NOT MATERIALIZED (SELECT * FROM {bars}), h AS (
        SELECT b.*, b.source AS mark FROM told b WHERE NOT EXISTS (SELECT 1 FROM mended m WHERE {SAME_BAR} AND {SAID})
        UNION ALL BY NAME
        SELECT symbol, interval, ts, source, adjustment, {_FACTS}, source || '{MARK}' AS mark FROM mended m
        WHERE NOT EXISTS (SELECT 1 FROM told b WHERE {SAME_BAR} AND NOT {SAID})
    )
    SELECT h.* REPLACE (CASE WHEN {decision} = 'accept' THEN greatest(h.score, {ACCEPTED}) ELSE h.score END AS score)
    FROM h LEFT JOIN ruled x ON {own} LEFT JOIN ruled y ON {all_} WHERE {decision} IS DISTINCT FROM 'reject')"""


def _in_force(made: str, then: datetime | None) -> str:
    if then is None:
        return "undone_at IS NULL"
    return f"{made} <= {literal(then)} AND (undone_at IS NULL OR undone_at > {literal(then)})"


DECIDED = "SELECT symbol FROM overrides UNION SELECT symbol FROM repairs"  # whose bars are to be read by `settled`; few, or none
