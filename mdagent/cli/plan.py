"""plan: what a fetch would ask, cost and take, before anything is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.data import Adjust, End, Force, IntervalWord, Period, Rank, Refresh, SourceWord, Start, Symbols
from mdagent.cli.exits import of_report
from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, choose, show
from mdagent.cli.talk import tell_failures, totals
from mdagent.cli.words import read_requests, read_symbols

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mdagent.cli.terminal import Terminal
    from mdagent.market import BarRequest
    from mdagent.work.report import Line, Report

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

PLAN = ("symbol", "interval", "start", "end", "source", "requests", "credits", "usd", "seconds", "note")

_SHARED = ("interval", "start", "end")
_SELDOM = ("usd", "seconds", "note")


@app.command(cls=Page)
def plan(
    ctx: typer.Context,
    symbols: Symbols,
    *,
    interval: IntervalWord = "1d",
    start: Start = None,
    end: End = None,
    period: Period = None,
    source: SourceWord = "auto",
    adjust: Adjust = "splits",
    refresh: Refresh = False,
    priority: Rank = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="write a plan that mdagent apply FILE runs")] = None,
    force: Force = False,
) -> None:
    """What a fetch would ask, cost and take, before anything is spent.

    A row is a symbol and a source that would be asked: the window, the requests, their credits of the quota, USD (sources.NAME.cost for
    a credit), and the seconds until the last of them could go by the quotas as they stand, all symbols in turn. `note` tells what is
    shared, out of reach, or refused by a budget, a quota or a breaker; a wait is told, not refused. Every answer is taken for good:
    further pages, second tries and who is asked in place of a source that fails are not in it. Nothing is sent, and nothing is stored
    but calendars. The exit code is that of the fetch, as far as it can be known. With -o all of it goes into a file, and a summary to
    stderr.

    \b
    Examples:
      mdagent plan AAPL MSFT --period 10y --adjust all
      mdagent plan @symbols.txt --source twelvedata --priority batch --json
      mdagent plan @symbols.txt --period 10y -o plan.json    then: mdagent apply plan.json
    """
    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    asked = read_symbols(symbols, terminal.cwd, universes=terminal.settings.universes)
    requests = read_requests(asked, interval, (start, end, period), adjust, terminal, priority=priority)
    if output is not None:
        _write(requests, terminal, (source, output), refresh=refresh, force=force)
        return
    with terminal.agent() as agent:
        report = agent.plan(requests, source=source, refresh=refresh)
    terminal.code = int(of_report(report))
    rows = list(_rows(report))
    if chosen == "table":
        _table(rows, terminal)
    else:
        show(chosen, PLAN, rows, terminal)
    terminal.say(totals(report))
    if terminal.settings.world == "sandbox":
        terminal.say("sandbox: nobody is charged; the plans are the largest of each source, or those of the settings")
    tell_failures(report, terminal)


def _write(requests: Sequence[BarRequest], terminal: Terminal, words: tuple[str, str], *, refresh: bool, force: bool) -> None:
    from mdagent.cli.foretell import foretell
    from mdagent.work.backfill import Chunk, chunks_of, groups_of

    chunks = (Chunk(part, refresh=refresh) for request in requests for part in chunks_of(request))
    with terminal.agent() as agent:
        foretell(groups_of(chunks), agent, terminal, words[:1], place=words[1], force=force)


def _rows(report: Report) -> Iterator[tuple[Any, ...]]:
    for line in report.lines:
        asked = line.request
        for step in line.planned:
            name, window = step.source or None, (_stamp(line, step.start), _stamp(line, step.end))
            costs = (step.requests, step.credits, round(step.usd, 6), round(step.seconds, 1))
            yield (asked.symbol.ticker, asked.interval.value, *window, name, *costs, step.note)
        if line.failure and not line.planned:
            window = (_stamp(line, asked.start), _stamp(line, asked.end))
            yield (asked.symbol.ticker, asked.interval.value, *window, line.source, 0, 0, 0.0, 0.0, line.failure.detail)


def _table(rows: Sequence[tuple[Any, ...]], terminal: Terminal) -> None:
    """Fit for a narrow screen: what all rows share stands above, and what says nothing stays away."""
    from mdagent.cli.table import print_table

    columns = dict(zip(PLAN, zip(*rows, strict=True), strict=True))
    once = {name: str(columns[name][0]) for name in _SHARED if len(set(columns[name])) == 1}
    title = ", ".join(once[name] for name in _SHARED if name in once)
    keep = [i for i, name in enumerate(PLAN) if name not in once and (name not in _SELDOM or any(columns[name]))]
    print_table([PLAN[i] for i in keep], [[row[i] for i in keep] for row in rows], terminal.out, terminal, title)


def _stamp(line: Line, instant: datetime) -> str:
    """As `ts` is written: the date alone where a day begins and bars are no shorter."""
    if not line.request.interval.intraday and instant.hour == instant.minute == instant.second == 0:
        return f"{instant:%Y-%m-%d}"
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
