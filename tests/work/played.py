"""A provider that is played: its answers are written down beforehand, and what it was asked is written down too."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from mdagent.clock import VirtualClock, virtual_loop
from mdagent.guard.limits import Window
from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.sources.base import Adapter, Plan, SourceSpec
from mdagent.store.ledger import open_ledger
from mdagent.store.quota import NO_RULES, Rules
from mdagent.wire.bounds import Limits, WireFailed
from mdagent.work.gate import Call, Gate, Policy, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from mdagent.market import BarRequest, BarSet
    from mdagent.sources.base import Conversation
    from mdagent.store.ledger import Ledger

T = TypeVar("T")
START = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
HOSTS = ("one.example", "two.example")
MANY = (Window(1000, 60.0),)

SPEC = SourceSpec(
    name="parrot", title="Parrot", hosts=HOSTS, intervals={}, plans=(Plan("free", ()),), cooldown=300.0,
    delay=timedelta(0), concurrency=2, covers="words", terms="none", checked=date(2024, 1, 1),
)  # fmt: skip


class Parrot(Adapter):
    """A source whose answers are words: `bad` is none, `torn` is none either, and everything else is one."""

    spec = SPEC

    def __init__(self) -> None:
        super().__init__(SPEC.plans[0])

    def talk(self, *paths: str) -> Conversation[list[str]]:
        """Ask for each path in turn."""
        words = []
        for path in paths:
            reply = yield httpx.Request("GET", f"https://{HOSTS[0]}/{path}", headers={"x-mine": "kept"})
            words.append(self._read(reply))
        return words

    def patient(self, *paths: str) -> Conversation[list[str]]:
        """The same, but a path without data is passed over."""
        words = []
        for path in paths:
            try:
                reply = yield httpx.Request("GET", f"https://{HOSTS[0]}/{path}")
            except ConversationFailed as error:
                if error.failure.kind is not FailureKind.NO_DATA:
                    raise
                words.append("-")
            else:
                words.append(self._read(reply))
        return words

    def _read(self, reply: httpx.Response) -> str:
        kinds = {"torn": FailureKind.MALFORMED, "strange": FailureKind.SCHEMA}
        if reply.text in kinds:
            raise ConversationFailed(Failure(kinds[reply.text], f"the answer is {reply.text}"))
        return reply.text

    def error_in(self, reply: httpx.Response) -> Failure | None:
        kind = FailureKind.NO_DATA if reply.text == "nothing" else kind_of_status(reply.status_code, reply.text)
        return Failure(kind, f"HTTP {reply.status_code}: {reply.text}", reply.status_code) if kind else None

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        raise NotImplementedError


def says(text: str = "word", status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})


def fails(kind: FailureKind, *, sent: bool) -> WireFailed:
    return WireFailed(Failure(kind, "the wire failed"), sent=sent)


Played = httpx.Response | WireFailed | float  # an answer, a failure of the wire, or so many seconds of silence


@dataclass
class Stage:
    """Wire, ledger, clock and gate. `asked` is what went out: seconds after the start, and the address."""

    ledger: Ledger
    clock: VirtualClock
    answers: list[Played] = field(default_factory=list)
    windows: tuple[Window, ...] = MANY
    concurrency: int = 2
    secrets: tuple[str, ...] = ()
    rules: Rules = NO_RULES
    usd: float = 0.0
    luck: float = 0.5
    world: str = "live"
    bases: tuple[str, ...] = SPEC.bases
    asked: list[tuple[float, str]] = field(default_factory=list)
    limits: list[Limits] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0

    def uniform(self, a: float, b: float) -> float:
        """The dice."""
        return a + self.luck * (b - a)

    async def send(self, request: httpx.Request, limits: Limits) -> httpx.Response:
        """The wire."""
        self.asked.append((round(self.clock.monotonic(), 3), f"{request.url.host}{request.url.path}"))
        self.limits.append(limits)
        self.requests.append(request)
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            answer = self.answers.pop(0)
            if isinstance(answer, float):
                await self.clock.sleep(min(answer, limits.total))
                if answer > limits.total:
                    raise fails(FailureKind.TIMEOUT_READ, sent=True)
                answer = says()
            if isinstance(answer, WireFailed):
                raise answer
            return answer
        finally:
            self.busy -= 1

    def times(self) -> list[float]:
        """When each request went out, in seconds after the start."""
        return [at for at, _ in self.asked]

    def hosts(self) -> list[str]:
        """The first word of each host that was asked."""
        return [address.partition(".")[0] for _, address in self.asked]

    def policy(self, name: str) -> Policy:
        self.policies.append(name)
        return Policy(self.windows, Limits(), self.concurrency, SPEC.cooldown, self.bases, self.secrets, self.rules, self.usd)

    def gate(self) -> Gate:
        return Gate(self.ledger, self, self.clock, self, "run-1", self.policy, self.said.append, self.world)

    def ask(
        self, *paths: str, deadline: float = 60.0, gate: Gate | None = None, patience: float = 0.0, endpoint: str = "bars"
    ) -> Result[list[str]]:
        """The end of one conversation over these paths."""
        return self.drive(lambda: Parrot().talk(*paths), deadline=deadline, gate=gate, patience=patience, endpoint=endpoint)

    def drive(self, begin: Callable[[], Conversation[T]], *, deadline: float = 60.0, gate: Gate | None = None, patience: float = 0.0,
              endpoint: str = "bars", anyway: bool = False) -> Result[T]:  # fmt: skip
        call = Call(endpoint, "AAPL", self.clock.monotonic() + deadline, patience, anyway=anyway)
        return self.run((gate or self.gate()).converse(Parrot(), begin, call))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=lambda: virtual_loop(self.clock)) as runner:
            return runner.run(work)

    def rows(self) -> list[tuple[Any, ...]]:
        """State, status and kind of every attempt in the ledger."""
        return self.ledger._db.execute("SELECT state, status, kind FROM attempts ORDER BY id").fetchall()  # noqa: SLF001


def stage(folder: Path, *answers: Played, **more: Any) -> Stage:
    clock = VirtualClock(START)
    return Stage(open_ledger(folder / "ledger.db", clock), clock, list(answers), **more)
