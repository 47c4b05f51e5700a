"""The ledger: what processes must agree on, in one SQLite file (WAL, mode 0600).

One row of `attempts` is one request to a provider, from its reservation on; the quota that is used is counted from these rows,
so there is no second count to fall out of step. A request counts as sent from its reservation on: nothing lies between the two that
takes time, and a process killed there is charged. Every decision is one short `BEGIN IMMEDIATE` transaction, and reads the clock
inside it. An account is a source under one key. Stored times are epoch microseconds, UTC.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import SystemRandom
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from mdagent.errors import StoreDamaged
from mdagent.guard.breaker import force, reset
from mdagent.guard.limits import Denied, Grant, Refusal
from mdagent.store import breakers, lost, quota, steps
from mdagent.store.ledger_errors import translated, unwritable
from mdagent.store.ledger_file import check_file, checked, half_built
from mdagent.store.ledger_schema import STEPS, VERSION
from mdagent.store.quota import LATEST, NO_RULES, STEP_BACK, Asked, Turn, us, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mdagent.clock import Clock
    from mdagent.guard.backoff import Dice
    from mdagent.guard.limits import Usage, Window
    from mdagent.guard.outcome import Attempt, Failure
    from mdagent.store.quota import Lesson, Reservation, Rules

T = TypeVar("T")
_AT_ONCE = timedelta(milliseconds=500)
_LONG = 3600.0  # seconds of a window that is worth a wait for the disk


@dataclass(frozen=True, slots=True)
class Block:
    """A source that asked to be left alone until a time."""

    source: str
    since: datetime
    until: datetime
    strikes: int
    reason: str


_PUT = (
    "INSERT INTO attempts (at, source, account, endpoint, host, run, subject, cost, usd, priority, interval, clock, overage, state)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,'sent')"
)
_SETTLED = "UPDATE attempts SET state=?, status=?, kind=?, detail=?, ms=?, size=?, host=?, unreachable=? WHERE id=?"


_LOOK = (
    f"SELECT {LATEST}, EXISTS (SELECT 1 FROM blocks WHERE source IN (?, ?)),"
    " EXISTS (SELECT 1 FROM breakers WHERE account = ?), EXISTS (SELECT 1 FROM paces WHERE account = ?)"
)


class Noted(NamedTuple):
    """What of an account is out of the ordinary."""

    block: bool
    breaker: bool
    pace: bool


def open_ledger(path: Path, clock: Clock, dice: Dice | None = None) -> Ledger:
    """The ledger at `path`, made when absent. `dice` spread the waits of breakers. Raises StoreDamaged, StoreFull, StoreBusy, ConfigError
    (place not writable)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            with half_built(path) as new, Ledger(new, clock) as made:
                if lost.mark_of(path).exists():
                    made.decide(lost.begin_spent)
        check_file(path)
    except OSError as error:
        raise unwritable(path, error) from error
    return Ledger(path, clock, dice)


class Ledger:
    """An open ledger; one a process, closed with it. Every method is one transaction."""

    def __init__(self, path: Path, clock: Clock, dice: Dice | None = None) -> None:
        self.path = path
        self.dice = dice or SystemRandom()
        self._clock = clock
        self._durable = False
        self._counts: quota.Counts = {}
        self._run = 0  # of the machine, by its number in the ledger
        self._lost: datetime | None = None
        self._minded = set[tuple[str, str]]()  # accounts
        with self._telling():
            self._db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._migrate()
            if steps.was_set(self._db, clock.anchor()):
                with self._deciding():
                    pass  # so that what is only read agrees with the clock, too

    def _migrate(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            msg = f"the ledger {self.path} has version {version}, this mdagent knows version {VERSION}"
            raise StoreDamaged(msg, "use the mdagent that wrote it, or a newer one")
        if version == VERSION:
            return
        with self._transaction():  # another process may have done it meanwhile
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            for step in STEPS[version:]:
                for statement in filter(str.strip, step.split(";")):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={VERSION}")

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
            raise translated(self.path, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._telling():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _deciding(self) -> Iterator[datetime]:
        """One transaction, and the time inside it, from which no time in the tables differs by what the clock was set."""
        with self._transaction():
            now = self._clock.now()
            self._run = steps.run_of(self._db, self._clock.anchor(), now)
            yield now

    def _look(self, source: str, account: str, wall: datetime) -> Noted:
        """Is anything noted of the account? And what an earlier run of the machine has left in the future, since its clock said something
        else, is held to have happened when that was first noticed: so no window grants more than its limit, not even when the clock is
        put right, and nobody waits for one, or for a block, longer than its length."""
        both = (account, source)
        latest, *noted = self._db.execute(_LOOK, (*both, *both, account, account)).fetchone()
        now, ahead = us(wall), us(wall + STEP_BACK)
        if latest > ahead:
            stray = "UPDATE attempts SET noticed = ? WHERE account IN (?, ?) AND at > ? AND coalesce(noticed, at) > ?"
            self._db.execute(stray, (now, *both, ahead, ahead))
            self._counts.clear()
        found = Noted(*map(bool, noted))
        if found.block:
            moved = "UPDATE blocks SET until = until - since + ?, since = ? WHERE source IN (?, ?) AND since > ?"
            self._db.execute(moved, (now, now, *both, ahead))
        return found

    def reserve(self, source: str, windows: Sequence[Window], *, what: Reservation, rules: Rules = NO_RULES) -> Grant | Refusal | Denied:
        """Take one request's share of every window and of the budgets, past its breakers, or take nothing: then the answer says what
        refused it and for how long. One that can wait so long is given a place in the queue of its class."""
        asked = Asked(what, source, windows, rules)
        account = asked.accounts[0]
        self._write_through(any(isinstance(w.per, str) or w.per >= _LONG for w in windows))
        self._mind(asked)
        token = self._at_once(asked)
        if token is not None:
            return Grant(token, plain=True)
        with self._deciding() as now:
            turn, noted = Turn(self._db, now, self.dice), self._look(source, account, now)
            passed = breakers.pass_through(turn, asked) if noted.breaker else breakers.NOTHING_NOTED
            answer = passed if isinstance(passed, Denied) else self._afford(turn, asked, noted)
            if isinstance(answer, Refusal):
                return quota.queue(self._db, account, what, answer, now)
            quota.leave(self._db, what.ticket)
            if isinstance(answer, Denied) or isinstance(passed, Denied):
                return answer
            for endpoint, breaker in passed.changed:
                breakers.keep(self._db, account, endpoint, breaker)
            place, priority = (what.endpoint, what.host, what.run, what.subject), int(what.priority)
            usd = what.usd + answer.overage
            row = (us(now), source, account, *place, what.cost, usd, priority, what.interval, self._run, answer.overage)
            token = self._db.execute(_PUT, row).lastrowid or 0
            return Grant(token, passed.generations, passed.probe, passed.degraded, overage=answer.overage)

    def _mind(self, asked: Asked) -> None:
        """Before the first request to an account: are the rows sound that its quota is counted from, and is any of it lost?"""
        if asked.accounts not in self._minded:
            with self._deciding() as now:
                self._lost = lost.mind(Turn(self._db, now, self.dice), asked, self._run, None if self._minded else self.path)
            self._minded.add(asked.accounts)

    def _at_once(self, asked: Asked) -> int | None:
        with self._telling():
            now, start = self._clock.now(), self._clock.monotonic()
            token = quota.grant_at_once(self._db, asked, now, self._clock.anchor(), self._counts)
            late = timedelta(seconds=self._clock.monotonic() - start)
            if token is not None and late > _AT_ONCE:  # another process held the ledger: it goes later than it says
                self._db.execute("UPDATE attempts SET at = at + ? WHERE id = ?", (late // timedelta(microseconds=1), token))
            return token

    def _write_through(self, wanted: bool) -> None:  # noqa: FBT001
        """What counts for an hour or more is on the disk before the request goes: a lost row would be quota spent twice. How a request
        went may be lost with the power: then it stays charged."""
        if wanted != self._durable:
            with self._telling():
                self._db.execute(f"PRAGMA synchronous={'FULL' if wanted else 'NORMAL'}")
            self._durable = wanted

    def _afford(self, turn: Turn, asked: Asked, noted: Noted) -> Grant | Refusal | Denied:
        """Of a block and of the quota that which takes longer."""
        block = self._block(asked.source, asked.accounts[0]) if noted.block else None
        rest = block.until if block and block.until > turn.now else None
        answer = quota.afford(turn, asked, self._counts, rest)
        if self._lost is not None:
            answer = lost.explained(answer, asked, self._lost, turn.now)
        if block and rest and isinstance(answer, Refusal) and answer.until <= rest:
            return Refusal(block.reason, (rest - turn.now).total_seconds(), rest)
        return answer

    def leave(self, ticket: int) -> None:
        """Give up a place in the queue."""
        with self._deciding():
            quota.leave(self._db, ticket)

    def settle(self, token: int, attempt: Attempt, *, refund: bool, lesson: Lesson | None = None) -> bool:
        """Write down how a granted request went, and what it teaches breakers and pace; its quota is given back only on proof that
        nothing was sent. True where it is the network that is down, not the source."""
        failure = attempt.failure
        told = (
            "refunded" if refund else "settled",
            attempt.status,
            str(failure.kind) if failure else None,
            failure.detail if failure else None,
            attempt.ms,
            attempt.size,
            attempt.host,
            bool(failure and failure.unreachable),
            token,
        )
        self._write_through(False)  # noqa: FBT003
        account = lesson.accounts[0] if lesson else attempt.source
        if failure is None and attempt.ms <= breakers.BRISK and self._settled_at_once(told, account):
            return False
        with self._deciding() as now:
            self._db.execute(_SETTLED, told)
            if refund:
                self._db.execute("UPDATE attempts SET cost = 0, usd = 0, overage = 0 WHERE id = ?", (token,))
            if lesson is None:
                return False
            turn = Turn(self._db, now, self.dice)
            quota.adapt(turn, lesson, failure)
            return breakers.learn(turn, replace(attempt, token=token), lesson)

    def _settled_at_once(self, told: tuple[object, ...], account: str) -> bool:
        """A good and brisk answer from an account of which nothing is noted teaches nothing: one statement is enough."""
        nothing_noted = " AND NOT EXISTS (SELECT 1 FROM breakers WHERE account = ?) AND NOT EXISTS (SELECT 1 FROM paces WHERE account = ?)"
        with self._telling():
            return bool(self._db.execute(_SETTLED + nothing_noted, (*told, account, account)).rowcount)

    def correct(self, source: str, window: Window, left: int, account: str = "") -> None:
        """The provider says that less is left of a window than we counted: somebody else uses the key, and that is written down as a
        request of theirs. More is not believed."""
        with self._deciding() as wall:
            self._look(source, account or source, wall)
            quota.correct(Turn(self._db, wall, self.dice), (account or source, source), window, left, self._run)

    def judge(self, token: int, rows: int, bad: int, score: float | None, fields: tuple[float, float] | None = None) -> None:
        """The rows that an answer brought, how many were refused, and the grade of the rest: of all, and of prices and volumes apart."""
        with self._deciding() as now:
            columns = ("rows", "bad", "score", "price_score", "volume_score")
            put = f"UPDATE attempts SET {', '.join(f'{c} = ?' for c in columns)} WHERE id = ? RETURNING account, endpoint"
            found = self._db.execute(put, (rows, bad, score, *(fields or (None, None)), token)).fetchone()
            if found:
                breakers.judge(Turn(self._db, now, self.dice), found, rows, bad)

    def amend(self, token: int, failure: Failure) -> None:
        """An attempt that was settled as good was not; the breaker of its endpoint hears of it."""
        with self._deciding() as now:
            put = "UPDATE attempts SET kind = ?, detail = ? WHERE id = ? RETURNING account, endpoint, ms"
            for *where, ms in self._db.execute(put, (str(failure.kind), failure.detail, token)).fetchall():
                breakers.blame(Turn(self._db, now, self.dice), (where[0], where[1]), failure, ms or 0.0)

    def block(  # noqa: PLR0913  who, how long and why, and what it is to the blocks before
        self, source: str, seconds: float, reason: str, *, fresh: bool = True, account: str = "", together: bool = False
    ) -> Block:
        """No request to this account by any process for so long. A block in force is never shortened; `fresh` counts strikes anew,
        `together` counts none: it is the same refusal, told once more."""
        with self._deciding() as now:
            self._look(source, account or source, now)
            old = self._block(source, account)
            until = max(now + timedelta(seconds=seconds), old.until if old else now)
            strikes = old.strikes + (not together) if old and not fresh else 1
            row = (account or source, us(now), us(until), strikes, reason)
            self._db.execute("INSERT OR REPLACE INTO blocks VALUES (?,?,?,?,?)", row)
            return Block(source, now, until, strikes, reason)

    def unblock(self, source: str, account: str = "") -> None:
        """A good answer came: the next block starts from the first step again."""
        with self._deciding():
            self._db.execute("DELETE FROM blocks WHERE source IN (?, ?)", (account or source, source))

    def _block(self, source: str, account: str) -> Block | None:
        query = "SELECT since, until, strikes, reason FROM blocks WHERE source IN (?, ?) ORDER BY until DESC LIMIT 1"
        row = self._db.execute(query, (account or source, source)).fetchone()
        return Block(source, when(row[0]), when(row[1]), row[2], row[3]) if row else None

    def blocked(self, source: str, account: str = "") -> Block | None:
        """The last block of an account, over or not."""
        with self._telling():
            return self._block(source, account)

    def usage(self, source: str, windows: Sequence[Window], now: datetime, account: str = "") -> list[Usage]:
        """The charged requests that any of the windows still counts, oldest first."""
        with self._telling():
            return quota.usage(self._db, (account or source, source), windows, now)

    def force_open(self, account: str, endpoint: str, why: str) -> None:
        """An operator's order: no request to this account (or to one endpoint of it) before a reset."""
        with self._deciding() as now:
            breakers.change(self._db, account, endpoint, now, lambda b: force(b, "operator", why, now))

    def reset_breaker(self, account: str, endpoint: str) -> None:
        """An operator's word that the cause is gone: what is open is tested by the next request, and a block is lifted."""
        with self._deciding() as now:
            breakers.change(self._db, account, endpoint, now, lambda b: reset(b, now))
            if not endpoint:  # a block from before keys were told apart has the source's name alone
                self._db.execute("DELETE FROM blocks WHERE source IN (?, ?)", (account, account.partition(":")[0]))
                self._db.execute("DELETE FROM paces WHERE account = ?", (account,))
                self._db.execute("DELETE FROM unknown_symbols WHERE source = ? AND symbol LIKE 'request %'", (account,))

    def switch(self, source: str, *, on: bool) -> None:
        """Whether any process may ask a source at all."""
        with self._deciding() as now:
            if on:
                self._db.execute("DELETE FROM marks WHERE name = ?", (f"disabled {source}",))
            else:
                self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (f"disabled {source}", us(now)))

    def switched_off(self) -> frozenset[str]:
        """The sources that an operator has disabled."""
        rows = self.rows("SELECT substr(name, 10) FROM marks WHERE name LIKE 'disabled %'")
        return frozenset(name for (name,) in rows)

    def remember_unknown(self, source: str, symbol: str, until: datetime, reason: str) -> None:
        """This source does not know this symbol; not to be asked again before `until`."""
        with self._deciding():
            self._db.execute("INSERT OR REPLACE INTO unknown_symbols VALUES (?,?,?,?)", (source, symbol, us(until), reason))

    def forget_unknown(self, source: str, symbol: str) -> None:
        """This source knows the symbol after all."""
        with self._deciding():
            self._db.execute("DELETE FROM unknown_symbols WHERE source = ? AND symbol = ?", (source, symbol))

    def unknown(self, source: str, symbol: str) -> tuple[datetime, str] | None:
        """Until when, and why, a symbol is held to be unknown at a source."""
        with self._telling():
            query = "SELECT until, reason FROM unknown_symbols WHERE source = ? AND symbol = ? AND until > ?"
            row = self._db.execute(query, (source, symbol, us(self._clock.now()))).fetchone()
        return (when(row[0]), str(row[1])) if row else None

    def decide(self, make: Callable[[quota.Db, datetime], T]) -> T:
        """What a function of the tables and the time decides, in one transaction."""
        with self._deciding() as now:
            return make(self._db, now)

    def reading(self, ask: Callable[[quota.Db], T]) -> T:
        """What a function of the tables finds; it may change nothing."""
        with self._telling():
            return ask(self._db)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The answer to a question that changes nothing."""
        with self._telling():
            return self._db.execute(query, values).fetchall()

    def check(self) -> str:
        """SQLite's own word on the file: "ok", or what is wrong."""
        with self._telling():
            return checked(self.path, str(self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]))
