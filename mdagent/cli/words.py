"""Words of the command line -> requests: symbols, windows, periods."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from mdagent.errors import UsageError
from mdagent.market import Adjustment, BarRequest, Interval, Priority, Symbol, parse_instant
from mdagent.work.spans import BEGINNING, default_start, latest_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdagent.cli.terminal import Terminal

_MOST_SYMBOLS = 100_000
_NO_LISTS: Mapping[str, Path | tuple[str, ...]] = MappingProxyType({})
_PERIOD = re.compile(r"([1-9]\d{0,4})(d|wk|w|mo|y)\Z")


def read_symbols(
    words: Sequence[str], cwd: Path, stdin: TextIO | None = None, *, universes: Mapping[str, Path | tuple[str, ...]] = _NO_LISTS
) -> list[Symbol]:
    """The symbols, each once, in order. A word may be a symbol, several with commas, `-` (standard input) or `@FILE`; in both,
    a line is a symbol and `#` starts a comment. `@NAME` is a list of the settings where no such file exists. Raises UsageError."""
    names: list[str] = []
    for word in words:
        if word == "-":
            names += _lines((stdin or sys.stdin).read())
        elif word.startswith("@"):
            listed = universes.get(word[1:]) if not (cwd / word[1:]).exists() else None
            names += listed if isinstance(listed, tuple) else _lines(_read(listed or cwd / word[1:]))
        else:
            names += word.split(",")
    if not names:
        msg = "no symbol is named"
        raise UsageError(msg, "name one, such as AAPL, or - to read them from standard input")
    if len(names) > _MOST_SYMBOLS:
        msg = f"{len(names)} symbols are named"
        raise UsageError(msg, f"name at most {_MOST_SYMBOLS} at once")
    return list(dict.fromkeys(Symbol.parse(n) for n in names))


def _lines(text: str) -> list[str]:
    bare = (line.partition("#")[0] for line in text.splitlines())
    return [part for line in bare for part in re.split(r"[,\s]+", line) if part]


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the list {path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UsageError(msg, "name a text file with one symbol a line") from error


def read_window(
    interval: Interval, start: str | None, end: str | None, period: str | None, terminal: Terminal
) -> tuple[datetime, datetime]:
    """The half-open window. An end in the future is brought back to now, and said. Raises UsageError."""
    now = terminal.clock.now()
    latest = latest_end(interval, now)
    until = parse_instant(end) if end else latest
    if until > latest:
        terminal.say(f"the end {until:%Y-%m-%d} lies in the future: taken as now")
        until = latest
    if start and period:
        msg = "--start and --period exclude each other"
        raise UsageError(msg, "leave out one of them")
    if start:
        since = parse_instant(start)
        if since >= latest:
            msg = f"the start {since:%Y-%m-%d} lies in the future"
            raise UsageError(msg, "name a day that has begun")
        if since >= until:
            msg = f"the start {since:%Y-%m-%d} is not before the end {until:%Y-%m-%d}"
            raise UsageError(msg, "the range is half-open: --end is the first moment left out")
        return since, until
    return _back(until if end else now, period, interval), until


def _back(until: datetime, period: str | None, interval: Interval) -> datetime:
    if period is None:
        return _whole_day(default_start(interval, until))
    if period == "max":
        return BEGINNING
    if period == "ytd":
        return datetime(until.year, 1, 1, tzinfo=UTC)
    found = _PERIOD.match(period)
    if not found:
        msg = f"{period[:20]!a} is not a period"
        raise UsageError(msg, "write 5d, 2wk, 6mo, 1y, 10y, ytd or max")
    n, unit = int(found[1]), found[2]
    try:
        return _whole_day(
            _months_back(until, n * {"mo": 1, "y": 12}[unit])
            if unit in ("mo", "y")
            else until - timedelta(days=n * (1 if unit == "d" else 7))
        )
    except (OverflowError, ValueError):
        msg = f"{period} reaches back before the year 1"
        raise UsageError(msg, "use --period max for all there is") from None


def _months_back(day: datetime, months: int) -> datetime:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return day.replace(year=year, month=month + 1, day=min(day.day, last))
        except ValueError:
            if not 1 <= year <= 9999:
                raise
    raise AssertionError  # every month has 28 days


def _whole_day(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def read_requests(
    symbols: Sequence[Symbol],
    interval: str,
    window: tuple[str | None, str | None, str | None],
    adjust: str,
    terminal: Terminal,
    *,
    priority: str | None = None,
) -> list[BarRequest]:
    """One request a symbol; `window` is start, end and period as typed. Somebody at a terminal waits: that is urgent. Raises UsageError."""
    length, basis = Interval.parse(interval), Adjustment.parse(adjust)
    since, until = read_window(length, *window, terminal)
    urgent = Priority.HIGH if terminal.err.isatty() or terminal.out.isatty() else Priority.NORMAL
    chosen = urgent if priority is None else Priority.parse(priority)
    return [BarRequest(s, length, since, until, basis, chosen) for s in symbols]
