"""How far a long run is, on stderr: a bar on a terminal, else a line every few seconds, or JSON for programs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mdagent.errors import UsageError
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.work.tally import Tally

FORMS = ("auto", "plain", "json")
_EVERY = {"bar": 0.1, "plain": 3.0, "json": 1.0}  # seconds between two looks


class Meter:
    """Shows a tally as it grows to `of` chunks. Nothing at all under -q."""

    def __init__(self, terminal: Terminal, agent: Agent, form: str, of: int) -> None:
        if form not in FORMS:
            msg = f"{form[:20]!a} is no way to show progress"
            raise UsageError(msg, f"use one of {', '.join(FORMS)}")
        screen = terminal.err.isatty() and terminal.environ.get("TERM") != "dumb"
        self.form = "bar" if form == "auto" and screen else "plain" if form == "auto" else form
        self.quiet = bool(terminal.flags and terminal.flags.quiet)
        self._terminal, self._agent, self._of = terminal, agent, of
        self._bar = None if self.quiet or self.form != "bar" else _bar(terminal, of)
        self._began = self._told = terminal.clock.monotonic()

    def heard(self, tally: Tally, symbol: str) -> None:
        """One chunk more."""
        now = self._terminal.clock.monotonic()
        if self.quiet or (now - self._told < _EVERY[self.form] and tally.chunks < self._of):
            return
        self._told = now
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=tally.chunks, told=self._words(tally))
            self._bar.refresh()
        elif self.form == "json":
            self._json("progress", self._figures(tally, now) | {"symbol": symbol})
        else:
            self._terminal.say(f"{tally.chunks}/{self._of} {self._words(tally)}, {symbol}")

    def say(self, text: str) -> None:
        """A line of talk beside it."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(one_line(text, 2000), markup=False, highlight=False)
        elif self.form == "json":
            self._json("note", {"text": one_line(text, 2000)})
        else:
            self._terminal.say(text)

    def close(self) -> None:
        """Leave the screen as it stands."""
        if self._bar is not None:
            self._bar.stop()

    def end(self, told: dict[str, Any]) -> None:
        """The summary, where programs read."""
        if self.form == "json" and not self.quiet:
            self._json("summary", told)

    def _json(self, event: str, told: dict[str, Any]) -> None:
        self._terminal.err.write(json.dumps({"event": event, **told}) + "\n")
        self._terminal.err.flush()

    def _eta(self, tally: Tally) -> float | None:
        """Seconds to go, if the rest takes as many requests as what was asked for so far."""
        asked, left = tally.chunks - tally.there, self._of - tally.chunks
        if not asked:
            return None
        return self._agent.to_go(left, tally.requests / asked) if left else 0.0

    def _figures(self, tally: Tally, now: float) -> dict[str, Any]:
        eta = self._eta(tally)
        counts = {"done": tally.chunks, "of": self._of, "failed": tally.symbols["failed"]}
        bars = {"bars_new": tally.new, "bars_revised": tally.revised, "requests": tally.requests}
        left = {"quota_left": {name: round(share, 4) for name, share in self._agent.quota_left().items()}}
        return counts | bars | left | {"seconds": round(now - self._began, 3), "eta_seconds": None if eta is None else round(eta, 1)}

    def _words(self, tally: Tally) -> str:
        eta = self._eta(tally)
        quota = ", ".join(f"{name} {share:.0%}" for name, share in self._agent.quota_left().items())
        left = "" if eta is None or tally.chunks >= self._of else f", {timedelta(seconds=round(eta))} to go"
        counts = f"{tally.new:,} bar{'s' * (tally.new != 1)}, {tally.requests:,} request{'s' * (tally.requests != 1)}"
        return f"{counts}{left}" + (f", quota left: {quota}" if quota and left else "")


def _bar(terminal: Terminal, of: int) -> Any:  # noqa: ANN401  a Progress of Rich
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(file=terminal.err, force_terminal=True, no_color=not terminal.wants_color(terminal.err), highlight=False)
    bar = Progress(BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"), console=console, auto_refresh=False)
    bar.add_task("", total=of, told="")
    bar.start()
    return bar
