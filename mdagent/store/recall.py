"""What the ledger can tell: of each source its standing now, and what became of its attempts. Reads alone; nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from mdagent.guard.breaker import State, load
from mdagent.guard.limits import Denied, Refusal, span
from mdagent.guard.outcome import FailureKind
from mdagent.market import Priority
from mdagent.store.quota import Turn, afford, pace_of, us, usage, when

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mdagent.guard.breaker import Breaker
    from mdagent.guard.limits import Window
    from mdagent.guard.memory import Seen
    from mdagent.store.ledger import Ledger
    from mdagent.store.quota import Asked

MEMORY = timedelta(days=90)  # of which a reputation is made
_OF_HOST, _ENOUGH, _IN_A_ROW = 10, 3, 2
_LATELY = 5000  # attempts of all sources among which those of a host are looked for
OF_THE_HOST = ("CONNECT_FAIL", "TLS_FAIL", "TIMEOUT_READ", "TRUNCATED", "PROTOCOL", "SERVER_ERROR", "WAF_BLOCK", "UNEXPECTED_STATUS")
_MOST = 1000  # attempts that are folded into it
_GRADED = 20  # deliveries of which a grade is the mean


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would become of a request now: how many seconds it would wait and for what, or that it would be refused (`wait` None) and
    why; the share of the tightest window that is left, and what the worst of its breakers is. `kind` names the failure that it would
    be, None where it could go; `overage` what one that can go would cost for credits beyond the quota, in USD."""

    wait: float | None
    why: str = ""
    until: datetime | None = None
    left: float | None = None
    state: State = State.CLOSED
    kind: FailureKind | None = None
    overage: float = 0.0


def outlook(ledger: Ledger, asked: Asked, now: datetime) -> Outlook:
    """The same sums as a reservation makes, without one."""
    (account, source), what, rules = asked.accounts, asked.what, asked.rules
    found = breakers_of(ledger, account)
    states = {endpoint: b for endpoint, b in found.items() if endpoint in ("", what.endpoint)}
    worst = max((b.state for b in states.values()), key=list(State).index, default=State.CLOSED)
    left = min((share for _, share in _left(ledger, source, asked.windows, account, now)), default=None)
    shut = next((b for b in states.values() if _refuses(b, now)), None)
    if shut is not None and not rules.observe_only:
        return Outlook(None, shut.why, shut.until, left, worst, FailureKind.BREAKER_OPEN)
    block = ledger.blocked(source, account)
    if block and block.until > now:
        return Outlook((block.until - now).total_seconds(), block.reason, block.until, left, worst, FailureKind.RATE_LIMITED)
    answer = ledger.reading(lambda db: afford(Turn(db, now, ledger.dice), asked, {}))
    if isinstance(answer, Denied):
        return Outlook(None, answer.reason, answer.until, left, worst, answer.kind)
    if isinstance(answer, Refusal):
        return Outlook(answer.wait, answer.reason, answer.until, left, worst, FailureKind.THROTTLED)
    return Outlook(0.0, left=left, state=worst, overage=answer.overage)


def _refuses(b: Breaker, now: datetime) -> bool:
    if b.state is State.FORCED_OPEN:
        return True
    if b.state is State.OPEN:
        return b.until is not None and b.until > now
    return b.state is State.HALF_OPEN and b.lease is not None and b.lease.until > now


class Left(NamedTuple):
    """One window: what is left of it, and when what is used comes back (all of a calendar window, the first of a rolling one)."""

    window: Window
    used: int
    until: datetime | None


def quota_left(ledger: Ledger, source: str, windows: Sequence[Window], account: str, now: datetime) -> list[Left]:
    """Every window of an account."""
    counted = ledger.reading(lambda db: usage(db, (account, source), windows, now))
    found = []
    for window in windows:
        since, reset = span(window, now)
        inside = window.inside(counted, now)
        until = reset if isinstance(window.per, str) else inside[0].at + (now - since) if inside else None
        found.append(Left(window, window.used(inside), until if inside else None))
    return found


def _left(ledger: Ledger, source: str, windows: Sequence[Window], account: str, now: datetime) -> list[tuple[Window, float]]:
    return [(left.window, max(0.0, 1 - left.used / left.window.limit)) for left in quota_left(ledger, source, windows, account, now)]


def breakers_of(ledger: Ledger, account: str) -> dict[str, Breaker]:
    """The breakers of an account that have something to say, by endpoint; "" is that of the account itself."""
    return {endpoint: load(text) for endpoint, text in ledger.rows("SELECT endpoint, told FROM breakers WHERE account = ?", account)}


def factor_of(ledger: Ledger, account: str) -> float:
    """The adaptive factor of its rolling limits."""
    return ledger.reading(lambda db: pace_of(db, account)).factor


def seen(ledger: Ledger, source: str, account: str, now: datetime) -> list[Seen]:
    """The last attempts of a source under a key, of which its reputation is made."""
    from mdagent.guard.memory import Seen

    query = (
        "SELECT at, interval, kind, ms, score, subject, price_score, volume_score FROM attempts"
        " WHERE account IN (?, ?) AND at > ? AND state = 'settled'"
        f" ORDER BY at DESC LIMIT {_MOST}"
    )
    return [Seen(when(at), *rest) for at, *rest in ledger.rows(query, account, source, us(now - MEMORY))]


class Waiter(NamedTuple):
    """One request in the queue of an account."""

    run: str
    priority: Priority
    since: datetime
    what: str
    why: str
    cost: int


def waiting(ledger: Ledger, account: str, now: datetime) -> list[Waiter]:
    """Who waits for an account now, the first in turn first."""
    query = "SELECT run, priority, since, what, why, cost FROM waiting WHERE account = ? AND until > ? ORDER BY priority, id"
    return [Waiter(run, Priority(p), when(since), *rest) for run, p, since, *rest in ledger.rows(query, account, us(now))]


def switched(ledger: Ledger) -> dict[str, datetime]:
    """The sources that an operator has disabled, and when."""
    return {name: when(at) for name, at in ledger.rows("SELECT substr(name, 10), at FROM marks WHERE name LIKE 'disabled %'")}


def sent_since(ledger: Ledger, source: str, since: datetime) -> int:
    """Requests sent to a source after `since`, by any process."""
    query = "SELECT count(*) FROM attempts WHERE source = ? AND at > ? AND state IN ('sent', 'settled')"
    return int(ledger.rows(query, source, us(since))[0][0])


def failed_since(ledger: Ledger, account: str, kind: FailureKind, since: datetime) -> int:
    """Requests under a key that failed so after `since`, by any process."""
    query = "SELECT count(*) FROM attempts WHERE account = ? AND at > ? AND kind = ?"
    return int(ledger.rows(query, account, us(since), str(kind))[0][0])


def grade_of(ledger: Ledger, source: str, account: str) -> float | None:
    """The mean score of the last deliveries that were graded."""
    last = f"SELECT score FROM attempts WHERE account IN (?, ?) AND score IS NOT NULL ORDER BY at DESC LIMIT {_GRADED}"
    found = ledger.rows(f"SELECT avg(score) FROM ({last})", account, source)[0][0]
    return None if found is None else float(found)


def not_entitled(ledger: Ledger, source: str, account: str, now: datetime) -> str:
    """What the plan lacks, in the provider's words, where every request of the last day was refused for it; else ""."""
    query = (
        "SELECT count(*), sum(kind IS 'PLAN_LIMIT'), max(at), detail FROM attempts"  # SQLite gives the detail of the row that has the max
        " WHERE account IN (?, ?) AND at > ? AND state = 'settled'"
    )
    asked, refused, _, detail = ledger.rows(query, account, source, us(now - timedelta(days=1)))[0]
    return str(detail) if asked and asked == refused else ""


class Hosts(NamedTuple):
    """The hosts of a source in the order of asking, those that are not healthy, and whether one is asked first to get to know it."""

    order: tuple[str, ...]
    sick: frozenset[str]
    learning: bool


def hosts_of(ledger: Ledger, source: str, hosts: Sequence[str], since: datetime) -> Hosts:
    """The hosts of a source, the fastest healthy one first. Not healthy is one where the last two attempts failed, or half or more of the
    last ten. How fast one is, is known of three attempts, by their median; whoever is healthy and not known so well goes first."""
    marks = ",".join("?" * len(OF_THE_HOST))
    query = (  # an attempt that found nobody was refunded, since nothing was sent
        f"SELECT host, ms, kind FROM attempts WHERE id > (SELECT max(id) FROM attempts) - {_LATELY} AND source = ? AND host <> ''"
        f" AND at > ? AND (state = 'settled' OR (state = 'refunded' AND kind IN ({marks}))) ORDER BY id DESC LIMIT 100"
    )
    found: dict[str, list[tuple[float, bool]]] = {host: [] for host in hosts}
    for host, ms, kind in ledger.rows(query, source, us(since), *OF_THE_HOST):
        if host in found and len(found[host]) < _OF_HOST:
            found[host].append((ms or 0.0, kind in OF_THE_HOST))
    sick = {host for host in hosts if _is_sick([bad for _, bad in found[host]])}
    speed = {host: sorted(ms for ms, _ in told)[len(told) // 2] for host, told in found.items() if len(told) >= _ENOUGH}
    order = sorted(hosts, key=lambda host: (host in sick, host in speed, speed.get(host, 0.0)))
    return Hosts(tuple(order), frozenset(sick), learning=not {*hosts} <= sick | speed.keys())


def _is_sick(failed: Sequence[bool]) -> bool:
    """Of a host's attempts, the latest first."""
    return bool(failed) and (2 * sum(failed) >= len(failed) or all(failed[:_IN_A_ROW]))


def hedges(ledger: Ledger, endpoint: str, since: datetime) -> tuple[int, int]:
    """How often an endpoint was asked by all, and how many of these were broken off on the way, as the loser of a hedge is."""
    query = "SELECT count(*), total(kind = 'CANCELLED') FROM attempts WHERE endpoint = ? AND at > ?"
    ((asked, broken),) = ledger.rows(query, endpoint, us(since))
    return asked, int(broken)


class Logged(NamedTuple):
    """One attempt as `sources log` shows it."""

    at: datetime
    source: str
    endpoint: str
    subject: str
    host: str
    state: str
    status: int | None
    kind: str | None
    ms: float | None
    size: int | None
    cost: int
    usd: float
    score: float | None
    detail: str | None
    run: str


def log(ledger: Ledger, sources: Sequence[str], since: datetime, most: int, *, failed: bool) -> list[Logged]:
    """The last attempts, the latest last."""
    where = "at > ?" + (f" AND source IN ({','.join('?' * len(sources))})" if sources else "") + (" AND kind IS NOT NULL" if failed else "")
    columns = "at, source, endpoint, subject, host, state, status, kind, ms, size, cost, usd, score, detail, run"
    query = f"SELECT {columns} FROM attempts WHERE {where} ORDER BY id DESC LIMIT ?"
    rows = ledger.rows(query, us(since), *sources, most)
    return [Logged(when(row[0]), *row[1:]) for row in reversed(rows)]


class LastAsked(NamedTuple):
    """How the last request for bars of a symbol went at a source: `kind` names the failure, "" where there was none."""

    source: str
    at: datetime
    kind: str


def last_asked(ledger: Ledger, symbol: str, interval: str) -> list[LastAsked]:
    """Of every source that was asked for these bars by themselves."""
    query = (  # beside max() SQLite gives the other columns of the row that has it
        "SELECT source, at, kind, max(id) FROM attempts WHERE endpoint = 'bars' AND subject = ? AND interval IN (?, '')"
        " GROUP BY source ORDER BY source"
    )
    return [LastAsked(source, when(at), kind or "") for source, at, kind, _ in ledger.rows(query, symbol, interval)]


class Spend(NamedTuple):
    """What one endpoint of a source cost in a month (UTC): requests, credits, USD, the good bars that came, and how much of the USD was
    paid for credits beyond the quota."""

    month: str
    source: str
    endpoint: str
    requests: int
    credits: int
    usd: float
    bars: int
    overage: float = 0.0


def spending(ledger: Ledger, since: datetime) -> list[Spend]:
    """By month, source and endpoint."""
    query = (
        "SELECT strftime('%Y-%m', at / 1000000, 'unixepoch') AS month, source, endpoint, count(*), sum(cost), total(usd),"
        " CAST(total(rows - coalesce(bad, 0)) AS INTEGER), total(overage) FROM attempts WHERE at > ? AND state IN ('sent', 'settled')"
        " GROUP BY month, source, endpoint ORDER BY month, source, endpoint"
    )
    return [Spend(*row) for row in ledger.rows(query, us(since))]


class Speed(NamedTuple):
    """How a source did over a window of time."""

    sent: int
    failed: int
    p50: float | None
    p95: float | None
    last_at: datetime | None
    last_failure: str | None

    @property
    def success(self) -> float | None:
        """The share of attempts that no failure of the source ended."""
        return None if not self.sent else 1 - self.failed / self.sent


def last_at(ledger: Ledger, source: str, account: str) -> datetime | None:
    """When a source was last asked."""
    query = "SELECT max(at) FROM attempts WHERE account IN (?, ?) AND state IN ('sent', 'settled')"
    at = ledger.rows(query, account, source)[0][0]
    return None if at is None else when(at)


_OF_THE_SYMBOL = ("UNKNOWN_SYMBOL", "NO_DATA")


def speed(ledger: Ledger, source: str, account: str, since: datetime) -> Speed:
    """Attempts, failures and percentiles of latency since a time."""
    query = "SELECT at, kind, detail, ms FROM attempts WHERE account IN (?, ?) AND at > ? AND state IN ('sent', 'settled') ORDER BY at"
    rows = ledger.rows(query, account, source, us(since))
    times = sorted(r[3] for r in rows if r[3] is not None)
    bad = [r for r in rows if r[1] and r[1] not in _OF_THE_SYMBOL]
    return Speed(
        len(rows),
        len(bad),
        _percentile(times, 0.50),
        _percentile(times, 0.95),
        when(rows[-1][0]) if rows else None,
        f"{bad[-1][1]}: {bad[-1][2]}" if bad else None,
    )


def _percentile(times: Sequence[float], share: float) -> float | None:
    return times[min(len(times) - 1, int(share * len(times)))] if times else None


def sent_by_runs(ledger: Ledger, tag: str) -> tuple[int, int, float]:
    """Requests, credits and USD of all runs whose name ends so; what was refunded was not sent."""
    found = ledger.rows("SELECT count(*), total(cost), total(usd) FROM attempts WHERE run LIKE ? AND cost > 0", f"%{tag}")[0]
    return int(found[0]), int(found[1]), float(found[2])
