"""Where a command runs: its streams, its clock, its settings. One is made for each run and passed as the context's `obj`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdagent.agent import Agent
    from mdagent.clock import Clock
    from mdagent.config import Flags, Loaded, Settings
    from mdagent.guard.backoff import Dice
    from mdagent.wire import Around


_EVERY = 3.0  # seconds between two lines of progress where nobody watches


@dataclass(eq=False, repr=False)
class Terminal:
    """`out` is for data and nothing else, `err` for talk. Settings are read when a command first needs them.
    `around` stands between the providers and whoever asks them."""

    environ: Mapping[str, str]
    cwd: Path
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    given_clock: Clock | None = None
    dice: Dice | None = None
    around: Around | None = None
    flags: Flags | None = None
    lock_wait: float | None = None
    judged_by: Mapping[str, str] = field(default_factory=dict)  # settings of `fetch` that the command line says otherwise
    code: int = 0
    _loaded: Loaded | None = None
    _clock: Clock | None = None
    _told: float = float("-inf")

    @property
    def loaded(self) -> Loaded:
        """The settings in force, with their origins. Raises ConfigError."""
        if self._loaded is None:
            from mdagent.config import Flags, load

            self._loaded = load(self.flags or Flags(), self.environ, self.cwd)
            for note in self._loaded.notes:
                self.say(note)
            told = self._loaded.settings
            if told.verbose or told.log.file or told.log.level in ("debug", "info"):
                self.start_log()
        return self._loaded

    def start_log(self) -> None:
        """Set the log up. A command that reads the store alone logs nothing, and does without it unless it is asked for."""
        from mdagent.cli.logs import start_log

        start_log(self.settings, self.err)

    @property
    def settings(self) -> Settings:
        """The settings in force. Raises ConfigError."""
        return self._overruled(self.loaded.settings)

    def _overruled(self, settings: Settings) -> Settings:
        told: dict[str, Any] = dict(self.judged_by)
        return settings._replace(fetch=settings.fetch._replace(**told)) if told else settings

    @property
    def clock(self) -> Clock:
        """The machine's clock; in the sandbox and in a replay it may start elsewhere."""
        if self.given_clock is not None:
            return self.given_clock
        if self._clock is None:
            from mdagent.clock import SystemClock

            start = self.settings.clock
            self._clock = SystemClock.starting_at(start) if start else SystemClock()
        return self._clock

    def agent(self) -> Agent:
        """A new agent with these settings; it reads them anew when an epoch is published."""
        from mdagent.agent import Agent
        from mdagent.config import Flags, find_places, load

        flags = self.flags or Flags()
        settings = self.settings
        if self.lock_wait is not None:
            settings = settings._replace(lock=settings.lock._replace(read_wait=self.lock_wait, write_wait=self.lock_wait))
        watched = tuple(find_places(flags, self.environ, self.cwd).watched())
        return Agent(
            settings,
            self.clock,
            self.say,
            lambda: self._overruled(load(flags, self.environ, self.cwd).settings),
            watched,
            self.dice,
            self.progress,
            self.start_log,
            self.around,
        )

    def say(self, text: str) -> None:
        """One line of talk on stderr, unless -q."""
        if not (self.flags and self.flags.quiet):
            indent = text[: len(text) - len(text.lstrip(" "))]
            self.err.write(indent + one_line(text, 2000) + "\n")
            self.err.flush()

    def progress(self, done: int, of: int, text: str) -> None:
        """How far a long command is: on a terminal one line that renews itself, else a line every few seconds."""
        if self.flags and self.flags.quiet:
            return
        last = done == of
        if self.err.isatty() and self.environ.get("TERM") != "dumb":
            self.err.write(f"\r\x1b[K{done}/{of} {one_line(text, 100)}" + ("\n" if last else ""))
            self.err.flush()
        elif last or self.clock.monotonic() - self._told >= _EVERY:
            self._told = self.clock.monotonic()
            self.say(f"{done}/{of} {text}")

    def fail(self, message: str, hint: str = "", code: int = 1) -> None:
        """An error: what happened, and the next step. Sets the exit code; -q does not silence it."""
        self.err.write(f"mdagent: {one_line(message, 1000)}\n")
        if hint:
            self.err.write(f"  → {one_line(hint, 500)}\n")
        self.err.flush()
        self.code = int(code)

    def wants_color(self, stream: TextIO) -> bool:
        """As `color` says, into which NO_COLOR, FORCE_COLOR, TERM=dumb and --no-color went; `auto` is by the stream."""
        return self.settings.color == "always" or (self.settings.color == "auto" and stream.isatty())
