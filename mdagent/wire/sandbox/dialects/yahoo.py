"""Yahoo's wire format: requests in its words, truth out in its JSON, quirks and error texts included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdagent.wire.sandbox.dialects import Allowance, Dialect, Reply, as_json
from mdagent.wire.sandbox.tickers import familiar, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mdagent.wire.sandbox.dialects import Ask, Why
    from mdagent.wire.sandbox.tickers import Ticker

HOSTS = ("query1.finance.yahoo.com", "query2.finance.yahoo.com")
JSON_TYPE = "application/json;charset=utf-8"
_CHART = "/v8/finance/chart/"


class Refusal(Exception):
    """A request that Yahoo answers with an error body; `code` and `description` are what the body says."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.code = code
        self.description = description


def refuse(ask: Ask, why: Why) -> Reply:
    """What Yahoo says to a client over its quota: bare text, and no hint when to come back; it knows no keys, but crumbs, and plans
    for other customers than these."""
    del ask
    if why == "no plan":
        return Reply(402, b"Payment Required\r\n", "text/html")
    if isinstance(why, str):
        return _json(401, _error("finance", "Unauthorized", "Invalid Crumb"))
    return Reply(429, b"Too Many Requests\r\n", "text/html")


def answer(ask: Ask) -> Reply:
    """The reply to a chart, a search or a quote."""
    if ask.path.startswith(_CHART):
        return _chart(ask.path.removeprefix(_CHART), ask.query, ask.now)
    if ask.path == "/v1/finance/search":
        return _json(200, _search(ask.query))
    if ask.path == "/v7/finance/quote":
        return _json(401, _error("finance", "Unauthorized", "Invalid Crumb"))
    return _json(404, _error("finance", "Not Found", "HTTP 404 Not Found"))


def _chart(symbol: str, query: Mapping[str, str], now: int) -> Reply:
    from mdagent.wire.sandbox.dialects.yahoo_chart import chart

    ticker = find(symbol)
    if ticker is None:
        return _json(404, _error("chart", "Not Found", "No data found, symbol may be delisted"))
    try:
        return _json(200, {"chart": {"result": [chart(ticker, query, now)], "error": None}})
    except Refusal as refusal:
        return _json(refusal.status, _error("chart", refusal.code, refusal.description))


def _error(root: str, code: str, description: str) -> dict[str, Any]:
    return {root: {"result": None, "error": {"code": code, "description": description}}}


def _json(status: int, body: dict[str, Any]) -> Reply:
    fresh = {"cache-control": "public, max-age=10, stale-while-revalidate=20", "age": "0"} if status == 200 else {}
    return as_json(body, status, content_type=JSON_TYPE, headers={"server": "ATS"} | fresh)


def _search(query: Mapping[str, str]) -> dict[str, Any]:
    words = query.get("q", "").strip().upper()
    count = int(query["quotesCount"]) if query.get("quotesCount", "").isdecimal() else 7
    hits = sorted(_ranked(words), key=lambda hit: (-hit[0], hit[1].yahoo))[:count] if words else []
    quotes = [_hit(ticker, score) for score, ticker in hits]
    nothing: dict[str, Any] = {name: [] for name in ("news", "nav", "lists", "researchReports")}
    return {"explains": [], "count": len(quotes), "quotes": quotes, **nothing, "totalTime": 12}


def _ranked(words: str) -> Iterable[tuple[float, Ticker]]:
    exact = find(words)
    if exact is not None:
        yield 30000.0, exact
    for ticker in familiar():
        name = ticker.name.upper()
        if ticker.yahoo == words:
            continue
        if name.startswith(words):
            yield 20300.0, ticker
        elif ticker.yahoo.startswith(words):
            yield 20200.0, ticker
        elif words in name:
            yield 20100.0, ticker


def _hit(ticker: Ticker, score: float) -> dict[str, Any]:
    shown = {"MUTUALFUND": "Fund", "ETF": "ETF", "FUTURE": "Futures"}.get(ticker.type, ticker.type.capitalize())
    return {
        "exchange": ticker.exchange,
        "shortname": ticker.name[:31],
        "quoteType": ticker.type,
        "symbol": ticker.yahoo,
        "index": "quotes",
        "score": score,
        "typeDisp": shown,
        "longname": ticker.name,
        "exchDisp": ticker.exchange_name,
        "isYahooFinance": True,
    }


DIALECT = Dialect("yahoo", HOSTS, {"free": (Allowance(120, 60.0), Allowance(2000, 3600.0))}, answer, refuse)
