"""Finnhub's wire format: parallel arrays, a 200 for what it does not know, and a paywall before every candle."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects import Allowance, Dialect, Refused, Reply, as_json, whole
from mdagent.wire.sandbox.tickers import familiar, listing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdagent.wire.sandbox.dialects import Ask, Why
    from mdagent.wire.sandbox.tickers import Ticker
    from mdagent.wire.sandbox.view import View

_DAY, _MONTH = 86400, 31 * 86400
_MINUTES = {"1": 60, "5": 300, "15": 900, "30": 1800, "60": 3600}
_TYPES = {"EQUITY": "Common Stock", "ETF": "ETP", "INDEX": ""}  # what has candles here, and what a search calls it
_EXTENDED = {"EQUITY", "ETF"}
_PER_MINUTE = {"free": 60, "basic": 150, "standard": 300, "professional": 900}
_PREMIUM = ("/stock/candle", "/stock/split", "/stock/dividend")


def key_in(ask: Ask) -> str:
    """The header, or `token=`."""
    return ask.headers.get("x-finnhub-token") or ask.query.get("token", "")


def refuse(ask: Ask, why: Why) -> Reply:
    """No key and a wrong one are 401; a spent minute and a spent second are told alike."""
    if why == "no plan":
        return as_json({"error": "You don't have access to this resource."}, 403)
    if isinstance(why, str):
        return as_json({"error": "Please use an API key." if why == "no key" else "Invalid API key"}, 401)
    seconds = int(why.per) if not isinstance(why.per, str) else 60
    told = {"x-ratelimit-limit": str(why.limit), "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(ask.now + seconds)}
    return as_json({"error": "API limit reached. Please try again later. Remaining Limit: 0"}, 429, headers=told)


def headers(used: int, left: int) -> Mapping[str, str]:
    """What is left of the minute."""
    del used
    return {"x-ratelimit-remaining": str(max(0, left))}


def answer(ask: Ask) -> Reply:
    """The reply to one request; an address that does not exist leads to the site."""
    path = ask.path.removeprefix("/api/v1")
    if path == ask.path or path not in _ANSWERS:
        return Reply(302, b'<a href="/">Found</a>.\n\n', "text/html; charset=utf-8", {"location": "/"})
    told = {"x-ratelimit-limit": str(_PER_MINUTE[ask.plan]), "x-ratelimit-reset": str(ask.now + 60)}
    if ask.plan == "free" and (path in _PREMIUM or _is_foreign(ask)):
        return as_json({"error": "You don't have access to this resource."}, 403, headers=told)
    try:
        return as_json(_ANSWERS[path](ask), headers=told)
    except Refused as refused:
        return as_json({"error": refused.words}, refused.status, headers=told)


def _is_foreign(ask: Ask) -> bool:
    ticker = listing(ask.query.get("symbol", ""))
    return ticker is not None and ticker.zone != "America/New_York"


def _known(ask: Ask) -> Ticker | None:
    ticker = listing(ask.query.get("symbol", ""))
    return ticker if ticker is not None and ticker.type in _TYPES else None


def _candle(ask: Ask) -> dict[str, Any]:
    resolution = ask.query.get("resolution", "")
    if resolution not in (*_MINUTES, "D", "W", "M"):
        raise Refused(422, "Wrong resolution")
    try:
        start, end = int(ask.query["from"]), int(ask.query["to"])
    except (KeyError, ValueError):
        raise Refused(422, "Timestamp should be in seconds") from None
    ticker = _known(ask)
    if ticker is None or start > end:
        return {"s": "no_data"}
    seen = series.at(ticker, ask.now)
    if resolution in _MINUTES:
        stamp, columns = _clocked(seen, max(start, end - _MONTH + 1), end, _MINUTES[resolution])
    else:
        stamp, columns = _long(seen, resolution)
    inside = (stamp >= start) & (stamp <= end)
    if not inside.any():
        return {"s": "no_data"}
    o, h, low, c, v = (column[inside].tolist() for column in columns)
    prices = {name: [round(p, 10) for p in column] for name, column in (("c", c), ("h", h), ("l", low), ("o", o))}
    return prices | {"s": "ok", "t": stamp[inside].tolist(), "v": [whole(x) for x in v]}


def _long(seen: View, resolution: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Days, weeks, months at 00:00 UTC of their first session: prices adjusted for splits, volume as it was traded."""
    if resolution == "D":
        bars, traded = series.daily(seen), series.daily(seen, "raw").volume
    else:
        unit = "1w" if resolution == "W" else "1mo"
        bars, traded = series.periods(seen, unit), series.periods(seen, unit, "raw").volume  # type: ignore[arg-type]
    kept = ~np.isnan(bars.close)
    columns = [bars.open, bars.high, bars.low, bars.close, traded]
    return bars.first[kept].astype(np.int64) * _DAY, [column[kept] for column in columns]


def _clocked(seen: View, start: int, end: int, seconds: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Bars that begin on the clock's steps, made of raw minutes, those before and after the session included."""
    minutes = series.intraday(seen, "1m", start // 3600 * 3600, (end // 3600 + 1) * 3600)
    rows = np.array([minutes.opens, minutes.open, minutes.high, minutes.low, minutes.close, minutes.volume], dtype=np.float64)
    if seen.truth.ticker.type in _EXTENDED and seen.truth.ticker.zone == "America/New_York" and rows.shape[1]:
        rows = np.concatenate((rows, _around(seen, minutes)), axis=1)
        rows = rows[:, np.argsort(rows[0], kind="stable")]
    label = rows[0].astype(np.int64) // seconds * seconds
    begin = np.flatnonzero(np.diff(label, prepend=-1) != 0)
    if not len(begin):
        return label, list(rows[1:])
    last = np.append(begin[1:], len(label)) - 1
    high, low = np.maximum.reduceat(rows[2], begin), np.minimum.reduceat(rows[3], begin)
    return label[begin], [rows[1][begin], high, low, rows[4][last], np.add.reduceat(rows[5], begin)]


def _around(seen: View, minutes: series.Bars) -> np.ndarray:
    """A few thin minutes of extended hours: three before each opening, and two after each close that has come."""
    made = []
    for day in np.unique(minutes.day):
        at = int(np.searchsorted(seen.truth.hours.day, day))
        opens, closes = int(seen.truth.hours.opens[at]), int(seen.truth.hours.closes[at])
        here = np.flatnonzero(minutes.day == day)
        if minutes.opens[here[0]] == opens:
            first = minutes.open[here[0]] * 0.99
            made += [(opens - before, first, first, first, first, 100.0) for before in (5400, 1800, 60)]
        if minutes.opens[here[-1]] + 60 == closes and closes + 1860 <= seen.now:
            last = minutes.close[here[-1]] * 1.01
            made += [(closes + after, last, last, last, last, 100.0) for after in (0, 1800)]
    return np.array(made, dtype=np.float64).reshape(-1, 6).T


def _quote(ask: Ask) -> dict[str, Any]:
    ticker = _known(ask)
    seen = series.at(ticker, ask.now) if ticker else None
    days = series.daily(seen).traded if seen else None
    if seen is None or days is None or not len(days):
        return {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
    price, before = round(seen.price, 4), round(float(days.close[-2] if len(days) > 1 else days.open[-1]), 4)
    at = seen.live.seen if seen.live is not None else int(seen.truth.hours.closes[seen.done - 1])
    high, low, first = (round(float(column[-1]), 4) for column in (days.high, days.low, days.open))
    change = round(price - before, 4)
    return {
        "c": price,
        "d": change,
        "dp": round(change / before * 100, 4) if before else 0.0,
        "h": high,
        "l": low,
        "o": first,
        "pc": before,
        "t": at,
    }


def _search(ask: Ask) -> dict[str, Any]:
    words = ask.query.get("q", "").strip().upper()
    exact = listing(words)
    found = [exact] if exact is not None and exact.type in _TYPES else []
    if words:
        hits = (t for t in familiar() if t.type in _TYPES and (words in t.name.upper() or t.symbol.startswith(words)))
        found += [t for t in hits if t is not exact]
    result = [{"description": t.name, "displaySymbol": t.symbol, "symbol": t.symbol, "type": _TYPES[t.type]} for t in found[:20]]
    return {"count": len(result), "result": result}


def _actions(ask: Ask, kind: str) -> list[tuple[series.Action, date]]:
    """The actions of the window, newest first."""
    try:
        start, end = (date.fromisoformat(ask.query.get(edge, "")) for edge in ("from", "to"))
    except ValueError:
        raise Refused(422, "Wrong date format") from None
    ticker = _known(ask)
    told = series.actions(series.at(ticker, ask.now)) if ticker else []
    dated = [(action, action.day.astype("datetime64[D]").item()) for action in reversed(told) if action.kind == kind]
    return [(action, day) for action, day in dated if start <= day <= end]


def _splits(ask: Ask) -> list[dict[str, Any]]:
    symbol = ask.query.get("symbol", "")
    return [{"symbol": symbol, "date": f"{day}", "fromFactor": a.old, "toFactor": a.new} for a, day in _actions(ask, "split")]


def _dividends(ask: Ask) -> list[dict[str, Any]]:
    ticker = _known(ask)
    return [
        {
            "symbol": ask.query.get("symbol", ""),
            "date": f"{day}",
            "amount": a.amount,
            "adjustedAmount": a.adjusted,
            "payDate": f"{day + timedelta(days=14)}",
            "recordDate": f"{day + timedelta(days=1)}",
            "declarationDate": f"{day - timedelta(days=21)}",
            "currency": ticker.currency if ticker else "",
            "freq": "4",
        }
        for a, day in _actions(ask, "dividend")
    ]


def _status(ask: Ask) -> dict[str, Any]:
    if ask.query.get("exchange") != "US":
        raise Refused(422, "Wrong exchange")
    clock = listing("AAPL")
    assert clock is not None  # noqa: S101  it is in the table
    hours = series.at(clock, ask.now).truth.hours
    at = int(np.searchsorted(hours.closes, ask.now - 4 * 3600, side="right"))
    opens, closes = int(hours.opens[at]), int(hours.closes[at])
    session = "regular" if opens <= ask.now < closes else "pre-market" if opens - 19800 <= ask.now < opens else None
    session = "post-market" if closes <= ask.now < closes + 4 * 3600 else session
    today = datetime.fromtimestamp(ask.now - 5 * 3600, UTC).date()
    holiday = "Holiday" if today.weekday() < 5 and np.datetime64(today) not in hours.day else None
    told = {"exchange": "US", "holiday": holiday, "isOpen": session == "regular", "session": session}
    return told | {"timezone": "America/New_York", "t": ask.now}


_ANSWERS: dict[str, Any] = {
    "/stock/candle": _candle,
    "/quote": _quote,
    "/search": _search,
    "/stock/split": _splits,
    "/stock/dividend": _dividends,
    "/stock/market-status": _status,
}
_BURST = Allowance(30, 1.0, of="requests")
_PLANS = {plan: (Allowance(limit, 60.0, of="requests"), _BURST) for plan, limit in _PER_MINUTE.items()}
DIALECT = Dialect("finnhub", ("finnhub.io",), _PLANS, answer, refuse, key_in, headers=headers)
