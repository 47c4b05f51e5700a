"""explain: who said what of one bar, which value won and why, and all that was found, decided and mended about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.data import Adjust, AsJson, IntervalWord
from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mdagent.cli.terminal import Terminal
    from mdagent.store.dossier import Dossier
    from mdagent.work.explain import Explanation, Served

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="such as AAPL")]
When = Annotated[str, typer.Argument(metavar="DATE", help="of the bar: 2024-01-02, or of an intraday one 2024-01-02T14:30:00Z")]
_FIELDS = ("open", "high", "low", "close", "volume")


@app.command(cls=Page)
def explain(
    ctx: typer.Context,
    symbol: Symbol,
    date: When,
    *,
    interval: IntervalWord = "1d",
    adjust: Adjust = "splits",
    as_json: AsJson = False,
) -> None:
    """One bar on one screen: who said what and when, which value won and why, and how to come to the same.

    Each source's row on its own basis and brought to the one asked for, the splits and dividends between, findings, the sum behind the
    grade, what was quarantined or revised, what people decided and mended. Where there is no bar it says why, with exit code 12.
    Nothing is asked and nothing is written.

    \b
    Examples:
      mdagent explain AAPL 2024-01-03
      mdagent explain AAPL 2024-01-03 --adjust all --json
    """
    from mdagent.cli.bars import need_store, read_stamp, request_of, unknown

    terminal: Terminal = ctx.obj
    asked = read_stamp(symbol, date, interval, adjust)
    with terminal.agent() as agent:
        need_store(agent.store)
        with agent.store.reading("explain") as reader:
            from mdagent.work.explain import explain as look

            request = request_of(reader, asked)
            found = look(reader, request, agent.clock.now())
            nothing = unknown(reader, request.symbol.ticker)
    found = found._replace(commands=tuple(_in_this_world(c, terminal) for c in found.commands))
    if as_json:
        import json

        terminal.out.write(json.dumps(as_plain(found), indent=1) + "\n")
    else:
        terminal.out.writelines(line + "\n" for line in lines_of(found))
    if terminal.settings.world == "sandbox":
        terminal.say("sandbox: these prices are synthetic")
    if found.served is None:
        why = (
            nothing or f"there is no bar of {request.symbol} at {_stamp(found, found.ts)}: {found.absent[0] if found.absent else 'unknown'}"
        )
        terminal.fail(why, "" if nothing else _next(found), ExitCode.NO_DATA)


def _next(found: Explanation) -> str:
    if any(o.undone_at is None for o in found.file.overrides):
        return "mdagent override --list, and --undo NUMBER"
    return found.commands[0] if found.due else ""


def _in_this_world(command: str, terminal: Terminal) -> str:
    """With the global options that lead to the same store."""
    from shlex import quote

    flags = terminal.flags
    words = ["--sandbox"] if terminal.settings.world == "sandbox" else []
    words += ["--replay", quote(str(flags.replay))] if flags and flags.replay else []
    words += ["--store", quote(str(flags.store))] if flags and flags.store else []
    return " ".join(["mdagent", *words, command.removeprefix("mdagent ")])


def lines_of(found: Explanation) -> Iterator[str]:
    """The screen, line by line."""
    request, file = found.request, found.file
    yield f"{request.symbol} {request.interval} {_stamp(found, found.ts)}, {request.adjustment} prices"
    yield from _outcome(found)
    if found.voices:
        yield "\nwho says what"
        yield from _voices(found)
    for title, lines in (
        ("actions after it", _actions(found)),
        ("findings", [_remark(f) for f in file.findings]),
        ("grade", _grades(file, found.served.source if found.served else "")),
        ("quarantine", [f"{q.source} {q.adjustment}, {_at(q.fetched_at)}: {q.reason} ({q.check}): {q.raw}" for q in file.quarantine]),
        ("revisions", [f"{r.source} {r.adjustment} until {_at(r.replaced_at)} ({r.cause}): {_row(r.cells)}" for r in file.revisions]),
        ("agreement", _agreements(file)),
        ("decisions", _decisions(file)),
        ("the same again", list(found.commands)),
    ):
        if lines:
            yield f"\n{title}"
            yield from (f"  {one_line(line, 400)}" for line in lines)


def _outcome(found: Explanation) -> Iterator[str]:
    served: Served | None = found.served
    if served is None:
        yield "  no bar"
        yield from (f"  because   {one_line(why, 400)}" for why in found.absent)
        return
    from mdagent.quality.letters import letter

    told = f"{letter(served.score)} ({served.score:.1f})" + (", provisional" if served.provisional else "")
    yield f"  served    {_row(served.cells)} {served.currency or ''}  {served.source}  {told}"
    yield f"  because   {one_line(served.why, 400)}"


def _voices(found: Explanation) -> Iterator[str]:
    head = ("source", "basis", *_FIELDS, "score", "how it stands")
    rows: list[Sequence[str]] = [head]
    for voice in found.voices:
        told = voice.told
        standing = voice.standing + (", provisional" if told.provisional else "")
        rows.append((told.source, told.adjustment, *map(_number, told.cells), f"{voice.score:.1f}", standing))
        if voice.brought is not None and voice.brought != told.cells:
            by = f"x {voice.price_factor:.8g}, volume x {voice.volume_factor:.8g}"
            rows.append(("= asked", str(found.request.adjustment), *map(_number, voice.brought), "", by))
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    for row in rows:
        cells = [cell.rjust(w) if 2 <= n <= 7 else cell.ljust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))]
        yield "  " + one_line("  ".join(cells).rstrip(), 400)
    for voice in found.voices:
        yield f"  {voice.told.source} told it {_at(voice.told.fetched_at)} (batch {voice.told.batch}, run {voice.told.run})"


def _actions(found: Explanation) -> list[str]:
    """Splits one by one; payments too where the basis takes them out, else how many there are."""
    whole = found.request.adjustment == "all"
    lines = [
        f"{a.source}: {a.kind} of {a.value:g} {'for 1' if a.kind == 'split' else a.currency or ''} on {a.date}"
        for a in found.file.actions
        if whole or a.kind == "split"
    ]
    for source in () if whole else sorted({a.source for a in found.file.actions}):
        days = [a.date for a in found.file.actions if a.source == source and a.kind != "split"]
        lines += [f"{source}: {len(days)} payments, {days[0]} to {days[-1]}, which --adjust all takes out"] if days else []
    return lines


def _remark(told: Any) -> str:  # noqa: ANN401  a Remark
    was = "" if told.stands else ", not of the last judgement"
    return f"{told.source} {told.adjustment}: {told.severity} {told.type} ({told.check}): {told.message}{was}"


def _grades(file: Dossier, served: str) -> list[str]:
    """The sum behind the grade of the row that is served, and the others in a line each."""
    lines = []
    for told in file.grades:
        sure = f", confidence {told.confidence:.2f}" if told.confidence is not None else ""
        lines.append(f"{told.source} {told.adjustment}: {told.letter} ({told.score:.2f}), {told.mode}{sure}, given {_at(told.graded_at)}")
        if served and told.source != served.partition("~")[0]:
            continue
        lines += [f"  {line}" for line in told.arithmetic]
        lines += [f"  not checked: {told.skipped}"] if told.skipped else []
    return lines


def _agreements(file: Dossier) -> list[str]:
    return [
        f"{a.source} {a.adjustment}: {a.agreement:.0%} of {a.voices} sources near {_number(a.middle)}"
        + (f", apart by {a.spread:.4%}" if a.spread is not None else "")
        + (", outvoted" if a.outvoted else "")
        + f", compared {_at(a.checked_at)}"
        for a in file.agreements
    ]


def _decisions(file: Dossier) -> list[str]:
    lines = []
    for rule in file.overrides:
        whose = "any source" if rule.bar.source == "*" else rule.bar.source
        undone = f"; undone {_at(rule.undone_at)}" if rule.undone_at else ""
        lines.append(f"override {rule.number}: {rule.decision} {whose}, {rule.who}, {_at(rule.decided_at)}: {rule.reason}{undone}")
    for one in file.repairs:
        state = f"undone {_at(one.undone_at)}" if one.undone_at else "in force" if one.holds else "superseded"
        words = f"{one.source} {one.adjustment} {one.type}: {_row(one.old)} -> {_row(one.new)}; {one.evidence}"
        lines.append(f"repair {one.number} ({state}), {one.who}, {_at(one.applied_at)}: {words}")
    return lines


def _row(cells: Sequence[float | None]) -> str:
    return "  ".join(f"{name} {_number(cell)}" for name, cell in zip(_FIELDS, cells, strict=True))


def _number(value: float | None) -> str:
    from mdagent.cli.table import words

    return words(value) or "-"


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}Z"


def _stamp(found: Explanation, ts: datetime) -> str:
    return f"{ts:%Y-%m-%dT%H:%M:%SZ}" if found.request.interval.intraday else f"{ts:%Y-%m-%d}"


def as_plain(found: Explanation) -> dict[str, Any]:
    """For JSON: the same facts by name. Rows are objects, times ISO 8601."""
    from mdagent.cli.talk import SCHEMA_VERSION

    request, served = found.request, found.served
    return {
        "schema_version": SCHEMA_VERSION,
        "symbol": request.symbol.ticker,
        "interval": request.interval.value,
        "ts": _stamp(found, found.ts),
        "adjustment": request.adjustment.value,
        "bar": None if served is None else _plain(served),
        "absent": list(found.absent),
        "told": [_plain(v.told) | {k: w for k, w in _plain(v).items() if k != "told"} for v in found.voices],
        **{name: [_plain(one) for one in group] for name, group in found.file._asdict().items() if name != "told"},
        "commands": list(found.commands),
    }


def _plain(value: Any) -> Any:  # noqa: ANN401  anything of the explanation
    from datetime import date, datetime

    from mdagent.cli.render import plain

    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "_asdict"):
        made: dict[str, Any] = {}
        for name, inner in value._asdict().items():
            flat = name in ("cells", "bar")
            made |= _fields(inner) if flat else {name: _fields(inner) if name in ("brought", "new", "old") and inner else _plain(inner)}
        return made
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return plain(value)


def _fields(value: Any) -> dict[str, Any]:  # noqa: ANN401  the five numbers of a row, or a place for one
    told: dict[str, Any] = _plain(value) if hasattr(value, "_asdict") else dict(zip(_FIELDS, map(_plain, value), strict=True))
    return told
