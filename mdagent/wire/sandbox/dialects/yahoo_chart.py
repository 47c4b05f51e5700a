"""The answer to `/v8/finance/chart/{symbol}`: rows, events and meta of a window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects import whole
from mdagent.wire.sandbox.dialects.yahoo import Refusal
from mdagent.wire.sandbox.intraday import EMPTY, Strip
from mdagent.wire.sandbox.view import midnights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdagent.wire.sandbox.tickers import Ticker
    from mdagent.wire.sandbox.view import View

_DAY = 86400
_MINUTES = {"1m": 1, "2m": 2, "5m": 5, "15m": 15, "30m": 30, "60m": 60, "90m": 90, "1h": 60}
_PERIODS = {"5d": "W", "1wk": "W", "1mo": "M", "3mo": "Q"}
_INTERVALS = (*_MINUTES, "1d", *_PERIODS)
_RANGES = {"1mo": 1, "3mo": 3, "6mo": 6, "1y": 12, "2y": 24, "5y": 60, "10y": 120}  # months
_VALID_RANGES = ("1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max")
_EXTENDED = {"EQUITY", "ETF"}  # what trades before and after hours in New York


@dataclass(frozen=True, slots=True)
class _Window:
    """`start <= stamp < end`, in epoch seconds; `range` is the word asked with, or ""."""

    start: int
    end: int
    range: str


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Split-adjusted bars, with the closes that are adjusted for dividends too where Yahoo has them, and the sessions they cover."""

    strip: Strip
    adjusted: np.ndarray | None
    first: int
    last: int


def chart(ticker: Ticker, query: Mapping[str, str], now: int) -> dict[str, Any]:
    """One element of `chart.result`. Raises Refusal for what Yahoo refuses."""
    interval = query.get("interval") or "1d"
    if interval not in _INTERVALS:
        text = f"Invalid input - interval={interval} is not supported. Valid intervals: [{', '.join(_INTERVALS)}]"
        raise Refusal(400, "Bad Request", text)
    seen = series.at(ticker, now)
    window = _window(seen, query)
    _refuse_what_yahoo_lacks(seen, window, interval)
    if interval in _MINUTES:
        rows = _intraday(seen, window, _MINUTES[interval] * 60)
    else:
        rows = _daily(seen, window) if interval == "1d" else _periods(seen, window, _PERIODS[interval])
    return _result(seen, window, interval, rows) | _events(seen, window, interval, query.get("events", ""))


def _result(seen: View, window: _Window, interval: str, rows: _Rows) -> dict[str, Any]:
    result: dict[str, Any] = {"meta": _meta(seen, window, interval, rows)}
    adjusted = rows.adjusted
    if not len(rows.strip):
        empty: dict[str, Any] = {"quote": [{}]}
        return result | {"indicators": empty if adjusted is None else empty | {"adjclose": [{}]}}
    stamp, *prices, volume = rows.strip.columns
    quote = {name: _floats(column) for name, column in zip(("open", "high", "low", "close"), prices, strict=True)}
    traded = ~np.isnan(prices[3])
    counts = [whole(v) if ok else None for v, ok in zip(volume.tolist(), traded.tolist(), strict=True)]
    indicators: dict[str, Any] = {"quote": [quote | {"volume": counts}]}
    if adjusted is not None:
        indicators["adjclose"] = [{"adjclose": _floats(adjusted)}]
    return result | {"timestamp": stamp.tolist(), "indicators": indicators}


def _floats(column: np.ndarray) -> list[float | None]:
    """Prices travel as float32 and are widened for JSON: 73.72 arrives as 73.72000122070312."""
    return [None if math.isnan(v) else v for v in column.astype(np.float32).astype(np.float64).tolist()]


def _window(seen: View, query: Mapping[str, str]) -> _Window:
    if "period1" in query or "period2" in query:
        try:
            start, end = int(query.get("period1", "0")), int(query.get("period2", str(seen.now)))
        except ValueError:
            raise Refusal(400, "Bad Request", "Invalid input - period1 and period2 must be epoch seconds") from None
        if start >= end:
            text = f"Invalid input - start date cannot be after end date. startDate = {start}, endDate = {end}"
            raise Refusal(400, "Bad Request", text)
        return _Window(start, end, "")
    word = query.get("range") or "1d"
    if word not in _VALID_RANGES:
        text = f"Invalid input - range={word} is not supported. Valid ranges: [{', '.join(_VALID_RANGES)}]"
        raise Refusal(400, "Bad Request", text)
    return _Window(_start_of(seen, word), seen.now + 1, word)


def _start_of(seen: View, word: str) -> int:
    if word in ("1d", "5d"):
        at = max(0, seen.shown - int(word[0]))
        return min(int(seen.daily_stamps(at, at + 1)[0]), int(seen.truth.hours.opens[at]))
    if word == "max":
        return int(seen.daily_stamps(0, 1)[0])
    today = datetime.fromtimestamp(seen.now, ZoneInfo(seen.truth.ticker.zone)).date()
    if word == "ytd":
        first = today.replace(month=1, day=1)
    else:
        months = today.year * 12 + today.month - 1 - _RANGES[word]
        first = today.replace(year=months // 12, month=months % 12 + 1, day=min(today.day, 28))
    return int(midnights(seen.truth.ticker.zone, np.array([first], dtype="datetime64[D]"))[0])


def _refuse_what_yahoo_lacks(seen: View, window: _Window, interval: str) -> None:
    if interval in _MINUTES:
        asked = f"{interval} data not available for startTime={window.start} and endTime={window.end}."
        days = {1: 30, 60: 730}.get(_MINUTES[interval], 60)
        if interval == "1m" and window.end - window.start > 8 * _DAY:
            text = f"{asked} Only 8 days worth of 1m granularity data are allowed to be fetched per request."
            raise Refusal(422, "Unprocessable Entity", text)
        if window.start < seen.now - days * _DAY - 60:
            raise Refusal(422, "Unprocessable Entity", f"{asked} The requested range must be within the last {days} days.")
    first = int(seen.daily_stamps(0, 1)[0])
    if window.end <= first or window.start > seen.now or not seen.shown:
        raise Refusal(400, "Bad Request", f"Data doesn't exist for startDate = {window.start}, endDate = {window.end}")


def _near(seen: View, window: _Window) -> tuple[int, int]:
    """Numbers of the sessions that may have to do with the window, a few more at either side."""
    days = [np.datetime64(edge // _DAY, "D") for edge in (window.start - 3 * _DAY, window.end + 3 * _DAY)]
    low, high = (int(np.searchsorted(seen.truth.hours.day, d)) for d in days)
    return low, high


def _daily(seen: View, window: _Window) -> _Rows:
    low, high = _near(seen, window)
    high = max(low, min(high, seen.shown))
    stamps = seen.daily_stamps(low, high)
    inside = np.flatnonzero((stamps >= window.start) & (stamps < window.end))
    if not len(inside):
        return _Rows(EMPTY, np.zeros(0), low, low)
    first, last = low + int(inside[0]), low + int(inside[-1]) + 1
    strip = seen.daily(first, last)
    if seen.live is not None and seen.live.at == last - 1:
        strip = Strip(np.append(strip.stamp[:-1], seen.live.seen), *strip.columns[1:])
    return _Rows(strip, strip.close * seen.payout(first, last), first, last)


def _periods(seen: View, window: _Window, unit: str) -> _Rows:
    """Weeks, months, quarters whose start lies in the window. While a session is open a second row tells of today alone."""
    begins = _begins(seen.truth.hours.day[: seen.shown], unit)
    names = np.unique(begins)
    stamps = midnights(seen.truth.ticker.zone, names)
    kept = (stamps >= window.start) & (stamps < window.end)
    if not kept.any():
        at = int(np.searchsorted(seen.truth.hours.opens[: seen.shown], window.start))
        return _Rows(EMPTY, np.zeros(0), at, at)
    first = int(np.searchsorted(begins, names[kept][0]))
    last = int(np.searchsorted(begins, names[kept][-1], side="right"))
    daily = seen.daily(first, last)
    adjusted = daily.close * seen.payout(first, last)
    start = np.searchsorted(begins[first:last], names[kept])
    whole = daily.grouped(start, stamps[kept])
    closing = Strip(daily.stamp, adjusted, adjusted, adjusted, adjusted, daily.volume).grouped(start, stamps[kept]).close
    if seen.live is not None and seen.live.at == last - 1:
        today = Strip(np.array([seen.live.seen]), *(column[-1:] for column in daily.columns[1:]))
        return _Rows(Strip.join([whole, today]), np.append(closing, adjusted[-1]), first, last)
    return _Rows(whole, closing, first, last)


def _begins(day: np.ndarray, unit: str) -> np.ndarray:
    """The first day of each day's week, month or quarter."""
    if unit == "W":
        return day - (day.astype(int) + 3) % 7 * np.timedelta64(1, "D")  # 1970-01-01 was a Thursday
    months = day.astype("datetime64[M]")
    if unit == "Q":
        months = months - months.astype(int) % 3 * np.timedelta64(1, "M")
    return months.astype("datetime64[D]")


def _intraday(seen: View, window: _Window, seconds: int) -> _Rows:
    low, high = _near(seen, window)
    opens, closes = seen.truth.hours.opens[low:high], seen.truth.hours.closes[low:high]
    inside = np.flatnonzero((closes > window.start) & (opens < window.end))
    if not len(inside) or seen.truth.ticker.is_fund:
        return _Rows(EMPTY, None, low, low)
    first, last = low + int(inside[0]), low + int(inside[-1]) + 1
    strip = seen.intraday(first, last, seconds)
    kept = (strip.stamp >= window.start) & (strip.stamp < window.end)
    strip = Strip(*(column[kept] for column in strip.columns))
    live = seen.live
    if live is not None and len(strip) and first <= live.at < last and live.seen // 60 * 60 - strip.stamp[-1] < seconds:
        price = np.array([live.price / seen.factor[live.at]])
        strip = Strip.join([strip, Strip(np.array([live.seen]), price, price, price, price, np.zeros(1))])
    return _Rows(strip, None, first, last)


def _events(seen: View, window: _Window, interval: str, asked: str) -> dict[str, Any]:
    """Dividends, splits and capital gains that went ex in the window, keyed by the start of their bar."""
    t = seen.truth
    wanted = asked.replace("|", ",").split(",")
    happened = (t.dividend > 0) | (t.gain > 0) | (t.ratio != 1)
    at = np.flatnonzero(happened[: seen.begun])
    stamps = t.hours.opens[at]
    at = at[(stamps >= window.start) & (stamps < window.end)]
    begins = _begins(t.hours.day[at], _PERIODS[interval]) if interval in _PERIODS else None
    keys = t.hours.opens[at] if begins is None else midnights(t.ticker.zone, begins)
    events: dict[str, dict[str, Any]] = {}
    for i, key in zip(at.tolist(), keys.tolist(), strict=True):
        date = int(t.hours.opens[i])
        for word, name, amount in (("div", "dividends", t.dividend[i]), ("capitalGains", "capitalGains", t.gain[i])):
            if word in wanted and amount > 0:
                events.setdefault(name, {})[str(key)] = {"amount": round(float(amount / seen.factor[i]), 6), "date": date}
        if t.ratio[i] != 1 and {"split", "splits"} & set(wanted):
            new, old = next((s.new, s.old) for s in t.ticker.splits if math.isclose(s.new / s.old, t.ratio[i]))
            told = {"date": date, "numerator": float(new), "denominator": float(old), "splitRatio": f"{new}:{old}"}
            events.setdefault("splits", {})[str(key)] = told
    return {"events": events} if events else {}


def _meta(seen: View, window: _Window, interval: str, rows: _Rows) -> dict[str, Any]:
    ticker, hours = seen.truth.ticker, seen.truth.hours
    places = max(3, ticker.price_hint)
    local = datetime.fromtimestamp(seen.now, ZoneInfo(ticker.zone))
    last = max(seen.shown - 1, 0)
    year = seen.daily(int(np.searchsorted(hours.day, hours.day[last] - np.timedelta64(365, "D"))), seen.shown)
    day = seen.daily(last, seen.shown)
    before = seen.last_close(rows.first)
    price = seen.price
    prior = seen.last_close(last) or price
    intraday = {"previousClose": round(prior, places), "scale": 3} if interval in _MINUTES else {}
    names = {"shortName": ticker.name[:31]} if ticker.type == "FUTURE" else {"longName": ticker.name, "shortName": ticker.name[:31]}
    return {
        "currency": ticker.currency,
        "symbol": ticker.yahoo,
        "exchangeName": ticker.exchange,
        "fullExchangeName": ticker.exchange_name,
        "instrumentType": ticker.type,
        "firstTradeDate": _first_trade(seen),
        "regularMarketTime": seen.live.seen if seen.live is not None else min(int(hours.closes[last]) + 1, seen.now),
        "hasPrePostMarketData": _has_extended(ticker),
        "gmtoffset": _offset(local),
        "timezone": local.tzname(),
        "exchangeTimezoneName": ticker.zone,
        "regularMarketPrice": round(price, places),
        "fiftyTwoWeekHigh": _rounded(np.fmax.reduce(year.high), places),
        "fiftyTwoWeekLow": _rounded(np.fmin.reduce(year.low), places),
        "regularMarketDayHigh": _rounded(day.high[-1], places),
        "regularMarketDayLow": _rounded(day.low[-1], places),
        "regularMarketVolume": whole(day.volume[-1]),
        **names,
        "chartPreviousClose": round(before if before is not None else float(seen.daily(0, 1).open[0]), places),
        **intraday,
        "priceHint": ticker.price_hint,
        "currentTradingPeriod": _current_period(seen, local),
        "dataGranularity": interval,
        "range": window.range,
        "validRanges": list(_VALID_RANGES),
    }


def _first_trade(seen: View) -> int:
    """When the listing was first traded, whatever of its history is still kept."""
    stamp = int(seen.daily_stamps(0, 1)[0])
    day = np.datetime64(seen.truth.ticker.first_trade, "D")
    return stamp if seen.truth.hours.day[0] - day < np.timedelta64(30, "D") else int(midnights(seen.truth.ticker.zone, np.array([day]))[0])


def _rounded(value: float, places: int) -> float | None:
    return None if math.isnan(value) else round(float(value), places)


def _offset(local: datetime) -> int:
    return int((local.utcoffset() or timedelta()).total_seconds())


def _has_extended(ticker: Ticker) -> bool:
    return ticker.calendar == "XNYS" and ticker.type in _EXTENDED


def _current_period(seen: View, local: datetime) -> dict[str, Any]:
    """Today's session, or the last one on a day without."""
    hours = seen.truth.hours
    at = max(int(np.searchsorted(hours.day, np.datetime64(local.date(), "D"), side="right")) - 1, 0)
    opens, closes = int(hours.opens[at]), int(hours.closes[at])
    early, late = (int(5.5 * 3600), 4 * 3600) if _has_extended(seen.truth.ticker) else (0, 0)
    spans = {"pre": (opens - early, opens), "regular": (opens, closes), "post": (closes, closes + late)}
    zone = ZoneInfo(seen.truth.ticker.zone)
    found = {}
    for name, (start, end) in spans.items():
        then = datetime.fromtimestamp(start, UTC).astimezone(zone)
        found[name] = {"timezone": then.tzname(), "start": start, "end": end, "gmtoffset": _offset(then)}
    return found
