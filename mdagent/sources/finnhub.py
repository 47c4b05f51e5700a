"""Finnhub: candles of stocks, funds and indices (a paid plan since 2023), quotes, search, splits and dividends.

Daily and longer prices are adjusted for splits, intraday ones for nothing; there is no choice (`adjusted=` is ignored). **Daily
volume is as traded** though prices are not: it is delivered as it comes and marked `raw_volume`; price times volume means nothing
before a split. An answer names neither its symbol nor a currency. Spellings are Yahoo's (`VOD.L`, `SAP.DE`), US classes have a dot.

Where the provider is not clear, the reading was chosen that cannot store a wrong bar. A daily stamp has moved over the years: at
00:00 UTC it is that date, at any other hour New York's date. A weekly stamp on a weekend is no session, so its row is refused.
Weeks and months are asked for to their end, lest the last one come short. Hour candles begin on the clock's hour and mix
pre-market trades with the first half hour of the session: of exchanges whose sessions or afternoons begin at half past, hours are
made here of half hours within the session. Currencies and coins are not offered: which day a candle of 17:00 New York belongs to
is nowhere told. `isOpen` of the market status is Finnhub's own word.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from mdagent.guard.outcome import HTTP_OK, ConversationFailed, Failure, FailureKind
from mdagent.market import COLUMNS, Adjustment, BarSet, CorporateAction, Interval, Listing, MarketStatus, Quote, Symbol
from mdagent.sessions import build, calendar_of, stretches
from mdagent.sources.base import Adapter, Auth, Depth, Milestone, Plan, Quota, SourceSpec
from mdagent.sources.reading.actions import dividend, split
from mdagent.sources.reading.body import failed, failure_in_words, read_json
from mdagent.sources.reading.fields import number, symbol_in, text
from mdagent.sources.reading.tables import objects
from mdagent.sources.reading.windows import first_period, last_instant, period_of
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    import httpx
    import numpy as np

    from mdagent.market import BarRequest, Delivery
    from mdagent.sources.base import Conversation
    from mdagent.sources.reading.columns import Column
    from mdagent.sources.reading.rows import Answer

_RESOLUTIONS = {
    Interval.M1: "1",
    Interval.M5: "5",
    Interval.M15: "15",
    Interval.M30: "30",
    Interval.H1: "60",
    Interval.D1: "D",
    Interval.W1: "W",
    Interval.MO1: "M",
}
_LATEST = 4102444800  # 2100-01-01: nothing is stamped later
_MILLISECONDS = 1e11  # epoch seconds reach this in the year 5138; epoch milliseconds passed it in 1973
_HALF_PAST = frozenset(("XNYS", "XTSE", "XHKG", "XSHG", "XTKS"))  # calendars whose hours are not the clock's
_HOUR, _FRIDAY = 3600, 4
_REST = {Interval.W1: 6 * 86400, Interval.MO1: 30 * 86400}  # seconds of a period that may follow its first day
_MONTH = Depth(per_request=timedelta(days=30), delivers=(Adjustment.RAW,))  # intraday: at most one month a call
_LONG = Depth(delivers=(Adjustment.SPLITS,))
_BURST = Quota(30, 1.0, of="requests")  # on top of every plan


def _minutely(limit: int) -> tuple[Quota, ...]:
    return Quota(limit, 60.0, of="requests"), _BURST


SPEC = SourceSpec(
    name="finnhub",
    title="Finnhub",
    hosts=("finnhub.io",),
    intervals={interval: _MONTH if interval.intraday else _LONG for interval in Interval},
    plans=(
        Plan(
            "free",
            _minutely(60),
            lacks=frozenset((*(i.value for i in Interval), "actions", "world")),
            note="quotes of US listings, search and the market's state; no bars",
        ),
        Plan("basic", _minutely(150), 49.99, note="a market; billed quarterly or yearly"),
        Plan("standard", _minutely(300), 129.99, note="a market; billed quarterly or yearly"),
        Plan("professional", _minutely(900), 199.99, note="a market; billed quarterly or yearly"),
    ),
    cooldown=60.0,
    delay=timedelta(minutes=20),
    concurrency=4,
    covers="US stocks, funds and indices; other exchanges by plan; splits and dividends",
    terms="personal use under these plans; redistribution needs a contract with Finnhub",
    checked=date(2026, 11, 24),
    auth=Auth("header", "X-Finnhub-Token"),
    offers=frozenset(("quote", "search", "actions", "market")),
    lifecycle=(Milestone(date(2023, 1, 1), "needs-plan", "stock candles are no longer part of the free plan"),),
)

_ERROR = re.compile(rb'\s*\{\s*"(error|s)"\s*:\s*"([^"]{0,200})')
_WORDS = (  # what an error says -> kind; the first that fits, whatever the status
    (r"don't have access", FailureKind.PLAN_LIMIT),
    (r"sign up", FailureKind.AUTH),
    (r"limit reached|too many requests", FailureKind.RATE_LIMITED),
    (r"api key|token", FailureKind.AUTH),
)


class Source(Adapter):
    """Conversations with Finnhub's stock endpoints."""

    spec = SPEC

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars with `start <= ts < end`, a long intraday window month by month. Raises ConversationFailed."""
        _check_kind(request.symbol)
        parts = []
        pieces = self.cut(request)
        for piece in pieces:
            try:
                reply = yield self._candles(piece)
                parts.append(_read_candles(reply, piece))
            except ConversationFailed as error:
                if error.failure.kind is not FailureKind.NO_DATA or len(pieces) == 1:
                    raise  # a month before the first trade does not spoil the rest
        if not parts:
            raise _nothing(request)
        return BarSet.join(parts)

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The last trade. A price of 0 is how Finnhub says that it knows no such symbol."""
        symbol = Symbol.parse(symbol)
        body = read_json((yield self.get("/api/v1/quote", {"symbol": symbol.ticker})))
        last = number(body, "c") if isinstance(body, dict) else None
        if last is None:
            msg = f"Finnhub tells no price of {symbol}"
            raise failed(FailureKind.SCHEMA, msg)
        if last == 0:
            msg = f"Finnhub knows no {symbol}: it answered with a price of 0"
            raise failed(FailureKind.UNKNOWN_SYMBOL, msg)
        return Quote(
            symbol,
            SPEC.name,
            last,
            _moment(body),
            currency=symbol.currency,
            previous_close=number(body, "pc"),
            day_high=number(body, "h"),
            day_low=number(body, "l"),
        )

    def search(self, words: str) -> Conversation[list[Listing]]:
        """Symbols that fit the words, in Finnhub's order."""
        body = read_json((yield self.get("/api/v1/search", {"q": words})))
        hits = objects(body.get("result") if isinstance(body, dict) else None, "symbols")
        return [found for hit in hits if (found := _listing(hit))]

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        """Splits and dividends by ex-date, amounts as they were paid."""
        from mdagent.sources.reading.rows import within

        window = {
            "symbol": symbol.ticker,
            "from": f"{start.astimezone(UTC):%Y-%m-%d}",
            "to": f"{(end - timedelta(microseconds=1)).astimezone(UTC):%Y-%m-%d}",
        }
        splits = objects(read_json((yield self.get("/api/v1/stock/split", window))), "splits")
        paid = objects(read_json((yield self.get("/api/v1/stock/dividend", window))), "dividends") if payments else []
        return within([*(_split(s, symbol) for s in splits), *(_dividend(p, symbol) for p in paid)], start, end)

    def market(self) -> Conversation[list[MarketStatus]]:
        """The session in America."""
        body = read_json((yield self.get("/api/v1/stock/market-status", {"exchange": "US"})))
        if not isinstance(body, dict) or not isinstance(body.get("isOpen"), bool):
            msg = "the answer does not tell whether the market is open"
            raise failed(FailureKind.SCHEMA, msg)
        session = text(body, "session") or text(body, "holiday") or ("open" if body["isOpen"] else "closed")
        return [MarketStatus(text(body, "exchange") or "US", SPEC.name, body["isOpen"], session, _moment(body))]

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The failure that the status, or an `error` inside a 200, tells; `no_data` is NO_DATA, unknown symbols included."""
        head, status = reply.content[:2000], reply.status_code
        told = _ERROR.match(head)
        if status == HTTP_OK:
            if told is None or (told[1] == b"s" and told[2] != b"no_data"):
                return None
            if told[1] == b"s":
                return Failure(FailureKind.NO_DATA, "Finnhub has no data of this symbol in this range, or does not know it", status)
        return failure_in_words(status, (told[2] if told else head).decode("utf-8", "replace"), _WORDS)

    def _candles(self, request: BarRequest) -> httpx.Request:
        start, end = int(first_period(request).timestamp()), ceil(last_instant(request).timestamp()) + _REST.get(request.interval, 0)
        resolution = _RESOLUTIONS[request.interval]
        if _in_halves(request):
            resolution, end = _RESOLUTIONS[Interval.M30], end + 1800
        window = {"from": str(start), "to": str(end - 1)}  # both ends included
        return self.get("/api/v1/stock/candle", {"symbol": request.symbol.ticker, "resolution": resolution} | window)


def _check_kind(symbol: Symbol) -> None:
    if symbol.kind in ("fx", "crypto", "future") or ":" in symbol.ticker:
        msg = f"mdagent asks Finnhub for stocks, funds and indices alone, not for {symbol}"
        raise failed(FailureKind.BAD_REQUEST, msg)


def _nothing(request: BarRequest) -> ConversationFailed:
    return failed(FailureKind.NO_DATA, f"Finnhub has no {request.interval} bars of {request.symbol} in this range")


def _in_halves(request: BarRequest) -> bool:
    """Are these hours to be made of half hours?"""
    return request.interval is Interval.H1 and calendar_of(request.symbol) in _HALF_PAST


def _read_candles(reply: httpx.Response, request: BarRequest) -> BarSet:
    """The bars of a candle answer that lie in the window. Raises ConversationFailed: NO_DATA, SCHEMA, MISMATCH, MALFORMED."""
    from mdagent.sources.reading.columns import numbers
    from mdagent.sources.reading.rows import Answer, bars_of
    from mdagent.sources.reading.spacing import check_spacing

    body = read_json(reply)
    told = body.get("s") if isinstance(body, dict) else None
    if told == "no_data" or (told == "ok" and body.get("t") == [] and not any(body.get(name[0]) for name in COLUMNS)):
        raise _nothing(request)
    if told != "ok":
        msg = f"the answer is JSON, but no Finnhub candles (s is {one_line(repr(told), 40)})"
        raise failed(FailureKind.SCHEMA, msg, reply.status_code)
    stamps = body.get("t")
    length = len(stamps) if isinstance(stamps, list) else 0
    seconds, real = _seconds(numbers("t", stamps, length))
    columns = [numbers(name, body.get(name[0]), length) for name in COLUMNS[:4]]
    columns.append(numbers("volume", body.get("v", [None] * length), length))
    if _in_halves(request):
        return _hours(Answer(_instants(seconds), real, tuple(columns)), request)
    ts = _instants(seconds) if request.interval.intraday else period_of(_days(seconds), request.interval)
    check_spacing(ts[real], request.interval, seconds[real])
    if request.interval is Interval.W1:
        real &= _weekday(_days(seconds)) <= _FRIDAY
    answer = Answer(ts, real, tuple(columns))
    if request.interval.intraday:
        return bars_of(request, SPEC.name, answer, Adjustment.RAW, extended=True)
    return bars_of(request, SPEC.name, answer, Adjustment.SPLITS, raw_volume=True)


def _seconds(told: Column) -> tuple[np.ndarray, np.ndarray]:
    """Epoch seconds, and which of them are a time that a bar can have. Milliseconds are refused, never divided."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        if ((told.values > _MILLISECONDS) & (told.values < 1000 * _LATEST)).any():
            msg = "the answer's time stamps are milliseconds; Finnhub's are seconds"
            raise failed(FailureKind.SCHEMA, msg)
        real = ~(told.null | told.bad) & (told.values < _LATEST) & (told.values >= 1)
    return np.where(real, told.values, 0.0).astype(np.int64), real


def _instants(seconds: np.ndarray) -> np.ndarray:
    return seconds.astype("datetime64[s]").astype("datetime64[us]")


def _days(seconds: np.ndarray) -> np.ndarray:
    """Session dates: of a stamp at midnight UTC that day, of any other New York's."""
    import numpy as np

    from mdagent.sources.reading.zones import dates_in, zone_of

    days = seconds.astype("datetime64[s]").astype("datetime64[D]")
    drifted = np.flatnonzero(seconds % 86400)
    days[drifted] = dates_in(seconds[drifted], zone_of("America/New_York"))
    return days


def _weekday(days: np.ndarray) -> np.ndarray:
    """Monday is 0; 1970-01-01 was a Thursday."""
    import numpy as np

    found: np.ndarray = (days.astype("datetime64[D]").astype(np.int64) + 3) % 7
    return found


def _hours(answer: Answer, request: BarRequest) -> BarSet:
    """Hours counted from the opening, of the half hours within the session; those before and after are left out, as they are by
    asking for regular hours. An hour of which a half was refused is none."""
    import numpy as np

    from mdagent.sources.reading.rows import Answer, assemble, bars_of
    from mdagent.sources.reading.spacing import check_spacing

    check_spacing(answer.stamps[answer.real], Interval.M30)
    halves = assemble(answer, request.over(request.start, request.end + timedelta(minutes=30)))
    refused = [*halves.delivery.rejected, *halves.delivery.conflicts]
    if any(row.ts is None for row in refused):
        msg = "a half hour of the answer has no time stamp: no hour can be made for certain"
        raise failed(FailureKind.SCHEMA, msg)
    lost = np.array([row.ts.replace(tzinfo=None) for row in refused if row.ts], dtype="datetime64[us]")
    opens, closes = _trading(np.concatenate((halves.ts, lost)), calendar_of(request.symbol))
    label = _label(halves.ts, opens, closes)
    kept = np.flatnonzero((label >= 0) & ~np.isin(label, _label(lost, opens, closes)))
    label, table = label[kept], halves.table[:, kept]
    start = np.flatnonzero(np.diff(label, prepend=-1) != 0)
    made = (np.zeros(0),) * 5
    if len(start):
        last = np.append(start[1:], len(label)) - 1
        high, low = np.maximum.reduceat(table[1], start), np.minimum.reduceat(table[2], start)
        made = (table[0][start], high, low, table[3][last], np.add.reduceat(table[4], start))
    hours = Answer(_instants(label[start]), np.ones(len(start), dtype=bool), tuple(_column(values) for values in made))
    bars = bars_of(request, SPEC.name, hours, Adjustment.RAW)
    return replace(bars, delivery=_told(bars.delivery, halves.delivery))


def _told(hours: Delivery, halves: Delivery) -> Delivery:
    """What was said of the half hours holds for the hours."""
    rest = ("rows", "rejected", "conflicts", "duplicates", "outside", "unsorted")
    return hours._replace(**{name: getattr(halves, name) for name in rest})


def _column(values: np.ndarray) -> Column:
    import numpy as np

    from mdagent.sources.reading.columns import Column

    null = np.isnan(values)
    return Column(values, null, np.zeros(len(values), dtype=bool))


def _trading(stamps: np.ndarray, calendar: str) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end (epoch seconds) of each stretch of trading in the years of the stamps."""
    import numpy as np

    if not len(stamps):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    first, last = (int(edge.astype("datetime64[Y]").astype(np.int64)) + 1970 for edge in (stamps.min(), stamps.max()))
    table = build(calendar, date(first, 1, 1), date(last + 1, 1, 1))
    if not (np.datetime64(table.start) <= stamps.min() and stamps.max() < np.datetime64(table.end)):
        msg = f"the sessions of {calendar} are known from {table.start} to {table.end} alone: no hours can be made of half hours elsewhere"
        raise failed(FailureKind.BAD_REQUEST, msg)
    spans = [span for session in table.sessions for span in stretches(session)]
    opens, closes = (np.array([int(span[i].timestamp()) for span in spans], dtype=np.int64) for i in (0, 1))
    return opens, closes


def _label(stamps: np.ndarray, opens: np.ndarray, closes: np.ndarray) -> np.ndarray:
    """Epoch seconds at which the hour of each stamp begins; -1 outside the sessions."""
    import numpy as np

    seconds = stamps.astype("datetime64[s]").astype(np.int64)
    if not len(opens):
        return np.full(len(seconds), -1)
    place = np.maximum(np.searchsorted(opens, seconds, side="right") - 1, 0)
    within = (seconds >= opens[place]) & (seconds < closes[place])
    label: np.ndarray = np.where(within, opens[place] + (seconds - opens[place]) // _HOUR * _HOUR, -1)
    return label


def _moment(body: dict[str, Any]) -> datetime | None:
    told = number(body, "t")
    return datetime.fromtimestamp(told, UTC) if told is not None and 0 < told < _LATEST else None


def _listing(hit: dict[str, Any]) -> Listing | None:
    symbol = symbol_in(hit, "symbol")
    if symbol is None:
        return None
    return Listing(symbol, text(hit, "description"), "", text(hit, "type"), SPEC.name)


def _split(entry: dict[str, Any], symbol: Symbol) -> CorporateAction:
    """`toFactor` new shares for `fromFactor` old ones."""
    return split(_day(entry, symbol), number(entry, "toFactor"), number(entry, "fromFactor"))


def _dividend(entry: dict[str, Any], symbol: Symbol) -> CorporateAction:
    """`amount` is a share's as it was paid; `adjustedAmount` (a share's of today) is not used."""
    return dividend(_day(entry, symbol), number(entry, "amount"), text(entry, "currency")[:8])


def _day(entry: dict[str, Any], symbol: Symbol) -> date:
    named = text(entry, "symbol")
    if named and named.upper() != symbol.ticker:
        msg = f"{symbol} was asked for, the answer is about {one_line(named, 32)}"
        raise failed(FailureKind.MISMATCH, msg)
    try:
        return date.fromisoformat(text(entry, "date"))
    except ValueError:
        msg = "a split or dividend of the answer has no date"
        raise failed(FailureKind.SCHEMA, msg) from None
