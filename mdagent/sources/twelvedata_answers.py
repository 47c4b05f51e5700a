"""Twelve Data's answers -> bars, quotes, listings, splits and dividends."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mdagent.errors import UsageError
from mdagent.exchanges import SUFFIXES, US
from mdagent.guard.outcome import HTTP_OK, ConversationFailed, FailureKind
from mdagent.market import CorporateAction, Instrument, Interval, Listing, MarketStatus, Quote, Symbol, parse_instant
from mdagent.sources.reading.body import failed
from mdagent.sources.reading.columns import Column
from mdagent.sources.reading.fields import number, text
from mdagent.sources.reading.rows import Answer, bars_of
from mdagent.sources.reading.spacing import check_spacing
from mdagent.sources.reading.tables import cells, has, objects
from mdagent.sources.reading.texts import dates, decimals, times
from mdagent.sources.reading.windows import period_of
from mdagent.sources.twelvedata import FULL, NAME, OWN_MIC, WORDS, check, error_of, nothing
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from mdagent.market import BarRequest, BarSet

_LATEST = 4102444800  # 2100-01-01: no price is later
_SUFFIX = {e.mic: suffix for suffix, e in reversed(SUFFIXES.items()) if suffix not in OWN_MIC} | {mic: s for s, mic in OWN_MIC.items()}
_DECIMAL = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
_FOR = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)-for-(\d{1,9}(?:\.\d{1,9})?)")
_ENOUGH = 2  # tellings of a split that must agree


def fields_of(body: object, what: str) -> dict[str, Any]:
    """The body, if it is an object. Raises ConversationFailed SCHEMA."""
    if isinstance(body, dict):
        return body
    msg = f"the answer is JSON, but no {what} of Twelve Data"
    raise failed(FailureKind.SCHEMA, msg)


def share_of(body: object, name: str, symbols: int) -> object:
    """What a batch answers for a symbol: its part, or all of it where only one was asked for."""
    if symbols == 1:
        return body
    parts = {key.upper(): part for key, part in fields_of(body, "batch").items()}
    if name in parts:
        return parts[name]
    told = error_of(body, HTTP_OK)
    if told is not None:
        raise ConversationFailed(told)
    msg = f"the answer to several symbols has nothing about {name}"
    raise failed(FailureKind.SCHEMA, msg)


def read_bars(body: object, request: BarRequest) -> BarSet:
    """The bars of a series that lie in the window. Raises ConversationFailed: what the body tells, NO_DATA, SCHEMA, MISMATCH."""
    told = error_of(body, HTTP_OK)
    if told is not None:
        raise ConversationFailed(told)
    series = fields_of(body, "series")
    meta = fields_of(series.get("meta"), "series")
    named = check(meta, request.symbol)
    word = meta.get("interval")
    if word is not None and word != WORDS[request.interval]:
        msg = f"{request.interval} bars were asked for, the answer has {one_line(str(word), 12)!a} bars"
        raise failed(FailureKind.MISMATCH, msg)
    rows = objects(series.get("values"), "bars")
    if not rows:
        raise failed(FailureKind.NO_DATA, nothing(request))
    if len(rows) >= FULL:
        msg = f"the answer has {len(rows)} rows, as many as it can hold: some may be left out"
        raise failed(FailureKind.SCHEMA, msg)
    stamps, real = _stamps(cells(rows, "datetime"), request.interval)
    exchange, currency = text(meta, "exchange"), text(meta, "currency")
    return bars_of(
        request,
        NAME,
        Answer(stamps, real, _columns(rows), named=named),
        request.adjustment,
        currency=currency or None,
        instrument=Instrument(
            request.symbol, NAME, exchange=exchange, zone=text(meta, "exchange_timezone"), currency=currency, kind=text(meta, "type")
        ),
        venue=one_line(exchange, 40) if request.symbol.kind == "crypto" else "",
    )


def _stamps(told: list[Any], interval: Interval) -> tuple[np.ndarray, np.ndarray]:
    moments, real = times(told) if interval.intraday else _dates(told, interval)
    real = real & (moments >= np.datetime64("1800-01-01")) & (moments < np.datetime64("2100-01-01"))
    if interval is Interval.W1:
        real &= (moments.astype("int64") + 3) % 7 < 5  # 1970-01-01 was a Thursday
    stamps = moments.astype("datetime64[us]") if interval.intraday else period_of(moments, interval)
    check_spacing(stamps[real], interval)
    return stamps, real


def _dates(told: list[Any], interval: Interval) -> tuple[np.ndarray, np.ndarray]:
    try:
        return dates(told)
    except ConversationFailed:
        moments, real = times(told)  # of shorter bars? then that is what to say
        check_spacing(period_of(moments[real].astype("datetime64[D]"), interval), interval)
        raise


def _columns(rows: list[dict[str, Any]]) -> tuple[Column, ...]:
    prices = [decimals(name, cells(rows, name)) for name in ("open", "high", "low", "close")]
    if not has(rows, "volume"):  # as of currencies
        none = np.ones(len(rows), dtype=bool)
        return (*prices, Column(np.full(len(rows), np.nan), none, ~none))
    volume = cells(rows, "volume")
    return (*prices, decimals("volume", [None if v == "" else v for v in volume] if "" in volume else volume))


def read_quote(body: object, symbol: Symbol) -> Quote:
    """The price of the current day's candle, which is the latest one. Raises ConversationFailed."""
    told = fields_of(body, "quote")
    check(told, symbol)
    last = _price(told, "close")
    if last is None:
        msg = f"Twelve Data tells no price of {symbol}"
        raise failed(FailureKind.NO_DATA, msg)
    return Quote(
        symbol,
        NAME,
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


def read_listings(body: object) -> list[Listing]:
    """The hits of a search, in their order. Raises ConversationFailed SCHEMA."""
    hits = objects(fields_of(body, "search").get("data"), "symbols")
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
    return Listing(symbol, text(hit, "instrument_name"), exchange, text(hit, "instrument_type"), NAME)


def read_markets(body: object) -> list[MarketStatus]:
    """The exchanges with their MIC; the answer bears no time. Raises ConversationFailed SCHEMA."""
    told = [(row, row.get("is_market_open")) for row in objects(body, "markets")]
    return [
        MarketStatus(f"{text(row, 'name')} ({text(row, 'code')})", NAME, is_open, "regular" if is_open else "closed")
        for row, is_open in told
        if isinstance(is_open, bool)
    ]


def read_actions(body: object, path: str, symbol: Symbol) -> list[CorporateAction]:
    """The answer of `/splits` or `/dividends`, dividends as paid. Raises ConversationFailed."""
    told = fields_of(body, path)
    meta = fields_of(told.get("meta"), path)
    check(meta, symbol)
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
    when, amount = _day(text(entry, "ex_date")), _price(entry, "amount")
    if when is None or amount is None:
        msg = "a dividend of the answer has no date or no amount"
        raise failed(FailureKind.SCHEMA, msg)
    return CorporateAction("dividend", when.date(), amount, currency=currency)
