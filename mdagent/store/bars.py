"""The bar store: bars.duckdb, opened late, inside our own lock, and closed early.

Only this file opens it (by opened.py), and compact.py, to read it while `rewriting` holds the lock. A reader or a writer is a
connection that lives as long as the lock is held; nothing slow (network, prompt, pager) may happen meanwhile. `reading`, `writing`
and `rewriting` are where DuckDB's errors become ours.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from mdagent.errors import ConfigError, StoreBusy, StoreDamaged, StoreError, StoreFull, WrongWorld
from mdagent.store.literal import literal
from mdagent.store.lock import FAILING, files_left, locked, too_many_files, unwritable
from mdagent.store.opened import Config, opened
from mdagent.store.read import Reader
from mdagent.store.schema import VERSION, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdagent.clock import Clock
    from mdagent.store.write import Writer

_READING: Config = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
# A commit goes straight into the file, not into the log first and into the file when that is closed; and by one thread, since what is
# written at once is too little for several: 25 symbols of ten years take three quarters of the wall time so, and 63 % of the processor's.
_WRITING = _READING | {"checkpoint_threshold": "1KB", "threads": 1}
_BOUNDED = _READING | {"memory_limit": "350MB"}  # a copy of the whole store on a small machine; of 300 MB it takes 40 % longer
_SEALED = _READING | {"enable_external_access": "false", "lock_configuration": "true"}
_blank: dict[str, bytes] = {}  # an empty store of each world, once this process has made one
_FILES = 4  # that DuckDB opens; where it gets the store and not its log, it aborts the process
_FOREIGN_TRIES = 40  # a tool that knows nothing of our lock may hold the file for a moment


class BarStore(NamedTuple):
    """Where the bars are, and how long to wait for them (seconds). `world` is live, sandbox or replay: bars of two worlds
    never share a store."""

    path: Path
    world: str
    clock: Clock
    read_wait: float = 5.0
    write_wait: float = 30.0
    patient: bool = False  # others go first

    def exists(self) -> bool:
        """Is there a store to read?"""
        return self.path.exists()

    @contextmanager
    def reading(self, purpose: str = "read", *, writes: Path | None = None, foreign: bool = False) -> Iterator[Reader]:
        """A reader; many processes may read at once. It reaches no file but the one that it `writes`, if any; what is asked may be
        `foreign`, as SQL of a user's. Raises StoreBusy, StoreDamaged, WrongWorld; the store must exist."""
        with self._locked(purpose), _telling(self.path), self._connected(read_only=True, writes=writes, foreign=foreign) as db:
            try:
                old = self._check_world(db)
                if not old:
                    yield Reader(db)
            except BaseException:
                db.interrupt()  # a statement that a Ctrl-C broke off may run on, and to close would be to wait for its end
                raise
        if old:
            with self.writing("migration"):
                """A store of an older mdagent: opened for writing once, it is brought up to date."""
            with self.reading(purpose, writes=writes, foreign=foreign) as reader:
                yield reader

    @contextmanager
    def writing(self, purpose: str) -> Iterator[Writer]:
        """The writer, in one transaction: all of it is committed at the end, or none. Makes the store when it is absent."""
        from mdagent.store.write import Writer  # a reader need not load it

        self._make_place()
        with self._locked(purpose, write=True), _telling(self.path):
            if not self.path.exists():
                self._create()
            with self._connected(read_only=False) as db:
                version = self._check_world(db)
                db.execute("BEGIN TRANSACTION")
                try:
                    if version:
                        migrate(db, version)
                    yield Writer(db)
                    db.execute("COMMIT")
                except BaseException:
                    with suppress(duckdb.Error):  # a failed commit has rolled back already
                        db.execute("ROLLBACK")
                    raise

    @contextmanager
    def rewriting(self, purpose: str) -> Iterator[Path]:
        """Under the writer's lock, the place of a new file beside the store, for the caller to build and close. At the end it takes the
        store's place in one step; after an error or a kill the old file is whole and where it was. The store must exist."""
        with self._locked(purpose, write=True), _telling(self.path):
            self._fold_log()
            with self._in_place_of(self.path.resolve()) as new:
                yield new

    def leftovers(self) -> list[Path]:
        """Files that processes which were killed left half-built beside the store."""
        place = self.path.resolve()
        return sorted(place.parent.glob(f".{place.name}.new-*"))

    def _locked(self, purpose: str, *, write: bool = False) -> AbstractContextManager[None]:
        wait = self.write_wait if write else self.read_wait
        return locked(self.path, self.clock, write=write, wait=wait, purpose=purpose, patient=self.patient)

    def _fold_log(self) -> None:
        """Bring what stands in DuckDB's log into the file, so that the file alone is all of the store; an older store up to date."""
        with self._connected(read_only=False) as db:
            version = self._check_world(db)
            if version:
                db.execute("BEGIN TRANSACTION")
                migrate(db, version)
                db.execute("COMMIT")
            db.execute("CHECKPOINT")
        if self.path.resolve().with_name(self.path.resolve().name + ".wal").exists():
            msg = f"the store {self.path} has a log that cannot be brought into it"
            raise StoreDamaged(msg, "close every program that has it open, then run the same command again")

    def _make_place(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise unwritable(self.path.parent, error) from error

    @contextmanager
    def _connected(self, *, read_only: bool, writes: Path | None = None, foreign: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        if self.path.stat().st_size == 0:
            msg = f"the store {self.path} is empty (0 bytes)"
            raise StoreDamaged(msg, "run mdagent doctor; move the file away to start anew, it was left as it is")
        if not files_left(_FILES):
            raise too_many_files(self.path)
        for left in range(_FOREIGN_TRIES, -1, -1):
            with ExitStack() as stack:
                try:
                    db = stack.enter_context(self._opening(read_only=read_only, writes=writes, foreign=foreign))
                except duckdb.IOException as error:
                    if "lock" not in str(error) or not left:
                        raise
                else:
                    yield db
                    return
            self.clock.pause(0.05)

    def _opening(self, *, read_only: bool, writes: Path | None, foreign: bool) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """SQL that is not ours, and what reaches a file, has a DuckDB of its own, of which nothing is left for those who come later."""
        if writes is not None:
            return _sealed_but(duckdb.connect(self.path, read_only=read_only, config=_BOUNDED), writes)
        if foreign:
            return duckdb.connect(self.path, read_only=read_only, config=_SEALED)
        return opened(self.path, _READING if read_only else _WRITING, read_only=read_only)

    def _create(self) -> None:
        """Build under a temporary name and rename: a kill half-way leaves no file that nobody can open."""
        with self._in_place_of(self.path) as new:
            self._build(new)

    @contextmanager
    def _in_place_of(self, path: Path) -> Iterator[Path]:
        new = path.with_name(f".{path.name}.new-{os.getpid()}")
        self._clear_away()
        try:
            yield new
            _sync(new)
            new.chmod(0o600)
            new.rename(path)
        except BaseException:
            self._clear_away()
            raise
        _sync(path.parent)

    def _clear_away(self) -> None:
        """Remove half-built stores. We hold the lock: nobody is building."""
        for leftover in self.leftovers():
            if leftover.is_dir():  # where DuckDB puts what does not fit into memory
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def _build(self, new: Path) -> None:
        """A process that makes many, as tests and drills do, copies its first: to make one takes 30 ms."""
        if blank := _blank.get(self.world):
            new.write_bytes(blank)
            return
        db = duckdb.connect(new)
        try:
            db.execute("BEGIN TRANSACTION")  # one wait for the disk, not one for each table
            migrate(db, 0)
            db.execute("INSERT INTO meta VALUES ('world', ?)", [self.world])
            db.execute("COMMIT")
            db.execute("CHECKPOINT")
        finally:
            db.close()
        _blank[self.world] = new.read_bytes()

    def _check_world(self, db: duckdb.DuckDBPyConnection) -> int:
        """0, or the version of a store that is older than this program. Raises WrongWorld, StoreDamaged."""
        told = dict(db.execute("SELECT key, value FROM meta").fetchall())
        if told.get("world") != self.world:
            msg = f"the store {self.path} holds {told.get('world')} bars; {self.world} bars may not enter or be mistaken for them"
            raise WrongWorld(msg, "name another file with --store, or leave --sandbox and --replay as they were")
        version = int(told["version"]) if told.get("version", "").isdecimal() else VERSION + 1
        if version > VERSION or version < 1:
            msg = f"the store {self.path} has version {told.get('version')}, this mdagent knows version {VERSION}"
            raise StoreDamaged(msg, "use the mdagent that wrote it, or a newer one")
        return 0 if version == VERSION else version


def _sealed_but(db: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyConnection:
    """Sealed, but for one file: a list of exceptions has to be there before the door is shut."""
    db.execute(f"SET allowed_paths = [{literal(str(path))}]")
    db.execute("SET enable_external_access = false")
    db.execute("SET lock_configuration = true")
    return db


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """DuckDB's and the system's errors as ours; those of the user's own SQL pass (see Reader.query)."""
    try:
        yield
    except duckdb.Error as error:
        raise _translate(path, str(error)) from error
    except OSError as error:
        raise unwritable(path, error) from error
    except RuntimeError as error:
        if str(error) != "Query interrupted":  # DuckDB's word for a Ctrl-C that came while it worked
            raise
        raise KeyboardInterrupt from None


def _translate(path: Path, text: str) -> StoreError | ConfigError:
    first = text.splitlines()[0][:300] if text else "unknown"
    if "Too many open files" in text:
        return too_many_files(path)
    if "No space left" in text or "Disk quota" in text or "out of disk" in text.lower():
        return StoreFull(
            f"the store {path} could not be written: no space left", "free some space, then run the same command again; nothing was lost"
        )
    if "Read-only file system" in text or "Permission denied" in text:
        return StoreFull(
            f"the store {path} could not be written: it is read-only", "reads still work; make the place writable, or use --store FILE"
        )
    if "lock on file" in text:
        return StoreBusy(
            f"the store {path} is held by a program that does not know mdagent's lock",
            "close that program, then run the same command again",
        )
    if any(word in text for word in ("fsync failed", "Could not write", "Could not truncate", "Input/output error")):
        return StoreDamaged(f"the store {path} could not be written: {first}", FAILING)
    return StoreDamaged(f"the store {path} cannot be read: {first}", "run mdagent doctor; the file was left as it is")
