"""Alpha Vantage: one path, `function` picks the data; every error comes with status 200, under a key of its own.

Throttle and paywall both say `Information`, and the throttle's words name premium plans: the limit is looked for first. A daily
limit's text repeats the caller's key, which is blanked here. A series is `Meta Data` and one object of rows keyed by time, newest
first, all numbers as text. Weeks and months are stamped on their last trading day. Keys of minutes are local times of the zone that
the summary names: bar starts today; until 2021 they were bar ends, which a row at 20:00 shows, the end of the extended session (or
16:00 without 09:30 where only regular hours came). Facts from the fixtures of public clients and the price page as copied in May
2026; where they are unsure, the reading is chosen that stores no wrong bar:

- Free and unentitled answers are end-of-day, so a free plan's bars are final some sixteen hours after their close.
- Intraday bars of listings outside America are not asked for: their zone is at times said to be US/Eastern.
- A month without minutes and an unknown symbol are refused in the same words: of minutes they are told as no data.
- Adjusted weeks and months scale prices of two units where a split lies within: `SPLITS` is asked too, and such a row is rejected.
- `DIVIDENDS` are amounts as paid: IBM's of May 1999 stands there as twice the one after its split.
"""
# long because: a provider is one file: its facts, its questions and the reading of its answers

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import compress, pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from mdagent.guard.outcome import HTTP_OK, ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.market import Adjustment, CorporateAction, Interval, Listing, MarketStatus, Quote, Symbol
from mdagent.sources.base import Adapter, Auth, Depth, Milestone, Plan, Quota, SourceSpec
from mdagent.sources.reading.body import CONFLICT, failed, read_json
from mdagent.sources.reading.fields import symbol_in, text
from mdagent.sources.reading.tables import cells, objects
from mdagent.sources.reading.windows import period_of
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx
    import numpy as np

    from mdagent.market import BarRequest, BarSet
    from mdagent.sources.base import Conversation
    from mdagent.sources.reading.columns import Column
    from mdagent.sources.reading.rows import Answer

_BOTH = (Adjustment.RAW, Adjustment.ALL)
_EACH: Final = "requests"
_FIRST_MONTH = datetime(2000, 1, 1, tzinfo=UTC)  # minutes are told from here on
_COMPACT = timedelta(days=140)  # 100 points of a daily series


def _premium(calls: int, usd: float) -> Plan:
    quotas = (Quota(calls, 60.0, of=_EACH),)
    return Plan(f"premium{calls}", quotas, usd, timedelta(minutes=15), note="prices come 15 minutes late; a year costs ten months")


SPEC = SourceSpec(
    name="alphavantage",
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
_FAMILIES = {  # of pairs, which have no splits and no dividends, and trade by UTC: functions of days and longer, of minutes
    "fx": ("FX_", "FX_INTRADAY"),
    "crypto": ("DIGITAL_CURRENCY_", "CRYPTO_INTRADAY"),
}
_CODES = {  # MIC -> the suffix here
    "XLON": "LON",
    "XETR": "DEX",
    "XPAR": "PAR",
    "XAMS": "AMS",
    "XBOM": "BSE",
    "XTSE": "TRT",
    "XTSX": "TRV",
    "XSHG": "SHH",
    "XSHE": "SHZ",
}
_PAIR = re.compile(r"([A-Z]{3})[/:]?([A-Z]{3})(?:=X)?|([A-Z0-9]{2,10})[-/]([A-Z]{3,4})")
_PREFERRED = re.compile(r"([A-Z]{1,5})-P([A-Z])")
_OWN_SUFFIX = re.compile(r".+\.[A-Z]{2,4}")
_NUMBERED = re.compile(r"\A\d+[a-z]?\. ")
_DECIMAL = re.compile(r"[+-]?\d{1,15}(\.\d{1,20})?")
_INTERVALS = {word.lower(): interval for interval, word in (_MINUTES | _PERIODS).items()}
_INTERVAL = re.compile(r"\b(\d+min|daily|weekly|monthly|intraday)\b", re.IGNORECASE)
_ZONES = {"US/Eastern": "America/New_York"}
_OPEN, _CLOSE, _LATE = 9 * 3600 + 1800, 16 * 3600, 20 * 3600  # seconds of the day in New York
_JSON_NUMBERS = frozenset((int, float, type(None)))
_NO_ROW: dict[str, Any] = {}  # stands for a row that is no object, or is given twice and differently
_EVENTS: tuple[tuple[Literal["dividend", "split"], str, float], ...] = (
    ("dividend", "dividend amount", 0.0),
    ("split", "split coefficient", 1.0),
)
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
        from mdagent.sources.reading.pages import joined

        parts: list[BarSet] = []
        for piece in self.cut(request):
            query = self._series(piece)
            try:
                if piece.interval.intraday and piece.end <= _FIRST_MONTH:
                    raise _nothing(piece)
                reply = yield self._query(query)
                splits = yield from self._splits_within(piece, query["function"])
                parts.append(_read_series(reply, piece, query, splits))
            except ConversationFailed as error:
                if error.failure.kind is FailureKind.NO_DATA or ("month" in query and error.failure.kind is FailureKind.UNKNOWN_SYMBOL):
                    empty = error
                    continue  # a month before the first trade does not spoil the rest
                raise ConversationFailed(error.failure, joined(parts) if parts else None) from None
        if parts:
            return joined(parts)
        raise _nothing(request) if "month" in query else empty

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The last price. A share's time is told as its date alone: midnight UTC of it."""
        symbol = Symbol.parse(symbol)
        if symbol.kind in _FAMILIES:
            base, against = _pair_of(symbol)
            reply = yield self._query({"function": "CURRENCY_EXCHANGE_RATE", "from_currency": base, "to_currency": against})
            return _rate(reply, symbol, (base, against))
        name = _spell(symbol)
        reply = yield self._query({"function": "GLOBAL_QUOTE", "symbol": name})
        return _quote(reply, symbol, name)

    def search(self, words: str) -> Conversation[list[Listing]]:
        """What fits the words, in the spelling of Alpha Vantage (TSCO.LON): it is understood here."""
        reply = yield self._query({"function": "SYMBOL_SEARCH", "keywords": words})
        hits = objects(_fields(reply).get("bestMatches"), "matches")
        return [found for hit in hits if (found := _listing(_plain(hit)))]

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
        reply = yield self._query({"function": "MARKET_STATUS"})
        return [_status(row) for row in objects(_fields(reply).get("markets"), "markets")]

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
            query = {"function": function} | dict(zip(names, _pair_of(symbol), strict=True))
            sized = interval.intraday or function == "FX_DAILY"
            return query | ({"interval": _MINUTES[interval]} if interval.intraday else {}) | (size if sized else {})
        if not interval.intraday:
            function = f"TIME_SERIES_{_PERIODS[interval]}{'_ADJUSTED' if whole else ''}"
            return {"function": function, "symbol": _spell(symbol)} | (size if interval is Interval.D1 else {})
        if _foreign(symbol):
            msg = f"Alpha Vantage's {interval} bars of {symbol} are not asked for: the zone of its minutes is sure in America only"
            raise failed(FailureKind.BAD_REQUEST, msg)
        return {
            "function": "TIME_SERIES_INTRADAY",
            "symbol": _spell(symbol),
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
        name = _spell(symbol)
        try:
            reply = yield self._query({"function": function, "symbol": name})
        except ConversationFailed as error:
            if error.failure.kind is FailureKind.NO_DATA:
                return []
            raise
        return _events_of(reply, symbol, name)


def _spell(symbol: Symbol) -> str:
    """A share's spelling there: `VOD.L` is VOD.LON, `BRK.B` BRK-B, `BAC-PL` BAC-P-L; what is spelled so already stays. Raises
    ConversationFailed BAD_REQUEST for an exchange or a kind that is not covered."""
    ticker = symbol.ticker
    if symbol.kind in ("index", "future"):
        msg = f"Alpha Vantage has no {'indices' if symbol.kind == 'index' else 'futures'}: {symbol}"
        raise failed(FailureKind.BAD_REQUEST, msg)
    if symbol.mic in (None, "XNYS"):
        preferred = _PREFERRED.fullmatch(ticker)
        if preferred:
            return f"{preferred[1]}-P-{preferred[2]}"
        return ticker if _OWN_SUFFIX.fullmatch(ticker) else ticker.replace(".", "-")
    code = _CODES.get(symbol.mic)
    if code is None:
        msg = f"Alpha Vantage does not cover the exchange of {symbol} ({symbol.mic})"
        raise failed(FailureKind.BAD_REQUEST, msg)
    return f"{ticker.rpartition('.')[0]}.{code}"


def _foreign(symbol: Symbol) -> bool:
    """Is it a listing outside America, by either spelling (VOD.L, VOD.LON)?"""
    return symbol.mic != "XNYS" or _OWN_SUFFIX.fullmatch(symbol.ticker) is not None


def _currency_of(symbol: Symbol) -> str | None:
    """What the spelling implies: answers tell no currency, and a suffix of theirs (VOD.LON) is not of New York."""
    return None if _OWN_SUFFIX.fullmatch(symbol.ticker) and symbol.mic == "XNYS" else symbol.currency


def _pair_of(symbol: Symbol) -> tuple[str, str]:
    """What is priced, and in what. Raises ConversationFailed BAD_REQUEST."""
    found = _PAIR.fullmatch(symbol.ticker)
    if found is None:
        msg = f"{symbol} names no pair that Alpha Vantage could be asked for: write EUR/USD or BTC/USD"
        raise failed(FailureKind.BAD_REQUEST, msg)
    return found[1] or found[3], found[2] or found[4]


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


def _read_series(reply: httpx.Response, request: BarRequest, query: dict[str, str], splits: tuple[date, ...]) -> BarSet:
    """The bars of a series answer that lie in the window. It is held against the `query`; `splits` are the days of those within
    adjusted weeks or months. Raises ConversationFailed: NO_DATA, SCHEMA, MISMATCH, MALFORMED."""
    from mdagent.sources.reading.rows import Answer, bars_of, near
    from mdagent.sources.reading.spacing import check_spacing

    meta, key, series = _parts(_fields(reply))
    named = [_check_name(meta.get(fact), right, request.symbol) for fact, right in _echo_of(query).items()]
    _check_interval(meta, key, request.interval)
    every, known, extended = _stamps(list(series), meta, request)
    check_spacing(every[known], request.interval)
    wanted = near(every, known, request)  # the answer goes back to the beginning, whatever was asked for
    wanted = wanted if wanted.any() else ~wanted
    stamps, real, rows = every[wanted], known[wanted], list(compress(series.values(), wanted.tolist()))
    strange = not {dict}.issuperset(map(type, rows))
    sound = [row if type(row) is dict else _NO_ROW for row in rows] if strange else rows
    names = _names(sound, request.symbol.currency)
    columns = [_column(sound, name, names) for name in ("open", "high", "low", "close", "volume")]
    same = request.interval.intraday or request.symbol.kind in _FAMILIES  # asked for so, or nothing to adjust for
    adjusted = request.adjustment is Adjustment.ALL and (same or _adjust(columns, sound, names))
    if splits:
        columns = _spoilt(columns, _mixed(stamps, request.interval, splits))
    answer = Answer(stamps, real, tuple(columns), named=all(named), beyond=every[~wanted])
    made = bars_of(
        request,
        SPEC.name,
        _without_strangers(answer, rows) if strange else answer,
        Adjustment.ALL if adjusted else Adjustment.RAW,
        actions=_actions(sound, names, stamps, real) if request.interval is Interval.D1 else (),
        raw_volume=adjusted and not same,
        extended=extended,
    )
    newest_first = bool((every[known][1:] <= every[known][:-1]).all())  # as the format has it
    told = made.delivery
    told = told._replace(events=all(name in names for _, name, _ in _EVENTS), unsorted=told.unsorted and not newest_first)
    if not len(made) and not told.rejected and not told.absent:
        raise failed(FailureKind.NO_DATA, _why_empty(request, every[known], compact=query.get("outputsize") == "compact"))
    return replace(made, delivery=told, currency=_currency_of(request.symbol), complete_until=_complete_until(meta, made.ts, request))


def _without_strangers(answer: Answer, rows: list[Any]) -> Answer:
    """No good number in a row that is no object; one that is given twice and differently counts as two such."""
    import numpy as np

    from mdagent.sources.reading.columns import Column

    strange = np.array([type(row) is not dict for row in rows], dtype=bool)
    places = np.repeat(np.arange(len(rows)), [2 if row is CONFLICT else 1 for row in rows])
    columns = [Column(*(part[places] for part in column)) for column in _spoilt(list(answer.columns), strange)]
    return replace(answer, stamps=answer.stamps[places], real=answer.real[places], columns=tuple(columns))


def _parts(fields: dict[str, Any]) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """The summary by plain names, the name of the series, its rows by time."""
    meta = fields.get("Meta Data")
    others = [(key, value) for key, value in fields.items() if key != "Meta Data" and isinstance(value, dict)]
    if not isinstance(meta, dict) or len(others) != 1:
        msg = "the answer is JSON, but no series of Alpha Vantage"
        raise failed(FailureKind.SCHEMA, msg)
    return _plain(meta), *others[0]


def _check_interval(meta: dict[str, Any], key: str, interval: Interval) -> None:
    found = _INTERVAL.search(key)
    if found is None:
        msg = f"the series {one_line(key, 40)!a} of the answer names no interval"
        raise failed(FailureKind.SCHEMA, msg)
    for word in (found[1], text(meta, "Interval")):
        if word and _INTERVALS.get(word.lower()) is not interval:
            msg = f"{interval} bars were asked for, the answer has {one_line(word, 12)} bars"
            raise failed(FailureKind.MISMATCH, msg)


def _names(rows: list[dict[str, Any]], quoted: str | None) -> dict[str, str]:
    """Field name -> its key, whatever its number. Old crypto bodies tell a price in two currencies: the one asked for counts."""
    made: dict[str, str] = {}
    for key in sorted(set().union(*rows)):
        name = _NUMBERED.sub("", key).removesuffix(f" ({quoted})")
        if name in made and not key.endswith(")"):
            msg = f"the rows of the answer have two columns called {one_line(name, 20)!a}"
            raise failed(FailureKind.SCHEMA, msg)
        made.setdefault(name, key)
    return made


def _column(rows: list[dict[str, Any]], name: str, names: Mapping[str, str]) -> Column:
    import numpy as np

    from mdagent.sources.reading.columns import Column, numbers
    from mdagent.sources.reading.texts import decimals

    if name not in names:
        if rows and name != "volume":
            msg = f"the rows of the answer have no {name}"
            raise failed(FailureKind.SCHEMA, msg)
        return Column(np.full(len(rows), np.nan), np.ones(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool))
    found = cells(rows, names[name])
    if name == "volume" and _JSON_NUMBERS.issuperset(map(type, found)):  # crypto by the minute has it so
        return numbers(name, found, len(found))
    return decimals(name, found)


def _stamps(keys: list[str], meta: dict[str, Any], request: BarRequest) -> tuple[np.ndarray, np.ndarray, bool]:
    """Stamps, which of them a bar can have, and whether rows outside regular hours are among them."""
    import numpy as np

    from mdagent.sources.reading.texts import dates, times
    from mdagent.sources.reading.zones import instants_in, zone_of

    intraday = request.interval.intraday
    local, real = times(keys) if intraday else dates(keys)
    local = local.astype("datetime64[s]")
    real = real & (local >= np.datetime64("1800-01-01")) & (local < np.datetime64("2100-01-01"))
    local = np.where(real, local, np.datetime64(0, "s"))
    if not intraday:
        return period_of(local.astype("datetime64[D]"), request.interval), real, False
    told = text(meta, "Time Zone")
    zone = zone_of(_ZONES.get(told, told))
    if zone.key != "America/New_York":
        return instants_in(local, zone), real, False
    clock = local.astype(np.int64) % 86400
    starts, extended = _starts(clock, real, request.interval.seconds)
    return instants_in(local - (clock - starts).astype("timedelta64[s]"), zone), real, extended


def _starts(clock: np.ndarray, real: np.ndarray, step: int) -> tuple[np.ndarray, bool]:
    """The second of the day at which each bar opens, by labels that are starts or ends; and whether there is more than the
    regular session. An hour that ends at 16:00 began at 15:30."""
    seen = clock[real]
    extended = bool(((seen < _OPEN) | (seen > _CLOSE)).any())
    if (seen == _LATE).any():
        return clock - step, True
    if not extended and (seen == _CLOSE).sum() > (seen == _OPEN).sum():
        return _OPEN + (clock - _OPEN - 1) // step * step, False
    return clock, extended or bool((seen == _CLOSE).any())


def _adjust(columns: list[Column], rows: list[dict[str, Any]], names: Mapping[str, str]) -> bool:
    """Scale the four prices in place by adjusted close / close; False where the body has no adjusted close."""
    import numpy as np

    from mdagent.sources.reading.columns import Column

    if "adjusted close" not in names:
        return False
    adjusted = _column(rows, "adjusted close", names)
    with np.errstate(all="ignore"):
        factor = adjusted.values / columns[3].values
        lost = ~(np.isfinite(factor) & (factor > 0))
        for i, column in enumerate(columns[:4]):
            scaled = column.values * factor
            columns[i] = Column(scaled, column.null, column.bad | ((lost | ~np.isfinite(scaled)) & ~column.null))
    return True


def _mixed(stamps: np.ndarray, interval: Interval, splits: tuple[date, ...]) -> np.ndarray:
    """Which weeks or months hold prices from before and after a split: no factor makes one unit of them."""
    import numpy as np

    days = np.array(splits, dtype="datetime64[D]")
    periods = period_of(days, interval)
    later = np.busday_count(periods.astype("datetime64[D]"), days) > 0  # else the split opens the period
    return np.isin(stamps, periods[later])


def _spoilt(columns: list[Column], rows: np.ndarray) -> list[Column]:
    """The columns, with no good number in those rows."""
    import numpy as np

    from mdagent.sources.reading.columns import Column

    return [Column(np.where(rows, np.nan, c.values), c.null & ~rows, c.bad | rows) for c in columns]


def _actions(rows: list[dict[str, Any]], names: Mapping[str, str], stamps: np.ndarray, real: np.ndarray) -> tuple[CorporateAction, ...]:
    """Dividends as paid and splits, where the rows tell them. A cell that is no number may hide one: the answer is refused."""
    made: list[CorporateAction] = []
    for kind, name, none in _EVENTS:
        if name not in names:
            continue
        column = _column(rows, name, names)
        told = real & ~column.null
        if (told & (column.bad | (column.values < 0) | ((kind == "split") & (column.values == 0)))).any():
            msg = f"a {name} of the answer is no number that it can be"
            raise failed(FailureKind.SCHEMA, msg)
        some = (told & (column.values != none)).nonzero()[0].tolist()
        made += [CorporateAction(kind, stamps[i].item().date(), float(column.values[i])) for i in some]
    return tuple(made)


def _complete_until(meta: dict[str, Any], ts: np.ndarray, request: BarRequest) -> datetime | None:
    """The stamp of the last bar where the summary was last refreshed within its period: before the close of that day, or, of a
    week or month, at all."""
    import numpy as np

    told = text(meta, "Last Refreshed")
    seen = _instant(told)
    if seen is None or not len(ts) or request.interval.intraday:
        return None
    if period_of(np.array([seen.date()], dtype="datetime64[D]"), request.interval)[0] != ts[-1]:
        return None
    around_the_clock = request.symbol.kind in _FAMILIES
    closed = request.interval is Interval.D1 and not around_the_clock and (len(told) <= len("2024-01-02") or seen.hour >= _CLOSE // 3600)
    last: datetime = ts[-1].item().replace(tzinfo=UTC)
    return None if closed else last


def _why_empty(request: BarRequest, stamps: np.ndarray, *, compact: bool) -> str:
    none = f"Alpha Vantage has no {request.interval} bars of {request.symbol} in this range"
    first = stamps.min().item().replace(tzinfo=UTC) if len(stamps) else None
    if first is None or first < request.end:
        return none
    why = ": a free key gets the last 100 days alone, older ones need a premium plan" if compact else ""
    return f"{none}; what it tells begins on {first.date()}{why}"


def _quote(reply: httpx.Response, symbol: Symbol, name: str) -> Quote:
    """A `Global Quote`; its key says more where prices are delayed."""
    told = next((value for key, value in _fields(reply).items() if key.startswith("Global Quote")), None)
    if not isinstance(told, dict):
        msg = "the answer holds no quote"
        raise failed(FailureKind.SCHEMA, msg)
    row = _plain(told)
    _check_name(row.get("symbol"), name, symbol)
    return Quote(
        symbol,
        SPEC.name,
        _price(row, "price", symbol),
        _instant(text(row, "latest trading day")),
        currency=_currency_of(symbol),
        previous_close=_decimal(row, "previous close"),
        day_high=_decimal(row, "high"),
        day_low=_decimal(row, "low"),
        volume=_decimal(row, "volume"),
    )


def _rate(reply: httpx.Response, symbol: Symbol, pair: tuple[str, str]) -> Quote:
    """The rate of a pair, with bid and ask."""
    told = _fields(reply).get("Realtime Currency Exchange Rate")
    if not isinstance(told, dict):
        msg = "the answer holds no exchange rate"
        raise failed(FailureKind.SCHEMA, msg)
    row = _plain(told)
    for fact, right in zip(("From_Currency Code", "To_Currency Code"), pair, strict=True):
        _check_name(row.get(fact), right, symbol)
    last, bid, ask = _price(row, "Exchange Rate", symbol), _decimal(row, "Bid Price"), _decimal(row, "Ask Price")
    as_of = _instant(text(row, "Last Refreshed")) if row.get("Time Zone") == "UTC" else None
    return Quote(symbol, SPEC.name, last, as_of, bid, ask, currency=pair[1])


def _price(row: dict[str, Any], name: str, symbol: Symbol) -> float:
    price = _decimal(row, name)
    if price is None:
        msg = f"Alpha Vantage tells no price of {symbol}"
        raise failed(FailureKind.NO_DATA, msg)
    return price


def _listing(hit: dict[str, Any]) -> Listing | None:
    """A hit of a search, None where its spelling is no symbol."""
    symbol = symbol_in(hit, "symbol")
    if symbol is None:
        return None
    return Listing(symbol, text(hit, "name"), text(hit, "region"), text(hit, "type"), SPEC.name)


def _status(row: dict[str, Any]) -> MarketStatus:
    """A line of the list of markets, which tells no time."""
    session = text(row, "current_status")
    market = f"{text(row, 'region')} {text(row, 'market_type')}".strip()
    return MarketStatus(one_line(market, 60), SPEC.name, session == "open", one_line(session, 20))


def _events_of(reply: httpx.Response, symbol: Symbol, name: str) -> list[CorporateAction]:
    """The rows of a SPLITS or DIVIDENDS answer. A row without date or value is refused with all others: it may be the one that
    matters."""
    fields = _fields(reply)
    _check_name(fields.get("symbol"), name, symbol)
    made = []
    for row in objects(fields.get("data"), "splits or dividends"):
        split = "effective_date" in row
        when = _instant(text(row, "effective_date" if split else "ex_dividend_date"))
        value = _decimal(row, "split_factor" if split else "amount")
        if when is None or value is None or value < 0 or (split and not value):
            msg = f"a {'split' if split else 'dividend'} of the answer has no date or no value"
            raise failed(FailureKind.SCHEMA, msg)
        if value != (1.0 if split else 0.0):
            made.append(CorporateAction("split" if split else "dividend", when.date(), value))
    return made


def _fields(reply: httpx.Response) -> dict[str, Any]:
    """The object that the body is, an empty one where it is something else."""
    body = read_json(reply)
    return body if isinstance(body, dict) else {}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """The fields by name: `05. price` is `price`. The numbers differ from function to function."""
    return {_NUMBERED.sub("", key): value for key, value in row.items()}


def _check_name(told: object, name: str, symbol: Symbol) -> bool:
    """Does the answer name what was asked for? BRK.B and BRK-B are one. False where it names nothing; MISMATCH where another."""
    if told is None:
        return False
    if not isinstance(told, str) or told.upper().replace("-", ".") != name.upper().replace("-", "."):
        words = one_line(told, 32) if isinstance(told, str) else "something that is no name"
        msg = f"{symbol} was asked for, the answer is about {words}"
        raise failed(FailureKind.MISMATCH, msg)
    return True


def _decimal(fields: dict[str, Any], name: str) -> float | None:
    value = fields.get(name)
    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _instant(words: str) -> datetime | None:
    try:
        return datetime.fromisoformat(words).replace(tzinfo=UTC)
    except ValueError:
        return None
