"""Yahoo Finance: the keyless, unofficial chart API (v8) and its search.

Prices come split-adjusted, never raw; `adjclose` adds dividends, for daily and longer bars only. A daily stamp is the session's
open, so its date is read in `meta.exchangeTimezoneName` (`gmtoffset` is the offset now, not at the bar). The last row of a live
session is a snapshot off the grid. Facts as seen in answers of 2021-2025; Yahoo documents nothing and publishes no quota.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as percent

from mdagent.errors import UsageError
from mdagent.guard.outcome import HTTP_OK, ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.market import Adjustment, BarRequest, BarSet, Interval, Listing, Quote, Symbol
from mdagent.sources.base import Adapter, Depth, Plan, Quota, SourceSpec
from mdagent.sources.reading.body import failed, read_json
from mdagent.sources.reading.fields import number, text
from mdagent.sources.reading.windows import first_period, last_instant
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    import httpx

    from mdagent.market import CorporateAction, MarketStatus
    from mdagent.sources.base import Conversation

HOSTS = ("query1.finance.yahoo.com", "query2.finance.yahoo.com")
# A library's own User-Agent is refused at times; this one is a setting.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
SPELLED = {Interval.W1: "1wk", Interval.MO1: "1mo"}
_SPLITS, _BOTH = (Adjustment.SPLITS,), (Adjustment.SPLITS, Adjustment.ALL)
_MINUTES = Depth(timedelta(days=60), timedelta(days=60), _SPLITS)

SPEC = SourceSpec(
    name="yahoo",
    title="Yahoo Finance",
    hosts=HOSTS,
    intervals={
        Interval.M1: Depth(timedelta(days=30), timedelta(days=7), _SPLITS),
        Interval.M5: _MINUTES,
        Interval.M15: _MINUTES,
        Interval.M30: _MINUTES,
        Interval.H1: Depth(timedelta(days=730), timedelta(days=730), _SPLITS),
        Interval.D1: Depth(delivers=_BOTH),
        Interval.W1: Depth(delivers=_BOTH),
        Interval.MO1: Depth(delivers=_BOTH),
    },
    plans=(Plan("free", (Quota(60, 60.0), Quota(2000, 3600.0)), note="no quota is published; these figures are ours"),),
    cooldown=300.0,
    delay=timedelta(minutes=20),
    concurrency=2,
    covers="stocks, funds, indices, futures, currencies and crypto of most of the world",
    terms="unofficial; personal use, no redistribution",
    checked=date(2026, 11, 1),
    offers=frozenset(("quote", "search", "actions", "actions with bars", "market")),
    user_agent=USER_AGENT,
)

_ERROR_TEXT = re.compile(rb'"error"\s*:\s*[{"]')
_CODES = (  # chart.error.code and description -> kind; the first that fits
    (r"Not Found|No data found", FailureKind.UNKNOWN_SYMBOL),
    (r"Data doesn.t exist", FailureKind.NO_DATA),
    (r"Unauthorized|Invalid Crumb|(?i:(unknown|invalid|missing|expired) (api )?key)", FailureKind.AUTH),
    (r"Too Many Requests", FailureKind.RATE_LIMITED),
    (r"Unprocessable|Bad Request", FailureKind.BAD_REQUEST),
)


class Source(Adapter):
    """Conversations with Yahoo's chart and search endpoints."""

    spec = SPEC

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars with `start <= ts < end`, a long intraday window in as many requests as Yahoo's limits need."""
        from mdagent.sources.yahoo_chart import read_chart

        parts = []
        asked = self.cut(request)
        for part in asked:
            try:
                reply = yield self._chart(part)
            except ConversationFailed as error:
                if error.failure.kind is not FailureKind.NO_DATA or len(asked) == 1:
                    raise
                continue  # a piece before the first trade does not spoil the rest
            parts.append(read_chart(reply, part))
        if not parts:
            msg = f"Yahoo has no {request.interval} bars of {request.symbol} in this range"
            raise failed(FailureKind.NO_DATA, msg)
        return BarSet.join(parts)

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The price of the chart's own summary; needs no cookie and no crumb."""
        from mdagent.sources.yahoo_chart import LATEST, chart_of, check_symbol, spell

        symbol = Symbol.parse(symbol)
        reply = yield self.get(f"/v8/finance/chart/{percent(spell(symbol), safe='')}", {"range": "1d", "interval": "1d"})
        meta, _ = chart_of(reply)
        check_symbol(meta, symbol)
        last = number(meta, "regularMarketPrice")
        if last is None:
            msg = f"Yahoo tells no price of {symbol}"
            raise failed(FailureKind.NO_DATA, msg)
        told = number(meta, "regularMarketTime")
        return Quote(
            symbol,
            SPEC.name,
            last,
            datetime.fromtimestamp(told, UTC) if told is not None and abs(told) < LATEST else None,
            currency=text(meta, "currency") or None,
            previous_close=number(meta, "chartPreviousClose"),
            day_high=number(meta, "regularMarketDayHigh"),
            day_low=number(meta, "regularMarketDayLow"),
            volume=number(meta, "regularMarketVolume"),
        )

    def search(self, words: str) -> Conversation[list[Listing]]:
        """At most ten symbols that fit the words."""
        reply = yield self.get("/v1/finance/search", {"q": words, "quotesCount": "10", "newsCount": "0"})
        body = read_json(reply)
        hits = body.get("quotes") if isinstance(body, dict) else None
        if not isinstance(hits, list):
            msg = "the answer to the search holds no list of quotes"
            raise failed(FailureKind.SCHEMA, msg)
        return [found for hit in hits if isinstance(hit, dict) and (found := _listing(hit))]

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        """The events of the daily chart: Yahoo tells them with bars alone."""
        del payments
        bars = yield from self.bars(BarRequest(symbol, Interval.D1, start, end))
        return bars.actions

    def market(self) -> Conversation[list[MarketStatus]]:
        """New York's session, by the chart of the S&P 500: Yahoo has no list of markets, and tells no holidays."""
        from mdagent.sources.yahoo_chart import chart_of, status_of

        reply = yield self.get(f"/v8/finance/chart/{percent('^GSPC', safe='')}", {"range": "1d", "interval": "1d"})
        return [status_of(chart_of(reply)[0])]

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The failure that the status, or an error object inside a 200, tells."""
        head = reply.content[:2000].decode("utf-8", "replace")
        if reply.status_code == HTTP_OK:
            if head.lstrip()[:1] == "<" and "Will be right back" in reply.text[:20000]:
                return Failure(FailureKind.SERVER_ERROR, "Yahoo is down ('Will be right back')", HTTP_OK)
            if not _ERROR_TEXT.search(reply.content):
                return None
        kind = kind_of_status(reply.status_code, head)
        words = _told_error(reply)
        if words is None and reply.status_code != HTTP_OK:
            words = _page(head)
        told = next((k for pattern, k in _CODES if words and re.search(pattern, words)), None)
        if reply.status_code == HTTP_OK and words is None:
            return None  # "error" stands somewhere else in the body
        if told and (kind in (None, FailureKind.BAD_REQUEST, FailureKind.UNKNOWN_SYMBOL)):
            kind = told
        kind = kind or FailureKind.BAD_REQUEST
        if kind is FailureKind.UNKNOWN_SYMBOL:  # Yahoo's own words guess at a delisting
            return Failure(kind, f"Yahoo does not know this symbol (HTTP {reply.status_code})", reply.status_code)
        return Failure(kind, one_line(f"HTTP {reply.status_code}: {words}"), reply.status_code)

    def _chart(self, request: BarRequest) -> httpx.Request:
        from mdagent.sources.yahoo_chart import spell

        start = first_period(request)
        if (
            not request.interval.intraday and request.symbol.mic != "XNYS"
        ):  # east of Greenwich a session is stamped on the day before its date
            start -= timedelta(hours=14)
        return self.get(
            f"/v8/finance/chart/{percent(spell(request.symbol), safe='')}",
            {
                "period1": str(int(start.timestamp())),
                "period2": str(int(last_instant(request).timestamp())),
                "interval": SPELLED.get(request.interval, request.interval.value),
                "includePrePost": "false",
                "events": "div,splits,capitalGains",
            },
        )


def _listing(hit: dict[str, Any]) -> Listing | None:
    try:
        symbol = Symbol.parse(text(hit, "symbol"))
    except UsageError:  # a spelling that could never be asked for
        return None
    name = text(hit, "longname") or text(hit, "shortname")
    return Listing(symbol, name, text(hit, "exchDisp") or text(hit, "exchange"), text(hit, "quoteType"), SPEC.name)


def _told_error(reply: httpx.Response) -> str | None:
    """The words of the error object (`chart`, `finance` or `quoteResponse`), None where the body has none."""
    try:
        body = read_json(reply)
    except ConversationFailed:
        return None
    for root in ("chart", "finance", "quoteResponse", "spark"):
        part = body.get(root) if isinstance(body, dict) else None
        error = part.get("error") if isinstance(part, dict) else None
        if isinstance(error, dict):
            return f"{text(error, 'code')}: {text(error, 'description')}"
        if isinstance(error, str) and error:
            return error
    return None


def _page(head: str) -> str:
    """What to say of a body that is no JSON: plain words as they are, never a page of HTML."""
    return "an HTML page" if head.lstrip()[:1] == "<" else head.strip() or "an empty answer"
