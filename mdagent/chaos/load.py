"""The people of an experiment: who asks the agent for what, and what becomes of each call."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Any

from mdagent.chaos.ear import Ear
from mdagent.chaos.probes import Called
from mdagent.chaos.truth import compare, quote_is_right
from mdagent.errors import MdagentError
from mdagent.guard.outcome import Failure
from mdagent.market import Adjustment, BarRequest, Interval, Priority, Symbol
from mdagent.quality.live import DISPUTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import httpx

    from mdagent.agent import Agent
    from mdagent.chaos.ear import Heard
    from mdagent.chaos.experiment import Habit
    from mdagent.chaos.truth import Compared
    from mdagent.clock import Clock
    from mdagent.config.kinds import LimitSettings
    from mdagent.market import Quote
    from mdagent.work.report import Line

Key = tuple[str, str, int]  # symbol, interval, epoch second
_SATURDAY = 5
_FRESH = 1000  # the number of the first symbol that nobody asks for by name


@dataclass(eq=False)
class Desk:
    """What all people of a run share. `agent` makes a new one, of that name and with that transport and chance, as a new process would;
    `works` tells whether some of these sources is at work from one second to another, and whether all are. `served` are the bars that
    answers have held, `wrong` those that were not right, with their grade."""

    clock: Clock
    seed: int
    agent: Callable[[str, httpx.AsyncBaseTransport, Random], Agent]
    transport: httpx.AsyncBaseTransport
    source_of: Callable[[str], str | None]
    works: Callable[[Sequence[str], float, float], tuple[bool, bool]]
    quotas: Mapping[str, Sequence[LimitSettings]] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    windows: dict[tuple[str, str], BarRequest] = field(default_factory=dict)
    served: set[Key] = field(default_factory=set)
    wrong: dict[Key, str] = field(default_factory=dict)
    after_each: Callable[[Called], None] = lambda _: None
    _lock: Lock = field(default_factory=Lock)

    def note(self, call: Called) -> None:
        """One call is over."""
        self.calls.append(call)
        self.after_each(call)

    def keep(self, request: BarRequest, found: Compared) -> None:
        """Remember what an answer held."""
        name, interval = request.symbol.ticker, request.interval.value
        with self._lock:
            before = self.windows.get((name, interval), request)
            self.windows[name, interval] = request.over(min(before.start, request.start), max(before.end, request.end))
        self.served |= {(name, interval, stamp) for stamp in found.stamps}
        self.wrong |= {(name, interval, stamp): letter for stamp, letter in found.wrong.items()}


@dataclass(eq=False)
class Person:
    """One habit, lived over all phases."""

    habit: Habit
    desk: Desk
    number: int
    _turn: int = 0
    _fresh: Iterator[int] = field(init=False)
    dice: Random = field(init=False)

    def __post_init__(self) -> None:
        self._fresh = count(_FRESH * (self.number + 1))
        self.dice = Random(f"{self.desk.seed} {self.habit.who}")  # noqa: S311  chance is to be repeatable

    def live(self, until: float) -> None:
        """Ask, rest, ask again, until that second; a call that takes longer than the rest delays the next one."""
        clock, due = self.desk.clock, self.desk.clock.monotonic()
        if self.habit.asks == "resets":
            self._live_resets(until)
            return
        while due < until:
            clock.pause(due - clock.monotonic())
            if self._is_time():
                self._ask()
            due = max(due + self.habit.every, clock.monotonic())

    def _live_resets(self, until: float) -> None:
        from mdagent.chaos.resets import live_through

        for quota in self.desk.quotas[self.habit.source]:
            for call in live_through(self, quota, until):
                self.desk.note(call)

    def _is_time(self) -> bool:
        now, hours = self.desk.clock.now(), self.habit.hours
        return hours is None or (now.weekday() < _SATURDAY and hours[0] <= now.hour + now.minute / 60 < hours[1])

    def _symbols(self) -> list[Symbol]:
        told = []
        for _ in range(self.habit.together):
            if self.habit.fresh:
                told.append(f"SYM{next(self._fresh):05}")
            else:
                told.append(self.habit.symbols[self._turn % len(self.habit.symbols)])
                self._turn += 1
        return [Symbol.parse(name) for name in dict.fromkeys(told)]

    def _ask(self) -> None:
        ear = Ear(self.desk.transport, self.desk.clock, self.desk.source_of, self.desk.heard)
        began = self.desk.clock.monotonic()
        with self.desk.agent(f"{self.habit.who}-{len(self.desk.calls)}", ear, self.dice) as agent:
            for call in _ASKS[self.habit.asks](self, agent, ear, began):
                self.desk.note(call)

    def _request(self, symbol: Symbol, priority: Priority) -> BarRequest:
        now, interval = self.desk.clock.now(), Interval(self.habit.interval)
        start = now - timedelta(seconds=self.habit.back)
        if not interval.intraday:
            start = start.replace(hour=0, minute=0, second=0, microsecond=0)
        return BarRequest(symbol, interval, start, now, Adjustment.SPLITS, priority)

    def _quotes(self, agent: Agent, ear: Ear, began: float) -> list[Called]:
        symbols = self._symbols()
        able = [name for name, told in agent.settings.sources.items() if told.enabled]
        try:
            answers: Sequence[Quote | Failure] = agent.quote(symbols)
        except MdagentError as error:
            return [self._called(ear, began, s.ticker, able, why=type(error).__name__) for s in symbols]
        graded = iter(agent.graded([told for told in answers if not isinstance(told, Failure)], cross_check=self.habit.cross_check))
        made = []
        for symbol, answer in zip(symbols, answers, strict=True):
            if isinstance(answer, Failure):
                made.append(self._called(ear, began, symbol.ticker, able, why=answer.kind.value))
            else:
                told, live = next(graded)
                doubted = "doubted" if live.score <= DISPUTED else "wrong"
                why = "" if self._is_right(told) else f"{doubted} price"
                made.append(self._called(ear, began, symbol.ticker, able, why=why, source=told.source))
        return made

    def _is_right(self, told: Quote) -> bool:
        return quote_is_right(told, self.desk.clock.now())

    def _fetches(self, agent: Agent, ear: Ear, began: float) -> list[Called]:
        from mdagent.quality.modes import mode_named
        from mdagent.work.doubt import Doubt

        told = agent.settings.fetch
        requests = [self._request(symbol, Priority.HIGH) for symbol in self._symbols()]
        doubt = Doubt(max(self.habit.cross_check, mode_named(told.mode).sources - 1), told.second_opinion)
        try:
            served = agent.fetch(requests, doubt=doubt)
        except MdagentError as error:
            return [self._called(ear, began, r.symbol.ticker, (), why=type(error).__name__) for r in requests]
        return [self._judged(agent, ear, began, line, served.rows) for line in served.report.lines]

    def _backfills(self, agent: Agent, ear: Ear, began: float) -> list[Called]:
        from mdagent.agent import Errand
        from mdagent.guard.allowance import Allowance
        from mdagent.work.backfill import Chunk, chunks_of, groups_of
        from mdagent.work.outage import SHUT

        requests = [self._request(symbol, Priority.BATCH) for symbol in self._symbols()]
        lines: list[Line] = []
        allowance = Allowance(ends=began + self.habit.deadline)
        chunks = [Chunk(part) for r in requests for part in chunks_of(r)]
        said: list[str] = []
        agent.say = said.append
        try:
            agent.backfill(groups_of(chunks), Errand(allowance, lambda _, line: lines.append(line)))
        except MdagentError as error:
            return [self._called(ear, began, r.symbol.ticker, (), why=type(error).__name__) for r in requests]
        rows: list[tuple[Any, ...]] = []
        if agent.store.exists():
            with agent.store.reading("chaos") as reader:
                rows = reader.bars([line.request for line in lines])
        calls = [self._judged(agent, ear, began, line, rows) for line in lines]
        waited = any(words.startswith(SHUT) for words in said)  # until a source might be asked again: that is no failover
        return [call._replace(set_out=None) for call in calls] if waited else calls

    def _reads(self, agent: Agent, ear: Ear, began: float) -> list[Called]:
        """What is stored, without asking anybody."""
        requests = [self._request(symbol, Priority.HIGH) for symbol in self._symbols()]
        try:
            with agent.store.reading("chaos") as reader:
                rows = reader.bars(requests)
        except MdagentError as error:
            return [self._called(ear, began, r.symbol.ticker, None, why=type(error).__name__) for r in requests]
        made = []
        for request in requests:
            found = compare([row for row in rows if row[0] == request.symbol.ticker], request, self.desk.clock.now())
            self.desk.keep(request, found)
            why = "" if found.right and found.bars else "wrong bars" if found.wrong else "missing bars" if found.bars else "no bars"
            made.append(self._called(ear, began, request.symbol.ticker, None, why=why))
        return made

    def _judged(self, agent: Agent, ear: Ear, began: float, line: Line, rows: Sequence[tuple[Any, ...]]) -> Called:
        """One symbol's answer: not good where nothing came, where it is wrong, or where it is late."""
        request = line.request
        able = [server.source.spec.name for server in agent.wish(request, agent.names(("auto",))).servers]
        name = request.symbol.ticker
        own = [row for row in rows if row[0] == name and row[1] == request.interval.value]
        found = compare(own, request, self.desk.clock.now())
        self.desk.keep(request, found)
        why = line.failure.kind.value if line.failure else "" if found.right else "wrong bars" if found.wrong else "missing bars"
        if not why and not found.bars:
            why = "no bars"
        told = self._called(ear, began, name, able, why=why, source=line.source or "")
        return told._replace(stale=found.stale, bars=found.bars, sent=line.requests)

    def _status(self, agent: Agent, ear: Ear, began: float) -> list[Called]:
        """What `sources status` asks the ledger."""
        from mdagent.store.recall import breakers_of, quota_left, speed

        now = self.desk.clock.now()
        try:
            for name, told in agent.settings.sources.items():
                if told.enabled:
                    account = agent.policy(name).rules.account
                    breakers_of(agent.ledger, account)
                    quota_left(agent.ledger, name, agent.policy(name).windows, account, now)
                    speed(agent.ledger, name, account, now - timedelta(hours=1))
        except MdagentError as error:
            return [self._called(ear, began, "", None, why=type(error).__name__)]
        return [self._called(ear, began, "", None, why="")]

    def _called(  # noqa: PLR0913  what there is to say of a call
        self, ear: Ear, began: float, symbol: str, able: Sequence[str] | None, *, why: str, source: str = ""
    ) -> Called:
        """`able` are the sources that could serve it, () for whoever there is, None where none is needed."""
        ended = self.desk.clock.monotonic()
        if not why and ended - began > self.habit.deadline:
            why = "late"
        some, each = (True, True) if able is None else self.desk.works(able, began, ended)
        out = [heard.began - began for heard in ear.kept if heard.source == source]
        last = max((heard.began for heard in ear.kept if heard.source != source), default=began) - began
        later = [at for at in out if at >= last] or out
        return Called(
            self.habit.who,
            self.habit.asks,
            symbol,
            began,
            ended,
            why,
            source,
            servable=some,
            struck=not each,
            sent=len(ear.kept),
            set_out=min(later) if later else None,
        )


_ASKS: dict[str, Callable[[Person, Agent, Ear, float], list[Called]]] = {
    "quote": Person._quotes,  # noqa: SLF001  the table of this class
    "fetch": Person._fetches,  # noqa: SLF001
    "backfill": Person._backfills,  # noqa: SLF001
    "read": Person._reads,  # noqa: SLF001
    "status": Person._status,  # noqa: SLF001
}
