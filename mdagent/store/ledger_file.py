"""The ledger's file: how it comes into its place, and whether it is whole."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mdagent.errors import StoreDamaged
from mdagent.store.lost import ASIDE, mark_of, note_damage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ROOM = 64 * 1024  # more than is ever written at once beside it


def check_file(path: Path) -> None:
    """Can it be written, and does it hold anything? Raises OSError, StoreDamaged."""
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):  # to close a file is to lose every lock that this process has on it
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))  # which is to fail, and to say why
    told = path.stat()
    if told.st_nlink > 1:  # killed before the name under which it was built was gone
        _clear_away(path)
    if told.st_size == 0:  # SQLite would take it for a new one
        note_damage(path)
        msg = f"the ledger {path} is empty (0 bytes)"
        raise StoreDamaged(msg, f"it was left as it is; {ASIDE}")


def checked(path: Path, told: str) -> str:
    """What SQLite told of the file: "ok", or what is wrong, which is remembered."""
    if told != "ok":
        note_damage(path)
    return told


@contextmanager
def half_built(path: Path) -> Iterator[Path]:
    """Another name for a ledger to be built under. At the end it is given its own, unless another process was faster: so one that is there
    but empty was cut short."""
    new = path.with_name(f".{path.name}.new-{os.getpid()}")
    _clear_away(path)
    try:
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        yield new
        if new.with_name(f"{new.name}-wal").exists():  # SQLite says nothing when, at its end, it cannot bring its log into the file
            number = errno.ENOSPC if is_full(path) else errno.EIO
            raise OSError(number, os.strerror(number))
        _publish(new, path)
        mark_of(path).unlink(missing_ok=True)
    finally:
        for leftover in path.parent.glob(f"{new.name}*"):
            leftover.unlink(missing_ok=True)


def _publish(new: Path, path: Path) -> None:
    try:
        os.link(new, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        if path.exists():
            return
        new.rename(path)


def _clear_away(path: Path) -> None:
    """Remove what killed processes left half-built."""
    for leftover in path.parent.glob(f".{path.name}.new-*"):
        number = leftover.name.rpartition("new-")[2].partition("-")[0]
        if number.isdecimal() and not _alive(int(number)):
            leftover.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def is_full(path: Path) -> bool:
    """Has the disk no room left? SQLite calls it an I/O error when that is for what its processes share."""
    with suppress(OSError):
        return shutil.disk_usage(path.parent).free < _ROOM
    return False
