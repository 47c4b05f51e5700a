"""What sources changed of what they had told: final bars that came back different, and splits and payments told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.market import COLUMNS
from mdagent.store.literal import aware, naive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    Ask = Callable[[str, Sequence[Any]], Any]

Cells = tuple[float | None, ...]  # open, high, low, close and volume


class Change(NamedTuple):
    """A final bar that came back: what it said, told at `told_at`, and what it said from `changed_at` on, None where that is not stored
    any more. `cause` is revision, restatement (all prices by the `factor` of a split) or confirmation (the same prices again)."""

    symbol: str
    interval: str
    ts: datetime
    source: str
    adjustment: str
    cause: str
    old: Cells
    new: Cells | None
    told_at: datetime
    changed_at: datetime
    factor: float | None

    @property
    def size(self) -> float | None:
        """The widest relative change of a price."""
        return _widest(self.old[:4], self.new[:4]) if self.new else None

    @property
    def of_volume(self) -> float | None:
        """The relative change of the volume."""
        return _widest(self.old[4:], self.new[4:]) if self.new else None


class Restated(NamedTuple):
    """A restatement: so many bars multiplied by one factor."""

    symbol: str
    interval: str
    source: str
    adjustment: str
    bars: int
    first: datetime
    last: datetime
    factor: float
    at: datetime


class Retold(NamedTuple):
    """A split or payment that a source took back, or tells otherwise since `changed_at`: then `new` is not None."""

    symbol: str
    source: str
    kind: str
    date: date
    old: float
    new: float | None
    told_at: datetime
    changed_at: datetime

    @property
    def size(self) -> float | None:
        """The relative change; None where it was taken back."""
        return _widest((self.old,), (self.new,))


def _widest(old: Cells, new: Cells) -> float | None:
    """The relative change that is the largest, with its sign."""
    shares = [b / a - 1 for a, b in zip(old, new, strict=True) if a and b is not None]
    return max(shares, key=abs, default=None)


class Which(NamedTuple):
    """Of what changes are asked for; None for all."""

    interval: str | None = None
    source: str | None = None
    since: datetime | None = None


_KEY = "symbol, interval, ts, source, adjustment"
_CELLS = ", ".join(COLUMNS)
_CAUSES = ("revision", "restatement", "confirmation")  # the worst first


def changes(ask: Ask, symbol: str, which: Which) -> list[Change]:
    """Each bar as often as it changed: revisions, the largest first; then what a split accounts for; then what came again as it was."""
    where, words = _among(which, "r", "replaced_at")
    later = ", ".join(f"lead({name}) OVER w AS new_{name}" for name in COLUMNS)
    told = (
        f"SELECT {_KEY}, {_CELLS}, fetched_at, replaced_at, replaced_by, cause FROM revisions WHERE symbol = ? UNION ALL"
        f" SELECT {_KEY}, {_CELLS}, fetched_at, NULL, NULL, NULL FROM bars WHERE symbol = ?"
        f" AND ({_KEY}) IN (SELECT ({_KEY}) FROM revisions WHERE symbol = ?)"
    )
    chained = f"SELECT *, {later} FROM ({told}) WINDOW w AS (PARTITION BY {_KEY} ORDER BY replaced_at NULLS LAST, replaced_by)"
    rows = ask(
        f"SELECT r.symbol, r.interval, r.ts, r.source, r.adjustment, r.cause, {', '.join(f'r.{n}' for n in COLUMNS)},"
        f" {', '.join(f'new_{n}' for n in COLUMNS)}, r.fetched_at, r.replaced_at, any_value(s.factor) FROM ({chained}) r"
        " LEFT JOIN restatements s ON r.cause = 'restatement' AND s.batch = r.replaced_by AND s.symbol = r.symbol"
        " AND s.interval = r.interval AND s.source = r.source AND s.adjustment = r.adjustment AND r.ts BETWEEN s.first_ts AND s.last_ts"
        f" WHERE r.replaced_at IS NOT NULL{where} GROUP BY ALL ORDER BY r.ts, r.interval, r.source, r.adjustment, r.replaced_at",
        [symbol, symbol, symbol, *words],
    ).fetchall()
    found = [
        Change._make(
            (*r[:2], aware(r[2]), *r[3:6], tuple(r[6:11]), None if r[14] is None else tuple(r[11:16]), aware(r[16]), aware(r[17]), r[18])
        )
        for r in rows
    ]
    return sorted(found, key=lambda c: (_CAUSES.index(c.cause), -abs(c.size or 0.0), -abs(c.of_volume or 0.0)))


def restated(ask: Ask, symbol: str, which: Which) -> list[Restated]:
    """The restatements, the newest first."""
    where, words = _among(which, "r", "kept_at")
    columns = "symbol, interval, source, adjustment, bars, first_ts, last_ts, factor, kept_at"
    rows = ask(
        f"SELECT {columns} FROM restatements r WHERE symbol = ?{where} ORDER BY kept_at DESC, interval, source, adjustment, first_ts",
        [symbol, *words],
    ).fetchall()
    return [Restated._make((*r[:5], aware(r[5]), aware(r[6]), r[7], aware(r[8]))) for r in rows]


def retold(ask: Ask, symbol: str, which: Which) -> list[Retold]:
    """Splits and payments that are told no more as they were, the largest change first."""
    where, words = _among(which._replace(interval=None), "a", "replaced_at")
    rows = ask(
        "SELECT a.symbol, a.source, a.kind, a.date, a.value, (SELECT max(n.value) FROM actions n WHERE n.symbol = a.symbol"
        " AND n.source = a.source AND n.kind = a.kind AND n.date = a.date AND n.fetched_at = a.replaced_at), a.fetched_at, a.replaced_at"
        f" FROM actions a WHERE a.symbol = ? AND a.replaced_at IS NOT NULL{where} ORDER BY a.date, a.kind, a.source, a.replaced_at",
        [symbol, *words],
    ).fetchall()
    found = [Retold._make((*r[:6], aware(r[6]), aware(r[7]))) for r in rows]
    return sorted(found, key=lambda one: -abs(one.size if one.size is not None else float("inf")))


def _among(which: Which, table: str, time: str) -> tuple[str, list[Any]]:
    made: list[tuple[str, Any]] = [(f"{table}.{name} = ?", word) for name, word in which._asdict().items() if word and name != "since"]
    made += [(f"{table}.{time} >= ?", naive(which.since))] if which.since else []
    return "".join(f" AND {condition}" for condition, _ in made), [word for _, word in made]
