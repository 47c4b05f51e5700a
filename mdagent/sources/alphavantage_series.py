"""Alpha Vantage's time series -> bars.

An answer is `Meta Data` and one object of rows keyed by time, newest first, all numbers as text. Weeks and months are stamped on
their last trading day. Keys of minutes are local times of the zone that the summary names: bar starts today; until 2021 they were bar
ends, which a row at 20:00 shows, the end of the extended session (or 16:00 without 09:30 where only regular hours came).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import compress
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mdagent.guard.outcome import FailureKind
from mdagent.market import Adjustment, BarSet, CorporateAction, Interval
from mdagent.sources.alphavantage_answers import PAIRS, SOURCE, currency_of, mismatch, plain, same_name
from mdagent.sources.reading.body import CONFLICT, failed, read_json
from mdagent.sources.reading.columns import Column, numbers
from mdagent.sources.reading.fields import text
from mdagent.sources.reading.rows import Answer, bars_of, near
from mdagent.sources.reading.spacing import check_spacing
from mdagent.sources.reading.tables import cells
from mdagent.sources.reading.texts import dates, decimals, times
from mdagent.sources.reading.windows import period_of
from mdagent.sources.reading.zones import instants_in, zone_of
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from mdagent.market import BarRequest

_WORDS = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h", "daily": "1d", "weekly": "1w", "monthly": "1mo"}
_WORD = re.compile(r"\b(\d+min|daily|weekly|monthly|intraday)\b", re.IGNORECASE)
_NAMED = re.compile(r"\A\d+[a-z]?\. (.*)\Z", re.DOTALL)
_ZONES = {"US/Eastern": "America/New_York"}
_OPEN, _CLOSE, _LATE = 9 * 3600 + 1800, 16 * 3600, 20 * 3600  # seconds of the day in New York
_EARLIEST, _LATEST = np.datetime64("1800-01-01", "s"), np.datetime64("2100-01-01", "s")
_JSON_NUMBERS = frozenset((int, float, type(None)))


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer is held against: what it must echo, whether only the newest rows were asked for, and the days of splits
    within adjusted weeks or months."""

    echo: Mapping[str, str]
    compact: bool = False
    splits: tuple[date, ...] = ()


def read_series(reply: httpx.Response, request: BarRequest, asked: Asked) -> BarSet:
    """The bars of a series answer that lie in the window. Raises ConversationFailed: NO_DATA, SCHEMA, MISMATCH, MALFORMED."""
    meta, key, series = _parts(read_json(reply))
    named = _check_echo(meta, request, asked)
    _check_interval(meta, key, request.interval)
    every, known, extended = _stamps(list(series), meta, request)
    check_spacing(every[known], request.interval)
    wanted = near(every, known, request)  # the answer goes back to the beginning, whatever was asked for
    wanted = wanted if wanted.any() else ~wanted
    stamps, real, rows = every[wanted], known[wanted], list(compress(series.values(), wanted.tolist()))
    strange = not set(map(type, rows)) <= _OBJECTS
    objects = [row if type(row) is dict else _NO_ROW for row in rows] if strange else rows
    names = _names(objects, request.symbol.currency)
    columns = [_column(objects, name, names) for name in ("open", "high", "low", "close", "volume")]
    same = request.interval.intraday or request.symbol.kind in PAIRS  # asked for so, or nothing to adjust for
    adjusted = request.adjustment is Adjustment.ALL and (same or _adjust(columns, objects, names))
    if asked.splits:
        columns = _spoilt(columns, _mixed(stamps, request.interval, asked.splits))
    answer = Answer(stamps, real, tuple(columns), named=named, beyond=every[~wanted])
    made = bars_of(
        request,
        SOURCE,
        _without_strangers(answer, rows) if strange else answer,
        Adjustment.ALL if adjusted else Adjustment.RAW,
        actions=_actions(objects, names, stamps, real) if request.interval is Interval.D1 else (),
        raw_volume=adjusted and not same,
        extended=extended,
    )
    newest_first = bool((every[known][1:] <= every[known][:-1]).all())  # as the format has it
    told = made.delivery
    told = told._replace(events=all(name in names for _, name, _ in _EVENTS), unsorted=told.unsorted and not newest_first)
    if not len(made) and not told.rejected and not told.absent:
        raise failed(FailureKind.NO_DATA, _why_empty(request, every[known], compact=asked.compact))
    return replace(made, delivery=told, currency=currency_of(request.symbol), complete_until=_complete_until(meta, made.ts, request))


_OBJECTS = frozenset((dict,))
_NO_ROW: dict[str, Any] = {}  # stands for a row that is no object, or is given twice and differently


def _without_strangers(answer: Answer, rows: list[Any]) -> Answer:
    """No good number in a row that is no object; one that is given twice and differently counts as two such."""
    strange = np.array([type(row) is not dict for row in rows], dtype=bool)
    places = np.repeat(np.arange(len(rows)), [2 if row is CONFLICT else 1 for row in rows])
    columns = [Column(*(part[places] for part in column)) for column in _spoilt(list(answer.columns), strange)]
    return replace(answer, stamps=answer.stamps[places], real=answer.real[places], columns=tuple(columns))


def _parts(body: object) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """The summary by plain names, the name of the series, its rows by time."""
    if isinstance(body, dict):
        meta = body.get("Meta Data")
        others = [(key, value) for key, value in body.items() if key != "Meta Data" and isinstance(value, dict)]
        if isinstance(meta, dict) and len(others) == 1:
            return plain(meta), *others[0]
    msg = "the answer is JSON, but no series of Alpha Vantage"
    raise failed(FailureKind.SCHEMA, msg)


def _check_echo(meta: dict[str, Any], request: BarRequest, asked: Asked) -> bool:
    """Does the summary name what was asked for? False where it names nothing; MISMATCH where it names another."""
    for name, right in asked.echo.items():
        told = meta.get(name)
        if told is not None and not same_name(told, right):
            raise mismatch(request.symbol, told)
    return all(meta.get(name) is not None for name in asked.echo)


def _check_interval(meta: dict[str, Any], key: str, interval: Interval) -> None:
    found = _WORD.search(key)
    if found is None:
        msg = f"the series {one_line(key, 40)!a} of the answer names no interval"
        raise failed(FailureKind.SCHEMA, msg)
    for word in (found[1], text(meta, "Interval")):
        if word and _WORDS.get(word.lower()) != interval.value:
            msg = f"{interval} bars were asked for, the answer has {one_line(word, 12)} bars"
            raise failed(FailureKind.MISMATCH, msg)


def _names(rows: list[dict[str, Any]], quoted: str | None) -> dict[str, str]:
    """Field name -> its key, whatever its number. Old crypto bodies tell a price in two currencies: the one asked for counts."""
    made: dict[str, str] = {}
    for key in sorted(set().union(*rows)):
        found = _NAMED.match(key)
        name = (found[1] if found else key).removesuffix(f" ({quoted})")
        if name in made and not key.endswith(")"):
            msg = f"the rows of the answer have two columns called {one_line(name, 20)!a}"
            raise failed(FailureKind.SCHEMA, msg)
        made.setdefault(name, key)
    return made


def _column(rows: list[dict[str, Any]], name: str, names: Mapping[str, str]) -> Column:
    if name not in names:
        if rows and name != "volume":
            msg = f"the rows of the answer have no {name}"
            raise failed(FailureKind.SCHEMA, msg)
        return Column(np.full(len(rows), np.nan), np.ones(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool))
    found = cells(rows, names[name])
    if name == "volume" and _JSON_NUMBERS.issuperset(map(type, found)):  # crypto by the minute has it so
        return numbers(name, found, len(found))
    return decimals(name, found)


def _stamps(keys: list[str], meta: dict[str, Any], request: BarRequest) -> tuple[np.ndarray, np.ndarray, bool]:
    """Stamps, which of them a bar can have, and whether rows outside regular hours are among them."""
    intraday = request.interval.intraday
    local, real = times(keys) if intraday else dates(keys)
    local = local.astype("datetime64[s]")
    real = real & (local >= _EARLIEST) & (local < _LATEST)
    local = np.where(real, local, np.datetime64(0, "s"))
    if not intraday:
        return period_of(local.astype("datetime64[D]"), request.interval), real, False
    told = text(meta, "Time Zone")
    zone = zone_of(_ZONES.get(told, told))
    if zone.key != "America/New_York":
        return instants_in(local, zone), real, False
    clock = local.astype(np.int64) % 86400
    starts, extended = _starts(clock, real, request.interval.seconds)
    return instants_in(local - (clock - starts).astype("timedelta64[s]"), zone), real, extended


def _starts(clock: np.ndarray, real: np.ndarray, step: int) -> tuple[np.ndarray, bool]:
    """The second of the day at which each bar opens, by labels that are starts or ends; and whether there is more than the
    regular session. An hour that ends at 16:00 began at 15:30."""
    seen = clock[real]
    extended = bool(((seen < _OPEN) | (seen > _CLOSE)).any())
    if (seen == _LATE).any():
        return clock - step, True
    if not extended and (seen == _CLOSE).sum() > (seen == _OPEN).sum():
        return _OPEN + (clock - _OPEN - 1) // step * step, False
    return clock, extended or bool((seen == _CLOSE).any())


def _adjust(columns: list[Column], rows: list[dict[str, Any]], names: Mapping[str, str]) -> bool:
    """Scale the four prices in place by adjusted close / close; False where the body has no adjusted close."""
    if "adjusted close" not in names:
        return False
    adjusted = _column(rows, "adjusted close", names)
    with np.errstate(all="ignore"):
        factor = adjusted.values / columns[3].values
    for i, column in enumerate(columns[:4]):
        lost = ~(np.isfinite(factor) & (factor > 0)) & ~column.null
        with np.errstate(all="ignore"):
            scaled = column.values * factor
        columns[i] = Column(scaled, column.null, column.bad | lost | (~np.isfinite(scaled) & ~column.null))
    return True


def _mixed(stamps: np.ndarray, interval: Interval, splits: tuple[date, ...]) -> np.ndarray:
    """Which weeks or months hold prices from before and after a split: no factor makes one unit of them."""
    days = np.array(splits, dtype="datetime64[D]")
    periods = period_of(days, interval)
    later = np.busday_count(periods.astype("datetime64[D]"), days) > 0  # else the split opens the period
    return np.isin(stamps, periods[later])


def _spoilt(columns: list[Column], rows: np.ndarray) -> list[Column]:
    """The columns, with no good number in those rows."""
    return [Column(np.where(rows, np.nan, c.values), c.null & ~rows, c.bad | rows) for c in columns]


_EVENTS: tuple[tuple[Literal["dividend", "split"], str, float], ...] = (
    ("dividend", "dividend amount", 0.0),
    ("split", "split coefficient", 1.0),
)


def _actions(rows: list[dict[str, Any]], names: Mapping[str, str], stamps: np.ndarray, real: np.ndarray) -> tuple[CorporateAction, ...]:
    """Dividends as paid and splits, where the rows tell them. A cell that is no number may hide one: the answer is refused."""
    made: list[CorporateAction] = []
    for kind, name, none in _EVENTS:
        if name not in names:
            continue
        column = _column(rows, name, names)
        told = real & ~column.null
        if (told & (column.bad | (column.values < 0) | ((kind == "split") & (column.values == 0)))).any():
            msg = f"a {name} of the answer is no number that it can be"
            raise failed(FailureKind.SCHEMA, msg)
        some = np.flatnonzero(told & (column.values != none)).tolist()
        made += [CorporateAction(kind, stamps[i].item().date(), float(column.values[i])) for i in some]
    return tuple(made)


def _complete_until(meta: dict[str, Any], ts: np.ndarray, request: BarRequest) -> datetime | None:
    """The stamp of the last bar where the summary was last refreshed within its period: before the close of that day, or, of a
    week or month, at all."""
    told = text(meta, "Last Refreshed")
    try:
        seen = datetime.fromisoformat(told).replace(tzinfo=None)
    except ValueError:
        return None
    if not len(ts) or request.interval.intraday:
        return None
    if period_of(np.array([seen.date()], dtype="datetime64[D]"), request.interval)[0] != ts[-1]:
        return None
    around_the_clock = request.symbol.kind in PAIRS
    closed = request.interval is Interval.D1 and not around_the_clock and (len(told) <= len("2024-01-02") or seen.hour >= _CLOSE // 3600)
    last: datetime = ts[-1].item().replace(tzinfo=UTC)
    return None if closed else last


def _why_empty(request: BarRequest, stamps: np.ndarray, *, compact: bool) -> str:
    none = f"Alpha Vantage has no {request.interval} bars of {request.symbol} in this range"
    if not len(stamps) or stamps.min() < np.datetime64(request.end.replace(tzinfo=None), "us"):
        return none
    why = ": a free key gets the last 100 days alone, older ones need a premium plan" if compact else ""
    return f"{none}; what it tells begins on {stamps.min().astype('datetime64[D]')}{why}"
