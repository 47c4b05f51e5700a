"""store compact: the file of bars without waste."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.data import AsJson
from mdagent.cli.page import Page

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

IfWaste = Annotated[
    float, typer.Option("--if-waste", metavar="SHARE", help="only when so much of it is waste, such as 0.2", min=0.0, max=1.0)
]


@app.command(cls=Page)
def compact(ctx: typer.Context, *, if_waste: IfWaste = 0.0, as_json: AsJson = False) -> None:
    """Rewrite the store without waste, each symbol's bars side by side: smaller, and one symbol is read faster.

    The new file is built beside the old one, proved to hold the same rows, and takes its place in one step; whatever happens meanwhile,
    the old or the new one is there, whole. Others wait until it is done.

    \b
    Examples:
      mdagent store compact
      mdagent store compact --if-waste 0.2 --json
    """
    from mdagent.cli.bars import need_store
    from mdagent.store.compact import compact as rewrite

    terminal: Terminal = ctx.obj
    with terminal.agent() as agent:
        need_store(agent.store)
        done = rewrite(agent.store, least_waste=if_waste)
    if as_json:
        import json

        terminal.out.write(json.dumps({"store": str(agent.store.path)} | done._asdict()) + "\n")
    if done.rewritten:
        terminal.say(f"{agent.store.path}: {done.before:,} bytes before, {done.after:,} after")
    else:
        terminal.say(f"{agent.store.path}: {done.waste:.1%} of it is waste, less than {if_waste:.1%}: left as it is")
