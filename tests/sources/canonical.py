"""Ten daily bars of AAPL that every provider can tell, ways to spoil them, and what a provider's format is.

The sessions are 2024-01-02 to 2024-01-12 and 2024-01-16; the 15th was a holiday. How a provider writes them is in `formats/`, one
file a provider.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.market import COLUMNS, Adjustment, Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DAYS = tuple(date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9, 10, 11, 12, 16))
LATER = tuple(d for n in range(1, 40) if (d := date(2024, 1, 16) + timedelta(days=n)).weekday() < 5 and d != date(2024, 2, 19))[:20]
NOW = datetime(2024, 1, 17, tzinfo=UTC)
PRICES = COLUMNS[:4]
VALUES: dict[str, tuple[float, ...]] = {
    "open": (187.0, 184.25, 182.5, 182.0, 182.25, 184.0, 184.5, 186.5, 186.0, 182.25),
    "high": (188.5, 185.75, 183.25, 182.75, 185.5, 185.25, 186.5, 187.0, 186.75, 184.25),
    "low": (183.75, 183.5, 180.75, 180.25, 181.5, 182.75, 183.75, 183.5, 185.25, 181.0),
    "close": (185.75, 184.25, 182.0, 181.25, 185.5, 185.25, 186.25, 185.5, 186.0, 183.75),
    "volume": (82_488_700, 58_414_500, 71_983_600, 62_303_300, 59_144_500, 42_841_800, 46_792_900, 49_128_400, 40_444_700, 65_603_000),
}


class Raw(str):
    """JSON text that stands in the body as it is: NaN, 1e400, a key given twice."""

    __slots__ = ()


class Odd(str):
    """A number that JSON has no plain word for: NaN, 1e400. Unquoted in a format of numbers, quoted in a format of texts."""

    __slots__ = ()


class Twice(NamedTuple):
    """A value whose key is given twice."""

    first: Any
    second: Any


class Pairs(NamedTuple):
    """An object by its entries, so that a key may come twice."""

    entries: list[tuple[str, Any]]


class Instant(NamedTuple):
    """A stamp that is no session: epoch seconds, to be written in the format's own unit; as one of an `hour` where that differs."""

    seconds: float
    hour: bool = False


@dataclass
class Ten:
    """Rows under construction: `stamp` (a date, an Instant, or whatever is to stand there) and the five columns. `about` is what
    the answer says besides; a fact of None is left out."""

    rows: list[dict[str, Any]] = field(
        default_factory=lambda: [dict(zip(("stamp", *COLUMNS), row, strict=True)) for row in zip(DAYS, *VALUES.values(), strict=True)]
    )
    about: dict[str, Any] = field(default_factory=lambda: {"symbol": "AAPL", "currency": "USD", "name": "Apple Inc."})
    adjusted: bool = True
    late: bool = False
    interval: Interval = Interval.D1
    hours: bool = False  # rows of an hour each, whatever was asked for
    next: str = ""  # the address of the page after this one


Change = Callable[[Ten], object]


class Told(NamedTuple):
    """A provider's own words: status and body."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Format:
    """How a provider writes daily bars, and what of the cases it cannot write.

    `render` gives the body of an answer; `stamp` is how a session date is written, `instant` how epoch seconds are. `other_unit` turns
    a stamp into the unit that the format does not use. `lacks` are abilities that a case may need, each with the reason: `texts` or
    `numbers` for prices, `words` or `instants` for stamps, `unit`, `columns`, `symbol`, `currency`, `name`, `late`, `basis`, `plan`,
    `pages`, `torn` (adjusted weeks with a split within) and `early` (closes before the usual hour). `excused` are single cases. `says`
    are its own words for `no data`, `unknown symbol`, `throttle`, `bad key`, `unknown key` and `plan`; `outcomes` what a case comes
    to where the provider cannot tell it as others do: class, stored, quarantined.
    """

    render: Callable[[Ten], bytes]
    stamp: Callable[[date], Any]
    instant: Callable[[float], Any]
    says: Mapping[str, Told]
    basis: Adjustment = Adjustment.SPLITS
    flagged: Adjustment | None = None  # the basis to ask for in vain, where the answer tells its own
    other_unit: Callable[[Any], Any] | None = None
    hour: Callable[[float], Any] | None = None  # how an hour or a minute is stamped, where days are stamped otherwise
    lacks: Mapping[str, str] = field(default_factory=dict)
    excused: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)
    unknown: str = "UNKNOWN_SYMBOL"  # what it says of a symbol that there is not
    counts_the_market: Callable[[Interval], bool] = lambda _: True  # is its volume that of the whole market?
    most: int = 100_000  # rows that one answer can hold
    precise: float = 1e-9  # relative error of prices

    def write(self, *changes: Change) -> bytes:
        """The ten bars, changed, as this provider writes them."""
        made = Ten()
        for change in changes:
            change(made)
        made = deepcopy(made)
        for row in made.rows:
            row["stamp"] = self._written(row["stamp"])
        return self.render(made)

    def write_minutes(self, stamps: Sequence[int], columns: Sequence[Sequence[float]]) -> bytes:
        """Minutes of AAPL from these epoch seconds and columns."""
        named = self.hour or self.instant
        rows = [dict(zip(("stamp", *COLUMNS), (named(cells[0]), *cells[1:]), strict=True)) for cells in zip(stamps, *columns, strict=True)]
        return self.render(Ten(rows=rows, interval=Interval.M1))

    def _written(self, stamp: Any) -> Any:
        if isinstance(stamp, Instant):
            return (self.hour or self.instant)(stamp.seconds) if stamp.hour else self.instant(stamp.seconds)
        return self.stamp(stamp) if isinstance(stamp, date) else stamp


def as_text(cell: Any) -> Any:
    """A cell of a format that writes numbers as texts; what is no number stays as it is."""
    if isinstance(cell, Odd):
        return str(cell)
    if isinstance(cell, Twice):
        return Twice(as_text(cell.first), as_text(cell.second))
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return cell
    return str(cell) if isinstance(cell, int) else f"{cell:.4f}"


def dumps(value: Any) -> bytes:
    """JSON of that, with Raw and Odd texts as they are, and a key given twice where its value is `Twice` or a list that holds one."""
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, Raw | Odd):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(k)}:{_text(v)}" for k, v in value.entries) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_text(each)}" for k, v in value.items() for each in _doubled(v)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return json.dumps(value)


def _doubled(value: Any) -> tuple[Any, ...]:
    if isinstance(value, Twice):
        return tuple(value)
    if isinstance(value, list) and any(isinstance(item, Twice) for item in value):
        return tuple([item[side] if isinstance(item, Twice) else item for item in value] for side in (0, 1))
    return (value,)


def cell(column: str, row: int, value: Any) -> Change:
    """One cell; a `stamp` too."""

    def change(ten: Ten) -> None:
        ten.rows[row][column] = value

    return change


def every(column: str, made: Callable[[Any], Any]) -> Change:
    """A whole column, each cell made of itself."""

    def change(ten: Ten) -> None:
        for row in ten.rows:
            row[column] = made(row[column])

    return change


def times(row: int, factor: float) -> Change:
    """All four prices of one row, multiplied."""

    def change(ten: Ten) -> None:
        for name in PRICES:
            ten.rows[row][name] *= factor

    return change


def swapped(ten: Ten) -> None:
    """High and low of the fourth row change places."""
    ten.rows[3]["high"], ten.rows[3]["low"] = ten.rows[3]["low"], ten.rows[3]["high"]


def shuffled(ten: Ten) -> None:
    """Rows in no order."""
    ten.rows = [ten.rows[place] for place in (9, 8, 3, 1, 0, 2, 7, 6, 5, 4)]


def more(stamp: Any, *, like: int = 9, higher: float = 0.0) -> Change:
    """One more row at the end, a copy of another with its high and close raised."""

    def change(ten: Ten) -> None:
        row = ten.rows[like] | {"stamp": stamp}
        ten.rows.append(row | {"high": row["high"] + higher, "close": row["close"] + higher})

    return change


def only(*rows: int) -> Change:
    """These rows alone."""

    def change(ten: Ten) -> None:
        ten.rows = [ten.rows[place] for place in rows]

    return change


def about(**facts: Any) -> Change:
    """What the answer says besides its rows; None leaves it out."""

    def change(ten: Ten) -> None:
        ten.about |= facts
        ten.about = {name: value for name, value in ten.about.items() if value is not None}

    return change


def unadjusted(ten: Ten) -> None:
    """Prices on another basis than asked for, and told to be."""
    ten.adjusted = False


def by_the_hour(ten: Ten) -> None:
    """Rows of an hour each."""
    ten.hours = True


def late(ten: Ten) -> None:
    """Marked as delayed."""
    ten.late = True


def following(address: str) -> Change:
    """Another page at that address."""

    def change(ten: Ten) -> None:
        ten.next = address

    return change


def opening(day: date) -> int:
    """Epoch seconds of a winter session's start in New York."""
    return int(datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC).timestamp())


def iso(day: date) -> str:
    return day.isoformat()


def iso_instant(seconds: float) -> str:
    """Epoch seconds as the date that they fall on, or as the bare figure where the calendar has no such day."""
    if not 86400 <= seconds < 1e11:
        return f"{seconds:.0f}"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def new_york(seconds: float) -> str:
    """Epoch seconds as New York's time of that winter."""
    return f"{datetime.fromtimestamp(seconds, UTC) - timedelta(hours=5):%Y-%m-%d %H:%M:%S}"
