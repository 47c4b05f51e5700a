"""A backfill under way, whoever asked for it: progress while it lasts, then the summary, the report and the exit code."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mdagent.agent import Errand
from mdagent.cli.exits import ExitCode, of_tally
from mdagent.cli.meter import Meter
from mdagent.cli.render import new_file, refuse_place
from mdagent.errors import UsageError
from mdagent.guard.allowance import Allowance
from mdagent.quality.counted import many
from mdagent.untrusted import one_line
from mdagent.work.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.work.backfill import Chunk

SCHEMA_VERSION = 1
_SHOWN = 20  # failures on the screen; the report has all
_SPAN = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)(s|m|h)?\Z")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def read_span(text: str | None) -> float | None:
    """Seconds of `90`, `90s`, `15m` or `2h`. Raises UsageError."""
    if text is None:
        return None
    found = _SPAN.match(text)
    if not found:
        msg = f"{text[:20]!a} is no time"
        raise UsageError(msg, "write 90s, 15m or 2h")
    return float(found[1]) * _UNITS[found[2] or "s"]


@dataclass(slots=True)
class Course:
    """What is to be done and how it is told. `report` is a file, or "-" for standard output; `resume` says how to go on."""

    terminal: Terminal
    agent: Agent
    allowance: Allowance
    sources: tuple[str, ...] = ("auto",)
    floor: float = 0.0
    progress: str = "auto"
    report: str | None = None
    tag: str = ""
    resume: str = "run the same command again: it goes on where it stopped"
    settles: bool = False  # are late sessions asked for again?
    before: tuple[int, int, float] = (0, 0, 0.0)  # requests, credits and USD of earlier runs, which its bounds hold for, too
    tally: Tally = field(init=False)
    left: int = 0
    ms: float = 0.0

    def __post_init__(self) -> None:
        self.tally = Tally(self.floor)
        if self.report not in (None, "-"):
            refuse_place(self._place, force=True)

    @property
    def _place(self) -> Path:
        return self.terminal.cwd / str(self.report)

    def run(self, groups: Iterable[Sequence[Chunk]], of: int) -> None:
        """To the end, or to a signal: what was done by then is told before the signal's own word."""
        meter, clock = Meter(self.terminal, self.agent, self.progress, of), self.terminal.clock
        self.agent.say, began = meter.say, clock.monotonic()

        def heard(chunk: Chunk, line: Any) -> None:  # noqa: ANN401  a Line
            self.tally.count(line)
            meter.heard(self.tally, chunk.request.symbol.ticker)

        stopped = True
        try:
            self.left = self.agent.backfill(groups, Errand(self.allowance, heard, self.sources, self.tag))
            stopped = False
        finally:
            meter.close()
            self.ms = 1000 * (clock.monotonic() - began)
            if stopped:
                self.left = of - self.tally.chunks
            self._tell(meter, stopped=stopped)

    def _tell(self, meter: Meter, *, stopped: bool) -> None:
        terminal, code = self.terminal, of_tally(self.tally, self.allowance, self.left)
        told = self.as_json(code, stopped=stopped)
        if meter.form == "json":
            meter.end(told)
        elif not meter.quiet:
            for text in self.summary():
                terminal.say(text)
            self._failures()
            if terminal.settings.world == "sandbox":
                terminal.say("sandbox: these prices are synthetic")
        if not stopped:
            terminal.code = int(code)
            if code is not ExitCode.OK and meter.quiet:
                terminal.fail("; ".join(self.summary()), "", code)
            if self.left and meter.form != "json":
                terminal.fail(f"stopped at its time, {self.left} of {self.left + self.tally.chunks} not begun", self.resume, code)
        self._write(told)

    def _failures(self) -> None:
        faults = self.tally.faults
        told = dict.fromkeys(f"failed: {f.symbol} {f.interval}: {f.kind}: {one_line(f.detail, 300)}" for f in faults)  # of many chunks once
        for line in list(told)[:_SHOWN]:
            self.terminal.say(line)
        if len(told) > _SHOWN:
            self.terminal.say(f"and {len(told) - _SHOWN} more{'' if self.report else ' (all are in --report FILE)'}")

    def _write(self, told: dict[str, Any]) -> None:
        text = json.dumps(told, indent=1) + "\n"
        if self.report == "-":
            self.terminal.out.write(text)
        elif self.report is not None:
            with new_file(self._place, force=True) as stream:
                stream.write(text)

    def summary(self) -> list[str]:
        """The run in two lines."""
        tally, used = self.tally, self.allowance
        counts = tally.symbols
        parts = [f"{n} {name}" for name, n in counts.items() if n or name == "done"] + [f"{self.left} not begun"] * (self.left > 0)
        total = sum(counts.values())
        worst = f"worst grade {tally.worst[1]} ({tally.worst[0]:.1f})" if tally.worst else "no grade"
        bars = f"{many(tally.new)} new, {tally.revised} revised" + f", {tally.restated} restated by splits" * (tally.restated > 0)
        spent = used.used_credits - self.before[1], used.used_usd - self.before[2]
        sent = f"{many(used.used_requests - self.before[0], 'request')}, {many(spent[0], 'credit')}, {spent[1]:.4f} USD"
        more = [f"settled: {tally.revised} bars changed (table revisions)"] if self.settles else []
        return [f"{total} symbol{'' if total == 1 else 's'}: {', '.join(parts)}", f"{bars}; {sent}; {worst}; {self.ms / 1000:.1f} s", *more]

    def as_json(self, code: ExitCode, *, stopped: bool = False) -> dict[str, Any]:
        """The report; additive changes only within a `schema_version`."""
        tally, used = self.tally, self.allowance
        return {
            "schema_version": SCHEMA_VERSION,
            "exit_code": int(code),
            "interrupted": stopped,
            "symbols": tally.symbols,
            "chunks": {"done": tally.chunks, "there": tally.there, "not_begun": self.left},
            "bars": {"new": tally.new, "revised": tally.revised, "restated": tally.restated},
            "requests": used.used_requests - self.before[0],
            "credits": used.used_credits - self.before[1],
            "usd": round(used.used_usd - self.before[2], 6),
            "worst_grade": {"letter": tally.worst[1], "score": tally.worst[0]} if tally.worst else None,
            "below_min_grade": tally.below,
            "ms": round(self.ms, 3),
            "failures": [fault._asdict() for fault in tally.faults],
        }
