"""Tables for people, with Rich. Provider text is literal, never markup, and never more than one line."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.cli.terminal import Terminal

_WIDE = 160  # columns, where no terminal tells its own
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
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(
            name, justify="right" if right else "left", no_wrap=right or name in ("symbol", "ts", "source", "grade"), overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(words(v)) for v in row))
    color = terminal.wants_color(out)
    width = None if out.isatty() else _WIDE
    Console(file=out, force_terminal=color, no_color=not color, width=width, highlight=False).print(table)


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
