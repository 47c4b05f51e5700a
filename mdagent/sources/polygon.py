"""Polygon.io, called Massive since 2025-10-30: US stocks, with indices, currencies and crypto as subscriptions of their own.

Prices come raw or split-adjusted, never adjusted for dividends. A bar is stamped with the start of its window in epoch milliseconds:
days, weeks (from Sunday) and months at midnight in New York, those of currencies and crypto in UTC. Both addresses serve the same;
the key goes to these two alone, and not in the address. A symbol that it does not know is an empty answer.

Where its papers leave a choice: whole weeks and months are asked for (Sunday to Saturday, first to last), whatever it does with a part
of one. Hours of New York's stocks and indices are made of its half hours, since its own begin at 09:00 and hold what traded before the
session. A finished bar counts as final after twelve hours: volume grows until 20:00 in New York, and days are revised overnight. Two
equal entries of splits or dividends on one day are one: it lists some twice. Not asked for: dividends adjusted by it, and its factors.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote as percent

from mdagent.guard.outcome import HTTP_OK, ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.market import Adjustment, Interval, Symbol
from mdagent.sources.base import Adapter, Auth, Depth, Milestone, Plan, Quota, SourceSpec
from mdagent.sources.reading.body import failed
from mdagent.sources.reading.windows import first_period, last_instant, windows
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from mdagent.market import BarRequest, BarSet, CorporateAction, Listing, MarketStatus, Quote
    from mdagent.sources.base import Conversation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY, _YEAR = timedelta(days=1), timedelta(days=365)
_RAW_FIRST, _SPLITS_FIRST = (Adjustment.RAW, Adjustment.SPLITS), (Adjustment.SPLITS, Adjustment.RAW)
# An answer holds 50,000 minutes at most, whatever they are made into: of a stock 960 a day in five days a week, else 1,440 every day.
_STOCK_PIECE, _ALWAYS_PIECE = timedelta(days=70), timedelta(days=34)
_INTRADAY = Depth(None, _STOCK_PIECE, _RAW_FIRST)
_UNLIMITED = (Quota(100, 1.0, of="requests"),)


def _reach(years: int) -> MappingProxyType[Interval, timedelta]:
    return MappingProxyType(dict.fromkeys(Interval, years * _YEAR))


SPEC = SourceSpec(
    name="polygon",
    title="Polygon.io (Massive)",
    hosts=("api.polygon.io", "api.massive.com"),
    intervals={
        Interval.M1: _INTRADAY,
        Interval.M5: _INTRADAY,
        Interval.M15: _INTRADAY,
        Interval.M30: _INTRADAY,
        Interval.H1: _INTRADAY,
        Interval.D1: Depth(delivers=_RAW_FIRST),
        Interval.W1: Depth(delivers=_SPLITS_FIRST),
        Interval.MO1: Depth(delivers=_SPLITS_FIRST),
    },
    plans=(
        Plan(
            "basic",
            (Quota(5, 60.0, of="requests"),),
            0.0,
            delay=_DAY,
            history=_reach(2),
            lacks=frozenset(("quote",)),
            note="told at the end of the day",
        ),
        Plan("starter", _UNLIMITED, 29.0, delay=timedelta(minutes=15), history=_reach(5)),
        Plan("developer", _UNLIMITED, 79.0, delay=timedelta(minutes=15), history=_reach(10)),
        Plan("advanced", _UNLIMITED, 199.0, note="real time"),
    ),
    cooldown=60.0,
    delay=timedelta(hours=12),
    concurrency=4,
    covers="US stocks and funds; with further subscriptions US indices, currencies and crypto",
    terms="no redistribution; what was stored has to be deleted when the subscription ends",
    checked=date(2026, 11, 24),
    auth=Auth("header", "Authorization", "Bearer {key}"),
    offers=frozenset(("quote", "search", "actions", "market", "batch")),
    lifecycle=(Milestone(date(2025, 10, 30), "renamed", "Polygon.io became Massive (api.massive.com); its old address still answers"),),
)

_SPANS = {
    Interval.M1: "1/minute",
    Interval.M5: "5/minute",
    Interval.M15: "15/minute",
    Interval.M30: "30/minute",
    Interval.H1: "1/hour",
    Interval.D1: "1/day",
    Interval.W1: "1/week",
    Interval.MO1: "1/month",
}
INDICES = {"^GSPC": "I:SPX", "^DJI": "I:DJI", "^IXIC": "I:COMP", "^NDX": "I:NDX", "^VIX": "I:VIX"}
_PREFERRED = re.compile(r"([A-Z]{1,5})-P([A-Z])")
_LIMIT = "50000"
_MOST_ACTIONS = "5000"

_IS_ERROR = re.compile(rb'"status"\s*:\s*"(ERROR|NOT_AUTHORIZED|NOT_FOUND|NotFound)"')
_WORDS = re.compile(rb'"(?:error|message)"\s*:\s*"((?:[^"\\]|\\.){1,400})')
_KINDS = (  # the words of an error -> kind; the first that fits
    (r"exceeded the maximum requests", FailureKind.RATE_LIMITED),
    (r"before end of day", FailureKind.NO_DATA),  # only too early: the same request is answered tomorrow
    (r"(?i)\b(unknown|invalid|missing) api ?key|\bapi ?key was not provided", FailureKind.AUTH),
    (r"(?i)not entitled|plan does(n.t| not) include|upgrade your plan", FailureKind.PLAN_LIMIT),
    (r"(?i)\bticker not found", FailureKind.UNKNOWN_SYMBOL),
    (r"(?i)\bnot found", FailureKind.NO_DATA),
)
_TOLD_IN_WORDS = (200, 400, 403, 404)
_CLIENT_CLOSED = 499  # nginx's word for a connection that was given up; the vendor's own client tries again


class Source(Adapter):
    """Conversations with the aggregates, the snapshot and the reference lists."""

    spec = SPEC

    def cut(self, request: BarRequest) -> list[BarRequest]:
        if request.interval.intraday and not in_new_york(request.symbol):
            return windows(request, _ALWAYS_PIECE)
        return super().cut(request)

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars with `start <= ts < end`; a long intraday window in pieces, each in as many pages as it has."""
        from mdagent.market import BarSet
        from mdagent.sources.polygon_bars import hours_of
        from mdagent.sources.reading.pages import joined

        hourly = request.interval is Interval.H1 and in_new_york(request.symbol)
        parts: list[BarSet] = []
        msg = f"{SPEC.title} has no {request.interval} bars of {request.symbol} in this range, or does not know the symbol"
        lacking = failed(FailureKind.NO_DATA, msg)
        for piece in self.cut(request):
            asked = _halves(piece) if hourly else piece
            if asked is None:
                continue
            try:
                came: object = yield from self._aggregates(asked)
            except ConversationFailed as error:
                came, lacking = error.partial, error
                if error.failure.kind is not FailureKind.NO_DATA:  # a piece without data does not spoil the rest
                    held = [*parts, came] if isinstance(came, BarSet) and not hourly else parts
                    raise ConversationFailed(error.failure, joined(held) if held else None) from None
            if isinstance(came, BarSet):
                parts.append(hours_of(came) if hourly else came)
        if not any(part.delivery.rows for part in parts):
            raise ConversationFailed(lacking.failure)
        return joined(parts)

    def batch_requests(self, requests: Sequence[BarRequest]) -> int | None:
        """How many requests a batch of these takes: one for each weekday of their window, however many symbols there are. None where
        no batch can serve them: only daily bars of US stocks come so."""
        if not requests or any(r.interval is not Interval.D1 or not _is_stock(r.symbol) for r in requests):
            return None
        return len(_weekdays(requests[0]))

    def batch(self, requests: Sequence[BarRequest]) -> Conversation[list[BarSet | Failure]]:
        """The whole market's daily bars, a weekday at a time. One that is not told yet is left out, as a holiday is."""
        from mdagent.sources.polygon_bars import Market

        if self.batch_requests(requests) is None:
            msg = f"{SPEC.title} serves daily bars of US stocks together, nothing else"
            raise failed(FailureKind.BAD_REQUEST, msg)
        market = Market({spell(r.symbol): r for r in requests}, adjusted=requests[0].adjustment is not Adjustment.RAW)
        for day in _weekdays(requests[0]):
            params = {"adjusted": _flag(requests[0]), "include_otc": "true"}
            try:
                reply = yield self.get(f"/v2/aggs/grouped/locale/us/market/stocks/{day}", params)
            except ConversationFailed as error:
                if error.failure.kind is not FailureKind.NO_DATA:
                    raise
                continue
            market.read(reply, day)
        return [market.bars(spell(r.symbol)) for r in requests]

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The last trade of a stock, its last minute or its day, as far as the plan tells."""
        from mdagent.sources.polygon_lists import quote_in

        symbol = Symbol.parse(symbol)
        ticker = spell(symbol)
        if not _is_stock(symbol):
            msg = f"{SPEC.title} is asked for quotes of US stocks only, not of {symbol}"
            raise failed(FailureKind.BAD_REQUEST, msg)
        reply = yield self.get(f"/v2/snapshot/locale/us/markets/stocks/tickers/{percent(ticker, safe='')}")
        return quote_in(reply, symbol, ticker)

    def search(self, words: str) -> Conversation[list[Listing]]:
        """At most fifty active symbols that fit the words."""
        from mdagent.sources.polygon_lists import listings_in

        reply = yield self.get("/v3/reference/tickers", {"search": words, "active": "true", "limit": "50"})
        return listings_in(reply)

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        """Splits and dividends, the amounts as paid then. Currencies, crypto and indices have none."""
        from mdagent.sources.polygon_lists import dividends_in, splits_in
        from mdagent.sources.reading.pages import entries
        from mdagent.sources.reading.rows import within

        ticker = spell(symbol)
        if not _is_stock(symbol):
            return ()
        found: list[CorporateAction] = []
        lists = (("splits", "execution_date", splits_in), ("dividends", "ex_dividend_date", dividends_in))
        for path, day, read in lists[: 1 + payments]:
            params = {
                "ticker": ticker,
                f"{day}.gte": start.date().isoformat(),
                f"{day}.lte": end.date().isoformat(),
                "limit": _MOST_ACTIONS,
                "sort": f"{day}.asc",
            }
            found += yield from entries(self, self.get(f"/stocks/v1/{path}", params), partial(read, ticker=ticker))
        return within(dict.fromkeys(found), start, end)

    def market(self) -> Conversation[list[MarketStatus]]:
        """The exchanges, currencies and crypto, open or not."""
        from mdagent.sources.polygon_lists import statuses_in

        reply = yield self.get("/v1/marketstatus/now")
        return statuses_in(reply)

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The failure that the status tells, or the words of a body that is an error whatever its status."""
        content, status = reply.content, reply.status_code
        ends = content[:1000] + content[-2000:]  # a long answer has its `status` at the end
        if status == HTTP_OK and not _IS_ERROR.search(ends):
            return None
        head = content[:1000].decode("utf-8", "replace").lstrip()
        found = _WORDS.search(ends)
        words = found[1].decode("utf-8", "replace") if found else "an HTML page" if head[:1] == "<" else head or "an empty answer"
        kind = next((k for pattern, k in _KINDS if re.search(pattern, words)), None) if status in _TOLD_IN_WORDS else None
        if kind is None and status == _CLIENT_CLOSED:
            kind = FailureKind.SERVER_ERROR
        if kind is None and status == 404 and found:  # it knows the question, and has nothing
            kind = FailureKind.NO_DATA
        kind = kind or kind_of_status(status, head) or FailureKind.BAD_REQUEST
        return Failure(kind, one_line(f"HTTP {status}: {words}"), status)

    def _aggregates(self, request: BarRequest) -> Conversation[BarSet]:
        from mdagent.sources.polygon_bars import read_page
        from mdagent.sources.reading.pages import pages

        ticker, edges = spell(request.symbol), _range(request)
        if edges is None:
            msg = f"no {request.interval} bar begins between {request.start:%Y-%m-%d %H:%M} and {request.end:%Y-%m-%d %H:%M}"
            raise failed(FailureKind.NO_DATA, msg)
        path = f"/v2/aggs/ticker/{percent(ticker, safe='')}/range/{_SPANS[request.interval]}/{edges[0]}/{edges[1]}"
        asked = self.get(path, {"adjusted": _flag(request), "sort": "asc", "limit": _LIMIT})
        return (yield from pages(self, asked, partial(read_page, request=request, ticker=ticker)))


def spell(symbol: Symbol) -> str:
    """Its own spelling: `BRK.B` as it stands, `BAC-PL` BACpL, `EUR/USD` C:EURUSD, `BTC-USD` X:BTCUSD, `^GSPC` I:SPX; what has a colon is
    spelled so already. Raises ConversationFailed BAD_REQUEST for what it does not cover."""
    ticker = symbol.ticker
    if ":" in ticker and "=" not in ticker:
        return ticker
    if symbol.kind == "fx":
        pair = re.sub(r"[/:]|=X\Z", "", ticker)
        return f"C:{pair if len(pair) > 3 else 'USD' + pair}"
    if symbol.kind == "crypto":
        return f"X:{re.sub(r'[-/:]|=X', '', ticker)}"
    if ticker in INDICES:
        return INDICES[ticker]
    if symbol.mic != "XNYS":
        msg = f"{SPEC.title} covers US listings only, not {symbol}"
        raise failed(FailureKind.BAD_REQUEST, msg)
    return _PREFERRED.sub(r"\1p\2", ticker)


def in_new_york(symbol: Symbol) -> bool:
    """Does it trade by the sessions of New York? Currencies and crypto do not."""
    return symbol.kind not in ("fx", "crypto") and not symbol.ticker.startswith(("C:", "X:"))


def _is_stock(symbol: Symbol) -> bool:
    return symbol.mic == "XNYS" and symbol.kind in ("equity", "fund")


def _flag(request: BarRequest) -> str:
    return "false" if request.adjustment is Adjustment.RAW else "true"


def _halves(request: BarRequest) -> BarRequest | None:
    """The half hours of the hours that begin in this window: in New York at half past, and so they do in Greenwich."""
    first, after = (_half_past(edge) for edge in (request.start, request.end))
    return replace(request, interval=Interval.M30, start=first, end=after) if first < after else None


def _half_past(instant: datetime) -> datetime:
    half = instant.replace(minute=30, second=0, microsecond=0)
    return half if half >= instant else half + timedelta(hours=1)


def _range(request: BarRequest) -> tuple[str, str] | None:
    """First and last moment to ask for, both included: epoch milliseconds, or the dates of whole days, weeks (from Sunday) and months.
    None where no bar begins in the window."""
    interval = request.interval
    if interval.intraday:
        step = interval.seconds * 1000
        begin, end = (-((_EPOCH - edge) // timedelta(milliseconds=1)) for edge in (request.start, request.end))
        begin = -(-begin // step) * step
        return (str(begin), str(end - 1)) if begin < end else None
    first, last = first_period(request).date(), last_instant(request).date() - _DAY
    if interval is Interval.W1:
        first, last = first - _DAY, last + _DAY * (5 - last.weekday())
    if first > last:
        return None
    if interval is Interval.MO1:
        last = (last.replace(day=28) + 4 * _DAY).replace(day=1) - _DAY
    return first.isoformat(), last.isoformat()


def _weekdays(request: BarRequest) -> list[date]:
    first, end = first_period(request).date(), last_instant(request).date()
    days = (first + _DAY * n for n in range((end - first).days))
    return [day for day in days if day.weekday() < 5]
