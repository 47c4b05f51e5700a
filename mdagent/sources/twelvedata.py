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

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from mdagent.exchanges import US, unit_of
from mdagent.guard.outcome import HTTP_OK, ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.market import Adjustment, BarSet, Interval, Symbol
from mdagent.sources.base import Adapter, Auth, Depth, Plan, Quota, SourceSpec
from mdagent.sources.reading.body import failed, read_json
from mdagent.sources.reading.fields import text
from mdagent.sources.reading.windows import first_period, windows
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import httpx

    from mdagent.market import BarRequest, CorporateAction, Listing, MarketStatus, Quote
    from mdagent.sources.base import Conversation

NAME = "twelvedata"
WORDS = {
    Interval.M1: "1min",
    Interval.M5: "5min",
    Interval.M15: "15min",
    Interval.M30: "30min",
    Interval.H1: "1h",
    Interval.D1: "1day",
    Interval.W1: "1week",
    Interval.MO1: "1month",
}
ADJUST = {Adjustment.RAW: "none", Adjustment.SPLITS: "splits", Adjustment.ALL: "all"}
FULL = 5000  # rows of an answer at most
_MOST_SYMBOLS, _MOST_ROWS = 120, 120_000  # of a batch: rows enough for some 16 MB
_ROUND_THE_CLOCK, _AMERICAN, _LONGEST = 1440, 390, 510  # minutes of a day's trading: currencies, New York, the longest elsewhere
_NEW_YORK = "America/New_York"
OWN_MIC = {"T": "XJPX", "KQ": "XKOS"}  # where Twelve Data's code is not that of our table
_DAY = timedelta(days=1)


def longest(interval: Interval, minutes: int) -> timedelta | None:
    """The longest window that surely has fewer than 5000 bars, for something that trades so many minutes a day; None: any has."""
    if interval is Interval.MO1:
        return None
    if interval is Interval.W1:
        return (FULL - 1) * 7 * _DAY
    bars = ceil(minutes * 60 / interval.seconds) if interval.intraday else 1
    days = (FULL - 1) // bars
    return days * _DAY if minutes == _ROUND_THE_CLOCK else (days // 5 * 7 + days % 5) * _DAY


_ALL_BASES = (Adjustment.RAW, Adjustment.SPLITS, Adjustment.ALL)
_PERIODS = (Adjustment.SPLITS, Adjustment.RAW, Adjustment.ALL)
_TEN_YEARS = timedelta(days=3653)  # minutes begin about February 2020 in America (unchecked): this bounds what is asked in vain


def _depth(interval: Interval) -> Depth:
    bases = _PERIODS if interval in (Interval.W1, Interval.MO1) else _ALL_BASES
    return Depth(_TEN_YEARS if interval.intraday else None, longest(interval, _AMERICAN), bases)


SPEC = SourceSpec(
    name=NAME,
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
        return windows(request, longest(request.interval, _minutes(request.symbol)))

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars with `start <= ts < end`, a long window in as many requests as its rows need."""
        from mdagent.sources.twelvedata_answers import read_bars

        asked, parts = self.cut(request), []
        for piece in asked:
            try:
                reply = yield self._series(piece, [spell(piece.symbol)[0]])
                parts.append(read_bars(read_json(reply), piece))
            except ConversationFailed as error:
                if error.failure.kind is not FailureKind.NO_DATA or len(asked) == 1:
                    raise ConversationFailed(error.failure, BarSet.join(parts) if parts else None) from None
        if not parts:
            raise failed(FailureKind.NO_DATA, nothing(request))
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
            left = {i: spell(requests[i].symbol)[0] for i in group if i not in lost}
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
        empty = [Failure(FailureKind.NO_DATA, nothing(request), HTTP_OK) for request in requests]
        return [lost.get(i) or (BarSet.join(got[i]) if got[i] else none) for i, none in enumerate(empty)]

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The price of the current day's candle, which is the latest one."""
        from mdagent.sources.twelvedata_answers import read_quote

        symbol = Symbol.parse(symbol)
        reply = yield self.get("/quote", _named(symbol))
        return read_quote(read_json(reply), symbol)

    def search(self, words: str) -> Conversation[list[Listing]]:
        """At most thirty symbols that fit the words."""
        from mdagent.sources.twelvedata_answers import read_listings

        reply = yield self.get("/symbol_search", {"symbol": words, "outputsize": "30"})
        return read_listings(read_json(reply))

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        """Splits, and dividends as paid, for 20 credits each."""
        from mdagent.sources.reading.rows import within
        from mdagent.sources.twelvedata_answers import read_actions

        span = {"start_date": f"{start:%Y-%m-%d}", "end_date": f"{end:%Y-%m-%d}"}
        made: list[CorporateAction] = []
        for path, more in (("splits", {}), ("dividends", {"adjust": "false"}))[: 1 + payments]:
            try:
                reply = yield self.get(f"/{path}", _named(symbol) | span | more, cost=20)
            except ConversationFailed as error:
                if error.failure.kind is FailureKind.NO_DATA:
                    continue
                raise
            made += read_actions(read_json(reply), path, symbol)
        return within(made, start, end)

    def market(self) -> Conversation[list[MarketStatus]]:
        """Every exchange, with its MIC."""
        from mdagent.sources.twelvedata_answers import read_markets

        reply = yield self.get("/market_state")
        return read_markets(read_json(reply))

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The failure that the body tells, whatever its status; those of single symbols in a batch are none of the whole."""
        body, told = reply.content, None
        if len(body) <= _SMALL or reply.status_code != HTTP_OK or _ERROR_AHEAD.match(body):
            try:
                told = error_of(json.loads(body), reply.status_code)
            except (ValueError, RecursionError):
                told = None
        if told is not None:
            return told
        head = body[:2000].decode("utf-8", "replace")
        kind = kind_of_status(reply.status_code, head)
        if kind is None:
            return None
        words = "an HTML page" if head.lstrip()[:1] == "<" else head.strip() or "an empty answer"
        return Failure(kind, one_line(f"HTTP {reply.status_code}: {words}"), reply.status_code)

    def _series(self, request: BarRequest, names: list[str]) -> httpx.Request:
        _, mic = spell(request.symbol)
        params = {"symbol": ",".join(names), "interval": WORDS[request.interval]} | ({"mic_code": mic} if mic else {}) | _span(request)
        basis = {"adjust": ADJUST[request.adjustment]}
        return self.get("/time_series", params | basis | {"outputsize": str(FULL), "order": "asc"}, cost=len(names))

    def _groups(self, requests: Sequence[BarRequest]) -> list[list[int]]:
        """The places of the requests that one answer can serve: of one exchange and rhythm, no more than a minute's credits."""
        alike: dict[tuple[str, int], list[int]] = {}
        for i, request in enumerate(requests):
            alike.setdefault((spell(request.symbol)[1], _minutes(request.symbol)), []).append(i)
        credit = min((q.limit for q in self.plan.quotas), default=_MOST_SYMBOLS)
        groups = []
        for (_, minutes), places in alike.items():
            request = requests[places[0]]
            span = longest(request.interval, minutes)
            rows = FULL * min(1.0, (request.end - request.start) / span) if span else FULL
            size = max(1, min(_MOST_SYMBOLS, credit, int(_MOST_ROWS / max(rows, 1.0))))
            groups += [places[k : k + size] for k in range(0, len(places), size)]
        return groups


def _shares(reply: httpx.Response, due: dict[int, tuple[str, BarRequest]]) -> dict[int, BarSet | Failure]:
    """What a batch answers for each of the symbols."""
    from mdagent.sources.twelvedata_answers import read_bars, share_of

    made: dict[int, BarSet | Failure] = {}
    try:
        body = read_json(reply)
    except ConversationFailed as error:
        return dict.fromkeys(due, error.failure)
    symbols = len({name for name, _ in due.values()})
    for i, (name, request) in due.items():
        try:
            made[i] = read_bars(share_of(body, name, symbols), request)
        except ConversationFailed as error:
            made[i] = error.failure
    return made


def spell(symbol: Symbol) -> tuple[str, str]:
    """Twelve Data's spelling and the MIC to send with it: `IBE.MC` is IBE at XMAD, EURUSD=X is EUR/USD. None goes with an American
    ticker, since that may be listed at several of its exchanges."""
    ticker = symbol.ticker
    if symbol.kind in ("fx", "crypto"):
        pair = ticker.removesuffix("=X").replace("-", "/").replace(":", "/")
        return {3: f"USD/{pair}", 6: f"{pair[:3]}/{pair[3:]}"}.get(len(pair) if "/" not in pair else 0, pair), ""
    stem, _, suffix = ticker.rpartition(".")
    if stem and symbol.mic not in (None, US.mic):
        return stem, OWN_MIC.get(suffix, symbol.mic or "")
    return ticker, ""


def check(told: dict[str, Any], symbol: Symbol) -> bool:
    """Does the body name the symbol asked for? False where it names none. Raises MISMATCH where it names another one, or another
    exchange, zone or currency than that symbol can have."""
    name, mic = spell(symbol)
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


def _minutes(symbol: Symbol) -> int:
    if symbol.kind not in ("equity", "fund", "index"):
        return _ROUND_THE_CLOCK
    return _AMERICAN if symbol.mic == US.mic else _LONGEST


def nothing(request: BarRequest) -> str:
    """The words for an empty range."""
    return f"Twelve Data has no {request.interval} bars of {request.symbol} in this range"


def _named(symbol: Symbol) -> dict[str, str]:
    name, mic = spell(symbol)
    return {"symbol": name} | ({"mic_code": mic} if mic else {})


def _span(request: BarRequest) -> dict[str, str]:
    """The window in Twelve Data's words, its end left out: UTC to the second, or dates about whole days, weeks or months."""
    if request.interval.intraday:
        end = request.end if not request.end.microsecond else request.end.replace(microsecond=0) + timedelta(seconds=1)
        return {"start_date": f"{request.start:%Y-%m-%dT%H:%M:%S}", "end_date": f"{end:%Y-%m-%dT%H:%M:%S}", "timezone": "UTC"}
    first, last = first_period(request), first_period(request.over(request.end, request.end + _DAY))
    return {"start_date": f"{first:%Y-%m-%d}", "end_date": f"{max(last, first + _DAY):%Y-%m-%d}"}


def error_of(body: object, status: int) -> Failure | None:
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
