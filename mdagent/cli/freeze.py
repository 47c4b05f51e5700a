"""freeze: pin the bars of a backtest under a name; verify and export them as they were."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.data import Adjust, AsCsv, AsJson, End, Force, Format, IntervalWord, Start, StoredPeriod
from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page
from mdagent.errors import NoBars, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.market import BarRequest
    from mdagent.store.frozen import Frozen
    from mdagent.work.freeze import Verified

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

COLUMNS = ("name", "symbols", "interval", "start", "end", "adjustment", "as_of", "bars", "digest", "frozen_at")
VERDICT = ("name", "holds", "bars", "digest", "found", "symbol", "ts", "difference")
_PEOPLE = ("name", "symbols", "interval", "start", "end", "adjustment", "as_of", "bars")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


@app.command(cls=Page)
def freeze(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="of the pinned bars, such as momentum-2024")] = None,
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL...]", help="what to pin; - reads stdin, @FILE a file")] = None,
    *,
    interval: IntervalWord = "1d",
    start: Start = None,
    end: End = None,
    period: StoredPeriod = None,
    adjust: Adjust = "splits",
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="pin what was known then; default now")] = None,
    listed: Annotated[bool, typer.Option("--list", help="what is pinned")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="read it again as of then: is it the same? all, without NAME")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="write exactly these bars: .csv, .json or .parquet")
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="forget the name; the bars stay in the store")] = False,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    force: Force = False,
) -> None:
    """Pin the stored bars of a backtest, so that it can be run again on the same ones, whatever sources revise, or split, later.

    Kept are the request, the instant as of which it is read, the SHA-256 of its bars, and of each bar who told it and a mark by which a
    change is found. Provisional bars are left out. --verify says whether the hash still holds; if not, the first difference, with exit
    code 9. --export writes nothing then. Nobody is asked.

    \b
    Examples:
      mdagent freeze momentum AAPL MSFT --start 2020-01-01 --adjust all
      mdagent freeze momentum --verify
      mdagent freeze momentum --export momentum.parquet
      mdagent freeze --list
    """
    from mdagent.cli.sources import choose

    terminal: Terminal = ctx.obj
    wish = [word for word, on in (("--list", listed), ("--verify", verify), ("--export", export), ("--drop", drop)) if on]
    _check(name, symbols or [], wish)
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    if wish:
        _with_pinned(name, wish[0], chosen, terminal, (export, force))
    else:
        _pin(name or "", _requests(symbols or [], interval, (start, end, period), adjust, terminal), as_of, chosen, terminal)
    if terminal.settings.world == "sandbox" and not drop:
        terminal.say("sandbox: these prices are synthetic")


def _pin(name: str, requests: Sequence[BarRequest], as_of: str | None, chosen: str, terminal: Terminal) -> None:
    from mdagent.cli.bars import need_store
    from mdagent.cli.sources import show

    with terminal.agent() as agent:
        need_store(agent.store)
        made = _freeze(agent, name, requests, as_of, terminal)
    show(chosen, COLUMNS, [_row(made)], terminal, _PEOPLE)


def _with_pinned(name: str | None, wish: str, chosen: str, terminal: Terminal, place: tuple[Path | None, bool]) -> None:
    """What is asked of what is pinned already; `place` is where an export goes, and whether over another file."""
    from mdagent.cli.bars import need_store
    from mdagent.cli.sources import show

    with terminal.agent() as agent:
        need_store(agent.store)
        if wish == "--list":
            show(chosen, COLUMNS, [_row(one) for one in _named(agent, name)], terminal, _PEOPLE)
        elif wish == "--verify":
            _verify(agent, name, chosen, terminal)
        elif place[0] is not None:
            _export(agent, name or "", place[0], terminal, force=place[1])
        else:
            _drop(agent, name or "", terminal)


def _check(name: str | None, symbols: Sequence[str], wish: Sequence[str]) -> None:
    """Raises UsageError for words that make no sense together."""
    if len(wish) > 1:
        msg = f"{' and '.join(wish)} exclude each other"
        raise UsageError(msg, "say one of them")
    if wish and symbols:
        msg = f"{wish[0]} is about what is pinned, and {len(symbols)} symbols are named"
        raise UsageError(msg, f"mdagent freeze {name} {wish[0]}")
    if name is None and wish not in (["--list"], ["--verify"]):
        msg = "nothing is named"
        raise UsageError(msg, "mdagent freeze NAME SYMBOL... pins bars, mdagent freeze --list shows what is pinned")
    if name is not None and not _NAME.match(name):
        msg = f"{name[:40]!a} is no name for pinned bars"
        raise UsageError(msg, "use letters, digits, dots, dashes and underscores, at most 64")
    if not wish and not symbols:
        msg = f"no symbol is named to be pinned as {name}"
        raise UsageError(msg, f"mdagent freeze {name} AAPL, or --verify, --export FILE or --drop")


def _requests(
    symbols: Sequence[str], interval: str, window: tuple[str | None, str | None, str | None], adjust: str, terminal: Terminal
) -> list[BarRequest]:
    """Raises UsageError."""
    from mdagent.cli.words import read_requests, read_symbols

    start, end, period = window
    span = (start, end, period or (None if start else "max"))
    return read_requests(read_symbols(symbols, terminal.cwd), interval, span, adjust, terminal)


def _named(agent: Agent, name: str | None) -> list[Frozen]:
    """Raises UsageError for a name that nothing is pinned under."""
    from mdagent.store.frozen import frozen

    with agent.store.reading("freeze") as reader:
        found, known = frozen(reader.ask, name), frozen(reader.ask)
    if name is not None and not found:
        import difflib

        near = difflib.get_close_matches(name, [one.name for one in known], 1)
        msg = f"nothing is pinned as {name}" + (f": did you mean {near[0]}?" if near else "")
        raise UsageError(msg, "mdagent freeze --list")
    return found


def _freeze(agent: Agent, name: str, requests: Sequence[BarRequest], as_of: str | None, terminal: Terminal) -> Frozen:
    """Raises UsageError where the name is taken or the instant lies ahead, NoBars where there is nothing to pin."""
    from mdagent.market import parse_instant
    from mdagent.store.frozen import frozen
    from mdagent.work.freeze import freeze as pin

    now = agent.clock.now()
    then = parse_instant(as_of) if as_of else now
    if then > now:
        msg = f"{then:%Y-%m-%d %H:%M}Z lies ahead: what will be known then cannot be pinned"
        raise UsageError(msg, "name an instant that has been, or leave --as-of out")
    with agent.store.writing("freeze") as writer:
        if frozen(writer.ask, name):
            msg = f"{name} is pinned already"
            raise UsageError(msg, f"name another, or forget it first: mdagent freeze {name} --drop")
        made = pin(writer, name, requests, then, now)
    for told in made.left:
        terminal.say(told)
    if not made.frozen.bars:
        msg = f"the store has no such final bars as of {then:%Y-%m-%d %H:%M}Z"
        raise NoBars(msg, f"fetch them first: mdagent fetch {requests[0].symbol} --interval {requests[0].interval}")
    if made.provisional:
        terminal.say(f"{made.provisional} provisional bars are left out")
    terminal.say(f"{made.frozen.bars} bars are pinned as {name}, sha256 {made.frozen.digest}")
    if made.without:
        step = f"mdagent fetch {made.without[0]}, then mdagent freeze {name} --drop, and pin it again"
        terminal.fail(f"{name} has no bars of {', '.join(made.without[:5])}", step, ExitCode.PARTIAL)
    return made.frozen


def _verify(agent: Agent, name: str | None, chosen: str, terminal: Terminal) -> None:
    from mdagent.cli.sources import show
    from mdagent.work.freeze import verify

    verdicts = []
    for told in _named(agent, name):
        with agent.store.reading("freeze") as reader:
            verdicts.append(verify(reader, told))
    show(chosen, VERDICT, [_verdict(one) for one in verdicts], terminal)
    for one in verdicts:
        if one.holds:
            terminal.say(f"{one.frozen.name} holds: {one.frozen.bars} bars as of {one.frozen.as_of:%Y-%m-%d %H:%M}Z")
        else:
            _broken(one, terminal)


def _broken(one: Verified, terminal: Terminal) -> None:
    where = f"{one.symbol} {_stamp(one.frozen.interval, one.ts)}: " if one.ts else ""
    step = f"mdagent explain {one.symbol} {_stamp(one.frozen.interval, one.ts)} --interval {one.frozen.interval}" if one.ts else ""
    terminal.fail(f"{one.frozen.name} does not hold: {where}{one.difference}", step, ExitCode.STORE_DAMAGED)


def _export(agent: Agent, name: str, path: Path, terminal: Terminal, *, force: bool) -> None:
    from mdagent.cli.data import choose_way, write
    from mdagent.cli.render import COLUMNS as BAR
    from mdagent.cli.render import shown
    from mdagent.work.freeze import rows_of, verify

    form = choose_way(terminal, None, as_json=False, as_csv=False, output=path, force=force)
    (told,) = _named(agent, name)
    with agent.store.reading("freeze") as reader:
        verdict = verify(reader, told)
        rows = rows_of(reader, told) if verdict.holds else []
    if not verdict.holds:
        _broken(verdict, terminal)
        return
    write(BAR, shown(rows), terminal, form=form, output=path, force=force)


def _drop(agent: Agent, name: str, terminal: Terminal) -> None:
    from mdagent.store.frozen import drop

    _named(agent, name)
    with agent.store.writing("freeze") as writer:
        drop(writer.ask, name)
    terminal.say(f"{name} is forgotten; its bars stay in the store")


def _row(one: Frozen) -> tuple[Any, ...]:
    from mdagent.cli.sources import moment

    stamps = (_stamp(one.interval, one.start), _stamp(one.interval, one.end))
    return (
        one.name,
        " ".join(one.symbols),
        one.interval,
        *stamps,
        one.adjustment,
        _exact(one.as_of),
        one.bars,
        one.digest,
        moment(one.frozen_at),
    )


def _verdict(one: Verified) -> tuple[Any, ...]:
    ts = _stamp(one.frozen.interval, one.ts) if one.ts else ""
    return (one.frozen.name, one.holds, one.frozen.bars, one.frozen.digest, one.digest, one.symbol, ts, one.difference)


def _exact(moment: datetime) -> str:
    """To the microsecond: `export --as-of` takes it and gives the same."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"


def _stamp(interval: str, ts: datetime) -> str:
    return f"{ts:%Y-%m-%dT%H:%M:%SZ}" if interval.endswith(("m", "h")) else f"{ts:%Y-%m-%d}"
