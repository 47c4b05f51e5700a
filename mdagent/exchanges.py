"""Exchanges by ticker suffix: MIC, quote currencies and trading calendar. Facts only.

Suffixes are those of Yahoo Finance, which most people type. `currencies` lists what listings there are quoted in, minor
units included (GBp, ZAc and ILA are hundredths); a source that answers in another one answered for another instrument.
`calendar` is a code of exchange_calendars, or "" where that library has none.
"""

from __future__ import annotations

from typing import NamedTuple


class Exchange(NamedTuple):
    """One place of listing."""

    mic: str
    currencies: tuple[str, ...]
    calendar: str


# Codes of a hundredth of a currency, as providers spell them -> the currency, and how many make one of it.
MINOR = {
    "GBp": ("GBP", 100.0),
    "GBX": ("GBP", 100.0),
    "GBx": ("GBP", 100.0),
    "ZAc": ("ZAR", 100.0),
    "ZAC": ("ZAR", 100.0),
    "ILA": ("ILS", 100.0),
}


def unit_of(currency: str) -> tuple[str, float]:
    """The major currency, and how many of these units make one of it: `GBp` is ("GBP", 100), `USD` ("USD", 1)."""
    return MINOR.get(currency, (currency, 1.0))


US = Exchange("XNYS", ("USD",), "XNYS")  # a bare ticker: NYSE, Nasdaq, Arca and OTC share sessions and currency

SUFFIXES: dict[str, Exchange] = {
    "AS": Exchange("XAMS", ("EUR", "USD"), "XAMS"),
    "AT": Exchange("ASEX", ("EUR",), "ASEX"),
    "AX": Exchange("XASX", ("AUD",), "XASX"),
    "BA": Exchange("XBUE", ("ARS", "USD"), "XBUE"),
    "BE": Exchange("XBER", ("EUR",), "XFRA"),
    "BK": Exchange("XBKK", ("THB",), "XBKK"),
    "BO": Exchange("XBOM", ("INR",), "XBOM"),
    "BR": Exchange("XBRU", ("EUR",), "XBRU"),
    "CN": Exchange("XCNQ", ("CAD", "USD"), "XTSE"),
    "CO": Exchange("XCSE", ("DKK",), "XCSE"),
    "DE": Exchange("XETR", ("EUR", "USD"), "XETR"),
    "DU": Exchange("XDUS", ("EUR",), "XDUS"),
    "F": Exchange("XFRA", ("EUR", "USD"), "XFRA"),
    "HA": Exchange("XHAN", ("EUR",), "XFRA"),
    "HE": Exchange("XHEL", ("EUR",), "XHEL"),
    "HK": Exchange("XHKG", ("HKD", "USD", "CNY"), "XHKG"),
    "HM": Exchange("XHAM", ("EUR",), "XHAM"),
    "IC": Exchange("XICE", ("ISK",), "XICE"),
    "IR": Exchange("XDUB", ("EUR",), "XDUB"),
    "IS": Exchange("XIST", ("TRY",), "XIST"),
    "JK": Exchange("XIDX", ("IDR",), "XIDX"),
    "JO": Exchange("XJSE", ("ZAc", "ZAR"), "XJSE"),
    "KL": Exchange("XKLS", ("MYR",), "XKLS"),
    "KQ": Exchange("XKRX", ("KRW",), "XKRX"),
    "KS": Exchange("XKRX", ("KRW",), "XKRX"),
    "L": Exchange("XLON", ("GBp", "GBP", "USD", "EUR"), "XLON"),
    "LS": Exchange("XLIS", ("EUR",), "XLIS"),
    "MC": Exchange("XMAD", ("EUR",), "XMAD"),
    "MI": Exchange("XMIL", ("EUR",), "XMIL"),
    "MU": Exchange("XMUN", ("EUR",), "XFRA"),
    "MX": Exchange("XMEX", ("MXN",), "XMEX"),
    "NE": Exchange("NEOE", ("CAD", "USD"), "XTSE"),
    "NS": Exchange("XNSE", ("INR",), "XBOM"),
    "NZ": Exchange("XNZE", ("NZD",), "XNZE"),
    "OL": Exchange("XOSL", ("NOK",), "XOSL"),
    "PA": Exchange("XPAR", ("EUR", "USD"), "XPAR"),
    "PR": Exchange("XPRA", ("CZK",), "XPRA"),
    "SA": Exchange("BVMF", ("BRL",), "BVMF"),
    "SG": Exchange("XSTU", ("EUR",), "XFRA"),
    "SI": Exchange("XSES", ("SGD", "USD", "HKD", "CNY", "EUR", "AUD", "JPY", "GBP"), "XSES"),
    "SN": Exchange("XSGO", ("CLP", "USD"), "XSGO"),
    "SR": Exchange("XSAU", ("SAR",), "XSAU"),
    "SS": Exchange("XSHG", ("CNY", "USD"), "XSHG"),
    "ST": Exchange("XSTO", ("SEK", "EUR"), "XSTO"),
    "SW": Exchange("XSWX", ("CHF", "USD", "EUR", "GBP"), "XSWX"),
    "SZ": Exchange("XSHE", ("CNY", "HKD"), "XSHG"),
    "T": Exchange("XTKS", ("JPY",), "XTKS"),
    "TA": Exchange("XTAE", ("ILA", "ILS"), "XTAE"),
    "TL": Exchange("XTAL", ("EUR",), "XTAL"),
    "TO": Exchange("XTSE", ("CAD", "USD"), "XTSE"),
    "TW": Exchange("XTAI", ("TWD",), "XTAI"),
    "TWO": Exchange("ROCO", ("TWD",), "XTAI"),
    "V": Exchange("XTSX", ("CAD", "USD"), "XTSE"),
    "VI": Exchange("XWBO", ("EUR",), "XWBO"),
    "WA": Exchange("XWAR", ("PLN",), "XWAR"),
}
