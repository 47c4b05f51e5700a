"""store: the commands about the file of bars. A command loads its own module and no other."""

from __future__ import annotations

import typer

from mdagent.cli.lazy import Lazy

COMMANDS: dict[str, str] = {"stats": "store_stats", "check": "store_check", "compact": "store_compact"}


class Store(Lazy):
    """Of the commands about the file of bars."""

    modules, path = COMMANDS, "mdagent store"


app = typer.Typer(
    cls=Store,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="The file of bars: what it holds, whether it is sound, and to rewrite it without waste.",
)


@app.callback()
def _group() -> None:
    """The file of bars."""
