"""Twelve Data: bars of stocks, funds, currencies and crypto; a price basis and an order that the request names; texts for numbers.

An answer tells its symbol, exchange and interval, which are all compared with what was asked for, and no price basis: that is taken
to be the one sent. Errors are JSON with a `code` of their own, which counts more than the HTTP status (older answers were all 200).

Where the sheet is unsure:
- Intraday bars are asked for in UTC, so that neither the window nor an hour that comes twice is open to reading. The zone parameter
  is ignored for daily and longer bars: their dates are the session's.
- Weeks are said to be stamped on Mondays, unchecked. Any working day is taken for its week; a week stamped on a Saturday or Sunday
  could be the one before or the one after: its row is rejected. Whole weeks and months are asked for, lest part of one be summed up.
- Of a window with more than 5000 rows, which are left out is not told: pieces hold fewer, and an answer of 5000 is refused.
- Dividends are adjusted for splits unless `adjust=false` is sent. It is sent: amounts are then as paid, whatever the provider knows of
  splits, about which users complain (twelvedata-python, issues 74 and 93).
- A split has `from_factor` 4 and `to_factor` 1 for four new shares, with `ratio` 0.25: the words tempt to read it the other way round.
  A split whose figures and description do not all agree is refused (SCHEMA).
- A bare ticker may be answered with a listing abroad: an American symbol in another zone or currency is a MISMATCH.
"""
# long because: a provider is one file: its facts, its questions and the reading of its answers

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from mdagent.errors import UsageError
from mdagent.exchanges import SUFFIXES, US, unit_of
from mdagent.guard.outcome import HTTP_OK, ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.market import (
    Adjustment,
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
from mdagent.sources.base import Adapter, Auth, Depth, Plan, Quota, SourceSpec
from mdagent.sources.reading.actions import dividend
from mdagent.sources.reading.body import failed, plain_words, read_json
from mdagent.sources.reading.fields import number, text
from mdagent.sources.reading.tables import cells, has, objects
from mdagent.sources.reading.windows import first_period, period_of, windows
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx
    import numpy as np

    from mdagent.market import BarRequest
    from mdagent.sources.base import Conversation
    from mdagent.sources.reading.columns import Column

_WORDS = {
    Interval.M1: "1min",
    Interval.M5: "5min",
    Interval.M15: "15min",
    Interval.M30: "30min",
    Interval.H1: "1h",
    Interval.D1: "1day",
    Interval.W1: "1week",
    Interval.MO1: "1month",
}
_ADJUST = {Adjustment.RAW: "none", Adjustment.SPLITS: "splits", Adjustment.ALL: "all"}
_FULL = 5000  # rows of an answer at most
_MOST_SYMBOLS, _MOST_ROWS = 120, 120_000  # of a batch: rows enough for some 16 MB
_ROUND_THE_CLOCK, _AMERICAN, _LONGEST = 1440, 390, 510  # minutes of a day's trading: currencies, New York, the longest elsewhere
_NEW_YORK = "America/New_York"
_OWN_MIC = {"T": "XJPX", "KQ": "XKOS"}  # where Twelve Data's code is not that of our table
_SUFFIX = {e.mic: suffix for suffix, e in reversed(SUFFIXES.items()) if suffix not in _OWN_MIC} | {mic: s for s, mic in _OWN_MIC.items()}
_LATEST = 4102444800  # 2100-01-01: no price is later
_DECIMAL = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
_FOR = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)-for-(\d{1,9}(?:\.\d{1,9})?)")
_ENOUGH = 2  # tellings of a split that must agree
_DAY = timedelta(days=1)


def _longest(interval: Interval, minutes: int) -> timedelta | None:
    """The longest window that surely has fewer than 5000 bars, for something that trades so many minutes a day; None: any has."""
    if interval is Interval.MO1:
        return None
    if interval is Interval.W1:
        return (_FULL - 1) * 7 * _DAY
    bars = ceil(minutes * 60 / interval.seconds) if interval.intraday else 1
    days = (_FULL - 1) // bars
    return days * _DAY if minutes == _ROUND_THE_CLOCK else (days // 5 * 7 + days % 5) * _DAY


_ALL_BASES = (Adjustment.RAW, Adjustment.SPLITS, Adjustment.ALL)
_PERIODS = (Adjustment.SPLITS, Adjustment.RAW, Adjustment.ALL)
_TEN_YEARS = timedelta(days=3653)  # minutes begin about February 2020 in America (unchecked): this bounds what is asked in vain


def _depth(interval: Interval) -> Depth:
    bases = _PERIODS if interval in (Interval.W1, Interval.MO1) else _ALL_BASES
    return Depth(_TEN_YEARS if interval.intraday else None, _longest(interval, _AMERICAN), bases)


SPEC = SourceSpec(
    name="twelvedata",
    title="Twelve Data",
    hosts=("api.twelvedata.com",),
    intervals={interval: _depth(interval) for interval in Interval},
    plans=(
        Plan(
            "basic",
            (Quota(8, 60.0), Quota(800, "day", "UTC")),
            lacks=frozenset(("actions", "world")),
            note="American stocks and funds, currencies and crypto; daily bars are reported to begin about 2006",
        ),
        Plan("grow", (Quota(377, 60.0),), 79.0),
        Plan("pro", (Quota(1597, 60.0),), 229.0),
        Plan("ultra", (Quota(10946, 60.0),), 999.0),
    ),
    cooldown=60.0,  # credits come back with the next minute
    delay=timedelta(minutes=20),
    concurrency=4,
    covers="stocks and funds of most of the world, currencies, crypto",
    terms="personal use on these plans, no redistribution",
    checked=date(2026, 11, 24),
    auth=Auth("header", "Authorization", "apikey {key}"),
    offers=frozenset(("quote", "search", "actions", "market", "batch")),
)

_KINDS = (  # code of the body and words of its message -> kind; the first that fits, else what the code means as a status
    (None, r"no data is available", FailureKind.NO_DATA),
    (429, r"for the day", FailureKind.QUOTA_EXHAUSTED),
    (429, r"", FailureKind.RATE_LIMITED),
    (401, r"", FailureKind.AUTH),
    (403, r"", FailureKind.PLAN_LIMIT),
    (None, r"available (starting|exclusively)|not available with your plan", FailureKind.PLAN_LIMIT),
    (None, r"not found|delisted|symbol\W+or\W+figi", FailureKind.UNKNOWN_SYMBOL),
    (400, r"", FailureKind.BAD_REQUEST),
)
# What says something of the symbols asked for, and nothing of those that come after.
_OF_SYMBOLS = frozenset(
    (
        FailureKind.NO_DATA,
        FailureKind.UNKNOWN_SYMBOL,
        FailureKind.PLAN_LIMIT,
        FailureKind.BAD_REQUEST,
        FailureKind.MALFORMED,
        FailureKind.SCHEMA,
        FailureKind.MISMATCH,
    )
)
_SMALL = 8192  # no error is longer
_ERROR_AHEAD = re.compile(rb'\s*\{\s*"(code|message|status)"')


class Source(Adapter):
    """Conversations with the JSON API."""

    spec = SPEC

    def cut(self, request: BarRequest) -> list[BarRequest]:
        """The request in pieces of fewer than 5000 bars."""
        return windows(request, _longest(request.interval, _minutes(request.symbol)))

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars with `start <= ts < end`, a long window in as many requests as its rows need."""
        asked, parts = self.cut(request), []
        for piece in asked:
            try:
                reply = yield self._series(piece, [_spell(piece.symbol)[0]])
                parts.append(_read_bars(read_json(reply), piece))
            except ConversationFailed as error:
                if error.failure.kind is not FailureKind.NO_DATA or len(asked) == 1:
                    raise ConversationFailed(error.failure, BarSet.join(parts) if parts else None) from None
        if not parts:
            raise failed(FailureKind.NO_DATA, _nothing(request))
        return BarSet.join(parts)

    def batch_requests(self, requests: Sequence[BarRequest]) -> int | None:
        return sum(len(self.cut(requests[group[0]])) for group in self._groups(requests))

    def batch(self, requests: Sequence[BarRequest]) -> Conversation[list[BarSet | Failure]]:
        """Each symbol's bars or its failure, for as many credits as symbols. What stops the asking is raised if nothing has come yet,
        and is else the failure of every symbol that was not served in full."""
        got: list[list[BarSet]] = [[] for _ in requests]
        lost: dict[int, Failure] = {}
        todo = [(piece, group) for group in self._groups(requests) for piece in self.cut(requests[group[0]])]
        for at, (piece, group) in enumerate(todo):
            left = {i: _spell(requests[i].symbol)[0] for i in group if i not in lost}
            if not left:
                continue
            try:
                reply = yield self._series(piece, list(dict.fromkeys(left.values())))
            except ConversationFailed as error:
                stopped = error.failure.kind not in _OF_SYMBOLS
                if stopped and not any(got) and not lost:
                    raise
                told: dict[int, BarSet | Failure] = dict.fromkeys(left, error.failure)
                if stopped:
                    lost = dict.fromkeys((i for _, rest in todo[at:] for i in rest), error.failure) | lost
                    break
            else:
                told = _shares(reply, {i: (name, requests[i].over(piece.start, piece.end)) for i, name in left.items()})
            for i, found in told.items():
                if isinstance(found, BarSet):
                    got[i].append(found)
                elif found.kind is not FailureKind.NO_DATA:
                    lost[i] = found
        empty = [Failure(FailureKind.NO_DATA, _nothing(request), HTTP_OK) for request in requests]
        return [lost.get(i) or (BarSet.join(got[i]) if got[i] else none) for i, none in enumerate(empty)]

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The price of the current day's candle, which is the latest one."""
        symbol = Symbol.parse(symbol)
        reply = yield self.get("/quote", _named(symbol))
        return _read_quote(read_json(reply), symbol)

    def search(self, words: str) -> Conversation[list[Listing]]:
        """At most thirty symbols that fit the words."""
        reply = yield self.get("/symbol_search", {"symbol": words, "outputsize": "30"})
        return _read_listings(read_json(reply))

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        """Splits, and dividends as paid, for 20 credits each."""
        from mdagent.sources.reading.rows import within

        span = {"start_date": f"{start:%Y-%m-%d}", "end_date": f"{end:%Y-%m-%d}"}
        made: list[CorporateAction] = []
        for path, more in (("splits", {}), ("dividends", {"adjust": "false"}))[: 1 + payments]:
            try:
                reply = yield self.get(f"/{path}", _named(symbol) | span | more, cost=20)
            except ConversationFailed as error:
                if error.failure.kind is FailureKind.NO_DATA:
                    continue
                raise
            made += _read_actions(read_json(reply), path, symbol)
        return within(made, start, end)

    def market(self) -> Conversation[list[MarketStatus]]:
        """Every exchange, with its MIC."""
        reply = yield self.get("/market_state")
        return _read_markets(read_json(reply))

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The failure that the body tells, whatever its status; those of single symbols in a batch are none of the whole."""
        body, told = reply.content, None
        if len(body) <= _SMALL or reply.status_code != HTTP_OK or _ERROR_AHEAD.match(body):
            try:
                told = _error_of(json.loads(body), reply.status_code)
            except (ValueError, RecursionError):
                told = None
        if told is not None:
            return told
        head = body[:2000].decode("utf-8", "replace")
        kind = kind_of_status(reply.status_code, head)
        if kind is None:
            return None
        return Failure(kind, one_line(f"HTTP {reply.status_code}: {plain_words(head)}"), reply.status_code)

    def _series(self, request: BarRequest, names: list[str]) -> httpx.Request:
        _, mic = _spell(request.symbol)
        params = {"symbol": ",".join(names), "interval": _WORDS[request.interval]} | ({"mic_code": mic} if mic else {}) | _span(request)
        basis = {"adjust": _ADJUST[request.adjustment]}
        return self.get("/time_series", params | basis | {"outputsize": str(_FULL), "order": "asc"}, cost=len(names))

    def _groups(self, requests: Sequence[BarRequest]) -> list[list[int]]:
        """The places of the requests that one answer can serve: of one exchange and rhythm, no more than a minute's credits."""
        alike: dict[tuple[str, int], list[int]] = {}
        for i, request in enumerate(requests):
            alike.setdefault((_spell(request.symbol)[1], _minutes(request.symbol)), []).append(i)
        credit = min((q.limit for q in self.plan.quotas), default=_MOST_SYMBOLS)
        groups = []
        for (_, minutes), places in alike.items():
            request = requests[places[0]]
            span = _longest(request.interval, minutes)
            rows = _FULL * min(1.0, (request.end - request.start) / span) if span else _FULL
            size = max(1, min(_MOST_SYMBOLS, credit, int(_MOST_ROWS / max(rows, 1.0))))
            groups += [places[k : k + size] for k in range(0, len(places), size)]
        return groups


def _spell(symbol: Symbol) -> tuple[str, str]:
    """Twelve Data's spelling and the MIC to send with it: `IBE.MC` is IBE at XMAD, EURUSD=X is EUR/USD. None goes with an American
    ticker, since that may be listed at several of its exchanges."""
    ticker = symbol.ticker
    if symbol.kind in ("fx", "crypto"):
        pair = ticker.removesuffix("=X").replace("-", "/").replace(":", "/")
        return {3: f"USD/{pair}", 6: f"{pair[:3]}/{pair[3:]}"}.get(len(pair) if "/" not in pair else 0, pair), ""
    stem, _, suffix = ticker.rpartition(".")
    if stem and symbol.mic not in (None, US.mic):
        return stem, _OWN_MIC.get(suffix, symbol.mic or "")
    return ticker, ""


def _minutes(symbol: Symbol) -> int:
    if symbol.kind not in ("equity", "fund", "index"):
        return _ROUND_THE_CLOCK
    return _AMERICAN if symbol.mic == US.mic else _LONGEST


def _nothing(request: BarRequest) -> str:
    """The words for an empty range."""
    return f"Twelve Data has no {request.interval} bars of {request.symbol} in this range"


def _named(symbol: Symbol) -> dict[str, str]:
    name, mic = _spell(symbol)
    return {"symbol": name} | ({"mic_code": mic} if mic else {})


def _span(request: BarRequest) -> dict[str, str]:
    """The window in Twelve Data's words, its end left out: UTC to the second, or dates about whole days, weeks or months."""
    if request.interval.intraday:
        end = request.end if not request.end.microsecond else request.end.replace(microsecond=0) + timedelta(seconds=1)
        return {"start_date": f"{request.start:%Y-%m-%dT%H:%M:%S}", "end_date": f"{end:%Y-%m-%dT%H:%M:%S}", "timezone": "UTC"}
    first, last = first_period(request), first_period(request.over(request.end, request.end + _DAY))
    return {"start_date": f"{first:%Y-%m-%d}", "end_date": f"{max(last, first + _DAY):%Y-%m-%d}"}


def _error_of(body: object, status: int) -> Failure | None:
    """The error that a body is, None for anything else."""
    if not isinstance(body, dict):
        return None
    code, words = body.get("code"), text(body, "message")
    if isinstance(code, str) and re.fullmatch(r"\d{3}", code):
        code = int(code)
    if body.get("status") != "error" and not (type(code) is int and code >= 400 and words):
        return None
    meant = code if type(code) is int and 400 <= code < 600 else status
    kind = next((k for c, pattern, k in _KINDS if c in (None, meant) and re.search(pattern, words, re.IGNORECASE)), None)
    kind = kind or kind_of_status(meant, "") or FailureKind.BAD_REQUEST
    return Failure(kind, one_line(f"Twelve Data says {meant}: {words.replace('*', '') or 'an error without words'}"), status)


def _shares(reply: httpx.Response, due: dict[int, tuple[str, BarRequest]]) -> dict[int, BarSet | Failure]:
    """What a batch answers for each of the symbols."""
    made: dict[int, BarSet | Failure] = {}
    try:
        body = read_json(reply)
    except ConversationFailed as error:
        return dict.fromkeys(due, error.failure)
    symbols = len({name for name, _ in due.values()})
    for i, (name, request) in due.items():
        try:
            made[i] = _read_bars(_share_of(body, name, symbols), request)
        except ConversationFailed as error:
            made[i] = error.failure
    return made


def _share_of(body: object, name: str, symbols: int) -> object:
    """What a batch answers for a symbol: its part, or all of it where only one was asked for."""
    if symbols == 1:
        return body
    parts = {key.upper(): part for key, part in _fields_of(body, "batch").items()}
    if name in parts:
        return parts[name]
    told = _error_of(body, HTTP_OK)
    if told is not None:
        raise ConversationFailed(told)
    msg = f"the answer to several symbols has nothing about {name}"
    raise failed(FailureKind.SCHEMA, msg)


def _fields_of(body: object, what: str) -> dict[str, Any]:
    """The body, if it is an object. Raises ConversationFailed SCHEMA."""
    if isinstance(body, dict):
        return body
    msg = f"the answer is JSON, but no {what} of Twelve Data"
    raise failed(FailureKind.SCHEMA, msg)


def _check(told: dict[str, Any], symbol: Symbol) -> bool:
    """Does the body name the symbol asked for? False where it names none. Raises MISMATCH where it names another one, or another
    exchange, zone or currency than that symbol can have."""
    name, mic = _spell(symbol)
    name, _, place = name.partition(":")
    said, zone, currency = told.get("symbol"), text(told, "exchange_timezone"), text(told, "currency")
    if said is not None and str(said).upper() != name:
        _mismatch(symbol, f"about {str(said)!a}")
    places = {text(told, key).upper() for key in ("mic_code", "exchange")} - {""}
    if places and (mic or place) and (mic or place) not in places:
        _mismatch(symbol, f"about {name} at {'/'.join(sorted(places))}")
    if zone and symbol.mic == US.mic and zone != _NEW_YORK:
        _mismatch(symbol, f"about {name} in {zone}")
    allowed = {unit_of(code) for code in symbol.currencies}
    if currency and allowed and unit_of(currency) not in allowed:
        _mismatch(symbol, f"in {currency}, not in {'/'.join(symbol.currencies)}")
    return said is not None


def _mismatch(symbol: Symbol, what: str) -> None:
    msg = one_line(f"{symbol} was asked for, the answer is {what}")
    raise failed(FailureKind.MISMATCH, msg)


def _read_bars(body: object, request: BarRequest) -> BarSet:
    """The bars of a series that lie in the window. Raises ConversationFailed: what the body tells, NO_DATA, SCHEMA, MISMATCH."""
    from mdagent.sources.reading.rows import Answer, bars_of

    told = _error_of(body, HTTP_OK)
    if told is not None:
        raise ConversationFailed(told)
    series = _fields_of(body, "series")
    meta = _fields_of(series.get("meta"), "series")
    named = _check(meta, request.symbol)
    word = meta.get("interval")
    if word is not None and word != _WORDS[request.interval]:
        msg = f"{request.interval} bars were asked for, the answer has {one_line(str(word), 12)!a} bars"
        raise failed(FailureKind.MISMATCH, msg)
    rows = objects(series.get("values"), "bars")
    if not rows:
        raise failed(FailureKind.NO_DATA, _nothing(request))
    if len(rows) >= _FULL:
        msg = f"the answer has {len(rows)} rows, as many as it can hold: some may be left out"
        raise failed(FailureKind.SCHEMA, msg)
    stamps, real = _stamps(cells(rows, "datetime"), request.interval)
    exchange, currency = text(meta, "exchange"), text(meta, "currency")
    return bars_of(
        request,
        SPEC.name,
        Answer(stamps, real, _columns(rows), named=named),
        request.adjustment,
        currency=currency or None,
        instrument=Instrument(
            request.symbol, SPEC.name, exchange=exchange, zone=text(meta, "exchange_timezone"), currency=currency, kind=text(meta, "type")
        ),
        venue=one_line(exchange, 40) if request.symbol.kind == "crypto" else "",
    )


def _stamps(told: list[Any], interval: Interval) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    from mdagent.sources.reading.spacing import check_spacing
    from mdagent.sources.reading.texts import times

    moments, real = times(told) if interval.intraday else _dates(told, interval)
    real = real & (moments >= np.datetime64("1800-01-01")) & (moments < np.datetime64("2100-01-01"))
    if interval is Interval.W1:
        real &= (moments.astype("int64") + 3) % 7 < 5  # 1970-01-01 was a Thursday
    stamps = moments.astype("datetime64[us]") if interval.intraday else period_of(moments, interval)
    check_spacing(stamps[real], interval)
    return stamps, real


def _dates(told: list[Any], interval: Interval) -> tuple[np.ndarray, np.ndarray]:
    from mdagent.sources.reading.spacing import check_spacing
    from mdagent.sources.reading.texts import dates, times

    try:
        return dates(told)
    except ConversationFailed:
        moments, real = times(told)  # of shorter bars? then that is what to say
        check_spacing(period_of(moments[real].astype("datetime64[D]"), interval), interval)
        raise


def _columns(rows: list[dict[str, Any]]) -> tuple[Column, ...]:
    import numpy as np

    from mdagent.sources.reading.columns import Column
    from mdagent.sources.reading.texts import decimals

    named = ("open", "high", "low", "close")
    missing = [name for name in named if rows and not has(rows, name)]
    if missing:
        msg = f"the rows of the answer have no {', '.join(missing)}"
        raise failed(FailureKind.SCHEMA, msg)
    prices = [decimals(name, cells(rows, name)) for name in named]
    if not has(rows, "volume"):  # as of currencies
        none = np.ones(len(rows), dtype=bool)
        return (*prices, Column(np.full(len(rows), np.nan), none, ~none))
    volume = cells(rows, "volume")
    return (*prices, decimals("volume", [None if v == "" else v for v in volume] if "" in volume else volume))


def _read_quote(body: object, symbol: Symbol) -> Quote:
    """The price of the current day's candle, which is the latest one. Raises ConversationFailed."""
    told = _fields_of(body, "quote")
    _check(told, symbol)
    last = _price(told, "close")
    if last is None:
        msg = f"Twelve Data tells no price of {symbol}"
        raise failed(FailureKind.NO_DATA, msg)
    return Quote(
        symbol,
        SPEC.name,
        last,
        _as_of(told),
        currency=text(told, "currency") or symbol.currency,
        previous_close=_price(told, "previous_close"),
        day_high=_price(told, "high"),
        day_low=_price(told, "low"),
        volume=_price(told, "volume"),
    )


def _price(told: dict[str, Any], name: str) -> float | None:
    """A number, mostly written as a text."""
    value = told.get(name)
    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else number(told, name)


def _as_of(told: dict[str, Any]) -> datetime | None:
    """The last minute candle, else the opening of the day's, else its date. Milliseconds are refused, never divided."""
    for name in ("last_quote_at", "timestamp"):
        seconds = number(told, name)
        if seconds is not None and seconds >= _LATEST:
            msg = "the time of the quote is no epoch second of this century"
            raise failed(FailureKind.SCHEMA, msg)
        if seconds is not None and seconds > 0:
            return datetime.fromtimestamp(seconds, UTC)
    return _day(text(told, "datetime")[:10])


def _day(words: str) -> datetime | None:
    try:
        return parse_instant(date.fromisoformat(words))
    except ValueError:
        return None


def _read_listings(body: object) -> list[Listing]:
    """The hits of a search, in their order. Raises ConversationFailed SCHEMA."""
    hits = objects(_fields_of(body, "search").get("data"), "symbols")
    return [found for hit in hits if (found := _listing(hit))]


def _listing(hit: dict[str, Any]) -> Listing | None:
    ticker, exchange, mic = text(hit, "symbol"), text(hit, "exchange"), text(hit, "mic_code")
    american, pair = text(hit, "country") == "United States", "/" in ticker
    abroad = f"{ticker}.{_SUFFIX[mic]}" if mic in _SUFFIX else f"{ticker}:{exchange}"  # a bare ticker would be taken for an American one
    try:
        symbol = Symbol.parse(ticker if american or pair else abroad)
    except UsageError:  # a spelling that could never be asked for
        return None
    if american and not pair and symbol.mic != US.mic:
        return None  # it would be read as a listing abroad
    return Listing(symbol, text(hit, "instrument_name"), exchange, text(hit, "instrument_type"), SPEC.name)


def _read_markets(body: object) -> list[MarketStatus]:
    """The exchanges with their MIC; the answer bears no time. Raises ConversationFailed SCHEMA."""
    told = [(row, row.get("is_market_open")) for row in objects(body, "markets")]
    return [
        MarketStatus(f"{text(row, 'name')} ({text(row, 'code')})", SPEC.name, is_open, "regular" if is_open else "closed")
        for row, is_open in told
        if isinstance(is_open, bool)
    ]


def _read_actions(body: object, path: str, symbol: Symbol) -> list[CorporateAction]:
    """The answer of `/splits` or `/dividends`, dividends as paid. Raises ConversationFailed."""
    told = _fields_of(body, path)
    meta = _fields_of(told.get("meta"), path)
    _check(meta, symbol)
    entries = objects(told.get(path), path)
    currency = text(meta, "currency") or None
    return [_split(entry) if path == "splits" else _dividend(entry, currency) for entry in entries]


def _split(entry: dict[str, Any]) -> CorporateAction:
    when, said = _day(text(entry, "date")), _FOR.search(text(entry, "description"))
    new, old, ratio = (_price(entry, name) for name in ("from_factor", "to_factor", "ratio"))
    read = (_over(new, old), _over(float(said[1]), float(said[2])) if said else None, _over(1.0, ratio))
    values = [value for value in read if value is not None]
    if when is None or len(values) < _ENOUGH or not all(v > 0 and abs(v / values[0] - 1) < 1e-3 for v in values):
        msg = f"the split of {text(entry, 'date')!a} is told as {new} for {old}, ratio {ratio}, {text(entry, 'description')!a}"
        raise failed(FailureKind.SCHEMA, one_line(msg))
    return CorporateAction("split", when.date(), values[0])


def _over(above: float | None, below: float | None) -> float | None:
    return above / below if above and below else None


def _dividend(entry: dict[str, Any], currency: str | None) -> CorporateAction:
    when = _day(text(entry, "ex_date"))
    return dividend(when.date() if when else None, _price(entry, "amount"), currency)
