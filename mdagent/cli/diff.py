"""diff: what sources changed of what they had told before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.data import AsCsv, AsJson, Format, Symbols
from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page
from mdagent.errors import NoBars

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mdagent.cli.terminal import Terminal
    from mdagent.market import Symbol
    from mdagent.store.changes import Change, Restated, Retold, Which
    from mdagent.store.read import Reader

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

_FIELDS = ("open", "high", "low", "close", "volume")
_HEAD = ("symbol", "interval", "ts", "source", "adjustment", "what", "cause", "change", "volume_change", "factor", "told_at", "changed_at")
COLUMNS = (*_HEAD, "old", "new", *(f"{age}_{name}" for name in _FIELDS for age in ("old", "new")))
_PEOPLE = ("symbol", "ts", "source", "what", "cause", "change", "old", "new", "changed_at")
_MOST = 40  # rows on a terminal


@app.command(cls=Page)
def diff(
    ctx: typer.Context,
    symbols: Symbols,
    *,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="only what changed from then on")] = None,
    interval: Annotated[str | None, typer.Option("--interval", "-i", metavar="LENGTH", help="of the bars; default all")] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="what this source changed; default any")] = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """What sources changed of the past: final bars that came back different, and splits and dividends told otherwise. Asks nobody.

    Per bar the old and the new values, when and why: a revision, a restatement (all prices by the factor of a split) or a confirmation
    (the same prices again). `change` is the widest relative change of a price, or of the amount of a split or dividend; one that was
    taken back has no new value. The worst first: revisions by size, then the rest. A terminal shows restatements one line each.

    \b
    Examples:
      mdagent diff AAPL
      mdagent diff AAPL MSFT --since 2024-01-01 --csv
      mdagent diff AAPL --source yahoo --interval 1d --json
    """
    from mdagent.cli.bars import need_store
    from mdagent.cli.sources import choose
    from mdagent.cli.words import read_symbols
    from mdagent.market import Interval, parse_instant
    from mdagent.store.changes import Which

    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    which = Which(Interval.parse(interval).value if interval else None, source, parse_instant(since) if since else None)
    named = read_symbols(symbols, terminal.cwd)
    with terminal.agent() as agent:
        if source and source not in agent.settings.sources:
            agent.roster.names(source)  # tells which one may have been meant
        need_store(agent.store)
        with agent.store.reading("diff") as reader:
            held = set(reader.symbols())
            found = _Found(reader, [s for s in named if s.ticker in held or reader.is_mentioned(s.ticker)], which)
    if not found.symbols:
        msg = f"the store has nothing of {', '.join(map(str, named[:5]))}"
        raise NoBars(msg, f"fetch it first: mdagent fetch {named[0]}")
    _show(found, chosen, terminal)
    lacking = [s for s in named if s not in found.symbols]
    if lacking:
        terminal.fail(f"the store has nothing of {', '.join(map(str, lacking[:5]))}", f"mdagent fetch {lacking[0]}", ExitCode.PARTIAL)


class _Found:
    """What changed of the symbols that are stored."""

    def __init__(self, reader: Reader, symbols: Sequence[Symbol], which: Which) -> None:
        from mdagent.store.changes import changes, restated, retold

        self.symbols = symbols
        self.bars = [one for s in symbols for one in changes(reader.ask, s.ticker, which)]
        self.restated = [one for s in symbols for one in restated(reader.ask, s.ticker, which)]
        self.actions = [one for s in symbols for one in retold(reader.ask, s.ticker, which)]


def _show(found: _Found, chosen: str, terminal: Terminal) -> None:
    """Actions go before bars: they are what bars of all times are reckoned with."""
    from mdagent.cli.sources import show

    revised = [one for one in found.bars if one.cause == "revision"]
    if chosen == "table":
        told = [*map(_action, found.actions), *map(_bar, revised[:_MOST]), *map(_restatement, found.restated)]
    else:
        told = [*map(_action, found.actions), *map(_bar, found.bars)]
    rows = [tuple(row.get(name) for name in COLUMNS) for row in told]
    if chosen == "table":
        rows = [tuple(_people(name, cell) for name, cell in zip(COLUMNS, row, strict=True)) for row in rows]
    if rows or chosen != "table":
        show(chosen, COLUMNS, rows, terminal, _PEOPLE)
    if chosen == "table" and len(revised) > _MOST:
        terminal.say(f"{len(revised) - _MOST} smaller revisions are left out (--csv has all)")
    terminal.say(_sentence(found, len(revised)))
    if terminal.settings.world == "sandbox":
        terminal.say("sandbox: these prices are synthetic")


def _sentence(found: _Found, revised: int) -> str:
    counts = {cause: sum(one.cause == cause for one in found.bars) for cause in ("restatement", "confirmation")}
    told = (
        (revised, "revised"),
        (counts["restatement"], "restated by a split"),
        (counts["confirmation"], "come again with the same close"),
        (len(found.actions), "splits or dividends told otherwise"),
    )
    names = ", ".join(map(str, found.symbols[:5])) + (" ..." if len(found.symbols) > 5 else "")
    words = ", ".join(f"{count} {'bars ' if i == 0 else ''}{what}" for i, (count, what) in enumerate(t for t in told if t[0]))
    return f"{names}: {words or 'nothing that was told has changed'}"


def _people(name: str, cell: Any) -> Any:  # noqa: ANN401  any cell
    """As a person reads it: shares as percent."""
    return f"{100 * cell:+.4f} %" if name == "change" and cell is not None else cell


def _bar(one: Change) -> dict[str, Any]:
    from mdagent.cli.sources import moment

    new = one.new or (None,) * len(_FIELDS)
    row = {
        "symbol": one.symbol,
        "interval": one.interval,
        "ts": _stamp(one.interval, one.ts),
        "source": one.source,
        "adjustment": one.adjustment,
        "what": f"{one.interval} bar",
        "cause": one.cause,
        "change": one.size,
        "volume_change": one.of_volume,
        "factor": one.factor,
        "told_at": moment(one.told_at),
        "changed_at": moment(one.changed_at),
        "old": one.old[3],
        "new": new[3],
    }
    cells = zip(_FIELDS, one.old, new, strict=True)
    return row | {f"{age}_{name}": cell for name, old, late in cells for age, cell in (("old", old), ("new", late))}


def _action(one: Retold) -> dict[str, Any]:
    from mdagent.cli.sources import moment

    return {
        "symbol": one.symbol,
        "ts": one.date.isoformat(),
        "source": one.source,
        "what": one.kind,
        "cause": "taken back" if one.new is None else "told otherwise",
        "change": one.size,
        "told_at": moment(one.told_at),
        "changed_at": moment(one.changed_at),
        "old": one.old,
        "new": one.new,
    }


def _restatement(one: Restated) -> dict[str, Any]:
    from mdagent.cli.sources import moment

    return {
        "symbol": one.symbol,
        "ts": f"{_stamp(one.interval, one.first)} to {_stamp(one.interval, one.last)}",
        "source": one.source,
        "what": f"{one.bars} {one.interval} bars",
        "cause": "restatement",
        "change": one.factor - 1,
        "changed_at": moment(one.at),
    }


def _stamp(interval: str, ts: datetime) -> str:
    return f"{ts:%Y-%m-%dT%H:%M:%SZ}" if interval.endswith(("m", "h")) else f"{ts:%Y-%m-%d}"
