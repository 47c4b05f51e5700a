"""Polygon's aggregates -> bars: pages of one ticker, days of the whole market, half hours as hours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.market import Adjustment, BarSet, Interval
from mdagent.sources.reading.body import failed, read_json
from mdagent.sources.reading.columns import Column, numbers
from mdagent.sources.reading.fields import text
from mdagent.sources.reading.rows import Answer, bars_of
from mdagent.sources.reading.spacing import check_spacing
from mdagent.sources.reading.tables import cells, has, objects
from mdagent.sources.reading.windows import period_of
from mdagent.sources.reading.zones import dates_in, instants_in
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import httpx

    from mdagent.market import BarRequest

SOURCE = "polygon"
NEW_YORK, GREENWICH = ZoneInfo("America/New_York"), ZoneInfo("UTC")
_STATUSES = ("OK", "DELAYED")
_NEEDED = "tohlc"
_EARLIEST, _LATEST = 1e11, 4_102_444_800_000.0  # 1973 and 2100 in epoch milliseconds
_SECONDS = (1e8, 4_102_444_800.0)  # the same years in seconds: as milliseconds they would be early 1970
_FINER = ((1e14, 4.2e15), (1e17, 4.2e18))  # and in microseconds and nanoseconds
_DAY = np.timedelta64(1, "D")
_OPENS, _CLOSES, _CLOSES_EARLY = 570, 960, 780  # minutes after midnight in New York


def read_page(reply: httpx.Response, request: BarRequest, ticker: str) -> tuple[BarSet, str]:
    """The bars of one page, and the address of the next. Raises ConversationFailed: SCHEMA, MISMATCH, MALFORMED."""
    body, rows = _body_of(reply)
    told = body.get("ticker")
    if told is not None and told != ticker:  # case counts: BACpL is a preferred share
        msg = f"{ticker} was asked for, the answer is about {shown(told)}"
        raise failed(FailureKind.MISMATCH, msg)
    adjusted = _basis(body, rows, asked=request.adjustment is not Adjustment.RAW)
    manner = _Manner(adjusted, body.get("status") == "DELAYED", told is not None)
    return _bars(rows, request, ticker, manner), text(body, "next_url")


def shown(told: object) -> str:
    """What an answer says where a text was due, fit to be shown."""
    return one_line(told, 32) if isinstance(told, str) else type(told).__name__


class _Manner(NamedTuple):
    """Of the rows of an answer: adjusted for splits, told late, under the name of their ticker."""

    adjusted: bool
    late: bool
    named: bool = True


class Market:
    """Days of the whole market, of which the rows of some tickers are kept."""

    def __init__(self, requests: Mapping[str, BarRequest], *, adjusted: bool) -> None:
        self._requests = requests
        self._asked = adjusted
        self._told: set[bool] = set()
        self._rows: dict[str, list[dict[str, Any]]] = {ticker: [] for ticker in requests}
        self._late = False

    def read(self, reply: httpx.Response, day: date) -> None:
        """Take what that day's answer has of the tickers. Raises ConversationFailed: SCHEMA, MISMATCH, MALFORMED."""
        body, rows = _body_of(reply)
        if not rows:
            return
        self._told.add(_basis(body, rows, asked=self._asked))
        self._late = self._late or body.get("status") == "DELAYED"
        if len(self._told) > 1:
            msg = "the days of the market differ in price basis"
            raise failed(FailureKind.MISMATCH, msg)
        if not has(rows, "T"):
            msg = "the rows of the answer name no ticker"
            raise failed(FailureKind.SCHEMA, msg)
        names = cells(rows, "T")
        mine = [row for name, row in zip(names, rows, strict=True) if isinstance(name, str) and name in self._rows]
        seconds, real = _seconds(mine)
        if (dates_in(seconds[real], NEW_YORK) != np.datetime64(day, "D")).any():
            msg = f"the market of {day} was asked for, the answer has rows of another day"
            raise failed(FailureKind.MISMATCH, msg)
        for row in mine:
            self._rows[row["T"]].append(row)

    def bars(self, ticker: str) -> BarSet | Failure:
        """What all days had of a ticker."""
        request, rows = self._requests[ticker], self._rows[ticker]
        if not rows:
            return Failure(FailureKind.NO_DATA, f"the market's days have no bars of {request.symbol} in this range")
        return _bars(rows, request, ticker, _Manner(self._told == {True}, self._late))


def _body_of(reply: httpx.Response) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The envelope and its rows; none where `results` is left out, as it is in an answer without bars."""
    body = read_json(reply)
    if not isinstance(body, dict) or body.get("status") not in _STATUSES:
        msg = "the answer is JSON, but no aggregates"
        raise failed(FailureKind.SCHEMA, msg, reply.status_code)
    made = body.get("results")
    if made is None and body.get("resultsCount") in (None, 0):
        return body, []
    return body, objects(made, "bars")


def _basis(body: dict[str, Any], rows: list[dict[str, Any]], *, asked: bool) -> bool:
    """Are the prices adjusted for splits, by the answer's own word? Rows without it are refused."""
    told = body.get("adjusted")
    if isinstance(told, bool):
        return told
    if rows:
        msg = "the answer does not say whether its prices are adjusted"
        raise failed(FailureKind.SCHEMA, msg)
    return asked


def _bars(rows: list[dict[str, Any]], request: BarRequest, ticker: str, manner: _Manner) -> BarSet:
    missing = [name for name in _NEEDED if rows and not has(rows, name)]
    if missing:
        msg = f"the bars of the answer have no {', '.join(missing)}"
        raise failed(FailureKind.SCHEMA, msg)
    seconds, real = _seconds(rows)
    stamps = _stamps(seconds, request.interval, ticker)
    _check_spacing(stamps[real], request.interval, seconds[real])
    columns = tuple(numbers(name, cells(rows, key), len(rows)) for name, key in zip(("open", "high", "low", "close"), "ohlc", strict=True))
    return bars_of(
        request,
        SOURCE,
        Answer(stamps, real, (*columns, _optional(rows, "v")), named=manner.named),
        Adjustment.SPLITS if manner.adjusted else Adjustment.RAW,
        vwap=_finite(_optional(rows, "vw")),
        trades=_finite(_optional(rows, "n")),
        late=manner.late,
        extended=request.interval.intraday and ":" not in ticker,
    )


def _seconds(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Epoch seconds of the rows' stamps, and which of them are a time that a bar can have. Other units are refused, never guessed."""
    told = numbers("time", cells(rows, "t"), len(rows))
    values = told.values
    with np.errstate(invalid="ignore"):
        if any(((values > low) & (values < high)).any() for low, high in (_SECONDS, *_FINER)):
            msg = "the answer's time stamps are not milliseconds, which Polygon's are"
            raise failed(FailureKind.SCHEMA, msg)
        real = ~(told.null | told.bad) & (values >= _EARLIEST) & (values < _LATEST)
    return np.where(real, values, 0.0).astype(np.int64) // 1000, real


def _stamps(seconds: np.ndarray, interval: Interval, ticker: str) -> np.ndarray:
    if interval.intraday:
        return seconds.astype("datetime64[s]").astype("datetime64[us]")
    days = dates_in(seconds, GREENWICH if ticker.startswith(("C:", "X:")) else NEW_YORK)
    return period_of(days + _DAY if interval is Interval.W1 else days, interval)  # its weeks begin on Sunday


def _check_spacing(stamps: np.ndarray, interval: Interval, seconds: np.ndarray) -> None:
    """Of what trades seldom there are minutes two apart by chance, since one without trade has no bar: only where most of them lie so
    are they another interval's. Rows in order and none twice are no shorter bars than asked for."""
    if interval.intraday:
        gaps = np.diff(np.sort(seconds))
        told = len(gaps) > 0 and np.median(gaps) == 2 * interval.seconds
    else:
        told = bool((stamps[1:] <= stamps[:-1]).any())
    if told:
        check_spacing(stamps, interval, seconds)


def _optional(rows: list[dict[str, Any]], key: str) -> Column:
    """A column that some bars do without: indices have no volume."""
    return numbers(key, cells(rows, key), len(rows))


def _finite(column: Column) -> np.ndarray | None:
    if column.null.all():
        return None
    values: np.ndarray = np.where(column.bad, np.nan, column.values)
    return values


def hours_of(halves: BarSet) -> BarSet:
    """Half hours -> hours from the open at 09:30, of the regular session alone: the last one ends at the close, and what trades after
    it is none of its business. An hour of which a half was refused is left out."""
    label, regular = _hours(halves.ts)
    refused, in_session = _hours(np.array([r.ts.replace(tzinfo=None) for r in halves.delivery.rejected if r.ts], dtype="datetime64[us]"))
    keep = regular & ~np.isin(label, refused[in_session])
    label, kept = label[keep], halves.take(keep)
    delivery = kept.delivery._replace(extended=False, absent=())
    if not len(kept):
        return replace(kept, interval=Interval.H1, delivery=delivery)
    start = np.flatnonzero(np.append(True, label[1:] != label[:-1]))
    vwap = None
    with np.errstate(invalid="ignore", divide="ignore"):
        if kept.vwap is not None:
            vwap = np.add.reduceat(kept.vwap * kept.volume, start) / np.add.reduceat(kept.volume, start)
    return replace(
        kept,
        interval=Interval.H1,
        ts=label[start],
        open=kept.open[start],
        high=np.maximum.reduceat(kept.high, start),
        low=np.minimum.reduceat(kept.low, start),
        close=kept.close[np.append(start[1:], len(label)) - 1],
        volume=np.add.reduceat(kept.volume, start),
        vwap=vwap,
        trades=None if kept.trades is None else np.add.reduceat(kept.trades, start),
        delivery=delivery,
    )


def _hours(ts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hour from the open that each instant belongs to, by its begin, and whether it lies in the regular session."""
    days = dates_in(ts.astype("datetime64[s]").astype(np.int64), NEW_YORK)
    opens = instants_in(days.astype("datetime64[s]") + np.timedelta64(_OPENS, "m"), NEW_YORK)
    into = (ts - opens) // np.timedelta64(1, "m")
    return opens + into // 60 * np.timedelta64(60, "m"), (into >= 0) & (into < _closing(days) - _OPENS)


def _closing(days: np.ndarray) -> np.ndarray:
    """When New York closes, in minutes after midnight: early on the eves of Independence Day and Christmas from Monday to Thursday, on
    the day after Thanksgiving, and on 2003-12-26; so since this provider's data begin."""
    months = days.astype("datetime64[M]")
    month = months.astype(np.int64) % 12 + 1
    day = (days - months).astype(np.int64) + 1
    weekday = (days.astype(np.int64) + 3) % 7
    eve = (((month == 7) & (day == 3)) | ((month == 12) & (day == 24))) & (weekday < 4)
    friday = (month == 11) & (weekday == 4) & (day >= 23) & (day <= 29)
    early = eve | friday | (days == np.datetime64("2003-12-26"))
    closing: np.ndarray = np.where(early, _CLOSES_EARLY, _CLOSES)
    return closing
