"""The truth of the simulated market: what traded, at which raw price, in every session.

Any window of any symbol gives the same answer in every process: chance comes from `seed_of(symbol, year, ...)`, and the path is
pinned at two ends. It runs from the first trade to the anchor, where it meets the ticker's rough price, and walks on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.sessions import build
from mdagent.wire.sandbox.crises import CRISES, put_moves, storm
from mdagent.wire.sandbox.crises import halted as halted_days
from mdagent.wire.sandbox.tickers import seed_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from mdagent.wire.sandbox.tickers import Ticker

ANCHOR = np.datetime64("2025-12-31", "D")
HORIZON = date(2036, 1, 1)  # no later session exists here; calendars that know less end sooner
_EPOCH_OF_CALENDAR = {"XNYS": date(1962, 1, 1)}  # others begin in 1990 or where the library's knowledge does

_YEARLY_VOLATILITY = {"INDEX": 0.16, "ETF": 0.18, "MUTUALFUND": 0.15, "CURRENCY": 0.08, "CRYPTOCURRENCY": 0.55, "FUTURE": 0.22}


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """The sessions of a calendar as columns: `day` datetime64[D], instants in epoch seconds. Without a break both of its columns
    equal `closes`."""

    day: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    pause: np.ndarray
    resume: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Every session of a listing, first trade to horizon, in equal-length columns.

    Prices are raw, as traded, rounded to the tick, in the listing's currency; `volume` counts the shares of that day. `ratio` is new
    shares for an old one on the day a split takes effect, else 1; `dividend` and `gain` are amounts a share on the ex-date, else 0.
    `halted`: nothing traded, or the provider lost it.
    """

    ticker: Ticker
    hours: Hours
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    ratio: np.ndarray
    dividend: np.ndarray
    gain: np.ndarray
    halted: np.ndarray


_GAIN = 0.05  # of the price, paid out each year


class _Prices(NamedTuple):
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray


@lru_cache(maxsize=64)
def hours(calendar: str) -> Hours:
    """The whole table of a calendar; slow once (the calendar is built), then shared by all its symbols."""
    sessions = build(calendar, _EPOCH_OF_CALENDAR.get(calendar, date(1990, 1, 1)), HORIZON).sessions
    day = np.array([s.day for s in sessions], dtype="datetime64[D]")
    breaks = [s.breaks or (s.closes, s.closes) for s in sessions]
    opens, closes = _epochs(s.opens for s in sessions), _epochs(s.closes for s in sessions)
    pause, resume = _epochs(b[0] for b in breaks), _epochs(b[1] for b in breaks)
    for column in (day, opens, closes, pause, resume):
        column.flags.writeable = False
    return Hours(day, opens, closes, pause, resume)


def _epochs(instants: Iterable[datetime]) -> np.ndarray:
    return np.array([int(i.timestamp()) for i in instants], dtype=np.int64)


@lru_cache(maxsize=128)
def truth(ticker: Ticker) -> Truth:
    """All there is to know about a listing."""
    table = hours(ticker.calendar)
    begin = int(np.searchsorted(table.day, np.datetime64(ticker.first_trade, "D")))
    own = Hours(*(column[begin:] for column in (table.day, table.opens, table.closes, table.pause, table.resume)))
    ratio = _ratios(ticker, own.day)
    factor = later_product(ratio)
    noise = _noise(ticker, own.day)
    known = float(factor[min(int(np.searchsorted(own.day, ANCHOR)), len(factor) - 1)])
    prices = _after_gains(ticker, own.day, _prices(ticker, own.day, noise, factor, known))
    dividend, gain = _distributions(ticker, own.day, prices.close)
    halted = noise["halt"] < 0.004 if ticker.is_thin else halted_days(ticker.symbol, own.day)
    columns = (*prices, _volume(ticker, noise, factor, known), ratio, dividend, gain, halted)
    for column in columns:
        column.flags.writeable = False
    return Truth(ticker, own, *columns)


def later_product(ratio: np.ndarray) -> np.ndarray:
    """For each session the product of the split ratios after it: raw price over this is the split-adjusted price."""
    through = np.cumprod(ratio[::-1])[::-1]
    return np.append(through[1:], 1.0)


def _ratios(ticker: Ticker, day: np.ndarray) -> np.ndarray:
    ratio = np.ones(len(day))
    for split in ticker.splits:
        at = int(np.searchsorted(day, np.datetime64(split.day, "D")))
        if 0 < at < len(day):
            ratio[at] *= split.new / split.old
    return ratio


_DRAWS: Mapping[str, Callable[[np.random.Generator, int], np.ndarray]] = {  # in this order
    "step": lambda rng, n: rng.standard_t(4, n),
    "gap": lambda rng, n: rng.normal(0.0, 1.0, n),
    "up": lambda rng, n: rng.exponential(1.0, n),
    "down": lambda rng, n: rng.exponential(1.0, n),
    "trade": lambda rng, n: rng.normal(0.0, 0.35, n),
    "halt": lambda rng, n: rng.random(n),
}


def _noise(ticker: Ticker, day: np.ndarray) -> dict[str, np.ndarray]:
    """One draw a session and kind, seeded by symbol and year: a longer calendar or a later horizon changes no earlier session.

    `step` has unit variance, fat tails and calm and rough months.
    """
    if not len(day):
        return {name: np.zeros(0) for name in _DRAWS}
    first = day.astype("datetime64[Y]")
    year = (first - first[0]).astype(int)
    place = (day - first.astype("datetime64[D]")).astype(int)
    n = 372  # more than any year has sessions, and each is drawn by its place in the year, so that a late listing shifts nothing
    mood = np.empty((year[-1] + 1, 12))
    drawn = np.empty((year[-1] + 1, len(_DRAWS), n))
    for i in range(len(drawn)):
        rng = seed_of(ticker.symbol, 1970 + int(first[0].astype(int)) + i)
        mood[i] = np.exp(rng.normal(0.0, 0.35, 12))
        for row, draw in zip(drawn[i], _DRAWS.values(), strict=True):
            row[:] = draw(rng, n)
    noise = {name: drawn[year, k, place] for k, name in enumerate(_DRAWS)}
    wild = storm(ticker.symbol, day)
    noise["step"] = np.clip(noise["step"] / np.sqrt(2.0), -6, 6) * mood[year, day.astype("datetime64[M]").astype(int) % 12] * wild
    return noise | {name: noise[name] * wild for name in ("gap", "up", "down")}


def _prices(ticker: Ticker, day: np.ndarray, noise: dict[str, np.ndarray], factor: np.ndarray, known: float) -> _Prices:
    """The path is made on the split-adjusted scale, where it is smooth, then brought to the scale of its day.
    `known` is the factor at the anchor: splits that the ticker's price knows nothing of."""
    sigma = _volatility(ticker) / np.sqrt(365 if ticker.calendar == "24/7" else 252)
    end = float(np.log(ticker.price / known))
    steps = put_moves(ticker.symbol, day, sigma * noise["step"])
    path = _bridge(ticker, day, steps, end)
    before = np.concatenate((path[:1] - steps[:1], path[:-1]))
    if ticker.symbol in CRISES:
        noise["step"] = steps / sigma  # what volumes answer to
    opening = before + 0.35 * (path - before) + 0.3 * sigma * noise["gap"]
    top = np.maximum(opening, path) + 0.45 * sigma * noise["up"]
    bottom = np.minimum(opening, path) - 0.45 * sigma * noise["down"]
    if ticker.is_fund:
        opening = top = bottom = path
    places = ticker.price_hint
    raw = (np.maximum(np.round(np.exp(p) * factor, places), 10.0**-places) for p in (opening, top, bottom, path))
    return _Prices(*raw)


def _volatility(ticker: Ticker) -> float:
    own = float(seed_of(ticker.symbol, "volatility").uniform(0.18, 0.42))
    return _YEARLY_VOLATILITY.get(ticker.type, own)


def _bridge(ticker: Ticker, day: np.ndarray, steps: np.ndarray, end: float) -> np.ndarray:
    """Log prices: pinned at the first trade and at the anchor, a free walk with a gentle rise after it."""
    last = max(int(np.searchsorted(day, ANCHOR, side="right")) - 1, 0)
    path = np.cumsum(steps)
    path += end - path[last]
    years = last / (365 if ticker.calendar == "24/7" else 252)
    begin = _first_price(ticker, end, years)
    if last:
        path[: last + 1] += (begin - path[0]) * np.linspace(1.0, 0.0, last + 1)
    path[last:] += 0.04 / 252 * np.arange(len(path) - last)
    return path


def _first_price(ticker: Ticker, end: float, years: float) -> float:
    """The log of the split-adjusted price at the start: a raw price of some 20 where splits tell how far it rose, else a plain
    growth rate."""
    growth = {"CURRENCY": 0.0, "CRYPTOCURRENCY": 0.4, "FUTURE": 0.05}.get(ticker.type, 0.06)
    grown = end - growth * min(years, 60.0)
    if ticker.symbol in ("^VIX", "^TNX"):
        return end
    past = [s for s in ticker.splits if np.datetime64(s.day, "D") <= ANCHOR]
    total = float(np.prod([s.new / s.old for s in past])) if past else 1.0
    return 0.2 * grown + 0.8 * float(np.log(20.0 / total)) if total > 8 or total < 0.5 else grown


def _volume(ticker: Ticker, noise: dict[str, np.ndarray], factor: np.ndarray, known: float) -> np.ndarray:
    """Whole shares of the day; more of them when the price moves."""
    if ticker.is_fund or ticker.type == "CURRENCY":
        return np.zeros(len(factor), dtype=np.int64)
    low, high = {"INDEX": (21, 22), "CRYPTOCURRENCY": (20, 24), "FUTURE": (22, 24)}.get(ticker.type, (20.5, 23.5))
    if ticker.is_generated:
        low, high = (11, 13) if ticker.is_thin else (14, 18)
    money = np.exp(seed_of(ticker.symbol, "volume").uniform(low, high))
    shares = money / (1.0 if ticker.type == "INDEX" else ticker.price)
    lively = np.exp(noise["trade"]) * (0.7 + 0.4 * np.abs(noise["step"]))
    count: np.ndarray = np.maximum(np.round(shares * lively * known / factor), 100).astype(np.int64)
    return count


def _distributions(ticker: Ticker, day: np.ndarray, close: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dividends each quarter in America, in May elsewhere; active funds also distribute gains in December."""
    dividend, gain = np.zeros(len(day)), np.zeros(len(day))
    rng = seed_of(ticker.symbol, "payments")
    phase, offset = int(rng.integers(3)), int(rng.integers(4, 20))
    if ticker.dividend_yield and len(day):
        american = ticker.currency in ("USD", "CAD")
        months = np.arange(day[0].astype("datetime64[M]"), day[-1].astype("datetime64[M]"))
        due = months[months.astype(int) % 3 == phase] if american else months[months.astype(int) % 12 == 4]
        at = np.searchsorted(day, due.astype("datetime64[D]") + np.timedelta64(offset, "D"))
        at = at[(at > 20) & (at < len(day))]
        share = ticker.dividend_yield / 100 / (4 if american else 1)
        places = 2 if ticker.price > 20 else 4
        dividend[at] = np.maximum(np.round(close[at - 1] * share, places), 10.0**-places)
    firsts = _gain_days(ticker, day)
    gain[firsts] = np.round(close[firsts - 1] * _GAIN, 4)
    return dividend, gain


def _gain_days(ticker: Ticker, day: np.ndarray) -> np.ndarray:
    """The sessions in December on which a fund goes ex its gains."""
    if ticker.symbol not in ("FCNTX", "AGTHX"):
        return np.zeros(0, dtype=np.int64)
    december = np.flatnonzero((day.astype("datetime64[M]").astype(int) % 12 == 11) & (np.arange(len(day)) > 20))
    firsts: np.ndarray = december[np.diff(day[december].astype("datetime64[Y]").astype(int), prepend=0) != 0] + 10
    return firsts[firsts < len(day)]


def _after_gains(ticker: Ticker, day: np.ndarray, prices: _Prices) -> _Prices:
    """A fund that pays out a twentieth of itself is worth as much less from then on; at the anchor it has its price."""
    firsts = _gain_days(ticker, day)
    if not len(firsts):
        return prices
    paid = np.searchsorted(firsts, np.arange(len(day)), side="right")
    anchor = paid[min(int(np.searchsorted(day, ANCHOR)), len(day) - 1)]
    scale = (1.0 - _GAIN) ** (paid - anchor)
    return _Prices(*(np.round(column * scale, ticker.price_hint) for column in prices))
