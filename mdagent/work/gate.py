"""One guarded request after another, for one conversation: reserve, send, classify, record, and again if it is worth it.

Nothing else sends. A conversation that dies of an answer worth a second try is begun anew; what it was told before is told
again from memory, so only the request that failed goes out twice.
"""

# long because: all that one request passes on its way stands in one place

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from mdagent.guard.allowance import Allowance
from mdagent.guard.backoff import Dice, block_for, next_pause, read_counts, read_remaining, read_retry_after
from mdagent.guard.cost import walls
from mdagent.guard.limits import Denied, Grant, Refusal, span
from mdagent.guard.outcome import Attempt, Charge, ConversationFailed, Failure, FailureKind, Retry
from mdagent.market import Priority
from mdagent.sources.base import COST
from mdagent.store.quota import NO_RULES, Lesson, Reservation, Rules, look
from mdagent.store.recall import failed_since, sent_since
from mdagent.store.retries import take_retry
from mdagent.wire.bounds import Limits, WireFailed
from mdagent.work.addresses import Addresses
from mdagent.work.exchange import Exchange, Telling
from mdagent.work.paywalls import Paywalls
from mdagent.work.telling import cleaned, counts_in, impostor, memory_of, network_down

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import httpx

    from mdagent.clock import Clock
    from mdagent.guard.limits import Window
    from mdagent.sources.base import Conversation, Source
    from mdagent.store.ledger import Ledger
    from mdagent.wire.spool import Spool

T = TypeVar("T")
_log = logging.getLogger(__name__)
_QUIET = 600.0  # seconds between two tellings of one thing that is waited for
_HOUR = timedelta(hours=1)
_SYMBOL_MEMORY = timedelta(hours=24)
_OURS, _LATELY = 5, timedelta(minutes=10)  # so many requests in that time that a source did not understand are held to be our fault
_SHARE = 0.6  # of the time that is left, while others could still answer: who only drips is not to use up all of it
_TESTED = 0.4  # the same of a source that failed lately, and is asked only to see whether it does still
_SHORTEST_WAIT = 0.02
_TURNS = 8  # of the event loop, within which a request that may go is written to its connection
MISTAKEN = "mistaken: "  # begins the reason why a symbol is not asked for, where the source takes it for another


class Sender(Protocol):
    """The wire, as far as the gate sees it."""

    async def send(self, request: httpx.Request, limits: Limits) -> httpx.Response:
        """A fully read answer. Raises WireFailed."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about one source, taken whole between two requests."""

    windows: tuple[Window, ...]
    limits: Limits
    concurrency: int
    cooldown: float
    bases: tuple[str, ...]
    secrets: tuple[str, ...] = ()
    rules: Rules = NO_RULES
    usd: float = 0.0  # of one credit


@dataclass(frozen=True, slots=True)
class Call:
    """What the user asked of one source. `deadline` is on the monotonic clock; the time that it waits for its turn or for quota,
    at most `patience` seconds, is not counted. The first answer is waited for `choice` seconds at most: as long as nothing is paid for,
    another source may be asked instead. `last_resort`: all other sources are down, so that an open breaker may be probed.
    `others`: sources follow that can be asked instead, so that what is worth one more try is tried there and not here.
    `anyway`: ask also for what the plan did not include when it was asked for before. `afresh`: no answer of before will do."""

    endpoint: str
    subject: str
    deadline: float
    patience: float = 0.0
    interval: str = ""
    priority: Priority = Priority.NORMAL
    last_resort: bool = False
    others: bool = False
    anyway: bool = False
    afresh: bool = False
    choice: float = inf


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """A value, or the failure that ended the call, or both where pages came before it; and every attempt on the way."""

    value: T | None
    failure: Failure | None
    attempts: tuple[Attempt, ...]
    spooled: tuple[str, ...] = ()  # the answers that the spool is to forget once this is stored
    came: datetime | None = None  # when the oldest of them came, where that was not now

    @classmethod
    def of(cls, value: T | None, failure: Failure | None, telling: Telling) -> Result[T]:
        """What a call has come to."""
        return cls(value, failure, tuple(telling.attempts), tuple(telling.spooled), telling.came)


_SPOOLED = ("bars", "batch")  # what goes into the store
_CUT_SHORT = Failure(FailureKind.CANCELLED, "stopped before the answer came")


@dataclass(slots=True)
class Gate:
    """The door. `policy` is asked anew before every request, `say` is told what a person waits for; `allowance` bounds the whole run."""

    ledger: Ledger
    wire: Sender
    clock: Clock
    dice: Dice
    run: str
    policy: Callable[[str], Policy]
    say: Callable[[str], None]
    world: str
    allowance: Allowance = field(default_factory=Allowance)
    spool: Spool | None = None
    slept: float = 0.0  # seconds that all calls together have waited for quota
    _places: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _degraded: set[str] = field(default_factory=set)
    _told: dict[tuple[str, str], float] = field(default_factory=dict)  # from when a wait is told of again
    _paywalls: Paywalls = field(init=False)
    _addresses: Addresses = field(init=False)

    def __post_init__(self) -> None:
        self._paywalls, self._addresses = Paywalls(self.ledger, self.clock), Addresses(self.ledger, self.clock)

    async def converse(self, source: Source, begin: Callable[[], Conversation[T]], call: Call) -> Result[T]:
        """Drive one conversation to its end. Raises StoreError when the ledger fails; every other failure is in the result."""
        telling = Telling()
        while True:
            try:
                value = await self._drive(source, begin(), call, telling)
            except ConversationFailed as error:
                pause = self._pause(source.spec.name, error.failure, telling, call)
                if pause is None:
                    shut = error.failure.kind is FailureKind.BREAKER_OPEN  # by the failure before, which says more
                    told = telling.last if shut and telling.last else error.failure
                    return Result.of(cast("T | None", error.partial), told, telling)
                telling.tried, telling.last = telling.tried + 1, error.failure
                self.say(f"{source.spec.name}: {error.failure.detail}; trying again in {pause:.1f} s")
                await self.clock.sleep(pause)
            else:
                return Result.of(value, None, telling)

    def tell_wait(self, name: str, reason: str, words: str) -> None:
        """Say what is waited for, of each source and reason once in a while, however many wait."""
        now, key = self.clock.monotonic(), (name, reason)
        if now >= self._told.get(key, now):
            self._told[key] = now + _QUIET
            self.say(words)

    async def rest(self, seconds: float) -> None:
        """Wait for quota."""
        await self.clock.sleep(seconds)
        self.slept += seconds

    async def _drive(self, source: Source, talk: Conversation[T], call: Call, telling: Telling) -> T:
        """One telling of the conversation. A failure is thrown into it, since it may know how to go on without this answer."""
        try:
            request = next(talk)
            while True:
                exchange = telling.known.get(memory_of(request)) or await self._exchange(source, request, call, telling)
                try:
                    reply = exchange.reply
                    request = talk.throw(ConversationFailed(exchange.failure)) if reply is None else talk.send(reply)
                except ConversationFailed as error:
                    self._settle(exchange, error.failure, telling)
                    if error.failure.kind is FailureKind.MISMATCH and call.endpoint != "batch":  # the answer is about something else
                        words = f"{MISTAKEN}{error.failure.detail}"
                        self.ledger.remember_unknown(source.spec.name, call.subject, self.clock.now() + _HOUR, words)
                    telling.known = {k: v for k, v in telling.known.items() if v is not exchange}
                    raise
                except StopIteration:
                    self._settle(exchange, None, telling)
                    raise
                self._settle(exchange, None, telling)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            talk.close()

    async def _exchange(self, source: Source, request: httpx.Request, call: Call, telling: Telling) -> Exchange:
        """Send one request; what comes of it is settled at once where it failed, else when the conversation has read it."""
        name, policy = source.spec.name, self.policy(source.spec.name)
        spooled = None if self.spool is None or call.afresh or call.endpoint not in _SPOOLED else self.spool
        exchange = self._recalled(spooled, source, request, call, telling) if spooled else None
        if exchange is None:
            exchange = await self._guarded(source, request, call, telling)
            if exchange.reply is not None:
                self._welcome(name, exchange, policy)
            if exchange.reply is not None and spooled:
                kept = spooled.keep(policy.rules.account or name, memory_of(request), exchange.reply, policy.secrets)
                telling.spooled += [kept] if kept else []
        telling.known[memory_of(request)] = exchange
        await self._give_way(exchange, telling)
        return exchange

    async def _give_way(self, exchange: Exchange, telling: Telling) -> None:
        """Let the request that waited for this one's place go on its way before the answer is read."""
        try:
            for _ in range(_TURNS):
                await self.clock.sleep(0)
        except asyncio.CancelledError:  # it was answered, so it is charged
            self._settle(exchange, exchange.failure, telling)
            raise

    def _recalled(self, spool: Spool, source: Source, request: httpx.Request, call: Call, telling: Telling) -> Exchange | None:
        """The answer that another process was given to the same request and did not live to keep."""
        account = self.policy(source.spec.name).rules.account or source.spec.name
        held = spool.recall(account, memory_of(request))
        if held is None:
            return None
        held.reply.request = request
        telling.spooled.append(held.name)
        telling.came = min(held.at, telling.came or held.at)
        attempt = Attempt(source.spec.name, call.endpoint, request.url.netloc.decode(), held.at, 0.0, held.reply.status_code, 0, None)
        return Exchange(None, attempt, held.reply, _CUT_SHORT)

    def _welcome(self, name: str, exchange: Exchange, policy: Policy) -> None:
        """A good answer ends the row of strikes; what it says of the quota is believed where it lowers what we think is left."""
        now, account, grant, reply = self.clock.now(), policy.rules.account, exchange.grant, cast("httpx.Response", exchange.reply)
        block = None if grant is None or grant.plain else self.ledger.blocked(name, account)
        if block and block.until <= now:
            self.ledger.unblock(name, account)
        headers = {k.lower(): v for k, v in reply.headers.items()}
        rest, counts = read_remaining(headers, now), read_counts(headers)
        window = next((w for w in policy.windows if counts and w.limit == counts.limit), None)
        if rest and (window is None or window in walls(policy.windows, policy.rules.overage)):
            self.ledger.block(name, rest, f"{name} says that nothing is left of its quota", account=account)
        if counts and window:
            self.ledger.correct(name, window, counts.left, account)

    async def _guarded(self, source: Source, request: httpx.Request, call: Call, telling: Telling) -> Exchange:
        """Reserve and send. A place of the source is held while a request is on its way, not while it waits for quota: whoever waits for
        that stands in the queue of the ledger, where the others see it."""
        name, policy = source.spec.name, self.policy(source.spec.name)
        cost = request.extensions.get(COST, 1)
        barred = None if call.anyway else self._paywalls.before(name, policy.rules.account or name, request)
        barred = barred or self.allowance.refusal(cost, cost * policy.usd, self.clock.monotonic())
        got = barred or await self._reserve(name, policy, request, call, telling)
        if isinstance(got, Failure):
            attempt = Attempt(name, call.endpoint, request.url.netloc.decode(), self.clock.now(), 0.0, None, 0, got, sent=False)
            telling.attempts.append(attempt)
            return Exchange(None, attempt, None, got)
        grant, place = got
        try:
            return await self._granted(source, request, call, telling, grant)
        finally:
            place.release()

    async def _granted(self, source: Source, request: httpx.Request, call: Call, telling: Telling, grant: Grant) -> Exchange:
        """Send what may go, to the address that does best by now."""
        name, policy = source.spec.name, self.policy(source.spec.name)
        request = self._addresses.place(name, request, policy.bases, telling.attempts)
        self._note_health(name, grant, telling)
        began, start = self.clock.now(), self.clock.monotonic()
        exchange = Exchange(grant, Attempt(name, call.endpoint, request.url.netloc.decode(), began, 0.0, None, 0, None), None, _CUT_SHORT)
        cost = request.extensions.get(COST, 1)
        late = self.allowance.take(grant.token, cost, cost * policy.usd + grant.overage, start)  # others took of it while this one waited
        if late is not None:
            exchange = replace(exchange, failure=late, sent=False)
            self._settle(exchange, late, telling)
            return exchange
        try:
            left = call.deadline + telling.waited - start
            share = _TESTED if grant.probe else _SHARE
            seconds = min(policy.limits.total, left * share if call.others and not call.patience else left)
            exchange = await self._send(source, request, exchange, seconds)
        finally:  # cancelled on the way, too: it was sent, so it is charged
            ms = 1000 * (self.clock.monotonic() - start)
            exchange = replace(exchange, attempt=replace(exchange.attempt, ms=ms))
            if exchange.reply is None:
                if self._settle(exchange, exchange.failure, telling):
                    exchange = replace(exchange, failure=network_down(exchange.failure))
                self._consequences(source, policy, exchange, call)
                if exchange.failure.kind is FailureKind.PLAN_LIMIT:
                    self._paywalls.remember(policy.rules.account or name, request, exchange.failure)
        return exchange

    def _note_health(self, name: str, grant: Grant, telling: Telling) -> None:
        """A source that is degraded gets half as many requests at once, and none twice."""
        telling.once = grant.degraded or grant.probe
        (self._degraded.add if grant.degraded else self._degraded.discard)(name)

    async def _reserve(
        self, name: str, policy: Policy, request: httpx.Request, call: Call, telling: Telling
    ) -> tuple[Grant, asyncio.Semaphore] | Failure:
        """A grant and the place that is held with it, waiting for one as long as deadline or patience allow; else why there is none."""
        cost, host, ticket = request.extensions.get(COST, 1), request.url.netloc.decode(), None
        what = Reservation(call.endpoint, host, self.run, call.subject, cost, cost * policy.usd, call.interval, call.priority)
        try:
            while True:
                most = call.patience if telling.known else min(call.patience, call.choice)
                left = max(most - telling.waited, call.deadline + telling.waited - self.clock.monotonic())
                what = replace(what, patience=left, ticket=ticket, last_resort=call.last_resort)
                answer, place = await self._try(name, policy, what, telling)
                ticket = answer.ticket if isinstance(answer, Refusal) else None
                if isinstance(answer, Grant):
                    return answer, place
                if isinstance(answer, Denied):
                    return Failure(answer.kind, f"{name}: {answer.reason}", until=answer.until)
                told = f"{answer.reason}; free again at {answer.until:%Y-%m-%d %H:%M:%S}Z"
                if ticket is None:
                    return Failure(FailureKind.THROTTLED, f"{name}: {told}", until=answer.until)
                self.tell_wait(name, answer.reason, f"waiting {answer.wait:.1f} s for {name}: {told}")
                wait = max(look(answer.wait), _SHORTEST_WAIT)
                await self.rest(wait)
                telling.waited += wait
        finally:
            if ticket is not None:  # cancelled
                self.ledger.leave(ticket)

    async def _try(
        self, name: str, policy: Policy, what: Reservation, telling: Telling
    ) -> tuple[Grant | Refusal | Denied, asyncio.Semaphore]:
        """What the ledger says, asked with a place in hand, which is kept where the request may go."""
        place, queued = self._place(name, policy.concurrency), self.clock.monotonic()
        await place.acquire()
        telling.waited += self.clock.monotonic() - queued
        answer: Grant | Refusal | Denied | None = None
        try:
            answer = self.ledger.reserve(name, policy.windows, what=what, rules=policy.rules)
        finally:
            if not isinstance(answer, Grant):
                place.release()
        return answer, place

    async def _send(self, source: Source, request: httpx.Request, exchange: Exchange, seconds: float) -> Exchange:
        """The answer, or the failure that the wire, the status or the body tells."""
        policy = self.policy(source.spec.name)
        if seconds <= 0:
            return replace(
                exchange, failure=Failure(FailureKind.DEADLINE, "the deadline passed before the request could be sent"), sent=False
            )
        try:
            reply = await self.wire.send(request, replace(policy.limits, total=seconds))
        except WireFailed as error:
            return replace(exchange, failure=cleaned(error.failure, policy.secrets), sent=error.sent)
        told = counts_in(reply, policy.secrets)
        attempt = replace(exchange.attempt, status=reply.status_code, size=len(reply.content), headers=told)
        failure = impostor(reply, self.world) or source.error_in(reply)
        if failure is None:
            return replace(exchange, attempt=attempt, reply=reply)
        wait = read_retry_after(reply.headers.get("retry-after"), reply.headers.get("date"), self.clock.now())
        unwanted = failure.kind is FailureKind.RATE_LIMITED and wait is None
        unwanted = unwanted and sent_since(self.ledger, source.spec.name, self.clock.now() - _HOUR) <= 1
        if unwanted:
            detail = f"{source.spec.name} refuses this client (HTTP 429 on its first request): blocked, not a quota that was spent"
            failure = replace(failure, detail=detail)
        failure = cleaned(replace(failure, retry_after=wait), policy.secrets)
        return replace(exchange, attempt=attempt, failure=failure, unwanted=unwanted)

    def remember_unknown(self, name: str, symbol: str, failure: Failure) -> None:
        """No process asks this source for this symbol again before a day has passed."""
        self.ledger.remember_unknown(name, symbol, self.clock.now() + _SYMBOL_MEMORY, failure.detail)

    def forget(self, result: Result[Any]) -> None:
        """What came of that is in the store, or will never be: another process need not be given the answers."""
        if self.spool is not None and result.spooled:
            self.spool.forget(result.spooled)

    def blame(self, attempts: Sequence[Attempt], failure: Failure) -> None:
        """The answer was read without fault, and its bars turned out to be of no use: the last attempt failed after all."""
        told = [a.token for a in attempts if a.token is not None]
        if told:
            self.ledger.amend(told[-1], failure)

    def judged(self, attempts: Sequence[Attempt], rows: int, bad: int, score: float, fields: tuple[float, float]) -> None:
        """What the last answer was worth: its rows, those that were refused, the grade of the others, and of their prices and volumes."""
        told = [a.token for a in attempts if a.token is not None]
        if told:
            self.ledger.judge(told[-1], rows, bad, score, fields)

    def _settle(self, exchange: Exchange, failure: Failure | None, telling: Telling) -> bool:
        """Write the attempt into the ledger and the report, once. True where it is the network that is down."""
        grant = exchange.grant
        if grant is None or grant.token in telling.settled:
            return False
        telling.settled.add(grant.token)
        attempt = replace(exchange.attempt, failure=failure, sent=exchange.sent, token=grant.token)
        telling.attempts.append(attempt)
        charge = failure.consequence.charge if failure else Charge.CHARGED
        refund = not exchange.sent and charge in (Charge.REFUNDED, Charge.UNLESS_SENT)
        self.allowance.settle(grant.token, refund=refund)
        policy = self.policy(attempt.source)
        spared = self._addresses.spares(attempt, policy.bases)
        lesson = Lesson(attempt.source, policy.windows, policy.rules, grant.generations, exchange.unwanted, spared)
        down = self.ledger.settle(grant.token, attempt, refund=refund, lesson=lesson)
        _log.info("%s %s: %s in %.0f ms", attempt.source, attempt.endpoint, failure.kind if failure else attempt.status, attempt.ms)
        return down

    def _consequences(self, source: Source, policy: Policy, exchange: Exchange, call: Call) -> None:
        """What every process is to know of this failure: a block, an unknown symbol."""
        failure, name = exchange.failure, source.spec.name
        if failure.kind is FailureKind.UNKNOWN_SYMBOL and call.endpoint not in ("search", "batch"):
            self.remember_unknown(name, call.subject, failure)
        account, now = policy.rules.account, self.clock.now()
        if failure.kind is FailureKind.BAD_REQUEST and failed_since(self.ledger, account or name, failure.kind, now - _LATELY) % _OURS == 0:
            self.say(f"{name} refused {_OURS} requests as bad ones within ten minutes: is this mdagent older than what {name} expects?")
        block = self.ledger.blocked(name, account)
        recent = block and now - block.until < _HOUR
        together = block is not None and exchange.attempt.began <= block.since  # sent before the last refusal came: no strike of its own
        strikes = block.strikes - together if block and recent else 0
        seconds = block_for(failure, strikes, policy.cooldown, self.dice)
        if failure.kind is FailureKind.QUOTA_EXHAUSTED and failure.retry_after is None:
            resets = [span(w, now)[1] for w in policy.windows if isinstance(w.per, str)]
            seconds = (min(resets) - now).total_seconds() if resets else seconds
        if seconds is None and failure.kind is FailureKind.SERVER_ERROR:
            seconds = failure.retry_after
        if seconds:
            words = f"{name} asked to be left alone ({failure.kind})"
            self.ledger.block(name, seconds, words, fresh=not recent, account=account, together=together)

    def _pause(self, name: str, failure: Failure, telling: Telling, call: Call) -> float | None:
        left, bases = call.deadline + telling.waited - self.clock.monotonic(), self.policy(name).bases
        if telling.once or left <= 0:
            return None
        if self._addresses.another(failure, telling.attempts, bases, others=call.others):
            return 0.0
        if call.others and failure.consequence.retry is Retry.ONCE:
            return None
        if failure.consequence.retry in (Retry.NO, Retry.AFTER_BLOCK):
            return None
        return take_retry(self.ledger, name, lambda budget: next_pause(failure, telling.tried, left, budget, self.dice))

    def _place(self, name: str, concurrency: int) -> asyncio.Semaphore:
        if name in self._degraded and concurrency > 1:
            return self._places.setdefault(f"{name} degraded", asyncio.Semaphore(concurrency // 2))
        return self._places.setdefault(name, asyncio.Semaphore(concurrency))
