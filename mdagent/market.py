"""The nouns of a market: symbol, interval, adjustment, request, bars, quote, corporate action.

numpy is imported only where columns are made, and values that need no check are named tuples, which cost a third of what a
dataclass costs to define: this module is on the path of every command.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from mdagent.errors import UsageError
from mdagent.symbol import Kind, Symbol

__all__ = ("Kind", "Symbol")  # the noun of symbol.py, which everybody asks for here

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy as np
    import pandas as pd


class Interval(StrEnum):
    """The length of a bar."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    D1 = "1d"
    W1 = "1w"
    MO1 = "1mo"

    @property
    def seconds(self) -> int:
        """Nominal length; a month counts 31 days."""
        return _SECONDS[self]

    @property
    def intraday(self) -> bool:
        """Shorter than a session? Then `ts` is an instant, else a session date."""
        return _SECONDS[self] < 86400

    @classmethod
    def parse(cls, text: str | Interval) -> Interval:
        """The interval that `text` names. `1M` is a month, `1m` a minute. Raises UsageError."""
        try:
            return cls(_INTERVAL_ALIASES.get(text, text))
        except ValueError:
            import difflib

            valid = [i.value for i in cls]
            near = difflib.get_close_matches(str(text), valid, len(valid), 0.0)
            msg = f"{str(text)[:20]!a} is not an interval"
            raise UsageError(msg, f"use one of {', '.join(near)}") from None


_SECONDS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "1d": 86400, "1w": 7 * 86400, "1mo": 31 * 86400}
_INTERVAL_ALIASES = {
    "1M": "1mo",
    "60m": "1h",
    "1wk": "1w",
    "1W": "1w",
    "1D": "1d",
    "1H": "1h",
    "daily": "1d",
    "weekly": "1w",
    "monthly": "1mo",
}


class Adjustment(StrEnum):
    """The basis of prices: as traded, adjusted for splits, or adjusted for splits and dividends."""

    RAW = "raw"
    SPLITS = "splits"
    ALL = "all"

    @classmethod
    def parse(cls, text: str | Adjustment) -> Adjustment:
        """Raises UsageError."""
        try:
            return cls(text)
        except ValueError:
            msg = f"{str(text)[:20]!a} is not an adjustment"
            raise UsageError(msg, "use raw, splits or all") from None


class Priority(IntEnum):
    """Who goes first when quota is short; a lower number is more urgent."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3
    BATCH = 4

    @classmethod
    def parse(cls, text: str) -> Priority:
        """Raises UsageError."""
        try:
            return cls[text.upper()]
        except KeyError:
            msg = f"{text[:20]!a} is no priority"
            raise UsageError(msg, f"use one of {', '.join(p.name.lower() for p in cls)}") from None


def parse_instant(text: str | date | datetime) -> datetime:
    """An aware UTC instant from an ISO date (its midnight UTC) or time (UTC when it names no zone). Raises UsageError."""
    if isinstance(text, datetime):
        return (text if text.tzinfo else text.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(text, date):
        return datetime(text.year, text.month, text.day, tzinfo=UTC)
    try:
        return parse_instant(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        msg = f"{text[:40]!a} is not a date"
        raise UsageError(msg, "write 2024-01-02 or 2024-01-02T14:30:00Z") from None


@dataclass(frozen=True, slots=True)
class BarRequest:
    """Bars with `start <= ts < end`. Strings are coerced; `deadline` is seconds for the whole request, None for the default."""

    symbol: Symbol
    interval: Interval
    start: datetime
    end: datetime
    adjustment: Adjustment = Adjustment.SPLITS
    priority: Priority = Priority.NORMAL
    deadline: float | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "symbol", Symbol.parse(self.symbol))
        put(self, "interval", Interval.parse(self.interval))
        put(self, "start", parse_instant(self.start))
        put(self, "end", parse_instant(self.end))
        put(self, "adjustment", Adjustment.parse(self.adjustment))
        if self.start >= self.end:
            msg = f"the start {self.start:%Y-%m-%d %H:%M} is not before the end {self.end:%Y-%m-%d %H:%M}"
            raise UsageError(msg, "the range is half-open: --end is the first moment left out")

    def over(self, start: datetime, end: datetime) -> BarRequest:
        """The same request for another window."""
        return replace(self, start=start, end=end)


FILE = "file:"  # the name of a source that is an imported file begins so; no provider's does


class CorporateAction(NamedTuple):
    """A split or a distribution. `date` is the session it takes effect on (the ex-date); `value` is the amount a share as delivered,
    or new shares for an old one (a 4:1 split is 4.0). `adjusted`: the amount is a share's of today, divided by every later split.
    `currency` is the amount's where the source tells it, None for that of the prices."""

    kind: Literal["dividend", "split", "capital_gain"]
    date: date
    value: float
    adjusted: bool = False
    currency: str | None = None


class Instrument(NamedTuple):
    """What a source says about a symbol. Text is the provider's: escape it wherever it is shown."""

    symbol: Symbol
    source: str
    name: str = ""
    exchange: str = ""
    zone: str = ""
    currency: str = ""
    kind: str = ""
    first_trade: date | None = None


class Quote(NamedTuple):
    """The latest price. `as_of` is the exchange's time, aware UTC, None where the source tells none."""

    symbol: Symbol
    source: str
    last: float
    as_of: datetime | None
    bid: float | None = None
    ask: float | None = None
    size: float | None = None
    currency: str | None = None
    previous_close: float | None = None
    day_high: float | None = None
    day_low: float | None = None
    volume: float | None = None


class MarketStatus(NamedTuple):
    """Is a market open? `market` and `session` are the provider's words; `as_of` is aware UTC, None where not told."""

    market: str
    source: str
    is_open: bool
    session: str = ""
    as_of: datetime | None = None


class Listing(NamedTuple):
    """One hit of a search. `symbol` is the canonical spelling; `name` is the provider's text."""

    symbol: Symbol
    name: str
    exchange: str
    kind: str
    source: str


class RejectedRow(NamedTuple):
    """A row that cannot be a bar. `ts` is None where the stamp itself is bad; `raw` is the row as delivered, as JSON text."""

    ts: datetime | None
    check: str
    reason: str
    raw: str


class Delivery(NamedTuple):
    """What the answer held besides its good rows: said, so that nothing is dropped in silence."""

    rows: int = 0  # rows in the body
    rejected: tuple[RejectedRow, ...] = ()
    conflicts: tuple[RejectedRow, ...] = ()  # a second, different row for a stamp that a bar has already
    duplicates: tuple[datetime, ...] = ()  # stamps of identical second rows
    absent: tuple[datetime, ...] = ()  # stamps of rows without any value: the source says "no bar here"
    outside: tuple[datetime, ...] = ()  # stamps of rows beyond the window asked for
    snapshot: bool = False  # a live last row, off the grid, was left out
    late: bool = False  # the provider says that these prices are delayed
    events: bool = False  # the answer tells every split and payment of its window
    extended: bool = False  # intraday rows before and after the regular session come along
    unsorted: bool = False
    named: bool = True  # the body names the symbol it answers for


COLUMNS = ("open", "high", "low", "close", "volume")
_NOTHING_BESIDES = Delivery()


@dataclass(frozen=True, slots=True, eq=False)
class BarSet:
    """Bars of one symbol, interval and source, as equal-length immutable columns in ascending order of `ts`.

    `ts` is datetime64[us], UTC: the bar's open; daily and longer bars carry the session date (Monday, the 1st) at 00:00.
    Prices are float64 in `currency` (minor units stay minor: GBp), volume float64 in units of `lot` shares, with NaN where not
    given; `venue` names the one market that it was traded on where it is not the whole market's, `raw_volume` says that it
    counts the shares of its day although the prices are adjusted. `adjustment` is the basis delivered, as of `fetched_at`. A bar
    at or after `complete_until` is provisional: its period had not ended.
    """

    symbol: Symbol
    interval: Interval
    source: str
    adjustment: Adjustment
    currency: str | None
    ts: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    vwap: np.ndarray | None = None
    trades: np.ndarray | None = None
    fetched_at: datetime | None = None
    complete_until: datetime | None = None
    actions: tuple[CorporateAction, ...] = ()
    instrument: Instrument | None = None
    delivery: Delivery = _NOTHING_BESIDES
    lot: float = 1.0
    venue: str = ""
    raw_volume: bool = False

    def __post_init__(self) -> None:
        import numpy as np

        length = len(self.ts)
        for name in ("ts", *COLUMNS, "vwap", "trades"):
            column = getattr(self, name)
            if column is None:
                continue
            column = np.array(column, dtype="datetime64[us]" if name == "ts" else np.float64)
            if column.shape != (length,):
                msg = f"column {name} has shape {column.shape}, ts has {length} stamps"
                raise ValueError(msg)
            column.flags.writeable = False
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, keep: np.ndarray) -> BarSet:
        """The bars that a boolean mask or an index array names; all else as it is."""
        picked: dict[str, Any] = {n: getattr(self, n)[keep] for n in ("ts", *COLUMNS)}
        picked |= {n: c[keep] for n in ("vwap", "trades") if (c := getattr(self, n)) is not None}
        return replace(self, **picked)

    def to_pandas(self) -> pd.DataFrame:
        """A DataFrame indexed by `ts` (tz-aware UTC) with the price columns and volume."""
        import pandas as pd

        index = pd.DatetimeIndex(self.ts, tz="UTC", name="ts")
        return pd.DataFrame({name: getattr(self, name) for name in COLUMNS}, index=index)

    @classmethod
    def join(cls, parts: Sequence[BarSet]) -> BarSet:
        """Consecutive answers to one request as one set: rows of equal `ts` once, the first; deliveries added up."""
        import numpy as np

        if len(parts) == 1:
            return parts[0]
        ts = np.concatenate([p.ts for p in parts])
        _, first = np.unique(ts, return_index=True)  # np.unique sorts, and names the first of equals
        columns: dict[str, Any] = {n: np.concatenate([getattr(p, n) for p in parts])[first] for n in COLUMNS}
        for name in ("vwap", "trades"):
            told = [getattr(p, name) for p in parts]
            columns[name] = None if any(c is None for c in told) else np.concatenate(told)[first]
        ends = [p.complete_until for p in parts if p.complete_until is not None]
        return replace(
            parts[-1],
            ts=ts[first],
            **columns,
            complete_until=min(ends, default=None),
            actions=tuple(dict.fromkeys(a for p in parts for a in p.actions)),
            delivery=_sum_deliveries([p.delivery for p in parts]),
        )


def _sum_deliveries(parts: Sequence[Delivery]) -> Delivery:
    total: list[Any] = []
    for name, values in zip(Delivery._fields, zip(*parts, strict=True), strict=True):
        if name == "named":
            total.append(all(values))
        elif isinstance(values[0], bool):
            total.append(any(values))
        else:
            total.append(sum(values, start=type(values[0])()))
    return Delivery(*total)
