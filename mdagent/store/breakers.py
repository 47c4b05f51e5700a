"""Breakers as the ledger's tables have them: each function is part of one of its transactions.

A breaker that is closed and has seen neither failure nor slowness of late has no row: it is made of the attempts when one comes, so
that a healthy source costs no write.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from mdagent.guard.breaker import (
    Breaker,
    Go,
    Outcome,
    State,
    Verdict,
    ask,
    dump,
    forgive,
    judged,
    load,
    slow_limit,
    told,
    verdicts,
)
from mdagent.guard.limits import Denied
from mdagent.guard.outcome import CONSEQUENCES, Blame, FailureKind
from mdagent.store.quota import us, when

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.guard.outcome import Attempt, Failure
    from mdagent.store.quota import Asked, Db, Lesson, Turn

_SHORT = timedelta(seconds=10)  # in which failures of several sources are held to be one of the network
_RESORT = timedelta(seconds=10)  # between two probes of the last resort, on this machine
_WINDOW, _OUTCOMES, _MEDIAN_OF = timedelta(seconds=300), 20, 200
BRISK = 1000.0  # ms: the least that can be slow
_REFUSING = (State.OPEN, State.FORCED_OPEN)


@dataclass(frozen=True, slots=True)
class Passed:
    """The breakers let the request through: their generations, whether one of them waits for the outcome, and what changed with it."""

    generations: tuple[int, int]
    probe: bool = False
    degraded: bool = False
    changed: tuple[tuple[str, Breaker], ...] = ()


NOTHING_NOTED = Passed((0, 0))


def pass_through(turn: Turn, asked: Asked) -> Passed | Denied:
    """May the request go, as far as the breakers of the account and of its endpoint are asked? Where they are observed only, they tell
    what they would do, and refuse nothing."""
    (db, now, dice), what, rules, account = turn, asked.what, asked.rules, asked.accounts[0]
    rows = {e: (s, g, t) for e, s, g, t in db.execute(_OF_BOTH, (account, what.endpoint))}
    if not rows:
        return NOTHING_NOTED
    resort = what.last_resort and _may_resort(db, now)
    generations, changed, probe, degraded = [0, 0], [], False, False
    for level, endpoint in enumerate(("", what.endpoint)):
        state, generation, text = rows.get(endpoint, ("closed", 0, ""))
        generations[level] = generation
        degraded |= state == State.DEGRADED
        if state in ("closed", State.DEGRADED):
            continue
        before = load(text)
        after, answer = ask(before, now, holder=what.run, lease=rules.lease, dice=dice, last_resort=resort)
        if isinstance(answer, Go):
            changed.append((endpoint, after))
            generations[level], probe = after.generation, probe or answer.probe
            continue
        if after != before:  # it was found waiting for longer than any wait is: the clock was set back
            keep(db, account, endpoint, after)
        if not rules.observe_only:
            kind = FailureKind.AUTH if before.by == "AUTH" else FailureKind.BREAKER_OPEN
            return Denied(kind, answer.why, answer.until)
    if resort and probe:
        db.execute("INSERT OR REPLACE INTO marks VALUES ('last resort', ?)", (us(now),))
    heeded = not rules.observe_only
    return Passed((generations[0], generations[1]), probe and heeded, degraded and heeded, tuple(changed))


_OF_BOTH = "SELECT endpoint, state, generation, told FROM breakers WHERE account = ? AND endpoint IN ('', ?)"


def _may_resort(db: Db, now: datetime) -> bool:
    row = db.execute("SELECT at FROM marks WHERE name = 'last resort'").fetchone()
    return row is None or not timedelta(0) <= now - when(row[0]) < _RESORT


def keep(db: Db, account: str, endpoint: str, breaker: Breaker) -> None:
    """Write a breaker down; one that has nothing to say has no row."""
    spotless = not breaker.trips and not breaker.alarms and not any(o.failed or o.slow or o.bad for o in breaker.window)
    if breaker.state is State.CLOSED and spotless:
        db.execute("DELETE FROM breakers WHERE account = ? AND endpoint = ?", (account, endpoint))
        return
    row = (account, endpoint, breaker.state.value, breaker.generation, dump(breaker))
    db.execute("INSERT OR REPLACE INTO breakers VALUES (?,?,?,?,?)", row)


_NOTHING = Verdict(counts=False)


def learn(turn: Turn, attempt: Attempt, lesson: Lesson) -> bool:
    """Tell both breakers of an attempt, which is written down already. True where several sources cannot be reached at once: then it is
    the network, and none of them is to blame."""
    (db, now, dice), account, failure = turn, lesson.accounts[0], attempt.failure
    rows = {e: t for e, _, _, t in db.execute(_OF_BOTH, (account, attempt.endpoint))}
    down = failure is not None and failure.unreachable and _network_is_down(db, now)
    if down:
        _forgive(db, now)
        rows = {e: t for e, _, _, t in db.execute(_OF_BOTH, (account, attempt.endpoint))}
    told_of = (_NOTHING, _NOTHING) if down or lesson.spared else verdicts(failure, attempt.ms)  # a probe gives its permit back
    for level, verdict in enumerate(told_of):
        endpoint = (attempt.endpoint, "")[level == 0]
        if endpoint not in rows and not _noteworthy(verdict, attempt.ms):
            continue
        breaker = load(rows[endpoint]) if endpoint in rows else _made_of_attempts(db, account, endpoint, attempt.token, now)
        if breaker.state is State.CLOSED and endpoint in rows:
            breaker = replace(breaker, typical=_typical(db, account, endpoint))
        after = told(breaker, verdict, lesson.generations[level], now, dice, alternates=_healthy(db, lesson.rules.others))
        keep(db, account, endpoint, after)
        if endpoint and after.state is State.OPEN:
            _open_above(turn, account)
    return down


def _noteworthy(verdict: Verdict, ms: float) -> bool:
    return bool(verdict.units or verdict.open_now or verdict.force) or (verdict.counts and ms > BRISK)


def _made_of_attempts(db: Db, account: str, endpoint: str, before: int | None, now: datetime) -> Breaker:
    """A closed breaker with the outcomes of its last attempts, as if it had been there all the time."""
    where = "account = ? AND at > ? AND state = 'settled' AND id <> ?" + (" AND endpoint = ?" if endpoint else "")
    values: list[Any] = [account, us(now - _WINDOW), before or 0, *([endpoint] if endpoint else [])]
    rows = db.execute(f"SELECT at, kind, ms FROM attempts WHERE {where} ORDER BY id DESC LIMIT {_OUTCOMES}", values).fetchall()
    made = Breaker(now - _WINDOW, typical=_typical(db, account, endpoint))
    limit, outcomes = slow_limit(made), []
    for at, kind, ms in reversed(rows):
        blame = CONSEQUENCES[FailureKind(kind)].blame if kind else Blame.SUCCESS
        if blame is Blame.SUCCESS:
            outcomes.append(Outcome(when(at), 0, ms or 0.0, (ms or 0.0) > limit))
    return replace(made, window=tuple(outcomes))


def _typical(db: Db, account: str, endpoint: str) -> float | None:
    """The median ms of the last 200 good answers."""
    where = "account = ? AND kind IS NULL AND ms IS NOT NULL" + (" AND endpoint = ?" if endpoint else "")
    values = [account, *([endpoint] if endpoint else [])]
    rows = db.execute(f"SELECT ms FROM attempts WHERE {where} ORDER BY id DESC LIMIT {_MEDIAN_OF}", values).fetchall()
    return float(median(ms for (ms,) in rows)) if rows else None


def _healthy(db: Db, others: Sequence[str]) -> int:
    """How many of these accounts no breaker refuses."""
    if not others:
        return 0
    marks = ",".join("?" * len(others))
    query = f"SELECT count(*) FROM breakers WHERE endpoint = '' AND state IN ('open', 'forced open') AND account IN ({marks})"
    return len(others) - int(db.execute(query, others).fetchone()[0])


def _open_above(turn: Turn, account: str) -> None:
    """Where two endpoints, and at least half of those asked within a day, are open, the whole account is."""
    db, now, dice = turn
    closed = "SELECT count(*) FROM breakers WHERE account = ? AND endpoint <> '' AND state IN ('open', 'forced open')"
    refusing = db.execute(closed, (account,)).fetchone()[0]
    asked = "SELECT count(DISTINCT endpoint) FROM attempts WHERE account = ? AND at > ?"
    if refusing < 2 or 2 * refusing < db.execute(asked, (account, us(now - timedelta(days=1)))).fetchone()[0]:
        return
    row = db.execute("SELECT told FROM breakers WHERE account = ? AND endpoint = ''", (account,)).fetchone()
    breaker = load(row[0]) if row else Breaker(now - _WINDOW)
    if breaker.state in (State.CLOSED, State.DEGRADED):
        why = f"{refusing} of its endpoints are open"
        three_in_a_row = Verdict(units=3, why=why)  # which open at any rate
        keep(db, account, "", told(breaker, three_in_a_row, breaker.generation, now, dice))


def _network_is_down(db: Db, now: datetime) -> bool:
    """Two sources, and at least half of those asked in the last ten seconds, gave no answer of any kind when they were last asked."""
    query = (  # SQLite takes a bare column from the row that has the max
        "SELECT count(*), total(unreachable) FROM (SELECT max(id), unreachable FROM attempts"
        " WHERE id > (SELECT max(id) - 200 FROM attempts) AND at > ? AND state IN ('settled', 'refunded') GROUP BY source)"
    )
    asked, dead = db.execute(query, (us(now - _SHORT),)).fetchone()
    return bool(dead >= 2 and 2 * dead >= asked)


def _forgive(db: Db, now: datetime) -> None:
    """Take back what the last seconds did to breakers by sources that could not be reached."""
    query = (
        "SELECT account, endpoint, told FROM breakers WHERE account IN (SELECT account FROM attempts"
        " WHERE id > (SELECT max(id) - 200 FROM attempts) AND at > ? AND unreachable)"
    )
    for account, endpoint, text in db.execute(query, (us(now - _SHORT),)).fetchall():
        keep(db, account, endpoint, forgive(load(text), now - _SHORT, now))


def change(db: Db, account: str, endpoint: str, now: datetime, to: Callable[[Breaker], Breaker]) -> None:
    """An operator changes one."""
    row = db.execute("SELECT told FROM breakers WHERE account = ? AND endpoint = ?", (account, endpoint)).fetchone()
    keep(db, account, endpoint, to(load(row[0]) if row else Breaker(now)))


def blame(turn: Turn, where: tuple[str, str], failure: Failure, ms: float) -> None:
    """An answer was read without fault and was of no use after all: a failure of its endpoint. `where`: account and endpoint."""
    (db, now, dice), (account, endpoint) = turn, where
    row = db.execute("SELECT told FROM breakers WHERE account = ? AND endpoint = ?", (account, endpoint)).fetchone()
    breaker = load(row[0]) if row else _made_of_attempts(db, account, endpoint, None, now)
    keep(db, account, endpoint, told(breaker, verdicts(failure, ms)[1], breaker.generation, now, dice))


def judge(turn: Turn, where: tuple[str, str], rows: int, bad: int) -> None:
    """What the rows of the last answer were worth, to the breaker of its endpoint. `where`: account and endpoint."""
    (db, now, _), (account, endpoint) = turn, where
    row = db.execute("SELECT told FROM breakers WHERE account = ? AND endpoint = ?", (account, endpoint)).fetchone()
    if row is None and not bad:
        return
    breaker = load(row[0]) if row else _made_of_attempts(db, account, endpoint, None, now)
    keep(db, account, endpoint, judged(breaker, rows, bad, now))
