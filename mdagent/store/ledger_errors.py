"""What the system and SQLite say of the ledger's file, as our errors."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from mdagent.errors import ConfigError, StoreBusy, StoreDamaged, StoreError, StoreFull
from mdagent.store.lock import no_file_left, too_many_files

if TYPE_CHECKING:
    from pathlib import Path


def unwritable(path: Path, error: OSError) -> StoreFull | ConfigError:
    """The error for a ledger that cannot be made or opened."""
    msg = f"the ledger {path} cannot be written: {error.strerror}"
    if error.errno == errno.EROFS and path.exists():  # it was writable once: the place is right, its state is not
        return StoreFull(msg, "reads still work; mount it writable, or set MDAGENT_HOME to a folder you may write")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return too_many_files(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(msg, "free some space, then run the same command again")
    return ConfigError(msg, "set MDAGENT_HOME to a folder you may write")


def translated(path: Path, text: str) -> StoreError | ConfigError:
    """The error for what SQLite says."""
    if "unable to open" in text and no_file_left():
        return too_many_files(path)
    if "locked" in text or "busy" in text:
        return StoreBusy(f"the ledger {path} is in use by another process", "run the same command again")
    if "full" in text or "readonly" in text or "read-only" in text:
        return StoreFull(f"the ledger {path} cannot be written: {text}", "free some space, or set MDAGENT_HOME to a writable folder")
    return StoreDamaged(f"the ledger {path} cannot be read: {text}", "run mdagent doctor; the file was left as it is")
