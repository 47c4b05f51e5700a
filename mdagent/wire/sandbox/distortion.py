"""What a provider has wrong about the market, for as long as a fault lasts: a view of the truth that is spoilt in one way or several.

The truth itself is never touched, so that a referee can still tell what was right. Where a defect falls is a function of the listing, the
provider, the kind and the plan's dice alone: asked twice, a provider is wrong twice about the same bars.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from mdagent.wire.sandbox.distorted_bars import BARS
from mdagent.wire.sandbox.distorted_sessions import SESSIONS
from mdagent.wire.sandbox.intraday import Strip
from mdagent.wire.sandbox.market import hours
from mdagent.wire.sandbox.view import view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mdagent.wire.sandbox.market import Truth
    from mdagent.wire.sandbox.tickers import Ticker
    from mdagent.wire.sandbox.view import View

# How far the dividends before today go into adjusted prices: not at all, or twice.
PAYOUTS: Final[Mapping[str, float]] = {"missing_dividend_adjustment": 0.0, "bad_dividend_adjustment": 2.0}


class Circumstance(NamedTuple):
    """What a distortion is made with: its settings, the seed of its places, the number of sessions that were over when its fault began,
    the session from which on (or before which) it is wrong, `ago` sessions earlier, and the time now."""

    settings: Mapping[str, Any]
    seed: int
    at: int
    since: int
    now: int


class Distortion(NamedTuple):
    """One fault of the truth at one provider. `began` is when it came into force, in epoch seconds; `salt` comes from the dice."""

    kind: str
    settings: Mapping[str, Any]
    began: int
    salt: str

    def seed(self, symbol: str) -> int:
        """What decides where a listing is hit."""
        return int.from_bytes(blake2b(f"{self.salt} {self.kind} {symbol}".encode(), digest_size=7).digest(), "big")

    def circumstance(self, truth: Truth, now: int) -> Circumstance:
        """That of a listing."""
        finished = int(np.searchsorted(truth.hours.closes, self.began, side="right"))
        since = min(max(finished - int(self.settings.get("ago", 0)), 1), len(truth.close) - 1)
        return Circumstance(self.settings, self.seed(truth.ticker.symbol), finished, since, now)


_told: ContextVar[tuple[Distortion, ...]] = ContextVar("mdagent_sandbox_distortions", default=())


@contextmanager
def distorted(distortions: Sequence[Distortion]) -> Iterator[None]:
    """Whatever is looked at within is seen so."""
    token = _told.set(tuple(distortions))
    try:
        yield
    finally:
        _told.reset(token)


def seen(truth: Truth, now: int) -> View:
    """The listing as it stands at `now`, in the eyes of who is asked."""
    distortions = _told.get()
    if not distortions or len(truth.close) < 2:
        return view(truth, now)
    made = [(one.kind, one.circumstance(truth, now)) for one in distortions]
    for kind, circumstance in made:
        if kind in SESSIONS:
            truth = SESSIONS[kind](truth, circumstance)
    rows = [(BARS[kind], circumstance) for kind, circumstance in made if kind in BARS]
    power = next((PAYOUTS[kind] for kind, _ in made if kind in PAYOUTS), 1.0)
    return replace(view(truth, now), spoil=_spoiling(rows) if rows else None, power=power)


def spoilt_day(strip: Strip, tickers: Sequence[Ticker], at: int) -> Strip:
    """One session of many listings, a row each, in the eyes of who is asked; `at` is its number in the calendar that all of them share. Of
    what a provider has wrong only single bars are seen so, not what is wrong with whole histories: to look those up for a whole market
    takes too long."""
    rows = [one for one in _told.get() if one.kind in BARS]
    if not rows:
        return strip
    columns = [column.astype(np.float64) for column in strip.columns[1:]]
    for i, ticker in enumerate(tickers):
        begin = int(np.searchsorted(hours(ticker.calendar).day, np.datetime64(ticker.first_trade, "D")))
        row = Strip(strip.stamp[i : i + 1], *(column[i : i + 1] for column in columns))
        for one in rows:
            row = BARS[one.kind](row, np.array([at - begin]), Circumstance(one.settings, one.seed(ticker.symbol), 0, 0, 0))
        for column, value in zip(columns, row.columns[1:], strict=True):
            column[i] = value[0]
    return Strip(strip.stamp, *columns)


def _spoiling(
    rows: Sequence[tuple[Callable[[Strip, np.ndarray, Circumstance], Strip], Circumstance]],
) -> Callable[[Strip, np.ndarray], Strip]:
    def spoil(strip: Strip, number: np.ndarray) -> Strip:
        for change, circumstance in rows:
            strip = change(strip, number, circumstance)
        return strip

    return spoil
