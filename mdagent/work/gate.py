"""One guarded request after another, for one conversation: reserve, send, classify, record, and again if it is worth it.

Nothing else sends. A conversation that dies of an answer worth a second try is begun anew; what it was told before is told
again from memory, so only the request that failed goes out twice.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from mdagent.guard.backoff import Budget, Dice, block_for, next_pause, read_remaining, read_retry_after
from mdagent.guard.limits import Grant, Never
from mdagent.guard.outcome import Attempt, Charge, ConversationFailed, Failure, FailureKind
from mdagent.sources.base import COST
from mdagent.store.ledger import Reservation
from mdagent.untrusted import one_line, without
from mdagent.wire.bounds import Limits, WireFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from mdagent.clock import Clock
    from mdagent.guard.limits import Window
    from mdagent.sources.base import Conversation, Source
    from mdagent.store.ledger import Ledger

T = TypeVar("T")
_log = logging.getLogger(__name__)
_MEMORY = 600.0  # seconds of requests that the retry budget looks back on
_HOUR = timedelta(hours=1)
_SYMBOL_MEMORY = timedelta(hours=24)
_COUNTS = re.compile(r"date|age|retry-after|[a-z0-9-]*(rate-?limit|credits|messages|quota)[a-z0-9-]*")
_MOST_COUNTS = 16


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
    hosts: tuple[str, ...]
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """What the user asked of one source. `deadline` is on the monotonic clock; the time that it waits for its turn or for quota,
    at most `patience` seconds, is not counted."""

    endpoint: str
    subject: str
    deadline: float
    patience: float = 0.0


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """A value, or the failure that ended the call, or both where pages came before it; and every attempt on the way."""

    value: T | None
    failure: Failure | None
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back: a reply that the conversation is to read, or else a failure. `token` is its row in the ledger."""

    token: int | None
    attempt: Attempt
    reply: httpx.Response | None
    failure: Failure
    sent: bool = True


@dataclass(slots=True)
class Telling:
    """What one call has come to so far: tries begun, attempts made, answers that need not be asked for again."""

    tried: int = 1
    waited: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    known: dict[str, Exchange] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)


_CUT_SHORT = Failure(FailureKind.CANCELLED, "stopped before the answer came")


@dataclass(slots=True)
class Gate:
    """The door. `policy` is asked anew before every request, `say` is told what a person waits for."""

    ledger: Ledger
    wire: Sender
    clock: Clock
    dice: Dice
    run: str
    policy: Callable[[str], Policy]
    say: Callable[[str], None]
    world: str
    _places: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _sent: deque[tuple[float, bool]] = field(default_factory=deque)  # when, and was it a retry

    async def converse(self, source: Source, begin: Callable[[], Conversation[T]], call: Call) -> Result[T]:
        """Drive one conversation to its end. Raises StoreError when the ledger fails; every other failure is in the result."""
        telling = Telling()
        while True:
            try:
                value = await self._drive(source, begin(), call, telling)
            except ConversationFailed as error:
                pause = self._pause(error.failure, telling, call)
                if pause is None:
                    return Result(cast("T | None", error.partial), error.failure, tuple(telling.attempts))
                telling.tried += 1
                self.say(f"{source.spec.name}: {error.failure.detail}; trying again in {pause:.1f} s")
                await self.clock.sleep(pause)
            else:
                return Result(value, None, tuple(telling.attempts))

    async def _drive(self, source: Source, talk: Conversation[T], call: Call, telling: Telling) -> T:
        """One telling of the conversation. A failure is thrown into it, since it may know how to go on without this answer."""
        try:
            request = next(talk)
            while True:
                exchange = telling.known.get(_memory(request)) or await self._exchange(source, request, call, telling)
                try:
                    reply = exchange.reply
                    request = talk.throw(ConversationFailed(exchange.failure)) if reply is None else talk.send(reply)
                except ConversationFailed as error:
                    self._settle(exchange, error.failure, telling)
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
        request = _rehosted(request, policy.hosts, telling.tried)
        queued = self.clock.monotonic()
        async with self._place(name, policy.concurrency):
            telling.waited += self.clock.monotonic() - queued
            exchange = await self._guarded(source, request, call, telling)
        if exchange.reply is not None:
            self._welcome(name, exchange.reply)
        telling.known[_memory(request)] = exchange
        return exchange

    def _welcome(self, name: str, reply: httpx.Response) -> None:
        """A good answer ends the row of strikes; one that says nothing is left is believed."""
        now = self.clock.now()
        block = self.ledger.blocked(name)
        if block and block.until <= now:
            self.ledger.unblock(name)
        rest = read_remaining({k.lower(): v for k, v in reply.headers.items()}, now)
        if rest:
            self.ledger.block(name, rest, f"{name} says that nothing is left of its quota")

    async def _guarded(self, source: Source, request: httpx.Request, call: Call, telling: Telling) -> Exchange:
        """Reserve and send."""
        name, policy = source.spec.name, self.policy(source.spec.name)
        token = await self._reserve(name, policy, request, call, telling)
        if isinstance(token, Failure):
            attempt = Attempt(name, call.endpoint, request.url.host, self.clock.now(), 0.0, None, 0, token, sent=False)
            telling.attempts.append(attempt)
            return Exchange(None, attempt, None, token)
        began, start = self.clock.now(), self.clock.monotonic()
        exchange = Exchange(token, Attempt(name, call.endpoint, request.url.host, began, 0.0, None, 0, None), None, _CUT_SHORT)
        try:
            seconds = min(policy.limits.total, call.deadline + telling.waited - start)
            exchange = await self._send(source, request, exchange, seconds)
        finally:  # cancelled on the way, too: it was sent, so it is charged
            ms = 1000 * (self.clock.monotonic() - start)
            exchange = replace(exchange, attempt=replace(exchange.attempt, ms=ms))
            if exchange.reply is None:
                self._settle(exchange, exchange.failure, telling)
                self._consequences(source, policy, exchange, call)
        return exchange

    async def _reserve(self, name: str, policy: Policy, request: httpx.Request, call: Call, telling: Telling) -> int | Failure:
        """A token, waiting for one as long as deadline or patience allow; else why there is none."""
        what = Reservation(call.endpoint, request.url.host, self.run, call.subject, request.extensions.get(COST, 1))
        while True:
            answer = self.ledger.reserve(name, policy.windows, what=what)
            if isinstance(answer, Grant):
                return answer.token
            if isinstance(answer, Never):
                return Failure(FailureKind.PLAN_LIMIT, f"{name}: {answer.reason}")
            left = max(call.patience - telling.waited, call.deadline + telling.waited - self.clock.monotonic())
            told = f"{answer.reason}; free again at {answer.until:%Y-%m-%d %H:%M:%S}Z"
            if answer.wait > left:
                return Failure(FailureKind.THROTTLED, f"{name}: {told}", until=answer.until)
            self.say(f"waiting {answer.wait:.1f} s for {name}: {told}")
            await self.clock.sleep(answer.wait)
            telling.waited += answer.wait

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
            return replace(exchange, failure=_clean(error.failure, policy.secrets), sent=error.sent)
        told = _counts_in(reply, policy.secrets)
        attempt = replace(exchange.attempt, status=reply.status_code, size=len(reply.content), headers=told)
        failure = self._impostor(reply) or source.error_in(reply)
        if failure is None:
            return replace(exchange, attempt=attempt, reply=reply)
        wait = read_retry_after(reply.headers.get("retry-after"), reply.headers.get("date"), self.clock.now())
        if failure.kind is FailureKind.RATE_LIMITED and wait is None and self._first_of_the_hour(source.spec.name):
            detail = f"{source.spec.name} refuses this client (HTTP 429 on its first request): blocked, not a quota that was spent"
            failure = replace(failure, detail=detail)
        return replace(exchange, attempt=attempt, failure=_clean(replace(failure, retry_after=wait), policy.secrets))

    def _impostor(self, reply: httpx.Response) -> Failure | None:
        """A sandbox marks its answers, so that a base_url that leads to one cannot put synthetic bars among live ones."""
        if self.world != "live" or "x-mdagent-world" not in reply.headers:
            return None
        return Failure(
            FailureKind.MISMATCH, "the answer is synthetic: this base_url leads to a sandbox; use it with --sandbox", reply.status_code
        )

    def remember_unknown(self, name: str, symbol: str, failure: Failure) -> None:
        """No process asks this source for this symbol again before a day has passed."""
        self.ledger.remember_unknown(name, symbol, self.clock.now() + _SYMBOL_MEMORY, failure.detail)

    def blame(self, attempts: Sequence[Attempt], failure: Failure) -> None:
        """The answer was read without fault, and its bars turned out to be of no use: the last attempt failed after all."""
        told = [a.token for a in attempts if a.token is not None]
        if told:
            self.ledger.amend(told[-1], failure)

    def _first_of_the_hour(self, name: str) -> bool:
        return self.ledger.sent_since(name, self.clock.now() - _HOUR) <= 1

    def _settle(self, exchange: Exchange, failure: Failure | None, telling: Telling) -> None:
        """Write the attempt into the ledger and the report, once."""
        if exchange.token is None or exchange.token in telling.settled:
            return
        telling.settled.add(exchange.token)
        attempt = replace(exchange.attempt, failure=failure, sent=exchange.sent, token=exchange.token)
        telling.attempts.append(attempt)
        charge = failure.consequence.charge if failure else Charge.CHARGED
        refund = not exchange.sent and charge in (Charge.REFUNDED, Charge.UNLESS_SENT)
        self.ledger.settle(exchange.token, attempt, refund=refund)
        _log.info("%s %s: %s in %.0f ms", attempt.source, attempt.endpoint, failure.kind if failure else attempt.status, attempt.ms)
        self._sent.append((self.clock.monotonic(), telling.tried > 1))

    def _consequences(self, source: Source, policy: Policy, exchange: Exchange, call: Call) -> None:
        """What every process is to know of this failure: a block, an unknown symbol."""
        failure, name = exchange.failure, source.spec.name
        if failure.kind is FailureKind.UNKNOWN_SYMBOL and call.endpoint not in ("search", "batch"):
            self.remember_unknown(name, call.subject, failure)
        block = self.ledger.blocked(name)
        recent = block and self.clock.now() - block.until < _HOUR
        seconds = block_for(failure, block.strikes if block and recent else 0, policy.cooldown, self.dice)
        if seconds is None and failure.kind is FailureKind.SERVER_ERROR:
            seconds = failure.retry_after
        if seconds:
            self.ledger.block(name, seconds, f"{name} asked to be left alone ({failure.kind})", fresh=not recent)

    def _pause(self, failure: Failure, telling: Telling, call: Call) -> float | None:
        now = self.clock.monotonic()
        while self._sent and self._sent[0][0] < now - _MEMORY:
            self._sent.popleft()
        budget = Budget(len(self._sent), sum(again for _, again in self._sent))
        return next_pause(failure, telling.tried, call.deadline + telling.waited - now, budget, self.dice)

    def _place(self, name: str, concurrency: int) -> asyncio.Semaphore:
        return self._places.setdefault(name, asyncio.Semaphore(concurrency))


def _memory(request: httpx.Request) -> str:
    """What makes two requests one, whichever of a provider's hosts they went to."""
    return f"{request.method} {request.url.raw_path.decode()}"


def _rehosted(request: httpx.Request, hosts: tuple[str, ...], tried: int) -> httpx.Request:
    """A second try goes to the provider's next host, where it has several."""
    if tried == 1 or request.url.host not in hosts:
        return request
    there = hosts[(hosts.index(request.url.host) + tried - 1) % len(hosts)]
    headers = {k: v for k, v in request.headers.items() if k != "host"}
    return type(request)(request.method, request.url.copy_with(host=there), headers=headers, extensions=request.extensions)


def _counts_in(reply: httpx.Response, secrets: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The headers that tell the time and what is left of a quota. No others: one of them may hold a session or a key."""
    told = [(k.lower(), v) for k, v in reply.headers.items() if _COUNTS.fullmatch(k.lower())]
    return tuple((k, one_line(without(v, secrets), 80)) for k, v in told[:_MOST_COUNTS])


def _clean(failure: Failure, secrets: tuple[str, ...]) -> Failure:
    """The failure without any secret in its words."""
    return replace(failure, detail=one_line(without(failure.detail, secrets)))
