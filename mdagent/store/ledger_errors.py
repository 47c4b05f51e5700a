"""What the system and SQLite say of the ledger's file, as our errors."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from mdagent.errors import ConfigError, StoreBusy, StoreDamaged, StoreError, StoreFull
from mdagent.store.ledger_file import is_full
from mdagent.store.lock import FAILING, files_left, too_many_files
from mdagent.store.lost import ASIDE, note_damage

if TYPE_CHECKING:
    from pathlib import Path

_DAMAGE = (11, 26)  # SQLITE_CORRUPT and SQLITE_NOTADB


def unwritable(path: Path, error: OSError) -> ConfigError | StoreDamaged | StoreFull:
    """The error for a ledger that cannot be opened or made."""
    msg = f"the ledger {path} cannot be written: {error.strerror}"
    if error.errno == errno.EROFS and path.exists():  # it was writable once: the place is right, its state is not
        return StoreFull(msg, "reads still work; mount it writable, or set MDAGENT_HOME to a folder you may write")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return too_many_files(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(msg, "free some space, then run the same command again")
    if error.errno == errno.EIO:
        return StoreDamaged(msg, FAILING)
    return ConfigError(msg, "set MDAGENT_HOME to a folder you may write")


def translated(path: Path, error: Exception) -> StoreError | ConfigError:
    """SQLite's error as ours; damage is remembered."""
    text, ledger = str(error), path.with_name(path.name.removeprefix(".").partition(".new-")[0])
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
        note_damage(path)
    if "unable to open" in text and not files_left(1):
        return too_many_files(ledger)
    if "locked" in text or "busy" in text:
        return StoreBusy(f"the ledger {ledger} is in use by another process", "run the same command again")
    if "full" in text or "readonly" in text or "read-only" in text or ("I/O" in text and is_full(path)):
        return StoreFull(f"the ledger {ledger} cannot be written: {text}", "free some space, or set MDAGENT_HOME to a writable folder")
    if "I/O" in text:
        return StoreDamaged(f"the ledger {ledger} cannot be read or written: {text}", FAILING)
    return StoreDamaged(f"the ledger {ledger} cannot be read: {text}", f"it was left as it is; {ASIDE}")
