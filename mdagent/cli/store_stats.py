"""store stats: what the store holds, and what takes its room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from mdagent.cli.data import AsCsv, AsJson, Format
from mdagent.cli.page import Page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mdagent.cli.terminal import Terminal
    from mdagent.store.sizes import Room, Sizes

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

COLUMNS = ("kind", "name", "interval", "rows", "bytes", "bytes_a_row", "told")


@app.command(cls=Page)
def stats(ctx: typer.Context, *, form: Format = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Rows and bytes of each table, of the bars by source and interval; the file's size and free space, first and last write, versions.

    `kind` is table, series, file, write or version. A series' bytes are its share of the row groups that it lies in.

    \b
    Examples:
      mdagent store stats
      mdagent store stats --json
    """
    from mdagent.cli.bars import need_store
    from mdagent.cli.data import choose_way
    from mdagent.cli.render import write_rows
    from mdagent.store.sizes import sizes_of

    terminal: Terminal = ctx.obj
    chosen = choose_way(terminal, form, as_json=as_json, as_csv=as_csv)
    with terminal.agent() as agent:
        need_store(agent.store)
        with agent.store.reading("store stats") as reader:
            found = sizes_of(reader.ask)
        write_rows(chosen, COLUMNS, list(_rows(found, agent.store.path)), terminal.out, terminal)


def _rows(found: Sizes, path: Path) -> Iterator[tuple[Any, ...]]:
    import shutil
    from importlib.metadata import version

    from mdagent import __version__

    for name, room in found.tables.items():
        yield _row("table", name, None, room)
    for (source, interval), room in found.series.items():
        yield _row("series", source, interval, room)
    yield ("file", "size", None, None, path.stat().st_size, None, str(path))
    yield ("file", "free in it", None, None, found.free, None, None)
    yield ("file", "free on its disk", None, None, shutil.disk_usage(path.parent).free, None, None)
    for name, at in (("first", found.first), ("last", found.last)):
        yield ("write", name, None, None, None, None, f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else None)
    for name, told in (("store", found.version), ("mdagent", __version__), ("duckdb", version("duckdb"))):
        yield ("version", name, None, None, None, None, str(told))


def _row(kind: str, name: str, interval: str | None, room: Room) -> tuple[Any, ...]:
    return (kind, name, interval, room.rows, room.bytes, round(room.bytes / room.rows, 1) if room.rows else None, None)
