"""What sources delivered and told, in any basis and unit and at any time, put into a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.market import Adjustment, BarRequest, CorporateAction
from mdagent.store.facts import Heard, Known, Told
from mdagent.store.read import Span
from mdagent.store.write import COMPLETE
from tests.store.batches import batch, keep, utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mdagent.store.bars import BarStore
    from mdagent.store.series import Joint
    from mdagent.store.write import Kept

EARLY, LATE = "2024-01-05T22:00", "2024-01-11T22:00"  # before and after the split of `SPLIT`
SPLIT = date(2024, 1, 9)
JANUARY = ("2024-01-01", "2024-02-01")


def split(day: str | date = SPLIT, ratio: float = 10.0) -> CorporateAction:
    return CorporateAction("split", date.fromisoformat(str(day)), ratio)


def dividend(day: str, amount: float, *, adjusted: bool = False, currency: str | None = None) -> CorporateAction:
    return CorporateAction("dividend", date.fromisoformat(day), amount, adjusted, currency)


def sends(
    store: BarStore, closes: Mapping[str, float], *, source: str = "one", basis: str = "raw", at: str = LATE, currency: str | None = "USD",
    lot: float = 1.0, raw_volume: bool = False, tells: bool = False, **more: Any,
) -> Kept:  # fmt: skip
    """A delivery of bars. `tells`: it holds all splits and payments of its window."""
    made = batch(closes, source=source, **more)
    basis_ = Adjustment(basis)
    bars = replace(made.bars, adjustment=basis_, currency=currency, lot=lot, raw_volume=raw_volume)
    request = replace(made.request, adjustment=basis_)
    return keep(store, replace(made, request=request, bars=bars, at=utc(at), tells_actions=tells))[0]


def tells(
    store: BarStore, *actions: CorporateAction, source: str = "one", at: str = LATE, since: str = "2023-01-01", kinds: str = "all",
    symbol: str = "AAPL", currency: str | None = None, known: bool = True,
) -> bool:  # fmt: skip
    """A source told all splits (and payments) from `since` to the time of its telling; or, with `known` false, some."""
    span = Known(kinds, Span(utc(since), utc(at), COMPLETE, None))
    with store.writing("test") as writer:
        return writer.hear_all([Heard(symbol, source, Told(actions, utc(at), currency, span if known else None))])[0]


class Read(NamedTuple):
    """A consolidated series: closes and volumes by day, unit, who stands in it, who is left out and why."""

    closes: dict[str, float]
    volumes: dict[str, float]
    currency: str | None
    sources: tuple[str, ...]
    left: dict[str, str]


def read(
    store: BarStore, adjust: str = "splits", *, symbol: str = "AAPL", interval: str = "1d", window: tuple[str, str] = JANUARY,
    sources: tuple[str, ...] = (), as_of: str | None = None,
) -> Read:  # fmt: skip
    request = BarRequest(symbol, interval, *window, adjust)  # type: ignore[arg-type]
    then: datetime | None = utc(as_of) if as_of else None
    with store.reading() as reader:
        joint: Joint = reader.joint(request, sources, then)
        rows: list[Any] = reader.rows(request, joint)
    stamps = [f"{r[2]:%Y-%m-%d}" for r in rows]
    assert len(stamps) == len(set(stamps)), "one row a stamp"
    assert stamps == sorted(stamps)
    assert {r[9] for r in rows} <= {adjust}
    assert {r[10] for r in rows} <= {joint.currency}
    return Read(
        {d: round(r[6], 9) for d, r in zip(stamps, rows, strict=True)},
        {d: round(r[7], 9) for d, r in zip(stamps, rows, strict=True)},
        joint.currency,
        tuple(sorted({r[8] for r in rows})),
        {one.source: one.why for one in joint.left},
    )


def days(first: str, *values: float) -> dict[str, float]:
    """Values on consecutive days."""
    start = date.fromisoformat(first)
    return {str(start + timedelta(days=i)): v for i, v in enumerate(values)}
