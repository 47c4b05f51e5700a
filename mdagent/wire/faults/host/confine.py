"""Runs a command under limits; run as a script: `confine.py JSON COMMAND ...`, where JSON may have `files`, and `home` with `room`.

`files` is how many may be open. `room` MiB are what is left of the disk on which `home` lies: a file system in memory stands in its
place for the command, inside a mount namespace that the caller has made, and what it holds at the end is put back.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

_MIB = 1024 * 1024
_SLACK = 64 * 1024  # of a page for each file and folder, more or less


def main(limits: dict[str, int | str], command: list[str]) -> int:
    """The command's exit code; on a small disk only, else it takes this process's place."""
    if "files" in limits:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(limits["files"]),) * 2)
    if "home" not in limits:
        os.execvp(command[0], command)  # noqa: S606  the command is the caller's
    return _on_a_small_disk(Path(str(limits["home"])), int(float(limits["room"]) * _MIB), command)


def _on_a_small_disk(home: Path, room: int, command: list[str]) -> int:
    used = sum(-(-f.stat().st_size // 4096) * 4096 for f in home.rglob("*") if f.is_file()) + _SLACK
    disk = mkdtemp(prefix="mdagent-small-disk-", dir=home.parent)
    _mounting("mount", "-t", "tmpfs", "-o", f"size={used + room},mode=0700", "tmpfs", disk)
    shutil.copytree(home, disk, dirs_exist_ok=True)
    _mounting("mount", "--bind", disk, str(home))
    try:
        return subprocess.call(command)  # noqa: S603  the command is the caller's
    finally:
        _mounting("umount", "--lazy", str(home))
        shutil.copytree(disk, home, dirs_exist_ok=True)
        _mounting("umount", "--lazy", disk)
        Path(disk).rmdir()


def _mounting(*words: str) -> None:
    subprocess.run(words, check=True)  # noqa: S603  within a namespace of our own


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
