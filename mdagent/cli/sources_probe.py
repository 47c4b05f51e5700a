"""sources probe: whether each provider answers, and what its key opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, choose, show

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

PROBE = ("source", "key", "entitled", "status", "latency_ms", "clock_skew_s", "quota_left", "verdict")


@app.command(cls=Page)
def probe(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE...]", help="all that are enabled and have their key, when none is named")
    ] = None,
    *,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Ask each source for its cheapest answer: one request of each.

    Is it there, is the key good, what does the plan include? Also told: how long it took, by how many seconds this clock is ahead of
    theirs, and what the answer says of the quota. Exit code 11 when a key is refused, or missing for a source that was named; else 4
    when one did not answer well.

    \b
    Examples:
      mdagent sources probe
      mdagent sources probe polygon --json
    """
    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    with terminal.agent() as agent:
        found = agent.probe(names or ())
        asked = {f.source for f in found}
        unasked = [] if names else [name for name, told in agent.settings.sources.items() if told.enabled and name not in asked]
    if unasked and found:
        terminal.say(f"not asked: {', '.join(unasked)} (mdagent sources status tells what each one lacks)")
    show(chosen, PROBE, [tuple(getattr(f, name) for name in PROBE) for f in found], terminal)
    code = ExitCode.KEY if any(f.key in ("refused", "missing") for f in found) else ExitCode.NO_SOURCE
    for bad in found:
        if not bad.ok:
            terminal.fail(f"{bad.source}: {bad.verdict.removesuffix(f': {bad.next_step}')}", bad.next_step, code)
    if not found:
        terminal.fail("no source is enabled and has its key", "mdagent sources status tells what each one lacks", code)
