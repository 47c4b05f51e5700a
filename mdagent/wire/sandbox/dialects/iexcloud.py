"""IEX Cloud's wire format as it was: lists of objects, errors in plain text, every answer priced in messages."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects import Allowance, Dialect, Refused, Reply, as_json, whole
from mdagent.wire.sandbox.tickers import familiar, listing

if TYPE_CHECKING:
    from mdagent.wire.sandbox.dialects import Ask, Why
    from mdagent.wire.sandbox.tickers import Ticker
    from mdagent.wire.sandbox.view import View

_NEW_YORK = ZoneInfo("America/New_York")
_VERSIONS = re.compile(r"/(stable|latest|v1|beta)(?=/)")
_RANGES = {"5d": 7, "1m": 31, "3m": 92, "6m": 183, "1y": 365, "2y": 730, "5y": 1826, "max": 5478}  # calendar days back
_TYPES = {"EQUITY": "cs", "ETF": "et"}
_DATE = re.compile(r"\d{8}")
_MINUTES_KEPT, _LATE, _MOST = 30 * 86400, 900, 100
_INVALID = "You have supplied invalid values for this request"
_WRONG_KEY = "The API key provided is not valid."  # also what it says of a range that does not exist
_Rows = list[dict[str, Any]]


def key_in(ask: Ask) -> str:
    """`token=`, and nowhere else."""
    return ask.query.get("token", "")


def refuse(ask: Ask, why: Why) -> Reply:
    """402 for a spent month, 429 for a spent second, 403 for a key."""
    del ask
    if why == "no key":
        return _text(403, "An API key is required to access this data and no key was provided.")
    if why == "bad key":
        return _text(403, _WRONG_KEY)
    if why == "no plan":
        return _text(451, "The requested data is not available to your current tier.")
    if isinstance(why, Allowance) and why.per == "month":
        return _text(402, "You have exceeded your allotted message quota. Please enable pay-as-you-go to regain access")
    return _text(429, "Too many requests")


def weight(ask: Ask) -> int:
    """The most that a request can cost, to be judged by before it is answered."""
    symbols = len(ask.query.get("symbols", "").split(",")) if ask.path.endswith("/market/batch") else 1
    place = ask.path.partition("/chart/")[2].partition("/")[0] or ask.query.get("range", "")
    if place == "date":
        return symbols * (2 if ask.query.get("chartByDay") == "true" else 50)
    return symbols * 10 * (_RANGES[place] * 252 // 365 + 1) if place in _RANGES else 1


def answer(ask: Ask) -> Reply:
    """The reply to one request; its price is told in a header."""
    path = _VERSIONS.sub("", ask.path, count=1)
    try:
        made, cost = _answered(path, ask)
    except Refused as refused:
        return _text(refused.status, refused.words)
    told = {"iexcloud-messages-used": str(cost), "iexcloud-premium-messages-used": "0"}
    return as_json(made, content_type="application/json; charset=utf-8", headers=told, cost=cost)


def _text(status: int, words: str) -> Reply:
    return Reply(status, words.encode(), "text/html; charset=utf-8", cost=0)


def _answered(path: str, ask: Ask) -> tuple[Any, int]:
    if path == "/stock/market/batch":
        return _batch(ask)
    if path.startswith("/search/"):
        return _search(path.removeprefix("/search/")), 1
    _, _, name, *rest = (*path.split("/"), "", "")
    if not path.startswith("/stock/") or not rest[0]:
        raise Refused(404, "Not Found")
    ticker = _known(name)
    if ticker is None:
        raise Refused(404, "Unknown symbol")
    if rest[0] == "chart":
        return _chart(ticker, ask, rest[1] or "1m", rest[2] if len(rest) > 2 else "")
    if rest[0] == "quote":
        return _quote(ticker, ask), 1
    if rest[0] in ("splits", "dividends"):
        told = _actions(ticker, ask, rest[0], rest[1])
        return told, 10 * len(told)
    raise Refused(404, "Not Found")


def _known(name: str) -> Ticker | None:
    """American shares and exchange-traded funds, and nothing else."""
    ticker = listing(name)
    return ticker if ticker is not None and ticker.type in _TYPES and ticker.zone == "America/New_York" else None


def _batch(ask: Ask) -> tuple[dict[str, Any], int]:
    """Charts of many symbols; one that is unknown is left out without a word."""
    names = ask.query.get("symbols", "").upper().split(",")
    if len(names) > _MOST or ask.query.get("types") != "chart":
        raise Refused(400, _INVALID)
    made, cost = {}, 0
    for name in names:
        ticker = _known(name)
        if ticker is not None:
            rows, spent = _chart(ticker, ask, ask.query.get("range", "1m"), ask.query.get("exactDate", ""))
            made[name] = {"chart": rows}
            cost += spent
    return made, cost


def _chart(ticker: Ticker, ask: Ask, place: str, day: str) -> tuple[_Rows, int]:
    """The rows and their price: 10 a daily bar of a range, 2 for a day alone, 50 for the minutes of a session."""
    if place == "date":
        if not _DATE.fullmatch(day):
            raise Refused(400, _INVALID)
        try:
            wanted = np.datetime64(date(int(day[:4]), int(day[4:6]), int(day[6:])))
        except ValueError:
            raise Refused(400, _INVALID) from None
        if ask.query.get("chartByDay") == "true":
            rows = _days(series.at(ticker, ask.now), wanted, wanted)
            return rows, 2 * len(rows)
        rows = _minutes(ticker, ask, wanted)
        return rows, min(50, len(rows))
    if place not in _RANGES:
        raise Refused(403, _WRONG_KEY)
    today = np.datetime64(datetime.fromtimestamp(ask.now, UTC).astimezone(_NEW_YORK).date())
    rows = _days(series.at(ticker, ask.now), today - _RANGES[place], today)
    if place == "5d":
        rows = rows[-5:]
    if ask.query.get("sort") == "desc":
        rows.reverse()
    return rows, 10 * len(rows)


def _days(seen: View, first: np.datetime64, last: np.datetime64) -> _Rows:
    """Finished sessions, adjusted for splits and as traded side by side."""
    ours, raw = series.daily(seen), series.daily(seen, "raw")
    over = len(ours) - ours.live
    kept = np.flatnonzero((ours.day[:over] >= first) & (ours.day[:over] <= last) & ~np.isnan(ours.close[:over]))
    days = ours.day[kept].tolist()
    columns = {"close": ours.close, "open": ours.open, "high": ours.high, "low": ours.low}
    traded = {"uClose": raw.close, "uOpen": raw.open, "uHigh": raw.high, "uLow": raw.low}
    told = {name: [round(v, 10) for v in column[kept].tolist()] for name, column in (columns | traded).items()}
    told |= {"volume": [whole(v) for v in ours.volume[kept]], "uVolume": [whole(v) for v in raw.volume[kept]]}
    return [
        {"date": f"{day}", **{name: column[i] for name, column in told.items()}, "currency": "", "label": f"{day:%b} {day.day}"}
        for i, day in enumerate(days)
    ]


def _minutes(ticker: Ticker, ask: Ask, day: np.datetime64) -> _Rows:
    """The minutes of one session of the last thirty days; on a paid plan those of the whole market too, a quarter of an hour late."""
    seen = series.at(ticker, ask.now if ask.plan == "launch" else ask.now - _LATE)
    at = int(np.searchsorted(seen.truth.hours.day, day))
    if at >= len(seen.truth.hours.day) or seen.truth.hours.day[at] != day:
        return []
    opens = int(seen.truth.hours.opens[at])
    if opens < ask.now - _MINUTES_KEPT or opens > seen.now:
        return []
    bars = series.intraday(seen, "1m", opens, int(seen.truth.hours.closes[at]))
    stamps = [datetime.fromtimestamp(s, UTC).astimezone(_NEW_YORK) for s in bars.opens.tolist()]
    prices = [bars.open, bars.high, bars.low, bars.close]
    columns = [[round(v, 6) for v in column.tolist()] for column in prices]
    rows = []
    for moment, *row, volume in zip(stamps, *columns, [int(v) for v in bars.volume], strict=True):
        when = {"date": f"{moment:%Y-%m-%d}", "minute": f"{moment:%H:%M}", "label": f"{moment:%I:%M %p}".lstrip("0")}
        told = when | _at_iex(row, volume, (moment.hour * 60 + moment.minute) * 7 + moment.day)
        rows.append(told if ask.plan == "launch" else told | _side("market", row, volume))
    return rows


def _at_iex(row: list[float], volume: int, chance: int) -> dict[str, Any]:
    """IEX's own share of a minute, one in thirty-three; now and then it had none."""
    share = 0 if chance % 131 == 0 else volume // 33
    return _side("", row if share else [None] * 4, share)


def _side(prefix: str, row: list[Any], volume: int) -> dict[str, Any]:
    first, high, low, last = row
    middle = None if last is None else round((high + low + last) / 3, 3)
    told = {"open": first, "high": high, "low": low, "close": last, "average": middle, "volume": volume}
    told |= {"notional": round(volume * (middle or 0), 4), "numberOfTrades": volume // 100}
    return {prefix + (name[0].upper() + name[1:] if prefix else name): value for name, value in told.items()}


def _quote(ticker: Ticker, ask: Ask) -> dict[str, Any]:
    seen = series.at(ticker, ask.now)
    days = series.daily(seen).traded
    if not len(days):
        raise Refused(404, "Unknown symbol")
    at = seen.live.seen if seen.live is not None else int(seen.truth.hours.closes[seen.done - 1])
    return {
        "symbol": ticker.symbol,
        "companyName": ticker.name,
        "primaryExchange": ticker.exchange_name.upper(),
        "calculationPrice": "tops" if seen.live is not None else "close",
        "high": round(float(days.high[-1]), 4),
        "low": round(float(days.low[-1]), 4),
        "latestPrice": round(seen.price, 4),
        "latestSource": "IEX real time price" if seen.live is not None else "Close",
        "latestUpdate": at * 1000 + 831,
        "latestVolume": int(days.volume[-1]),
        "previousClose": round(float(days.close[-2] if len(days) > 1 else days.open[-1]), 4),
        "iexBidPrice": 0,
        "iexAskPrice": 0,
        "currency": ticker.currency,
        "isUSMarketOpen": seen.live is not None,
    }


def _actions(ticker: Ticker, ask: Ask, what: str, place: str) -> _Rows:
    """Newest first."""
    if place not in _RANGES:
        raise Refused(403, _WRONG_KEY)
    since = np.datetime64(ask.now // 86400 - _RANGES[place], "D")
    told = [a for a in reversed(series.actions(series.at(ticker, ask.now))) if a.day >= since]
    if what == "splits":
        factors = [(a, a.new, a.old) for a in told if a.kind == "split"]
        return [
            {
                "exDate": f"{a.day}",
                "ratio": round(old / new, 6),
                "toFactor": new,
                "fromFactor": old,
                "description": f"{new}-for-{old} split",
            }
            for a, new, old in factors
        ]
    common = {"flag": "Cash", "currency": ticker.currency, "description": "Ordinary Shares", "frequency": "quarterly"}
    return [{"symbol": ticker.symbol, "exDate": f"{a.day}", "amount": a.amount, **common} for a in told if a.kind == "dividend"]


def _search(words: str) -> _Rows:
    wanted = words.strip().upper()
    found = [t for t in familiar() if _known(t.symbol) and (t.symbol.startswith(wanted) or wanted in t.name.upper())] if wanted else []
    exact = _known(wanted)
    hits = ([exact] if exact else []) + [t for t in found if exact is None or t.symbol != exact.symbol]
    return [
        {
            "symbol": t.symbol,
            "securityName": t.name,
            "securityType": _TYPES[t.type],
            "region": "US",
            "exchange": t.exchange,
            "currency": t.currency,
        }
        for t in hits[:20]
    ]


_MESSAGES = {"launch": 50_000, "individual": 5_000_000, "business": 150_000_000}  # a calendar month
_PLANS = {plan: (Allowance(limit, "month"), Allowance(100, 1.0, of="requests")) for plan, limit in _MESSAGES.items()}
DIALECT = Dialect("iexcloud", ("cloud.iexapis.com",), _PLANS, answer, refuse, key_in, weight)
