"""validate: what is wrong with stored bars, or with a file of them, and how good they are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from mdagent.cli.data import AsCsv, AsJson, End, Format, MinGrade, ModeWord, Start, choose_way
from mdagent.cli.exits import ExitCode, of_error
from mdagent.cli.page import Page
from mdagent.errors import MdagentError, NoBars, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mdagent.cli.terminal import Terminal
    from mdagent.market import Symbol
    from mdagent.work.meta import Meta
    from mdagent.work.stored import Shelf
    from mdagent.work.validate import Desk, Judged, Wish

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

# Of several codes the one that stands last here is the command's.
_WORSE = (ExitCode.OK, ExitCode.BELOW_GRADE, ExitCode.NO_DATA, ExitCode.NO_SOURCE)
_KINDS = (".csv", ".parquet")


class _Files(NamedTuple):
    """What `--file`, `--against` and `--meta` name."""

    files: list[Path]
    against: list[Path]
    meta: Path | None


Named = Annotated[
    list[str] | None, typer.Argument(metavar="[SYMBOL...]", help="all that are stored, when none is named; of a file its own")
]
File = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="judge this CSV or Parquet file, or all in this folder; may be repeated")
]
MetaFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="JSON that tells of a file what was asked for; else case.json beside it")
]
Against = Annotated[list[Path] | None, typer.Option(metavar="FILE", help="the same bars from another source; may be repeated")]
Length = Annotated[
    str | None, typer.Option("--interval", "-i", metavar="LENGTH", help="of a bar: 1m 5m 15m 30m 1h 1d 1w 1mo; of the store 1d")
]
Period = Annotated[str | None, typer.Option(metavar="SPAN", help="back from the end: 5d, 2wk, 6mo, 1y, ytd; default all")]
SourceWord = Annotated[str | None, typer.Option(metavar="NAME", help="the stored series of this source alone; of a file, its source")]
Adjust = Annotated[str | None, typer.Option(metavar="BASIS", help="of the prices: raw, splits or all; default as stored, of a file splits")]


@app.command(cls=Page)
def validate(
    ctx: typer.Context,
    symbols: Named = None,
    *,
    file: File = None,
    meta: MetaFile = None,
    against: Against = None,
    interval: Length = None,
    start: Start = None,
    end: End = None,
    period: Period = None,
    source: SourceWord = None,
    adjust: Adjust = None,
    mode: ModeWord = None,
    min_grade: MinGrade = None,
    form: Format = None,
    as_json_: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """What is wrong with each series, how good it is, what was not checked, and what to do. Asks nobody and stores nothing.

    Without --file each source's stored bars are judged by themselves, and against those of the other sources. --json gives a line
    for each series, --csv one for each run of bars that a finding is about.

    \b
    Examples:
      mdagent validate AAPL                              what the store has of it
      mdagent validate --min-grade B --json              all stored symbols; exit 6 when one is worse
      mdagent validate AAPL --file bars.csv --interval 1d
      mdagent validate --file yahoo.csv --against tiingo.csv --meta case.json --mode strict
      mdagent validate --file folder                     every CSV and Parquet file in it
    """
    terminal: Terminal = ctx.obj
    chosen = _form(choose_way(terminal, form, as_json=as_json_, as_csv=as_csv))
    wish = _wish(mode or terminal.settings.fetch.mode, interval, (start, end, period), adjust, terminal)._replace(source=source)
    floor = _floor(min_grade or terminal.settings.fetch.min_grade or wish.mode.floor)
    named = _Files([terminal.cwd / f for f in file or ()], [terminal.cwd / f for f in against or ()], meta and terminal.cwd / meta)
    told = _of_files(named, symbols or [], wish, terminal) if named.files else _of_store(named, symbols or [], wish, terminal)
    _tell(told, chosen, floor, terminal)


def _wish(
    mode: str, interval: str | None, window: tuple[str | None, str | None, str | None], adjust: str | None, terminal: Terminal
) -> Wish:
    """`window` is start, end and period as typed. Raises UsageError."""
    from mdagent.cli.words import read_window
    from mdagent.market import Adjustment, Interval
    from mdagent.quality.modes import mode_named
    from mdagent.work.spans import BEGINNING
    from mdagent.work.validate import Wish

    length = Interval.parse(interval) if interval else None
    start, end, period = window
    since = until = None
    if start or end or period:
        since, until = read_window(length or Interval.D1, start, end, period or (None if start else "max"), terminal)
    basis = Adjustment.parse(adjust) if adjust else None
    return Wish(mode_named(mode), None, length, None if since == BEGINNING else since, until if end else None, basis)


def _form(chosen: str) -> str:
    if chosen == "parquet":
        msg = "findings are no bars: they are not written as Parquet"
        raise UsageError(msg, "use table, csv or json")
    return "json" if chosen == "ndjson" else chosen


def _floor(told: str | None) -> tuple[float, str]:
    """The lowest score that is good enough, and its letter."""
    from mdagent.quality.letters import LETTERS, letter_named

    letter = letter_named(told or "F")
    return dict(LETTERS)[letter], letter


def _tell(found: Iterator[Judged | MdagentError], chosen: str, floor: tuple[float, str], terminal: Terminal) -> None:
    """Each series as soon as it is judged; the exit code is the worst of all."""
    from mdagent.cli.judged import COLUMNS, as_json, as_rows, print_page, sentence
    from mdagent.cli.render import cell

    codes, began = [ExitCode.OK], False
    if chosen == "csv":
        import csv

        lines = csv.writer(terminal.out, lineterminator="\n")
    for judged in found:
        if isinstance(judged, MdagentError):
            terminal.fail(judged.message, judged.hint, of_error(judged))
            codes.append(ExitCode(terminal.code))
            continue
        if chosen == "json":
            terminal.out.write(as_json(judged) + "\n")
        elif chosen == "table":
            print_page(judged, terminal)
        else:
            lines.writerows([] if began else [COLUMNS])
            lines.writerows([cell(value) for value in row] for row in as_rows(judged))
            for told in (sentence(judged), *judged.notes):
                terminal.say(told)
        began = True
        codes.append(_code(judged, floor, terminal))
    terminal.code = int(max(codes, key=lambda code: _WORSE.index(code) if code in _WORSE else len(_WORSE)))


def _code(judged: Judged, floor: tuple[float, str], terminal: Terminal) -> ExitCode:
    """What the shell is told of one series; and the person, where it is not well."""
    from mdagent.cli.judged import steps
    from mdagent.quality.modes import MODES

    name = f"{judged.name or 'these bars'} ({judged.bars.source})"
    voices, verdict = MODES[judged.verdict.mode].sources, judged.verdict
    why = next((s.reason for s in verdict.skipped if s.check == "others"), "")
    if voices > 1 and why:
        there = f"; missing: {', '.join(judged.lacking)}" if judged.lacking else ""
        way = "--against FILE names another source's file" if judged.place else f"mdagent fetch {judged.name} --source NAME fetches another"
        terminal.fail(f"{name}: the mode {verdict.mode} needs {voices} sources: {why}{there}", way, ExitCode.NO_SOURCE)
        return ExitCode.NO_SOURCE
    if verdict.refused:
        words = f"{name}: {len(verdict.quarantine)} of {verdict.bars} rows cannot be right: the mode {verdict.mode} refuses all"
    elif judged.grade.score < floor[0]:
        words = f"{name}: grade {judged.grade.letter} ({judged.grade.score:.1f}) is below {floor[1]}"
    else:
        return ExitCode.OK
    terminal.fail(words, next((command for _, command, _ in steps(judged)), ""), ExitCode.BELOW_GRADE)
    return ExitCode.BELOW_GRADE


def desk_of(terminal: Terminal) -> Desk:
    """What a judgement needs besides bars."""
    from functools import lru_cache

    from mdagent.store.almanac import Almanac
    from mdagent.work.barfile import read_file
    from mdagent.work.validate import Desk

    now = terminal.clock.now()
    almanac = Almanac(terminal.settings.home / "calendars", terminal.settings.sessions.closures, now.date())
    return Desk(almanac.sessions, now, lru_cache(maxsize=8)(read_file))


def _of_files(named: _Files, symbols: Sequence[str], wish: Wish, terminal: Terminal) -> Iterator[Judged | MdagentError]:
    from mdagent.market import Symbol
    from mdagent.work.validate import judge_file

    if len(symbols) > 1:
        msg = f"{len(symbols)} symbols are named for a file of one"
        raise UsageError(msg, "name one symbol, or none")
    wish = wish._replace(symbol=str(Symbol.parse(symbols[0])) if symbols else None)
    desk, meta_of = desk_of(terminal), metas(named.meta)
    for path in [one for told in named.files for one in within(told)]:
        try:
            meta = meta_of(path)
            yield judge_file(path, named.against or _siblings(path, meta), meta, wish, desk)
        except (UsageError, NoBars) as error:
            yield error


def within(path: Path) -> list[Path]:
    """The file; of a folder every file of bars in it and below, in order."""
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in _KINDS and not p.name.startswith(".") and p.is_file())
    if not found:
        msg = f"{path} holds no CSV or Parquet file"
        raise NoBars(msg, "name a file, or a folder of them")
    return found


def metas(named: Path | None) -> Callable[[Path], Meta]:
    """What tells of a file besides its rows: the meta that is named, else that of its folder, each read once."""
    from functools import lru_cache

    from mdagent.work.meta import BESIDE, Meta, read_meta

    read = lru_cache(maxsize=None)(read_meta)

    def meta_of(path: Path) -> Meta:
        beside = named or path.parent / BESIDE
        return read(beside) if named or beside.is_file() else Meta()

    return meta_of


def _siblings(path: Path, meta: Meta) -> list[Path]:
    """The other files that the meta of this one names."""
    paths = list(meta.files.values())
    return [other for other in paths if other != path and other.is_file()] if path in paths else []


def _of_store(named: _Files, symbols: Sequence[str], wish: Wish, terminal: Terminal) -> Iterator[Judged | MdagentError]:
    from mdagent.cli.words import read_symbols
    from mdagent.market import Interval

    if named.against or named.meta:
        msg = f"{'--against' if named.against else '--meta'} is about a file, and none is named"
        raise UsageError(msg, "name it with --file FILE")
    interval = wish.interval or Interval.D1
    shelf = _shelf(wish, terminal)
    stored = symbols or shelf.symbols()
    of, nothing = f" from {wish.source}" if wish.source else "", True
    for symbol, found, left in shelf.judged(read_symbols(stored, terminal.cwd) if stored else (), interval, wish):
        yield from found
        nothing = nothing and not found
        if symbols and not found:
            yield _nothing(symbol, f"{interval} bars of {symbol}{of}", left, wish)
    if nothing and not symbols:
        yield NoBars(f"the store has no {interval} bars{of} in this range", "mdagent fetch SYMBOL, or name another --interval")


def _nothing(symbol: Symbol, what: str, left: Sequence[str], wish: Wish) -> MdagentError:
    """Why a symbol that was named is not judged."""
    way = f"mdagent fetch {symbol} --interval {wish.interval or '1d'}"
    if wish.source and ":" in wish.source:
        way = f"mdagent import FILE --symbol {symbol} --source {wish.source}"
    if not left:
        return NoBars(f"the store has no {what} in this range", way)
    return MdagentError(
        f"no stored {what} can be brought to {wish.adjustment} prices: {'; '.join(left)}", f"{way} --adjust {wish.adjustment}"
    )


def _shelf(wish: Wish, terminal: Terminal) -> Shelf:
    from mdagent.market import FILE
    from mdagent.work.stored import Shelf

    with terminal.agent() as agent:
        if not agent.store.exists():
            msg = f"there is no store at {agent.store.path}"
            raise NoBars(msg, "fetch something first (mdagent fetch AAPL), or name a file with --file FILE")
        roster = agent.roster
        known = agent.settings.sources
        if wish.source and wish.source not in known and not wish.source.startswith(FILE):
            roster.names(wish.source)  # tells which one may have been meant

        def delay(name: str) -> timedelta:
            return roster.source(name).delay if name in known else timedelta(0)

        return Shelf(agent.store, desk_of(terminal), delay, roster.names("auto"), agent.settings.sessions.closures)
