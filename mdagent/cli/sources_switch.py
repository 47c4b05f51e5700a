"""sources enable, sources disable: whether any process may ask a source at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.page import Page
from mdagent.cli.sources import named
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

Named = Annotated[list[str], typer.Argument(metavar="SOURCE...", help="by name, as sources list has them")]


@app.command(cls=Page)
def disable(ctx: typer.Context, names: Named) -> None:
    """Ask a source no more, by no process on this machine.

    Holds at once, under any key, until it is enabled. It stands in the ledger, not in the settings (there, sources.NAME.enabled does
    the same for good). Nothing is sent, and what is stored of the source stays.

    \b
    Examples:
      mdagent sources disable yahoo
    """
    _switch(ctx.obj, names, on=False)


@app.command(cls=Page)
def enable(ctx: typer.Context, names: Named) -> None:
    """Take `disable` back, for every process on this machine.

    Exit code 2, and nothing is changed, for a source that the settings disable.

    \b
    Examples:
      mdagent sources enable yahoo
    """
    _switch(ctx.obj, names, on=True)


def _switch(terminal: Terminal, names: list[str], *, on: bool) -> None:
    """All of them or, where one cannot be, none."""
    with terminal.agent() as agent:
        wanted = named(agent, names)
        for name in wanted:
            if on and not agent.settings.sources[name].enabled:
                path = f"sources.{name}.enabled"
                msg = f"{name} stays disabled: {path} is false (set by {terminal.loaded.origins.get(path, 'default')})"
                raise UsageError(msg, f"set {path} to true there; nothing was changed")
        off = agent.ledger.switched_off()
        for name in wanted:
            agent.ledger.switch(name, on=on)
            already = " already" if (name not in off) == on else ""
            terminal.say(f"{name} is{already} {'enabled' if on else 'disabled'} for every process on this machine")
    if not on:
        terminal.say(f"mdagent sources enable {' '.join(wanted)} takes it back")
