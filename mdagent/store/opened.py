"""A store's file, opened again and again in one process by one DuckDB.

Most of what it takes to open a file is DuckDB's own beginning (7 of 10 ms, measured), which needs to be done but once: afterwards the file
is attached while it is asked and detached at the end, so that it is open, and locked by DuckDB, no longer than before.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from mdagent.store.literal import literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Config = dict[str, str | bool | int | float | list[str]]
_NAME = "store"  # of the file's database, beside that of DuckDB itself, which is empty
_BESIDE = (".wal", ".wal.checkpoint", ".wal.recovery")  # what DuckDB writes beside the file
_LAST: Config = {"enable_external_access": "false", "lock_configuration": "true"}


class _Which(NamedTuple):
    process: int  # what another had open when it was forked is not this one's
    path: str
    read_only: bool


@dataclass(eq=False)
class _Begun:
    """A DuckDB that was begun, and how many have the file open by it. Where anything went wrong it is not used again."""

    root: duckdb.DuckDBPyConnection
    users: int = 0
    spoilt: bool = False


_begun: dict[_Which, _Begun] = {}
_turn = threading.Lock()


@contextmanager
def opened(path: Path, config: Config, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the file, which reaches no other. The `config` counts when a process opens that file so for the first time. Raises
    duckdb.Error."""
    which = _Which(os.getpid(), str(path.resolve()), read_only)
    begun = _enter(which, config)
    try:
        db = begun.root.cursor()
        try:
            db.execute(f"USE {_NAME}")
            yield db
        finally:
            db.close()
    except BaseException:
        begun.spoilt = True
        raise
    finally:
        _leave(which, begun)


def _enter(which: _Which, config: Config) -> _Begun:
    with _turn:
        begun = _begun.get(which)
        if begun is None:
            _let_go(which)
            begun = _begun[which] = _begin(which, config)
        if not begun.users:
            try:
                begun.root.execute(f"ATTACH {literal(which.path)} AS {_NAME} ({'READ_ONLY' if which.read_only else 'READ_WRITE'})")
            except BaseException:
                _end(which, begun)
                raise
        begun.users += 1
        return begun


def _leave(which: _Which, begun: _Begun) -> None:
    with _turn:
        begun.users -= 1
        if begun.users:
            return
        if not begun.spoilt:
            with suppress(duckdb.Error):  # what was committed is in the file or its log, as when a file cannot be closed in order
                begun.root.execute(f"DETACH {_NAME}")
                return
        _end(which, begun)


def _let_go(but: _Which | None = None) -> None:
    """Of other files, which are not asked any more: a process has one store, as a rule."""
    for other, begun in list(_begun.items()):
        if not begun.users and (but is None or other.path != but.path):
            _end(other, begun)


def _end(which: _Which, begun: _Begun) -> None:
    _begun.pop(which, None)
    begun.root.close()


def _begin(which: _Which, config: Config) -> _Begun:
    root = duckdb.connect(":memory:", config={**config, "temp_directory": which.path + ".tmp"})
    files = ", ".join(literal(which.path + suffix) for suffix in ("", *_BESIDE))
    root.execute(f"SET allowed_paths = [{files}]")  # a list of exceptions has to be there before the door is shut
    root.execute(f"SET allowed_directories = [{literal(which.path + '.tmp')}]")
    for name, value in _LAST.items():
        root.execute(f"SET {name} = {value}")
    return _Begun(root)


def _before_fork() -> None:
    """A forked process has none of DuckDB's threads, and would wait for them at its end."""
    _turn.acquire()
    _let_go()


os.register_at_fork(before=_before_fork, after_in_parent=_turn.release, after_in_child=_turn.release)
