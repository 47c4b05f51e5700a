"""Rows and reports -> table, csv, json, ndjson, parquet. stdout is data; the report of how it went is talk."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mdagent.errors import UsageError
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mdagent.cli.terminal import Terminal

COLUMNS = (
    "symbol",
    "interval",
    "ts",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "source",
    "adjustment",
    "currency",
    "grade",
    "score",
    "provisional",
)
PICTURES = (".png", ".svg")
FORMATS = ("table", "csv", "json", "ndjson", "parquet")
_SUFFIXES = {".csv": "csv", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet", ".txt": "table"}
_DAILY = ("1d", "1w", "1mo")
_FORMULA = frozenset("=+-@")


def shown(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Stored rows in the columns of stdout: `ts` as ISO 8601, the letter beside the score."""
    if not rows:
        return []
    from mdagent.quality.letters import letter

    columns = list(zip(*rows, strict=True))
    ts, score = columns[2], columns[11]
    letters = {s: letter(s) for s in set(score)}
    stamps = [t.isoformat()[:10] if i in _DAILY else f"{t.isoformat()[:19]}Z" for i, t in zip(columns[1], ts, strict=True)]
    return list(zip(*columns[:2], stamps, *columns[3:11], [letters[s] for s in score], *columns[11:], strict=True))


def choose_format(told: str | None, *, as_json: bool, as_csv: bool, output: Path | None, tty: bool) -> str:
    """The one format that the options ask for. Raises UsageError when they ask for two, or for none that exists."""
    asked = {f for f, on in (("json", as_json), ("csv", as_csv)) if on} | ({told} if told else set())
    if len(asked) > 1:
        msg = f"two formats are asked for: {' and '.join(sorted(asked))}"
        raise UsageError(msg, "name one")
    if asked:
        chosen = asked.pop()
        if chosen not in FORMATS:
            msg = f"{chosen[:20]!a} is not a format"
            raise UsageError(msg, f"use one of {', '.join(FORMATS)}")
        return chosen
    if output is not None and output.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[output.suffix.lower()]
    return "table" if tty and output is None else "csv"


def cell(value: object) -> object:
    """One cell of a CSV: numbers stay numbers, absent is empty; text is one line without control characters, and cannot be taken
    for a formula by a spreadsheet."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, str):
        text = value if value.isprintable() else one_line(value, len(value))
        return "'" + text if text[:1] in _FORMULA else text
    if isinstance(value, float):
        return "" if value != value else repr(value).removesuffix(".0")  # noqa: PLR0124  NaN
    return value


def plain(value: object) -> object:
    """One value of a JSON row; never NaN or Infinity."""
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  NaN
            return None
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def write_rows(
    form: str, columns: Sequence[str], rows: Iterator[tuple[Any, ...]] | Sequence[tuple[Any, ...]], out: TextIO, terminal: Terminal
) -> None:
    """Rows as text on a stream. Raises UsageError for parquet, which is no text."""
    writers: dict[str, Callable[..., None]] = {"csv": _csv, "json": _json, "ndjson": _ndjson, "table": _table}
    if form == "parquet":
        msg = "parquet is not text"
        raise UsageError(msg, "write it to a file with -o FILE.parquet")
    writers[form](columns, rows, out, terminal)


def _csv(columns: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO, _: Terminal) -> None:
    """Column by column: ten years of daily bars are 35,000 cells, and a call for each would cost more than reading them."""
    texts = [_csv_column(c) for c in zip(*rows, strict=True)]
    out.write(",".join(columns) + "\n")
    out.writelines(line + "\n" for line in map(",".join, zip(*texts, strict=True)))


def _csv_column(cells: tuple[Any, ...]) -> list[str]:
    kinds = set(map(type, cells))
    if kinds == {float} and isfinite(sum(cells)):
        return ("\n".join(map(repr, cells)) + "\n").replace(".0\n", "\n").split("\n")[:-1]
    if kinds <= {str, bool, type(None)}:
        once = {value: _quoted(str(cell(value))) for value in set(cells)}
        return [*once.values()] * len(cells) if len(once) == 1 else [once[value] for value in cells]
    return [_quoted(str(cell(value))) for value in cells]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text


def _json(columns: Sequence[str], rows: Iterator[tuple[Any, ...]], out: TextIO, _: Terminal) -> None:
    import json

    texts = (json.dumps(dict(zip(columns, map(plain, row), strict=True))) for row in rows)
    out.write("[")
    out.writelines(("," if i else "") + "\n" + text for i, text in enumerate(texts))
    out.write("\n]\n")


def _ndjson(columns: Sequence[str], rows: Iterator[tuple[Any, ...]], out: TextIO, _: Terminal) -> None:
    import json

    out.writelines(json.dumps(dict(zip(columns, map(plain, row), strict=True))) + "\n" for row in rows)


def _table(columns: Sequence[str], rows: Iterator[tuple[Any, ...]], out: TextIO, terminal: Terminal) -> None:
    from mdagent.cli.table import print_bars, print_table

    (print_bars if tuple(columns) == COLUMNS else print_table)(columns, list(rows), out, terminal)


@contextmanager
def new_file(path: Path, *, force: bool) -> Iterator[TextIO]:
    """A text file that appears whole or not at all: written under a temporary name beside it, then renamed. Raises UsageError
    when it exists and `force` is not given; a device such as /dev/full is written in place."""
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    refuse_place(path, force=force)
    new = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        with new.open("w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        new.rename(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise


def refuse_place(path: Path, *, force: bool) -> None:
    """Raises UsageError for a path that is taken (unless `force`), is a folder, or lies in none. A device is a fair place."""
    if path.is_dir():
        msg = f"{path} is a folder"
        raise UsageError(msg, "name a file in it")
    if path.is_file() and not force:
        msg = f"{path} exists already"
        raise UsageError(msg, "add --force to write over it, or name another file")
    if not path.parent.is_dir():
        msg = f"there is no folder {path.parent}"
        raise UsageError(msg, "make it, or name a file elsewhere")


def refuse_picture(path: Path, *, force: bool) -> None:
    """Raises UsageError for a path at which no picture can be drawn."""
    if path.suffix.lower() not in PICTURES:
        msg = f"{path.name[:40]!a} is no picture that can be drawn"
        raise UsageError(msg, "name a file that ends in .png or .svg")
    refuse_place(path, force=force)


def write_parquet(columns: Sequence[str], rows: Sequence[tuple[Any, ...]], path: Path, *, force: bool) -> None:
    """Rows as a Parquet file, through DuckDB in memory."""
    from mdagent.store.parquet import write

    with new_place(path, force=force) as new:
        write(columns, rows, new)


@contextmanager
def new_place(path: Path, *, force: bool) -> Iterator[Path]:
    """A name beside `path` for what is not whole yet; at the end it is `path`, after an error gone. Raises UsageError."""
    refuse_place(path, force=force)
    new = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        yield new
        new.rename(path)
    finally:
        with suppress(OSError):
            new.unlink()
