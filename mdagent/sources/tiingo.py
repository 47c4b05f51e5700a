"""Tiingo: daily prices as traded and fully adjusted side by side with every split and dividend, minutes of IEX, quotes, search.

A daily row holds `open` to `volume` as traded, `adjOpen` to `adjVolume` adjusted for splits and dividends (the method of CRSP),
`divCash` as it was paid and `splitFactor`, new shares for an old one. Its stamp is the date written as a midnight. Nothing names the
symbol or a currency; US listings are offered alone, since bars of its Chinese ones (tickers of digits) would pass for dollars.

Where the provider is not clear, the reading was chosen that cannot store a wrong bar. Weeks and months are stamped by their last
day and delivered as traded alone: how the adjusted ones treat a split within was never seen, and the traded ones have two units
there. A week that was asked for to its Friday came without it (2018, not 2020): they are asked for beyond their end. Minutes are
IEX's alone, as traded, a sliver of the volume, which comes only when asked for by `columns`; rows off their interval's grid are
refused. Hours are made of half hours, since Tiingo counts them by the clock and sessions begin at half past. That one answer holds
at most 10,000 minutes, the fields of quotes (`tngoLast`) and of search (a beta) are not recorded, but as known.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as percent

from mdagent.errors import UsageError
from mdagent.guard.outcome import HTTP_OK, ConversationFailed, Failure, FailureKind
from mdagent.market import COLUMNS, Adjustment, BarSet, CorporateAction, Interval, Listing, Quote, Symbol
from mdagent.sources.base import Adapter, Auth, Depth, Plan, Quota, SourceSpec
from mdagent.sources.reading.body import failed, failure_in_words, read_json
from mdagent.sources.reading.fields import number, text
from mdagent.sources.reading.tables import cells, has, objects
from mdagent.sources.reading.windows import first_period, last_instant, period_of
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    import httpx
    import numpy as np

    from mdagent.market import BarRequest
    from mdagent.sources.base import Conversation
    from mdagent.sources.reading.columns import Column
    from mdagent.sources.reading.rows import Answer

_DAY = timedelta(days=1)
_LONG = {Interval.D1: "daily", Interval.W1: "weekly", Interval.MO1: "monthly"}
_MINUTES = {Interval.M1: (1, 30), Interval.M5: (5, 150), Interval.M15: (15, 450), Interval.M30: (30, 730), Interval.H1: (30, 730)}


def _quotas(hourly: int, daily: int) -> tuple[Quota, ...]:
    return Quota(hourly, 3600.0, of="requests"), Quota(daily, "day", "America/New_York", of="requests")


SPEC = SourceSpec(
    name="tiingo",
    title="Tiingo",
    hosts=("api.tiingo.com",),
    intervals={i: Depth(per_request=timedelta(days=days), delivers=(Adjustment.RAW,)) for i, (_, days) in _MINUTES.items()}
    | {i: Depth(delivers=(Adjustment.RAW, Adjustment.ALL) if i is Interval.D1 else (Adjustment.RAW,)) for i in _LONG},
    plans=(
        Plan("free", _quotas(50, 1_000), note="at most 500 different symbols a month; minutes of trades at IEX alone"),
        Plan("power", _quotas(10_000, 100_000), 30.0, note="its bounds and price are not checked"),
    ),
    cooldown=600.0,
    delay=timedelta(hours=4),  # days come at 17:30 in New York, corrections until 20:00
    concurrency=4,
    covers="US stocks, funds and ETFs; splits and dividends; minutes of trades at IEX",
    terms="personal and internal use; redistribution needs a contract with Tiingo",
    checked=date(2026, 11, 24),
    auth=Auth("header", "Authorization", "Token {key}"),
    offers=frozenset(("quote", "search", "actions", "actions with bars")),
)

_ERROR = re.compile(r'\s*(\{\s*"detail"|"?(Error: )?You have run over)')  # what a 200 begins with that is none
_WORDS = (  # what an error says -> kind; the first that fits, whatever the status
    (r"run over your hour", FailureKind.RATE_LIMITED),
    (r"run over your", FailureKind.QUOTA_EXHAUSTED),
    (r"not found", FailureKind.UNKNOWN_SYMBOL),
    (r"credentials|token", FailureKind.AUTH),
    (r"permission|upgrade", FailureKind.PLAN_LIMIT),
)
_UTC = frozenset(("Z", ".000Z", "+00:00"))
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


class Source(Adapter):
    """Conversations with Tiingo's daily and IEX endpoints."""

    spec = SPEC

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        """Bars with `start <= ts < end`, many minutes in several pieces. Raises ConversationFailed."""
        parts = []
        for piece in self.cut(request):
            reply = yield (self._minutes(piece) if piece.interval.intraday else self._days(piece))
            rows = objects(read_json(reply), "bars")
            if rows:  # a piece before the first trade does not spoil the rest
                parts.append(_read(rows, piece))
        if not parts:
            msg = f"Tiingo has no {request.interval} bars of {request.symbol} in this range"
            raise failed(FailureKind.NO_DATA, msg)
        return BarSet.join(parts)

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        """Splits and dividends by ex-date, amounts as they were paid: those of the daily rows."""
        from mdagent.market import BarRequest
        from mdagent.sources.reading.rows import within

        del payments  # they cost nothing
        rows = objects(read_json((yield self._days(BarRequest(symbol, Interval.D1, start, end)))), "bars")
        told = _actions(rows, *_stamps(rows)) if rows else ()
        if told is None:
            msg = "a row of the answer has no date, or does not tell its dividend and split"
            raise failed(FailureKind.SCHEMA, msg)
        return within(told, start, end)

    def quote(self, symbol: Symbol | str) -> Conversation[Quote]:
        """The last price at IEX, or Tiingo's own where bid and ask have left it behind."""
        symbol = Symbol.parse(symbol)
        found = objects(read_json((yield self.get(f"/iex/{_path(symbol)}"))), "quotes")
        told = found[0] if found else {}
        last = number(told, "tngoLast")
        if last is None:
            msg = f"Tiingo tells no price of {symbol}"
            raise failed(FailureKind.NO_DATA, msg)
        named = text(told, "ticker")
        if named and named.upper() != _spell(symbol):
            msg = f"{symbol} was asked for, the answer is about {one_line(named, 32)}"
            raise failed(FailureKind.MISMATCH, msg)
        bid, ask, before = (number(told, name) for name in ("bidPrice", "askPrice", "prevClose"))
        return Quote(symbol, SPEC.name, last, _moment(told), bid, ask, currency=symbol.currency, previous_close=before)

    def search(self, words: str) -> Conversation[list[Listing]]:
        """American listings that fit the words, in Tiingo's order."""
        hits = objects(read_json((yield self.get("/tiingo/utilities/search", {"query": words}))), "symbols")
        return [found for hit in hits if (found := _listing(hit))]

    def error_in(self, reply: httpx.Response) -> Failure | None:
        """The failure that the status tells, or words in place of data: those on spent quotas come with a 200."""
        head, status = reply.content[:2000].decode("utf-8", "replace"), reply.status_code
        if status == HTTP_OK and not _ERROR.match(head):
            return None
        return failure_in_words(status, head, _WORDS)

    def _days(self, request: BarRequest) -> httpx.Request:
        last = last_instant(request) - _DAY
        if request.interval is Interval.W1:
            last += _DAY * (6 - last.weekday())
        elif request.interval is Interval.MO1:
            last = (last.replace(day=28) + 4 * _DAY).replace(day=1)
        span = {"startDate": f"{first_period(request):%Y-%m-%d}", "endDate": f"{last:%Y-%m-%d}"}  # both included
        return self.get(f"/tiingo/daily/{_path(request.symbol)}/prices", span | {"resampleFreq": _LONG[request.interval], "format": "json"})

    def _minutes(self, request: BarRequest) -> httpx.Request:
        first, last = (t.astimezone(UTC) for t in (request.start, request.end - timedelta(microseconds=1)))
        span = {"startDate": f"{first:%Y-%m-%d}", "endDate": f"{last:%Y-%m-%d}"}
        rest = {"resampleFreq": f"{_MINUTES[request.interval][0]}min", "columns": ",".join(COLUMNS), "afterHours": "false"}
        return self.get(f"/iex/{_path(request.symbol)}/prices", span | rest | {"forceFill": "false", "format": "json"})


def _spell(symbol: Symbol) -> str:
    """Its own spelling: `BRK.B` is BRK-B, `BAC-PL` BAC-P-L. Raises ConversationFailed BAD_REQUEST for what it does not cover."""
    if symbol.kind not in ("equity", "fund") or symbol.mic != "XNYS" or not symbol.ticker[0].isalpha():
        msg = f"mdagent asks Tiingo for US stocks and funds alone, not for {symbol}"
        raise failed(FailureKind.BAD_REQUEST, msg)
    return re.sub(r"\A([A-Z]+)-P([A-Z])\Z", r"\1-P-\2", symbol.ticker.replace(".", "-"))


def _path(symbol: Symbol) -> str:
    return percent(_spell(symbol), safe="")


def _read(rows: list[dict[str, Any]], request: BarRequest) -> BarSet:
    """The bars of an answer's rows that lie in the window. Raises ConversationFailed: SCHEMA, MISMATCH."""
    import numpy as np

    from mdagent.sources.reading.rows import Answer, bars_of
    from mdagent.sources.reading.spacing import check_spacing

    told, real = _stamps(rows)
    if request.interval.intraday:
        step = _MINUTES[request.interval][0] * 60
        check_spacing(told[real].astype("datetime64[us]"), Interval.M30 if request.interval is Interval.H1 else request.interval)
        answer = Answer(told.astype("datetime64[us]"), real & (told.astype(np.int64) % step == 0), _columns(rows, ""))
        return bars_of(request, SPEC.name, _hours(answer) if request.interval is Interval.H1 else answer, Adjustment.RAW, venue="IEX")
    days = told.astype("datetime64[D]")
    stamps = period_of(days, request.interval)
    check_spacing(stamps[real], request.interval)
    real &= told == days
    basis = request.adjustment if request.adjustment in SPEC.intervals[request.interval].delivers else Adjustment.RAW
    if request.interval is Interval.W1:
        real &= np.is_busday(days)  # a week that were stamped by its eve would be taken for the one before
    actions = _actions(rows, told, real) if request.interval is Interval.D1 else None
    answer = Answer(stamps, real, _columns(rows, "adj" if basis is Adjustment.ALL else ""))
    made = bars_of(request, SPEC.name, answer, basis, actions=actions or ())
    return replace(made, delivery=made.delivery._replace(events=actions is not None))


def _stamps(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Instants (datetime64[s], UTC), and which of them are times that a bar can have."""
    import numpy as np

    from mdagent.sources.reading.texts import times

    told, real = times([c[:19] if isinstance(c, str) and c[19:] in _UTC else None for c in cells(rows, "date")])
    return told, real & (told >= np.datetime64("1900-01-01")) & (told < np.datetime64("2100-01-01"))


def _columns(rows: list[dict[str, Any]], prefix: str) -> tuple[Column, ...]:
    from mdagent.sources.reading.columns import numbers

    named = [prefix + name.capitalize() if prefix else name for name in COLUMNS]
    missing = [name for name in named[:4] if not has(rows, name)]
    if missing:
        msg = f"the rows of the answer have no {', '.join(missing)}"
        raise failed(FailureKind.SCHEMA, msg)
    return tuple(numbers(name, cells(rows, name), len(rows)) for name in named)


def _actions(rows: list[dict[str, Any]], told: np.ndarray, real: np.ndarray) -> tuple[CorporateAction, ...] | None:
    """Every split and dividend of daily rows; None where a row does not tell, or two rows contradict each other."""
    from mdagent.sources.reading.columns import numbers

    if not (has(rows, "divCash") and has(rows, "splitFactor")):
        return None
    paid, ratio = (numbers(name, cells(rows, name), len(rows)).values for name in ("divCash", "splitFactor"))
    endless = float("inf")
    if not (real & (paid >= 0) & (paid < endless) & (ratio > 0) & (ratio < endless)).all():
        return None
    days = told.astype("datetime64[D]")
    made = [CorporateAction("split", days[i].item(), float(ratio[i])) for i in (ratio != 1).nonzero()[0]]
    made += [CorporateAction("dividend", days[i].item(), float(paid[i])) for i in (paid > 0).nonzero()[0]]
    made = list(dict.fromkeys(made))
    return tuple(made) if len({(a.date, a.kind) for a in made}) == len(made) else None


def _hours(halves: Answer) -> Answer:
    """Hours from half past to half past, as sessions in New York have them whatever the season; an hour of which a half is no bar is
    none. Raises ConversationFailed SCHEMA where a half hour has no stamp, or two have the same."""
    import numpy as np

    from mdagent.sources.reading.columns import Column
    from mdagent.sources.reading.rows import Answer

    order = np.argsort(halves.stamps, kind="stable")
    stamps, half, hour = halves.stamps[order], np.timedelta64(30, "m"), np.timedelta64(60, "m")
    if not halves.real.all() or (np.diff(stamps) == np.timedelta64(0)).any():
        msg = "half hours of the answer have no time stamp, or share one: no hour can be made of them for certain"
        raise failed(FailureKind.SCHEMA, msg)
    label = (stamps - half).astype("datetime64[h]").astype("datetime64[us]") + half
    start = np.flatnonzero(np.diff(label, prepend=label[0] - hour))
    last = np.append(start[1:], len(label)) - 1
    opens, highs, lows, closes, counts = (column.values[order] for column in halves.columns)
    values = (
        opens[start],
        np.maximum.reduceat(highs, start),
        np.minimum.reduceat(lows, start),
        closes[last],
        np.add.reduceat(counts, start),
    )
    null, bad = ([np.logical_or.reduceat(c[part][order], start) for c in halves.columns] for part in (1, 2))
    return Answer(label[start], np.ones(len(start), dtype=bool), tuple(map(Column, values, null, bad)))


def _moment(told: dict[str, Any]) -> datetime | None:
    found = _MOMENT.fullmatch(text(told, "timestamp"))
    try:
        return datetime.fromisoformat(found[1] + found[2]).astimezone(UTC) if found else None
    except (ValueError, OverflowError):
        return None


def _listing(hit: dict[str, Any]) -> Listing | None:
    """None for what cannot be asked for here: coins, listings elsewhere."""
    ticker = re.sub(r"\A([A-Z]+)-P-([A-Z])\Z", r"\1-P\2", text(hit, "ticker").upper())
    try:
        symbol = Symbol.parse(ticker)
        _spell(symbol)
    except (UsageError, ConversationFailed):
        return None
    kind = text(hit, "assetType")
    if text(hit, "countryCode").upper() not in ("", "US") or "crypto" in kind.lower():
        return None
    return Listing(symbol, text(hit, "name"), "", kind, SPEC.name)
