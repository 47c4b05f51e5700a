"""The lock between processes that guards bars.duckdb.

DuckDB lets nobody read while somebody writes, and its own lock vanishes when the writing process opens the file a second
time. So the database is open only inside this lock: an advisory lock on a side file, shared for readers and exclusive for
the writer, behind a turnstile that everyone passes one at a time, so that a stream of readers cannot starve a writer. The
kernel drops both when a process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from mdagent.errors import ConfigError, StoreBusy, StoreDamaged, StoreFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mdagent.clock import Clock

# Seconds between two tries at the turnstile: rare at first, then ever oftener, and who has just been in steps back once, so that
# who came first nearly always goes first. With seven processes on two busy cores a process was overtaken up to 16 times with an
# even 4 ms, at most 5 to 8 times with these.
_FIRST_POLL, _LAST_POLL, _HALVED_IN = 0.03, 0.0003, 0.05
_STEP_BACK, _JUST_NOW = 0.002, 0.05
# Who is patient, as a long run is, looks no oftener than this and stays away a little longer: so a person at the prompt comes first.
_PATIENT_POLL, _PATIENT_STEP = 0.02, 0.03
_NEXT_POLL = 0.001  # past the turnstile there is one who waits
FAILING = "the disk may be failing; what was stored is left as it is, and mdagent doctor looks at it"
_taken: dict[Path, int] = {}  # how many times this process took a store for writing
_given_back: dict[Path, float] = {}  # when this process last gave a store back, on the monotonic clock
_wanted: dict[Path, bool] = {}  # did another wait for a store when this process gave it back after writing?


class _Wait(NamedTuple):
    """Who waits for which store, until when on the monotonic clock, and how long at least between two tries at the turnstile."""

    store: Path
    clock: Clock
    deadline: float
    shortest: float = _LAST_POLL


@contextmanager
def locked(  # noqa: PLR0913  what for, how long, and after whom
    store: Path, clock: Clock, *, write: bool, wait: float, purpose: str, patient: bool = False
) -> Iterator[None]:
    """Hold the lock of `store`. Who is `patient` lets others go first. Raises StoreBusy, naming the holder, when it is not free within
    `wait` seconds."""
    waiting = _Wait(store, clock, clock.monotonic() + wait, _PATIENT_POLL if patient else _LAST_POLL)
    turnstile, main = _open(store, ".turn", write=write), _open(store, ".lock", write=write)
    try:
        if turnstile is not None and main is not None:
            if clock.monotonic() - _given_back.get(store, -_JUST_NOW) < _JUST_NOW:
                clock.pause(_PATIENT_STEP if patient else _STEP_BACK)
            _take(turnstile, fcntl.LOCK_EX, waiting, _FIRST_POLL)
            _take(main, fcntl.LOCK_EX if write else fcntl.LOCK_SH, waiting._replace(shortest=_LAST_POLL), _NEXT_POLL)
            fcntl.flock(turnstile, fcntl.LOCK_UN)
            if write:
                _sign(main, clock, purpose, _times_taken(store) + 1)
                _taken[store] = _taken.get(store, 0) + 1
        yield
    finally:
        if write and turnstile is not None:
            _wanted[store] = _is_held(turnstile)
        for opened in (main, turnstile):
            if opened is not None:
                os.close(opened)
        _given_back[store] = clock.monotonic()


def holder(store: Path) -> str:
    """Who wrote last, as the lock file tells it: `pid 123 (fetch, since 14:03:01)`, or "another process"."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(store.with_name(store.name + ".lock").read_text("utf-8"))
        return f"pid {int(told['pid'])} ({str(told['purpose'])[:40]}, since {str(told['since'])[:19]})"
    return "another process"


def is_wanted(store: Path) -> bool:
    """Did another process, or another thread of this one, wait for the store when it was last given back after writing?"""
    return _wanted.get(store, False)


def taken_by_others(store: Path) -> int:
    """A number that changes whenever another process takes the store for writing."""
    return _times_taken(store) - _taken.get(store, 0)


def _times_taken(store: Path) -> int:
    try:
        told = store.with_name(store.name + ".lock").read_text("utf-8")
        return int(json.loads(told)["taken"]) if told else 0
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError):  # somebody is writing it
        return -1


def _open(store: Path, suffix: str, *, write: bool) -> int | None:
    """The side file, made when absent. None for a reader who can neither make nor open it: on a read-only disk nobody writes."""
    path = store.with_name(store.name + suffix)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if write:
            raise unwritable(path, error) from error
    with suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # enough for a lock
    return None


def unwritable(path: Path, error: OSError) -> ConfigError | StoreDamaged | StoreFull:
    """The error for a file that cannot be made: the disk is full, read-only or failing, or the place is wrong."""
    import errno

    if error.errno == errno.EROFS:
        return StoreFull(f"{path} cannot be written: the file system is read-only", "mount it writable, or use --store FILE elsewhere")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"{path} cannot be written: no space left", "free some space, then run the same command again")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return too_many_files(path)
    if error.errno == errno.EIO:
        return StoreDamaged(f"{path} cannot be written: {error.strerror}", FAILING)
    return ConfigError(f"{path} cannot be written: {error.strerror}", "set MDAGENT_HOME, or --store FILE, to a folder you may write")


def too_many_files(path: Path) -> ConfigError:
    """The error for a file that is sound, and cannot be opened because others are open."""
    return ConfigError(
        f"{path} cannot be opened: too many files are open", "allow more of them (ulimit -n), then run the same command again"
    )


def files_left(number: int) -> bool:
    """May this process open so many files more? Neither DuckDB nor SQLite says that this is why it could not."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(number))
    except OSError:
        return False
    else:
        return True
    finally:
        for one in opened:
            os.close(one)


def _take(fd: int, how: int, waiting: _Wait, poll: float) -> None:
    """Lock, looking again after `poll` seconds, and then oftener. Raises StoreBusy."""
    clock, began = waiting.clock, waiting.clock.monotonic()
    while True:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            now = clock.monotonic()
            if now >= waiting.deadline:
                msg = f"the store {waiting.store} is in use by {holder(waiting.store)}"
                raise StoreBusy(msg, "wait for it to finish, or allow more time with --lock-wait SECONDS") from None
            clock.pause(max(waiting.shortest, poll * 0.5 ** ((now - began) / _HALVED_IN)))
        else:
            return


def _is_held(turnstile: int) -> bool:
    """By one who waits for what is behind it?"""
    try:
        fcntl.flock(turnstile, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _sign(fd: int, clock: Clock, purpose: str, number: int) -> None:
    with suppress(OSError):  # the signature helps a waiting person; the lock holds without it
        text = json.dumps({"pid": os.getpid(), "since": f"{clock.now():%Y-%m-%dT%H:%M:%SZ}", "purpose": purpose, "taken": number})
        os.pwrite(fd, text.encode().ljust(os.fstat(fd).st_size), 0)  # in one piece, for those who read it meanwhile
