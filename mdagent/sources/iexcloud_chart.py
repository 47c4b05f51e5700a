"""IEX Cloud's charts -> bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mdagent.guard.outcome import FailureKind
from mdagent.market import COLUMNS, Adjustment
from mdagent.sources.iexcloud import check_symbol
from mdagent.sources.reading.body import failed
from mdagent.sources.reading.columns import Column, numbers
from mdagent.sources.reading.rows import Answer, bars_of
from mdagent.sources.reading.spacing import check_spacing
from mdagent.sources.reading.tables import cells, has, objects
from mdagent.sources.reading.texts import dates, times
from mdagent.sources.reading.windows import period_of
from mdagent.sources.reading.zones import instants_in, zone_of
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from mdagent.market import BarRequest, BarSet

SOURCE = "iexcloud"
_ENOUGH = 3  # rows from which a spacing can be told
_FIRST, _LAST = np.datetime64("1900-01-01"), np.datetime64("2100-01-01")  # no bar is stamped before or after


def read_chart(body: object, request: BarRequest) -> BarSet:
    """The bars of a chart that lie in the window. Raises ConversationFailed: NO_DATA, SCHEMA, MISMATCH."""
    rows = objects(body.get("data") if isinstance(body, dict) else body, "bars")
    if not rows:
        msg = f"IEX Cloud has no {request.interval} bars of {request.symbol} in this range"
        raise failed(FailureKind.NO_DATA, msg)
    _check_rows(rows, request)
    currency = _check_about(rows, request)
    if request.interval.intraday:
        whole = has(rows, "marketClose")
        stamps, real = _minutes(rows)
        answer = Answer(stamps, real, _columns(rows, "market" if whole else ""))
        return bars_of(request, SOURCE, answer, Adjustment.RAW, currency=currency, venue="" if whole else "IEX")
    told, real = dates(_iso(cells(rows, "date")))
    real &= (told >= _FIRST) & (told < _LAST)
    stamps = period_of(told, request.interval)
    check_spacing(stamps[real], request.interval)
    raw = request.adjustment is Adjustment.RAW and has(rows, "uClose")
    answer = Answer(stamps, real, _columns(rows, "u" if raw else ""))
    return bars_of(request, SOURCE, answer, Adjustment.RAW if raw else Adjustment.SPLITS, currency=currency)


def _check_rows(rows: list[dict[str, Any]], request: BarRequest) -> None:
    """Days and minutes come in one format: the rows themselves say which they are."""
    if has(rows, "minute") is not request.interval.intraday:
        msg = f"{request.interval} bars were asked for, the rows of the answer are {'days' if request.interval.intraday else 'minutes'}"
        raise failed(FailureKind.MISMATCH, msg)


def _check_about(rows: list[dict[str, Any]], request: BarRequest) -> str | None:
    """The currency where the rows tell one (late answers did); symbol and currency must be those asked for."""
    for told in _words(rows, "symbol"):
        check_symbol(told, request.symbol)
    currencies = _words(rows, "currency")
    allowed = request.symbol.currencies
    wrong = [told for told in currencies if allowed and told not in allowed]
    if wrong or len(currencies) > 1:
        msg = f"{request.symbol} is quoted in {'/'.join(allowed) or 'one currency'}, the answer is in {one_line('/'.join(currencies), 24)}"
        raise failed(FailureKind.MISMATCH, msg)
    return currencies[0] if currencies else None


def _words(rows: list[dict[str, Any]], name: str) -> list[str]:
    """The different texts under that key, but the empty one."""
    if not has(rows, name):
        return []
    return sorted({told.encode("utf-8", "replace").decode()[:40] for told in cells(rows, name) if isinstance(told, str) and told})


def _columns(rows: list[dict[str, Any]], prefix: str) -> tuple[Column, ...]:
    """The five columns whose names begin so: `uOpen`, `marketOpen`, or plain. A minute without a trade says 0 shares beside null
    prices: it is no bar, and nothing of it is."""
    named = [prefix + (name.capitalize() if prefix else name) for name in COLUMNS]
    missing = [name for name in named[:4] if not has(rows, name)]
    if missing:
        msg = f"the rows of the answer have no {', '.join(missing)}"
        raise failed(FailureKind.SCHEMA, msg)
    *prices, volume = (numbers(name, cells(rows, name), len(rows)) for name in named)
    idle = np.logical_and.reduce([price.null for price in prices]) & ~volume.bad & ~(volume.values > 0)
    return (*prices, Column(np.where(idle, np.nan, volume.values), volume.null | idle, volume.bad))


def _iso(told: list[Any]) -> list[Any]:
    """Dates as 2024-01-02; the oldest answers wrote 20240102."""
    return [f"{day[:4]}-{day[4:6]}-{day[6:]}" if isinstance(day, str) and len(day) == 8 else day for day in told]


def _minutes(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """The start of each minute, and which are one. Rows that leave minutes out are picked (`chartInterval`) or longer (`5dm`)."""
    days, clocks = _iso(cells(rows, "date")), cells(rows, "minute")
    local, real = times([f"{day} {clock}:00" if isinstance(clock, str) else None for day, clock in zip(days, clocks, strict=True)])
    real &= (local >= _FIRST) & (local < _LAST)
    stamps = instants_in(np.where(real, local, np.datetime64("1970-01-02", "s")), zone_of("America/New_York"))
    gaps = np.diff(np.unique(stamps[real]))
    if len(gaps) >= _ENOUGH - 1 and (gaps > np.timedelta64(60, "s")).all():
        msg = f"1m bars were asked for, the rows of the answer lie {gaps.min().astype(int) // 1_000_000} s apart"
        raise failed(FailureKind.MISMATCH, msg)
    return stamps, real
