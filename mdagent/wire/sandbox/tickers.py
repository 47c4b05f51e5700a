"""The listings of the simulated market: some 600 familiar tickers, SYM00001 to SYM99999, nothing else.

`tickers.csv` gives real names, exchanges, currencies and (some rounded) first trade dates; `price` is the rough raw price at
the turn of 2025 to 2026, `dividend_yield` a rough percentage a year. `splits.csv` has the dates and ratios of well-known splits.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files
from typing import TYPE_CHECKING

from mdagent.market import Instrument, Symbol
from mdagent.sessions import FUND, calendar_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

_GENERATED = re.compile(r"SYM(?!00000)\d{5}\Z")
_US_CLASS = re.compile(r"([A-Z]{1,5})\.([A-K])\Z")

_FULL_NAMES = dict(
    pair.split("=")
    for pair in (
        "NMS=NasdaqGS;NGM=NasdaqGM;NAS=Nasdaq;NIM=Nasdaq GIDS;NYQ=NYSE;NYS=NYSE;PCX=NYSEArca;SNP=SNP;CMX=COMEX;"
        "NYM=NY Mercantile;CBT=CBOT;MCE=MCE;GER=XETRA;PAR=Paris;AMS=Amsterdam;BRU=Brussels;MIL=Milan;EBS=Swiss;LSE=LSE;"
        "FGI=FTSE Index;CPH=Copenhagen;OSL=Oslo;STO=Stockholm;HEL=Helsinki;TOR=Toronto;JPX=Tokyo;OSA=Osaka;HKG=HKSE;KSC=KSE;"
        "TAI=Taiwan;NSI=NSE;SAO=São Paulo"
    ).split(";")
)


@dataclass(frozen=True, slots=True)
class Split:
    """`new` shares for `old` ones, from the session of `day` on; a reverse split has fewer new than old."""

    day: date
    new: int
    old: int


@dataclass(frozen=True, slots=True)
class Ticker:
    """A listing. `symbol` is mdagent's spelling, `yahoo` Yahoo's; `price` is raw, in `currency` (GBp for London), at the anchor."""

    symbol: str
    name: str
    exchange: str
    zone: str
    currency: str
    type: str
    first_trade: date
    price: float
    dividend_yield: float
    splits: tuple[Split, ...] = ()

    @property
    def yahoo(self) -> str:
        return _US_CLASS.sub(r"\1-\2", self.symbol)

    @property
    def exchange_name(self) -> str:
        """The exchange as Yahoo writes it in full."""
        return _FULL_NAMES.get(self.exchange, self.exchange)

    @property
    def calendar(self) -> str:
        """The trading calendar; a fund's is that of its exchange."""
        symbol = Symbol.parse(self.symbol)
        told = Instrument(symbol, "sandbox", exchange=self.exchange, zone=self.zone, kind=self.type)
        return calendar_of(symbol, told).removeprefix(FUND)

    @property
    def is_fund(self) -> bool:
        """One price a session, told after its close."""
        return self.type == "MUTUALFUND"

    @property
    def is_generated(self) -> bool:
        """One of SYM00001 to SYM99999?"""
        return _GENERATED.match(self.symbol) is not None

    @property
    def is_thin(self) -> bool:
        """Halted now and then: every tenth of the generated names, none of the familiar ones."""
        return self.is_generated and self.symbol.endswith("7")

    @property
    def price_hint(self) -> int:
        """Decimals of a price, as Yahoo's `priceHint`."""
        return 4 if self.type == "CURRENCY" or self.price < 1 else 2


def seed_of(*words: object) -> np.random.Generator:
    """A random generator that the words alone determine, in any process on any day."""
    import numpy as np

    digest = blake2b("\x1f".join(map(str, words)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def listing(symbol: str) -> Ticker | None:
    """The listing of mdagent's own spelling (BRK.B), or None. Case does not matter."""
    name = symbol.upper()
    return _generated(name) if _GENERATED.match(name) else _by_symbol().get(name)


@lru_cache(maxsize=1)
def _by_symbol() -> dict[str, Ticker]:
    return {t.symbol: t for t in _familiar().values()}


def find(yahoo: str) -> Ticker | None:
    """The listing that Yahoo's spelling names (BRK-B, not BRK.B), or None. Case does not matter."""
    name = yahoo.upper()
    return _generated(name) if _GENERATED.match(name) else _familiar().get(name)


def familiar() -> Iterator[Ticker]:
    """All but the generated listings."""
    yield from _familiar().values()


@lru_cache(maxsize=1)
def _familiar() -> dict[str, Ticker]:
    splits: dict[str, list[Split]] = {}
    for row in _rows("splits.csv"):
        splits.setdefault(row["symbol"], []).append(Split(date.fromisoformat(row["date"]), int(row["new"]), int(row["old"])))
    found = [
        Ticker(
            symbol=row["symbol"],
            name=row["name"],
            exchange=row["exchange"],
            zone=row["zone"],
            currency=row["currency"],
            type=row["type"],
            first_trade=date.fromisoformat(row["first_trade"]),
            price=float(row["price"]),
            dividend_yield=float(row["dividend_yield"]),
            splits=tuple(splits.get(row["symbol"], ())),
        )
        for row in _rows("tickers.csv")
    ]
    return {t.yahoo: t for t in found}


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(files(__package__).joinpath(name).read_text(encoding="utf-8").splitlines()))


@lru_cache(maxsize=4096)
def _generated(symbol: str) -> Ticker:
    rng = seed_of(symbol, "listing")
    first = date(1990, 1, 2) + timedelta(days=int(rng.integers(0, 30 * 365)))
    price = round(float(rng.lognormal(3.7, 0.9)), 2)
    pays = round(float(rng.uniform(0.5, 5.0)), 2) if rng.random() < 0.5 else 0.0
    splits: tuple[Split, ...] = ()
    if rng.random() < 0.3:  # some lie ahead of every clock in use today: history is restated when they come
        day = date(2005, 1, 3) + timedelta(days=int(rng.integers(0, 26 * 365)))
        new, old = ((2, 1), (3, 1), (3, 2), (4, 1), (1, 10))[int(rng.integers(5))]
        splits = (Split(day, new, old),) if day > first + timedelta(days=30) else ()
    name = f"Synthetic Holdings {symbol[3:]}"
    return Ticker(symbol, name, "NYQ", "America/New_York", "USD", "EQUITY", first, price, pays, splits)
