"""A CSV or Parquet file of bars -> its columns: under any of the names that vendors give them, no row lost."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.errors import NoBars, UsageError
from mdagent.market import COLUMNS
from mdagent.sources.reading.columns import Column
from mdagent.untrusted import one_line
from mdagent.work.datetexts import Written, at_greenwich, from_numbers, from_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SUFFIXES = (".csv", ".parquet", ".txt", ".tsv")

# What a column is called, in small letters and digits alone; of two that are there the one that stands first here is meant.
NAMES = {
    "ts": "timestamp ts datetime date t windowstart opentime begin tradedate indexlevel0 gmttime",
    "time": "time",  # of the day, beside a date; or the stamp itself where there is no other
    "open": "open o openprice",
    "high": "high h highprice max",
    "low": "low l lowprice min",
    "close": "close c closelast closeprice last price",
    "volume": "volume vol v totalvolume shares",
    "adj_close": "adjclose adjustedclose closeadj",
    "dividends": "dividends dividend dividendamount divcash",
    "splits": "splits stocksplits splitcoefficient splitfactor split splitratio",
    "symbol": "symbol ticker code",
    "interval": "interval per",
    "source": "source",
    "adjustment": "adjustment",
    "currency": "currency",
}
_TEXTS = ("symbol", "interval", "source", "adjustment", "currency")
_NOTHING = frozenset(("", "nan", "null", "none", "na", "n/a", "#n/a", "-", "nat", "<na>"))
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?\Z")
_TIMES = {"k": 1e3, "m": 1e6, "b": 1e9}
_PARQUET = b"PAR1"
_HINT = "name the columns timestamp, open, high, low, close and volume"

Cells = np.ndarray | list[str]


class BarFile(NamedTuple):
    """What a file holds, row by row in its order. `columns` are open, high, low, close, volume; `adj_close`, `dividends` and `splits`
    (float64, NaN for none) are None where the file has no such column; `told` is what a column says the same of all rows (symbol,
    interval, source, adjustment, currency)."""

    path: Path
    stamps: Written
    columns: tuple[Column, ...]
    adj_close: np.ndarray | None
    dividends: np.ndarray | None
    splits: np.ndarray | None
    told: Mapping[str, str]
    has_volume: bool

    def __len__(self) -> int:
        return len(self.stamps.local)


def read_file(path: Path, symbol: str | None = None) -> BarFile:
    """Of a file with several symbols the rows of `symbol`. Raises UsageError for what is no such file, NoBars for one without a row."""
    table = _read_table(path)
    return _bar_file(table, *_of_one_symbol(path, table.places, table.cells, symbol))


def read_each(path: Path) -> Iterator[BarFile]:
    """The rows of each symbol by themselves, in order of their first row; of a file that names none, all. Raises as `read_file`, and
    UsageError where some rows name a symbol and others none."""
    table = _read_table(path)
    named = [str(cell).strip().upper() for cell in table.cells[table.places["symbol"]]] if "symbol" in table.places else []
    rows: dict[str, list[int]] = {}
    for n, name in enumerate(named):
        rows.setdefault(name, []).append(n)
    if len(rows) > 2 and "" in rows:
        msg = f"{path}: {len(rows[''])} of its {len(named)} rows name no symbol, the first is row {rows[''][0] + 1}"
        raise UsageError(msg, "write the symbol into each row")
    if len(rows) < 2 or "" in rows:
        yield _bar_file(table, *_of_one_symbol(path, table.places, table.cells, None))
        return
    for mine in rows.values():
        yield _bar_file(table, *_of_one_symbol(path, table.places, _only(table.cells, mine), None))


class _Table(NamedTuple):
    """A file as it was read: its header, where each column stands, and the columns."""

    path: Path
    names: list[str]
    places: dict[str, int]
    cells: list[Cells]


def _read_table(path: Path) -> _Table:
    names, cells = _from_parquet(path) if _starts_with(path, _PARQUET) else _from_csv(path)
    places = _places(path, names)
    if not len(cells[places["ts"]]):
        msg = f"{path} has a header and no rows"
        raise NoBars(msg, "name a file with bars")
    return _Table(path, names, places, cells)


def _bar_file(table: _Table, cells: list[Cells], told: dict[str, str]) -> BarFile:
    path, names, places, _ = table
    columns = [_numbers(cells[places[name]]) if name in places else _empty(len(cells[0])) for name in COLUMNS]
    stamps = _stamps(cells, places)
    if not np.isfinite(stamps.local).any():
        shown = one_line(str(cells[places["ts"]][0]), 40)
        msg = f"{path}: nothing in its column {names[places['ts']]!a} is a date; the first is {shown!a}"
        raise UsageError(msg, "write dates as 2024-01-31 or 2024-01-31T14:30:00Z")
    extra = {n: _numbers(cells[places[n]]).values if n in places else None for n in ("adj_close", "dividends", "splits")}
    return BarFile(path, stamps, tuple(columns), **extra, told=told, has_volume="volume" in places)


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(len(magic))
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise UsageError(msg, "name a CSV or Parquet file of bars") from error
    if not head:
        msg = f"{path} is empty (0 bytes)"
        raise NoBars(msg, "name a file with bars")
    return head == magic


def _from_parquet(path: Path) -> tuple[list[str], list[Cells]]:
    from mdagent.store.parquet import read

    told = read(path)
    return list(told), list(told.values())


def _from_csv(path: Path) -> tuple[list[str], list[Cells]]:
    """Header and columns. A row of another length than the header's is one of which no cell can be trusted."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        msg = f"{path} is neither a CSV (it is no text in UTF-8) nor a Parquet file"
        raise UsageError(msg, "name a CSV or Parquet file of bars")
    head = text[: text.find("\n") + 1 or len(text)]
    delimiter = max(",;\t|", key=head.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row and any(row)]
    except csv.Error as error:
        msg = f"{path} is no CSV: {error}"
        raise UsageError(msg, "name a CSV or Parquet file of bars") from error
    if not rows:
        msg = f"{path} holds nothing but blank lines"
        raise NoBars(msg, "name a file with bars")
    header, *rows = _one_header(rows)
    width = len(header)
    rows = [row if len(row) == width else _ragged(row, width) for row in rows]
    columns: list[Cells] = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in header]
    return header, columns


def _one_header(rows: list[list[str]]) -> list[list[str]]:
    """Of the three lines of header that yfinance writes (Price, Ticker, Date) one."""
    if len(rows) > 2 and [rows[n][0] for n in range(3)] == ["Price", "Ticker", "Date"]:
        symbol = rows[1][1] if len(rows[1]) > 1 else ""
        return [["Date", *rows[0][1:], "Ticker"], *([*row, symbol] for row in rows[3:])]
    return rows


def _ragged(row: list[str], width: int) -> list[str]:
    """Cells left out at the end are empty; a cell too many has moved the others: its stamp alone is kept."""
    return [*row, *[""] * (width - len(row))] if len(row) < width else [row[0], *["moved"] * (width - 1)]


def _places(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Where each column stands. Raises UsageError where one is missing, or there twice."""
    plain = [re.sub(r"[^a-z0-9]", "", re.sub(r"^\d+\.\s*", "", name.strip().lower())) for name in names]
    if plain and not plain[0]:
        plain[0] = "indexlevel0"  # a pandas index without a name
    places: dict[str, int] = {}
    for meaning, words in NAMES.items():
        found = next(([n for n, name in enumerate(plain) if name == word] for word in words.split() if word in plain), [])
        if len(found) > 1:
            msg = f"{path} has {len(found)} columns {names[found[0]]!a}"
            raise UsageError(msg, "leave one of them out")
        if found:
            places[meaning] = found[0]
    if "ts" not in places and "time" in places:
        places["ts"] = places.pop("time")
    lacking = [name for name in ("ts", *COLUMNS[:4]) if name not in places]
    if lacking:
        words = ", ".join("timestamp" if name == "ts" else name for name in lacking)
        shown = one_line(", ".join(names), 100)
        msg = f"{path} has no column for {words}; its first line is: {shown}"
        raise UsageError(msg, _HINT)
    return places


def _of_one_symbol(path: Path, places: Mapping[str, int], cells: list[Cells], symbol: str | None) -> tuple[list[Cells], dict[str, str]]:
    kinds = {name: [str(cell).strip() for cell in cells[places[name]]] for name in _TEXTS if name in places}
    names = [name.upper() for name in kinds.get("symbol", ())]
    several = sorted(set(names) - {""})
    if len(several) > 1:
        if symbol is None or symbol.upper() not in several:
            shown = ", ".join(several[:5]) + (f" and {len(several) - 5} more" if len(several) > 5 else "")
            msg = f"{path} holds {len(several)} symbols: {shown}" if symbol is None else f"{path} has no rows of {symbol}; it has {shown}"
            raise UsageError(msg, f"name one of them: mdagent validate {several[0]} --file {path}")
        mine = [n for n, name in enumerate(names) if name == symbol.upper()]
        cells = _only(cells, mine)
        kinds = {name: [column[n] for n in mine] for name, column in kinds.items()}
    same = {name: set(column) for name, column in kinds.items()}
    return cells, {name: next(iter(found)) for name, found in same.items() if len(found) == 1 and found != {""}}


def _only(cells: Sequence[Cells], rows: Sequence[int]) -> list[Cells]:
    return [c[rows] if isinstance(c, np.ndarray) else [c[n] for n in rows] for c in cells]


def _stamps(cells: Sequence[Cells], places: Mapping[str, int]) -> Written:
    told = cells[places["ts"]]
    if isinstance(told, np.ndarray):
        return at_greenwich(told) if told.dtype.kind == "M" else from_numbers(told)
    time = cells[places["time"]] if "time" in places else None
    if isinstance(time, list):
        told = [f"{day.strip()} {clock.strip()}" for day, clock in zip(told, time, strict=True)]
    return from_texts([text.strip() for text in told])


def _empty(length: int) -> Column:
    return Column(np.full(length, np.nan), np.ones(length, dtype=bool), np.zeros(length, dtype=bool))


def _numbers(cells: Cells) -> Column:
    """Empty and `nan` are null; what is no finite number is bad in its row."""
    if isinstance(cells, np.ndarray):
        values = cells.astype(np.float64) if cells.dtype.kind == "f" else np.full(len(cells), np.inf)
        null = np.isnan(values)
    else:
        try:
            values = np.array(list(map(float, cells)), dtype=np.float64)
            null = np.isnan(values)
        except ValueError:
            null = np.array([cell.strip().lower() in _NOTHING for cell in cells], dtype=bool)
            values = np.array([np.nan if no else _number(cell.strip()) for cell, no in zip(cells, null, strict=True)], dtype=np.float64)
    bad = ~np.isfinite(values) & ~null
    return Column(np.where(bad, np.nan, values), null, bad)


def _number(text: str) -> float:
    """A number as people write it, infinite where it is none: $1,234.50, 12,5 with a comma for the point, 3.4M."""
    text = text.lstrip("$€£¥ ").rstrip("% ")
    times = _TIMES.get(text[-1:].lower(), 1.0)
    text = text[:-1] if times != 1.0 else text
    if _THOUSANDS.match(text):
        text = text.replace(",", "")
    elif text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        return float(text) * times
    except ValueError:
        return float("inf")
