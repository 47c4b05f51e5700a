"""Answers held against what was traded in the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.literal import naive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdagent.market import BarRequest, Quote
    from mdagent.store.read import Reader
    from mdagent.wire.sandbox.view import View

NEAR, HALF_A_TICK = 0.001, 0.0051  # further than a thousandth, and than half a cent, from the truth is wrong
_TS, _PRICES, _SCORE, _PROVISIONAL = 2, slice(3, 7), 11, 12


class Compared(NamedTuple):
    """Bars of one symbol against the truth: how many there are, which are wrong (by epoch second, with the letter of their grade), how
    many stand twice or are missing between others, and for how long the first finished one that is missing at the end has been over
    (seconds). Provisional bars are not compared, and are there
    once they are what the finished session was."""

    bars: int = 0
    wrong: Mapping[int, str] = {}
    twice: int = 0
    missing: int = 0
    stale: float = 0.0
    provisional: int = 0
    stamps: tuple[int, ...] = ()

    @property
    def right(self) -> bool:
        """Is there nothing wrong with what is there?"""
        return not (self.wrong or self.twice or self.missing)


def compare(rows: Sequence[tuple[Any, ...]], request: BarRequest, now: datetime) -> Compared:
    """The rows of one request, in the order of `store.read.STORED`, against what was known at `now`."""
    from mdagent.quality.letters import band

    seen = _view(request.symbol.ticker, now)
    want = _expected(seen, request)
    final = [row for row in rows if not row[_PROVISIONAL]]
    stamps = [_stamp(row[_TS]) for row in final]
    wrong: dict[int, str] = {}
    for stamp, row in zip(stamps, final, strict=True):
        if stamp not in want or not _same(row[_PRICES], want[stamp]):
            wrong[stamp] = band(row[_SCORE]) if row[_SCORE] is not None else "ungraded"
    there = set(stamps)
    told = [(_stamp(row[_TS]), row[_PRICES]) for row in rows if row[_PROVISIONAL]]
    last = max([*stamps, *(stamp for stamp, prices in told if stamp in want and _same(prices, want[stamp]))], default=0)
    missing = sum(stamp not in there for stamp in want if stamp < last)
    late = [stamp for stamp in want if stamp > last]
    stale = now.timestamp() - min(_ends(seen, stamp, request) for stamp in late) if late else 0.0
    return Compared(len(rows), wrong, len(stamps) - len(there), missing, max(0.0, stale), len(rows) - len(final), tuple(stamps))


def set_aside(reader: Reader, request: BarRequest) -> set[int]:
    """The stamps of final bars that the store has, and leaves out of this series since it does not know enough of their source's splits:
    they are not lost, and whoever fetches the series hears why."""
    left = {one.source for one in reader.joint(request).left}
    if not left:
        return set()
    window = [request.symbol.ticker, request.interval.value, naive(request.start), naive(request.end)]
    told = reader.ask("SELECT source, ts FROM bars WHERE symbol = ? AND interval = ? AND ts >= ? AND ts < ? AND NOT provisional", window)
    return {_stamp(ts) for source, ts in told.fetchall() if source in left}


def quote_is_right(told: Quote, now: datetime) -> bool:
    """Is that a price at which the symbol changed hands in one of the last two sessions?"""
    return price_is_right(told.symbol.ticker, told.last, now)


def price_is_right(ticker: str, last: float, now: datetime) -> bool:
    """The same of a name and a number."""
    seen = _view(ticker, now)
    low = max(0, seen.begun - 2)
    days = seen.daily(low, seen.begun)
    return bool((days.low * (1 - NEAR) - HALF_A_TICK <= last).any() and (days.high * (1 + NEAR) + HALF_A_TICK >= last).any())


def _view(ticker: str, now: datetime) -> View:
    from mdagent.wire.sandbox.market import truth
    from mdagent.wire.sandbox.tickers import listing
    from mdagent.wire.sandbox.view import view

    found = listing(ticker)
    if found is None:
        msg = f"{ticker} is not traded in the sandbox"
        raise LookupError(msg)
    return view(truth(found), int(now.timestamp()))


def _expected(seen: View, request: BarRequest) -> dict[int, tuple[float, ...]]:
    """The prices of every finished bar in the window, by epoch second; a session's day stands for its midnight UTC."""
    import numpy as np

    hours, start, end = seen.truth.hours, request.start.timestamp(), request.end.timestamp()
    if request.interval.intraday:
        low, high = int(np.searchsorted(hours.closes, start)), int(np.searchsorted(hours.opens, end))
        strip = seen.intraday(low, high, request.interval.seconds)
        stamps, known = strip.stamp, strip.stamp + request.interval.seconds <= seen.now
    else:
        low, high = (int(np.searchsorted(hours.day, np.datetime64(int(t), "s"))) for t in (start, end))
        strip = seen.daily(low, min(high, seen.done))
        stamps = hours.day[low : min(high, seen.done)].astype("datetime64[s]").astype(np.int64)
        known = ~np.isnan(strip.close)
    return {
        int(stamp): tuple(float(column[n]) for column in (strip.open, strip.high, strip.low, strip.close))
        for n, stamp in enumerate(stamps)
        if known[n] and start <= stamp < end
    }


def _ends(seen: View, stamp: int, request: BarRequest) -> float:
    import numpy as np

    if request.interval.intraday:
        return float(stamp + request.interval.seconds)
    return float(seen.truth.hours.closes[int(np.searchsorted(seen.truth.hours.day, np.datetime64(stamp, "s")))])


def _stamp(ts: Any) -> int:  # noqa: ANN401  naive UTC, as the store has it
    return int((ts if ts.tzinfo else ts.replace(tzinfo=UTC)).timestamp())


def _same(told: Sequence[object], want: Sequence[float]) -> bool:
    return all(_near(a, b) for a, b in zip(told, want, strict=True))


def _near(told: object, want: float) -> bool:
    return isinstance(told, float) and abs(told - want) <= max(HALF_A_TICK, NEAR * abs(want))
