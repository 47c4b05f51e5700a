"""sources rank: in which order the sources would be asked for a request, and the arithmetic that says so."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.data import Adjust, End, IntervalWord, Period, Start
from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, choose, disabled, show
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.guard.route import Ranked
    from mdagent.market import BarRequest

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

RANK = ("source", "order", "score", "wait_s", "term", "value", "weight", "part", "why")


@app.command(cls=Page)
def rank(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="such as AAPL, BRK.B, IBE.MC")],
    *,
    interval: IntervalWord = "1d",
    start: Start = None,
    end: End = None,
    period: Period = None,
    adjust: Adjust = "splits",
    field: Annotated[str, typer.Option(metavar="NAME", help="by the quality of one field: price or volume; default both")] = "",
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Who would be asked first for these bars, and by which sum.

    Also who is left out, and why. First goes who can serve now, of those the best score. A term is a fact as a value from 0 to 1,
    times its weight (settings weights.*), in points of 100; `part` is what it adds to the score. `wait_s` is how long its quota would
    make it wait, empty for one that refuses now (mdagent sources status says why). In csv and json a row is a source and a term.
    Nothing is sent.

    \b
    Examples:
      mdagent sources rank AAPL
      mdagent sources rank IBE.MC --interval 5m --adjust raw --json
      mdagent sources rank AAPL --field volume           by how good its volumes were
    """
    from mdagent.cli.words import read_requests
    from mdagent.market import Symbol

    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    if field not in ("", "price", "volume"):
        msg = f"{field[:20]!a} is no field that is graded"
        raise UsageError(msg, "use price or volume")
    request = read_requests([Symbol.parse(symbol)], interval, (start, end, period), adjust, terminal)[0]
    with terminal.agent() as agent:
        off = {name: why for name, (why, _) in disabled(agent, terminal).items()}
        ranking, left = _ranked(agent, request, off, field)
    if chosen == "table":
        _tell(ranking, left, terminal)
    else:
        rows = [row for told in ranking for row in _terms(told)]
        rows += [(name, None, None, None, None, None, None, None, why) for name, why in left.items()]
        show(chosen, RANK, rows, terminal)
    if not ranking:
        terminal.fail(
            f"no source can serve {request.symbol} {request.interval} bars", "mdagent sources list tells what each has", ExitCode.NO_SOURCE
        )


def _ranked(agent: Agent, request: BarRequest, off: Mapping[str, str], field: str) -> tuple[Sequence[Ranked], dict[str, str]]:
    """The sources in their order, and why the others are left out."""
    names = [name for name in agent.settings.sources if name not in off]
    wish = agent.wish(request, names)
    return agent.form().ranking(wish, field), {told.source: "; ".join(told.reasons) for told in wish.considered} | dict(off)


def _terms(told: Ranked) -> Iterator[tuple[object, ...]]:
    """A row a term. The sum is rounded as it runs, so that the parts add up to the score."""
    sums = [0.0]
    for term in told.terms:
        sums.append(sums[-1] + term.value * term.weight)
    parts = [after - before for before, after in pairwise([round(s, 2) for s in sums])]
    place = (told.source, told.order, round(told.score, 2), None if told.refuses else round(told.wait, 1))
    for term, part in zip(told.terms, parts, strict=True):
        yield (*place, term.name, round(term.value, 4), round(term.weight, 2), round(part, 2), term.why)


def _tell(ranking: Sequence[Ranked], left: Mapping[str, str], terminal: Terminal) -> None:
    from mdagent.cli.table import words

    for told in ranking:
        terminal.out.write(f"{told.order}. {told.source}\n")
        terminal.out.writelines(f"   {line}\n" for line in told.arithmetic())
    terminal.out.writelines(f"-  {name}: {words(why)}\n" for name, why in left.items())
