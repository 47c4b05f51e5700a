"""backfill: many symbols over a long window, planned before anything is spent; and apply: a plan that was written before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.data import Adjust, End, MinGrade, Start, floor_of, judge_by
from mdagent.cli.foretell import foretell
from mdagent.cli.page import Page
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdagent.agent import Agent
    from mdagent.cli.errand import Course
    from mdagent.cli.terminal import Terminal
    from mdagent.cli.universe import Universe
    from mdagent.work.backfill import Chunk

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

Intervals = Annotated[str, typer.Option("--interval", "-i", metavar="LENGTHS", help="of the bars, with commas: 1d or 1d,1h")]
Sources = Annotated[list[str] | None, typer.Option("--source", metavar="NAME", help="ask this source; may be given several times")]
MaxRuntime = Annotated[str | None, typer.Option(metavar="TIME", help="begin nothing new after 90s, 15m or 2h; exit 14 if anything is left")]
Progress = Annotated[str, typer.Option(metavar="FORM", help="auto (a bar on a terminal, else lines), plain, or json: an object a line")]
ReportFile = Annotated[str | None, typer.Option("--report", metavar="FILE", help="write the report as JSON to this file; - is stdout")]
_UP_TO_DATE = "all stored symbols, from their last bars on unless --start is given"


@app.command(cls=Page)
def backfill(
    ctx: typer.Context,
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="[SYMBOL...]", help="AAPL, @FILE, @NAME of universes, or - (stdin)")
    ] = None,
    *,
    stored: Annotated[bool, typer.Option("--stored", help=_UP_TO_DATE)] = False,
    stale: Annotated[bool, typer.Option("--stale", help="as --stored, and say nothing of those that are up to date")] = False,
    start: Start = None,
    end: End = None,
    interval: Intervals = "1d",
    source: Sources = None,
    adjust: Adjust = "splits",
    min_grade: MinGrade = None,
    budget: Annotated[float | None, typer.Option(metavar="USD", min=0.0, help="spend no more than that in this run")] = None,
    max_runtime: MaxRuntime = None,
    priority: Annotated[str, typer.Option(metavar="CLASS", help="critical, high, normal, low or batch")] = "batch",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be asked, cost and take; --report FILE is a plan then")
    ] = False,
    settle: Annotated[
        bool, typer.Option("--settle", help="ask again for sessions since whose close 0, 1, 3 or 7 sessions went by")
    ] = False,
    progress: Progress = "auto",
    report: ReportFile = None,
) -> None:
    """Many symbols over a long window: what the store lacks is asked for, as the quotas of all sources allow, and nothing twice.

    Stopped or killed, it goes on where it was when the same command is run again; several at once share the work. Bars go into the
    store; stdout stays empty. The summary tells what came, and each failure has a line. A session that is not over is not asked for.

    \b
    Examples:
      mdagent backfill AAPL MSFT --start 2020-01-01
      mdagent backfill @symbols.txt --start 2015-01-01 --interval 1d,1h --max-runtime 2h
      mdagent backfill --stored --settle --quiet          every evening, from cron
      mdagent backfill @symbols.txt --start 2015-01-01 --dry-run --report plan.json
    """
    # long because: it has as many parameters as it has options
    from mdagent.cli.room import scarce
    from mdagent.cli.universe import Asked, read_intervals, read_universe
    from mdagent.market import Adjustment, Priority

    terminal: Terminal = ctx.obj
    if start is None and not (stored or stale or settle):
        msg = "no start is named"
        raise UsageError(msg, "say from when: --start 2020-01-01; or --stored, from the last bars on")
    with terminal.agent() as agent:
        words = (symbols or (), read_intervals(interval), start, end, Adjustment.parse(adjust), Priority.parse(priority))
        universe = read_universe(Asked(*words, stored or stale), agent, terminal)
        names = tuple(source or ("auto",))
        again = agent.resettle(universe.symbols, words[1], names) if settle else []
        if dry_run:
            foretell(_groups(universe, again), agent, terminal, names, place=report, budget=budget)
            return
        course = _course(terminal, agent, (budget, max_runtime), min_grade, (progress, report))
        course.sources, course.settles, course.tally.only_asked = names, settle, stale
        note = scarce(agent.settings.store, universe.bars)
        if note:
            terminal.say(note)
        course.run(_groups(universe, again), universe.size + len(again))


@app.command(cls=Page)
def apply(
    ctx: typer.Context,
    plan: Annotated[Path, typer.Argument(metavar="FILE", help="made by mdagent plan -o FILE, or backfill --dry-run --report FILE")],
    *,
    min_grade: MinGrade = None,
    max_runtime: MaxRuntime = None,
    progress: Progress = "auto",
    report: ReportFile = None,
) -> None:
    """Do what a plan says, and nothing beyond it: its chunks of its sources, within its requests, credits and USD.

    All runs of one plan together stay within these: what an earlier one sent counts. A request that would pass them is not begun, and
    the exit code is 7 where something is missing for that; make a new plan then. What is there by now is not asked for.

    \b
    Examples:
      mdagent apply plan.json
      mdagent apply plan.json --max-runtime 1h --progress json
    """
    from mdagent.cli.planfile import read_plan
    from mdagent.store.recall import sent_by_runs

    terminal: Terminal = ctx.obj
    made = read_plan(terminal.cwd / plan, terminal.settings.world)
    with terminal.agent() as agent:
        course = _course(terminal, agent, (None, max_runtime), min_grade, (progress, report))
        bounds, before = made.allowance, sent_by_runs(agent.ledger, made.tag)
        bounds.ends, course.tag, course.allowance = course.allowance.ends, made.tag, bounds
        bounds.used_requests, bounds.used_credits, bounds.used_usd = before
        course.before = before
        course.run(made.groups, sum(map(len, made.groups)))


def _groups(universe: Universe, again: Sequence[Chunk]) -> Iterable[list[Chunk]]:
    from mdagent.work.backfill import groups_of

    yield from groups_of(universe.chunks())
    yield from groups_of(again)


def _course(
    terminal: Terminal, agent: Agent, bounds: tuple[float | None, str | None], min_grade: str | None, told: tuple[str, str | None]
) -> Course:
    from mdagent.cli.errand import Course, read_span
    from mdagent.guard.allowance import Allowance

    judge_by(terminal, None, min_grade)
    usd, seconds = bounds[0], read_span(bounds[1])
    ends = None if seconds is None else terminal.clock.monotonic() + seconds
    return Course(terminal, agent, Allowance(usd=usd, ends=ends), floor=floor_of(terminal), progress=told[0], report=told[1])
