"""Every expected error of mdagent, under one root.

    MdagentError                 exit code (see cli/exits.py)
    ├── UsageError               2    a word on the command line, or an argument of the API, is wrong
    ├── NoBars                  12    there is nothing to judge or to show: an empty file, a store without these bars
    ├── ConfigError              3    a setting, its file or its environment variable is wrong
    │   └── WrongWorld           3    live, sandbox and replayed bars may not share a store
    ├── StoreError
    │   ├── StoreBusy            8    another process holds the store past the deadline
    │   ├── StoreDamaged         9    the store cannot be opened or read
    │   └── StoreFull           10    the disk is full or read-only
    └── ConversationFailed      (by its failure)   raised inside a source, see guard/outcome.py

A message names the thing, the value and what is wrong; `hint` is the next step. Neither may hold a secret.
"""

from __future__ import annotations


class MdagentError(Exception):
    """Root of all expected errors. `hint` is one imperative sentence, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MdagentError):
    """An argument is wrong; nothing was sent and nothing was spent."""


class NoBars(MdagentError):
    """What was named holds no bars."""


class ConfigError(MdagentError):
    """A setting is wrong; the message names the file or variable, the path and the value."""


class WrongWorld(ConfigError):
    """The store holds bars of another world (live, sandbox or replay)."""


class StoreError(MdagentError):
    """The bar store or the ledger could not do what was asked."""


class StoreBusy(StoreError):
    """The store's lock was not free within the wait; the message names its holder."""


class StoreDamaged(StoreError):
    """The store's file cannot be trusted; it was left as it is."""


class StoreFull(StoreError):
    """The disk is full, or the file system is read-only; the transaction was rolled back."""
