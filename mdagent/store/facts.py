"""What sources tell beside bars: splits, payments and what an instrument is; of many symbols at once."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

from mdagent.store.append import append
from mdagent.store.cover import among
from mdagent.store.literal import literal, naive
from mdagent.store.series import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from mdagent.market import CorporateAction, Instrument
    from mdagent.store.cover import Coverage
    from mdagent.store.read import Span

_Event = tuple[str, date]  # kind and day
_Held = dict[_Event, list[float]]


class Known(NamedTuple):
    """A stretch of which everything of that kind is told: `splits`, or `all` with payments."""

    kinds: str
    span: Span

    def is_about(self, kind: str, day: date) -> bool:
        """Would an action of that day have been told?"""
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return (self.kinds == "all" or kind == "split") and self.span.start <= moment < self.span.end


class Told(NamedTuple):
    """What a source said of splits and payments at a time; amounts are in `currency` where they name none."""

    actions: tuple[CorporateAction, ...]
    at: datetime
    currency: str | None = None
    known: Known | None = None
    batch: int = 0


class Heard(NamedTuple):
    """What a source told of one symbol."""

    symbol: str
    source: str
    told: Told


def keep_actions(db: DuckDBPyConnection, coverage: Coverage, heard: Sequence[Heard]) -> list[bool]:
    """Splits and payments as sources tell them; no symbol twice by one source. What changed or is told no more stays answerable by the
    time it was so. For each: are older bars due again?"""
    held = _held(db, [one for one in heard if one.told.actions or one.told.known])
    fresh: list[tuple[object, ...]] = []
    restated = [_differ(db, coverage, one, held.get((one.symbol, one.source), {}), fresh) for one in heard]
    append(db, "actions", fresh)
    return restated


def keep_instruments(db: DuckDBPyConnection, told: Sequence[tuple[Instrument, datetime]]) -> None:
    """Facts about instruments, in place of what the same source told before; none twice."""
    if not told:
        return
    pairs = ", ".join(f"({literal(one.symbol.ticker)}, {literal(one.source)})" for one, _ in told)
    db.execute(f"DELETE FROM instruments WHERE symbol IN ({among(one.symbol.ticker for one, _ in told)}) AND (symbol, source) IN ({pairs})")
    rows = [(i.symbol.ticker, i.source, i.name, i.exchange, i.zone, i.currency, i.kind, i.first_trade, naive(at)) for i, at in told]
    append(db, "instruments", rows)


def _held(db: DuckDBPyConnection, heard: Sequence[Heard]) -> dict[tuple[str, str], _Held]:
    found: dict[tuple[str, str], _Held] = {}
    if heard:
        rows = db.execute(
            "SELECT symbol, source, kind, date, list(value ORDER BY value) FROM actions"
            f" WHERE symbol IN ({among(one.symbol for one in heard)}) AND replaced_at IS NULL GROUP BY ALL"
        ).fetchall()
        for symbol, source, kind, day, values in rows:
            found.setdefault((symbol, source), {})[kind, day] = values
    return found


def _differ(db: DuckDBPyConnection, coverage: Coverage, heard: Heard, held: _Held, fresh: list[tuple[object, ...]]) -> bool:
    """What is told otherwise than it is held: the old is marked as gone, the new is added to `fresh`."""
    symbol, source, told = heard
    days: dict[_Event, list[CorporateAction]] = {}
    for action in told.actions:
        if action.date > told.at.date():
            continue  # announced; it has not taken effect, and will be told again
        days.setdefault((action.kind, action.date), []).append(action)
    gone = {key for key in held if told.known and key not in days and told.known.is_about(*key)}
    changed = {key for key, group in days.items() if not _alike(held.get(key, []), sorted(a.value for a in group))}
    restated = False
    for kind, day in sorted(changed | gone):
        restated |= coverage.expire(kind, day, symbol, source)
        if (kind, day) in held:
            db.execute(
                f"UPDATE actions SET replaced_at = {literal(naive(told.at))} WHERE symbol = {literal(symbol)}"
                f" AND source = {literal(source)} AND kind = {literal(kind)} AND date = {literal(day)} AND replaced_at IS NULL"
            )
        for action in days.get((kind, day), ()):
            facts = (action.value, action.currency or told.currency, naive(told.at), told.batch, action.adjusted, None)
            fresh.append((symbol, source, kind, day, *facts))
    if told.known:
        coverage.lay((symbol, ACTIONS, source, told.known.kinds), (told.known.span,), told.at)
    return restated


def _alike(old: list[float], new: list[float]) -> bool:
    return len(old) == len(new) and all(abs(a - b) <= 1e-9 * abs(a) for a, b in zip(old, new, strict=True))
