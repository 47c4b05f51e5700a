"""chaos suite: many experiments, one verdict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.chaos_run import Seed, code_of
from mdagent.cli.page import Page
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(cls=Page)
def suite(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="quick, standard, comprehensive or extended")],
    *,
    seed: Seed = None,
    jobs: Annotated[int, typer.Option(metavar="NUMBER", min=0, max=64, help="so many at once; 0: as many as processors")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="all reports as JSON; else a table in Markdown")] = False,
) -> None:
    """Run a suite of experiments: exit 0 when all of them held, else 6.

    \b
    Examples:
      mdagent chaos suite quick                          half a minute
      mdagent chaos suite standard                       under ten minutes
    """
    from mdagent.chaos.report import table
    from mdagent.chaos.shipped import SUITES, shipped
    from mdagent.chaos.suite import COLUMNS, row_of, run_all
    from mdagent.store.drills import keep_drill

    terminal: Terminal = ctx.obj
    if name not in SUITES:
        msg = f"there is no suite {name[:40]!a}"
        raise UsageError(msg, f"use {', '.join(SUITES)}")
    reports = []
    with terminal.agent() as agent:
        tag = f"{name} {terminal.clock.now():%Y-%m-%dT%H:%M:%SZ}"
        for told in run_all([shipped(one) for one in SUITES[name]], terminal.settings, seed, jobs):
            number = keep_drill(agent.ledger, told, tag)
            terminal.say(f"{told['experiment']}: {told['verdict']}: {told['why']} (chaos report {number})")
            reports.append(told)
    terminal.out.write(json.dumps(reports, indent=1) + "\n" if as_json else "\n".join(table(COLUMNS, [row_of(r) for r in reports])) + "\n")
    terminal.code = int(max(code_of(told["verdict"]) for told in reports))
