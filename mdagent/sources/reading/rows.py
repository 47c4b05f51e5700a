"""Delivered rows -> the bars of the window, and a word on every row that is none of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from mdagent.market import COLUMNS, BarSet, Delivery, RejectedRow
from mdagent.sources.reading.columns import Column, row_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdagent.market import Adjustment, BarRequest, CorporateAction, Instrument


@dataclass(frozen=True, slots=True)
class Rows:
    """Good rows in ascending order of stamp, one a stamp, as a (5, n) array in the order of COLUMNS; and the rest, told."""

    ts: np.ndarray
    table: np.ndarray
    delivery: Delivery
    places: np.ndarray  # of each good row, its place in the answer


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of an answer in body order: stamps (datetime64[us]), which of them are real, and the five columns."""

    stamps: np.ndarray
    real: np.ndarray
    columns: tuple[Column, ...]
    snapshot: bool = False
    named: bool = True
    beyond: np.ndarray | None = None  # stamps of further rows outside the window, of which no more was read


def near(stamps: np.ndarray, real: np.ndarray, request: BarRequest) -> np.ndarray:
    """Which rows have to be read: those of the window, and those whose stamp is none. A mask, for the answers that tell decades
    whatever they are asked for."""
    mask: np.ndarray = ~real | ((stamps >= _us(request.start)) & (stamps < _us(request.end)))
    return mask


def assemble(answer: Answer, request: BarRequest) -> Rows:
    """Sort the rows into bars, absences, rejects, conflicts and strangers. A bar needs all four prices; a null volume is NaN.
    Of two rows with one stamp the first is the bar; a differing second is a conflict, an equal one a duplicate."""
    stamps, columns = answer.stamps, answer.columns
    inside = answer.real & (stamps >= _us(request.start)) & (stamps < _us(request.end))
    empty = np.logical_and.reduce([c.null for c in columns])
    spoilt = np.logical_or.reduce([c.null | c.bad for c in columns[:4]]) | columns[4].bad
    good = np.flatnonzero(inside & ~spoilt)
    table = np.array([c.values for c in columns])
    order, unsorted = _ascending(stamps, good)
    ordered = stamps[order]
    first = np.ones(len(order), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    again = ~first
    leader = order[first][np.cumsum(first) - 1][again] if again.any() else order[:0]
    same = np.array([_equal(table[:, a], table[:, b]) for a, b in zip(order[again], leader, strict=True)], dtype=bool)
    rejects = [
        *_rejects(answer, np.flatnonzero(~answer.real), "stamp"),
        *_rejects(answer, np.flatnonzero(inside & spoilt & ~empty), "values"),
    ]
    beyond = stamps[:0] if answer.beyond is None else answer.beyond
    delivery = Delivery(
        rows=len(stamps) + len(beyond),
        rejected=tuple(rejects),
        conflicts=tuple(_rejects(answer, order[again][~same], "duplicates")),
        duplicates=_instants(stamps[order[again][same]]),
        absent=_instants(stamps[inside & empty]),
        outside=_instants(np.concatenate([stamps[answer.real & ~inside], beyond])),
        snapshot=answer.snapshot,
        unsorted=unsorted,
        named=answer.named,
    )
    chosen = order if not again.any() else order[first]
    if len(chosen) < len(stamps) or unsorted:
        ordered, table = stamps[chosen], table[:, chosen]
    return Rows(ordered, table, delivery, chosen)


def _ascending(stamps: np.ndarray, good: np.ndarray) -> tuple[np.ndarray, bool]:
    """Good rows in order of stamp, equal ones in body order; and whether the body had them in another. Most come in order, or in
    exactly the opposite one."""
    gaps = np.diff(stamps[good])
    none = np.timedelta64(0, "us")
    if (gaps >= none).all():
        return good, False
    if (gaps < none).all():
        return good[::-1], True
    return good[np.argsort(stamps[good], kind="stable")], True


def bars_of(  # noqa: PLR0913  what a BarSet says besides its rows
    request: BarRequest,
    source: str,
    answer: Answer,
    adjustment: Adjustment,
    *,
    currency: str | None = None,
    complete_until: datetime | None = None,
    actions: tuple[CorporateAction, ...] = (),
    instrument: Instrument | None = None,
    vwap: np.ndarray | None = None,
    trades: np.ndarray | None = None,
    venue: str = "",
    raw_volume: bool = False,
    late: bool = False,
    extended: bool = False,
) -> BarSet:
    """The rows of an answer as a BarSet of the window, nothing of them lost in silence. `vwap` and `trades` stand beside the rows of
    the answer; `actions` outside the window are left out. Without a `currency` told it is that of the listing's exchange, where that
    has only one. `late`: the provider says its prices are delayed; `extended`: rows outside regular hours come along."""
    rows = assemble(answer, request)
    return BarSet(
        request.symbol,
        request.interval,
        source,
        adjustment,
        currency or request.symbol.currency,
        rows.ts,
        open=rows.table[0],
        high=rows.table[1],
        low=rows.table[2],
        close=rows.table[3],
        volume=rows.table[4],
        vwap=None if vwap is None else vwap[rows.places],
        trades=None if trades is None else trades[rows.places],
        complete_until=complete_until,
        actions=within(actions, request.start, request.end),
        instrument=instrument,
        delivery=rows.delivery._replace(late=late, extended=extended),
        venue=venue,
        raw_volume=raw_volume,
    )


def within(actions: Iterable[CorporateAction], start: datetime, end: datetime) -> tuple[CorporateAction, ...]:
    """The actions with `start <= date < end`, in order."""
    inside = (a for a in actions if start <= datetime(a.date.year, a.date.month, a.date.day, tzinfo=UTC) < end)
    return tuple(sorted(inside, key=lambda a: (a.date, a.kind)))


def _us(instant: datetime) -> np.datetime64:
    return np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")


_EPOCH, _ZERO = datetime(1970, 1, 1, tzinfo=UTC), np.datetime64(0, "us")


def _instants(stamps: np.ndarray) -> tuple[datetime, ...]:
    return tuple(map(_EPOCH.__add__, (stamps - _ZERO).tolist()))  # ten times as fast as giving each its zone


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


_REASONS = {
    "stamp": "its time stamp is no time a bar can have",
    "values": "it lacks a price, or holds something that is no number",
    "duplicates": "a second, different row for one time stamp",
}


def _rejects(answer: Answer, places: np.ndarray, check: str) -> list[RejectedRow]:
    made = []
    for i in places.tolist():
        cells = [None if c.null[i] else float(c.values[i]) if not c.bad[i] else "no number" for c in answer.columns]
        ts = answer.stamps[i].item().replace(tzinfo=UTC) if answer.real[i] else None
        made.append(RejectedRow(ts, check, _REASONS[check], row_text(COLUMNS, cells)))
    return made
