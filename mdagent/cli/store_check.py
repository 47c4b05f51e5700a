"""store check: is the file of bars sound?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mdagent.cli.data import AsCsv, AsJson, Format
from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(cls=Page)
def check(ctx: typer.Context, *, form: Format = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Read every page of the store and look for what cannot be: keys held twice, bars of no batch, orphans, coverage that overlaps.

    `state` is ok, note (no damage, but something to do) or bad; with any bad one the exit code is 9. Changes nothing.

    \b
    Examples:
      mdagent store check
      mdagent store check --json
    """
    from mdagent.cli.bars import need_store
    from mdagent.cli.data import choose_way
    from mdagent.cli.render import write_rows
    from mdagent.store.soundness import BAD, NOTE, Look, looks

    terminal: Terminal = ctx.obj
    chosen = choose_way(terminal, form, as_json=as_json, as_csv=as_csv)
    with terminal.agent() as agent:
        need_store(agent.store)
        with agent.store.reading("store check") as reader:
            found = list(looks(reader.ask, agent.clock.now()))
        remains = agent.store.leftovers()
    found += [Look("half-built files", NOTE, 1, f"{p} was left by a process that was killed", "mdagent store compact") for p in remains]
    write_rows(chosen, Look._fields, found, terminal.out, terminal)
    bad = [look for look in found if look.state == BAD]
    if bad:
        words = f"the store {agent.store.path} is damaged: {bad[0].seen}"
        terminal.fail(words + (f"; and {len(bad) - 1} more" if len(bad) > 1 else ""), bad[0].next_step, ExitCode.STORE_DAMAGED)
