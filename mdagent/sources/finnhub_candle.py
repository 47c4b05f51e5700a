"""Finnhub's candles -> bars."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from mdagent.guard.outcome import FailureKind
from mdagent.market import COLUMNS, Adjustment, Interval
from mdagent.sessions import build, calendar_of, stretches
from mdagent.sources.reading.body import failed, read_json
from mdagent.sources.reading.columns import Column, numbers
from mdagent.sources.reading.rows import Answer, assemble, bars_of
from mdagent.sources.reading.spacing import check_spacing
from mdagent.sources.reading.windows import period_of
from mdagent.sources.reading.zones import dates_in, zone_of
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    import httpx

    from mdagent.market import BarRequest, BarSet, Delivery

SOURCE = "finnhub"
_MILLISECONDS = 1e11  # epoch seconds reach this in the year 5138; epoch milliseconds passed it in 1973
_LATEST = 4102444800  # 2100-01-01: no bar is stamped later
_HALF_PAST = frozenset(("XNYS", "XTSE", "XHKG", "XSHG", "XTKS"))  # calendars whose hours are not the clock's
_HOUR, _FRIDAY = 3600, 4


def in_halves(request: BarRequest) -> bool:
    """Are these hours to be made of half hours?"""
    return request.interval is Interval.H1 and calendar_of(request.symbol) in _HALF_PAST


def read_candles(reply: httpx.Response, request: BarRequest) -> BarSet:
    """The bars of a candle answer that lie in the window. Raises ConversationFailed: NO_DATA, SCHEMA, MISMATCH, MALFORMED."""
    body = read_json(reply)
    told = body.get("s") if isinstance(body, dict) else None
    if told == "no_data" or (told == "ok" and body.get("t") == [] and not any(body.get(name[0]) for name in COLUMNS)):
        msg = f"Finnhub has no {request.interval} bars of {request.symbol} in this range"
        raise failed(FailureKind.NO_DATA, msg)
    if told != "ok":
        msg = f"the answer is JSON, but no Finnhub candles (s is {one_line(repr(told), 40)})"
        raise failed(FailureKind.SCHEMA, msg, reply.status_code)
    stamps = body.get("t")
    length = len(stamps) if isinstance(stamps, list) else 0
    seconds, real = _seconds(numbers("t", stamps, length))
    columns = [numbers(name, body.get(name[0]), length) for name in COLUMNS[:4]]
    columns.append(numbers("volume", body.get("v", [None] * length), length))
    if in_halves(request):
        return _hours(Answer(_instants(seconds), real, tuple(columns)), request)
    ts = _instants(seconds) if request.interval.intraday else period_of(_days(seconds), request.interval)
    check_spacing(ts[real], request.interval, seconds[real])
    if request.interval is Interval.W1:
        real &= _weekday(_days(seconds)) <= _FRIDAY
    answer = Answer(ts, real, tuple(columns))
    if request.interval.intraday:
        return bars_of(request, SOURCE, answer, Adjustment.RAW, extended=True)
    return bars_of(request, SOURCE, answer, Adjustment.SPLITS, raw_volume=True)


def _seconds(told: Column) -> tuple[np.ndarray, np.ndarray]:
    """Epoch seconds, and which of them are a time that a bar can have. Milliseconds are refused, never divided."""
    with np.errstate(invalid="ignore"):
        if ((told.values > _MILLISECONDS) & (told.values < 1000 * _LATEST)).any():
            msg = "the answer's time stamps are milliseconds; Finnhub's are seconds"
            raise failed(FailureKind.SCHEMA, msg)
        real = ~(told.null | told.bad) & (told.values < _LATEST) & (told.values >= 1)
    return np.where(real, told.values, 0.0).astype(np.int64), real


def _instants(seconds: np.ndarray) -> np.ndarray:
    return seconds.astype("datetime64[s]").astype("datetime64[us]")


def _days(seconds: np.ndarray) -> np.ndarray:
    """Session dates: of a stamp at midnight UTC that day, of any other New York's."""
    days = seconds.astype("datetime64[s]").astype("datetime64[D]")
    drifted = np.flatnonzero(seconds % 86400)
    days[drifted] = dates_in(seconds[drifted], zone_of("America/New_York"))
    return days


def _weekday(days: np.ndarray) -> np.ndarray:
    """Monday is 0; 1970-01-01 was a Thursday."""
    found: np.ndarray = (days.astype("datetime64[D]").astype(np.int64) + 3) % 7
    return found


def _hours(answer: Answer, request: BarRequest) -> BarSet:
    """Hours counted from the opening, of the half hours within the session; those before and after are left out, as they are by
    asking for regular hours. An hour of which a half was refused is none."""
    check_spacing(answer.stamps[answer.real], Interval.M30)
    halves = assemble(answer, request.over(request.start, request.end + timedelta(minutes=30)))
    refused = [*halves.delivery.rejected, *halves.delivery.conflicts]
    if any(row.ts is None for row in refused):
        msg = "a half hour of the answer has no time stamp: no hour can be made for certain"
        raise failed(FailureKind.SCHEMA, msg)
    lost = np.array([row.ts.replace(tzinfo=None) for row in refused if row.ts], dtype="datetime64[us]")
    opens, closes = _trading(np.concatenate((halves.ts, lost)), calendar_of(request.symbol))
    label = _label(halves.ts, opens, closes)
    kept = np.flatnonzero((label >= 0) & ~np.isin(label, _label(lost, opens, closes)))
    label, table = label[kept], halves.table[:, kept]
    start = np.flatnonzero(np.diff(label, prepend=-1) != 0)
    made = (np.zeros(0),) * 5
    if len(start):
        last = np.append(start[1:], len(label)) - 1
        high, low = np.maximum.reduceat(table[1], start), np.minimum.reduceat(table[2], start)
        made = (table[0][start], high, low, table[3][last], np.add.reduceat(table[4], start))
    hours = Answer(_instants(label[start]), np.ones(len(start), dtype=bool), tuple(_column(values) for values in made))
    bars = bars_of(request, SOURCE, hours, Adjustment.RAW)
    return replace(bars, delivery=_told(bars.delivery, halves.delivery))


def _told(hours: Delivery, halves: Delivery) -> Delivery:
    """What was said of the half hours holds for the hours."""
    rest = ("rows", "rejected", "conflicts", "duplicates", "outside", "unsorted")
    return hours._replace(**{name: getattr(halves, name) for name in rest})


def _column(values: np.ndarray) -> Column:
    null = np.isnan(values)
    return Column(values, null, np.zeros(len(values), dtype=bool))


def _trading(stamps: np.ndarray, calendar: str) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end (epoch seconds) of each stretch of trading in the years of the stamps."""
    if not len(stamps):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    first, last = (int(edge.astype("datetime64[Y]").astype(np.int64)) + 1970 for edge in (stamps.min(), stamps.max()))
    table = build(calendar, date(first, 1, 1), date(last + 1, 1, 1))
    if not (np.datetime64(table.start) <= stamps.min() and stamps.max() < np.datetime64(table.end)):
        msg = f"the sessions of {calendar} are known from {table.start} to {table.end} alone: no hours can be made of half hours elsewhere"
        raise failed(FailureKind.BAD_REQUEST, msg)
    spans = [span for session in table.sessions for span in stretches(session)]
    opens, closes = (np.array([int(span[i].timestamp()) for span in spans], dtype=np.int64) for i in (0, 1))
    return opens, closes


def _label(stamps: np.ndarray, opens: np.ndarray, closes: np.ndarray) -> np.ndarray:
    """Epoch seconds at which the hour of each stamp begins; -1 outside the sessions."""
    seconds = stamps.astype("datetime64[s]").astype(np.int64)
    if not len(opens):
        return np.full(len(seconds), -1)
    place = np.maximum(np.searchsorted(opens, seconds, side="right") - 1, 0)
    within = (seconds >= opens[place]) & (seconds < closes[place])
    label: np.ndarray = np.where(within, opens[place] + (seconds - opens[place]) // _HOUR * _HOUR, -1)
    return label
