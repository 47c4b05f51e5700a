"""import: files of bars into the store, each as a source of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.data import AsJson, ModeWord
from mdagent.cli.exits import ExitCode, of_error
from mdagent.cli.page import Page
from mdagent.cli.validate import MetaFile, desk_of, metas, within
from mdagent.errors import NoBars, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdagent.cli.terminal import Terminal
    from mdagent.quality.modes import Mode
    from mdagent.store.bars import BarStore
    from mdagent.work.intake import Arrival
    from mdagent.work.meta import Meta
    from mdagent.work.validate import Wish

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

SCHEMA_VERSION = 1

Named = Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV or Parquet, or a folder: all such files in it")]
Ticker = Annotated[str | None, typer.Option("--symbol", metavar="SYMBOL", help="of the bars, where the file does not tell it")]
Length = Annotated[str | None, typer.Option("--interval", "-i", metavar="LENGTH", help="of a bar: 1m 5m 15m 30m 1h 1d 1w 1mo")]
Basis = Annotated[str | None, typer.Option("--adjust", metavar="BASIS", help="of the prices: raw, splits or all; untold: splits")]
Money = Annotated[str | None, typer.Option(metavar="CODE", help="of the prices, such as USD, GBp")]
Name = Annotated[str | None, typer.Option("--source", metavar="NAME", help="stored as file:NAME; default the file's own name")]


@app.command("import", cls=Page)
def import_files(  # the options of a command are its parameters
    ctx: typer.Context,
    files: Named,
    *,
    symbol: Ticker = None,
    interval: Length = None,
    adjust: Basis = None,
    currency: Money = None,
    source: Name = None,
    meta: MetaFile = None,
    mode: ModeWord = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="judge and say; store nothing")] = False,
    as_json_: AsJson = False,
) -> None:
    """Bars from files into the store, checked and graded as any answer, under a source of their own that nobody is asked for.

    The columns may have the names of most vendors; what was asked for is told by --meta, else by case.json beside the file. Each file is
    one transaction: all of it is stored or, when too many rows cannot be right, nothing (exit code 6). The same file again changes
    nothing. Afterwards the bars stand beside the providers' in validate, compare, explain, grade and export.

    \b
    Examples:
      mdagent import AAPL.csv --currency USD
      mdagent import prices.parquet --symbol BRK.B --interval 1d --adjust raw --source vendor
      mdagent import folder --source vendor --dry-run --json
    """
    from mdagent.quality.modes import mode_named

    terminal: Terminal = ctx.obj
    wish = _wish(symbol, interval, adjust, source, mode_named(mode or terminal.settings.fetch.mode), terminal)
    meta_of = _with_currency(metas(meta and terminal.cwd / meta), currency)
    paths = [path for file in files for path in _found(terminal.cwd / file, terminal)]
    codes = [ExitCode(terminal.code)] if terminal.code else []
    with terminal.agent() as agent:
        take = None if dry_run else agent.store
        codes += [_import(path, meta_of, wish, (take, agent.run_name()), terminal, as_json=as_json_) for path in paths]
    terminal.code = int(_worst(codes))
    if terminal.settings.world == "sandbox" and not dry_run and ExitCode.OK in codes:
        terminal.say("sandbox: these bars are in the sandbox's store, beside synthetic prices")


def _wish(  # noqa: PLR0917  what was typed
    symbol: str | None, interval: str | None, adjust: str | None, source: str | None, mode: Mode, terminal: Terminal
) -> Wish:
    from mdagent.market import Adjustment, Interval, Symbol
    from mdagent.work.intake import source_name
    from mdagent.work.validate import Wish

    return Wish(
        mode,
        str(Symbol.parse(symbol)) if symbol else None,
        Interval.parse(interval) if interval else None,
        adjustment=Adjustment.parse(adjust) if adjust else None,
        source=source_name(terminal.cwd, source) if source is not None else None,
    )


def _with_currency(meta_of: Callable[[Path], Meta], currency: str | None) -> Callable[[Path], Meta]:
    """Raises UsageError for a word that is no code of a currency."""
    if currency is None:
        return meta_of
    if len(currency) != 3 or not currency.isalpha() or not currency.isascii():
        msg = f"{currency[:20]!a} is not a currency"
        raise UsageError(msg, "write its three letters, such as USD; pence are GBp")
    return lambda path: meta_of(path)._replace(currency=currency)


def _found(path: Path, terminal: Terminal) -> list[Path]:
    try:
        return within(path)
    except NoBars as error:
        terminal.fail(error.message, error.hint, of_error(error))
        return []


def _import(
    path: Path, meta_of: Callable[[Path], Meta], wish: Wish, place: tuple[BarStore | None, str], terminal: Terminal, *, as_json: bool
) -> ExitCode:
    """Judge a file and store it; its exit code. Without a store nothing is written."""
    from mdagent.work.intake import read_arrivals, take_in

    store, run = place
    try:
        found = read_arrivals(path, meta_of(path), wish, desk_of(terminal), run)
        if store is not None:
            found = take_in(store, found, f"import {path.name[:30]}")
    except (UsageError, NoBars) as error:
        terminal.fail(error.message, error.hint, of_error(error))
        return ExitCode(terminal.code)
    if as_json:
        terminal.out.writelines(_as_json(one) + "\n" for one in found)
    for note in dict.fromkeys(note for one in found for note in one.judged.notes if "rows that are lacking" not in note):
        terminal.say(f"{path.name}: {note.replace('mdagent validate SYMBOL --file FILE', '--symbol')}")
    return _told(path, found, terminal, dry=store is None)


def _told(path: Path, found: Sequence[Arrival], terminal: Terminal, *, dry: bool) -> ExitCode:
    """One line on what became of a file; and why it was refused, or is worse than the mode allows."""
    from mdagent.quality.letters import LETTERS, letter

    refused = [one for one in found if one.judged.verdict.refused]
    if refused:
        verdict = refused[0].judged.verdict
        told = f"{len(verdict.quarantine)} of {verdict.bars} rows of {refused[0].judged.name} cannot be right"
        first = verdict.quarantine[0]
        words = f"{path.name}: {told} (the first: {first.reason}): nothing of the file was stored"
        terminal.fail(words, f"mdagent validate --file {path.name} shows them; --mode permissive lets half be bad", ExitCode.BELOW_GRADE)
        return ExitCode.BELOW_GRADE
    first_one, worst = found[0], min(one.judged.grade.score for one in found)
    whose = first_one.judged.name if len(found) == 1 else f"{len(found)} symbols"
    bars, bad = sum(len(one.batch.bars) for one in found), sum(len(one.judged.verdict.quarantine) for one in found)
    grade = f"grade {letter(worst)} ({worst:.1f})" if len(found) == 1 else f"the worst grade {letter(worst)} ({worst:.1f})"
    what = f"{whose} {first_one.batch.request.interval}, {first_one.batch.bars.source}, {first_one.batch.request.adjustment}"
    quarantined = f", {bad} quarantined" if bad else ""
    terminal.say(f"{path.name}: {what}: {bars} bars{quarantined}, {grade}; {_changes(found, dry=dry)}")
    floor = first_one.judged.verdict.mode, dict(LETTERS).get(_floor_of(first_one) or "F", 0.0)
    if worst < floor[1]:
        terminal.fail(f"{path.name}: below the lowest grade of the mode {floor[0]}", "", ExitCode.BELOW_GRADE)
        return ExitCode.BELOW_GRADE
    return ExitCode.OK


def _floor_of(arrival: Arrival) -> str | None:
    from mdagent.quality.modes import MODES

    return MODES[arrival.judged.verdict.mode].floor


def _changes(found: Sequence[Arrival], *, dry: bool) -> str:
    kept = [one.kept for one in found if one.kept is not None]
    if dry:
        return "nothing was stored (--dry-run)"
    if not kept:
        return "the store has them already"
    counts = (("new", "inserted"), ("in place of provisional ones", "replaced"), ("revised", "revised"))
    sums = [(sum(getattr(one, name) for one in kept), word) for word, name in counts]
    return ", ".join(f"{count} {word}" for count, word in sums if count) or "no bar is new"


def _worst(codes: Sequence[ExitCode]) -> ExitCode:
    """The one code that all files share; else PARTIAL where any was stored, else that of the first."""
    distinct = dict.fromkeys(codes)
    if len(distinct) == 1:
        return codes[0]
    return ExitCode.PARTIAL if ExitCode.OK in distinct else next(iter(distinct), ExitCode.OK)


def _as_json(arrival: Arrival) -> str:
    """One line of JSON; additive changes only within a `schema_version`."""
    import json

    from mdagent.cli.render import plain

    judged, batch, kept = arrival.judged, arrival.batch, arrival.kept
    told = {
        "schema_version": SCHEMA_VERSION,
        "file": judged.place,
        "symbol": batch.request.symbol.ticker,
        "interval": batch.request.interval.value,
        "source": batch.bars.source,
        "adjustment": batch.request.adjustment.value,
        "currency": batch.bars.currency,
        "start": f"{batch.request.start:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{batch.request.end:%Y-%m-%dT%H:%M:%SZ}",
        "bars": len(batch.bars),
        "quarantined": len(judged.verdict.quarantine),
        "refused": judged.verdict.refused,
        "stored": kept is not None or arrival.same,
        "unchanged": arrival.same,
        **{name: getattr(kept, name, 0) for name in ("inserted", "replaced", "revised")},
        "grade": judged.grade.letter,
        "score": plain(judged.grade.score),
        "findings": [
            {"check": f.check, "type": f.type, "severity": f.severity.value, "message": f.message} for f in judged.verdict.findings
        ],
        "notes": list(judged.notes),
    }
    return json.dumps(told, allow_nan=False)
