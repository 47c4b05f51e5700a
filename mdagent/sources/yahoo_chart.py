"""Yahoo's chart answer -> bars."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mdagent.guard.outcome import FailureKind
from mdagent.market import COLUMNS, Adjustment, BarSet, CorporateAction, Instrument, Interval, MarketStatus, Symbol, parse_instant
from mdagent.sources.reading.body import failed, read_json
from mdagent.sources.reading.columns import Column, numbers
from mdagent.sources.reading.fields import number, text
from mdagent.sources.reading.rows import Answer, assemble
from mdagent.sources.reading.spacing import check_spacing
from mdagent.sources.reading.windows import period_of
from mdagent.sources.reading.zones import dates_in, zone_of
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import httpx

    from mdagent.market import BarRequest

SOURCE = "yahoo"
READ = {"1wk": "1w", "60m": "1h"}
_MILLISECONDS = 1e11  # epoch seconds reach this in the year 5138; epoch milliseconds passed it in 1973
LATEST = 4102444800  # 2100-01-01: no bar is stamped later
_EARLIEST = -5364662400.0  # 1800-01-01: none is stamped earlier


def spell(symbol: Symbol) -> str:
    """Yahoo's spelling: `BRK.B` is BRK-B, `EUR/USD` EURUSD=X; a suffix of an exchange stays."""
    ticker = symbol.ticker
    if symbol.kind == "fx" and "/" in ticker:
        return ticker.replace("/", "") + "=X"
    if symbol.kind == "crypto" and "/" in ticker:
        return ticker.replace("/", "-")
    return ticker.replace(".", "-") if symbol.mic == "XNYS" else ticker


def read_chart(reply: httpx.Response, request: BarRequest) -> BarSet:
    """The bars of a chart answer that lie in the window. Raises ConversationFailed: SCHEMA, MISMATCH, MALFORMED."""
    meta, result = chart_of(reply)
    named = check_symbol(meta, request.symbol)
    currency = text(meta, "currency")
    allowed = request.symbol.currencies
    if currency and allowed and currency not in allowed:
        msg = f"{request.symbol} is quoted in {'/'.join(allowed)}, the answer is in {one_line(currency, 12)}"
        raise failed(FailureKind.MISMATCH, msg)
    told = meta.get("dataGranularity")
    if told is not None and READ.get(str(told), told) != request.interval.value:
        msg = f"{request.interval} bars were asked for, the answer has {one_line(str(told), 12)} bars"
        raise failed(FailureKind.MISMATCH, msg)
    zone = zone_of(meta.get("exchangeTimezoneName"))
    answer, adjusted = _answer(result, meta, request, zone)
    rows = assemble(replace(answer, named=named), request)
    return BarSet(
        request.symbol,
        request.interval,
        SOURCE,
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


def chart_of(reply: httpx.Response) -> tuple[dict[str, Any], dict[str, Any]]:
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


def check_symbol(meta: dict[str, Any], symbol: Symbol) -> bool:
    """Does the body name the symbol asked for? False where it names none; MISMATCH where it names another."""
    told = meta.get("symbol")
    if told is None:
        return False
    if str(told).upper() != spell(symbol):
        msg = f"{symbol} was asked for, the answer is about {one_line(str(told), 32)}"
        raise failed(FailureKind.MISMATCH, msg)
    return True


def _answer(result: dict[str, Any], meta: dict[str, Any], request: BarRequest, zone: ZoneInfo) -> tuple[Answer, bool]:
    """The rows of the body, without a live last row; and whether they are adjusted for dividends too."""
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
    seconds = told.values
    with np.errstate(invalid="ignore"):
        if ((seconds > _MILLISECONDS) & (seconds < 1000 * LATEST)).any():
            msg = "the answer's time stamps are milliseconds; Yahoo's are seconds"
            raise failed(FailureKind.SCHEMA, msg)
        first = number(meta, "firstTradeDate")
        since = max(_EARLIEST, min(request.start.timestamp(), first or 1e9, 1e9)) if first is None or first < 0 else 1.0
        real = ~(told.null | told.bad) & (seconds < LATEST) & (seconds >= since)
    return np.where(real, seconds, 0.0).astype(np.int64), real


def _stamps(seconds: np.ndarray, interval: Interval, zone: ZoneInfo) -> np.ndarray:
    if interval.intraday:
        return seconds.astype("datetime64[s]").astype("datetime64[us]")
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
    told = number(meta, "regularMarketTime")
    if not len(ts) or told is None or abs(told) > LATEST:
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


def status_of(meta: dict[str, Any]) -> MarketStatus:
    """Is the exchange of a chart open, by the regular session that its summary tells?"""
    told = number(meta, "regularMarketTime")
    known = told is not None and abs(told) < LATEST
    is_open = known and _open(meta, told or 0.0)
    as_of = datetime.fromtimestamp(told or 0.0, UTC) if known else None
    name = text(meta, "fullExchangeName") or text(meta, "exchangeName")
    return MarketStatus(name, SOURCE, is_open, "regular" if is_open else "closed", as_of)


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
    if when is None or value is None or abs(when) > LATEST or (kind == "split" and not 0 < value < np.inf):
        msg = f"a {kind} of the answer has no date or no value"
        raise failed(FailureKind.SCHEMA, msg)
    return CorporateAction(cast("Any", kind), datetime.fromtimestamp(when, zone).date(), value, adjusted=kind != "split")


def _instrument(meta: dict[str, Any], symbol: Symbol, currency: str) -> Instrument:
    first = number(meta, "firstTradeDate")
    return Instrument(
        symbol,
        SOURCE,
        name=text(meta, "longName") or text(meta, "shortName"),
        exchange=text(meta, "exchangeName"),
        zone=text(meta, "exchangeTimezoneName"),
        currency=currency,
        kind=text(meta, "instrumentType"),
        first_trade=datetime.fromtimestamp(first, UTC).date() if first is not None and abs(first) < LATEST else None,
    )
