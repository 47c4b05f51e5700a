"""Alpha Vantage: one path, `function` picks the data; every error comes with status 200, under a key of its own.

Throttle and paywall both say `Information`, and the throttle's words name premium plans: the limit is looked for first. A daily
limit's text repeats the caller's key, which is blanked here. Facts from the fixtures of public clients and the price page as copied
in May 2026; where they are unsure, the reading is chosen that stores no wrong bar:

- Free and unentitled answers are end-of-day, so a free plan's bars are final some sixteen hours after their close.
- Intraday bars of listings outside America are not asked for: their zone is at times said to be US/Eastern.
- A month without minutes and an unknown symbol are refused in the same words: of minutes they are told as no data.
- Adjusted weeks and months scale prices of two units where a split lies within: `SPLITS` is asked too, and such a row is rejected.
- `DIVIDENDS` are amounts as paid: IBM's of May 1999 stands there as twice the one after its split.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mdagent.guard.outcome import HTTP_OK, ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.market import Adjustment, Interval, Symbol
from mdagent.sources.alphavantage_answers import (
    SOURCE,
    events_of,
    foreign,
    listing_of,
    pair_of,
    plain,
    quote_of,
    rate_of,
    spell,
    status_of,
)
from mdagent.sources.base import Adapter, Auth, Depth, Milestone, Plan, Quota, SourceSpec
from mdagent.sources.reading.body import failed, read_json
from mdagent.sources.reading.fields import text
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    import httpx

    from mdagent.market import BarRequest, BarSet, CorporateAction, Listing, MarketStatus, Quote
    from mdagent.sources.base import Conversation

_BOTH = (Adjustment.RAW, Adjustment.ALL)
_EACH: Final = "requests"
_FIRST_MONTH = datetime(2000, 1, 1, tzinfo=UTC)  # minutes are told from here on
_COMPACT = timedelta(days=140)  # 100 points of a daily series


def _premium(calls: int, usd: float) -> Plan:
    quotas = (Quota(calls, 60.0, of=_EACH),)
    return Plan(f"premium{calls}", quotas, usd, timedelta(minutes=15), note="prices come 15 minutes late; a year costs ten months")


SPEC = SourceSpec(
    name=SOURCE,
    title="Alpha Vantage",
    hosts=("www.alphavantage.co",),
    intervals=MappingProxyType({interval: Depth(delivers=_BOTH) for interval in Interval}),
    plans=(
        Plan(
            "free",
            (Quota(1, 1.0, of=_EACH), Quota(25, "day", "America/New_York", of=_EACH)),
            delay=timedelta(hours=15),
            history=MappingProxyType({Interval.D1: _COMPACT}),
            lacks=frozenset(("1d all",)),
            note="25 requests a day; end-of-day data; the last 100 daily bars; a request for each month of minutes",
        ),
        *(_premium(*p) for p in ((75, 49.99), (150, 99.99), (300, 149.99), (600, 199.99), (1200, 249.99))),
    ),
    cooldown=60.0,
    delay=timedelta(hours=1),
    concurrency=1,
    covers="US stocks, ETFs and funds; London, Xetra, Paris, Amsterdam, Toronto, Bombay, Shanghai, Shenzhen by day; currencies and crypto",
    terms="a free key is for personal use; redistribution needs a licence",
    checked=date(2026, 11, 24),
    auth=Auth("query", "apikey"),
    offers=frozenset(("quote", "search", "actions", "market")),
    lifecycle=(
        Milestone(date(2023, 7, 1), "renamed", "TIME_SERIES_INTRADAY_EXTENDED became TIME_SERIES_INTRADAY with a month"),
        Milestone(date(2023, 7, 1), "needs-plan", "TIME_SERIES_DAILY_ADJUSTED"),
        Milestone(date(2024, 3, 1), "active", "a free key has 25 requests a day (500 before 2023)"),
        Milestone(date(2026, 5, 1), "needs-plan", "more than the last 100 bars of TIME_SERIES_DAILY"),
    ),
)

_MINUTES = {Interval.M1: "1min", Interval.M5: "5min", Interval.M15: "15min", Interval.M30: "30min", Interval.H1: "60min"}
_PERIODS = {Interval.D1: "DAILY", Interval.W1: "WEEKLY", Interval.MO1: "MONTHLY"}
_ENTITLED = ("TIME_SERIES_INTRADAY", "TIME_SERIES_DAILY", "TIME_SERIES_DAILY_ADJUSTED", "GLOBAL_QUOTE")
_FAMILIES = {"fx": ("FX_", "FX_INTRADAY"), "crypto": ("DIGITAL_CURRENCY_", "CRYPTO_INTRADAY")}
_SMALL = 8192  # bytes; no error is longer
_VERDICTS = (  # what an error says -> kind, seconds to stay away; the first that fits
    (r"apikey is invalid|apikey.{0,40}missing", FailureKind.AUTH, None),
    (r"has been merged|retired|deprecated|no longer", FailureKind.BAD_REQUEST, None),
    (r"per second", FailureKind.RATE_LIMITED, 2.0),
    (r"per minute", FailureKind.RATE_LIMITED, 60.0),
    (r"per day|daily rate limit", FailureKind.QUOTA_EXHAUSTED, None),
    (r"rate limit|call frequency", FailureKind.RATE_LIMITED, 60.0),
    (r"\bdemo\b", FailureKind.AUTH, None),
    (r"premium|entitlement|subscri", FailureKind.PLAN_LIMIT, None),
    (r"Invalid API call", FailureKind.UNKNOWN_SYMBOL, None),
)


class Source(Adapter):
    """Conversations with the one path of Alpha Vantage."""

    spec = SPEC

    def cut(self, request: BarRequest) -> list[BarRequest]:
        """Minutes of shares come by the calendar month, from January 2000 on; all else comes whole. A month of New York's and one of
        UTC hold the same regular sessions."""
        if not request.interval.intraday or request.symbol.kind in _FAMILIES or request.end <= _FIRST_MONTH:
            return [request]
        start = max(request.start, _FIRST_MONTH)
        first, last = (edge.year * 12 + edge.month - 1 for edge in (start, request.end))
        inner = [datetime(m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in range(first + 1, last + 1)]
        edges = [start, *(e for e in inner if e < request.end), request.end]
        return [request.over(a, b) for a, b in pairwise(edges)]

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars with `start <= ts < end`; minutes in as many requests as they have months."""
        from mdagent.sources.alphavantage_series import Asked, read_series
        from mdagent.sources.reading.pages import joined

        parts: list[BarSet] = []
        for piece in self.cut(request):
            query = self._series(piece)
            try:
                if piece.interval.intraday and piece.end <= _FIRST_MONTH:
                    raise _nothing(piece)
                reply = yield self._query(query)
                splits = yield from self._splits_within(piece, query["function"])
                parts.append(read_series(reply, piece, Asked(_echo_of(query), query.get("outputsize") == "compact", splits)))
            except ConversationFailed as error:
                if error.failure.kind is FailureKind.NO_DATA or (_by_month(query) and error.failure.kind is FailureKind.UNKNOWN_SYMBOL):
                    empty = error
                    continue  # a month before the first trade does not spoil the rest
                raise ConversationFailed(error.failure, joined(parts) if parts else None) from None
        if parts:
            return joined(parts)
        raise _nothing(request) if _by_month(query) else empty

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The last price. A share's time is told as its date alone: midnight UTC of it."""
        symbol = Symbol.parse(symbol)
        if symbol.kind in _FAMILIES:
            base, against = pair_of(symbol)
            reply = yield self._query({"function": "CURRENCY_EXCHANGE_RATE", "from_currency": base, "to_currency": against})
            return rate_of(reply, symbol, (base, against))
        name = spell(symbol)
        reply = yield self._query({"function": "GLOBAL_QUOTE", "symbol": name})
        return quote_of(reply, symbol, name)

    def search(self, words: str) -> Conversation[list[Listing]]:
        """What fits the words, in the spelling of Alpha Vantage (TSCO.LON): it is understood here."""
        from mdagent.sources.reading.tables import objects

        reply = yield self._query({"function": "SYMBOL_SEARCH", "keywords": words})
        body = read_json(reply)
        hits = objects(body.get("bestMatches") if isinstance(body, dict) else None, "matches")
        return [found for hit in hits if (found := listing_of(plain(hit)))]

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        """Splits and dividends as paid, in two requests. A spin-off may come as a split of an odd factor (IBM 2021: 1.046)."""
        from mdagent.sources.reading.rows import within

        splits = yield from self._events(symbol, "SPLITS")
        dividends = (yield from self._events(symbol, "DIVIDENDS")) if payments else ()
        return within((*splits, *dividends), start, end)

    def market(self) -> Conversation[list[MarketStatus]]:
        """Every market that it lists, by region and kind."""
        from mdagent.sources.reading.tables import objects

        reply = yield self._query({"function": "MARKET_STATUS"})
        body = read_json(reply)
        rows = objects(body.get("markets") if isinstance(body, dict) else None, "markets")
        return [status_of(row) for row in rows]

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The failure that the status, or a message instead of data, tells. The key that a message repeats is left out."""
        status, raw = reply.status_code, reply.content
        if status != HTTP_OK:
            head = raw[:2000].decode("utf-8", "replace")
            words = "an HTML page" if head.lstrip()[:1] == "<" else self._blank(head) or "an empty answer"
            kind = kind_of_status(status, head) or FailureKind.UNEXPECTED_STATUS
            return Failure(kind, one_line(f"HTTP {status}: {words}"), status)
        if len(raw) > _SMALL or b'"Meta Data"' in raw[:64]:
            return None
        try:
            body = read_json(reply)
        except ConversationFailed:
            return None
        return self._told(body) if isinstance(body, dict) else None

    def _told(self, body: dict[str, Any]) -> Failure | None:
        if not body:
            return Failure(FailureKind.NO_DATA, "Alpha Vantage has no data for this", HTTP_OK)
        if any(key.startswith("Global Quote") and value == {} for key, value in body.items()):
            return Failure(FailureKind.UNKNOWN_SYMBOL, "Alpha Vantage does not know this symbol", HTTP_OK)
        words = next((text(body, key) for key in ("Error Message", "Information", "Note") if isinstance(body.get(key), str)), None)
        if words is None:
            return None
        kind, away = next(
            ((kind, away) for pattern, kind, away in _VERDICTS if re.search(pattern, words, re.IGNORECASE)), (FailureKind.BAD_REQUEST, None)
        )
        if kind is FailureKind.UNKNOWN_SYMBOL:
            return Failure(kind, "Alpha Vantage does not know this symbol, or cannot tell this of it ('Invalid API call')", HTTP_OK)
        return Failure(kind, one_line(self._blank(words)) or "a message without words came instead of data", HTTP_OK, away)

    def _blank(self, words: str) -> str:
        if self._key:
            words = words.replace(self._key, "[key]")
        return re.sub(r"(?i)(api ?key as )\S+", r"\1[key]", words).strip()

    @property
    def _pays(self) -> bool:
        return self.plan.name != SPEC.plans[0].name

    def _query(self, query: dict[str, str]) -> httpx.Request:
        entitled = {"entitlement": "delayed"} if self._pays and query["function"] in _ENTITLED else {}
        return self.get("/query", query | entitled)

    def _series(self, request: BarRequest) -> dict[str, str]:
        """What to ask for the bars of a piece."""
        symbol, interval = request.symbol, request.interval
        whole = request.adjustment is Adjustment.ALL
        size = {"outputsize": "full" if self._pays or interval is not Interval.D1 else "compact"}
        if symbol.kind in _FAMILIES:
            prefix, minutes = _FAMILIES[symbol.kind]
            function = minutes if interval.intraday else prefix + _PERIODS[interval]
            names = ("from_symbol", "to_symbol") if symbol.kind == "fx" else ("symbol", "market")
            query = {"function": function} | dict(zip(names, pair_of(symbol), strict=True))
            sized = interval.intraday or function == "FX_DAILY"
            return query | ({"interval": _MINUTES[interval]} if interval.intraday else {}) | (size if sized else {})
        if not interval.intraday:
            function = f"TIME_SERIES_{_PERIODS[interval]}{'_ADJUSTED' if whole else ''}"
            return {"function": function, "symbol": spell(symbol)} | (size if interval is Interval.D1 else {})
        if foreign(symbol):
            msg = f"Alpha Vantage's {interval} bars of {symbol} are not asked for: the zone of its minutes is sure in America only"
            raise failed(FailureKind.BAD_REQUEST, msg)
        return {
            "function": "TIME_SERIES_INTRADAY",
            "symbol": spell(symbol),
            "interval": _MINUTES[interval],
            "month": f"{request.start:%Y-%m}",
            "adjusted": "true" if whole else "false",
            "extended_hours": "false",
        } | size

    def _splits_within(self, request: BarRequest, function: str) -> Conversation[tuple[date, ...]]:
        """The days of splits, where the bars are adjusted weeks or months; else none, and nothing is asked."""
        if request.interval is Interval.D1 or not function.endswith("_ADJUSTED"):
            return ()
        return tuple(action.date for action in (yield from self._events(request.symbol, "SPLITS")))

    def _events(self, symbol: Symbol, function: str) -> Conversation[list[CorporateAction]]:
        if symbol.kind in _FAMILIES:
            return []
        name = spell(symbol)
        try:
            reply = yield self._query({"function": function, "symbol": name})
        except ConversationFailed as error:
            if error.failure.kind is FailureKind.NO_DATA:
                return []
            raise
        return events_of(reply, symbol, name)


def _by_month(query: dict[str, str]) -> bool:
    return "month" in query


def _echo_of(query: dict[str, str]) -> dict[str, str]:
    """What the answer's own summary must say, by the names that it has there."""
    if "from_symbol" in query:
        return {"From Symbol": query["from_symbol"], "To Symbol": query["to_symbol"]}
    if "market" in query:
        return {"Digital Currency Code": query["symbol"], "Market Code": query["market"]}
    return {"Symbol": query["symbol"]}


def _nothing(request: BarRequest) -> ConversationFailed:
    msg = f"Alpha Vantage has no {request.interval} bars of {request.symbol} in this range, or does not know it"
    return failed(FailureKind.NO_DATA, msg)
