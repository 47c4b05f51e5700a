"""fetch, export, query: bars out of the store, and into it first where they are missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.exits import ExitCode, of_report
from mdagent.cli.page import Page
from mdagent.cli.render import COLUMNS, choose_format, new_file, new_place, refuse_place, shown, write_parquet, write_rows
from mdagent.cli.talk import as_json, explain, tell
from mdagent.cli.words import read_requests, read_symbols
from mdagent.quality.letters import letter_named
from mdagent.quality.modes import MODES, mode_named
from mdagent.work.doubt import Doubt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdagent.cli.terminal import Terminal
    from mdagent.market import BarRequest
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader
    from mdagent.work.report import Report

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

Symbols = Annotated[
    list[str], typer.Argument(metavar="SYMBOL...", help="such as AAPL, BRK.B, IBE.MC; - reads standard input, @FILE a file")
]
IntervalWord = Annotated[str, typer.Option("--interval", "-i", metavar="LENGTH", help="of a bar: 1m 5m 15m 30m 1h 1d 1w 1mo")]
Start = Annotated[str | None, typer.Option(metavar="DATE", help="first moment, such as 2024-01-02 or 2024-01-02T14:30:00Z")]
End = Annotated[str | None, typer.Option(metavar="DATE", help="first moment left out; default now")]
_SPANS = "back from the end: 5d, 2wk, 6mo, 1y, ytd, max; default "
Period = Annotated[str | None, typer.Option(metavar="SPAN", help=_SPANS + "1y, for intraday bars less")]
StoredPeriod = Annotated[str | None, typer.Option("--period", metavar="SPAN", help=_SPANS + "max")]
SourceWord = Annotated[str, typer.Option(metavar="NAME", help="auto, or the name of one source")]
Adjust = Annotated[str, typer.Option(metavar="BASIS", help="of the prices: splits, all (dividends too) or raw (as traded)")]
AsOf = Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="what was stored then, before later revisions and splits")]
_FORMATS = "table, csv, json, ndjson or parquet; default table on a terminal, else csv"
Format = Annotated[str | None, typer.Option("--format", "-f", metavar="NAME", help=_FORMATS)]
AsJson = Annotated[bool, typer.Option("--json", help="same as --format json")]
AsCsv = Annotated[bool, typer.Option("--csv", help="same as --format csv")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="write here instead of stdout; the suffix tells the format")
]
Refresh = Annotated[bool, typer.Option("--refresh", help="ask the source again for all of it")]
Rank = Annotated[
    str | None,
    typer.Option("--priority", metavar="CLASS", help="who goes first: critical, high (at a terminal), normal, low or batch"),
]
_FURTHER = "ask so many further sources, and judge each against the others"
CrossCheck = Annotated[int, typer.Option("--cross-check", metavar="N", help=_FURTHER, min=0, max=5)]
MinGrade = Annotated[str | None, typer.Option("--min-grade", metavar="LETTER", help="exit 6 below it: A+ A A- B+ ... D F")]
ModeWord = Annotated[str | None, typer.Option("--mode", metavar="NAME", help=f"how strictly to judge: {', '.join(MODES)}")]
Force = Annotated[bool, typer.Option("--force", help="write over an existing file")]


@app.command(cls=Page)
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
    refresh: Refresh = False,
    priority: Rank = None,
    cross_check: CrossCheck = 0,
    min_grade: MinGrade = None,
    mode: ModeWord = None,
    show_why: Annotated[bool, typer.Option("--explain", help="say why each source was chosen, and how the grade came about")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="write the report as JSON to this file")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be asked, cost and take; send nothing")] = False,
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """Bars of one or more symbols: from the store where it has them, else fetched, checked, graded and stored.

    \b
    Examples:
      mdagent fetch AAPL                                 a year of daily bars
      mdagent fetch AAPL MSFT --start 2024-01-02 --end 2024-02-01 --csv
      mdagent fetch AAPL --cross-check 2 --min-grade B   what two further sources say
      mdagent fetch IBE.MC --interval 5m --period 5d --json
      mdagent fetch - < symbols.txt -o bars.parquet      symbols from a file
      mdagent --sandbox fetch AAPL --explain             synthetic; and why
    """
    terminal: Terminal = ctx.obj
    chosen = choose_way(terminal, form, as_json=as_json_, as_csv=as_csv, output=output, force=force)
    judge_by(terminal, mode, min_grade)
    if report is not None:
        refuse_place(terminal.cwd / report, force=True)
    asked = read_symbols(symbols, terminal.cwd, universes=terminal.settings.universes)
    requests = read_requests(asked, interval, (start, end, period), adjust, terminal, priority=priority)
    with terminal.agent() as agent:
        if dry_run:
            _foretell(agent.plan(requests, source=source, refresh=refresh), terminal, report)
            return
        doubt = _doubt(cross_check, terminal)
        served = agent.fetch(requests, source=source, refresh=refresh, doubt=doubt)
    terminal.code = int(of_report(served.report, doubt.floor))
    write(COLUMNS, list(shown(served.rows)), terminal, form=chosen, output=output, force=force)
    _finish(served.report, terminal, report, show_why=show_why)


def _foretell(plan: Report, terminal: Terminal, path: Path | None) -> None:
    terminal.code = int(of_report(plan))
    _finish(plan, terminal, path, show_why=True, dry=True)


def _finish(report: Report, terminal: Terminal, path: Path | None, *, show_why: bool, dry: bool = False) -> None:
    tell(report, terminal, dry=dry, floor=floor_of(terminal))
    if show_why:
        for text in explain(report):
            terminal.say(text)
    if path is not None:
        import json

        with new_file(terminal.cwd / path, force=True) as stream:
            stream.write(json.dumps(as_json(report, terminal.code, dry=dry), indent=1) + "\n")


def _doubt(cross_check: int, terminal: Terminal) -> Doubt:
    told = terminal.settings.fetch
    return Doubt(max(cross_check, mode_named(told.mode).sources - 1), told.second_opinion, floor_of(terminal))


def judge_by(terminal: Terminal, mode: str | None, min_grade: str | None) -> None:
    """Judge in this mode, and hold to this grade, whatever the settings say. Raises UsageError."""
    told = {"min_grade": min_grade and letter_named(min_grade), "mode": mode and mode_named(mode).name}
    terminal.judged_by = {name: word for name, word in told.items() if word}


def floor_of(terminal: Terminal) -> float:
    """The lowest score that is good enough, by the settings and the mode."""
    from mdagent.quality.letters import LETTERS

    told = terminal.settings.fetch.min_grade or mode_named(terminal.settings.fetch.mode).floor
    if told is None:
        return 0.0

    return next((low for name, low in LETTERS if name == told), 0.0)


def choose_way(
    terminal: Terminal, form: str | None, *, as_json: bool, as_csv: bool, output: Path | None = None, force: bool = False
) -> str:
    """The format that the options ask for. One that is wrong, or a place that cannot be written, is refused before anything is spent.
    Raises UsageError."""
    chosen = choose_format(form, as_json=as_json, as_csv=as_csv, output=output, tty=terminal.out.isatty())
    if chosen == "parquet" and output is None:
        from mdagent.errors import UsageError

        msg = "parquet is not text"
        raise UsageError(msg, "write it to a file with -o FILE.parquet")
    if output is not None:
        refuse_place(terminal.cwd / output, force=force)
    return chosen


def write(columns: Sequence[str], rows: list[tuple[Any, ...]], terminal: Terminal, *, form: str, output: Path | None, force: bool) -> None:
    """Rows to stdout, or to a file that appears whole."""
    if output is None:
        write_rows(form, columns, rows, terminal.out, terminal)
        return
    if form == "parquet":
        write_parquet(columns, rows, terminal.cwd / output, force=force)
    else:
        with new_file(terminal.cwd / output, force=force) as stream:
            write_rows(form, columns, rows, stream, terminal)
    terminal.say(f"{len(rows)} rows written to {output}")


@app.command(cls=Page)
def export(
    ctx: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL...]", help="all that are stored, when none is named")] = None,
    *,
    interval: IntervalWord = "1d",
    start: Start = None,
    end: End = None,
    period: StoredPeriod = None,
    source: SourceWord = "auto",
    adjust: Adjust = "splits",
    as_of: AsOf = None,
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """Stored bars on one basis, without asking anybody.

    \b
    Examples:
      mdagent export AAPL --csv
      mdagent export AAPL --adjust all --as-of 2024-06-01
      mdagent export -o everything.parquet               all daily bars stored
    """
    terminal: Terminal = ctx.obj
    chosen = choose_way(terminal, form, as_json=as_json_, as_csv=as_csv, output=output, force=force)
    sources = () if source == "auto" else (source,)

    def requests(reader: Reader) -> list[BarRequest]:
        words = symbols or reader.symbols()
        named = read_symbols(words, terminal.cwd) if words else []
        return read_requests(named, interval, (start, end, period or (None if start else "max")), adjust, terminal)

    with terminal.agent() as agent:
        _need_store(agent.store.path)
        if chosen == "parquet" and output is not None and not as_of:
            rows, left = _copied(agent.store, requests, sources, (output, force), terminal)
        else:
            with agent.store.reading("export") as reader:
                found, left = _stored(reader, requests(reader), sources, as_of)
            rows = len(found)
            _tell_left(left, terminal)
            write(COLUMNS, list(shown(found)), terminal, form=chosen, output=output, force=force)
    if not rows and left:
        terminal.fail(f"no stored bars can be brought to {adjust} prices", "fetch it once more: mdagent fetch SYMBOL", ExitCode.NO_SOURCE)
    elif not rows:
        terminal.fail("the store has no such bars", "fetch them first: mdagent fetch SYMBOL", ExitCode.NO_DATA)


def _copied(
    store: BarStore,
    requests: Callable[[Reader], Sequence[BarRequest]],
    sources: tuple[str, ...],
    place: tuple[Path, bool],
    terminal: Terminal,
) -> tuple[int, list[str]]:
    """As `_stored`, straight into a Parquet file; how many rows."""
    from mdagent.store.outgoing import copy_out

    output, force = place
    with new_place(terminal.cwd / output, force=force) as new, store.reading("export", writes=new) as reader:
        rows, left_out = copy_out(reader, requests(reader), sources, new)
    left = [f"{symbol}: {one.source} is left out: {one.why}" for symbol, one in left_out]
    _tell_left(left, terminal)
    terminal.say(f"{rows} rows written to {output}")
    return rows, left


def _tell_left(left: Sequence[str], terminal: Terminal) -> None:
    for told in left:
        terminal.say(told)


def _stored(
    reader: Reader, requests: Sequence[BarRequest], sources: tuple[str, ...], as_of: str | None
) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The rows of all requests, and a word on each source that is left out."""
    from mdagent.market import parse_instant

    then = parse_instant(as_of) if as_of else None
    rows: list[tuple[Any, ...]] = []
    left = []
    for request in requests:
        joint = reader.joint(request, sources, then)
        rows += reader.rows(request, joint)
        left += [f"{request.symbol}: {one.source} is left out: {one.why}" for one in joint.left]
    return rows, left


def _need_store(path: Path) -> None:
    if not path.exists():
        from mdagent.errors import UsageError

        msg = f"there is no store at {path}"
        raise UsageError(msg, "fetch something first: mdagent fetch AAPL")


@app.command(cls=Page)
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
    Examples:
      mdagent query "SELECT symbol, count(*), max(ts) FROM bars GROUP BY ALL"
      mdagent query "SHOW TABLES"                        what there is
      mdagent query "DESCRIBE bars"                      and its columns
    """
    from mdagent.errors import UsageError

    terminal: Terminal = ctx.obj
    chosen = choose_way(terminal, form, as_json=as_json_, as_csv=as_csv, output=output, force=force)
    with terminal.agent() as agent:
        _need_store(agent.store.path)
        with agent.store.reading("query", foreign=True) as reader:
            columns, rows, wrong = reader.query(sql)
    if wrong:
        raise UsageError(wrong, 'mdagent query "SHOW TABLES" lists what there is')
    write(columns, list(rows), terminal, form=chosen, output=output, force=force)
