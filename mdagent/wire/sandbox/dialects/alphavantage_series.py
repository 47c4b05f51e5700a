"""Alpha Vantage's time series of the truth: by the day, the week, the month and the minute, of shares and of pairs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np

from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects.alphavantage import invalid, known, last_evening, now_of, pays, places_of, premium
from mdagent.wire.sandbox.tickers import listing

if TYPE_CHECKING:
    from mdagent.wire.sandbox.dialects import Ask
    from mdagent.wire.sandbox.series import Action, Bars
    from mdagent.wire.sandbox.tickers import Ticker
    from mdagent.wire.sandbox.view import View

_EASTERN = ZoneInfo("America/New_York")
_MINUTES = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h"}
_COMPACT = 100
_WHOLLY = "This is a premium endpoint."


def _full(ask: Ask, function: str) -> bool:
    size = ask.query.get("outputsize", "compact")
    if size not in ("compact", "full"):
        raise invalid(function)
    return size == "full"


def _series(stamps: list[str], columns: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Rows by time, newest first, from ascending columns; the fields are numbered in their order."""
    names = [f"{i}. {name}" for i, name in enumerate(columns, 1)]
    rows = zip(stamps, zip(*columns.values(), strict=True), strict=True)
    return {stamp: dict(zip(names, row, strict=True)) for stamp, row in reversed(list(rows))}


def _texts(values: np.ndarray, places: int) -> list[str]:
    return [f"{v:.{places}f}" for v in values.tolist()]


def _columns(bars: Bars, places: int) -> dict[str, list[str]]:
    return {name: _texts(getattr(bars, name), places) for name in ("open", "high", "low", "close")}


def _refreshed(stamps: list[str]) -> str:
    return stamps[-1] if stamps else ""


def daily(ask: Ask, function: str) -> dict[str, Any]:
    """`TIME_SERIES_DAILY` and its adjusted sister."""
    adjusted = function.endswith("_ADJUSTED")
    if adjusted and not pays(ask):
        raise premium(_WHOLLY)
    ticker, full = known(ask, function), _full(ask, function)
    if full and not pays(ask):
        msg = f"The outputsize=full parameter value is a premium feature for the {function} endpoint."
        raise premium(msg)
    seen = series.at(ticker, now_of(ask))
    raw, whole = series.daily(seen, "raw").traded, series.daily(seen, "all").traded
    days = [str(d) for d in raw.day]
    columns = _columns(raw, places_of(ticker))
    if adjusted:
        columns["adjusted close"] = _texts(whole.close, 10)
    columns["volume"] = _texts(raw.volume, 0)
    if adjusted:
        columns |= _events(series.actions(seen), days)
    cut = slice(None) if full else slice(-_COMPACT, None)
    title = "Daily Time Series with Splits and Dividend Events" if adjusted else "Daily Prices (open, high, low, close) and Volumes"
    meta = {
        "1. Information": title,
        "2. Symbol": ask.query["symbol"],
        "3. Last Refreshed": _refreshed(days),
        "4. Output Size": "Full size" if full else "Compact",
        "5. Time Zone": "US/Eastern",
    }
    return {"Meta Data": meta, "Time Series (Daily)": _series(days[cut], {n: c[cut] for n, c in columns.items()})}


def _newest(bars: Bars, most: int) -> Bars:
    return bars.take(np.arange(max(0, len(bars) - most), len(bars)))


def _events(actions: list[Action], days: list[str]) -> dict[str, list[str]]:
    paid: dict[str, float] = {}
    ratio: dict[str, float] = {}
    for action in actions:
        if action.kind == "split":
            ratio[str(action.day)] = action.new / action.old
        else:
            paid[str(action.day)] = paid.get(str(action.day), 0.0) + action.amount
    return {
        "dividend amount": [f"{paid.get(day, 0.0):.4f}" for day in days],
        "split coefficient": [f"{ratio.get(day, 1.0):.10g}" for day in days],
    }


def periods(ask: Ask, function: str) -> dict[str, Any]:
    """Weeks and months, stamped on their last session."""
    unit: Literal["1w", "1mo"] = "1w" if "WEEKLY" in function else "1mo"
    adjusted, word = function.endswith("_ADJUSTED"), "Weekly" if unit == "1w" else "Monthly"
    ticker = known(ask, function)
    seen = series.at(ticker, last_evening(ask))
    raw, whole = series.periods(seen, unit, "raw").traded, series.periods(seen, unit, "all").traded
    days = [str(d) for d in raw.last]
    columns = _columns(raw, places_of(ticker))
    if adjusted:
        columns["adjusted close"] = _texts(whole.close, 10)
    columns["volume"] = _texts(raw.volume, 0)
    if adjusted:
        columns["dividend amount"] = _paid_within(series.actions(seen), raw)
    title = f"{word} Adjusted Prices and Volumes" if adjusted else f"{word} Prices (open, high, low, close) and Volumes"
    meta = {
        "1. Information": title,
        "2. Symbol": ask.query["symbol"],
        "3. Last Refreshed": _refreshed(days),
        "4. Time Zone": "US/Eastern",
    }
    return {"Meta Data": meta, f"{word}{' Adjusted' if adjusted else ''} Time Series": _series(days, columns)}


def _paid_within(actions: list[Action], bars: Bars) -> list[str]:
    paid = np.zeros(len(bars))
    for action in actions:
        at = int(np.searchsorted(bars.last, action.day))
        if action.kind != "split" and at < len(paid):
            paid[at] += action.amount
    return _texts(paid, 4)


def intraday(ask: Ask, function: str) -> dict[str, Any]:
    """Minutes of a month, stamped on their start."""
    ticker, word, full = known(ask, function), ask.query.get("interval", ""), _full(ask, function)
    if word not in _MINUTES or ticker.currency != "USD":
        raise invalid(function)
    now = now_of(ask)
    start, end = _month(ask, function, now)
    seen = series.at(ticker, now)
    adjusted = ask.query.get("adjusted", "true") == "true"
    bars = series.intraday(seen, _MINUTES[word], start, end, "splits" if adjusted else "raw").traded
    if not full:
        bars = _newest(bars, _COMPACT)
    if not len(bars):
        raise invalid(function)
    columns = _columns(bars, places_of(ticker))
    if adjusted:
        scale = _payout(seen, bars)
        columns = {name: _texts(getattr(bars, name) * scale, 10) for name in columns}
    columns["volume"] = _texts(bars.volume, 0)
    stamps = [f"{datetime.fromtimestamp(t, _EASTERN):%Y-%m-%d %H:%M:%S}" for t in bars.opens.tolist()]
    meta = {
        "1. Information": f"Intraday ({word}) open, high, low, close prices and volume",
        "2. Symbol": ask.query["symbol"],
        "3. Last Refreshed": _refreshed(stamps),
        "4. Interval": word,
        "5. Output Size": "Full size" if full else "Compact",
        "6. Time Zone": "US/Eastern",
    }
    return {"Meta Data": meta, f"Time Series ({word})": _series(stamps, columns)}


def _month(ask: Ask, function: str, now: int) -> tuple[int, int]:
    """The month asked for, in New York; else the trailing thirty days."""
    told = ask.query.get("month")
    if told is None:
        return now - 30 * 86400, now + 1
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", told) or told < "2000-01":
        raise invalid(function)
    year, month = int(told[:4]), int(told[5:])
    first = datetime(year, month, 1, tzinfo=_EASTERN)
    after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=_EASTERN)
    return int(first.timestamp()), int(after.timestamp())


def _payout(seen: View, bars: Bars) -> np.ndarray:
    """What the dividends after each bar's session leave of its price."""
    factors = seen.payout(0, seen.shown)
    at = np.searchsorted(seen.truth.hours.day, bars.day)
    left: np.ndarray = np.where(at < len(factors), factors[np.minimum(at, len(factors) - 1)], 1.0)
    return left


_WORDS = {"DAILY": ("Daily", "1d"), "WEEKLY": ("Weekly", "1w"), "MONTHLY": ("Monthly", "1mo")}


def _pair(ask: Ask, function: str) -> tuple[Ticker, str, str]:
    """The pair of a currency or crypto function."""
    fx = function.startswith("FX_")
    base, against = (ask.query.get(n, "").upper() for n in (("from_symbol", "to_symbol") if fx else ("symbol", "market")))
    found = listing(f"{base}{against}=X" if fx else f"{base}-{against}")
    if found is None or found.type not in ("CURRENCY", "CRYPTOCURRENCY"):
        raise invalid(function)
    return found, base, against


def _about(information: str, base: str, against: str, *rest: tuple[str, str], fx: bool) -> dict[str, str]:
    """The summary of a pair, its fields numbered."""
    who = (
        [("From Symbol", base), ("To Symbol", against)]
        if fx
        else [
            ("Digital Currency Code", base),
            ("Digital Currency Name", base),
            ("Market Code", against),
            ("Market Name", against),
        ]
    )
    return {f"{i}. {name}": value for i, (name, value) in enumerate((("Information", information), *who, *rest), 1)}


def pair_series(ask: Ask, function: str) -> dict[str, Any]:
    """Days, weeks and months of currencies and crypto."""
    ticker, base, against = _pair(ask, function)
    fx, (word, unit) = function.startswith("FX_"), _WORDS[function.rpartition("_")[2]]
    sized = function == "FX_DAILY"
    full = _full(ask, function) if sized else True
    seen = series.at(ticker, ask.now)
    bars = (series.daily(seen) if unit == "1d" else series.periods(seen, "1w" if unit == "1w" else "1mo")).traded
    most = (None if full else _COMPACT) if fx else (350 if unit == "1d" else None)
    bars = _newest(bars, most or len(bars))
    days = [str(d) for d in bars.last]
    columns = _columns(bars, 5 if fx else 8)
    if not fx:
        columns["volume"] = _texts(bars.volume, 8)
    rest = [("Output Size", "Full size" if full else "Compact")] if sized else []
    title = f"Forex {word} Prices (open, high, low, close)" if fx else f"{word} Prices and Volumes for Digital Currency"
    last = _refreshed(days) + ("" if fx else " 00:00:00")
    meta = _about(title, base, against, *rest, ("Last Refreshed", last), ("Time Zone", "UTC"), fx=fx)
    return {"Meta Data": meta, f"Time Series FX ({word})" if fx else f"Time Series (Digital Currency {word})": _series(days, columns)}


def pair_intraday(ask: Ask, function: str) -> dict[str, Any]:
    """Minutes of currencies and crypto, the last thirty days of them."""
    if not pays(ask):
        raise premium(_WHOLLY)
    ticker, base, against = _pair(ask, function)
    word, fx, full = ask.query.get("interval", ""), function.startswith("FX_"), _full(ask, function)
    if word not in _MINUTES:
        raise invalid(function)
    bars = series.intraday(series.at(ticker, ask.now), _MINUTES[word], ask.now - 30 * 86400, ask.now + 1).traded
    bars = _newest(bars, len(bars) if full else _COMPACT)
    stamps = [f"{datetime.fromtimestamp(t, UTC):%Y-%m-%d %H:%M:%S}" for t in bars.opens.tolist()]
    rows: dict[str, Any] = _series(stamps, _columns(bars, 6))
    if not fx:  # the one column that comes as numbers
        rows = {stamp: row | {"5. volume": int(v)} for (stamp, row), v in zip(rows.items(), bars.volume[::-1].tolist(), strict=True)}
    kind = "FX" if fx else "Crypto"
    size = ("Output Size", "Full size" if full else "Compact")
    rest = (("Last Refreshed", _refreshed(stamps)), ("Interval", word), size, ("Time Zone", "UTC"))
    meta = _about(f"{kind} Intraday ({word}) Time Series", base, against, *rest, fx=fx)
    return {"Meta Data": meta, f"Time Series {kind} ({word})": rows}
