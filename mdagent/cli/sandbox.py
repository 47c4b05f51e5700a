"""sandbox serve: the simulated market as a real HTTP server on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.page import Page
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal

app = typer.Typer(
    rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True, help="The simulated market."
)


@app.callback()
def _group() -> None:
    """The simulated market. Its prices are synthetic."""


@app.command(cls=Page)
def serve(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE...]", help="all there are, when none is named")] = None,
    *,
    port: Annotated[int, typer.Option(metavar="NUMBER", min=0, max=65000, help="of the first, the others follow; 0 takes free ones")] = 0,
) -> None:
    """Serve the simulated providers on 127.0.0.1 until Ctrl-C. Prints a line `NAME URL KEY` for each.

    The key opens its largest plan; `sandbox-NAME-PLAN` opens another one, as `mdagent sources list` names them, and
    `sandbox-NAME-retired` leads to a provider that is gone.

    To use it, name the address as base_url and keep --sandbox: synthetic bars never enter the store of live ones.

    \b
    Examples:
      mdagent sandbox serve --port 8800
      MDAGENT_SOURCES__YAHOO__BASE_URL=http://127.0.0.1:8800 mdagent --sandbox fetch AAPL
    """
    from mdagent.wire.sandbox.server import serve as start

    terminal: Terminal = ctx.obj
    known = terminal.settings.sources
    for name in names or ():
        if name not in known:
            msg = f"no source is called {name[:40]!a}"
            raise UsageError(msg, f"use one of {', '.join(known)}")
    with start(terminal.clock, port=port, names=names or ()) as server:
        for name, url in server.base_urls.items():
            terminal.out.write(f"{name} {url} {server.keys[name]}".rstrip() + "\n")
        terminal.out.flush()
        terminal.say("serving synthetic prices; Ctrl-C ends it")
        while True:
            terminal.clock.pause(3600)
