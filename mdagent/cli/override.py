"""override: a person's decision on a bar, kept with name, time and reason, and taken back by its number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.data import AsCsv, AsJson, Format, IntervalWord
from mdagent.cli.page import Page
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from mdagent.agent import Agent
    from mdagent.cli.bars import Meant
    from mdagent.cli.terminal import Terminal
    from mdagent.store.decisions import Override

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

COLUMNS = ("number", "symbol", "interval", "ts", "source", "decision", "reason", "who", "decided_at", "undone_at")
_LONGEST = 500  # characters of a reason


@app.command(cls=Page)
def override(
    ctx: typer.Context,
    symbol: Annotated[str | None, typer.Argument(metavar="[SYMBOL]", help="such as AAPL")] = None,
    date: Annotated[
        str | None, typer.Argument(metavar="[DATE]", help="of the bar: 2024-01-02, or of an intraday one 2024-01-02T14:30:00Z")
    ] = None,
    *,
    accept: Annotated[bool, typer.Option("--accept", help="it is right: findings hold it down no more")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="it is wrong: it comes out no more")] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="why; required")] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="the bar of this source; default whoever tells it")] = None,
    interval: IntervalWord = "1d",
    by: Annotated[str | None, typer.Option(metavar="NAME", help="who decides; default $USER")] = None,
    listed: Annotated[bool, typer.Option("--list", help="what was decided, of SYMBOL or of all")] = False,
    undo: Annotated[int | None, typer.Option(metavar="NUMBER", help="take a decision back; it stays on record")] = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Accept or reject a bar yourself. A decision outlives every fetch, until it is undone.

    A rejected bar leaves fetch, export, the view consolidated and the score; it stays in the table bars, and explain tells of it. An
    accepted one counts as 90 at least where sources are chosen between, whatever was found. Of several decisions on a bar the last one
    holds. Without --source it is about the bar of that date, whoever tells it, now or later.

    \b
    Examples:
      mdagent override AAPL 2024-01-03 --reject --source yahoo --reason "misprint, see the exchange's notice"
      mdagent override AAPL 2024-01-03 --accept --reason "the crash was real"
      mdagent override --list
      mdagent override --undo 3
    """
    from mdagent.cli.bars import need_store
    from mdagent.cli.sources import choose, show

    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    wish = [name for name, on in (("--accept", accept), ("--reject", reject), ("--list", listed), ("--undo", undo is not None)) if on]
    if len(wish) != 1:
        msg = f"{' and '.join(wish)} exclude each other" if wish else "nothing is decided"
        raise UsageError(msg, "say one of --accept, --reject, --list and --undo NUMBER")
    meant = None if listed or undo is not None else _meant(symbol, date, interval, reason)
    with terminal.agent() as agent:
        need_store(agent.store)
        if listed:
            found = _list(agent, symbol)
        elif undo is not None:
            found = [_undo(agent, undo)]
        elif meant is not None:
            found = [_decide(agent, meant, (wish[0].removeprefix("--"), reason or "", source, by), terminal)]
    show(chosen, COLUMNS, [_row(one) for one in found], terminal, COLUMNS)
    if not found:
        terminal.say("nothing was decided")


def _meant(symbol: str | None, date: str | None, interval: str, reason: str | None) -> Meant:
    """Raises UsageError."""
    from mdagent.cli.bars import read_stamp

    if symbol is None or date is None:
        msg = "no bar is named"
        raise UsageError(msg, "name its symbol and date: mdagent override AAPL 2024-01-03 --reject --reason TEXT")
    if reason is None or not reason.strip():
        msg = "no reason is given"
        raise UsageError(msg, "add --reason TEXT: whoever meets the decision later will want to know")
    if len(reason) > _LONGEST:
        msg = f"the reason has {len(reason)} characters"
        raise UsageError(msg, f"say it in {_LONGEST}")
    return read_stamp(symbol, date, interval)


def _list(agent: Agent, symbol: str | None) -> list[Override]:
    from mdagent.market import Symbol
    from mdagent.store.decisions import overrides

    with agent.store.reading("override") as reader:
        return overrides(reader.ask, Symbol.parse(symbol).ticker if symbol else None)


def _undo(agent: Agent, number: int) -> Override:
    from mdagent.store.decisions import undo_override

    with agent.store.writing("override") as writer:
        return undo_override(writer.ask, number, agent.clock.now())


def _decide(agent: Agent, meant: Meant, words: tuple[str, str, str | None, str | None], terminal: Terminal) -> Override:
    """Write the decision. Raises NoBars where there is no such bar, and UsageError for a source that does not tell it."""
    from mdagent.cli.bars import request_of, who_decides
    from mdagent.store.decided import ANYBODY, MARK
    from mdagent.store.decisions import Bar, Override
    from mdagent.store.decisions import override as write
    from mdagent.work.explain import explain

    decision, reason, source, by = words
    who, whose = who_decides(by, terminal), (source or ANYBODY).removesuffix(MARK)
    with agent.store.writing("override") as writer:
        request = request_of(writer, meant)
        found = explain(writer, request, agent.clock.now())
        tellers = sorted({t.source for t in found.file.told} | {r.source for r in found.file.repairs if r.holds})
        if not tellers:
            from mdagent.errors import NoBars

            why = found.absent[0] if found.absent else "unknown"
            msg = f"there is no bar of {request.symbol} to decide about: {why}"
            raise NoBars(msg, found.commands[0] if found.due else "")
        if whose not in (ANYBODY, *tellers):
            msg = f"{whose[:40]!a} tells no such bar"
            raise UsageError(msg, f"use one of {', '.join(tellers)}, or leave --source out")
        bar = Bar(request.symbol.ticker, request.interval.value, request.start, whose)
        made, new = write(writer.ask, Override(0, bar, decision, " ".join(reason.split()), who, agent.clock.now()))
    verb = {"accept": "accepted", "reject": "rejected"}[decision]
    told = "any source" if whose == ANYBODY else whose
    terminal.say(f"the bar of {told} is {'' if new else 'already '}{verb} (mdagent override --undo {made.number} takes it back)")
    return made


def _row(one: Override) -> tuple[Any, ...]:
    from mdagent.cli.sources import moment

    bar = one.bar
    stamp = f"{bar.ts:%Y-%m-%dT%H:%M:%SZ}" if bar.interval.endswith(("m", "h")) else f"{bar.ts:%Y-%m-%d}"
    when = (moment(one.decided_at), moment(one.undone_at))
    return (one.number, bar.symbol, bar.interval, stamp, bar.source, one.decision, one.reason, one.who, *when)
