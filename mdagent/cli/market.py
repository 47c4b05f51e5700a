"""quote, search, actions, market: what a source says now, nothing stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.data import AsCsv, AsJson, CrossCheck, End, Force, Format, Output, SourceWord, Symbols, choose_way, write
from mdagent.cli.exits import ExitCode, of_failure
from mdagent.cli.page import Page
from mdagent.cli.words import read_symbols, read_window
from mdagent.errors import UsageError
from mdagent.guard.outcome import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mdagent.cli.terminal import Terminal
    from mdagent.market import Quote
    from mdagent.quality.live import Live

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

_QUOTED = ("symbol", "last", "bid", "ask", "as_of", "currency", "previous_close", "day_high", "day_low", "volume", "source")
QUOTE = (*_QUOTED, "late_s", "grade", "why")
LISTING = ("symbol", "name", "exchange", "kind", "source")
ACTION = ("symbol", "kind", "date", "value", "adjusted", "currency", "source")
STATUS = ("market", "state", "session", "as_of", "source")


@app.command(cls=Page)
def quote(
    ctx: typer.Context,
    symbols: Symbols,
    *,
    source: SourceWord = "auto",
    cross_check: CrossCheck = 0,
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """The latest price of one or more symbols, with the exchange's time and a grade. Nothing is stored.

    `late_s` is how many seconds later it is than the source's plan promises. A: in time, and other sources say the same (--cross-check);
    B: in time, or less than 5 s late; C: less than 30 s; D: later, or doubted: another source says something else, or it is far from
    the last close stored (a fifth, and six usual moves), whereupon another source is asked; F: stale, of another time. A price that
    two others, or one and the store, speak against gives way to theirs (column why), unless --source names its source.

    \b
    Examples:
      mdagent quote AAPL IBE.MC
      mdagent quote AAPL --cross-check 1                 what another source says
      mdagent --sandbox quote AAPL --json                synthetic
    """
    terminal: Terminal = ctx.obj
    chosen = choose_way(terminal, form, as_json=as_json_, as_csv=as_csv, output=output, force=force)
    wanted = read_symbols(symbols, terminal.cwd)
    with terminal.agent() as agent:
        answers = agent.quote(wanted, source=source)
        graded = agent.graded([a for a in answers if not isinstance(a, Failure)], source=source, cross_check=cross_check)
    rows = [_row(told, live) for told, live in graded]
    write(QUOTE, rows, terminal, form=chosen, output=output, force=force)
    _tell_failures([str(s) for s in wanted], answers, terminal)


@app.command(cls=Page)
def search(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="of the name, or the start of a ticker")],
    *,
    source: SourceWord = "auto",
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """Symbols that fit a name. Nothing is stored.

    \b
    Examples:
      mdagent search iberdrola
    """
    terminal: Terminal = ctx.obj
    chosen = choose_way(terminal, form, as_json=as_json_, as_csv=as_csv, output=output, force=force)
    text = " ".join(words).strip()[:100]
    if not text:
        msg = "there is nothing to search for"
        raise UsageError(msg, "name a part of the company's name, or the start of a ticker")
    with terminal.agent() as agent:
        answer = agent.search(text, source=source)
    if isinstance(answer, Failure):
        _tell_failures([text], [answer], terminal)
        return
    rows: list[tuple[Any, ...]] = [(x.symbol.ticker, x.name, x.exchange, x.kind, x.source) for x in answer]
    write(LISTING, rows, terminal, form=chosen, output=output, force=force)
    if not answer:
        terminal.fail(f"nothing fits {text!a}", "try another word of the name", ExitCode.NO_DATA)


@app.command(cls=Page)
def actions(
    ctx: typer.Context,
    symbols: Symbols,
    *,
    start: Annotated[str | None, typer.Option(metavar="DATE", help="first ex-date, such as 2024-01-02; default a year back")] = None,
    end: End = None,
    source: SourceWord = "auto",
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """Splits and dividends of one or more symbols by ex-date, as a source tells them. Nothing is stored.

    A split's value is new shares for an old one. A dividend is an amount a share; adjusted: already divided by the splits after it.

    \b
    Examples:
      mdagent actions AAPL --start 2020-01-01
      mdagent actions AAPL MSFT --csv
    """
    terminal: Terminal = ctx.obj
    chosen = choose_way(terminal, form, as_json=as_json_, as_csv=as_csv, output=output, force=force)
    wanted = read_symbols(symbols, terminal.cwd)
    from mdagent.market import Interval

    since, until = read_window(Interval.D1, start, end, None, terminal)
    with terminal.agent() as agent:
        answers = agent.actions(wanted, since, until, source=source)
    rows: list[tuple[Any, ...]] = [
        (str(symbol), a.kind, f"{a.date}", a.value, a.adjusted, a.currency, told.source)
        for symbol, told in zip(wanted, answers, strict=True)
        if not isinstance(told, Failure)
        for a in sorted(told.actions, key=lambda a: (a.date, a.kind))
    ]
    write(ACTION, rows, terminal, form=chosen, output=output, force=force)
    for symbol, told in zip(wanted, answers, strict=True):
        if not isinstance(told, Failure) and not told.actions:
            terminal.say(f"{symbol}: no split or dividend from {since:%Y-%m-%d} to {until:%Y-%m-%d}, says {told.source}")
    _tell_failures([str(s) for s in wanted], answers, terminal)


@app.command(cls=Page)
def market(
    ctx: typer.Context,
    *,
    source: SourceWord = "auto",
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """Which markets are open now, as the first source tells that can. Nothing is stored.

    \b
    Examples:
      mdagent market
      mdagent market --source yahoo --json
    """
    terminal: Terminal = ctx.obj
    chosen = choose_way(terminal, form, as_json=as_json_, as_csv=as_csv, output=output, force=force)
    with terminal.agent() as agent:
        answer = agent.market(source=source)
    if isinstance(answer, Failure):
        _tell_failures(["markets"], [answer], terminal)
        return
    rows: list[tuple[Any, ...]] = [(m.market, "open" if m.is_open else "closed", m.session, _moment(m.as_of), m.source) for m in answer]
    write(STATUS, rows, terminal, form=chosen, output=output, force=force)


def _moment(instant: datetime | None) -> datetime | None:
    return instant.replace(tzinfo=None) if instant else None  # as the writers of rows want it: UTC, without saying so


def _row(told: Quote, live: Live) -> tuple[object, ...]:
    from mdagent.quality.letters import letter

    prices = (told.previous_close, told.day_high, told.day_low, told.volume)
    grade = (None if live.late is None else round(live.late, 1), letter(live.score), live.why)
    return told.symbol.ticker, told.last, told.bid, told.ask, _moment(told.as_of), told.currency, *prices, told.source, *grade


def _tell_failures(subjects: Sequence[str], answers: Sequence[object], terminal: Terminal) -> None:
    failed = [(s, a) for s, a in zip(subjects, answers, strict=True) if isinstance(a, Failure)]
    codes = {of_failure(a) for _, a in failed}
    code = ExitCode.PARTIAL if len(failed) < len(answers) else codes.pop() if len(codes) == 1 else ExitCode.NO_SOURCE
    for subject, failure in failed:
        terminal.fail(f"{subject}: {failure.detail}", failure.consequence.next_step, code)
