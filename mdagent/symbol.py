"""What the user types for an instrument, and what its spelling tells."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from mdagent.errors import UsageError
from mdagent.exchanges import SUFFIXES, US

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-^=/:_")
_LONGEST = 32
_MONEY = frozenset("USD EUR GBP JPY CHF CAD AUD NZD SEK NOK DKK CNY HKD SGD INR KRW MXN BRL ZAR TRY PLN CZK HUF ILS THB".split())

Kind = Literal["equity", "index", "fx", "crypto", "future", "fund"]


class Symbol(NamedTuple):
    """What the user types: a ticker, with what its spelling tells.

    `mic` is the listing exchange (ISO 10383) where the spelling names one, `currencies` the quote currencies that an
    honest answer may have (empty: any). Made by `Symbol.parse`, which checks the grammar: at most 32 characters of
    `A-Z 0-9 . - ^ = / : _`, no `..`.
    """

    ticker: str
    kind: Kind = "equity"
    mic: str | None = None
    currencies: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.ticker

    @property
    def currency(self) -> str | None:
        """The one quote currency that the spelling implies, or None."""
        return self.currencies[0] if len(self.currencies) == 1 else None

    @classmethod
    def parse(cls, text: str | Symbol) -> Symbol:
        """The symbol that `text` names; lower case is taken as upper. Raises UsageError."""
        return text if isinstance(text, Symbol) else _parse_symbol(text)


@lru_cache(maxsize=65536)
def _parse_symbol(text: str) -> Symbol:
    ticker = text.strip().upper()
    if not ticker:
        msg = "the symbol is empty"
        raise UsageError(msg, "name one, such as AAPL, BRK.B or IBE.MC")
    if len(ticker) > _LONGEST or not _LETTERS.issuperset(ticker) or ticker[0] in ".-=/:_" or ".." in ticker or "//" in ticker:
        shown = text[:40] + ("…" if len(text) > 40 else "")
        msg = f"{shown!a} is not a symbol"
        raise UsageError(msg, "a symbol has at most 32 of A-Z 0-9 . - ^ = / : _, such as AAPL, BRK.B or IBE.MC")
    if ticker[-2:-1] == "-":
        ticker = re.sub(r"\A([A-Z]{1,5})-([A-K])\Z", r"\1.\2", ticker)
    kind, mic, currencies = _read_spelling(ticker)
    return Symbol(ticker, kind, mic, currencies)


def _read_spelling(ticker: str) -> tuple[Kind, str | None, tuple[str, ...]]:
    """Kind, exchange and possible currencies, by the spellings in common use (Yahoo's and the slash of FX desks)."""
    if ticker.isalpha():  # most are
        fund = len(ticker) == 5 and ticker.endswith("X")  # US mutual funds: five letters, the last an X
        return ("fund" if fund else "equity"), US.mic, US.currencies
    if ticker.startswith("^"):
        return "index", None, ()
    pair = re.fullmatch(r"([A-Z]{3})[/:]?([A-Z]{3})=X|([A-Z]{3})/([A-Z]{3})", ticker)
    if pair:
        base, quote = pair[1] or pair[3], pair[2] or pair[4]
        return ("fx" if base in _MONEY else "crypto"), None, (quote,)
    if ticker.endswith("=X"):
        return "fx", None, ()
    if ticker.endswith("=F"):
        return "future", None, ()
    coin = re.fullmatch(r"[A-Z0-9]{2,10}[-/]([A-Z]{3,4})", ticker)
    if coin and (coin[1] in _MONEY or coin[1] in ("USDT", "USDC", "BTC", "ETH")):
        return "crypto", None, (coin[1],)
    stem, _, suffix = ticker.rpartition(".")
    exchange = SUFFIXES.get(suffix) if stem else None
    if exchange:
        return ("fund" if stem.startswith("0P") else "equity"), exchange.mic, exchange.currencies
    if re.search(r"[:/=]|[^.]\.[A-Z]{3,}\Z", ticker):  # another vendor's word for an exchange, as in TSCO.LON
        return "equity", None, ()
    return "equity", US.mic, US.currencies
