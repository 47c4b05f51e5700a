"""repair: corrections of stored bars, proposed with their evidence, applied when told to, and taken back by their number."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.data import AsCsv, AsJson, Format, IntervalWord
from mdagent.cli.page import Page
from mdagent.errors import NoBars, UsageError
from mdagent.quality.counted import many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.store.decisions import Repaired
    from mdagent.store.read import Reader
    from mdagent.work.repair import Proposal, Proposals, Wanted

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

_FIELDS = ("open", "high", "low", "close", "volume")
COLUMNS = (
    "symbol", "interval", "ts", "source", "adjustment", "type", "status", "number", *_FIELDS, *(f"new_{f}" for f in _FIELDS), "factor",
    "evidence",
)  # fmt: skip
_PEOPLE = ("bars", "source", "type", "old", "new", "factor", "status", "evidence")


@app.command(cls=Page)
def repair(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="such as AAPL")],
    *,
    interval: IntervalWord = "1d",
    source: Annotated[list[str] | None, typer.Option(metavar="NAME", help="bars of this source alone; may be repeated")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what is proposed and write nothing; the default")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="store the proposed rows beside those of the source")] = False,
    undo: Annotated[int | None, typer.Option(metavar="NUMBER", help="take an application back")] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="who applies; default $USER")] = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Proposed corrections of stored bars, each with its evidence: old, new, factor, and why.

    Each stored series is judged anew, by itself and against the others. Lost decimal points and other units go back to the level about
    them, prices before a listed split are divided by it, volumes in another unit are brought to that beside them; bad ticks and stale
    bars become what at least two other sources agree upon; quarantined rows whose columns stand in each other's place are put right.
    Where evidence lacks, that is said, and nothing is proposed.

    With --apply the rows are stored under the mark SOURCE~repaired, with a score of 86, and come out in place of the source's own, which
    stay. They do so until they are undone, or the source tells that bar anew. Applying twice does nothing twice.

    \b
    Examples:
      mdagent repair AAPL
      mdagent repair AAPL --source yahoo --apply
      mdagent repair AAPL --undo 3
    """
    from mdagent.cli.bars import need_store, who_decides
    from mdagent.cli.sources import choose
    from mdagent.market import Interval, Symbol

    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    _one_wish(dry_run=dry_run, apply=apply, undo=undo)
    name, length = Symbol.parse(symbol), Interval.parse(interval)
    with terminal.agent() as agent:
        need_store(agent.store)
        if undo is not None:
            _undo(agent, name.ticker, undo, terminal)
            return
        from mdagent.work.repair import Wanted  # numpy, which to undo needs none of

        wanted = Wanted(name, length, tuple(source or ()), _delays(agent), agent.clock.now())
        found, made = _apply(agent, wanted, who_decides(by, terminal)) if apply else (_propose(agent, wanted), [])
    _tell(found, terminal, chosen)
    for one in made:
        words = f"repair {one.number}: {many(one.bars)} of {one.series.source} ({one.type}) stored as {one.series.source}~repaired"
        terminal.say(f"{words}; mdagent repair {name.ticker} --undo {one.number} takes it back")
    if apply and not made:
        terminal.say("nothing was applied")


def _propose(agent: Agent, wanted: Wanted) -> Proposals:
    from mdagent.work.repair import propose

    with agent.store.reading("repair") as reader:
        _check(reader, wanted)
        return propose(reader, wanted)


def _apply(agent: Agent, wanted: Wanted, who: str) -> tuple[Proposals, list[Repaired]]:
    """What stands after it, and what was written: no process comes between the judgement and the writing."""
    from mdagent.work.repair import apply, propose

    with agent.store.writing("repair") as writer:
        _check(writer, wanted)
        made = apply(writer, propose(writer, wanted).found, who, agent.run_name(), agent.clock.now())
        return propose(writer, wanted), made


def _one_wish(*, dry_run: bool, apply: bool, undo: int | None) -> None:
    """Raises UsageError where options exclude each other."""
    wish = [word for word, on in (("--dry-run", dry_run), ("--apply", apply), ("--undo", undo is not None)) if on]
    if len(wish) > 1:
        msg = f"{' and '.join(wish)} exclude each other"
        raise UsageError(msg, "name one")


def _check(reader: Reader, wanted: Wanted) -> None:
    """Raises NoBars, and UsageError for a source that the store has nothing of."""
    symbol = wanted.symbol.ticker
    tellers = reader.told_by(symbol, wanted.interval.value)
    if not tellers:
        msg = f"the store has no such bars of {symbol}"
        raise NoBars(msg, f"fetch them first: mdagent fetch {symbol}")
    strange = [name for name in wanted.sources if name not in tellers]
    if strange:
        msg = f"the store has no such bars of {symbol} from {strange[0][:40]!a}"
        raise UsageError(msg, f"use one of {', '.join(tellers)}")


def _delays(agent: Agent) -> Callable[[str], timedelta]:
    """How late each source lets a bar change; not at all one that this mdagent does not know."""
    known = agent.settings.sources
    return lambda name: agent.roster.source(name).delay if name in known else timedelta(0)


def _undo(agent: Agent, symbol: str, number: int, terminal: Terminal) -> None:
    from mdagent.store.decisions import undo_repair

    with agent.store.writing("repair") as writer:
        one = undo_repair(writer.ask, number, symbol, agent.run_name(), agent.clock.now())
    terminal.say(f"repair {one.number} is undone: {many(one.bars)} of {one.series.source} ({one.type}) again what the source says")


def _tell(found: Proposals, terminal: Terminal, chosen: str) -> None:
    from mdagent.cli.sources import show
    from mdagent.cli.table import print_table

    if chosen == "table" and found.found:
        print_table(_PEOPLE, list(_runs(found.found)), terminal.out, terminal)
    elif chosen != "table":
        show(chosen, COLUMNS, [_row(one) for one in found.found], terminal)
    for why in found.left:
        terminal.say(why)
    counts = {word: sum(one.status == word for one in found.found) for word in ("proposed", "applied", "no evidence", "accepted")}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    terminal.say(f"bars: {told}" if told else "no bar calls for a repair")
    if counts["proposed"]:
        terminal.say("nothing is changed yet: add --apply to store what is proposed")


def _stamp(one: Proposal) -> str:
    ts = one.correction.ts
    return f"{ts:%Y-%m-%dT%H:%M:%SZ}" if one.series.interval in ("1m", "5m", "15m", "30m", "1h") else f"{ts:%Y-%m-%d}"


def _row(one: Proposal) -> tuple[Any, ...]:
    from mdagent.store.decisions import cells

    told = one.correction
    new = cells(told.new) if told.new is not None else (None,) * 5
    series = one.series
    head = (series.symbol, series.interval, _stamp(one), series.source, series.adjustment, told.type, one.status, one.number)
    return (*head, *cells(told.old), *new, told.factor, told.evidence)


def _runs(found: Sequence[Proposal]) -> Iterator[tuple[Any, ...]]:
    """For people: what is the same for bars in a row stands once."""

    def kind(one: Proposal) -> tuple[Any, ...]:
        told = one.correction
        lone = told.factor is None or told.new is None
        return (one.series, told.type, one.status, one.number, told.factor, told.evidence if not lone else told.ts)

    for _, group in groupby(found, key=kind):
        some = list(group)
        first, last, told = some[0], some[-1], some[0].correction
        bars = _stamp(first) if len(some) == 1 else f"{_stamp(first)} .. {_stamp(last)} ({len(some)})"
        status = f"{first.status} as {first.number}" if first.number else first.status
        yield (bars, first.series.source, told.type, *_change(first), told.factor, status, told.evidence)


def _change(one: Proposal) -> tuple[str, str]:
    """The fields that change, before and after."""
    from mdagent.cli.table import words
    from mdagent.store.decisions import cells

    told = one.correction
    if told.new is None:
        return f"close {words(told.old[3])}", ""
    old, new = cells(told.old), cells(told.new)
    shown = [n for n in (3, 4, 1, 2, 0) if old[n] != new[n]][:2]
    before, after = (" ".join(f"{_FIELDS[n]} {words(row[n]) or '-'}" for n in shown) for row in (old, new))
    return before, after
