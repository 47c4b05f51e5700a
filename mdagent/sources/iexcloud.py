"""IEX Cloud: retired on 2024-08-31. Kept for replaying stored answers, and for the simulated provider.

Daily answers hold both bases side by side: `open` to `volume` adjusted for splits, `uOpen` to `uVolume` as traded; an answer without
the latter is split-adjusted, whatever was asked. Minutes are as traded, in New York's time, by their start; `chartInterval=N` picks
every Nth minute and makes no longer bars of them, so there are none. Minutes with `marketClose` tell of the whole market (15 minutes
late, paid plans); without it they tell of the trades at IEX alone, a sliver of the volume: `venue` says so.

A window of at most five days is asked for day by day, which is what IEX metered least (2 messages a bar); a longer one has to be
`max`, for the shorter ranges count back from a today that a conversation does not know (10 messages for each of 15 years' bars).
Splits and dividends reach back five years, the longest range that was documented for them. Symbols are sent as typed: how IEX
spelled preferred shares and foreign listings is not known here. A bid and an ask of IEX alone are not the market's: left out.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as percent

from mdagent.guard.outcome import HTTP_FORBIDDEN, HTTP_OK, ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.market import COLUMNS, Adjustment, BarRequest, BarSet, CorporateAction, Interval, Listing, Quote, Symbol
from mdagent.sources.base import Adapter, Auth, Depth, Milestone, Plan, Quota, SourceSpec
from mdagent.sources.reading.actions import dividend, split
from mdagent.sources.reading.body import failed, plain_words, read_json
from mdagent.sources.reading.fields import number, symbol_in, text
from mdagent.sources.reading.tables import cells, has, objects
from mdagent.sources.reading.windows import period_of, windows
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx
    import numpy as np

    from mdagent.sources.base import Conversation
    from mdagent.sources.reading.columns import Column

_FIVE_YEARS = timedelta(days=1820)  # less than any five years have
_VERSION = "/stable"
_LATEST = 4102444800  # 2100-01-01: nothing is stamped later
_SHORT = timedelta(days=5)  # the longest window that is asked for day by day
_DAY = timedelta(days=1)
_A_DAY, _A_SESSION, _ALL = 2, 50, 10 * 252 * 15  # messages: one daily bar by itself, the minutes of a session, all 15 years
_MOST = 100  # symbols of one batch
_ENOUGH = 3  # rows from which a spacing can be told
_FAIR = Quota(100, 1.0, of="requests")

SPEC = SourceSpec(
    name="iexcloud",
    title="IEX Cloud",
    hosts=("cloud.iexapis.com",),
    intervals={
        Interval.M1: Depth(timedelta(days=30), delivers=(Adjustment.RAW,)),
        Interval.D1: Depth(timedelta(days=15 * 365), delivers=(Adjustment.RAW, Adjustment.SPLITS)),
    },
    plans=(
        Plan("launch", (Quota(50_000, "month"), _FAIR), note="messages a calendar month; minutes of trades at IEX alone"),
        Plan("individual", (Quota(5_000_000, "month"), _FAIR), 19.0, timedelta(minutes=15), note="9 USD a month by the year"),
        Plan("business", (Quota(150_000_000, "month"), _FAIR), 299.0, timedelta(minutes=15), note="199 USD a month by the year"),
    ),
    cooldown=60.0,
    delay=timedelta(minutes=20),
    concurrency=4,
    covers="US stocks and funds, until August 2024",
    terms="retired; what was stored before stays under the terms of its day",
    checked=date(2026, 11, 24),
    auth=Auth("query", "token"),  # the only place it was read from
    offers=frozenset(("quote", "search", "actions", "batch")),
    lifecycle=(
        Milestone(date(2019, 6, 1), "renamed", "the keyless api.iextrading.com gave way to IEX Cloud"),
        Milestone(date(2024, 8, 31), "retired", "IEX Cloud was shut down"),
    ),
)

_KINDS = {402: FailureKind.QUOTA_EXHAUSTED, HTTP_FORBIDDEN: FailureKind.AUTH}  # what they mean here and nowhere else
_PLAN = re.compile(r"\b(plan|tier|subscription)\b", re.IGNORECASE)


class Source(Adapter):
    """Conversations with IEX Cloud's stock endpoints."""

    spec = SPEC

    def cut(self, request: BarRequest) -> list[BarRequest]:
        """A request for each weekday of a short window and of every window of minutes; a longer one of days as it is."""
        if not (request.interval.intraday or request.end - request.start <= _SHORT):
            return [request]
        midnight = request.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        first = min(midnight + _DAY, request.end)
        days = [request.over(request.start, first), *(windows(request.over(first, request.end), _DAY) if first < request.end else ())]
        return [day for day in days if _date_of(day).weekday() < 5] or days[:1]

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars with `start <= ts < end`. Raises ConversationFailed."""
        parts = []
        for piece in self.cut(request):
            place, params, cost = _chart(piece)
            path = f"{_VERSION}/stock/{percent(request.symbol.ticker, safe='')}/chart/{place}"
            try:
                reply = yield self.get(path, params, cost=cost)
                parts.append(_read_chart(read_json(reply), request))
            except ConversationFailed as error:
                if error.failure.kind is not FailureKind.NO_DATA:
                    raise  # a holiday does not spoil the rest
        return _joined(parts, request)

    def batch_requests(self, requests: Sequence[BarRequest]) -> int | None:
        return -(-len(requests) // _MOST) * len(self.cut(requests[0])) if requests else None

    def batch(self, requests: Sequence[BarRequest]) -> Conversation[list[BarSet | Failure]]:
        """The same for up to a hundred symbols a request; a symbol that the answer leaves out is unknown."""
        made: list[BarSet | Failure] = []
        for at in range(0, len(requests), _MOST):
            made += yield from self._hundred(requests[at : at + _MOST])
        return made

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The latest price."""
        symbol = Symbol.parse(symbol)
        body = read_json((yield self.get(f"{_VERSION}/stock/{percent(symbol.ticker, safe='')}/quote")))
        fields = body if isinstance(body, dict) else {}
        last, told = number(fields, "latestPrice"), number(fields, "latestUpdate")
        if last is None:
            msg = f"IEX Cloud tells no price of {symbol}"
            raise failed(FailureKind.SCHEMA if not fields else FailureKind.NO_DATA, msg)
        _check_symbol(text(fields, "symbol"), symbol)
        return Quote(
            symbol,
            SPEC.name,
            last,
            datetime.fromtimestamp(told / 1000, UTC) if told is not None and 0 < told < 1000 * _LATEST else None,
            currency=text(fields, "currency")[:8] or symbol.currency,
            previous_close=number(fields, "previousClose"),
            day_high=number(fields, "high"),
            day_low=number(fields, "low"),
            volume=number(fields, "latestVolume"),
        )

    def search(self, words: str) -> Conversation[list[Listing]]:
        """Symbols that fit the words, in IEX Cloud's order."""
        body = read_json((yield self.get(f"{_VERSION}/search/{percent(words, safe='')}")))
        return [found for hit in objects(body, "symbols") if (found := _listing(hit))]

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        """Splits and dividends by ex-date, amounts as they were paid. Ranges count back from today, and the end is no earlier, so the
        longest one that is documented serves a start within it of the end; an older one asks for `max`, which the chart has and these
        were never seen with: a provider that does not know the word refuses, and nothing is taken for known."""
        from mdagent.sources.reading.rows import within

        path = f"{_VERSION}/stock/{percent(symbol.ticker, safe='')}"
        scope = "5y" if end - start < _FIVE_YEARS else "max"
        splits = objects(read_json((yield self.get(f"{path}/splits/{scope}", cost=10))), "splits")
        paid = objects(read_json((yield self.get(f"{path}/dividends/{scope}", cost=200))), "dividends") if payments else []
        return within([*(_split(s, symbol) for s in splits), *(_dividend(p, symbol) for p in paid)], start, end)

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The failure that the status tells: the words beside it are plain text."""
        status = reply.status_code
        if status == HTTP_OK:
            return None
        head = reply.content[:2000].decode("utf-8", "replace")
        kind, words = kind_of_status(status, head), plain_words(head)
        if head.strip() == words and not (status == HTTP_FORBIDDEN and _PLAN.search(head)):
            kind = _KINDS.get(status, kind)  # without a word it is not IEX Cloud that speaks
        return Failure(kind or FailureKind.UNEXPECTED_STATUS, one_line(f"HTTP {status}: {words}"), status)

    def _hundred(self, requests: Sequence[BarRequest]) -> Conversation[list[BarSet | Failure]]:
        parts: list[list[BarSet]] = [[] for _ in requests]
        whys: list[Failure | None] = [None] * len(requests)
        symbols = ",".join(r.symbol.ticker for r in requests)
        for piece in self.cut(requests[0]) if requests else ():
            place, params, cost = _chart(piece)
            scope, _, day = place.partition("/")
            query = {"symbols": symbols, "types": "chart", "range": scope} | ({"exactDate": day} if day else {}) | params
            body = read_json((yield self.get(f"{_VERSION}/stock/market/batch", query, cost=cost * len(requests))))
            if not isinstance(body, dict):
                msg = "the answer to a batch is no object of symbols"
                raise failed(FailureKind.SCHEMA, msg)
            for i, request in enumerate(requests):
                found = _of_batch(body, request)
                if isinstance(found, BarSet):
                    parts[i].append(found)
                elif found.kind is not FailureKind.NO_DATA:
                    whys[i] = found
        return [why or _bars_or_failure(held, request) for why, held, request in zip(whys, parts, requests, strict=True)]


def _date_of(piece: BarRequest) -> date:
    """The session that a piece asks for: minutes of a session in New York lie within one UTC date."""
    return piece.start.astimezone(UTC).date()


def _chart(piece: BarRequest) -> tuple[str, dict[str, str], int]:
    """Where the chart of a piece is (below `/chart/`), its parameters, and its cost."""
    day = f"date/{_date_of(piece):%Y%m%d}"
    if piece.interval.intraday:
        return day, {}, _A_SESSION
    return (day, {"chartByDay": "true"}, _A_DAY) if piece.end - piece.start <= _DAY else ("max", {}, _ALL)


def _nothing(request: BarRequest) -> ConversationFailed:
    return failed(FailureKind.NO_DATA, f"IEX Cloud has no {request.interval} bars of {request.symbol} in this range")


def _joined(parts: list[BarSet], request: BarRequest) -> BarSet:
    if not parts:
        raise _nothing(request)
    if len({(part.adjustment, part.venue) for part in parts}) > 1:
        msg = f"the days of {request.symbol} came in more than one basis, or of more than one market"
        raise failed(FailureKind.SCHEMA, msg)
    return BarSet.join(parts)


def _of_batch(body: dict[str, Any], request: BarRequest) -> BarSet | Failure:
    entry = body.get(request.symbol.ticker)
    if not isinstance(entry, dict):
        return Failure(FailureKind.UNKNOWN_SYMBOL, f"IEX Cloud does not know {request.symbol}: the batch leaves it out", HTTP_OK)
    try:
        return _read_chart(entry.get("chart"), request)
    except ConversationFailed as error:
        return error.failure


def _bars_or_failure(parts: list[BarSet], request: BarRequest) -> BarSet | Failure:
    try:
        return _joined(parts, request)
    except ConversationFailed as error:
        return error.failure


def _check_symbol(told: str, symbol: Symbol) -> None:
    """Raises ConversationFailed MISMATCH where an answer names another symbol."""
    if told and told.upper() != symbol.ticker:
        msg = f"{symbol} was asked for, the answer is about {one_line(told, 32)}"
        raise failed(FailureKind.MISMATCH, msg)


def _read_chart(body: object, request: BarRequest) -> BarSet:
    """The bars of a chart that lie in the window. Raises ConversationFailed: NO_DATA, SCHEMA, MISMATCH."""
    from mdagent.sources.reading.rows import Answer, bars_of
    from mdagent.sources.reading.spacing import check_spacing
    from mdagent.sources.reading.texts import dates

    rows = objects(body.get("data") if isinstance(body, dict) else body, "bars")
    if not rows:
        raise _nothing(request)
    _check_rows(rows, request)
    currency = _check_about(rows, request)
    if request.interval.intraday:
        whole = has(rows, "marketClose")
        stamps, real = _minutes(rows)
        answer = Answer(stamps, real, _columns(rows, "market" if whole else ""))
        return bars_of(request, SPEC.name, answer, Adjustment.RAW, currency=currency, venue="" if whole else "IEX")
    told, real = dates(_iso(cells(rows, "date")))
    real &= _possible(told)
    stamps = period_of(told, request.interval)
    check_spacing(stamps[real], request.interval)
    raw = request.adjustment is Adjustment.RAW and has(rows, "uClose")
    answer = Answer(stamps, real, _columns(rows, "u" if raw else ""))
    return bars_of(request, SPEC.name, answer, Adjustment.RAW if raw else Adjustment.SPLITS, currency=currency)


def _check_rows(rows: list[dict[str, Any]], request: BarRequest) -> None:
    """Days and minutes come in one format: the rows themselves say which they are."""
    if has(rows, "minute") is not request.interval.intraday:
        msg = f"{request.interval} bars were asked for, the rows of the answer are {'days' if request.interval.intraday else 'minutes'}"
        raise failed(FailureKind.MISMATCH, msg)


def _check_about(rows: list[dict[str, Any]], request: BarRequest) -> str | None:
    """The currency where the rows tell one (late answers did); symbol and currency must be those asked for."""
    for told in _words(rows, "symbol"):
        _check_symbol(told, request.symbol)
    currencies = _words(rows, "currency")
    allowed = request.symbol.currencies
    wrong = [told for told in currencies if allowed and told not in allowed]
    if wrong or len(currencies) > 1:
        msg = f"{request.symbol} is quoted in {'/'.join(allowed) or 'one currency'}, the answer is in {one_line('/'.join(currencies), 24)}"
        raise failed(FailureKind.MISMATCH, msg)
    return currencies[0] if currencies else None


def _words(rows: list[dict[str, Any]], name: str) -> list[str]:
    """The different texts under that key, but the empty one."""
    if not has(rows, name):
        return []
    return sorted({told.encode("utf-8", "replace").decode()[:40] for told in cells(rows, name) if isinstance(told, str) and told})


def _columns(rows: list[dict[str, Any]], prefix: str) -> tuple[Column, ...]:
    """The five columns whose names begin so: `uOpen`, `marketOpen`, or plain. A minute without a trade says 0 shares beside null
    prices: it is no bar, and nothing of it is."""
    import numpy as np

    from mdagent.sources.reading.columns import Column, numbers

    named = [prefix + (name.capitalize() if prefix else name) for name in COLUMNS]
    missing = [name for name in named[:4] if not has(rows, name)]
    if missing:
        msg = f"the rows of the answer have no {', '.join(missing)}"
        raise failed(FailureKind.SCHEMA, msg)
    *prices, volume = (numbers(name, cells(rows, name), len(rows)) for name in named)
    idle = np.logical_and.reduce([price.null for price in prices]) & ~volume.bad & ~(volume.values > 0)
    return (*prices, Column(np.where(idle, np.nan, volume.values), volume.null | idle, volume.bad))


def _iso(told: list[Any]) -> list[Any]:
    """Dates as 2024-01-02; the oldest answers wrote 20240102."""
    return [f"{day[:4]}-{day[4:6]}-{day[6:]}" if isinstance(day, str) and len(day) == 8 else day for day in told]


def _minutes(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """The start of each minute, and which are one. Rows that leave minutes out are picked (`chartInterval`) or longer (`5dm`)."""
    import numpy as np

    from mdagent.sources.reading.texts import times
    from mdagent.sources.reading.zones import instants_in, zone_of

    days, clocks = _iso(cells(rows, "date")), cells(rows, "minute")
    local, real = times([f"{day} {clock}:00" if isinstance(clock, str) else None for day, clock in zip(days, clocks, strict=True)])
    real &= _possible(local)
    stamps = instants_in(np.where(real, local, np.datetime64("1970-01-02", "s")), zone_of("America/New_York"))
    gaps = np.diff(np.unique(stamps[real]))
    if len(gaps) >= _ENOUGH - 1 and (gaps > np.timedelta64(60, "s")).all():
        msg = f"1m bars were asked for, the rows of the answer lie {gaps.min().astype(int) // 1_000_000} s apart"
        raise failed(FailureKind.MISMATCH, msg)
    return stamps, real


def _possible(stamps: np.ndarray) -> np.ndarray:
    """No bar is stamped before 1900, nor from 2100 on."""
    import numpy as np

    mask: np.ndarray = (stamps >= np.datetime64("1900-01-01")) & (stamps < np.datetime64("2100-01-01"))
    return mask


def _listing(hit: dict[str, Any]) -> Listing | None:
    symbol = symbol_in(hit, "symbol")
    if symbol is None:
        return None
    return Listing(symbol, text(hit, "securityName"), text(hit, "exchange"), text(hit, "securityType"), SPEC.name)


def _split(entry: dict[str, Any], symbol: Symbol) -> CorporateAction:
    """`toFactor` new shares for `fromFactor` old ones; `ratio` is the inverse, and rounded."""
    return split(_ex_date(entry, symbol), number(entry, "toFactor"), number(entry, "fromFactor"))


def _dividend(entry: dict[str, Any], symbol: Symbol) -> CorporateAction:
    return dividend(_ex_date(entry, symbol), number(entry, "amount"), text(entry, "currency")[:8])


def _ex_date(entry: dict[str, Any], symbol: Symbol) -> date:
    _check_symbol(text(entry, "symbol"), symbol)
    try:
        return date.fromisoformat(text(entry, "exDate"))
    except ValueError:
        msg = "a split or dividend of the answer has no ex-date"
        raise failed(FailureKind.SCHEMA, msg) from None
