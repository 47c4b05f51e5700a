"""Yahoo Finance: the keyless, unofficial chart API (v8) and its search.

Prices come split-adjusted, never raw; `adjclose` adds dividends, for daily and longer bars only. A daily stamp is the session's
open, so its date is read in `meta.exchangeTimezoneName` (`gmtoffset` is the offset now, not at the bar). The last row of a live
session is a snapshot off the grid. Facts as seen in answers of 2021-2025; Yahoo documents nothing and publishes no quota.
"""
# long because: a provider is one file: its facts, its questions and the reading of its answers

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote as percent

from mdagent.guard.outcome import HTTP_OK, ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.market import (
    COLUMNS,
    Adjustment,
    BarRequest,
    BarSet,
    CorporateAction,
    Instrument,
    Interval,
    Listing,
    MarketStatus,
    Quote,
    Symbol,
    parse_instant,
)
from mdagent.sources.base import Adapter, Depth, Plan, Quota, SourceSpec
from mdagent.sources.reading.body import failed, plain_words, read_json
from mdagent.sources.reading.fields import number, symbol_in, text
from mdagent.sources.reading.windows import first_period, last_instant, period_of
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import httpx
    import numpy as np

    from mdagent.sources.base import Conversation
    from mdagent.sources.reading.columns import Column
    from mdagent.sources.reading.rows import Answer

_HOSTS = ("query1.finance.yahoo.com", "query2.finance.yahoo.com")
# A library's own User-Agent is refused at times; this one is a setting.
_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
_SPELLED = {Interval.W1: "1wk", Interval.MO1: "1mo"}
_READ = {"1wk": "1w", "60m": "1h"}
_MILLISECONDS = 1e11  # epoch seconds reach this in the year 5138; epoch milliseconds passed it in 1973
_LATEST = 4102444800  # 2100-01-01: no bar is stamped later
_EARLIEST = -5364662400.0  # 1800-01-01: none is stamped earlier
_SPLITS, _BOTH = (Adjustment.SPLITS,), (Adjustment.SPLITS, Adjustment.ALL)
_MINUTES = Depth(timedelta(days=60), timedelta(days=60), _SPLITS)

SPEC = SourceSpec(
    name="yahoo",
    title="Yahoo Finance",
    hosts=_HOSTS,
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
    user_agent=_USER_AGENT,
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
        parts = []
        asked = self.cut(request)
        for part in asked:
            try:
                reply = yield self._chart(part)
            except ConversationFailed as error:
                if error.failure.kind is not FailureKind.NO_DATA or len(asked) == 1:
                    raise
                continue  # a piece before the first trade does not spoil the rest
            parts.append(_read_chart(reply, part))
        if not parts:
            msg = f"Yahoo has no {request.interval} bars of {request.symbol} in this range"
            raise failed(FailureKind.NO_DATA, msg)
        return BarSet.join(parts)

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The price of the chart's own summary; needs no cookie and no crumb."""
        symbol = Symbol.parse(symbol)
        reply = yield self.get(f"/v8/finance/chart/{percent(_spell(symbol), safe='')}", {"range": "1d", "interval": "1d"})
        meta, _ = _chart_of(reply)
        _check_symbol(meta, symbol)
        last = number(meta, "regularMarketPrice")
        if last is None:
            msg = f"Yahoo tells no price of {symbol}"
            raise failed(FailureKind.NO_DATA, msg)
        told = number(meta, "regularMarketTime")
        return Quote(
            symbol,
            SPEC.name,
            last,
            datetime.fromtimestamp(told, UTC) if told is not None and abs(told) < _LATEST else None,
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
        reply = yield self.get(f"/v8/finance/chart/{percent('^GSPC', safe='')}", {"range": "1d", "interval": "1d"})
        return [_status_of(_chart_of(reply)[0])]

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The failure that the status, or an error object inside a 200, tells."""
        head = reply.content[:2000].decode("utf-8", "replace")
        if reply.status_code == HTTP_OK:
            if head.lstrip()[:1] == "<" and "Will be right back" in reply.text[:20000]:
                return Failure(FailureKind.SERVER_ERROR, "Yahoo is down ('Will be right back')", HTTP_OK)
            if not _ERROR_TEXT.search(reply.content, max(0, reply.content.find(b'"error"'))):  # the pattern alone goes by every quote
                return None
        kind = kind_of_status(reply.status_code, head)
        words = _told_error(reply)
        if words is None and reply.status_code != HTTP_OK:
            words = plain_words(head)
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
        start = first_period(request)
        if (
            not request.interval.intraday and request.symbol.mic != "XNYS"
        ):  # east of Greenwich a session is stamped on the day before its date
            start -= timedelta(hours=14)
        return self.get(
            f"/v8/finance/chart/{percent(_spell(request.symbol), safe='')}",
            {
                "period1": str(int(start.timestamp())),
                "period2": str(int(last_instant(request).timestamp())),
                "interval": _SPELLED.get(request.interval, request.interval.value),
                "includePrePost": "false",
                "events": "div,splits,capitalGains",
            },
        )


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


def _spell(symbol: Symbol) -> str:
    """Yahoo's spelling: `BRK.B` is BRK-B, `EUR/USD` EURUSD=X; a suffix of an exchange stays."""
    ticker = symbol.ticker
    if symbol.kind == "fx" and "/" in ticker:
        return ticker.replace("/", "") + "=X"
    if symbol.kind == "crypto" and "/" in ticker:
        return ticker.replace("/", "-")
    return ticker.replace(".", "-") if symbol.mic == "XNYS" else ticker


def _read_chart(reply: httpx.Response, request: BarRequest) -> BarSet:
    """The bars of a chart answer that lie in the window. Raises ConversationFailed: SCHEMA, MISMATCH, MALFORMED."""
    from mdagent.sources.reading.rows import assemble
    from mdagent.sources.reading.zones import zone_of

    meta, result = _chart_of(reply)
    named = _check_symbol(meta, request.symbol)
    currency = text(meta, "currency")
    allowed = request.symbol.currencies
    if currency and allowed and currency not in allowed:
        msg = f"{request.symbol} is quoted in {'/'.join(allowed)}, the answer is in {one_line(currency, 12)}"
        raise failed(FailureKind.MISMATCH, msg)
    told = meta.get("dataGranularity")
    if told is not None and _READ.get(str(told), told) != request.interval.value:
        msg = f"{request.interval} bars were asked for, the answer has {one_line(str(told), 12)} bars"
        raise failed(FailureKind.MISMATCH, msg)
    zone = zone_of(meta.get("exchangeTimezoneName"))
    answer, adjusted = _answer(result, meta, request, zone)
    rows = assemble(replace(answer, named=named), request)
    return BarSet(
        request.symbol,
        request.interval,
        SPEC.name,
        Adjustment.ALL if adjusted else Adjustment.SPLITS,
        currency or None,
        rows.ts,
        open=rows.table[0],
        high=rows.table[1],
        low=rows.table[2],
        close=rows.table[3],
        volume=rows.table[4],
        complete_until=_complete_until(meta, rows.ts, request.interval, zone),
        actions=_actions(result.get("events"), zone, request),
        instrument=_instrument(meta, request.symbol, currency),
        delivery=rows.delivery._replace(events=True),
    )


def _chart_of(reply: httpx.Response) -> tuple[dict[str, Any], dict[str, Any]]:
    """`meta` and the one result of a chart answer."""
    body = read_json(reply)
    try:
        result = body["chart"]["result"][0]
        meta = result["meta"]
        if isinstance(meta, dict) and isinstance(result["indicators"]["quote"][0], dict):
            return meta, result
    except (KeyError, IndexError, TypeError):
        pass
    msg = "the answer is JSON, but no Yahoo chart"
    raise failed(FailureKind.SCHEMA, msg, reply.status_code)


def _check_symbol(meta: dict[str, Any], symbol: Symbol) -> bool:
    """Does the body name the symbol asked for? False where it names none; MISMATCH where it names another."""
    told = meta.get("symbol")
    if told is None:
        return False
    if str(told).upper() != _spell(symbol):
        msg = f"{symbol} was asked for, the answer is about {one_line(str(told), 32)}"
        raise failed(FailureKind.MISMATCH, msg)
    return True


def _answer(result: dict[str, Any], meta: dict[str, Any], request: BarRequest, zone: ZoneInfo) -> tuple[Answer, bool]:
    """The rows of the body, without a live last row; and whether they are adjusted for dividends too."""
    import numpy as np

    from mdagent.sources.reading.columns import Column, numbers
    from mdagent.sources.reading.rows import Answer
    from mdagent.sources.reading.spacing import check_spacing

    cells = result.get("timestamp") or []
    if not isinstance(cells, list):
        msg = "the time stamps of the answer are no list"
        raise failed(FailureKind.SCHEMA, msg)
    quote = result["indicators"]["quote"][0]
    if not cells:
        if any(quote.get(name) for name in COLUMNS):
            msg = "the answer has prices without time stamps"
            raise failed(FailureKind.SCHEMA, msg)
        nothing = numbers("time", [], 0)
        return Answer(np.array([], dtype="datetime64[us]"), np.array([], dtype=bool), (nothing,) * 5), False
    told = numbers("time", cells, len(cells))
    seconds, real = _seconds(told, meta, request)
    columns = [numbers(name, quote.get(name), len(cells)) for name in COLUMNS[:4]]
    columns.append(numbers("volume", quote.get("volume", [None] * len(cells)), len(cells)))
    stamps = _stamps(seconds, request.interval, zone)
    adjusted = request.adjustment is Adjustment.ALL and _adjust(result, columns)
    snapshot = _snapshot(seconds, stamps, request.interval)
    keep = slice(0, len(cells) - snapshot)
    check_spacing(stamps[keep], request.interval, seconds[keep])
    kept = tuple(Column(*(part[keep] for part in c)) for c in columns)
    return Answer(stamps[keep], real[keep], kept, snapshot=bool(snapshot)), adjusted


def _seconds(told: Column, meta: dict[str, Any], request: BarRequest) -> tuple[np.ndarray, np.ndarray]:
    """Epoch seconds, and which of them are a time that a bar can have. Milliseconds are refused, never divided."""
    import numpy as np

    seconds = told.values
    with np.errstate(invalid="ignore"):
        if ((seconds > _MILLISECONDS) & (seconds < 1000 * _LATEST)).any():
            msg = "the answer's time stamps are milliseconds; Yahoo's are seconds"
            raise failed(FailureKind.SCHEMA, msg)
        first = number(meta, "firstTradeDate")
        since = max(_EARLIEST, min(request.start.timestamp(), first or 1e9, 1e9)) if first is None or first < 0 else 1.0
        real = ~(told.null | told.bad) & (seconds < _LATEST) & (seconds >= since)
    return np.where(real, seconds, 0.0).astype(np.int64), real


def _stamps(seconds: np.ndarray, interval: Interval, zone: ZoneInfo) -> np.ndarray:
    if interval.intraday:
        return seconds.astype("datetime64[s]").astype("datetime64[us]")
    from mdagent.sources.reading.zones import dates_in

    return period_of(dates_in(seconds, zone), interval)


def _snapshot(seconds: np.ndarray, stamps: np.ndarray, interval: Interval) -> bool:
    """Is the last row the live price of the period before it, or (intraday) off the whole minute?"""
    if not interval.intraday:
        return len(stamps) > 1 and bool(stamps[-1] == stamps[-2]) and bool(seconds[-1] > seconds[-2])
    if seconds[-1] % 60:
        return True
    return len(seconds) > 1 and bool(0 < seconds[-1] - seconds[-2] < interval.seconds)


def _adjust(result: dict[str, Any], columns: list[Column]) -> bool:
    """Scale the four prices in place of their split-adjusted ones by adjclose / close; False where the body has no adjclose."""
    import numpy as np

    from mdagent.sources.reading.columns import Column, numbers

    series = result["indicators"].get("adjclose")
    cells = series[0].get("adjclose") if isinstance(series, list) and series and isinstance(series[0], dict) else None
    if cells is None:
        return False
    close = columns[3]
    adjusted = numbers("adjclose", cells, len(close.values))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        factor = adjusted.values / close.values
        for i, column in enumerate(columns[:4]):
            scaled = column.values * factor
            columns[i] = Column(scaled, column.null, ~np.isfinite(scaled) & ~column.null)
    return True


def _complete_until(meta: dict[str, Any], ts: np.ndarray, interval: Interval, zone: ZoneInfo) -> datetime | None:
    """The stamp of the last bar where the answer itself shows that its period was still open, else None."""
    import numpy as np

    told = number(meta, "regularMarketTime")
    if not len(ts) or told is None or abs(told) > _LATEST:
        return None
    last = ts[-1].item().replace(tzinfo=UTC)
    now = datetime.fromtimestamp(told, UTC)
    if interval.intraday:
        return last if now < last + timedelta(seconds=interval.seconds) and _open(meta, told) else None
    today = period_of(np.array([now.astimezone(zone).date()], dtype="datetime64[D]"), interval)[0]
    if ts[-1] != today:
        return None
    return last if interval is not Interval.D1 or _open(meta, told) else None


def _open(meta: dict[str, Any], now: float) -> bool:
    periods = meta.get("currentTradingPeriod")
    regular = periods.get("regular") if isinstance(periods, dict) else None
    if not isinstance(regular, dict):
        return False
    start, end = number(regular, "start"), number(regular, "end")
    return start is not None and end is not None and start <= now < end


def _actions(events: object, zone: ZoneInfo, request: BarRequest) -> tuple[CorporateAction, ...]:
    """The window's dividends, splits and capital gains by ex-date in the exchange's zone (the event's own date, not its key)."""
    made: list[CorporateAction] = []
    for group, kind in (("dividends", "dividend"), ("splits", "split"), ("capitalGains", "capital_gain")):
        entries = events.get(group) if isinstance(events, dict) else None
        made += [_action(e, kind, zone) for e in (entries.values() if isinstance(entries, dict) else ())]
    inside = [a for a in made if request.start <= parse_instant(a.date) < request.end]
    return tuple(sorted(inside, key=lambda a: (a.date, a.kind)))


def _action(entry: object, kind: str, zone: ZoneInfo) -> CorporateAction:
    fields = entry if isinstance(entry, dict) else {}
    when, value = number(fields, "date"), number(fields, "amount")
    if kind == "split":
        new, old = number(fields, "numerator"), number(fields, "denominator")
        value = new / old if new and old else None
    if when is None or value is None or abs(when) > _LATEST or (kind == "split" and not 0 < value < float("inf")):
        msg = f"a {kind} of the answer has no date or no value"
        raise failed(FailureKind.SCHEMA, msg)
    return CorporateAction(cast("Any", kind), datetime.fromtimestamp(when, zone).date(), value, adjusted=kind != "split")


def _instrument(meta: dict[str, Any], symbol: Symbol, currency: str) -> Instrument:
    first = number(meta, "firstTradeDate")
    return Instrument(
        symbol,
        SPEC.name,
        name=text(meta, "longName") or text(meta, "shortName"),
        exchange=text(meta, "exchangeName"),
        zone=text(meta, "exchangeTimezoneName"),
        currency=currency,
        kind=text(meta, "instrumentType"),
        first_trade=datetime.fromtimestamp(first, UTC).date() if first is not None and abs(first) < _LATEST else None,
    )


def _status_of(meta: dict[str, Any]) -> MarketStatus:
    """Is the exchange of a chart open, by the regular session that its summary tells?"""
    told = number(meta, "regularMarketTime")
    known = told is not None and abs(told) < _LATEST
    is_open = known and _open(meta, told or 0.0)
    as_of = datetime.fromtimestamp(told or 0.0, UTC) if known else None
    name = text(meta, "fullExchangeName") or text(meta, "exchangeName")
    return MarketStatus(name, SPEC.name, is_open, "regular" if is_open else "closed", as_of)


def _listing(hit: dict[str, Any]) -> Listing | None:
    symbol = symbol_in(hit, "symbol")
    if symbol is None:
        return None
    name = text(hit, "longname") or text(hit, "shortname")
    return Listing(symbol, name, text(hit, "exchDisp") or text(hit, "exchange"), text(hit, "quoteType"), SPEC.name)
