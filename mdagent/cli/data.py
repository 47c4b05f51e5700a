"""fetch, export, query: bars out of the store, and into it first where they are missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.exits import of_report
from mdagent.cli.render import COLUMNS, choose_format, new_file, shown, write_parquet, write_rows
from mdagent.cli.talk import as_json, explain, tell
from mdagent.cli.words import read_requests, read_symbols

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.cli.terminal import Terminal
    from mdagent.work.report import Report

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

Symbols = Annotated[list[str], typer.Argument(metavar="SYMBOL...", help="AAPL, BRK.B, IBE.MC; - reads standard input, @FILE a file")]
IntervalWord = Annotated[str, typer.Option("--interval", "-i", help="1m 5m 15m 30m 1h 1d 1w 1mo")]
Start = Annotated[str | None, typer.Option(help="first moment, such as 2024-01-02")]
End = Annotated[str | None, typer.Option(help="first moment left out; default now")]
Period = Annotated[str | None, typer.Option(help="back from the end: 5d, 6mo, 1y, 10y, ytd, max")]
SourceWord = Annotated[str, typer.Option(help="auto, or the name of one source")]
Adjust = Annotated[str, typer.Option(help="basis of the prices: raw, splits, all")]
Format = Annotated[str | None, typer.Option("--format", "-f", help="table, csv, json, ndjson, parquet")]
AsJson = Annotated[bool, typer.Option("--json", help="same as --format json")]
AsCsv = Annotated[bool, typer.Option("--csv", help="same as --format csv")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="write here; the suffix tells the format")]
Force = Annotated[bool, typer.Option("--force", help="write over an existing file")]


@app.command()
def fetch(  # the options of a command are its parameters
    ctx: typer.Context,
    symbols: Symbols,
    *,
    interval: IntervalWord = "1d",
    start: Start = None,
    end: End = None,
    period: Period = None,
    source: SourceWord = "auto",
    adjust: Adjust = "splits",
    refresh: Annotated[bool, typer.Option("--refresh", help="ask the source again for all of it")] = False,
    show_why: Annotated[bool, typer.Option("--explain", help="say why each source was chosen, and how the grade came about")] = False,
    report: Annotated[Path | None, typer.Option(help="write the report as JSON to this file")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be asked; send nothing")] = False,
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """Bars of one or more symbols: from the store where it has them, else fetched, checked, graded and stored.

    \b
    mdagent fetch AAPL
    mdagent fetch AAPL MSFT --start 2024-01-02 --end 2024-02-01 --csv
    mdagent fetch IBE.MC --interval 5m --period 5d --json
    mdagent fetch - < symbols.txt -o bars.parquet
    """
    terminal: Terminal = ctx.obj
    chosen = choose_format(form, as_json=as_json_, as_csv=as_csv, output=output, tty=terminal.out.isatty())
    _check_place(chosen, output, force=force)
    requests = read_requests(read_symbols(symbols, terminal.cwd), interval, (start, end, period), adjust, terminal)
    with terminal.agent() as agent:
        if dry_run:
            _finish(agent.plan(requests, source=source, refresh=refresh), terminal, report, show_why=True)
            return
        served = agent.fetch(requests, source=source, refresh=refresh)
    floor = _floor(terminal)
    terminal.code = int(of_report(served.report, floor))
    write(COLUMNS, list(shown(served.rows)), terminal, form=chosen, output=output, force=force)
    _finish(served.report, terminal, report, show_why=show_why)


def _finish(report: Report, terminal: Terminal, path: Path | None, *, show_why: bool) -> None:
    tell(report, terminal)
    if show_why:
        for text in explain(report):
            terminal.say(text)
    if path is not None:
        import json

        with new_file(path, force=True) as stream:
            stream.write(json.dumps(as_json(report, terminal.code), indent=1) + "\n")


def _floor(terminal: Terminal) -> float:
    told = terminal.settings.fetch.min_grade
    if told is None:
        return 0.0
    from mdagent.quality.grade import LETTERS

    return next((low for name, low in LETTERS if name == told), 0.0)


def _check_place(form: str, output: Path | None, *, force: bool) -> None:
    """Refuse a place that cannot be written before anything is spent."""
    from mdagent.errors import UsageError

    if form == "parquet" and output is None:
        msg = "parquet is not text"
        raise UsageError(msg, "write it to a file with -o FILE.parquet")
    if output is not None and output.is_file() and not force:
        msg = f"{output} exists already"
        raise UsageError(msg, "add --force to write over it, or name another file")


def write(columns: Sequence[str], rows: list[tuple[Any, ...]], terminal: Terminal, *, form: str, output: Path | None, force: bool) -> None:
    """Rows to stdout, or to a file that appears whole."""
    if output is None:
        write_rows(form, columns, rows, terminal.out, terminal)
        return
    if form == "parquet":
        write_parquet(columns, rows, output, force=force)
    else:
        with new_file(output, force=force) as stream:
            write_rows(form, columns, rows, stream, terminal)
    terminal.say(f"{len(rows)} rows written to {output}")


@app.command()
def export(
    ctx: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL...]", help="all that are stored, when none is named")] = None,
    *,
    interval: IntervalWord = "1d",
    start: Start = None,
    end: End = None,
    period: Period = None,
    source: SourceWord = "auto",
    adjust: Adjust = "splits",
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """Stored bars as they are, without asking anybody.

    \b
    mdagent export AAPL --csv
    mdagent export -o everything.parquet
    """
    terminal: Terminal = ctx.obj
    chosen = choose_format(form, as_json=as_json_, as_csv=as_csv, output=output, tty=terminal.out.isatty())
    _check_place(chosen, output, force=force)
    with terminal.agent() as agent:
        _need_store(agent.store.path)
        with agent.store.reading("export") as reader:
            words = symbols or reader.symbols()
            named = read_symbols(words, terminal.cwd) if words else []
            requests = read_requests(named, interval, (start, end, period or (None if start else "max")), adjust, terminal)
            rows = reader.bars(requests, () if source == "auto" else (source,))
    write(COLUMNS, list(shown(rows)), terminal, form=chosen, output=output, force=force)
    if not rows:
        from mdagent.cli.exits import ExitCode

        terminal.fail("the store has no such bars", "fetch them first: mdagent fetch SYMBOL", ExitCode.NO_DATA)


def _need_store(path: Path) -> None:
    if not path.exists():
        from mdagent.errors import UsageError

        msg = f"there is no store at {path}"
        raise UsageError(msg, "fetch something first: mdagent fetch AAPL")


@app.command()
def query(
    ctx: typer.Context,
    sql: Annotated[
        str,
        typer.Argument(metavar="SQL", help="one SELECT; tables: bars, consolidated, grades, findings, quarantine, revisions, journal ..."),
    ],
    *,
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """Your own SELECT over the store: read-only, without access to files or the network.

    \b
    mdagent query "SELECT symbol, count(*), max(ts) FROM bars GROUP BY ALL"
    """
    from mdagent.errors import UsageError

    terminal: Terminal = ctx.obj
    chosen = choose_format(form, as_json=as_json_, as_csv=as_csv, output=output, tty=terminal.out.isatty())
    _check_place(chosen, output, force=force)
    with terminal.agent() as agent:
        _need_store(agent.store.path)
        with agent.store.reading("query") as reader:
            columns, rows, wrong = reader.query(sql)
    if wrong:
        raise UsageError(wrong, 'mdagent query "SHOW ALL TABLES" lists what there is')
    write(columns, list(rows), terminal, form=chosen, output=output, force=force)
