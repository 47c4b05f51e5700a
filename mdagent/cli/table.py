"""Tables for people, with Rich. Provider text is literal, never markup, and never more than one line."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.cli.terminal import Terminal

_WIDE = 160  # columns, where no terminal tells its own
_FOLDED = 12  # a column of text may be folded to this
_WHOLE = ("symbol", "ts", "source", "grade", "as_of")
_SHARED = ("interval", "source", "adjustment", "currency", "provisional")


def print_bars(columns: Sequence[str], rows: Sequence[tuple[Any, ...]], out: TextIO, terminal: Terminal) -> None:
    """Bars as a table that fits a narrow terminal: what all rows share stands once, above."""
    shared = {n: {r[columns.index(n)] for r in rows} for n in _SHARED}
    once = [n for n in _SHARED if len(shared[n]) == 1]
    title = ", ".join(words(v) for n in once if n != "provisional" and (v := next(iter(shared[n]))) is not None)
    if "provisional" in once and True in shared["provisional"]:
        title += ", provisional"
    keep = [i for i, n in enumerate(columns) if n not in once and n != "score"]
    print_table([columns[i] for i in keep], [tuple(r[i] for i in keep) for r in rows], out, terminal, title)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: TextIO, terminal: Terminal, title: str = "") -> None:
    """Any rows as a table; columns of numbers stand to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=Text(title) if title else None, title_justify="left", pad_edge=False, title_style="")
    numeric = [
        bool(rows) and all((isinstance(r[i], int | float) and not isinstance(r[i], bool)) or r[i] is None for r in rows)
        for i in range(len(columns))
    ]
    whole = [right or name in _WHOLE for name, right in zip(columns, numeric, strict=True)]
    for name, right, no_wrap in zip(columns, numeric, whole, strict=True):
        table.add_column(name, justify="right" if right else "left", no_wrap=no_wrap, overflow="fold")
    cells = [[words(v) for v in row] for row in rows]
    for row in cells:
        table.add_row(*map(Text, row))
    color = terminal.wants_color(out)
    width = None if out.isatty() else _WIDE
    console = Console(file=out, force_terminal=color, no_color=not color, width=width, highlight=False)
    if _least(columns, cells, whole) > console.width:  # a number is never cut: rather one cell below the other
        out.write(title + "\n" if title else "")
        print_cards(columns, rows, out)
        return
    console.print(table)


def _least(columns: Sequence[str], cells: Sequence[Sequence[str]], whole: Sequence[bool]) -> int:
    """The width below which a table would cut a column that must stay whole, or fold another beyond reading."""
    longest = (max(map(len, column)) for column in zip(columns, *cells, strict=True))
    return sum((long if firm else min(long, _FOLDED)) + 3 for long, firm in zip(longest, whole, strict=True))


def print_cards(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: TextIO) -> None:
    """Each row as a card: its first cell, and below it a line for every other cell that says something."""
    width = max(map(len, columns)) + 1
    for row in rows:
        out.write(f"{words(row[0])}\n")
        out.writelines(f"  {name:{width}} {told}\n" for name, value in zip(columns[1:], row[1:], strict=True) if (told := words(value)))


def words(value: object) -> str:
    """One value for people, on one line; absent is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, float):
        return _number(value)
    return one_line(str(value), 200)


def _number(value: float) -> str:
    """Two digits after the point, more only for what is small; thousands told apart."""
    if value.is_integer() and abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:,.4f}".rstrip("0").rstrip(".")
