"""A prompt in the sandbox: words in, exit code and two streams out. Its time stands still until somebody waits."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING, Any

from mdagent.cli import main
from mdagent.cli.terminal import Terminal
from mdagent.clock import VirtualClock

if TYPE_CHECKING:
    from pathlib import Path

    from mdagent.wire import Around

NOW = datetime(2024, 2, 5, 22, 0, tzinfo=UTC)  # a Monday, an hour after the close in New York
JANUARY = ("--start", "2024-01-02", "--end", "2024-02-01")
HEADER = "symbol,interval,ts,open,high,low,close,volume,source,adjustment,currency,grade,score,provisional"


class Screen(StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """Standard output as CSV."""
        return list(csv.DictReader(StringIO(self.out)))

    @property
    def json(self) -> Any:
        """Standard output as strict JSON."""
        return strict(self.out)


def strict(text: str) -> Any:
    """JSON without NaN or Infinity."""

    def refuse(word: str) -> None:
        msg = f"{word} is no JSON"
        raise ValueError(msg)

    return json.loads(text, parse_constant=refuse)


@dataclass
class Shell:
    """Runs commands one after another in one folder, with one clock."""

    cwd: Path
    environ: dict[str, str] = field(default_factory=dict)
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(NOW))
    screens: tuple[bool, bool] = (False, False)  # are standard output and standard error terminals?
    around: Around | None = None  # what stands between the providers and whoever asks them

    def run(self, *words: str, **environ: str) -> Said:
        """One command; `environ` holds for this one alone."""
        out, err = (Screen() if screen else StringIO() for screen in self.screens)
        around = {"MDAGENT_HOME": str(self.cwd / "home"), "MDAGENT_SANDBOX": "1"} | self.environ | environ
        terminal = Terminal({k: v for k, v in around.items() if v}, self.cwd, out, err, given_clock=self.clock, around=self.around)
        return Said(main(list(words), terminal), out.getvalue(), err.getvalue())

    def good(self, *words: str, **environ: str) -> Said:
        """One command that succeeds."""
        said = self.run(*words, **environ)
        assert said.code == 0, said.err
        return said

    def fetch(self, *words: str) -> tuple[Said, Any]:
        """A fetch, and its report."""
        path = self.cwd / "report.json"
        said = self.run("fetch", *words, "--report", str(path))
        return said, strict(path.read_text("utf-8"))

    @property
    def home(self) -> Path:
        return self.cwd / "home" / "sandbox"

    def files(self) -> set[str]:
        """Every file below the working folder."""
        return {str(p.relative_to(self.cwd)) for p in self.cwd.rglob("*") if p.is_file()}
