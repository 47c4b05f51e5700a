"""Polygon.io, called Massive since 2025-10-30: US stocks, with indices, currencies and crypto as subscriptions of their own.

Prices come raw or split-adjusted, never adjusted for dividends. A bar is stamped with the start of its window in epoch milliseconds:
days, weeks (from Sunday) and months at midnight in New York, those of currencies and crypto in UTC. Both addresses serve the same;
the key goes to these two alone, and not in the address. A symbol that it does not know is an empty answer.

Where its papers leave a choice: whole weeks and months are asked for (Sunday to Saturday, first to last), whatever it does with a part
of one. Hours of New York's stocks and indices are made of its half hours, since its own begin at 09:00 and hold what traded before the
session. A finished bar counts as final after twelve hours: volume grows until 20:00 in New York, and days are revised overnight. Two
equal entries of splits or dividends on one day are one: it lists some twice. Not asked for: dividends adjusted by it, and its factors.
"""
# long because: a provider is one file: its facts, its questions and the reading of its answers

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote as percent

from mdagent.errors import UsageError
from mdagent.guard.outcome import HTTP_OK, ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.market import Adjustment, BarSet, CorporateAction, Interval, Listing, MarketStatus, Quote, Symbol
from mdagent.sources.base import Adapter, Auth, Depth, Milestone, Plan, Quota, SourceSpec
from mdagent.sources.reading.actions import dividend, split
from mdagent.sources.reading.body import failed, read_json
from mdagent.sources.reading.fields import number, text
from mdagent.sources.reading.tables import cells, has, objects
from mdagent.sources.reading.windows import first_period, last_instant, period_of, windows
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx
    import numpy as np

    from mdagent.market import BarRequest
    from mdagent.sources.base import Conversation
    from mdagent.sources.reading.columns import Column

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
_INDICES = {"^GSPC": "I:SPX", "^DJI": "I:DJI", "^IXIC": "I:COMP", "^NDX": "I:NDX", "^VIX": "I:VIX"}
_CANONICAL = {theirs: ours for ours, theirs in _INDICES.items()}
_PREFERRED = re.compile(r"([A-Z]{1,5})-P([A-Z])")
_THEIR_PREFERRED = re.compile(r"([A-Z]{1,5})p([A-Z])")
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
_STATUSES = ("OK", "DELAYED")
_CLIENT_CLOSED = 499  # nginx's word for a connection that was given up; the vendor's own client tries again

_NEW_YORK, _GREENWICH = "America/New_York", "UTC"
_OPENS, _CLOSES, _CLOSES_EARLY = 570, 960, 780  # minutes after midnight in New York
_NEEDED = "tohlc"
_EARLIEST, _LATEST = 1e11, 4_102_444_800_000.0  # 1973 and 2100 in epoch milliseconds
_SECONDS = (1e8, 4_102_444_800.0)  # the same years in seconds: as milliseconds they would be early 1970
_FINER = ((1e14, 4.2e15), (1e17, 4.2e18))  # and in microseconds and nanoseconds
_NANOSECONDS = (10**17, 4_102_444_800 * 10**9)  # 1973 to 2100


class Source(Adapter):
    """Conversations with the aggregates, the snapshot and the reference lists."""

    spec = SPEC

    def cut(self, request: BarRequest) -> list[BarRequest]:
        if request.interval.intraday and not _in_new_york(request.symbol):
            return windows(request, _ALWAYS_PIECE)
        return super().cut(request)

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars with `start <= ts < end`; a long intraday window in pieces, each in as many pages as it has."""
        from mdagent.sources.reading.pages import joined

        hourly = request.interval is Interval.H1 and _in_new_york(request.symbol)
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
                parts.append(_hours_of(came) if hourly else came)
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
        if self.batch_requests(requests) is None:
            msg = f"{SPEC.title} serves daily bars of US stocks together, nothing else"
            raise failed(FailureKind.BAD_REQUEST, msg)
        market = _Market({_spell(r.symbol): r for r in requests}, adjusted=requests[0].adjustment is not Adjustment.RAW)
        for day in _weekdays(requests[0]):
            params = {"adjusted": _flag(requests[0]), "include_otc": "true"}
            try:
                reply = yield self.get(f"/v2/aggs/grouped/locale/us/market/stocks/{day}", params)
            except ConversationFailed as error:
                if error.failure.kind is not FailureKind.NO_DATA:
                    raise
                continue
            market.read(reply, day)
        return [market.bars(_spell(r.symbol)) for r in requests]

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The last trade of a stock, its last minute or its day, as far as the plan tells."""
        symbol = Symbol.parse(symbol)
        ticker = _spell(symbol)
        if not _is_stock(symbol):
            msg = f"{SPEC.title} is asked for quotes of US stocks only, not of {symbol}"
            raise failed(FailureKind.BAD_REQUEST, msg)
        reply = yield self.get(f"/v2/snapshot/locale/us/markets/stocks/tickers/{percent(ticker, safe='')}")
        return _quote_in(reply, symbol, ticker)

    def search(self, words: str) -> Conversation[list[Listing]]:
        """At most fifty active symbols that fit the words."""
        reply = yield self.get("/v3/reference/tickers", {"search": words, "active": "true", "limit": "50"})
        return _listings_in(reply)

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        """Splits and dividends, the amounts as paid then. Currencies, crypto and indices have none."""
        from mdagent.sources.reading.pages import entries
        from mdagent.sources.reading.rows import within

        ticker = _spell(symbol)
        if not _is_stock(symbol):
            return ()
        found: list[CorporateAction] = []
        lists = (("splits", "execution_date", _splits_in), ("dividends", "ex_dividend_date", _dividends_in))
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
        reply = yield self.get("/v1/marketstatus/now")
        return _statuses_in(reply)

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
        from mdagent.sources.reading.pages import pages

        ticker, edges = _spell(request.symbol), _range(request)
        if edges is None:
            msg = f"no {request.interval} bar begins between {request.start:%Y-%m-%d %H:%M} and {request.end:%Y-%m-%d %H:%M}"
            raise failed(FailureKind.NO_DATA, msg)
        path = f"/v2/aggs/ticker/{percent(ticker, safe='')}/range/{_SPANS[request.interval]}/{edges[0]}/{edges[1]}"
        asked = self.get(path, {"adjusted": _flag(request), "sort": "asc", "limit": _LIMIT})
        return (yield from pages(self, asked, partial(_read_page, request=request, ticker=ticker)))


def _spell(symbol: Symbol) -> str:
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
    if ticker in _INDICES:
        return _INDICES[ticker]
    if symbol.mic != "XNYS":
        msg = f"{SPEC.title} covers US listings only, not {symbol}"
        raise failed(FailureKind.BAD_REQUEST, msg)
    return _PREFERRED.sub(r"\1p\2", ticker)


def _in_new_york(symbol: Symbol) -> bool:
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


def _read_page(reply: httpx.Response, request: BarRequest, ticker: str) -> tuple[BarSet, str]:
    """The bars of one page, and the address of the next. Raises ConversationFailed: SCHEMA, MISMATCH, MALFORMED."""
    body, rows = _rows_of(reply)
    told = body.get("ticker")
    if told is not None and told != ticker:  # case counts: BACpL is a preferred share
        msg = f"{ticker} was asked for, the answer is about {_shown(told)}"
        raise failed(FailureKind.MISMATCH, msg)
    adjusted = _basis(body, rows, asked=request.adjustment is not Adjustment.RAW)
    manner = _Manner(adjusted, body.get("status") == "DELAYED", told is not None)
    return _bars(rows, request, ticker, manner), text(body, "next_url")


class _Manner(NamedTuple):
    """Of the rows of an answer: adjusted for splits, told late, under the name of their ticker."""

    adjusted: bool
    late: bool
    named: bool = True


class _Market:
    """Days of the whole market, of which the rows of some tickers are kept."""

    def __init__(self, requests: Mapping[str, BarRequest], *, adjusted: bool) -> None:
        self._requests = requests
        self._asked = adjusted
        self._told: set[bool] = set()
        self._rows: dict[str, list[dict[str, Any]]] = {ticker: [] for ticker in requests}
        self._late = False

    def read(self, reply: httpx.Response, day: date) -> None:
        """Take what that day's answer has of the tickers. Raises ConversationFailed: SCHEMA, MISMATCH, MALFORMED."""
        import numpy as np

        from mdagent.sources.reading.zones import dates_in, zone_of

        body, rows = _rows_of(reply)
        if not rows:
            return
        self._told.add(_basis(body, rows, asked=self._asked))
        self._late = self._late or body.get("status") == "DELAYED"
        if len(self._told) > 1:
            msg = "the days of the market differ in price basis"
            raise failed(FailureKind.MISMATCH, msg)
        if not has(rows, "T"):
            msg = "the rows of the answer name no ticker"
            raise failed(FailureKind.SCHEMA, msg)
        names = cells(rows, "T")
        mine = [row for name, row in zip(names, rows, strict=True) if isinstance(name, str) and name in self._rows]
        seconds, real = _seconds(mine)
        if (dates_in(seconds[real], zone_of(_NEW_YORK)) != np.datetime64(day, "D")).any():
            msg = f"the market of {day} was asked for, the answer has rows of another day"
            raise failed(FailureKind.MISMATCH, msg)
        for row in mine:
            self._rows[row["T"]].append(row)

    def bars(self, ticker: str) -> BarSet | Failure:
        """What all days had of a ticker."""
        request, rows = self._requests[ticker], self._rows[ticker]
        if not rows:
            return Failure(FailureKind.NO_DATA, f"the market's days have no bars of {request.symbol} in this range")
        return _bars(rows, request, ticker, _Manner(self._told == {True}, self._late))


def _rows_of(reply: httpx.Response) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The envelope and its rows; none where `results` is left out, as it is in an answer without bars."""
    body = read_json(reply)
    if not isinstance(body, dict) or body.get("status") not in _STATUSES:
        msg = "the answer is JSON, but no aggregates"
        raise failed(FailureKind.SCHEMA, msg, reply.status_code)
    made = body.get("results")
    if made is None and body.get("resultsCount") in (None, 0):
        return body, []
    return body, objects(made, "bars")


def _basis(body: dict[str, Any], rows: list[dict[str, Any]], *, asked: bool) -> bool:
    """Are the prices adjusted for splits, by the answer's own word? Rows without it are refused."""
    told = body.get("adjusted")
    if isinstance(told, bool):
        return told
    if rows:
        msg = "the answer does not say whether its prices are adjusted"
        raise failed(FailureKind.SCHEMA, msg)
    return asked


def _bars(rows: list[dict[str, Any]], request: BarRequest, ticker: str, manner: _Manner) -> BarSet:
    from mdagent.sources.reading.rows import Answer, bars_of

    missing = [name for name in _NEEDED if rows and not has(rows, name)]
    if missing:
        msg = f"the bars of the answer have no {', '.join(missing)}"
        raise failed(FailureKind.SCHEMA, msg)
    seconds, real = _seconds(rows)
    stamps = _stamps(seconds, request.interval, ticker)
    _check_spacing(stamps[real], request.interval, seconds[real])
    columns = [_column(rows, name[0], name) for name in ("open", "high", "low", "close")]
    return bars_of(
        request,
        SPEC.name,
        Answer(stamps, real, (*columns, _column(rows, "v", "v")), named=manner.named),
        Adjustment.SPLITS if manner.adjusted else Adjustment.RAW,
        vwap=_finite(_column(rows, "vw", "vw")),
        trades=_finite(_column(rows, "n", "n")),
        late=manner.late,
        extended=request.interval.intraday and ":" not in ticker,
    )


def _seconds(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Epoch seconds of the rows' stamps, and which of them are a time that a bar can have. Other units are refused, never guessed."""
    import numpy as np

    told = _column(rows, "t", "time")
    values = told.values
    with np.errstate(invalid="ignore"):
        if any(((values > low) & (values < high)).any() for low, high in (_SECONDS, *_FINER)):
            msg = "the answer's time stamps are not milliseconds, which Polygon's are"
            raise failed(FailureKind.SCHEMA, msg)
        real = ~(told.null | told.bad) & (values >= _EARLIEST) & (values < _LATEST)
    return np.where(real, values, 0.0).astype(np.int64) // 1000, real


def _stamps(seconds: np.ndarray, interval: Interval, ticker: str) -> np.ndarray:
    from mdagent.sources.reading.zones import dates_in, zone_of

    if interval.intraday:
        return seconds.astype("datetime64[s]").astype("datetime64[us]")
    days = dates_in(seconds, zone_of(_GREENWICH if ticker.startswith(("C:", "X:")) else _NEW_YORK))
    return period_of(days + 1 if interval is Interval.W1 else days, interval)  # its weeks begin on Sunday


def _check_spacing(stamps: np.ndarray, interval: Interval, seconds: np.ndarray) -> None:
    """Of what trades seldom there are minutes two apart by chance, since one without trade has no bar: only where most of them lie so
    are they another interval's. Rows in order and none twice are no shorter bars than asked for."""
    import numpy as np

    from mdagent.sources.reading.spacing import check_spacing

    if interval.intraday:
        gaps = np.diff(np.sort(seconds))
        told = len(gaps) > 0 and np.median(gaps) == 2 * interval.seconds
    else:
        told = bool((stamps[1:] <= stamps[:-1]).any())
    if told:
        check_spacing(stamps, interval, seconds)


def _column(rows: list[dict[str, Any]], key: str, name: str) -> Column:
    """The numbers under `key`; some bars do without one: indices have no volume. An error calls the column by its `name`."""
    from mdagent.sources.reading.columns import numbers

    return numbers(name, cells(rows, key), len(rows))


def _finite(column: Column) -> np.ndarray | None:
    import numpy as np

    if column.null.all():
        return None
    values: np.ndarray = np.where(column.bad, np.nan, column.values)
    return values


def _hours_of(halves: BarSet) -> BarSet:
    """Half hours -> hours from the open at 09:30, of the regular session alone: the last one ends at the close, and what trades after
    it is none of its business. An hour of which a half was refused is left out."""
    import numpy as np

    label, regular = _hours(halves.ts)
    refused, in_session = _hours(np.array([r.ts.replace(tzinfo=None) for r in halves.delivery.rejected if r.ts], dtype="datetime64[us]"))
    keep = regular & ~np.isin(label, refused[in_session])
    label, kept = label[keep], halves.take(keep)
    delivery = kept.delivery._replace(extended=False, absent=())
    if not len(kept):
        return replace(kept, interval=Interval.H1, delivery=delivery)
    start = np.flatnonzero(np.append(True, label[1:] != label[:-1]))
    vwap = None
    with np.errstate(invalid="ignore", divide="ignore"):
        if kept.vwap is not None:
            vwap = np.add.reduceat(kept.vwap * kept.volume, start) / np.add.reduceat(kept.volume, start)
    return replace(
        kept,
        interval=Interval.H1,
        ts=label[start],
        open=kept.open[start],
        high=np.maximum.reduceat(kept.high, start),
        low=np.minimum.reduceat(kept.low, start),
        close=kept.close[np.append(start[1:], len(label)) - 1],
        volume=np.add.reduceat(kept.volume, start),
        vwap=vwap,
        trades=None if kept.trades is None else np.add.reduceat(kept.trades, start),
        delivery=delivery,
    )


def _hours(ts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hour from the open that each instant belongs to, by its begin, and whether it lies in the regular session."""
    import numpy as np

    from mdagent.sources.reading.zones import dates_in, instants_in, zone_of

    days = dates_in(ts.astype("datetime64[s]").astype(np.int64), zone_of(_NEW_YORK))
    opens = instants_in(days.astype("datetime64[s]") + np.timedelta64(_OPENS, "m"), zone_of(_NEW_YORK))
    into = (ts - opens) // np.timedelta64(1, "m")
    return opens + into // 60 * np.timedelta64(60, "m"), (into >= 0) & (into < _closing(days) - _OPENS)


def _closing(days: np.ndarray) -> np.ndarray:
    """When New York closes, in minutes after midnight: early on the eves of Independence Day and Christmas from Monday to Thursday, on
    the day after Thanksgiving, and on 2003-12-26; so since this provider's data begin."""
    import numpy as np

    months = days.astype("datetime64[M]")
    month = months.astype(np.int64) % 12 + 1
    day = (days - months).astype(np.int64) + 1
    weekday = (days.astype(np.int64) + 3) % 7
    eve = (((month == 7) & (day == 3)) | ((month == 12) & (day == 24))) & (weekday < 4)
    friday = (month == 11) & (weekday == 4) & (day >= 23) & (day <= 29)
    early = eve | friday | (days == np.datetime64("2003-12-26"))
    closing: np.ndarray = np.where(early, _CLOSES_EARLY, _CLOSES)
    return closing


def _shown(told: object) -> str:
    """What an answer says where a text was due, fit to be shown."""
    return one_line(told, 32) if isinstance(told, str) else type(told).__name__


def _body_of(reply: httpx.Response) -> dict[str, Any]:
    body = read_json(reply)
    if isinstance(body, dict):
        return body
    msg = "the answer is JSON, but no object"
    raise failed(FailureKind.SCHEMA, msg, reply.status_code)


def _quote_in(reply: httpx.Response, symbol: Symbol, ticker: str) -> Quote:
    """The price of a snapshot: the last trade where the plan has it, else the last minute's, else the day's close. After 03:30 in New
    York the day is empty until trading begins. Raises ConversationFailed: SCHEMA, MISMATCH, NO_DATA."""
    told = _body_of(reply).get("ticker")
    if not isinstance(told, dict):
        msg = "the answer holds no snapshot"
        raise failed(FailureKind.SCHEMA, msg)
    if told.get("ticker") != ticker:
        msg = f"{ticker} was asked for, the answer is about {_shown(told.get('ticker'))}"
        raise failed(FailureKind.MISMATCH, msg)
    trade, minute, day, before, offers = (_part(told, name) for name in ("lastTrade", "min", "day", "prevDay", "lastQuote"))
    prices = ((_price(trade, "p"), trade, "t"), (_price(minute, "c"), told, "updated"), (_price(day, "c"), told, "updated"))
    last, owner, stamp = next((found for found in prices if found[0] is not None), (None, told, ""))
    if last is None:
        msg = f"Polygon tells no price of {symbol}"
        raise failed(FailureKind.NO_DATA, msg)
    return Quote(
        symbol,
        SPEC.name,
        last,
        _instant(owner.get(stamp)),
        bid=_price(offers, "p"),
        ask=_price(offers, "P"),
        size=number(trade, "s"),
        currency=symbol.currency,
        previous_close=_price(before, "c"),
        day_high=_price(day, "h"),
        day_low=_price(day, "l"),
        volume=number(day, "v"),
    )


def _part(fields: dict[str, Any], name: str) -> dict[str, Any]:
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def _price(fields: dict[str, Any], name: str) -> float | None:
    """A price; the snapshot's 0 is none."""
    return number(fields, name) or None


def _instant(nanoseconds: object) -> datetime | None:
    if type(nanoseconds) is not int or not _NANOSECONDS[0] < nanoseconds < _NANOSECONDS[1]:
        return None
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _listings_in(reply: httpx.Response) -> list[Listing]:
    """The list of tickers in its order. Left out is what no canonical symbol names: warrants and rights differ from shares by case."""
    hits = objects(_body_of(reply).get("results") or [], "tickers")
    return [found for hit in hits if (found := _listing(hit))]


def _listing(hit: dict[str, Any]) -> Listing | None:
    ticker = text(hit, "ticker")
    try:
        symbol = Symbol.parse(_canonical(hit, ticker))
        if _spell(symbol) != ticker:
            return None
    except (UsageError, ConversationFailed):
        return None
    exchange = text(hit, "primary_exchange") or text(hit, "market")
    return Listing(symbol, text(hit, "name"), exchange, text(hit, "type") or text(hit, "market"), SPEC.name)


def _canonical(hit: dict[str, Any], ticker: str) -> str:
    base, quote = text(hit, "base_currency_symbol"), text(hit, "currency_symbol")
    if base and quote and ticker == f"X:{base}{quote}":
        return f"{base}-{quote}"
    if base and quote and ticker == f"C:{base}{quote}":
        return f"{base}{quote}=X"
    return _CANONICAL.get(ticker) or _THEIR_PREFERRED.sub(r"\1-P\2", ticker)


def _splits_in(reply: httpx.Response, ticker: str) -> tuple[list[CorporateAction], str]:
    """The splits of a page, of the new list or the old one, and the address of the next page."""
    entries, following = _entries(reply, ticker, "splits")
    return [split(_day(e, "execution_date"), number(e, "split_to"), number(e, "split_from")) for e in entries], following


def _dividends_in(reply: httpx.Response, ticker: str) -> tuple[list[CorporateAction], str]:
    """The same of dividends, the amounts as declared."""
    made = []
    entries, following = _entries(reply, ticker, "dividends")
    for entry in entries:
        paid = dividend(_day(entry, "ex_dividend_date"), number(entry, "cash_amount"), text(entry, "currency"))
        if paid.value:
            made.append(paid)
    return made, following


def _entries(reply: httpx.Response, ticker: str, what: str) -> tuple[list[dict[str, Any]], str]:
    body = _body_of(reply)
    entries = objects(body.get("results") or [], what)
    other = next((entry.get("ticker") for entry in entries if entry.get("ticker") != ticker), None)
    if other is not None:
        msg = f"the {what} of {ticker} were asked for, the answer has some of {_shown(other)}"
        raise failed(FailureKind.MISMATCH, msg)
    return entries, text(body, "next_url")


def _day(entry: dict[str, Any], name: str) -> date | None:
    told = text(entry, name)
    try:
        return date.fromisoformat(told) if len(told) == 10 else None
    except ValueError:
        return None


def _statuses_in(reply: httpx.Response) -> list[MarketStatus]:
    """Each exchange and the currency markets, in the provider's words."""
    body = _body_of(reply)
    made = []
    for group in ("exchanges", "currencies"):
        markets = _part(body, group)
        for market in markets:
            session = one_line(text(markets, market), 40)
            made.append(MarketStatus(one_line(market, 40), SPEC.name, session == "open", session, _server_time(body)))
    if not made:
        msg = "the answer tells the state of no market"
        raise failed(FailureKind.SCHEMA, msg)
    return made


def _server_time(body: dict[str, Any]) -> datetime | None:
    try:
        told = datetime.fromisoformat(text(body, "serverTime"))
        return told.astimezone(UTC) if told.tzinfo else None
    except (ValueError, OverflowError):
        return None
