"""Polygon's aggregates: bars of one ticker in pages, and one day of the whole market."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np

from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.dialects import whole
from mdagent.wire.sandbox.dialects.polygon import DAY, NEW_YORK, Refusal, check_entitled, known, limit_of, midnight_before, truth_of
from mdagent.wire.sandbox.distortion import spoilt_day
from mdagent.wire.sandbox.intraday import EMPTY, Strip
from mdagent.wire.sandbox.market import hours, truth
from mdagent.wire.sandbox.tickers import listing
from mdagent.wire.sandbox.view import midnights

if TYPE_CHECKING:
    from mdagent.wire.sandbox.dialects.polygon import Question
    from mdagent.wire.sandbox.series import Bars, Basis
    from mdagent.wire.sandbox.tickers import Ticker
    from mdagent.wire.sandbox.view import View

_SPANS = {"minute": 60, "hour": 3600, "day": DAY, "week": 7 * DAY, "month": 31 * DAY}
_INTRADAY = {60: "1m", 300: "5m", 900: "15m", 1800: "30m", 3600: "1h"}
_LONGER: dict[str, Literal["1w", "1mo"]] = {"week": "1w", "month": "1mo"}
_BASE = {"minute": 1, "hour": 60, "day": 1, "week": 5, "month": 21}  # base bars of one: minutes, or days
_MOST, _DEFAULT = 50_000, 5_000
_BEFORE, _AFTER, _HALF = 19_800, 14_400, 1800  # seconds of trading before the open and after the close; half an hour
_GENERATED = 99  # of the generated names, so many are in the list of the whole market


def aggregates(question: Question) -> dict[str, Any]:
    """`/v2/aggs/ticker/T/range/multiplier/timespan/from/to`, both ends included and widened to whole bars. Raises Refusal."""
    name, multiplier, span, first, last = question.names
    zone = "UTC" if name.startswith(("C:", "X:")) else NEW_YORK
    start, end = _moment(first, zone, "from"), _moment(last, zone, "to", end=True)
    seconds = int(multiplier) * _SPANS.get(span, 0)
    if seconds not in _INTRADAY and not (multiplier == "1" and seconds):
        raise Refusal(400, "ERROR", f"{multiplier} {span} is no range of the sandbox")
    if start > end:
        raise Refusal(400, "ERROR", "The 'to' time must not be before the 'from' time.")
    check_entitled(question, start // 1000, end // 1000, zone)
    adjusted = question.query.get("adjusted", "true").lower() != "false"
    ticker = truth_of(name)
    strip = EMPTY
    if ticker is not None:
        seen = series.at(ticker, question.now)
        basis: Basis = "splits" if adjusted else "raw"
        longer = seconds >= DAY
        strip = _days(seen, span, basis, start, end) if longer else _times(seen, seconds, basis, start, end)
    return _page(
        question, strip, adjusted=adjusted, late=question.plan != "advanced" and end // 1000 >= midnight_before(question.clock, zone)
    )


def _moment(told: str, zone: str, name: str, *, end: bool = False) -> int:
    """Epoch milliseconds of a date (its last millisecond for an `end`) or of themselves."""
    if told.isdecimal() and len(told) < 15:
        return int(told)
    try:
        day = np.datetime64(date.fromisoformat(told), "D")
    except ValueError:
        raise Refusal(400, "ERROR", f"Could not parse the time parameter: '{name}'. Use YYYY-MM-DD or Unix MS Timestamps") from None
    return int(midnights(zone, np.array([day + 1]))[0]) * 1000 - 1 if end else int(midnights(zone, np.array([day]))[0]) * 1000


def _days(seen: View, span: str, basis: Basis, start: int, end: int) -> Strip:
    """Days, weeks from Sunday and months that touch the window, stamped where they begin."""
    zone = "UTC" if seen.truth.ticker.type in ("CURRENCY", "CRYPTOCURRENCY") else NEW_YORK
    bars = (series.daily(seen, basis) if span == "day" else series.periods(seen, _LONGER[span], basis)).traded
    first = bars.day - 1 if span == "week" else bars.day
    after = first + {"day": 1, "week": 7}.get(span, 0)
    if span == "month":
        after = (first.astype("datetime64[M]") + 1).astype("datetime64[D]")
    low, high = (np.datetime64(edge // 1000, "s").astype("datetime64[D]") for edge in (start, end))
    near = (after >= low - 1) & (first <= high + 1)  # so that few midnights are looked up
    stamps, ends = midnights(zone, first[near]), midnights(zone, after[near])
    inside = (ends * 1000 > start) & (stamps * 1000 <= end)
    return Strip(stamps[inside], *(column[near][inside] for column in _columns(bars)))


def _columns(bars: Bars) -> tuple[np.ndarray, ...]:
    return bars.open, bars.high, bars.low, bars.close, bars.volume


def _times(seen: View, seconds: int, basis: Basis, start: int, end: int) -> Strip:
    """Bars that touch the window: on the clock's grid, from 04:00 to 20:00 in New York for stocks."""
    begin, after = start // 1000 // seconds * seconds, end // 1000 // seconds * seconds + seconds
    kind = seen.truth.ticker.type
    clock_hours = seconds == 3600 and kind in ("EQUITY", "ETF", "INDEX")
    bars = series.intraday(seen, "30m" if clock_hours else _INTRADAY[seconds], begin, after, basis).traded
    strip = Strip(bars.opens, *_columns(bars))
    if kind in ("EQUITY", "ETF"):
        strip = Strip.join([strip, _extended(seen, begin, after, basis)])
        order = np.argsort(strip.stamp, kind="stable")
        strip = Strip(*(column[order] for column in strip.columns))
    if not clock_hours or not len(strip):
        return strip
    label = strip.stamp // 3600 * 3600
    first = np.flatnonzero(np.diff(label, prepend=-1) != 0)
    return strip.grouped(first, label[first])


def _extended(seen: View, begin: int, after: int, basis: Basis) -> Strip:
    """One trade of 100 shares each half hour before the open, at its price, and after the close."""
    table, found = seen.truth, []
    low, high = np.searchsorted(table.hours.day, [np.datetime64(edge, "s").astype("datetime64[D]") for edge in (begin - DAY, after + DAY)])
    for at in range(int(low), min(int(high), seen.begun)):
        opens, closes = int(table.hours.opens[at]), int(table.hours.closes[at])
        stamps = np.concatenate((np.arange(opens - _BEFORE, opens, _HALF), np.arange(closes, closes + _AFTER, _HALF)))
        stamps = stamps[(stamps >= begin) & (stamps < after) & (stamps < seen.now)]
        if table.halted[at] or not len(stamps):
            continue
        factor = 1.0 if basis == "raw" else float(seen.factor[at])
        price = np.where(stamps < opens, table.open[at], table.close[at]) / factor
        found.append(Strip(stamps, price, price, price, price, np.full(len(stamps), np.round(100.0 * factor))))
    return Strip.join(found)


def _page(question: Question, strip: Strip, *, adjusted: bool, late: bool) -> dict[str, Any]:
    name, multiplier, span, first, last = question.names
    base = int(multiplier) * _BASE[span]
    limit = limit_of(question, _DEFAULT, _MOST)
    size = max(1, limit // base)
    newest_first = question.query.get("sort") == "desc"
    if newest_first:
        strip = Strip(*(column[::-1] for column in strip.columns))
    rows = _rows(strip.upto(size), bare=name.startswith("I:"))
    made: dict[str, Any] = {"ticker": name, "queryCount": len(rows) * base, "resultsCount": len(rows), "adjusted": adjusted}
    if rows:
        made |= {"results": rows}
    made |= {"status": "DELAYED" if late else "OK", "count": len(rows)}
    if len(strip) > size:
        following = int(strip.stamp[size]) * 1000
        edges = f"{first}/{following}" if newest_first else f"{following}/{last}"
        query = {"adjusted": str(adjusted).lower(), "limit": str(limit), "sort": "desc" if newest_first else "asc"}
        made["next_url"] = question.following(f"/v2/aggs/ticker/{name}/range/{multiplier}/{span}/{edges}", query)
    return made


def _rows(strip: Strip, *, bare: bool) -> list[dict[str, Any]]:
    """Objects with one letter a key. Indices have no volume, and so no average price and no count of trades."""
    stamps = (strip.stamp * 1000).tolist()
    o, h, l, c = ([float(f"{v:.10g}") for v in column.tolist()] for column in strip.columns[1:5])  # noqa: E741 - OHLC
    if bare:
        return [{"o": a, "c": d, "h": b, "l": e, "t": t} for a, b, e, d, t in zip(o, h, l, c, stamps, strict=True)]
    volume = strip.volume.tolist()
    mean = [float(f"{v:.8g}") for v in ((strip.open + strip.high + strip.low + strip.close) / 4).tolist()]
    return [
        {"v": v, "vw": w, "o": a, "c": d, "h": b, "l": e, "t": t, "n": (whole(v) or 0) // 100 + 1}
        for v, w, a, b, e, d, t in zip(volume, mean, o, h, l, c, stamps, strict=True)
    ]


def grouped(question: Question) -> dict[str, Any]:
    """`/v2/aggs/grouped/locale/us/market/stocks/DATE`: every stock that traded, stamped at 16:00; nothing on a holiday. Raises Refusal."""
    start = _moment(question.names[0], NEW_YORK, "date")
    check_entitled(question, start // 1000, start // 1000 + DAY, NEW_YORK)
    adjusted = question.query.get("adjusted", "true").lower() != "false"
    made: dict[str, Any] = {"queryCount": 0, "resultsCount": 0, "adjusted": adjusted, "status": "OK", "count": 0}
    table = hours("XNYS")
    day = np.datetime64(question.names[0], "D")
    at = int(np.searchsorted(table.day, day))
    if at == len(table.day) or table.day[at] != day or table.closes[at] > question.now:
        return made
    today = table.day[int(np.searchsorted(table.opens, question.now, side="right")) - 1]
    stamp = int(midnights(NEW_YORK, table.day[at : at + 1])[0]) + 16 * 3600
    market = _decade(int(str(day)[:3]))
    told = market.bars[:, at - market.first]
    there = np.flatnonzero(~np.isnan(told[0]))
    o, h, l, c, v = told[:, there]  # noqa: E741 - OHLC
    factor = np.array([_later(market.tickers[i], day, today) if adjusted else 1.0 for i in there.tolist()])
    strip = Strip(np.full(len(there), stamp), o / factor, h / factor, l / factor, c / factor, np.round(v * factor))
    strip = spoilt_day(strip, [market.tickers[i] for i in there.tolist()], at)
    rows = [{"T": market.names[i], **row} for i, row in zip(there.tolist(), _rows(strip, bare=False), strict=True)]
    count = len(rows)
    return made | {"queryCount": count, "resultsCount": count, "count": count} | ({"results": rows} if rows else {})


def _later(ticker: Ticker, day: np.datetime64, today: np.datetime64) -> float:
    """Shares of today for one of that day."""
    return float(np.prod([s.new / s.old for s in ticker.splits if day < np.datetime64(s.day) <= today])) if ticker.splits else 1.0


class _Market(NamedTuple):
    """Raw bars of all stocks: `bars` by column (open to volume), session and stock, NaN where one did not trade. `first` is the number
    of the first session in the calendar."""

    names: list[str]
    tickers: list[Ticker]
    first: int
    bars: np.ndarray


@lru_cache(maxsize=2)
def _decade(tens: int) -> _Market:
    """Ten years of the whole market; seconds the first time. Some 55 MB, where the stocks' whole histories, of which they are taken,
    would be 300: those are not kept, nor do they displace the ones that are."""
    stocks = [(name, ticker) for name, ticker in known() if ":" not in name]
    stocks += [(name, cast("Ticker", listing(name))) for name in (f"SYM{n:05d}" for n in range(1, _GENERATED + 1))]
    table = hours("XNYS")
    first, end = np.searchsorted(table.day, [np.datetime64(f"{tens + n}0-01-01", "D") for n in (0, 1)]).tolist()
    bars = np.full((5, end - first, len(stocks)), np.nan)
    for i, (_, ticker) in enumerate(stocks):
        t = truth.__wrapped__(ticker)
        late = len(table.day) - len(t.hours.day)  # sessions before it was listed
        low = max(first, late)
        for column, values in zip(bars, (t.open, t.high, t.low, t.close, t.volume), strict=True):
            column[low - first :, i] = np.where(t.halted, np.nan, values)[low - late : max(end, low) - late]
    return _Market([name for name, _ in stocks], [ticker for _, ticker in stocks], first, bars)
