"""Tiingo's wire format: a bare list of rows, the traded and the adjusted columns side by side; errors are a `detail`.

Days and weeks are those of finished sessions. How the real one writes a halted session is not known: here it is a row of nulls.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects import Allowance, Dialect, Refused, Reply, as_json, whole
from mdagent.wire.sandbox.tickers import familiar, find

if TYPE_CHECKING:
    from mdagent.wire.sandbox.dialects import Ask, Why
    from mdagent.wire.sandbox.tickers import Ticker
    from mdagent.wire.sandbox.view import View

_TYPES = {"EQUITY": "Stock", "ETF": "ETF", "MUTUALFUND": "Mutual Fund"}
_PERIODS = {"weekly": "1w", "monthly": "1mo"}
_STEPS = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m"}
_PRICES = ("close", "high", "low", "open")
_MOST = 10_000  # rows of one intraday answer, the latest
_Rows = list[dict[str, Any]]


def key_in(ask: Ask) -> str:
    """`Authorization: Token KEY`, or `token=`."""
    scheme, _, key = ask.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "token" else ask.query.get("token", "")


def refuse(ask: Ask, why: Why) -> Reply:
    """403 without a key, 401 for a wrong one; the hour and the day are told apart by words."""
    del ask
    if why == "no plan":
        return as_json({"detail": "You do not have permission to access this data. Please upgrade at https://api.tiingo.com/pricing."}, 403)
    if isinstance(why, str):
        words, status = ("Authentication credentials were not provided.", 403) if why == "no key" else ("Invalid token.", 401)
        return as_json({"detail": words}, status)
    which = "daily" if why.per == "day" else "hourly"
    words = f"Error: You have run over your {which} request allocation. Please upgrade at https://api.tiingo.com/pricing."
    return as_json({"detail": words}, 429)


def answer(ask: Ask) -> Reply:
    """The reply to one request."""
    try:
        return as_json(_answered(ask))
    except Refused as refused:
        return as_json({"detail": refused.words}, refused.status)


def _answered(ask: Ask) -> _Rows:
    place = ask.path.strip("/").split("/")
    if place == ["tiingo", "utilities", "search"]:
        return _search(ask.query.get("query", ""))
    if place[:2] == ["tiingo", "daily"] and place[3:] == ["prices"]:
        return _days(_known(place[2]), ask)
    if place[0] == "iex" and len(place) == 2:
        ticker = _listed(place[1])
        return _quote(ticker, ask) if ticker is not None and not ticker.is_fund else []
    if place[0] == "iex" and place[2:] == ["prices"]:
        return _minutes(_known(place[1]), ask)
    raise Refused(404, "Not found.")


def _listed(name: str) -> Ticker | None:
    """American stocks and funds, spelled with a dash: BRK-B."""
    ticker = find(name)
    return ticker if ticker is not None and ticker.type in _TYPES and ticker.zone == "America/New_York" else None


def _known(name: str) -> Ticker:
    ticker = _listed(name)
    if ticker is None:
        raise Refused(404, "Not found.")
    return ticker


def _span(ask: Ask, lasts: np.datetime64) -> tuple[np.datetime64, np.datetime64]:
    """The dates asked for, both included; the latest alone where none is."""
    try:
        first = date.fromisoformat(ask.query.get("startDate") or f"{lasts}")
        last = date.fromisoformat(ask.query.get("endDate") or f"{datetime.fromtimestamp(ask.now, UTC):%Y-%m-%d}")
    except ValueError:
        raise Refused(400, "Error: dates are written as YYYY-MM-DD") from None
    return np.datetime64(first), np.datetime64(last)


def _finished(ticker: Ticker, now: int) -> View:
    """The listing as it stood before the session in progress."""
    seen = series.at(ticker, now)
    return seen if seen.live is None else series.at(ticker, int(seen.truth.hours.opens[seen.live.at]) - 1)


def _days(ticker: Ticker, ask: Ask) -> _Rows:
    seen, every = _finished(ticker, ask.now), ask.query.get("resampleFreq", "daily")
    if every != "daily" and every not in _PERIODS:
        raise Refused(400, "Error: resampleFreq must be daily, weekly, monthly or annually")
    days = series.daily(seen)
    if not len(days):
        return []
    first, last = _span(ask, days.day[-1])
    if every == "daily":
        raw, whole = series.daily(seen, "raw"), series.daily(seen, "all")
        kept = np.flatnonzero((raw.day >= first) & (raw.day <= last))
    else:
        unit: Any = _PERIODS[every]
        raw, whole = series.periods(seen, unit, "raw"), series.periods(seen, unit, "all")
        kept = np.flatnonzero((raw.last >= first) & (raw.day <= last) & ~np.isnan(raw.close))
    paid, ratio = _events(seen) if every == "daily" else ({}, {})
    rows = []
    for i, day in zip(kept.tolist(), (_label(raw, every)[kept]).tolist(), strict=True):
        row: dict[str, Any] = {"date": f"{day}T00:00:00.000Z"} | _side(raw, i, 4, "") | _side(whole, i, 10, "adj")
        rows.append(row | {"divCash": paid.get(day, 0.0), "splitFactor": ratio.get(day, 1.0)})
    return rows


def _label(bars: series.Bars, every: str) -> np.ndarray:
    """The date itself, a week's Friday, the last working day of a month."""
    if every == "weekly":
        return bars.day + 4
    if every == "monthly":
        return np.busday_offset((bars.day.astype("datetime64[M]") + 1).astype("datetime64[D]"), -1, roll="forward")
    return bars.day


def _side(bars: series.Bars, i: int, decimals: int, prefix: str) -> dict[str, Any]:
    """One row's five columns of a basis."""
    named = {name: prefix + name.capitalize() if prefix else name for name in (*_PRICES, "volume")}
    if np.isnan(bars.close[i]):
        return dict.fromkeys(named.values())
    made: dict[str, Any] = {named[name]: round(float(getattr(bars, name)[i]), decimals) for name in _PRICES}
    return made | {named["volume"]: whole(float(bars.volume[i]))}


def _events(seen: View) -> tuple[dict[date, float], dict[date, float]]:
    """What was paid, and new shares for an old one, by date."""
    paid: dict[date, float] = {}
    ratio: dict[date, float] = {}
    for action in series.actions(seen):
        day = action.day.astype("datetime64[D]").item()
        if action.kind == "split":
            ratio[day] = action.new / action.old
        else:
            paid[day] = paid.get(day, 0.0) + action.amount
    return paid, ratio


def _minutes(ticker: Ticker, ask: Ask) -> _Rows:
    """Trades at IEX, a thirty-third of the volume; that comes only when asked for."""
    step = _STEPS.get(ask.query.get("resampleFreq", "5min").lower())
    if step is None:
        raise Refused(400, "Error: resampleFreq must be in minutes")
    seen = series.at(ticker, ask.now)
    first, last = (int(day.astype(np.int64)) * 86400 for day in _span(ask, np.datetime64(ask.now, "s").astype("datetime64[D]")))
    bars = series.intraday(seen, step, first, last + 86400)
    bars = bars.take(np.arange(len(bars))[-_MOST:])
    columns = {name: [round(v, 6) for v in getattr(bars, name).tolist()] for name in _PRICES}
    if "volume" in ask.query.get("columns", "").split(","):
        columns["volume"] = [None if np.isnan(v) else int(v) // 33 for v in bars.volume.tolist()]
    stamps = [f"{datetime.fromtimestamp(s, UTC):%Y-%m-%dT%H:%M:%S}.000Z" for s in bars.opens.tolist()]
    return [{"date": stamp} | {name: column[i] for name, column in columns.items()} for i, stamp in enumerate(stamps)]


def _quote(ticker: Ticker, ask: Ask) -> _Rows:
    seen = series.at(ticker, ask.now)
    days = series.daily(seen, "raw").traded
    if not len(days):
        return []
    at = seen.live.seen if seen.live is not None else int(seen.truth.hours.closes[seen.done - 1])
    moment = f"{datetime.fromtimestamp(at, UTC) + timedelta(milliseconds=831):%Y-%m-%dT%H:%M:%S.%f}+00:00"
    price, open_ = round(seen.price, 4), seen.live is not None
    told = {
        "ticker": ticker.yahoo,
        "timestamp": moment,
        "quoteTimestamp": moment,
        "lastSaleTimestamp": moment,
        "last": price,
        "lastSize": 100 if open_ else None,
        "tngoLast": price,
        "prevClose": round(float(days.close[-2] if len(days) > 1 else days.open[-1]), 4),
        "open": round(float(days.open[-1]), 4),
        "high": round(float(days.high[-1]), 4),
        "low": round(float(days.low[-1]), 4),
        "mid": price if open_ else None,
        "volume": int(days.volume[-1]) // 33,
        "bidSize": 100 if open_ else None,
        "bidPrice": round(price * 0.9999, 4) if open_ else None,
        "askSize": 100 if open_ else None,
        "askPrice": round(price * 1.0001, 4) if open_ else None,
    }
    return [told]


def _search(words: str) -> _Rows:
    wanted = words.strip().upper()
    exact = _listed(wanted)
    found = [t for t in familiar() if _listed(t.yahoo) and (t.yahoo.startswith(wanted) or wanted in t.name.upper())] if wanted else []
    hits = ([exact] if exact else []) + [t for t in found if exact is None or t.symbol != exact.symbol]
    return [
        {
            "name": t.name,
            "ticker": t.yahoo,
            "permaTicker": f"US{sum(map(ord, t.symbol)):012d}",
            "openFIGIComposite": None,
            "assetType": _TYPES[t.type],
            "isActive": True,
            "countryCode": "US",
        }
        for t in hits[:20]
    ]


_CALLS = {"free": (50, 1_000), "power": (10_000, 100_000)}  # an hour, a day
_PLANS = {
    plan: (Allowance(hourly, 3600.0, of="requests"), Allowance(daily, "day", "America/New_York", of="requests"))
    for plan, (hourly, daily) in _CALLS.items()
}
DIALECT = Dialect("tiingo", ("api.tiingo.com",), _PLANS, answer, refuse, key_in)
