"""gaps: is all there that ought to be? What is stored against the sessions of its exchange, and why each missing bar is missing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.data import AsCsv, AsJson, End, Format, IntervalWord, Start, StoredPeriod
from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page
from mdagent.errors import NoBars

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.market import BarRequest, Interval, Symbol
    from mdagent.sessions import Session
    from mdagent.store.read import Reader
    from mdagent.store.recall import LastAsked
    from mdagent.work.gaps import Books, Certificate, Missing, Wish

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

COLUMNS = ("symbol", "interval", "expected", "present", "first", "last", "bars", "reason", "fault", "sources", "detail")
_PEOPLE = ("first", "last", "bars", "reason", "fault", "sources", "detail")

Named = Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL...]", help="all that are stored, when none is named")]
SourceName = Annotated[str | None, typer.Option("--source", metavar="NAME", help="the bars of this source alone; default of any")]
Basis = Annotated[
    str | None, typer.Option("--adjust", metavar="BASIS", help="only what can be brought to raw, splits or all prices; default as stored")
]


@app.command(cls=Page)
def gaps(
    ctx: typer.Context,
    symbols: Named = None,
    *,
    interval: IntervalWord = "1d",
    start: Start = None,
    end: End = None,
    period: StoredPeriod = None,
    source: SourceName = None,
    adjust: Basis = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Is all there that ought to be? Expected and present sessions, and every run of missing bars with its reason. Asks nobody.

    A bar is present when any source has one that may come out. These reasons are no fault: pending (not over yet), not yet listed,
    delisted, not traded (a halt), rejected by a person; holidays are told of a window that is named. These are: provider gap (so many
    sources were asked and have none), null bar at source, quarantined, not convertible (to --adjust), never asked, asked too early
    (before it was over), refused (as never asked, and the last request failed). Without a window it is what sources were asked for.
    Exit code 5 when anything is missing without excuse, 12 when nothing is stored.

    \b
    Examples:
      mdagent gaps
      mdagent gaps AAPL --start 2024-01-02 --json
      mdagent gaps AAPL MSFT --interval 1h --source yahoo
    """
    from mdagent.cli.bars import need_store
    from mdagent.cli.sources import choose
    from mdagent.cli.words import read_symbols

    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    wish = _wish(interval, (start, end, period), source, adjust, terminal)
    with terminal.agent() as agent:
        if source and source not in agent.settings.sources:
            agent.roster.names(source)  # tells which one may have been meant
        need_store(agent.store)
        books = _books(agent)
        with agent.store.reading("gaps") as reader:
            named = read_symbols(symbols or reader.symbols(), terminal.cwd) if symbols or reader.symbols() else []
        told = _Sheet(chosen, wish, terminal)
        lacking = []
        for symbol, found in books.certificates(named, wish):
            if found is None:
                lacking += [symbol] if symbols else []
            else:
                told.add(found)
        told.close()
    _judge(told, lacking, wish.interval, terminal)


def _wish(
    interval: str, window: tuple[str | None, str | None, str | None], source: str | None, adjust: str | None, terminal: Terminal
) -> Wish:
    """Raises UsageError."""
    from mdagent.cli.words import read_window
    from mdagent.market import Adjustment, Interval
    from mdagent.work.gaps import Wish
    from mdagent.work.spans import BEGINNING

    length, (start, end, period) = Interval.parse(interval), window
    basis = Adjustment.parse(adjust) if adjust else None
    if not any(window):
        return Wish(length, source=source, adjustment=basis)
    since, until = read_window(length, start, end, period or (None if start else "max"), terminal)
    whole = since == BEGINNING
    return Wish(length, None if whole else since, None if whole and not end else until, source, basis)


def _books(agent: Agent) -> Books:
    from mdagent.store.recall import last_asked
    from mdagent.work.gaps import Books

    roster, known = agent.roster, agent.settings.sources

    def delay(name: str) -> timedelta:
        return roster.source(name).delay if name in known else timedelta(0)

    def last(symbol: str, interval: str) -> Sequence[LastAsked]:
        return last_asked(agent.ledger, symbol, interval) if agent.settings.ledger.exists() else ()

    return Books(agent.store, _sessions(agent), delay, last, agent.clock.now())


def _sessions(agent: Agent) -> Callable[[Reader, BarRequest], Sequence[Session] | None]:
    """The sessions round a window, and perhaps more: the store's, or where these are out of date or do not reach so far those of the
    almanac. Of each calendar the widest stretch that was needed is remembered, not one for each symbol."""
    from mdagent.work.calendar import calendar_for, known_sessions

    closures = agent.settings.sessions.closures
    kept: dict[str, tuple[BarRequest, Sequence[Session]]] = {}

    def sessions(reader: Reader, request: BarRequest) -> Sequence[Session] | None:
        code = calendar_for(reader, request.symbol)
        if not code:
            return None
        wide, found = kept.get(code, (request, ()))
        if code not in kept or request.start < wide.start or request.end > wide.end:
            wide = request.over(min(wide.start, request.start), max(wide.end, request.end))
            stored = known_sessions(reader, wide, closures)
            found = (stored[0] if stored else None) or _built(agent, code, wide)
            kept[code] = (wide, found)
        return found

    return sessions


def _built(agent: Agent, code: str, request: BarRequest) -> Sequence[Session]:
    from mdagent.store.almanac import Almanac
    from mdagent.store.read import MARGIN

    almanac = Almanac(agent.settings.home / "calendars", agent.settings.sessions.closures, agent.clock.now().date())
    return almanac.sessions(code, (request.start - MARGIN).date(), (request.end + MARGIN).date())


class _Sheet:
    """Where certificates are written, one after the other; and what they came to."""

    def __init__(self, chosen: str, wish: Wish, terminal: Terminal) -> None:
        self.chosen, self.wish, self.terminal = chosen, wish, terminal
        self.told = 0
        self.wanting: list[tuple[str, str]] = []  # what is said of those that are not complete, and the next step

    def add(self, found: Certificate) -> None:
        """Write one."""
        from mdagent.cli.render import cell

        out = self.terminal.out
        if self.chosen in ("json", "ndjson"):
            import json

            text = json.dumps(as_plain(found))
            out.write(text + "\n" if self.chosen == "ndjson" else ("," if self.told else "[") + "\n" + text)
        elif self.chosen == "csv":
            import csv

            lines = csv.writer(out, lineterminator="\n")
            lines.writerows([] if self.told else [COLUMNS])
            lines.writerows([cell(value) for value in row] for row in _rows(found))
        else:
            self._page(found)
        self.told += 1
        if not found.complete:
            self.wanting.append((_sentence(found), _next(found, self.wish)))
        elif self.chosen != "table":
            self.terminal.say(_sentence(found))

    def _page(self, found: Certificate) -> None:
        from mdagent.cli.table import print_table

        if not found.absences:
            self.terminal.out.write(_sentence(found) + "\n")
            return
        rows = [row[4:] for row in _rows(found)]
        print_table(_PEOPLE, rows, self.terminal.out, self.terminal, _sentence(found))

    def close(self) -> None:
        """After the last one."""
        if self.chosen == "json":
            self.terminal.out.write(("" if self.told else "[") + "\n]\n")


def _judge(sheet: _Sheet, lacking: Sequence[Symbol], interval: Interval, terminal: Terminal) -> None:
    """The exit code, and the next step. Raises NoBars where nothing is stored."""
    if terminal.settings.world == "sandbox" and sheet.told:
        terminal.say("sandbox: these prices are synthetic")
    names = ", ".join(map(str, lacking[:5]))
    if not sheet.told:
        msg = f"the store has no {interval} bars{' of ' + names if names else ''}"
        raise NoBars(msg, f"fetch them first: mdagent fetch {lacking[0] if lacking else 'SYMBOL'} --interval {interval}")
    if lacking:
        terminal.fail(f"the store has no {interval} bars of {names}", f"mdagent fetch {lacking[0]} --interval {interval}", ExitCode.PARTIAL)
    if sheet.wanting:
        several = len(sheet.wanting) > 1 or sheet.told > 1
        for sentence, _ in sheet.wanting[: 5 if several else 0]:
            terminal.say(sentence)
        words = f"{len(sheet.wanting)} of {sheet.told} symbols are not complete" if several else sheet.wanting[0][0]
        terminal.fail(words, sheet.wanting[0][1], ExitCode.PARTIAL)


def _next(found: Certificate, wish: Wish) -> str:
    """What to do about the first fault."""
    one = next((a for a in found.absences if a.fault), None)
    if one is None:
        return "name its exchange by a suffix, such as IBE.MC: without a calendar nothing is known to be missing"
    return _STEPS.get(one.reason, _STEPS[""]).format(
        fetch=f"mdagent fetch {found.symbol} --interval {found.interval} --start {one.first:%Y-%m-%d}",
        bar=f"{found.symbol} {_stamp(found, one.first)} --interval {found.interval}",
        basis=wish.adjustment,
    )


_STEPS = {
    "": "{fetch}",
    "quarantined": "mdagent explain {bar}",
    "provider gap": "another source may have it: {fetch} --source NAME",
    "null bar at source": "another source may have it: {fetch} --source NAME",
    "not convertible": "{fetch} --adjust {basis}",
    "calendar not known": "install a newer exchange_calendars, or ask about days that it knows",
}


def _sentence(found: Certificate) -> str:
    what = f"{found.symbol} {found.interval}, {found.start:%Y-%m-%d} to {found.end:%Y-%m-%d}"
    if found.expected is None:
        return f"{what}: {found.present} bars; how many ought to be there is not known, since its trading calendar is not"
    sums: dict[str, int] = {}
    for one in found.absences:
        sums[one.reason] = sums.get(one.reason, 0) + one.bars
    told = ", ".join(f"{count or ''} {reason}".strip() for reason, count in sums.items() if reason not in ("holiday", "no session"))
    state = "complete" if found.complete else f"{found.missing} missing"
    return f"{what}: {state}, {found.present} of {found.expected} bars are there" + (f" ({told})" if told else "")


def _rows(found: Certificate) -> list[tuple[Any, ...]]:
    """A row for each run; one without a run for a symbol that lacks nothing."""
    head = (found.symbol, found.interval.value, found.expected, found.present)
    if not found.absences:
        return [(*head, None, None, 0, "", None if found.expected is None else False, "", "")]
    return [(*head, *_cells(found, one).values()) for one in found.absences]


def _cells(found: Certificate, one: Missing) -> dict[str, Any]:
    return {
        "first": _stamp(found, one.first),
        "last": _stamp(found, one.last),
        "bars": one.bars,
        "reason": one.reason,
        "fault": one.fault,
        "sources": " ".join(one.sources),
        "detail": one.detail,
    }


def _stamp(found: Certificate, moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if found.interval.intraday else f"{moment:%Y-%m-%d}"


def as_plain(found: Certificate) -> dict[str, Any]:
    """For JSON. `missing` counts the bars that nothing excuses; `complete` is null where no calendar tells."""
    return {
        "symbol": found.symbol,
        "interval": found.interval.value,
        "start": f"{found.start:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{found.end:%Y-%m-%dT%H:%M:%SZ}",
        "calendar": found.calendar or None,
        "expected": found.expected,
        "present": found.present,
        "missing": None if found.expected is None else found.missing,
        "complete": None if found.expected is None else found.complete,
        "absences": [_cells(found, one) | {"sources": list(one.sources)} for one in found.absences],
    }
