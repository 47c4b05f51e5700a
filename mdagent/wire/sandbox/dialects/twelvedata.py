"""Twelve Data's wire format: texts for numbers, newest first, errors with a code of their own, batches keyed by symbol.

A basic key sees no daily bar before 2006 and nothing outside America; splits and dividends need a larger plan. Of indices and
futures the sandbox's Twelve Data knows none.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast
from zoneinfo import ZoneInfo

import numpy as np

from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects import Allowance, Dialect, as_json
from mdagent.wire.sandbox.dialects.twelvedata_listings import AMERICA, PLACES, is_pair, listed, meta_of, search
from mdagent.wire.sandbox.market import hours

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mdagent.wire.sandbox.dialects import Ask, Reply, Why
    from mdagent.wire.sandbox.series import Action, Bars, Basis
    from mdagent.wire.sandbox.tickers import Ticker
    from mdagent.wire.sandbox.view import View

_PLANS = {
    "basic": (Allowance(8, "minute"), Allowance(800, "day")),
    "grow": (Allowance(377, "minute"),),
    "pro": (Allowance(1597, "minute"),),
    "ultra": (Allowance(10946, "minute"),),
}
_MINUTES = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "1h": "1h"}
_PERIODS = {"1week": "1w", "1month": "1mo"}
_BASIS: dict[str, Basis] = {"none": "raw", "splits": "splits", "all": "all"}
_ADVERT = "Consider upgrading now at https://twelvedata.com/pricing"
_BY_SYMBOL, _DEAR = ("/time_series", "/quote", "/price"), ("/splits", "/dividends")
_FIRST_OF_BASIC = np.datetime64("2006-01-01")


class Refusal(Exception):
    """A request that is answered with an error body."""

    def __init__(self, code: int, message: str, **more: Any) -> None:  # noqa: ANN401  JSON
        super().__init__(message)
        self.code = code
        self.body = {"code": code, "message": message, "status": "error", **more}


def key_in(ask: Ask) -> str:
    """The key of the header, or else of the query."""
    scheme, _, key = ask.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "apikey" else ask.query.get("apikey", "")


def weight(ask: Ask) -> int:
    """Credits of a request: by symbol; splits and dividends are dear, their refusal is not."""
    symbols = len(_names(ask.query))
    if ask.path in _DEAR:
        return 1 if ask.plan == "basic" else 20 * symbols
    return symbols if ask.path in _BY_SYMBOL else 1


def _names(query: Mapping[str, str]) -> list[str]:
    return [name for name in query.get("symbol", "").upper().split(",") if name] or [""]


def refuse(ask: Ask, why: Why) -> Reply:
    """A key or a quota that does not hold, in the provider's words."""
    if why == "no plan":
        return _error(Refusal(403, f"{ask.path} is available exclusively with ultra or enterprise plans. {_ADVERT}"))
    if not isinstance(why, Allowance):
        words = "**apikey** parameter is incorrect or not specified. You can get your free API key instantly following this link: "
        return _error(Refusal(401, words + "https://twelvedata.com/pricing."))
    span, unit = ("current minute", "minute") if why.per == "minute" else ("day", "day")
    words = f"You have run out of API credits for the {span}. {why.limit + weight(ask)} API credits were used, with the current limit "
    more = f"being {why.limit}. Wait for the next {unit} or consider switching to a higher tier plan at https://twelvedata.com/pricing"
    return _error(Refusal(429, words + more))


def _error(refusal: Refusal) -> Reply:
    return as_json(refusal.body, refusal.code)


def answer(ask: Ask) -> Reply:
    """The reply to a request of a good key."""
    if ask.path == "/symbol_search":
        return as_json({"data": search(ask.query), "status": "ok"})
    if ask.path == "/market_state":
        return as_json(_markets(ask))
    tell = _TELL.get(ask.path)
    if tell is None:
        return _error(Refusal(404, f"The requested URL {ask.path} was not found on this server."))
    if ask.plan == "basic" and ask.path in _DEAR:
        return _error(Refusal(403, f"{ask.path} is available exclusively with grow or pro or ultra or enterprise plans. {_ADVERT}"))
    try:
        return _told(ask, tell)
    except Refusal as refusal:
        return _error(refusal)


def _told(ask: Ask, tell: Callable[[Ask, Ticker], dict[str, Any]]) -> Reply:
    """One answer for one symbol; of several an object of answers, of which some may be errors."""
    names = _names(ask.query)
    if len(names) > 120:
        raise Refusal(414, "The parameter **symbol** is too long. The maximum number of symbols is 120.")
    if len(names) == 1:
        return as_json(tell(ask, _ticker(ask, names[0])))
    parts: dict[str, Any] = {}
    for name in names:
        try:
            parts[name] = tell(ask, _ticker(ask, name))
        except Refusal as refusal:
            parts[name] = refusal.body
    return as_json(parts)


def _ticker(ask: Ask, name: str) -> Ticker:
    """The listing that a request names. Raises Refusal."""
    if not name:
        raise Refusal(
            404,
            "**symbol** or **figi** parameter is missing or invalid. Please provide a valid symbol according to API documentation: "
            "https://twelvedata.com/docs#reference-data",
        )
    stem, _, place = name.partition(":")
    found = listed(stem, place or ask.query.get("mic_code", "").upper() or ask.query.get("exchange", "").upper())
    if found is None or found.exchange not in PLACES:
        words = f"**symbol** not found: {name}. Please specify it correctly according to API Documentation."
        raise Refusal(400, words, meta={"symbol": name, "interval": ask.query.get("interval", ""), "exchange": ""})
    if ask.plan == "basic" and (PLACES[found.exchange][2] not in (AMERICA, "") or found.type == "MUTUALFUND"):
        raise Refusal(404, f"This symbol is available starting with the Grow or Venture plan. {_ADVERT}")
    return found


def _time_series(ask: Ask, ticker: Ticker) -> dict[str, Any]:
    query, word = ask.query, ask.query.get("interval", "")
    if word not in (*_MINUTES, "1day", *_PERIODS):
        words = f"Invalid **interval** provided: {word}. Supported intervals: {', '.join((*_MINUTES, '1day', *_PERIODS))}"
        raise Refusal(400, words)
    basis = _BASIS.get(query.get("adjust", "splits"))
    if basis is None:
        raise Refusal(400, f"Invalid **adjust** parameter: {query['adjust']}")
    zone = _zone(query.get("timezone", "Exchange") if word in _MINUTES else "Exchange", ticker)
    start, end = (_moment(query, name) for name in ("start_date", "end_date"))
    size = _size(query, 5000 if start or end else 30)
    seen = series.at(ticker, ask.now)
    if word in _MINUTES:
        stamps, bars = _intraday(seen, word, basis, zone, (start, end, size))
    else:
        stamps, bars = _daily(seen, word, basis, (start, end))
    if ask.plan == "basic":
        recent = bars.day >= _FIRST_OF_BASIC
        stamps, bars = stamps[recent], bars.take(recent)
    if not len(bars):
        raise Refusal(400, "No data is available on the specified dates. Try setting different start/end dates.")
    values = _rows(ticker, stamps[-size:], bars.take(np.arange(len(bars))[-size:]))
    return {
        "meta": meta_of(ticker, word),
        "values": values if query.get("order", "desc").lower() == "asc" else values[::-1],
        "status": "ok",
    }


def _zone(word: str, ticker: Ticker) -> ZoneInfo:
    try:
        return ZoneInfo("UTC" if word == "Exchange" and is_pair(ticker) else ticker.zone if word == "Exchange" else word)
    except (KeyError, ValueError, OSError):
        raise Refusal(400, f"Invalid **timezone** provided: {word}") from None


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    """A naive time of the query; of a bare date its midnight."""
    told = query.get(name, "")
    if not told:
        return None
    try:
        return datetime.fromisoformat(told).replace(tzinfo=None)
    except ValueError:
        raise Refusal(400, f"Invalid **{name}** provided: {told}. Use the format 2006-01-02 or 2006-01-02 15:04:05") from None


def _size(query: Mapping[str, str], usual: int) -> int:
    told = query.get("outputsize", str(usual))
    if not told.isdecimal() or not 1 <= int(told) <= 5000:
        raise Refusal(400, f"Invalid **outputsize** provided: {told}. Supports values in the range from 1 to 5000.")
    return int(told)


def _intraday(
    seen: View, word: str, basis: Basis, zone: ZoneInfo, window: tuple[datetime | None, datetime | None, int]
) -> tuple[np.ndarray, Bars]:
    """Local times as text, and their bars, with `start <= time < end`."""
    start, end, size = window
    until = int(end.replace(tzinfo=zone).timestamp()) if end else seen.now + 1
    since = int(start.replace(tzinfo=zone).timestamp()) if start else until - 6 * size * 3600 - 7 * 86400
    bars = series.intraday(seen, _MINUTES[word], since, until, basis).traded
    local = [f"{datetime.fromtimestamp(t, zone):%Y-%m-%d %H:%M:%S}" for t in bars.opens.tolist()]
    return np.array(local, dtype="U19"), bars


def _daily(seen: View, word: str, basis: Basis, window: tuple[datetime | None, datetime | None]) -> tuple[np.ndarray, Bars]:
    """Dates as text, and their bars, with `start <= date < end`."""
    unit = cast("Literal['1w', '1mo']", _PERIODS.get(word))
    bars = (series.periods(seen, unit, basis) if unit else series.daily(seen, basis)).traded
    midnights = bars.day.astype("datetime64[s]")
    start, end = (None if edge is None else np.datetime64(edge, "s") for edge in window)
    keep = np.ones(len(bars), dtype=bool) if start is None else midnights >= start
    bars = bars.take(keep if end is None else keep & (midnights < end))
    return bars.day.astype(str), bars


def _rows(ticker: Ticker, stamps: np.ndarray, bars: Bars) -> list[dict[str, str]]:
    columns = {"datetime": stamps.tolist()}
    columns |= {name: _texts(getattr(bars, name)) for name in ("open", "high", "low", "close")}
    if ticker.type != "CURRENCY":
        columns["volume"] = [f"{v:.0f}" for v in bars.volume.tolist()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _texts(column: np.ndarray) -> list[str]:
    """Five decimals where they hold the prices, else as many as ten digits need."""
    exact = bool((np.abs(np.round(column, 5) - column) <= 1e-10 * np.abs(column)).all())
    least = np.abs(column[column != 0])
    places = 5 if exact else max(5, 10 - int(np.floor(np.log10(np.nanmin(least)))))
    return [f"{v:.{places}f}" for v in column.tolist()]


def _quote(ask: Ask, ticker: Ticker) -> dict[str, Any]:
    seen = series.at(ticker, ask.now)
    bars, meta = series.daily(seen).traded, meta_of(ticker, "1day")
    if not len(bars):
        raise Refusal(400, "No data is available on the specified dates. Try setting different start/end dates.")
    day = _rows(ticker, bars.day[-1:].astype(str), bars.take(np.array([len(bars) - 1])))[0]
    price, before = seen.price, float(bars.close[-2:][0])
    closed = int(seen.truth.hours.closes[seen.shown - 1])
    told = {key: meta[key] for key in ("symbol", "exchange", "mic_code", "currency") if key in meta}
    return told | {
        "name": ticker.name,
        "datetime": day.pop("datetime"),
        "timestamp": int(bars.opens[-1]),
        "last_quote_at": seen.live.seen // 60 * 60 if seen.live is not None else closed - 60,
        **day,
        "close": f"{price:.5f}",
        "previous_close": f"{before:.5f}",
        "change": f"{price - before:.5f}",
        "percent_change": f"{100 * (price / before - 1) if before else 0.0:.5f}",
        "average_volume": f"{float(bars.volume[-9:].mean()):.0f}",
        "is_market_open": seen.live is not None,
        "fifty_two_week": {"low": f"{float(bars.low[-252:].min()):.5f}", "high": f"{float(bars.high[-252:].max()):.5f}"},
    }


def _price(ask: Ask, ticker: Ticker) -> dict[str, Any]:
    return {"price": f"{series.at(ticker, ask.now).price:.5f}"}


def _events(ask: Ask, ticker: Ticker, kind: str) -> tuple[dict[str, str], list[Action]]:
    """Meta and the actions of that kind, newest first: those between two dates, both included, or else the last one."""
    found = [a for a in series.actions(series.at(ticker, ask.now)) if a.kind == kind][::-1]
    start, end = (_moment(ask.query, name) for name in ("start_date", "end_date"))
    if start is None and end is None:
        found = found if ask.query.get("range") == "full" else found[:1]
    low, high = (np.datetime64(edge, "D") if edge else None for edge in (start, end))
    inside = [a for a in found if (low is None or a.day >= low) and (high is None or a.day <= high)]
    meta = {"name": ticker.name} | meta_of(ticker, "")
    return {key: meta[key] for key in meta if key not in ("interval", "type")}, inside


def _splits(ask: Ask, ticker: Ticker) -> dict[str, Any]:
    meta, found = _events(ask, ticker, "split")
    rows = [
        {
            "date": str(a.day),
            "description": f"{a.new}-for-{a.old} split",
            "ratio": round(a.old / a.new, 5),
            "from_factor": a.new,
            "to_factor": a.old,
        }
        for a in found
    ]
    return {"meta": meta, "splits": rows}


def _dividends(ask: Ask, ticker: Ticker) -> dict[str, Any]:
    meta, found = _events(ask, ticker, "dividend")
    paid = ask.query.get("adjust", "true").lower() == "false"
    return {"meta": meta, "dividends": [{"ex_date": str(a.day), "amount": round(a.amount if paid else a.adjusted, 6)} for a in found]}


_TELL: dict[str, Callable[[Ask, Ticker], dict[str, Any]]] = {
    "/time_series": _time_series,
    "/quote": _quote,
    "/price": _price,
    "/splits": _splits,
    "/dividends": _dividends,
}


# Name, code, country, and the calendar of the sandbox.
_MARKETS = (
    ("NASDAQ", "XNAS", AMERICA, "XNYS"),
    ("NYSE", "XNYS", AMERICA, "XNYS"),
    ("LSE", "XLON", "United Kingdom", "XLON"),
    ("XETR", "XETR", "Germany", "XETR"),
    ("JPX", "XJPX", "Japan", "XTKS"),
)


def _markets(ask: Ask) -> list[dict[str, Any]]:
    asked = {name: ask.query[name].upper() for name in ("exchange", "code", "country") if ask.query.get(name)}
    made = []
    for name, code, country, calendar in _MARKETS:
        if all({"exchange": name, "code": code, "country": country.upper()}[k] == v for k, v in asked.items()):
            table = hours(calendar)
            at = int(np.searchsorted(table.opens, ask.now, side="right"))
            is_open = at > 0 and ask.now < table.closes[at - 1]
            spans = {
                "time_after_open": ask.now - int(table.opens[at - 1]) if is_open else 0,
                "time_to_open": 0 if is_open else int(table.opens[at]) - ask.now,
                "time_to_close": int(table.closes[at - 1]) - ask.now if is_open else 0,
            }
            about = {"name": name, "code": code, "country": country, "is_market_open": bool(is_open)}
            made.append(about | {k: f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for k, s in spans.items()})
    return made


def _credits(used: int, left: int) -> Mapping[str, str]:
    """What the minute has left; the real one also adds up what the minute has used, which only the referee knows."""
    return {"api-credits-request": str(used), "api-credits-used": str(used), "api-credits-left": str(left)}


DIALECT = Dialect("twelvedata", ("api.twelvedata.com",), _PLANS, answer, refuse, key_in, weight, _credits)
