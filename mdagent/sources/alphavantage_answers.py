"""Alpha Vantage's spelling of symbols, and its answers that are no series: quotes, rates, search, markets, splits and dividends."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mdagent.errors import UsageError
from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.market import CorporateAction, Listing, MarketStatus, Quote, Symbol
from mdagent.sources.reading.body import failed, read_json
from mdagent.sources.reading.fields import text
from mdagent.sources.reading.tables import objects
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    import httpx

SOURCE = "alphavantage"
PAIRS = ("fx", "crypto")  # kinds that have no splits and no dividends, and trade by UTC
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


def spell(symbol: Symbol) -> str:
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


def foreign(symbol: Symbol) -> bool:
    """Is it a listing outside America, by either spelling (VOD.L, VOD.LON)?"""
    return symbol.mic != "XNYS" or _OWN_SUFFIX.fullmatch(symbol.ticker) is not None


def currency_of(symbol: Symbol) -> str | None:
    """What the spelling implies: answers tell no currency, and a suffix of theirs (VOD.LON) is not of New York."""
    return None if _OWN_SUFFIX.fullmatch(symbol.ticker) and symbol.mic == "XNYS" else symbol.currency


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """The fields by name: `05. price` is `price`. The numbers differ from function to function."""
    return {_NUMBERED.sub("", key): value for key, value in row.items()}


def same_name(told: object, name: str) -> bool:
    """Do both spell one symbol? BRK.B and BRK-B do."""
    return isinstance(told, str) and told.upper().replace("-", ".") == name.upper().replace("-", ".")


def mismatch(symbol: Symbol, told: object) -> ConversationFailed:
    """The answer is about another symbol."""
    words = one_line(told, 32) if isinstance(told, str) else "something that is no name"
    return failed(FailureKind.MISMATCH, f"{symbol} was asked for, the answer is about {words}")


def pair_of(symbol: Symbol) -> tuple[str, str]:
    """What is priced, and in what. Raises ConversationFailed BAD_REQUEST."""
    found = _PAIR.fullmatch(symbol.ticker)
    if found is None:
        msg = f"{symbol} names no pair that Alpha Vantage could be asked for: write EUR/USD or BTC/USD"
        raise failed(FailureKind.BAD_REQUEST, msg)
    return found[1] or found[3], found[2] or found[4]


def _decimal(fields: dict[str, Any], name: str) -> float | None:
    value = fields.get(name)
    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _instant(words: str) -> datetime | None:
    try:
        return datetime.fromisoformat(words).replace(tzinfo=UTC)
    except ValueError:
        return None


def quote_of(reply: httpx.Response, symbol: Symbol, name: str) -> Quote:
    """A `Global Quote`; its key says more where prices are delayed."""
    body = read_json(reply)
    told = next((v for k, v in body.items() if k.startswith("Global Quote")), None) if isinstance(body, dict) else None
    if not isinstance(told, dict):
        msg = "the answer holds no quote"
        raise failed(FailureKind.SCHEMA, msg)
    row = plain(told)
    if row.get("symbol") is not None and not same_name(row["symbol"], name):
        raise mismatch(symbol, row["symbol"])
    last = _decimal(row, "price")
    if last is None:
        msg = f"Alpha Vantage tells no price of {symbol}"
        raise failed(FailureKind.NO_DATA, msg)
    return Quote(
        symbol,
        SOURCE,
        last,
        _instant(text(row, "latest trading day")),
        currency=currency_of(symbol),
        previous_close=_decimal(row, "previous close"),
        day_high=_decimal(row, "high"),
        day_low=_decimal(row, "low"),
        volume=_decimal(row, "volume"),
    )


def rate_of(reply: httpx.Response, symbol: Symbol, pair: tuple[str, str]) -> Quote:
    """The rate of a pair, with bid and ask."""
    body = read_json(reply)
    told = body.get("Realtime Currency Exchange Rate") if isinstance(body, dict) else None
    if not isinstance(told, dict):
        msg = "the answer holds no exchange rate"
        raise failed(FailureKind.SCHEMA, msg)
    row = plain(told)
    for name, right in zip(("From_Currency Code", "To_Currency Code"), pair, strict=True):
        if row.get(name) is not None and not same_name(row[name], right):
            raise mismatch(symbol, row[name])
    last = _decimal(row, "Exchange Rate")
    if last is None:
        msg = f"Alpha Vantage tells no price of {symbol}"
        raise failed(FailureKind.NO_DATA, msg)
    as_of = _instant(text(row, "Last Refreshed")) if row.get("Time Zone") == "UTC" else None
    bid, ask = _decimal(row, "Bid Price"), _decimal(row, "Ask Price")
    return Quote(symbol, SOURCE, last, as_of, bid, ask, currency=pair[1])


def listing_of(hit: dict[str, Any]) -> Listing | None:
    """A hit of a search, None where its spelling is no symbol."""
    try:
        symbol = Symbol.parse(text(hit, "symbol"))
    except UsageError:  # a spelling that could never be asked for
        return None
    return Listing(symbol, text(hit, "name"), text(hit, "region"), text(hit, "type"), SOURCE)


def status_of(row: dict[str, Any]) -> MarketStatus:
    """A line of the list of markets, which tells no time."""
    session = text(row, "current_status")
    market = f"{text(row, 'region')} {text(row, 'market_type')}".strip()
    return MarketStatus(one_line(market, 60), SOURCE, session == "open", one_line(session, 20))


def events_of(reply: httpx.Response, symbol: Symbol, name: str) -> list[CorporateAction]:
    """The rows of a SPLITS or DIVIDENDS answer. A row without date or value is refused with all others: it may be the one that
    matters."""
    body = read_json(reply)
    fields = body if isinstance(body, dict) else {}
    if fields.get("symbol") is not None and not same_name(fields["symbol"], name):
        raise mismatch(symbol, fields["symbol"])
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
