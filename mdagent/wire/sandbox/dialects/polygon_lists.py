"""Polygon's snapshot, its lists of tickers, splits and dividends, and the state of markets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects.polygon import NEW_YORK, PRICING, Refusal, known, page_of, truth_of
from mdagent.wire.sandbox.market import hours

if TYPE_CHECKING:
    from mdagent.wire.sandbox.dialects.polygon import Question
    from mdagent.wire.sandbox.tickers import Ticker
    from mdagent.wire.sandbox.view import View

_EXCHANGES = {"NYQ": "XNYS", "NYS": "XNYS", "PCX": "ARCX", "WCB": "BATS"}
_FORMER, _NEWER = (10, 1000), (100, 5000)  # default and greatest page of the old lists and of the new ones


def snapshot(question: Question) -> dict[str, Any]:
    """`/v2/snapshot/locale/us/markets/stocks/tickers/T`: trades from developer on, quotes for advanced. Raises Refusal."""
    if question.plan == "basic":
        raise Refusal(403, "NOT_AUTHORIZED", f"You are not entitled to this data. Please upgrade your plan at {PRICING}")
    name = question.names[0]
    ticker = truth_of(name)
    if ticker is None or ":" in name:
        raise Refusal(404, "NOT_FOUND", "Ticker not found.")
    seen = series.at(ticker, question.now)
    price = float(f"{seen.price:.10g}")
    at = seen.shown - 1
    moment = seen.live.seen if seen.live is not None else int(seen.truth.hours.closes[at])
    told: dict[str, Any] = {
        "ticker": name,
        "todaysChangePerc": 0.0,
        "todaysChange": 0.0,
        "updated": moment * 10**9,
        "day": _day(seen, at),
        "min": {"av": 0, "t": moment // 60 * 60_000, "n": 1, "o": price, "h": price, "l": price, "c": price, "v": 100, "vw": price},
        "prevDay": _day(seen, at - 1),
    }
    if question.plan != "starter":
        told["lastTrade"] = {"c": [14, 41], "i": "4046", "p": price, "s": 100, "t": moment * 10**9 + 891221, "x": 4}
    if question.plan == "advanced":
        told["lastQuote"] = {"P": round(price + 0.01, 4), "S": 5, "p": round(price - 0.01, 4), "s": 3, "t": moment * 10**9 + 907646}
    return {"status": "OK", "ticker": told}


def _day(seen: View, at: int) -> dict[str, float]:
    strip = seen.daily(max(at, 0), max(at, 0) + 1)
    if at < 0 or np.isnan(strip.close[0]):
        return dict.fromkeys(("o", "h", "l", "c", "v", "vw"), 0)
    o, h, l, c, v = (float(f"{column[0]:.10g}") for column in strip.columns[1:])  # noqa: E741 - OHLC
    return {"o": o, "h": h, "l": l, "c": c, "v": v, "vw": c}


def tickers(question: Question) -> dict[str, Any]:
    """`/v3/reference/tickers`, in the order of their names. Raises Refusal."""
    words = question.query.get("search", "").upper()
    wanted = question.query.get("market", "")
    rows = [_ticker(name, t) for name, t in sorted(known()) if words in name.upper() or words in t.name.upper()]
    exact = truth_of(words) if words.startswith("SYM") else None
    if exact is not None:
        rows.append(_ticker(exact.symbol, exact))
    return page_of(question, [row for row in rows if wanted in ("", row["market"])], 100, 1000)


def _ticker(name: str, ticker: Ticker) -> dict[str, Any]:
    told: dict[str, Any] = {"ticker": name, "name": ticker.name}
    if name.startswith(("X:", "C:")):
        base, quote = name[2:-3], name[-3:]
        told |= {"market": "crypto" if name[0] == "X" else "fx", "locale": "global", "active": True}
        return told | {"currency_symbol": quote, "currency_name": quote.lower(), "base_currency_symbol": base}
    if name.startswith("I:"):
        return told | {"market": "indices", "locale": "us", "active": True, "source_feed": "CMEMarketDataPlatform"}
    kind = "ETF" if ticker.type == "ETF" else "CS"
    told |= {"market": "stocks", "locale": "us", "primary_exchange": _EXCHANGES.get(ticker.exchange, "XNAS"), "type": kind}
    return told | {"active": True, "currency_name": "usd", "last_updated_utc": "2025-01-02T00:00:00Z"}


def splits(question: Question) -> dict[str, Any]:
    """`/stocks/v1/splits`, or the old `/v3/reference/splits`. Raises Refusal."""
    former, name, seen = _asked(question)
    found = [a for a in series.actions(seen) if a.kind == "split"] if seen is not None else []
    rows = []
    kept = 1.0
    for a in reversed(found):
        kept *= a.old / a.new
        row: dict[str, Any] = {"execution_date": str(a.day), "split_from": a.old, "split_to": a.new, "ticker": name}
        if not former:
            kind = "forward_split" if a.new > a.old else "reverse_split"
            row |= {"id": f"E{name}{a.day}S", "historical_adjustment_factor": kept, "adjustment_type": kind}
        rows.append(row)
    return _listed(question, rows, "execution_date", former=former)


def dividends(question: Question) -> dict[str, Any]:
    """`/stocks/v1/dividends`, or the old `/v3/reference/dividends`: amounts as declared. Raises Refusal."""
    former, name, seen = _asked(question)
    rows = []
    for a in series.actions(seen) if seen is not None else []:
        if a.kind == "split" or seen is None:
            continue
        row: dict[str, Any] = {"ticker": name, "cash_amount": a.amount, "currency": seen.truth.ticker.currency, "frequency": 4}
        row |= {"ex_dividend_date": str(a.day), "record_date": str(a.day + 1), "pay_date": str(a.day + 14)}
        if former:
            row |= {"declaration_date": str(a.day - 14), "dividend_type": "CD"}
        else:
            row |= {"id": f"E{name}{a.day}D", "distribution_type": "recurring", "split_adjusted_cash_amount": a.adjusted}
        rows.append(row)
    return _listed(question, rows, "ex_dividend_date", former=former)


def _asked(question: Question) -> tuple[bool, str, View | None]:
    """In the old form? For which ticker, and what is known of it?"""
    name = question.query.get("ticker", "")
    ticker = truth_of(name)
    return question.path.startswith("/v3/"), name, series.at(ticker, question.clock) if ticker is not None and ":" not in name else None


def _listed(question: Question, rows: list[dict[str, Any]], day: str, *, former: bool) -> dict[str, Any]:
    edges = {op: question.query.get(f"{day}.{op}", "") for op in ("gte", "gt", "lte", "lt")}
    kept = [
        row
        for row in rows
        if (not edges["gte"] or row[day] >= edges["gte"])
        and (not edges["gt"] or row[day] > edges["gt"])
        and (not edges["lte"] or row[day] <= edges["lte"])
        and (not edges["lt"] or row[day] < edges["lt"])
    ]
    kept.sort(key=lambda row: str(row[day]), reverse=not question.query.get("sort", "").endswith((".asc", "_date")))
    return page_of(question, kept, *(_FORMER if former else _NEWER))


def status(question: Question) -> dict[str, Any]:
    """`/v1/marketstatus/now`, without an envelope."""
    table, now = hours("XNYS"), question.clock
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(NEW_YORK))
    at = int(np.searchsorted(table.day, np.datetime64(local.date())))
    session = at < len(table.day) and table.day[at] == np.datetime64(local.date())
    early = bool(session and local.hour >= 4 and now < table.opens[at])
    after = bool(session and table.closes[at] <= now < table.closes[at] + 14_400)
    state = "open" if session and table.opens[at] <= now < table.closes[at] else "extended-hours" if early or after else "closed"
    return {
        "afterHours": after,
        "currencies": {"crypto": "open", "fx": "open" if local.weekday() < 5 else "closed"},
        "earlyHours": early,
        "exchanges": {"nasdaq": state, "nyse": state, "otc": state},
        "market": state,
        "serverTime": local.isoformat(timespec="seconds"),
    }
