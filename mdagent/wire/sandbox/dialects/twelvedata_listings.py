"""The listings that the simulated Twelve Data knows, by its own names, exchanges and MICs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mdagent.wire.sandbox.tickers import familiar, find, listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mdagent.wire.sandbox.tickers import Ticker

_TYPES = {
    "EQUITY": "Common Stock",
    "ETF": "ETF",
    "MUTUALFUND": "Mutual Fund",
    "CURRENCY": "Physical Currency",
    "CRYPTOCURRENCY": "Digital Currency",
}
AMERICA = "United States"
# Code of the exchange in tickers.csv -> name, MIC and country at Twelve Data.
PLACES = {
    "NMS": ("NASDAQ", "XNGS", AMERICA),
    "NGM": ("NASDAQ", "XNMS", AMERICA),
    "NAS": ("NASDAQ", "XNAS", AMERICA),
    "NYQ": ("NYSE", "XNYS", AMERICA),
    "PCX": ("NYSE", "ARCX", AMERICA),
    "MCE": ("BME", "XMAD", "Spain"),
    "GER": ("XETR", "XETR", "Germany"),
    "PAR": ("Euronext", "XPAR", "France"),
    "AMS": ("Euronext", "XAMS", "Netherlands"),
    "BRU": ("Euronext", "XBRU", "Belgium"),
    "MIL": ("MTA", "XMIL", "Italy"),
    "EBS": ("SIX", "XSWX", "Switzerland"),
    "LSE": ("LSE", "XLON", "United Kingdom"),
    "CPH": ("OMXC", "XCSE", "Denmark"),
    "OSL": ("OSE", "XOSL", "Norway"),
    "STO": ("OMX", "XSTO", "Sweden"),
    "HEL": ("OMXH", "XHEL", "Finland"),
    "TOR": ("TSX", "XTSE", "Canada"),
    "JPX": ("JPX", "XJPX", "Japan"),
    "HKG": ("HKEX", "XHKG", "Hong Kong"),
    "KSC": ("KRX", "XKRX", "South Korea"),
    "TAI": ("TWSE", "XTAI", "Taiwan"),
    "NSI": ("NSE", "XNSE", "India"),
    "ASX": ("ASX", "XASX", "Australia"),
    "SES": ("SGX", "XSES", "Singapore"),
    "SAO": ("Bovespa", "BVMF", "Brazil"),
    "CCY": ("PHYSICAL CURRENCY", "", ""),
    "CCC": ("Coinbase Pro", "", ""),
}
_MONEY = {
    "USD": "US Dollar",
    "EUR": "Euro",
    "GBP": "British Pound",
    "JPY": "Japanese Yen",
    "CHF": "Swiss Franc",
    "CAD": "Canadian Dollar",
    "AUD": "Australian Dollar",
    "NZD": "New Zealand Dollar",
}


def listed(name: str, place: str) -> Ticker | None:
    """The listing of that name at an exchange or MIC; without one the American listing goes first."""
    if "/" in name:
        base, _, quote = name.partition("/")
        return find(f"{base}{quote}=X") or find(f"{base}-{quote}")
    home = listing(name)
    american = [home] if home is not None and PLACES.get(home.exchange, ("", "", ""))[2] == AMERICA else []
    return next((t for t in (*american, *_abroad().get(name, ())) if not place or place in _labels(t)), None)


def _labels(ticker: Ticker) -> tuple[str, ...]:
    exchange, mic, _ = PLACES[ticker.exchange]
    return (exchange, mic, "XNAS") if exchange == "NASDAQ" else (exchange.upper(), mic)


@lru_cache(maxsize=1)
def _abroad() -> Mapping[str, list[Ticker]]:
    """Listings outside America by their name without a suffix."""
    found: dict[str, list[Ticker]] = {}
    for ticker in familiar():
        if ticker.type == "EQUITY" and PLACES.get(ticker.exchange, ("", "", AMERICA))[2] != AMERICA:
            found.setdefault(ticker.symbol.rpartition(".")[0], []).append(ticker)
    return found


def name_of(ticker: Ticker) -> str:
    """Twelve Data's spelling."""
    if ticker.type == "CURRENCY":
        return f"{ticker.symbol[:3]}/{ticker.symbol[3:6]}"
    if ticker.type == "CRYPTOCURRENCY":
        return ticker.symbol.replace("-", "/")
    return ticker.symbol if PLACES[ticker.exchange][2] == AMERICA else ticker.symbol.rpartition(".")[0]


def is_pair(ticker: Ticker) -> bool:
    """A currency or a coin, in another one?"""
    return ticker.type in ("CURRENCY", "CRYPTOCURRENCY")


def meta_of(ticker: Ticker, word: str) -> dict[str, str]:
    """What an answer says of the listing; pairs have no zone and no one currency."""
    exchange, mic, _ = PLACES[ticker.exchange]
    name = name_of(ticker)
    if is_pair(ticker):
        base, _, quote = name.partition("/")
        place = {"exchange": exchange} if ticker.type == "CRYPTOCURRENCY" else {}
        sides = {"currency_base": _MONEY.get(base, base), "currency_quote": _MONEY.get(quote, quote)}
        return {"symbol": name, "interval": word} | sides | place | {"type": _TYPES[ticker.type]}
    return {
        "symbol": name,
        "interval": word,
        "currency": ticker.currency,
        "exchange_timezone": ticker.zone,
        "exchange": exchange,
        "mic_code": mic,
        "type": _TYPES[ticker.type],
    }


def search(query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Listings that fit the words, the best first."""
    words = query.get("symbol", "").strip().upper()
    size = query.get("outputsize", "30")
    exact = listing(words)
    known = (exact, *familiar()) if exact is not None and exact.is_generated else familiar()
    hits = sorted(_ranked(words, known), key=lambda hit: (hit[0], hit[1].symbol)) if words else []
    return [_hit(ticker) for _, ticker in hits[: min(int(size), 120) if size.isdecimal() else 30]]


def _ranked(words: str, known: Iterable[Ticker]) -> Iterator[tuple[int, Ticker]]:
    for ticker in known:
        if ticker.exchange in PLACES:
            name, title = name_of(ticker), ticker.name.upper()
            if words in name or words in title:
                yield (0 if name == words else 1 if name.startswith(words) else 2 if title.startswith(words) else 3), ticker


def _hit(ticker: Ticker) -> dict[str, Any]:
    exchange, mic, country = PLACES[ticker.exchange]
    return {
        "symbol": name_of(ticker),
        "instrument_name": ticker.name,
        "exchange": exchange,
        "mic_code": mic,
        "exchange_timezone": "UTC" if is_pair(ticker) else ticker.zone,
        "instrument_type": _TYPES[ticker.type],
        "country": country,
        "currency": "" if is_pair(ticker) else ticker.currency,
    }
