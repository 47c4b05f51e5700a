"""chaos suite: many experiments, one verdict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.chaos_run import Seed, code_of, tell
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
    duration: Annotated[str | None, typer.Option(metavar="TIME", help="of extended: 90s, 15m or 2h; default 24h")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="all reports as JSON; else a table in Markdown")] = False,
) -> None:
    """Run a suite of experiments: exit 0 when all of them held, else 6.

    `extended` is one experiment of real time: a cron job every minute and a status call as processes, prompts and charts, while faults
    are drawn from the seed. It says how it goes; Ctrl-C ends it, and what was seen until then is told and kept.

    \b
    Examples:
      mdagent chaos suite quick                          half a minute
      mdagent chaos suite standard                       under ten minutes
      mdagent chaos suite comprehensive
      mdagent chaos suite extended                       a day of real time, on loopback
      mdagent chaos suite extended --duration 2h --seed 7
    """
    from mdagent.chaos.report import table
    from mdagent.chaos.shipped import SUITES, shipped
    from mdagent.chaos.suite import COLUMNS, row_of, run_all
    from mdagent.store.drills import keep_drill

    terminal: Terminal = ctx.obj
    if name not in SUITES:
        msg = f"there is no suite {name[:40]!a}"
        raise UsageError(msg, f"use {', '.join(SUITES)}")
    if name == "extended":
        _soak(terminal, 1 if seed is None else seed, duration, as_json=as_json)
        return
    if duration is not None:
        msg = f"the suite {name} lasts as long as its experiments"
        raise UsageError(msg, "leave out --duration, which is for extended")
    reports = []
    with terminal.agent() as agent:
        tag = f"{name} {terminal.clock.now():%Y-%m-%dT%H:%M:%SZ}"
        for told in run_all([shipped(one) for one in SUITES[name]], terminal.settings, seed, jobs):
            number = keep_drill(agent.ledger, told, tag)
            terminal.say(f"{told['experiment']}: {told['verdict']}: {told['why']} (chaos report {number})")
            reports.append(told)
    terminal.out.write(json.dumps(reports, indent=1) + "\n" if as_json else "\n".join(table(COLUMNS, [row_of(r) for r in reports])) + "\n")
    terminal.code = int(max(code_of(told["verdict"]) for told in reports))


def _soak(terminal: Terminal, seed: int, duration: str | None, *, as_json: bool) -> None:
    """A day of real time, or as long as it is said."""
    from mdagent.chaos.drill import run
    from mdagent.chaos.report import report
    from mdagent.chaos.soak import DAY, soak
    from mdagent.cli.errand import read_span

    outcome = run(soak(seed, read_span(duration) or DAY), terminal.settings, seed, terminal.say)
    again = f"mdagent chaos suite extended --seed {seed}" + (f" --duration {duration}" if duration else "")
    tell(report(outcome, again), terminal, as_json=as_json, suite="extended")
    terminal.code = int(code_of(outcome.verdict))
    if outcome.verdict == "interrupted":
        raise KeyboardInterrupt
