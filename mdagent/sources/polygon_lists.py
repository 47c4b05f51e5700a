"""Polygon's other answers: the snapshot, the list of tickers, splits and dividends, the state of markets."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mdagent.errors import UsageError
from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.market import CorporateAction, Listing, MarketStatus, Quote, Symbol
from mdagent.sources.polygon import INDICES, spell
from mdagent.sources.polygon_bars import shown
from mdagent.sources.reading.body import failed, read_json
from mdagent.sources.reading.fields import number, text
from mdagent.sources.reading.tables import objects
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    import httpx

SOURCE = "polygon"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS = (10**17, 4_102_444_800 * 10**9)  # 1973 to 2100
_PREFERRED = re.compile(r"([A-Z]{1,5})p([A-Z])")
_CANONICAL = {theirs: ours for ours, theirs in INDICES.items()}


def _body_of(reply: httpx.Response) -> dict[str, Any]:
    body = read_json(reply)
    if isinstance(body, dict):
        return body
    msg = "the answer is JSON, but no object"
    raise failed(FailureKind.SCHEMA, msg, reply.status_code)


def quote_in(reply: httpx.Response, symbol: Symbol, ticker: str) -> Quote:
    """The price of a snapshot: the last trade where the plan has it, else the last minute's, else the day's close. After 03:30 in New
    York the day is empty until trading begins. Raises ConversationFailed: SCHEMA, MISMATCH, NO_DATA."""
    told = _body_of(reply).get("ticker")
    if not isinstance(told, dict):
        msg = "the answer holds no snapshot"
        raise failed(FailureKind.SCHEMA, msg)
    if told.get("ticker") != ticker:
        msg = f"{ticker} was asked for, the answer is about {shown(told.get('ticker'))}"
        raise failed(FailureKind.MISMATCH, msg)
    trade, minute, day, before, offers = (_part(told, name) for name in ("lastTrade", "min", "day", "prevDay", "lastQuote"))
    prices = ((_price(trade, "p"), trade, "t"), (_price(minute, "c"), told, "updated"), (_price(day, "c"), told, "updated"))
    last, owner, stamp = next((found for found in prices if found[0] is not None), (None, told, ""))
    if last is None:
        msg = f"Polygon tells no price of {symbol}"
        raise failed(FailureKind.NO_DATA, msg)
    return Quote(
        symbol,
        SOURCE,
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


def listings_in(reply: httpx.Response) -> list[Listing]:
    """The list of tickers in its order. Left out is what no canonical symbol names: warrants and rights differ from shares by case."""
    hits = objects(_body_of(reply).get("results") or [], "tickers")
    return [found for hit in hits if (found := _listing(hit))]


def _listing(hit: dict[str, Any]) -> Listing | None:
    ticker = text(hit, "ticker")
    try:
        symbol = Symbol.parse(_canonical(hit, ticker))
        if spell(symbol) != ticker:
            return None
    except (UsageError, ConversationFailed):
        return None
    exchange = text(hit, "primary_exchange") or text(hit, "market")
    return Listing(symbol, text(hit, "name"), exchange, text(hit, "type") or text(hit, "market"), SOURCE)


def _canonical(hit: dict[str, Any], ticker: str) -> str:
    base, quote = text(hit, "base_currency_symbol"), text(hit, "currency_symbol")
    if base and quote and ticker == f"X:{base}{quote}":
        return f"{base}-{quote}"
    if base and quote and ticker == f"C:{base}{quote}":
        return f"{base}{quote}=X"
    return _CANONICAL.get(ticker) or _PREFERRED.sub(r"\1-P\2", ticker)


def splits_in(reply: httpx.Response, ticker: str) -> tuple[list[CorporateAction], str]:
    """The splits of a page, of the new list or the old one, and the address of the next page."""
    made = []
    entries, following = _entries(reply, ticker, "splits")
    for entry in entries:
        new, old = number(entry, "split_to"), number(entry, "split_from")
        ratio = new / old if new and old and new > 0 and old > 0 else math.inf
        day = _day(entry, "execution_date")
        if day is None or not 0 < ratio < math.inf:
            msg = "a split of the answer has no date or no ratio"
            raise failed(FailureKind.SCHEMA, msg)
        made.append(CorporateAction("split", day, ratio))
    return made, following


def dividends_in(reply: httpx.Response, ticker: str) -> tuple[list[CorporateAction], str]:
    """The same of dividends, the amounts as declared."""
    made = []
    entries, following = _entries(reply, ticker, "dividends")
    for entry in entries:
        amount, day = number(entry, "cash_amount"), _day(entry, "ex_dividend_date")
        if day is None or amount is None or amount < 0:
            msg = "a dividend of the answer has no date or no amount"
            raise failed(FailureKind.SCHEMA, msg)
        if amount:
            made.append(CorporateAction("dividend", day, amount, currency=text(entry, "currency") or None))
    return made, following


def _entries(reply: httpx.Response, ticker: str, what: str) -> tuple[list[dict[str, Any]], str]:
    body = _body_of(reply)
    entries = objects(body.get("results") or [], what)
    other = next((entry.get("ticker") for entry in entries if entry.get("ticker") != ticker), None)
    if other is not None:
        msg = f"the {what} of {ticker} were asked for, the answer has some of {shown(other)}"
        raise failed(FailureKind.MISMATCH, msg)
    return entries, text(body, "next_url")


def _day(entry: dict[str, Any], name: str) -> date | None:
    told = text(entry, name)
    try:
        return date.fromisoformat(told) if len(told) == 10 else None
    except ValueError:
        return None


def statuses_in(reply: httpx.Response) -> list[MarketStatus]:
    """Each exchange and the currency markets, in the provider's words."""
    body = _body_of(reply)
    made = []
    for group in ("exchanges", "currencies"):
        markets = _part(body, group)
        for market in markets:
            session = one_line(text(markets, market), 40)
            made.append(MarketStatus(one_line(market, 40), SOURCE, session == "open", session, _server_time(body)))
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
