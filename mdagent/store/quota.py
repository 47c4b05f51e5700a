"""Quota, queue and budget as the ledger's tables have them: each function is part of one of its transactions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mdagent.guard.cost import Price, price, walls
from mdagent.guard.limits import Denied, Grant, Refusal, Usage, Window, admit, span, usable
from mdagent.guard.outcome import FailureKind
from mdagent.guard.pace import STRATEGIES, Pace, answered, eased, overloaded, refused
from mdagent.market import Priority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdagent.clock import Anchor
    from mdagent.guard.backoff import Dice
    from mdagent.guard.cost import Budget
    from mdagent.guard.outcome import Failure

STEP_BACK = timedelta(seconds=5)  # of the clock, which is not held to be one
LOOK, _SHARE, _LONGEST = 5.0, 0.05, 300.0  # seconds, or a share of a long wait, after which one looks again: others may leave something
_GRACE = timedelta(seconds=5)  # so long after that it keeps its place
_DEFAULT_WINDOW = timedelta(minutes=1)
_OVERLOADED = 503
_OFTEN = 20
STEPPED, _MONTH = "clock stepped", timedelta(days=32)  # the mark that times were moved, and how long any window may count these
LOST = "lost"  # the mark of when this ledger took the place of a damaged one
UNSEEN = 250_000  # microseconds by which a clock may be set without being noticed: the margin of a window is eight times that
_QUEUE = 200  # of those ahead are asked how long they will wait; behind more than that it is an estimate


class Db(Protocol):
    """A connection in a transaction."""

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ..., /) -> Any:  # noqa: ANN401  a cursor
        """Run one statement."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a reservation is for. `subject` is the symbol or the words searched, `run` names the process's run. `usd` is what the request
    costs; `patience` the seconds that it can wait, `ticket` its place in the queue; `last_resort`: all others are down."""

    endpoint: str
    host: str
    run: str
    subject: str
    cost: int = 1
    usd: float = 0.0
    interval: str = ""
    priority: Priority = Priority.NORMAL
    patience: float = 0.0
    ticket: int | None = None
    last_resort: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say of a source besides its windows. `account` is the source under one key ("": the source itself), `others`
    those that could serve in its place; `lease` is how long one request may take at most, in seconds. `overage` is the price in USD of a
    credit beyond its calendar windows, which then refuse nothing; None: they are walls."""

    account: str = ""
    budgets: tuple[Budget, ...] = ()
    strategy: str = "balanced"
    observe_only: bool = False
    lease: float = 20.0
    others: tuple[str, ...] = ()
    overage: float | None = None


NO_RULES = Rules()


class Turn(NamedTuple):
    """One transaction: the tables, the time inside it, and chance."""

    db: Db
    now: datetime
    dice: Dice


class Asked(NamedTuple):
    """A reservation with all that it is decided by."""

    what: Reservation
    source: str
    windows: Sequence[Window]
    rules: Rules = NO_RULES

    @property
    def accounts(self) -> tuple[str, str]:
        """The account, and the source whose older requests, of before keys were told apart, count for it too."""
        return self.rules.account or self.source, self.source


class Lesson(NamedTuple):
    """What a settled attempt teaches, and whom: the generations of the breakers are those at which it began. `foreseen`: a refusal that
    is none of the quota; `spared`: a failure of one of its addresses, and another is asked in its place."""

    source: str
    windows: Sequence[Window]
    rules: Rules = NO_RULES
    generations: tuple[int, int] = (0, 0)
    foreseen: bool = False
    spared: bool = False

    @property
    def accounts(self) -> tuple[str, str]:
        """As for a reservation."""
        return self.rules.account or self.source, self.source


def us(instant: datetime) -> int:
    """Epoch microseconds."""
    return int(instant.timestamp() * 1_000_000)


def when(stamp: int) -> datetime:
    """The instant of epoch microseconds."""
    return datetime.fromtimestamp(stamp / 1_000_000, UTC)


@dataclass(frozen=True, slots=True)
class Counted:
    """What one process has counted of a calendar window up to a row; rows are only added, so that what is new is quickly summed."""

    since: int
    last: int
    used: int
    asked: int = 0  # so often since, without being renewed


Counts = dict[tuple[object, ...], Counted]


def afford(turn: Turn, asked: Asked, counts: Counts, rest: datetime | None = None) -> Grant | Refusal | Denied:
    """Every window and every budget, or none; and nothing before `rest`. `counts` is kept by the caller from one decision to the next."""
    (db, now, _), what, accounts = turn, asked.what, asked.accounts
    factor, waits, stepped = db.execute(_OF_ACCOUNT, (accounts[0], accounts[0], us(now - _MONTH))).fetchone()
    cost = _price(turn, asked, counts, stepped=stepped)
    for budget in asked.rules.budgets:
        when = span(Window(0, budget.per), now)
        refused = budget.denied(spent(db, when, budget.source), cost, when[1])
        if refused:
            return refused
    hard = walls(asked.windows, asked.rules.overage)
    shares = [usable(w, what.priority, what.cost, factor or 1.0) for w in hard]
    ahead = _ahead(db, accounts[0], what, now) if waits else []
    if not (ahead or stepped or rest) and _fits(turn, asked._replace(windows=shares), counts):
        return Grant(0, overage=cost.overage)
    answer = admit(shares, usage(db, accounts, hard, now), what.cost, now, ahead=ahead, rest=rest)
    return replace(answer, overage=cost.overage) if isinstance(answer, Grant) else answer


def _price(turn: Turn, asked: Asked, counts: Counts, *, stepped: bool) -> Price:
    """What the request costs if it goes now. Only where a calendar window may be used up is it counted exactly: of a request that was
    refunded nobody is to pay overage."""
    (db, now, _), what, overage = turn, asked.what, asked.rules.overage
    calendars = [w for w in asked.windows if w.calendar]
    if overage is None or not calendars or (not stepped and _fits(turn, asked._replace(windows=calendars), counts)):
        return Price(what.usd)
    used = usage(db, asked.accounts, calendars, now)
    return price(calendars, overage, what.usd, what.cost, now, used=lambda window: window.counted(used, now))


def spent(db: Db, when: tuple[datetime, datetime], source: str = "") -> float:
    """USD since a time, by one source or by all. What was sent while the clock was wrong counts by what it said then, too, up to the
    second time."""
    since, until = us(when[0]), us(when[1])
    query = "SELECT total(usd) FROM attempts WHERE usd > 0 AND at > ? AND cost > 0 AND (source = ? OR ? = '')"
    wrong = "SELECT total(usd) FROM attempts WHERE stamp > ? AND stamp <= ? AND at <= ? AND cost > 0 AND (source = ? OR ? = '')"
    both = (query, (since, source, source)), (wrong, (since, until, since, source, source))
    return float(sum(db.execute(*one).fetchone()[0] for one in both))


# Of two accounts one by one, so that each is one step down an index.
LATEST = "max(coalesce((SELECT max(at) FROM attempts WHERE account = ?), 0), coalesce((SELECT max(at) FROM attempts WHERE account = ?), 0))"


def grant_at_once(db: Db, asked: Asked, now: datetime, anchor: Anchor, counts: Counts) -> int | None:
    """The row of a request that goes where nothing is out of the ordinary: no breaker, block, pace or queue is noted of the account, the
    clock was not set, nothing is to be paid, and all windows have room for certain. One statement, and so one transaction; None where
    anything is to be looked at more closely."""
    what, (account, source), at = asked.what, asked.accounts, us(now)
    if what.ticket is not None or (what.usd and asked.rules.budgets):
        return None
    told: list[object] = [at, source, account, what.endpoint, what.host, what.run, what.subject, what.cost, what.usd]
    told += [int(what.priority), what.interval, anchor.run, anchor.began, us(now - _MONTH), account, source, us(now + STEP_BACK)]
    told += [account, account, source, account, account, at]
    kinds = []
    for window in asked.windows:
        share = usable(window, what.priority, what.cost)
        most, since = share.limit - (what.cost if window.of == "credits" else 1), us(span(window, now)[0])
        if isinstance(window.per, str):
            key = (asked.accounts, window.per, window.zone, window.of)
            known = counts.get(key)
            if known is None or known.since != since or known.asked >= _OFTEN:
                return None
            counts[key] = replace(known, asked=known.asked + 1)
            told += [account, source, known.last, most - known.used]
        else:
            told += [account, source, since, most]
        kinds.append((isinstance(window.per, str), window.of))
    done = db.execute(_at_once(tuple(kinds)), told)
    return done.lastrowid if done.rowcount == 1 else None


@lru_cache(maxsize=64)
def _at_once(kinds: tuple[tuple[bool, str], ...]) -> str:
    """The statement for windows of these kinds: of the calendar or rolling, of credits or of requests."""
    sums = {
        (True, "credits"): "SELECT total(cost * (account IN (?, ?))) FROM attempts WHERE id > ?",
        (True, "requests"): "SELECT total(account IN (?, ?) AND cost > 0) FROM attempts WHERE id > ?",
        (False, "credits"): "SELECT total(cost) FROM attempts WHERE account IN (?, ?) AND at > ?",
        (False, "requests"): "SELECT count(*) FROM attempts WHERE account IN (?, ?) AND at > ? AND cost > 0",
    }
    return (
        "INSERT INTO attempts (at, source, account, endpoint, host, run, subject, cost, usd, priority, interval, state, clock)"
        f" SELECT ?,?,?,?,?,?,?,?,?,?,?,'sent',id FROM clocks WHERE run = ? AND abs(began - ?) <= {UNSEEN}"
        f" AND NOT EXISTS (SELECT 1 FROM marks WHERE name = '{STEPPED}' AND at > ?) AND ({LATEST}) <= ?"
        " AND NOT EXISTS (SELECT 1 FROM breakers WHERE account = ?)"
        " AND NOT EXISTS (SELECT 1 FROM blocks WHERE source IN (?, ?))"
        " AND NOT EXISTS (SELECT 1 FROM paces WHERE account = ?)"
        " AND NOT EXISTS (SELECT 1 FROM waiting WHERE account = ? AND until > ?)"
    ) + "".join(f" AND ({sums[kind]}) <= ?" for kind in kinds)


_OF_ACCOUNT = (
    "SELECT (SELECT factor FROM paces WHERE account = ?), EXISTS (SELECT 1 FROM waiting WHERE account = ?),"
    f" EXISTS (SELECT 1 FROM marks WHERE name = '{STEPPED}' AND at > ?)"
)


def _fits(turn: Turn, asked: Asked, counts: Counts) -> bool:
    """Is there room for certain? Sums over an index, in which a row from the future of a clock set back counts in full, and one that was
    refunded may."""
    db, accounts = turn.db, asked.accounts
    for window in asked.windows:
        since = us(span(window, turn.now)[0])
        used = _in_calendar(db, accounts, window, since, counts) if isinstance(window.per, str) else _since(db, accounts, window, since)
        if used + (asked.what.cost if window.of == "credits" else 1) > window.limit:
            return False
    return True


def _since(db: Db, accounts: tuple[str, str], window: Window, since: int) -> int:
    return int(db.execute(_SUM[window.of], (*accounts, since)).fetchone()[0] or 0)


def _in_calendar(db: Db, accounts: tuple[str, str], window: Window, since: int, counts: Counts) -> int:
    key = (accounts, window.per, window.zone, window.of)
    known = counts.get(key)
    if known is None or known.since != since:
        last = db.execute("SELECT max(id) FROM attempts").fetchone()[0] or 0
        made = Counted(since, last, _since(db, accounts, window, since))
    else:
        last, more = db.execute(_NEWER[window.of], (*accounts, known.last)).fetchone()
        made = Counted(since, last or known.last, known.used + int(more or 0))
    counts[key] = made
    return made.used


_SUM = {
    "credits": "SELECT sum(cost) FROM attempts WHERE account IN (?, ?) AND at > ?",
    "requests": "SELECT count(*) FROM attempts WHERE account IN (?, ?) AND at > ? AND cost > 0",
}
_NEWER = {
    "credits": "SELECT max(id), sum(cost * (account IN (?, ?))) FROM attempts WHERE id > ?",
    "requests": "SELECT max(id), sum(account IN (?, ?) AND cost > 0) FROM attempts WHERE id > ?",
}


def usage(db: Db, accounts: tuple[str, str], windows: Sequence[Window], now: datetime) -> list[Usage]:
    """The charged requests that any of the windows still counts, oldest first; those that none of the rolling ones does are summed."""
    spans = [(w, *span(w, now)) for w in windows]
    rolling = us(min((since for w, since, _ in spans if not isinstance(w.per, str)), default=now))
    cuts = {us(at) for w, since, reset in spans if isinstance(w.per, str) for at in (since, span(w, reset)[0])}
    since, reset = min({rolling} | cuts), us(max((span(w, reset)[1] for w, _, reset in spans), default=now))
    told = {"one": accounts[0], "two": accounts[1], "ahead": us(now + STEP_BACK), "since": since, "reset": reset, "rolling": rolling}
    rows = db.execute(_counted(len(cuts)), told | {f"cut{n}": cut for n, cut in enumerate(sorted(cuts))})
    return [Usage(when(at), cost, requests, when(dated) if dated is not None else None) for at, cost, requests, dated in rows]


@lru_cache(maxsize=16)
def _counted(cuts: int) -> str:
    """A row from the future is one of an earlier run of the machine, whose clock said something else: it counts since it was noticed. One
    that was moved with the clock counts by the stamp that it had, too. The rest is summed between the days at which a window begins."""
    where = "FROM attempts WHERE account IN (:one, :two) AND cost > 0"
    parts = " + ".join(f"(at > :cut{n})" for n in range(cuts)) or "NULL"
    return (
        "SELECT CASE WHEN at > :ahead THEN coalesce(noticed, at) ELSE at END AS told, cost, 1,"
        f" CASE WHEN at > :ahead AND noticed IS NOT NULL THEN at ELSE stamp END {where}"
        " AND at > :rolling AND (at <= :reset OR noticed IS NULL OR noticed > :since)"
        f" UNION ALL SELECT at, cost, 1, stamp {where} AND stamp > :since AND at <= :rolling"
        f" UNION ALL SELECT max(at), sum(cost), count(*), NULL {where} AND at > :since AND at <= :rolling"
        f" AND (stamp IS NULL OR stamp <= :since) GROUP BY {parts} ORDER BY 1"
    )


def correct(turn: Turn, accounts: tuple[str, str], window: Window, left: int, run: int) -> None:
    """Where less is left of a window than we counted, somebody else uses the key: written down as requests of theirs, in the run of the
    machine of that number."""
    (db, now, _), (account, source) = turn, accounts
    more = window.limit - left - window.counted(usage(db, accounts, [window], now), now)
    if more > 0:
        put = (
            "INSERT INTO attempts (at, source, account, endpoint, host, run, subject, cost, state, clock)"
            " VALUES (?,?,?,'elsewhere','','','',?,'foreign',?)"
        )
        for cost in [more] if window.of == "credits" else [1] * more:
            db.execute(put, (us(now), source, account, cost, run))


def _ahead(db: Db, account: str, what: Reservation, now: datetime) -> list[Usage]:
    """Those that wait for the same account and go first: of a better class, or longer in the same one."""
    query = "SELECT since, cost FROM waiting WHERE account = ? AND until > ? AND (priority < ? OR (priority = ? AND id < ?))"
    place = 1 << 62 if what.ticket is None else what.ticket
    rows = db.execute(query + f" ORDER BY priority, id LIMIT {_QUEUE}", (account, us(now), int(what.priority), int(what.priority), place))
    return [Usage(when(since), cost) for since, cost in rows]


def queue(db: Db, account: str, what: Reservation, refusal: Refusal, now: datetime) -> Refusal:
    """A place in the queue for one that will wait; who does not come back soon after its time has lost it."""
    if refusal.wait > what.patience:
        leave(db, what.ticket)
        return refusal
    until = us(now + timedelta(seconds=look(refusal.wait)) + _GRACE)
    if what.ticket is not None:
        kept = db.execute("UPDATE waiting SET until = ?, why = ? WHERE id = ?", (until, refusal.reason, what.ticket))
        if kept.rowcount:
            return replace(refusal, ticket=what.ticket)
    db.execute("DELETE FROM waiting WHERE until < ?", (us(now),))
    row = (account, int(what.priority), what.cost, us(now), until, what.run, f"{what.endpoint} {what.subject}", refusal.reason)
    put = "INSERT INTO waiting (account, priority, cost, since, until, run, what, why) VALUES (?,?,?,?,?,?,?,?)"
    return replace(refusal, ticket=db.execute(put, row).lastrowid)


def look(wait: float) -> float:
    """Seconds after which one that waits so long looks again."""
    return min(wait, max(LOOK, min(_SHARE * wait, _LONGEST)))


def leave(db: Db, ticket: int | None) -> None:
    """Give up a place in the queue."""
    if ticket is not None:
        db.execute("DELETE FROM waiting WHERE id = ?", (ticket,))


def pace_of(db: Db, account: str) -> Pace:
    """The adaptive factor of an account."""
    row = db.execute("SELECT factor, overloads, slowed, eased, refused FROM paces WHERE account = ?", (account,)).fetchone()
    return Pace(*row[:2], *(when(at) if at is not None else None for at in row[2:])) if row else Pace()


def adapt(turn: Turn, lesson: Lesson, failure: Failure | None) -> None:
    """What an answer says of the pace."""
    (db, now, _), accounts, windows = turn, lesson.accounts, lesson.windows
    old, rule = pace_of(db, accounts[0]), STRATEGIES[lesson.rules.strategy]
    rolling = [w for w in windows if not isinstance(w.per, str)]
    shortest = min(rolling, key=lambda w: w.per, default=None)
    length = timedelta(seconds=float(shortest.per)) if shortest else _DEFAULT_WINDOW
    if failure is not None and failure.kind is FailureKind.RATE_LIMITED and not lesson.foreseen:
        new = refused(old, rule, length, now)
    elif failure is not None and failure.status == _OVERLOADED and failure.kind is FailureKind.SERVER_ERROR:
        new = overloaded(old, rule, length, now)
    else:
        new = answered(old)
        if new.factor < 1.0 and shortest is not None:
            allowed = usable(shortest, Priority.HIGH, 1, new.factor)
            new = eased(new, rule, length, shortest.counted(usage(db, accounts, [shortest], now), now) / allowed.limit, now)
    if new == old:
        return
    if new.factor >= 1.0 and not new.overloads:
        db.execute("DELETE FROM paces WHERE account = ?", (accounts[0],))
        return
    times = (us(at) if at else None for at in (new.slowed, new.eased, new.refused))
    db.execute("INSERT OR REPLACE INTO paces VALUES (?,?,?,?,?,?)", (accounts[0], new.factor, new.overloads, *times))
