"""compare: what each source says of the same bars, and by how much they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.data import Adjust, AsCsv, AsJson, End, Force, Format, IntervalWord, Output, Period, Start, Symbols, choose_way, write
from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page
from mdagent.cli.render import shown
from mdagent.cli.words import read_requests, read_symbols
from mdagent.errors import UsageError
from mdagent.work.compare import FIELDS, How

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal
    from mdagent.work.compare import Comparison

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

COLUMNS = ("symbol", "interval", "ts", "adjustment", "currency", "field", "median", "spread", "apart")


@app.command(cls=Page)
def compare(
    ctx: typer.Context,
    symbols: Symbols,
    *,
    interval: IntervalWord = "1d",
    start: Start = None,
    end: End = None,
    period: Period = None,
    source: Annotated[list[str] | None, typer.Option(metavar="NAME", help="of these alone; may be repeated; default all able ones")] = None,
    adjust: Adjust = "splits",
    field: Annotated[str, typer.Option(metavar="NAME", help="what to compare: open, high, low, close or volume")] = "close",
    tolerance: Annotated[float, typer.Option(metavar="SHARE", help="who is further from the median stands apart", min=0.0)] = 0.001,
    stored: Annotated[bool, typer.Option("--stored", help="what the store has, without asking anybody")] = False,
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """What each source says, session by session, on one basis and in one unit; and by how much they differ.

    A column for each source; `spread` is highest less lowest, divided by the median. Of three or more, those further from the
    median than the tolerance stand `apart`. Every able source is asked for what the store lacks of it; imported files stand beside.

    \b
    Examples:
      mdagent compare AAPL --start 2024-01-02 --end 2024-02-01
      mdagent compare AAPL --period 1mo --source yahoo --source tiingo --json
      mdagent --sandbox compare AAPL --adjust all        synthetic
    """
    terminal: Terminal = ctx.obj
    chosen = choose_way(terminal, form, as_json=as_json_, as_csv=as_csv, output=output, force=force)
    if field not in FIELDS:
        msg = f"{field[:20]!a} is not a field of a bar"
        raise UsageError(msg, f"use one of {', '.join(FIELDS)}")
    requests = read_requests(read_symbols(symbols, terminal.cwd), interval, (start, end, period), adjust, terminal)
    with terminal.agent() as agent:
        found = agent.compare(requests, How(field, tolerance), sources=source or (), ask=not stored)
    for one in found.left:
        terminal.say(f"{one.source} is left out: {one.why}")
    _show(found, field, terminal, (chosen, output, force))
    _judge(found, terminal)


def _show(found: Comparison, field: str, terminal: Terminal, place: tuple[str, Any, bool]) -> None:
    chosen, output, force = place
    stamps = [row[2] for row in shown([(s.symbol, s.interval, s.ts, *[None] * 8, 0.0, False) for s in found.sessions])]
    rows = [
        (s.symbol, s.interval, ts, s.adjustment, s.currency, field, s.median, s.spread, " ".join(s.apart), *s.values)
        for s, ts in zip(found.sessions, stamps, strict=True)
    ]
    columns = (*COLUMNS, *found.sources)
    if chosen == "table":
        once = ("interval", "adjustment", "currency", "field")
        keep = [i for i, name in enumerate(columns) if name not in once and (name != "symbol" or len({r[0] for r in rows}) > 1)]
        rows = [tuple(f"{100 * r[7]:.4f} %" if i == 7 and r[7] is not None else r[i] for i in keep) for r in rows]
        columns = tuple(columns[i] for i in keep)
    write(columns, rows, terminal, form=chosen, output=output, force=force)


def _judge(found: Comparison, terminal: Terminal) -> None:
    both = [s.spread for s in found.sessions if s.spread is not None]
    if len(found.sources) < 2 or not both:
        code = ExitCode.PARTIAL if found.sources else ExitCode.NO_SOURCE
        many = f"only {found.sources[0]} has" if found.sources else "no source has"
        terminal.fail(f"there is nothing to compare: {many} these bars", "set the key of another source (mdagent sources list)", code)
        return
    apart = sorted({name for s in found.sessions for name in s.apart})
    told = f"; apart: {', '.join(apart)}" if apart else ""
    terminal.say(f"{len(both)} bars of {len(found.sources)} sources compared, the widest spread is {100 * max(both):.4f} %{told}")
    if terminal.settings.world == "sandbox":
        terminal.say("sandbox: these prices are synthetic")
