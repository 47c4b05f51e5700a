"""The report of how it went: a table for people on stderr, JSON for programs in a file."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from mdagent.cli.exits import ExitCode, of_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdagent.cli.terminal import Terminal
    from mdagent.guard.outcome import Failure
    from mdagent.work.report import Line, Report

SCHEMA_VERSION = 1
_COLUMNS = ("symbol", "source", "requests", "bars", "grade", "score", "missing", "quarantined", "provisional", "notes")
_WHEN_DRY = ("symbol", "source", "requests", "credits", "usd", "seconds", "bars", "notes")
_SELDOM = ("missing", "quarantined", "provisional", "notes")  # columns that stay away when they have nothing to say


def tell(report: Report, terminal: Terminal, *, dry: bool = False, floor: float = 0.0) -> None:
    """The report on stderr: a line for one symbol, a table for several on a terminal; failures always, with their next step. Of a
    `dry` run the requests are those that would be sent. Under -q only what makes the exit code other than 0; `floor` is the lowest
    score that is good enough."""
    quiet = bool(terminal.flags and terminal.flags.quiet)
    if not quiet:
        if terminal.err.isatty() and len(report.lines) > 1:
            _table(report, terminal, _WHEN_DRY if dry else _COLUMNS)
        else:
            for line in report.lines:
                terminal.say(_intent(line) if dry else sentence(line))
        terminal.say(totals(report) if dry else f"{_count(report.requests, 'request')} sent, {report.ms:.0f} ms")
        if terminal.settings.world != "live":
            terminal.say(
                {"sandbox": "sandbox: these prices are synthetic", "replay": "replay: these prices are recordings"}[terminal.settings.world]
            )
    tell_failures(report, terminal, floor)


def tell_failures(report: Report, terminal: Terminal, floor: float = 0.0) -> None:
    """What makes the exit code other than 0, each with its next step."""
    quiet = bool(terminal.flags and terminal.flags.quiet)
    for line in report.lines:
        if line.failure:
            terminal.fail(f"{line.request.symbol}: {line.failure.detail}", _next_step(line, line.failure), terminal.code)
        elif quiet and of_line(line, floor) is not ExitCode.OK:  # cron is told why the exit code is not 0
            terminal.fail(sentence(line), "", terminal.code)


def totals(report: Report) -> str:
    """A plan in one line."""
    steps, lost = report.planned, sum(line.failure is not None for line in report.lines)
    parts = [f"{_count(report.requests, 'request')} would be sent; nothing was"]
    if report.requests:
        told = _sums(report)
        seconds = told["seconds"]
        when = f"the last could go after {timedelta(seconds=ceil(seconds))}" if seconds else "all could go at once"
        late = sum(step.late for step in steps)
        when += f" (a fetch does not wait so long for {_count(late, 'symbol')})" * (late > 0)
        parts.append(f"{_count(told['credits'], 'credit')}, {told['usd']:.4f} USD, {when}")
    if lost:
        parts.append(f"{lost} of {_count(len(report.lines), 'symbol')} would not be served")
    return "; ".join(parts)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _next_step(line: Line, failure: Failure) -> str:
    if line.source:
        return failure.consequence.next_step
    return "set a key that is named there" if failure.kind == "AUTH" else "ask for what a source has (mdagent sources list)"


def _intent(line: Line) -> str:
    """One symbol of a dry run in one line."""
    asked = [f"{_count(step.requests, 'request')} to {step.source}" for step in line.planned if step.requests]
    parts = [f"{line.request.symbol} {line.request.interval}: {line.bars} bars in the store", ", ".join(asked) or "no request"]
    cost, usd = sum(step.credits for step in line.planned), sum(step.usd for step in line.planned)
    parts += [_count(cost, "credit")] * (cost != line.requests) + [f"{usd:.4f} USD"] * (usd > 0)
    waits = max((step.seconds for step in line.planned), default=0.0)
    parts += [f"after {timedelta(seconds=ceil(waits))}"] * (waits > 0)
    return ", ".join((*parts, *dict.fromkeys(step.note for step in line.planned if step.note and step.requests)))


def sentence(line: Line) -> str:
    """One symbol in one line."""
    of = f"{line.request.symbol} {line.request.interval}"
    if line.failure and not line.bars:
        return f"{of}: nothing ({line.failure.kind})"
    parts = [
        f"{of}: {line.bars} bars from {line.source}",
        f"grade {line.letter} ({line.score:.1f})" if line.score is not None else "not graded",
    ]
    parts += [f"{n} missing: {reason}" for reason, n in line.absent]
    if line.quarantined:
        parts.append(f"{line.quarantined} row{'s' if line.quarantined > 1 else ''} in quarantine")
    if line.provisional:
        parts.append(f"{line.provisional} provisional")
    parts.append("from the store" if not line.requests else f"{line.requests} request{'s' if line.requests > 1 else ''}")
    return ", ".join([*parts, *line.notes])


def _table(report: Report, terminal: Terminal, columns: Sequence[str]) -> None:
    from mdagent.cli.table import print_table

    rows = [[_cells(line)[name] for name in columns] for line in report.lines]
    said = [i for i, name in enumerate(columns) if name not in _SELDOM or any(row[i] for row in rows)]
    print_table([columns[i] for i in said], [[row[i] for i in said] for row in rows], terminal.err, terminal)


def _cells(line: Line) -> dict[str, object]:
    notes = line.notes or tuple(dict.fromkeys(step.note for step in line.planned if step.note))
    return {
        "symbol": line.request.symbol.ticker,
        "source": line.source,
        "requests": line.requests,
        "credits": sum(step.credits for step in line.planned),
        "usd": sum(step.usd for step in line.planned),
        "seconds": max((step.seconds for step in line.planned), default=0.0),
        "bars": line.bars,
        "grade": line.letter,
        "score": line.score,
        "missing": sum(n for _, n in line.absent),
        "quarantined": line.quarantined,
        "provisional": line.provisional,
        "notes": "; ".join((*([str(line.failure.kind)] if line.failure else []), *notes)),
    }


def explain(report: Report) -> Iterator[str]:
    """Why each source was chosen or left out, what the checks found, and the sum behind the grade."""
    for line in report.lines:
        asked = line.request
        yield f"{asked.symbol} {asked.interval} {asked.adjustment} [{asked.start:%Y-%m-%d %H:%M}, {asked.end:%Y-%m-%d %H:%M})"
        for told in line.considered:
            yield f"  source {told.source}: {'chosen' if told.chosen else 'left out'}: {'; '.join(told.reasons)}"
            yield from (f"    {sum_}" for sum_ in told.arithmetic)
        for finding in line.findings:
            yield f"  finding {finding}"
        for reason, n in line.absent:
            yield f"  missing {n}: {reason}"
        if line.skipped:
            yield f"  checks that did not run: {line.skipped}"
        for sum_ in line.arithmetic:
            yield f"  grade {sum_}"


def as_json(report: Report, code: int, *, dry: bool = False) -> dict[str, Any]:
    """The report as JSON values; additive changes only within a `schema_version`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run": report.run,
        "exit_code": code,
        "dry_run": dry,
        "requests": report.requests,
        **(_sums(report) if dry else {}),
        "ms": round(report.ms, 3),
        "symbols": [_line(line) | (_planned(line) if dry else {}) for line in report.lines],
    }


def _sums(report: Report) -> dict[str, Any]:
    steps = report.planned
    seconds = max((step.seconds for step in steps), default=0.0)
    return {"credits": sum(step.credits for step in steps), "usd": round(sum(step.usd for step in steps), 6), "seconds": seconds}


def _planned(line: Line) -> dict[str, Any]:
    """What a dry run tells besides."""
    return {"plan": [step._asdict() | {"start": step.start.isoformat(), "end": step.end.isoformat()} for step in line.planned]}


def _line(line: Line) -> dict[str, Any]:
    failure = line.failure
    return {
        "symbol": line.request.symbol.ticker,
        "interval": line.request.interval.value,
        "adjustment": str(line.request.adjustment),
        "start": line.request.start.isoformat(),
        "end": line.request.end.isoformat(),
        "source": line.source,
        "requests": line.requests,
        "bars": line.bars,
        "provisional": line.provisional,
        "quarantined": line.quarantined,
        "gaps": [{"reason": reason, "count": n} for reason, n in line.absent],
        "grade": line.letter,
        "score": line.score,
        "findings": list(line.findings),
        "checks_skipped": line.skipped,
        "arithmetic": list(line.arithmetic),
        "considered": [
            {"source": c.source, "chosen": c.chosen, "reasons": list(c.reasons), "arithmetic": list(c.arithmetic)} for c in line.considered
        ],
        "failure": {"kind": failure.kind.value, "detail": failure.detail, "next_step": failure.consequence.next_step} if failure else None,
        "cut": line.cut,
        "notes": list(line.notes),
    }
