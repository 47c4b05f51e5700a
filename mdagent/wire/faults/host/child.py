"""A real mdagent, under the limits of the host's faults, or killed in the midst of its work."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from mdagent.wire.faults.kinds import completed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdagent.clock import Clock
    from mdagent.wire.faults.kinds import Fault

_CONFINE: Final = str(Path(__file__).with_name("confine.py"))
_OWN_MOUNTS: Final = ("unshare", "--user", "--map-root-user", "--mount")


@dataclass(frozen=True, slots=True)
class Child:
    """How to start mdagent in `home` with that environment (complete: nothing is inherited). Of `faults` those count that limit a process:
    `few_files`, `disk_full`."""

    home: Path
    environ: Mapping[str, str]
    faults: Sequence[Fault] = field(default=())

    def command(self, *words: str) -> list[str]:
        """What is executed. A small disk needs Linux and namespaces of users."""
        limits: dict[str, Any] = {}
        for fault in map(completed, self.faults):
            if fault.kind == "few_files":
                limits["files"] = int(fault.settings["files"])
            elif fault.kind == "disk_full":
                limits |= {"home": str(self.home), "room": fault.settings["room"]}
        mdagent = [sys.executable, "-m", "mdagent", *words]
        if not limits:
            return mdagent
        confined = [sys.executable, "-P", _CONFINE, json.dumps(limits), *mdagent]
        return [*_OWN_MOUNTS, *confined] if "home" in limits else confined

    def start(self, *words: str, stdout: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Begin. Its streams are pipes, unless `stdout` says otherwise. It leads a group of its own, which a Ctrl-C does not reach."""
        return subprocess.Popen(  # noqa: S603  our own program
            self.command(*words),
            cwd=self.home,
            env=dict(self.environ),
            text=True,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def killed(self, *words: str, after: float, clock: Clock) -> int:
        """Start, and kill it with SIGKILL after so many seconds. The exit code: -9, or its own where it was done before."""
        with self.start(*words, stdout=subprocess.DEVNULL) as running:
            clock.pause(after)
            running.send_signal(signal.SIGKILL)
            running.communicate()
        return running.returncode
