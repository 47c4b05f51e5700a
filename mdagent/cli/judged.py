"""What the checks say of a series -> JSON, CSV lines, or a page for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from mdagent.cli.render import plain, write_rows
from mdagent.errors import UsageError
from mdagent.market import Symbol
from mdagent.quality.letters import band
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mdagent.cli.terminal import Terminal
    from mdagent.quality.finding import Finding
    from mdagent.work.validate import Judged

SCHEMA_VERSION = 1
COLUMNS = (
    "symbol", "interval", "source", "grade", "score", "check", "type", "severity", "start", "end", "count", "value", "expected", "message",
)  # fmt: skip
_SHOWN = 3  # runs of bars that a page names


def sentence(judged: Judged) -> str:
    """A series in one line."""
    bars, graded, verdict = judged.bars, judged.grade, judged.verdict
    of = "" if verdict.expected is None else f" of {verdict.expected} expected"
    parts = [
        f"{judged.name or 'unknown symbol'} {bars.interval}, {bars.source}, {bars.adjustment}: grade {graded.letter} ({graded.score:.1f})",
        f"{verdict.bars} bars{of}",
        f"mode {verdict.mode}",
    ]
    parts += [f"{len(verdict.quarantine)} of them cannot be right"] * bool(verdict.quarantine)
    return ", ".join(parts)


def steps(judged: Judged) -> list[tuple[str, str, float]]:
    """What to do, with the command and what it would gain. A file is not what the store has: the commands ask a source for its bars, or,
    for a symbol that cannot be typed, there is none."""
    try:
        Symbol.parse(str(judged.bars.symbol))
    except UsageError:
        return [(a.what, "", a.gain) for a in judged.grade.actions]
    if not judged.place:
        return [(a.what, a.command, a.gain) for a in judged.grade.actions]
    start, end = (f"{t:%Y-%m-%d}" for t in (judged.verdict.start, judged.verdict.end))
    fetch = f"mdagent fetch {judged.bars.symbol} --interval {judged.bars.interval} --start {start} --end {end} --cross-check 1"
    gains = [a.gain for a in judged.grade.actions]
    return [("ask sources for these bars", fetch, round(sum(gains), 1))] if gains else []


def as_json(judged: Judged) -> str:
    """One line of JSON; additive changes only within a `schema_version`."""
    bars, graded, verdict = judged.bars, judged.grade, judged.verdict
    told = {
        "schema_version": SCHEMA_VERSION,
        "symbol": judged.name,
        "interval": bars.interval.value,
        "source": bars.source,
        "bars": verdict.bars,
        "expected": verdict.expected,
        "mode": verdict.mode,
        "grade": _grade(judged),
        "findings": [run | {"total": finding.count} for finding in verdict.findings for run in _runs(finding, judged)],
        "checks": {"ran": list(verdict.ran), "skipped": [{"check": s.check, "reason": s.reason} for s in verdict.skipped]},
        "file": judged.place or None,
        "start": _stamp(verdict.start, judged),
        "end": _stamp(verdict.end, judged),
        "adjustment": bars.adjustment.value,
        "currency": bars.currency,
        "confidence": plain(graded.confidence),
        "confirmed_by": list(verdict.confirmed_by),
        "quarantined": len(verdict.quarantine),
        "refused": verdict.refused,
        "absences": [{"ts": _stamp(a.ts, judged), "reason": a.reason} for a in verdict.absences],
        "notes": list(judged.notes),
    }
    return json.dumps(told, allow_nan=False)


def _grade(judged: Judged) -> dict[str, Any]:
    graded = judged.grade
    return {
        "letter": graded.letter,
        "band": band(graded.score),
        "score": plain(graded.score),
        "dimensions": {name: {"weight": weight, "score": plain(round(score, 4))} for name, weight, score in graded.parts},
        "penalties": [
            {"check": p.check, "dimension": p.dimension, "severity": p.severity.value, "points": plain(p.points), "reason": p.reason}
            for p in graded.penalties
        ],
        "actions": [{"what": what, "command": command, "gain": plain(gain)} for what, command, gain in steps(judged)],
        "bounds": [{"ceiling": plain(b.ceiling), "reason": b.reason} for b in graded.bounds],
        "of_prices": plain(graded.of_prices),
        "of_volume": plain(graded.of_volume),
    }


def _runs(finding: Finding, judged: Judged) -> Iterator[dict[str, Any]]:
    """An entry for each run of bars. Its `count` is the bars in it, of a hole those that are lacking."""
    counts = [finding.count] if len(finding.runs) == 1 else _counts(finding, judged)
    for (start, end), count in zip(finding.runs, counts, strict=True):
        yield {
            "check": finding.check,
            "type": finding.type,
            "severity": finding.severity.value,
            "start": _stamp(start, judged),
            "end": _stamp(end, judged),
            "count": count,
            "value": plain(_bare(finding.value)),
            "expected": plain(_bare(finding.expected)),
            "message": finding.message,
        }


def _bare(value: object) -> object:
    """A measured number without the type that numpy gives it."""
    return value.item() if isinstance(value, np.generic) else value


def _counts(finding: Finding, judged: Judged) -> list[int]:
    lacking = finding.check in ("gaps", "staleness")
    stamps = np.array([a.ts.replace(tzinfo=None) for a in judged.verdict.absences], dtype="datetime64[us]") if lacking else judged.bars.ts
    edges = [[np.datetime64(t.replace(tzinfo=None), "us") for t in run if t is not None] for run in finding.runs]
    first = np.searchsorted(stamps, [edge[0] for edge in edges], "left")
    after = np.searchsorted(stamps, [edge[-1] for edge in edges], "right")
    return [max(n, 1) for n in (after - first).tolist()]


def _stamp(ts: datetime | None, judged: Judged) -> str | None:
    """A session date, or an instant."""
    if ts is None:
        return None
    return f"{ts:%Y-%m-%dT%H:%M:%SZ}" if judged.bars.interval.intraday else f"{ts:%Y-%m-%d}"


def as_rows(judged: Judged) -> Iterator[tuple[Any, ...]]:
    """A row in the order of COLUMNS for each run of bars that a finding is about."""
    head = (judged.name, judged.bars.interval.value, judged.bars.source, judged.grade.letter, judged.grade.score)
    for finding in judged.verdict.findings:
        yield from ((*head, *run.values()) for run in _runs(finding, judged))


def print_page(judged: Judged, terminal: Terminal) -> None:
    """The grade, what was found, what was not looked at, and what to do."""
    out, graded, verdict = terminal.out, judged.grade, judged.verdict
    out.write(one_line(f"{sentence(judged)}, confidence {graded.confidence:.2f}") + "\n")
    dimensions = [(name, weight, score) for name, weight, score in graded.parts]
    write_rows("table", ("dimension", "weight", "score"), dimensions, out, terminal)
    if verdict.findings:
        rows = [(f.severity.value, f.type, f.count, _where(f, judged), f.message) for f in verdict.findings]
        write_rows("table", ("severity", "type", "bars", "where", "what"), rows, out, terminal)
    else:
        out.write("nothing was found\n")
    for bound in graded.bounds:
        out.write(one_line(f"at most {bound.ceiling:g}: {bound.reason}") + "\n")
    for skipped in verdict.skipped:
        out.write(one_line(f"not checked: {skipped.check}: {skipped.reason}") + "\n")
    for note in judged.notes:
        out.write(one_line(note) + "\n")
    for what, command, gain in steps(judged):
        out.write(one_line(f"to do (+{gain:.1f}): {what}") + "\n" + f"  {one_line(command)}\n" * bool(command))
    out.write("\n")


def _where(finding: Finding, judged: Judged) -> str:
    """The first runs of bars, and how many more there are."""
    runs = [(start, end) for start, end in finding.runs if start is not None]
    told = [str(_stamp(a, judged)) if b in (a, None) else f"{_stamp(a, judged)} to {_stamp(b, judged)}" for a, b in runs[:_SHOWN]]
    return ", ".join(told) + (f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else "")
