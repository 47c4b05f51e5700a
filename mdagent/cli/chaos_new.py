"""chaos new: a commented experiment to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.page import Page

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(cls=Page)
def new(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="write it here, such as monday.yaml; default stdout")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="write over an existing file")] = False,
) -> None:
    """A commented experiment file, which runs as it stands.

    \b
    Examples:
      mdagent chaos new monday.yaml
      mdagent chaos run monday.yaml
    """
    from importlib.resources import files

    from mdagent.cli.render import new_file

    terminal: Terminal = ctx.obj
    text = files("mdagent.chaos").joinpath("template.yaml").read_text(encoding="utf-8")
    if file is None:
        terminal.out.write(text)
        return
    with new_file(terminal.cwd / file, force=force) as stream:
        stream.write(text)
    terminal.say(f"written: mdagent chaos run {file}")
