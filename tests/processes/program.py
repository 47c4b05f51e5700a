"""The real program, and the drill's own processes, as a shell would start them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TOP = Path(__file__).resolve().parents[2]
CLOCK = "2024-06-03T12:00:00Z"
PATIENCE = 120.0  # seconds for what takes one or two on an idle machine


def clean_environ() -> dict[str, str]:
    """This process's environment without what would set mdagent up."""
    return {k: v for k, v in os.environ.items() if not k.startswith("MDAGENT_") and k not in ("NO_COLOR", "FORCE_COLOR")}


@dataclass(frozen=True, slots=True)
class Program:
    """mdagent in a home of its own, in the sandbox's market of a fixed day unless told otherwise."""

    home: Path
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return {**clean_environ(), "MDAGENT_HOME": str(self.home), "MDAGENT_SANDBOX": "1", "MDAGENT_CLOCK": CLOCK, **self.more}

    @property
    def store(self) -> Path:
        """Where the sandbox keeps its bars."""
        return self.home / "sandbox" / "bars.duckdb"

    def start(self, *words: str, stdout: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "mdagent", *words], cwd=self.home, env=self.environ, text=True, stdout=stdout, stderr=subprocess.PIPE
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """To its end. A traceback is never what a user should see."""
        with self.start(*words) as running:
            out, err = running.communicate(timeout=PATIENCE)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(words, running.returncode, out, err)


def start_keeper(*words: str) -> subprocess.Popen[str]:
    """One process of the drill; its errors come on stderr."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.processes.keeper", *words],
        cwd=TOP,
        env=clean_environ(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def lines_of(process: subprocess.Popen[str]) -> list[str]:
    """What a process of the drill said, once it has ended well."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert err == ""
    return out.splitlines()
