"""What a provider can have wrong about the market: the rows of the table of kinds whose names are those of the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdagent.wire.faults.rows import Kind, Setting, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_EVERY: Final = Setting(20, "one bar of so many in a row is hit", 1, 10000)
_SELDOM: Final = _EVERY._replace(default=100)
_AGO: Final = Setting(5, "sessions before the fault's beginning at which it is wrong", 0, 10000)
_LONG_AGO: Final = _AGO._replace(default=60)
_LENGTH: Final = Setting(5, "sessions that it lasts", 1, 10000)


def _off(default: float) -> Setting:
    return Setting(default, "how far off, as a share", 0.0, 10.0)


def _times(default: float) -> Setting:
    return Setting(default, "what they are multiplied by", 1e-6, 1e6)


def _new(default: float, least: float) -> Setting:
    return Setting(default, "new shares for an old one", least, 100)


def _truth(says: str, **settings: Setting) -> Kind:
    return Kind("truth", says, settings)


DEFECTS: Final[Mapping[str, Kind]] = {
    "bad_tick": _truth(
        "a price here and there that nobody paid", every=_EVERY, size=_off(0.15), what=one_of("close", "row", "wick", says="what is off")
    ),
    "decimal_shift": _truth("bars here and there with the point misplaced", every=_EVERY, factor=_times(0.01)),
    "nan_field": _truth("a field here and there is empty", every=_EVERY, field=one_of("open", "high", "low", "volume", says="which one")),
    "zero_volume": _truth("a volume here and there is 0", every=_SELDOM),
    "negative_volume": _truth("a volume here and there is below 0", every=_EVERY),
    "high_low_swapped": _truth("high and low here and there in each other's place", every=_EVERY),
    "close_outside_range": _truth("a close here and there above the high", every=_EVERY, size=_off(0.08)),
    "nonpositive_price": _truth(
        "a price here and there is 0 or below",
        every=_EVERY,
        field=one_of("close", "open", "low", says="which one"),
        how=one_of("zero", "negative", says="what it is"),
    ),
    "column_swap": _truth("close and volume here and there in each other's place", every=_EVERY),
    "currency_mixup": _truth("from a day on prices in another unit", ago=_AGO, factor=_times(0.01)),
    "unadjusted_split": _truth(
        "what lies before a day is not adjusted for a split that is not told",
        ago=_AGO,
        ratio=_new(4.0, 0.01),
    ),
    "phantom_split": _truth("a split that never was is told and adjusted for", ago=_AGO, ratio=_new(2, 2)),
    "phantom_dividend": _truth(
        "a payment that never was is told and adjusted for", ago=_AGO, share=Setting(0.03, "of the price", 1e-4, 0.9)
    ),
    "bad_dividend_amount": _truth("each payment is told as another amount", factor=Setting(10.0, "times what it was", 0.0, 1000)),
    "missing_dividend_adjustment": _truth("adjusted prices are not adjusted for payments"),
    "bad_dividend_adjustment": _truth("adjusted prices are adjusted for each payment twice"),
    "stale_run": _truth("the same bar again and again", ago=_AGO, length=_LENGTH),
    "volume_scale": _truth(
        "volumes in another unit for a while",
        ago=_AGO,
        length=_LENGTH,
        factor=_times(1000.0),
    ),
    "missing_rows": _truth("a session here and there is missing", every=_EVERY),
    "truncated_history": _truth("history begins late", ago=_AGO),
    "duplicate_timestamp": _truth(
        "a session here and there is told twice", every=_EVERY, how=one_of("differing", "same", says="whether the two differ")
    ),
    "non_trading_day_bar": _truth("bars of Saturdays", every=Setting(4, "one week of so many in a row has one", 1, 10000)),
    "date_shifted": _truth("the sessions before the fault's beginning are dated a day early", ago=_LONG_AGO),
    "future_timestamp": _truth("between two sessions there is a bar of the next one"),
    "adjusted_raw_mix": _truth("before a split some sessions as they were traded", every=_EVERY),
    "other_instrument": _truth(
        "from a day on the bars of another listing, under the name of the one asked for", ago=_LONG_AGO, symbol=Setting("KO", "which one")
    ),
    "provider_drift": _truth(
        "prices move slowly away from everybody else's",
        ago=_LONG_AGO,
        rate=Setting(0.001, "share of the price, each session anew", -0.1, 0.1),
    ),
    "rewritten_history": _truth(
        "what lies before is told anew, a little differently", ago=_AGO, size=Setting(0.02, "at most so far off, as a share", 0.0, 1.0)
    ),
}
