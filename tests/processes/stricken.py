"""The program under strace, which kills it at a chosen system call that changes a chosen file, or lets that call fail.

strace counts the calls of each thread apart, so a call is named by its file, its kind, and how many of that kind and file come before
it. A half-built store has the process's number in its name: `-D` keeps the number of the shell that builds the command.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.processes.program import PATIENCE, TOP

if TYPE_CHECKING:
    from tests.processes.program import Program

KINDS = ("write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "link", "unlink")
FAILING = ("write", "pwrite64", "fsync", "fdatasync", "ftruncate")
NEW = ".bars.duckdb.new-$$"
STORE_FILES = (NEW, f"{NEW}.wal", "bars.duckdb", "bars.duckdb.wal", "bars.duckdb.lock")
LEDGER_FILES = tuple(f"{name}{suffix}" for name in (".ledger.db.new-$$", "ledger.db") for suffix in ("", "-journal", "-wal", "-shm"))
NEEDS_STRACE = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


class Blow(NamedTuple):
    """What happens, in strace's words, at the `number`-th call of a kind to a file of the sandbox's; `on`: at all later ones, too."""

    file: str
    kind: str
    number: int
    what: str = "signal=KILL"
    on: bool = False

    @property
    def words(self) -> list[str]:
        """strace's options."""
        return [f"--trace={self.kind}", f"--inject={self.kind}:{self.what}:when={self.number}{'+' * self.on}"]


@dataclass(frozen=True, slots=True)
class Struck:
    """How a run under a blow ended. `hit`: did it come to that call at all?"""

    code: int
    out: str
    err: str
    hit: bool

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def strike(program: Program, blow: Blow, *words: str) -> Struck:
    """Run to the end, or to the blow."""
    log = program.home / "strace.log"
    log.unlink(missing_ok=True)
    place = f"{program.store.parent}/{blow.file}"  # the shell puts its number in
    line = f'p="{place}"; shift 0; exec strace -D -f -qq -o "{log}" -P "$p" "$@"'
    command = ["sh", "-c", line, "sh", *blow.words, sys.executable, "-m", "mdagent", *words]
    environ = {**program.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(TOP)}
    with subprocess.Popen(command, cwd=program.home, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        out, err = running.communicate(timeout=PATIENCE)
    assert "Traceback" not in err, (blow, err)
    told = log.read_text("utf-8", "replace") if log.exists() else ""
    return Struck(running.returncode, out, err, running.returncode == -signal.SIGKILL or "(INJECTED)" in told)
