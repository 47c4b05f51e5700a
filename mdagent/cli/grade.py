"""grade: how good what is stored is, the worst first; how it became so; and a heat map of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.data import AsCsv, AsJson, Force, Format
from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page
from mdagent.errors import NoBars, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.cli.terminal import Terminal
    from mdagent.store.gradebook import Grading, Month
    from mdagent.work.gradebook import Mark, Past

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

_REST = ("bars", "score", "grade", "trend", "worst", "suspect", "provisional", "quarantined")
_LAST = ("last_grade", "last_score", "graded_at", "findings")
COLUMNS = {
    "symbol": ("symbol", "interval", *_REST, *_LAST),
    "source": ("source", "interval", *_REST, *_LAST),
    "month": ("symbol", "interval", "month", *_REST),
}
HISTORY = ("graded_at", "symbol", "interval", "source", "adjustment", "start", "end", "grade", "score", "change", "what", "findings")
_PEOPLE = ("symbol", "source", "interval", "bars", "score", "grade", "trend", "worst", "suspect", "quarantined", "findings")


@app.command(cls=Page)
def grade(
    ctx: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL...]", help="all that are stored, when none is named")] = None,
    *,
    by: Annotated[str | None, typer.Option(metavar="GROUP", help="symbol, source or month; default symbol")] = None,
    below: Annotated[str | None, typer.Option(metavar="LETTER", help="only what is graded below it, such as C or B+")] = None,
    history: Annotated[bool, typer.Option("--history", help="every grade ever given, and what changed")] = False,
    interval: Annotated[str | None, typer.Option("--interval", "-i", metavar="LENGTH", help="of the bars; default all")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="a heat map by symbol and month, as .png or .svg")] = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    force: Force = False,
) -> None:
    """How good the stored bars are, the worst first.

    `score` is the mean of the scores of all bars of all sources, as decisions and repairs leave them; `suspect` counts bars that a finding
    holds below the grade they came with, `quarantined` rows that are not served; `findings` are those of the last judgement. `trend` is by
    how much the last grades differ from the mean of those before, of a month from the month before. By month, a terminal shows a
    map: a letter for each month. Nothing is asked and nothing is judged anew.

    \b
    Examples:
      mdagent grade
      mdagent grade --by month --below B
      mdagent grade AAPL --history --json
      mdagent grade --plot grades.svg
    """
    from mdagent.cli.bars import need_store
    from mdagent.cli.sources import choose
    from mdagent.market import Interval
    from mdagent.store.gradebook import gradings, months

    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    _check(by, plot, terminal, history=history, force=force)
    floor, length = _floor(below), Interval.parse(interval).value if interval else None
    names = _tickers(symbols, terminal)
    with terminal.agent() as agent:
        need_store(agent.store)
        with agent.store.reading("grade") as reader:
            held, given = months(reader.ask, names, length), gradings(reader.ask, names, length)
    _tell_missing(names, held, terminal)
    if history:
        _history(given, floor, terminal, chosen)
    else:
        _marks((held, given), by or "symbol", floor, terminal, chosen)
    if plot is not None:
        _plot(held, floor, plot, terminal)
    if terminal.settings.world == "sandbox":
        terminal.say("sandbox: these prices are synthetic")


def _check(by: str | None, plot: Path | None, terminal: Terminal, *, history: bool, force: bool) -> None:
    """Raises UsageError for options that mean nothing, before anything is read."""
    from mdagent.cli.render import refuse_picture

    if by is not None and by not in COLUMNS:
        msg = f"{by[:20]!a} is no way to group grades"
        raise UsageError(msg, f"use one of {', '.join(COLUMNS)}")
    other = "--by" if by else "--plot" if plot else None
    if history and other:
        msg = f"--history and {other} exclude each other"
        raise UsageError(msg, "name one")
    if plot is not None:
        refuse_picture(terminal.cwd / plot, force=force)


def _floor(below: str | None) -> float | None:
    from mdagent.quality.letters import LETTERS

    if below is None:
        return None
    found = dict(LETTERS).get(below.upper())
    if found is None:
        msg = f"{below[:20]!a} is not a grade"
        raise UsageError(msg, f"use one of {', '.join(name for name, _ in LETTERS)}")
    return found


def _tickers(words: Sequence[str] | None, terminal: Terminal) -> list[str]:
    from mdagent.cli.words import read_symbols

    return [s.ticker for s in read_symbols(words, terminal.cwd)] if words else []


def _tell_missing(names: Sequence[str], held: Sequence[Month], terminal: Terminal) -> None:
    """Raises NoBars where nothing at all is there."""
    there = {m.symbol for m in held}
    missing = [name for name in names if name not in there]
    if not there:
        msg = f"the store has no such bars of {', '.join(missing[:5])}" if missing else "the store has no such bars"
        raise NoBars(msg, f"fetch them first: mdagent fetch {missing[0] if missing else 'SYMBOL'}")
    if missing:
        terminal.fail(f"the store has no such bars of {', '.join(missing[:5])}", f"mdagent fetch {missing[0]}", ExitCode.PARTIAL)


def _marks(book: tuple[Sequence[Month], Sequence[Grading]], by: str, floor: float | None, terminal: Terminal, chosen: str) -> None:
    from mdagent.cli.sources import show
    from mdagent.cli.table import print_table
    from mdagent.work.gradebook import marks

    found = [m for m in marks(*book, by) if floor is None or (m.score is not None and m.score < floor)]
    columns = COLUMNS[by]
    if chosen != "table":
        show(chosen, columns, [_row(m, by) for m in found], terminal)
    elif by == "month" and found:
        from mdagent.cli.heat import print_map

        print_map(found, terminal)
    elif found:
        keep = [n for n in _PEOPLE if n in columns]
        rows = [dict(zip(columns, _row(m, by), strict=True)) for m in found]
        print_table(keep, [[row[n] for n in keep] for row in rows], terminal.out, terminal)
    if not found:
        terminal.say("nothing is graded so low")


def _row(mark: Mark, by: str) -> tuple[Any, ...]:
    from mdagent.cli.sources import moment

    head = (mark.name, mark.interval, mark.month) if by == "month" else (mark.name, mark.interval)
    score = None if mark.score is None else round(mark.score, 2)
    trend = None if mark.trend is None else round(mark.trend, 2)
    row = (*head, mark.bars, score, mark.letter, trend, mark.least, mark.suspect, mark.provisional, mark.quarantined)
    if by == "month":
        return row
    last = mark.last
    return (*row, last and last.letter, last and last.score, moment(last.graded_at) if last else None, mark.findings)


def _history(given: Sequence[Grading], floor: float | None, terminal: Terminal, chosen: str) -> None:
    from mdagent.cli.sources import show
    from mdagent.work.gradebook import history

    past = [p for p in history(given) if floor is None or p.grading.score < floor]
    people = tuple(n for n in HISTORY if n not in ("start", "end", "findings"))
    if past or chosen != "table":
        show(chosen, HISTORY, [_past(p) for p in past], terminal, people)
    if not past:
        terminal.say("no such grade was ever given")


def _past(one: Past) -> tuple[Any, ...]:
    from mdagent.cli.sources import moment

    told = one.grading
    found = ", ".join(f"{kind} ({severity}, {count})" for kind, severity, count in told.findings)
    head = (moment(told.graded_at), told.symbol, told.interval, told.source, told.adjustment)
    return (*head, moment(told.start), moment(told.end), told.letter, round(told.score, 2), one.change, one.what, found)


def _plot(held: Sequence[Month], floor: float | None, plot: Path, terminal: Terminal) -> None:
    from mdagent.cli.heat import draw
    from mdagent.work.gradebook import marks

    low = {m.name for m in marks(held, (), "symbol") if floor is None or (m.score is not None and m.score < floor)}
    found = [m for m in marks(held, (), "month") if m.name in low]
    if not any(m.bars for m in found):
        terminal.say("there is nothing to draw")
        return
    made_up = {"sandbox": ", SYNTHETIC prices", "replay": ", recorded prices"}.get(terminal.settings.world, "")
    settings = terminal.settings
    drawn = draw(found, terminal.cwd / plot, settings.home / "matplotlib", f"grades by symbol and month{made_up}")
    left = ", ".join(f"{n} {what} left out" for n, what in ((drawn.rows_left, "better rows"), (drawn.months_left, "older months")) if n)
    terminal.say(f"a heat map of {drawn.rows} symbols and {drawn.months} months is in {plot}" + (f"; {left}" if left else ""))
