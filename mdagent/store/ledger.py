"""The ledger: what processes must agree on, in one SQLite file (WAL, mode 0600).

One row of `attempts` is one request to a provider, from its reservation on; the quota that is used is counted from these rows,
so there is no second count to fall out of step. Every decision is one short `BEGIN IMMEDIATE` transaction, and reads the clock
inside it. Stored times are epoch microseconds, UTC.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from mdagent.errors import ConfigError, StoreBusy, StoreDamaged, StoreError, StoreFull
from mdagent.guard.limits import Grant, Never, Refusal, Usage, admit, oldest_needed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mdagent.clock import Clock
    from mdagent.guard.limits import Window
    from mdagent.guard.outcome import Attempt, Failure

_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, source TEXT NOT NULL, endpoint TEXT NOT NULL, host TEXT NOT NULL, run TEXT NOT NULL,
    subject TEXT NOT NULL, cost INTEGER NOT NULL, state TEXT NOT NULL, status INTEGER, kind TEXT, detail TEXT, ms REAL, size INTEGER,
    noticed INTEGER);
CREATE INDEX IF NOT EXISTS attempts_by_source ON attempts (source, at);
CREATE TABLE IF NOT EXISTS blocks (
    source TEXT PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL, strikes INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS unknown_symbols (
    source TEXT NOT NULL, symbol TEXT NOT NULL, until INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (source, symbol));
CREATE TABLE IF NOT EXISTS epochs (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, fingerprint TEXT NOT NULL, flat TEXT NOT NULL);
"""
_VERSION = 1
_STEP_BACK = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One published state of the settings; `flat` is path -> printable value, secrets masked."""

    number: int
    at: datetime
    fingerprint: str
    flat: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Block:
    """A source that asked to be left alone until a time."""

    source: str
    since: datetime
    until: datetime
    strikes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What the ledger knows of a source over a window of time."""

    source: str
    sent: int
    failed: int
    last_at: datetime | None
    last_failure: str | None
    median_ms: float | None


def _us(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000_000)


def _when(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)


def open_ledger(path: Path, clock: Clock) -> Ledger:
    """The ledger at `path`, made when absent. Raises StoreDamaged, StoreFull, StoreBusy, ConfigError (place not writable)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        msg = f"the ledger {path} cannot be written: {error.strerror}"
        if error.errno == errno.EROFS and path.exists():  # it was writable once: the place is right, its state is not
            raise StoreFull(msg, "reads still work; mount it writable, or set MDAGENT_HOME to a folder you may write") from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(msg, "free some space, then run the same command again") from error
        raise ConfigError(msg, "set MDAGENT_HOME to a folder you may write") from error
    return Ledger(path, clock)


class Ledger:
    """An open ledger; one a process, closed with it. Every method is one transaction."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        with self._telling():
            self._db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                msg = f"the ledger {path} has version {version}, this mdagent knows version {_VERSION}"
                raise StoreDamaged(msg, "use the mdagent that wrote it, or a newer one")
            if version < _VERSION:
                with self._deciding():
                    for statement in filter(str.strip, _SCHEMA.split(";")):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version={_VERSION}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """SQLite's errors as ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise _translate(self.path, error) from error

    @contextmanager
    def _deciding(self) -> Iterator[datetime]:
        """One transaction, and the time inside it."""
        with self._telling():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._clock.now()
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _now(self, source: str, wall: datetime) -> datetime:
        """The time of a decision. Where the clock was set back, what lies in its future is held to have happened when that was
        first noticed: so no window grants more than its limit, not even when the clock is put right again, and nobody waits for
        one, or for a block, longer than its length."""
        now, ahead = _us(wall), _us(wall + _STEP_BACK)
        stray = "UPDATE attempts SET noticed = ? WHERE source = ? AND at > ? AND coalesce(noticed, at) > ?"
        self._db.execute(stray, (now, source, ahead, ahead))
        self._db.execute("UPDATE blocks SET until = until - since + ?, since = ? WHERE source = ? AND since > ?", (now, now, source, ahead))
        return wall

    def reserve(self, source: str, windows: Sequence[Window], *, what: Reservation) -> Grant | Refusal | Never:
        """Take one request's share of every window, or none: then the answer says which window refused and for how long."""
        with self._deciding() as wall:
            now = self._now(source, wall)
            block = self._block(source)
            if block and block.until > now:
                return Refusal(block.reason, (block.until - now).total_seconds(), block.until)
            usage = self._usage(source, windows, now)
            answer = admit(windows, usage, what.cost, now)
            if not isinstance(answer, Grant):
                return answer
            row = (_us(now), source, what.endpoint, what.host, what.run, what.subject, what.cost)
            put = "INSERT INTO attempts (at, source, endpoint, host, run, subject, cost, state) VALUES (?,?,?,?,?,?,?,'sent')"
            return Grant(self._db.execute(put, row).lastrowid or 0)

    def _usage(self, source: str, windows: Sequence[Window], now: datetime) -> list[Usage]:
        since = oldest_needed(windows, now)
        rows = self._db.execute(
            "SELECT CASE WHEN at > ? THEN coalesce(noticed, at) ELSE at END AS told, cost FROM attempts"
            " WHERE source = ? AND at > ? AND told > ? AND state <> 'refunded' ORDER BY told",
            (_us(now + _STEP_BACK), source, _us(since), _us(since)),
        )
        return [Usage(_when(at), cost) for at, cost in rows]

    def settle(self, token: int, attempt: Attempt, *, refund: bool) -> None:
        """Write down how a granted request went; its quota is given back only on proof that nothing was sent."""
        failure = attempt.failure
        told = (
            "refunded" if refund else "settled",
            attempt.status,
            str(failure.kind) if failure else None,
            failure.detail if failure else None,
            attempt.ms,
            attempt.size,
            attempt.host,
            token,
        )
        with self._deciding():
            self._db.execute("UPDATE attempts SET state=?, status=?, kind=?, detail=?, ms=?, size=?, host=? WHERE id=?", told)

    def amend(self, token: int, failure: Failure) -> None:
        """An attempt that was settled as good was not."""
        with self._deciding():
            self._db.execute("UPDATE attempts SET kind = ?, detail = ? WHERE id = ?", (str(failure.kind), failure.detail, token))

    def block(self, source: str, seconds: float, reason: str, *, fresh: bool = True) -> Block:
        """No request to this source by any process for so long. A block in force is never shortened; `fresh` counts strikes anew."""
        with self._deciding() as wall:
            now = self._now(source, wall)
            old = self._block(source)
            until = max(now + timedelta(seconds=seconds), old.until if old else now)
            strikes = old.strikes + 1 if old and not fresh else 1
            self._db.execute("INSERT OR REPLACE INTO blocks VALUES (?,?,?,?,?)", (source, _us(now), _us(until), strikes, reason))
            return Block(source, now, until, strikes, reason)

    def unblock(self, source: str) -> None:
        """A good answer came: the next block starts from the first step again."""
        with self._deciding():
            self._db.execute("DELETE FROM blocks WHERE source = ?", (source,))

    def _block(self, source: str) -> Block | None:
        row = self._db.execute("SELECT since, until, strikes, reason FROM blocks WHERE source = ?", (source,)).fetchone()
        return Block(source, _when(row[0]), _when(row[1]), row[2], row[3]) if row else None

    def blocked(self, source: str) -> Block | None:
        """The last block of a source, over or not."""
        with self._telling():
            return self._block(source)

    def sent_since(self, source: str, since: datetime) -> int:
        """Requests sent to a source after `since`, by any process."""
        query = "SELECT count(*) FROM attempts WHERE source = ? AND at > ? AND state <> 'refunded'"
        with self._telling():
            return int(self._db.execute(query, (source, _us(since))).fetchone()[0])

    def usage(self, source: str, windows: Sequence[Window], now: datetime) -> list[Usage]:
        """The charged requests that any of the windows still counts, oldest first."""
        with self._telling():
            return self._usage(source, windows, now)

    def remember_unknown(self, source: str, symbol: str, until: datetime, reason: str) -> None:
        """This source does not know this symbol; not to be asked again before `until`."""
        with self._deciding():
            self._db.execute("INSERT OR REPLACE INTO unknown_symbols VALUES (?,?,?,?)", (source, symbol, _us(until), reason))

    def forget_unknown(self, source: str, symbol: str) -> None:
        """This source knows the symbol after all."""
        with self._deciding():
            self._db.execute("DELETE FROM unknown_symbols WHERE source = ? AND symbol = ?", (source, symbol))

    def unknown(self, source: str, symbol: str) -> tuple[datetime, str] | None:
        """Until when, and why, a symbol is held to be unknown at a source."""
        with self._telling():
            query = "SELECT until, reason FROM unknown_symbols WHERE source = ? AND symbol = ? AND until > ?"
            row = self._db.execute(query, (source, symbol, _us(self._clock.now()))).fetchone()
        return (_when(row[0]), str(row[1])) if row else None

    def tally(self, source: str, since: datetime) -> Tally:
        """Requests and failures of a source since a time."""
        query = "SELECT at, kind, detail, ms FROM attempts WHERE source = ? AND at > ? AND state <> 'refunded' ORDER BY at"
        with self._telling():
            rows = self._db.execute(query, (source, _us(since))).fetchall()
        times = sorted(r[3] for r in rows if r[3] is not None)
        bad = [r for r in rows if r[1] and r[1] not in ("UNKNOWN_SYMBOL", "NO_DATA")]
        return Tally(
            source,
            len(rows),
            len(bad),
            _when(rows[-1][0]) if rows else None,
            f"{bad[-1][1]}: {bad[-1][2]}" if bad else None,
            times[len(times) // 2] if times else None,
        )

    def publish_epoch(self, fingerprint: str, flat: Mapping[str, str]) -> Epoch:
        """Make these settings the ones that every running process adopts."""
        with self._deciding() as now:
            number = (self._db.execute("SELECT max(number) FROM epochs").fetchone()[0] or 0) + 1
            self._db.execute("INSERT INTO epochs VALUES (?,?,?,?)", (number, _us(now), fingerprint, json.dumps(dict(flat))))
        return Epoch(number, now, fingerprint, MappingProxyType(dict(flat)))

    def epoch(self) -> Epoch | None:
        """The last published settings."""
        with self._telling():
            row = self._db.execute("SELECT number, at, fingerprint, flat FROM epochs ORDER BY number DESC LIMIT 1").fetchone()
        return Epoch(row[0], _when(row[1]), row[2], MappingProxyType(json.loads(row[3]))) if row else None

    def epoch_number(self) -> int:
        """The number of the last published settings, 0 for none."""
        with self._telling():
            return int(self._db.execute("SELECT coalesce(max(number), 0) FROM epochs").fetchone()[0])

    def check(self) -> str:
        """SQLite's own word on the file: "ok", or what is wrong."""
        with self._telling():
            return str(self._db.execute("PRAGMA quick_check(1)").fetchone()[0])


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a reservation is for. `subject` is the symbol or the words searched, `run` names the process's run."""

    endpoint: str
    host: str
    run: str
    subject: str
    cost: int = 1


def _translate(path: Path, error: sqlite3.Error) -> StoreError:
    text = str(error)
    if "locked" in text or "busy" in text:
        return StoreBusy(f"the ledger {path} is in use by another process", "run the same command again")
    if "full" in text or "readonly" in text or "read-only" in text:
        return StoreFull(f"the ledger {path} cannot be written: {text}", "free some space, or set MDAGENT_HOME to a writable folder")
    return StoreDamaged(f"the ledger {path} cannot be read: {text}", "run mdagent doctor; the file was left as it is")
