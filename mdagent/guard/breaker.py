"""A circuit breaker: may a request go, and what its outcome changes. Pure; the ledger makes each decision one transaction.

row  from              event                                                                to
 1   closed            failures >= 20 %, slow answers >= 50 % or bad rows >= 5 %            degraded
 2   closed, degraded  3 failures in a row, or failures >= T, or a wall (WAF)               open, n + 1
 3   degraded          60 s, and of the last 10: failures < 10 %, slow < 30 %, bad < 1 %    closed, those 10 in the window
 4   open              asked when the wait is over                                          half-open, the asker probes
 5   half-open         3 good probes in a row, none slow                                    closed, empty window
 6   half-open         3 good probes in a row, some slow                                    degraded, empty window
 7   half-open         a failure                                                            open, n + 1
 8   half-open         an outcome that does not count, or a lease that ran out              half-open, the next asker probes
 9   any               forced by the operator, by AUTH or by SECURITY                       forced open
10   forced open       reset                                                                half-open, n = 1
11   closed            each 10 min without a failure                                        closed, n - 1
12   open              a wait longer than any that is given: the clock was set back         open, the wait of n from now

Rates are of the last 20 outcomes of 300 s, at least 5 of them; failures in a row are those of an hour, so that who asks every five
minutes does not wait for a dead source each time. A wait is min(30 s * 2^(n-1), 30 min) * U(0.8, 1.2), four times that
after a wall; a Retry-After that is longer wins, up to a day. A double failure is two outcomes and two failures in a row. T is 50 %, 30 %
with two or more healthy alternates, 70 % with none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from operator import attrgetter, contains
from typing import TYPE_CHECKING, Any

from mdagent.guard.outcome import CONSEQUENCES, Blame, FailureKind
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from mdagent.guard.backoff import Dice
    from mdagent.guard.outcome import Failure

# long because: the table above, the decisions that follow it, the words that explain them and the stored form change together

_LAST, _SPAN, _FEWEST = 20, timedelta(seconds=300), 5
_THRESHOLDS, _THRESHOLD_OF_MANY = {None: 0.5, 0: 0.7, 1: 0.5}, 0.3  # by healthy alternates: sooner where others can serve
_IN_A_ROW, _PROBES, _ALARMS = 3, 3, 3  # failures that open, good probes that close, alarms within the hour that force open
_TRIAL, _TRIED = timedelta(seconds=60), 10  # row 3
_CALM, _LONGEST_LEASE, _HOUR, _DAY = timedelta(minutes=10), timedelta(minutes=10), timedelta(hours=1), timedelta(days=1)
_WAITS, _JITTER, _WALL = (30.0, 30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1800.0), (0.8, 1.2), 4.0  # seconds, by n
_DEGRADES, _RECOVERS, _OF = (0.20, 0.50, 0.05), (0.10, 0.30, 0.01), ("outcomes failed", "outcomes were slow", "rows were bad")
_SLOW_TIMES, _SLOW_LEAST, _SLOW_MOST = 4.0, 1000.0, 15000.0
_TIME, _EPOCH, _MICROSECOND = "%Y-%m-%d %H:%M:%SZ", datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class State(StrEnum):
    """Closed is healthy, as in electricity: the current flows."""

    CLOSED = "closed"
    DEGRADED = "degraded"  # useful still; healthy alternates come first
    OPEN = "open"
    HALF_OPEN = "half-open"  # one probe at a time, over all processes
    FORCED_OPEN = "forced open"  # no time ends it


_C, _D, _O, _H, _F = State
_SERVING = (_C, _D)
_WAYS = {_C: (_D, _O, _F), _D: (_C, _O, _F), _O: (_H, _F), _H: (_C, _D, _O, _F), _F: (_H,)}
LEGAL = frozenset((a, b) for a, ways in _WAYS.items() for b in ways)


class Illegal(AssertionError):
    """A change of state that is not in the table: a defect of this module."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt in the window: units of failure, and the rows of its answer once they are judged."""

    at: datetime
    failed: int
    ms: float
    slow: bool
    rows: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """Who probes, and until when at most."""

    holder: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Breaker:
    """One breaker. `generation` grows with every change of state: what began before the change says nothing about what is now.

    `until`: not before, when open. Half-open has one only where the probe is a last resort before that time: until a probe succeeds,
    others are refused as if it were open, and a failure raises no `trips` and leaves the wait as it was.
    """

    since: datetime
    state: State = State.CLOSED
    generation: int = 0
    trips: int = 0  # the n of the table
    until: datetime | None = None
    asked: bool = False  # `until` is the provider's own wish
    why: str = ""
    by: str = ""  # who forced it: operator, AUTH or SECURITY
    lease: Lease | None = None
    good: int = 0  # probes in a row
    slow: int = 0  # of them
    window: tuple[Outcome, ...] = ()
    typical: float | None = None  # median ms of the last 200 successes; the caller renews it while closed, and only then
    calm_since: datetime | None = None  # row 11
    alarms: tuple[datetime, ...] = ()  # security blocks within the hour, at most 3


@dataclass(frozen=True, slots=True)
class Go:
    """The request may go. A probe that succeeds is told before its lease ends, or does not count."""

    probe: bool = False


@dataclass(frozen=True, slots=True)
class No:
    """The request may not go before `until`; None: not before an operator acts."""

    why: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one attempt means to one breaker. One that does not count gives its permit back, no more."""

    units: int = 0  # of failure
    counts: bool = True
    open_now: bool = False
    force: str = ""
    alarm: bool = False
    ms: float = 0.0
    retry_after: float | None = None
    why: str = ""


_GO, _PROBE = Go(), Go(probe=True)
_NOTHING, _GOOD, _ONE, _TWO = Verdict(counts=False), Verdict(), Verdict(units=1), Verdict(units=2)
_BY_BLAME = {  # to the breaker of the provider, to that of the endpoint
    Blame.NONE: (_NOTHING, _NOTHING),
    Blame.SUCCESS: (_GOOD, _GOOD),
    Blame.COUNT: (_ONE, _NOTHING),
    Blame.COUNT_ENDPOINT: (_NOTHING, _ONE),
    Blame.COUNT_DOUBLE: (_TWO, _TWO),
    Blame.OPEN_NOW: (Verdict(units=1, open_now=True), _NOTHING),
    Blame.FORCE_OPEN: (Verdict(units=1, force="AUTH"), _NOTHING),
}
_VERDICTS = {kind: _BY_BLAME[row.blame] for kind, row in CONSEQUENCES.items()}
_VERDICTS[FailureKind.TLS_FAIL] = _TWO, _NOTHING  # no endpoint's business
_VERDICTS[FailureKind.SECURITY_BLOCK] = Verdict(units=2, alarm=True), _NOTHING


def verdicts(failure: Failure | None, ms: float) -> tuple[Verdict, Verdict]:
    """What an attempt means to the breaker of the provider and to that of the endpoint."""
    if failure is None:
        return Verdict(ms=ms), Verdict(ms=ms)
    provider, endpoint = (replace(v, ms=ms, retry_after=failure.retry_after, why=failure.detail) for v in _VERDICTS[failure.kind])
    return provider, endpoint


def ask(  # noqa: PLR0913  who asks, and with which claim
    b: Breaker, now: datetime, *, holder: str, lease: float, dice: Dice, last_resort: bool = False
) -> tuple[Breaker, Go | No]:
    """May a request of `holder` go now? A probe is leased for `lease` seconds, ten minutes at most. `last_resort`: no alternate is left,
    so an open breaker (a forced one never) may be probed before its time; how often is for the caller to bound."""
    if b.state in _SERVING:
        return b, _GO
    if b.state is State.FORCED_OPEN:
        return b, No(b.why, None)
    b = _clock_set_back(b, now, dice)
    early = b.until is not None and now < b.until
    if early and not last_resort:
        return b, No(b.why, b.until)
    if b.state is State.OPEN:
        why = f"tested {'as a last resort' if early else 'after its wait'}; it was open: {b.why}"
        b = replace(_moved(b, State.HALF_OPEN, now, why), until=b.until, asked=b.asked)
    elif b.lease is not None and _runs(b.lease, now):
        return b, No(f"{b.lease.holder} is testing it", b.lease.until)
    taken = Lease(holder, now + min(timedelta(seconds=lease), _LONGEST_LEASE))
    return (replace(b, lease=taken) if early else replace(b, lease=taken, until=None, asked=False)), _PROBE


def told(  # noqa: PLR0913  the outcome, and when it began
    b: Breaker, v: Verdict, generation: int, now: datetime, dice: Dice, *, alternates: int | None = None
) -> Breaker:
    """After an attempt that began at `generation`. `alternates`: how many healthy ones there are, where that is known."""
    if generation != b.generation or b.state is State.FORCED_OPEN:
        return b
    if v.alarm:
        b = replace(b, alarms=(*(a for a in b.alarms if abs(now - a) <= _HOUR), now)[-_ALARMS:])
        if len(b.alarms) == _ALARMS:
            return force(b, "SECURITY", f"{_ALARMS} security alarms within an hour, the last: {v.why}", now)
    if v.force:
        return force(b, v.force, v.why, now)
    if b.state is State.HALF_OPEN:
        return _probed(b, v, now, dice)
    return _counted(b, v, now, dice, alternates) if v.counts and b.state in _SERVING else b


def judged(b: Breaker, rows: int, bad: int, now: datetime) -> Breaker:
    """After the rows of the last answer were checked, `bad` of them in vain."""
    window = _recent(b.window, now)
    if b.state not in _SERVING or not window:
        return b
    last = replace(window[-1], rows=window[-1].rows + rows, bad=window[-1].bad + bad)
    return _regraded(replace(b, window=(*window[:-1], last)), now)


def force(b: Breaker, by: str, why: str, now: datetime) -> Breaker:
    """Open without an end, whatever it was. One that is forced already takes the new cause."""
    forced = replace(b, why=one_line(why)) if b.state is State.FORCED_OPEN else _moved(b, State.FORCED_OPEN, now, why)
    return replace(forced, by=by)


def reset(b: Breaker, now: datetime) -> Breaker:
    """What an operator does once the cause is gone: an open breaker is tested at once, any other but one under test starts afresh."""
    if b.state is State.HALF_OPEN:
        return b
    if b.state not in _SERVING:
        return replace(_moved(b, State.HALF_OPEN, now, f"reset; it was {b.state}: {b.why}"), trips=1, alarms=())
    return replace(b if b.state is State.CLOSED else _moved(b, State.CLOSED, now, "reset"), window=(), trips=0, alarms=())


def forgive(b: Breaker, since: datetime, now: datetime) -> Breaker:
    """Take back the failures of this last while: it was the network that was down. One that they opened is closed again, or under test
    where it had been open before."""
    window = tuple(o for o in b.window if o.at < since or not o.failed)
    if b.state is State.OPEN and b.since >= since:
        tested = _moved(b, State.HALF_OPEN, now, "the network was down")
        b = replace(tested if b.trips > 1 else _moved(tested, State.CLOSED, now, "the network was down"), trips=max(0, b.trips - 1))
    return replace(b, window=window) if b.state in _SERVING else b


def slow_limit(b: Breaker) -> float:
    """Milliseconds above which an answer is slow."""
    return _SLOW_MOST if b.typical is None else min(max(_SLOW_LEAST, _SLOW_TIMES * b.typical), _SLOW_MOST)


def _moved(b: Breaker, to: State, now: datetime, why: str) -> Breaker:
    """The only way to another state. Nothing of what the old one was about stays."""
    if (b.state, to) not in LEGAL:
        msg = f"{b.state} -> {to}"
        raise Illegal(msg)
    moved = Breaker(now, to, b.generation + 1, b.trips, why=one_line(why), window=b.window, typical=b.typical, alarms=b.alarms)
    return replace(moved, calm_since=now) if to is State.CLOSED else moved


def _opened(b: Breaker, v: Verdict, now: datetime, dice: Dice, why: str) -> Breaker:
    """Rows 2 and 7. A last resort that failed leaves n and the wait as they were, unless there is a reason for a longer one."""
    trips = b.trips if b.until else b.trips + 1
    wait = _wait(trips, dice) * (_WALL if v.open_now else 1.0)
    wish = min(v.retry_after or 0.0, _DAY.total_seconds())
    asked = wish > wait
    until = now + timedelta(seconds=wish if asked else wait)
    if b.until and b.until > (until if asked or v.open_now else now):
        until, asked = b.until, b.asked
    return replace(_moved(b, State.OPEN, now, why), trips=trips, until=until, asked=asked)


def _wait(trips: int, dice: Dice) -> float:
    return _WAITS[min(trips, len(_WAITS) - 1)] * dice.uniform(*_JITTER)


def _clock_set_back(b: Breaker, now: datetime, dice: Dice) -> Breaker:
    """Row 12: a wait is explained by a Retry-After of a day, or by the longest that n gives, or by what was set when it opened."""
    if b.until is None:
        return b
    longest = timedelta(seconds=_WAITS[-1] * _JITTER[1])
    explained = _DAY if b.asked else min(max(longest, b.until - b.since), longest * _WALL)
    if b.until - now <= explained:
        return b
    return replace(b, since=min(b.since, now), until=now + timedelta(seconds=_wait(b.trips, dice)), asked=False)


def _runs(lease: Lease, now: datetime) -> bool:
    """Does it hold still? One that ends later than any could is of a clock that was set back."""
    return timedelta(0) < lease.until - now <= _LONGEST_LEASE


def _probed(b: Breaker, v: Verdict, now: datetime, dice: Dice) -> Breaker:
    """Rows 5 to 8. A failure counts at any time, a success only while its lease runs, and once."""
    if v.counts and (v.units or v.open_now):
        return _opened(b, v, now, dice, f"a probe failed: {v.why}")
    if b.lease is None or not _runs(b.lease, now) or not v.counts:
        return replace(b, lease=None)
    good, slow = b.good + 1, b.slow + (v.ms > slow_limit(b))
    if good < _PROBES:
        return replace(b, lease=None, until=None, asked=False, good=good, slow=slow)
    why = f"{good} good probes in a row, {slow} of them slow"
    return replace(_moved(b, State.DEGRADED if slow else State.CLOSED, now, why), window=())


def _counted(b: Breaker, v: Verdict, now: datetime, dice: Dice, alternates: int | None) -> Breaker:
    """Rows 11, 2, and then 1 and 3."""
    outcome = Outcome(now, v.units, v.ms, not v.units and v.ms > slow_limit(b))
    window = _recent((*b.window, outcome), now)[-_LAST:]
    trips, calm_since = _calmed(b, v.units, now)
    b = replace(b, since=min(b.since, now), window=window, trips=trips, calm_since=calm_since)
    if v.open_now:
        return _opened(b, v, now, dice, v.why or "walled off")
    if (row := _in_a_row(window)) >= _IN_A_ROW:
        return _opened(b, v, now, dice, f"{row} failures in a row, the last: {v.why}")
    why = _high(window, (_THRESHOLDS.get(alternates, _THRESHOLD_OF_MANY),))
    return _opened(b, v, now, dice, why) if why else _regraded(b, now)


def _calmed(b: Breaker, failed: int, now: datetime) -> tuple[int, datetime | None]:
    """Row 11: n, and since when nothing failed."""
    if b.state is not State.CLOSED or not b.trips:
        return b.trips, b.calm_since
    since = min(b.calm_since or now, now)
    tens = (now - since) // _CALM
    return max(0, b.trips - tens), now if failed else since + tens * _CALM


def _regraded(b: Breaker, now: datetime) -> Breaker:
    """Rows 1 and 3."""
    if b.state is State.CLOSED:
        why = _high(b.window, _DEGRADES)
        return _moved(b, State.DEGRADED, now, why) if why else b
    tried = b.window[-_TRIED:]
    if now - b.since < _TRIAL or _high(tried, _RECOVERS, few="too few to tell"):
        return b
    return replace(_moved(b, State.CLOSED, now, f"the last {len(tried)} outcomes were sound"), window=tried)


def _recent(window: tuple[Outcome, ...], now: datetime) -> tuple[Outcome, ...]:
    """Those of the last 300 s, and the failures in a row before now. What lies further ahead than that is of a clock that was set back."""
    oldest, newest = now - _SPAN, now + _SPAN
    in_a_row = len(window) - sum(1 for _ in takewhile(attrgetter("failed"), reversed(window)))
    return tuple([o for n, o in enumerate(window) if (oldest if n < in_a_row else now - _HOUR) <= o.at <= newest])


def _in_a_row(window: tuple[Outcome, ...]) -> int:
    return sum(o.failed for o in takewhile(attrgetter("failed"), reversed(window)))


def _rates(window: tuple[Outcome, ...]) -> tuple[tuple[int, int], ...]:
    """Part and whole of each rate: outcomes that failed, outcomes that were slow, rows that were bad."""
    outcomes = failed = slow = rows = bad = 0
    for o in window:
        outcomes += o.failed or 1
        failed += o.failed
        slow += o.slow
        rows += o.rows
        bad += o.bad
    return (failed, outcomes), (slow, outcomes), (bad, rows)


def _high(window: tuple[Outcome, ...], limits: tuple[float, ...], few: str = "") -> str:
    """The first rate that is not below its limit, in words; `few` where there are too few outcomes for a rate."""
    rates = _rates(window)
    if rates[0][1] < _FEWEST:
        return few
    for (part, whole), limit, of in zip(rates, limits, _OF, strict=False):
        if whole and part / whole >= limit:
            return f"{part} of {whole} {of} ({part / whole:.1%}, the limit is {limit:.0%})"
    return ""


def explain(b: Breaker, now: datetime) -> tuple[str, ...]:
    """The sums behind its state, a line each."""
    window, n = _recent(b.window, now), _calmed(b, 0, now)[0]
    made = "none is typical yet"
    if b.typical is not None:
        made = f"{_SLOW_TIMES:g} x {b.typical:.0f} ms, held between {_SLOW_LEAST:.0f} and {_SLOW_MOST:.0f} ms"
    lines = (
        f"{b.state} since {b.since:{_TIME}}{f', by {b.by}' if b.by else ''}: {b.why or 'nothing has happened yet'}",
        f"not before {b.until:{_TIME}}{', as the provider asked' if b.asked else ''}" if b.until else "",
        f"{b.good} of {_PROBES} good probes, {b.slow} slow" if b.state is State.HALF_OPEN else "",
        f"{b.lease.holder} is testing it, until {b.lease.until:{_TIME}} at most" if b.lease else "",
        *(
            f"{part} of {whole} {of} ({part / max(whole, 1):.1%}): degraded from {degrades:.0%}, sound below {recovers:.0%}"
            for (part, whole), of, degrades, recovers in zip(_rates(window), _OF, _DEGRADES, _RECOVERS, strict=True)
        ),
        _high(window, (), few=f"no rate counts: fewer than {_FEWEST} outcomes in {_SPAN.seconds} s"),
        f"{_in_a_row(window)} failures in a row: open from {_IN_A_ROW}, or from 50% failed (30% if two others are healthy, 70% if none is)",
        f"slow is above {slow_limit(b):.0f} ms: {made}",
        f"n is {n}: the next wait is {_WAITS[min(n + 1, len(_WAITS) - 1)]:.0f} s, give or take 20%",
        f"{len(b.alarms)} security alarms: {_ALARMS} within an hour force it open" if b.alarms else "",
    )
    return tuple(line for line in lines if line)


_INT, _TEXT, _MS, _NONE = frozenset({int}), frozenset({str}), frozenset({int, float}), frozenset({type(None)})
_FLAG, _LIST = frozenset({bool}), frozenset({list})
_COLUMNS = (_INT, _INT, _MS, _FLAG, _INT, _INT)  # of the window, as it is stored
_ROW = (
    *(_INT, _TEXT, _INT, _INT, _INT | _NONE, _FLAG, _TEXT, _TEXT, _TEXT | _NONE, _INT | _NONE),
    *(_INT, _INT, _LIST, _MS | _NONE, _INT | _NONE, _LIST),
)


def dump(b: Breaker) -> str:
    """JSON: the fields in their order, instants as epoch microseconds."""
    import orjson

    holder, leased = (b.lease.holder, b.lease.until) if b.lease else (None, None)
    window = [((o.at - _EPOCH) // _MICROSECOND, o.failed, o.ms, o.slow, o.rows, o.bad) for o in b.window]
    head = b.since, b.state, b.generation, b.trips, b.until, b.asked, b.why, b.by, holder, leased, b.good, b.slow
    return orjson.dumps((*head, window, b.typical, b.calm_since, b.alarms), _stored, orjson.OPT_PASSTHROUGH_DATETIME).decode()


def _stored(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def load(text: str) -> Breaker:
    """The breaker that was dumped. Raises ValueError for anything else."""
    import orjson

    try:
        return _loaded(orjson.loads(text))
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"not a breaker: {text[:80]!r}"
        raise ValueError(msg) from error


def _loaded(row: Any) -> Breaker:  # noqa: ANN401  JSON is whatever it is
    since, state, generation, trips, until, asked, why, by, holder, leased, good, slow, window, typical, calm, alarms = row
    if not all(map(contains, _ROW, map(type, row))) or min(generation, trips, good, slow) < 0:
        raise TypeError
    if window and not all(map(frozenset.issuperset, _COLUMNS, (map(type, c) for c in zip(*window, strict=True)))):
        raise TypeError
    outcomes = tuple([Outcome(_EPOCH + us * _MICROSECOND, failed, ms, late, rows, bad) for us, failed, ms, late, rows, bad in window])
    if (holder is None) is not (leased is None):
        raise TypeError
    lease = None if holder is None else Lease(holder, _at(leased))
    head = _at(since), State(state), generation, trips, _at(until), asked, why, by, lease, good, slow
    return Breaker(*head, outcomes, typical, _at(calm), tuple([_EPOCH + us * _MICROSECOND for us in alarms]))


def _at(stored: Any) -> Any:  # noqa: ANN401  None stays None
    return None if stored is None else _EPOCH + stored * _MICROSECOND
