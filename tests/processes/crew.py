"""A process that runs one command of mdagent again and again, from its words to its exit code, as `python -m tests.processes.crew SECONDS
WORD...`; the machine's home is in the environment.

In the words {} is the number of the turn, {:03} with three digits. One line for each turn: its exit code, its milliseconds, those of
them in which it had a processor, and how many lines came on stdout; to start Python is not counted. A turn that fails also says why.
"""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mdagent.cli import main
from mdagent.cli.terminal import Terminal
from mdagent.clock import SystemClock
from tests.processes.program import PATIENCE, TOP

if TYPE_CHECKING:
    from tests.processes.program import Program


class Turn(NamedTuple):
    """One run of a command. In `cpu` of its milliseconds it had a processor; in the rest it waited, for others or for one."""

    code: int
    ms: float
    cpu: float
    lines: int
    why: str = ""


def start(program: Program, seconds: float, *words: str) -> subprocess.Popen[str]:
    """A process of the crew at that machine."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.processes.crew", str(seconds), *words],
        cwd=TOP,
        env=program.environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def turns_of(process: subprocess.Popen[str]) -> list[Turn]:
    """What it did; the first turn loads what the others find loaded, and is left out."""
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    made = []
    for line in out.splitlines():
        code, ms, cpu, lines, *why = line.split(" ", 4)
        made.append(Turn(int(code), float(ms), float(cpu), int(lines), *why))
    return made[1:]


def cpu() -> float:
    """Milliseconds that this process had a processor."""
    spent = os.times()
    return 1000 * (spent.user + spent.system)


def run(words: list[str]) -> Turn:
    """One turn."""
    out, err, clock = StringIO(), StringIO(), SystemClock()
    began, busy = clock.monotonic(), cpu()
    code = main(words, Terminal(os.environ, Path.cwd(), out, err))
    ms = 1000 * (clock.monotonic() - began)
    return Turn(code, ms, cpu() - busy, out.getvalue().count("\n"), err.getvalue().replace("\n", " | ") if code else "")


if __name__ == "__main__":
    end, number = SystemClock().monotonic() + float(sys.argv[1]), 0
    while SystemClock().monotonic() < end:
        number += 1
        turn = run([word.format(number) for word in sys.argv[2:]])
        sys.stdout.write(f"{turn.code} {turn.ms:.1f} {turn.cpu:.1f} {turn.lines} {turn.why}".rstrip() + "\n")
        sys.stdout.flush()
