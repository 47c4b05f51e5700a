"""The agent: the composition root and the Python API. The only file that wires parts together.

from mdagent import Agent
with Agent.open() as agent:
    bars = agent.bars("AAPL", start="2024-01-02", end="2024-02-01").to_pandas()
"""

# long because: it is the one place where the parts are put together

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from mdagent.errors import MdagentError, UsageError
from mdagent.market import FILE, BarRequest, BarSet, Symbol
from mdagent.work.report import Line, Report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from pathlib import Path

    from mdagent.clock import Clock
    from mdagent.config import Settings, SourceSettings
    from mdagent.guard.allowance import Allowance
    from mdagent.guard.backoff import Dice
    from mdagent.guard.outcome import Failure
    from mdagent.market import Interval, Listing, MarketStatus, Quote
    from mdagent.quality.live import Live, Stored
    from mdagent.quality.modes import Mode
    from mdagent.roster import Roster
    from mdagent.sources.base import Source
    from mdagent.store.bars import BarStore
    from mdagent.store.ledger import Ledger
    from mdagent.store.read import Reader
    from mdagent.wire import Around
    from mdagent.work.ask import Ask, Events
    from mdagent.work.backfill import Bench, Chunk
    from mdagent.work.clerk import Ahead, Clerk
    from mdagent.work.compare import Comparison, How
    from mdagent.work.doubt import Doubt
    from mdagent.work.fetch import Tools
    from mdagent.work.fit import Wish
    from mdagent.work.gate import Gate, Policy
    from mdagent.work.horizon import Horizon
    from mdagent.work.probe import Probed
    from mdagent.work.rank import Form

T = TypeVar("T")
_CHUNK = 120.0  # seconds that a piece of a backfill may take: others come in between
_OPINIONS = 6.0  # seconds that somebody who asks for a price waits for what others say of it
_GLANCE = 0.5  # and for the store
_PATIENCE = 3600.0  # a person who asks for many symbols waits for quota rather than be told that half of them failed
_LONG_PATIENCE = 32 * 86400.0  # a backfill outlasts every window of every plan; its --max-runtime bounds it


class Served(NamedTuple):
    """The answer to a fetch: rows in the order of `store.read.STORED`, and the report."""

    rows: list[tuple[object, ...]]
    report: Report


@dataclass(frozen=True, slots=True)
class Errand:
    """How a backfill goes: whom it may ask, what it may use, and who hears of each chunk. `tag` ends the name of the run, so that the
    ledger tells what all runs of one plan have sent."""

    allowance: Allowance
    heard: Callable[[Chunk, Line], None] = lambda *_: None
    sources: tuple[str, ...] = ("auto",)
    tag: str = ""


@dataclass(eq=False, repr=False)
class Agent:
    """Settings, clock and stores, put together. `say` is told what a waiting person should know; `renew` reads the settings
    anew (raising ConfigError) when another process publishes an epoch, or one of the `watched` files changes during a long
    fetch. `dice` is the chance behind the pauses between tries. `progress` hears of each symbol done: how many, of how many;
    `prepare` is called before anything is sent; `around` stands between the providers and whoever asks them; `called` takes the place of
    the process in the names of runs."""

    settings: Settings
    clock: Clock
    say: Callable[[str], None] = lambda _: None
    renew: Callable[[], Settings] | None = None
    watched: tuple[Path, ...] = ()
    dice: Dice | None = None
    progress: Callable[[int, int, str], None] = lambda *_: None
    prepare: Callable[[], None] = lambda: None
    around: Around | None = None
    called: str = ""
    _ledger: Ledger | None = None
    _epoch: int = -1
    _patient: bool = False  # a long run leaves the store to others first
    _ahead: Ahead | None = None
    _edited: bool = False
    _roster: Roster | None = None
    _form: Form | None = None
    _horizon: Horizon | None = None

    @classmethod
    def open(cls, **flags: Any) -> Agent:  # noqa: ANN401  the fields of config.Flags
        """An agent with the settings of this machine, as the command line would have them."""
        import os
        from pathlib import Path

        from mdagent.clock import SystemClock
        from mdagent.config import Flags, load

        settings = load(Flags(**flags), os.environ, Path.cwd()).settings
        return cls(settings, SystemClock.starting_at(settings.clock) if settings.clock else SystemClock())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the ledger back; the bar store is never held open."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    @property
    def store(self) -> BarStore:
        """The bar store, closed until it is read or written."""
        from mdagent.store.bars import BarStore

        lock = self.settings.lock
        return BarStore(self.settings.store, self.settings.world, self.clock, lock.read_wait, lock.write_wait, self._patient)

    @property
    def ledger(self) -> Ledger:
        """The ledger, opened when first needed."""
        if self._ledger is None:
            from mdagent.store.epochs import epoch_number
            from mdagent.store.ledger import open_ledger

            self._ledger = open_ledger(self.settings.ledger, self.clock, self.dice)
            self._epoch = epoch_number(self._ledger)
        return self._ledger

    def bars(
        self, symbol: str | Symbol, *, start: str | datetime, end: str | datetime, interval: str = "1d", adjustment: str = "splits"
    ) -> BarSet:
        """The consolidated bars of one symbol, fetched where the store lacks them. Raises MdagentError when nothing could be had."""
        request = BarRequest(symbol, interval, start, end, adjustment)  # type: ignore[arg-type]
        served = self.fetch([request])
        line = served.report.lines[0]
        if not served.rows:
            raise MdagentError(line.failure.detail if line.failure else f"no bars of {request.symbol}")
        from mdagent.store.read import barset

        return barset(request, served.rows)

    def fetch(self, requests: Sequence[BarRequest], *, source: str = "auto", refresh: bool = False, doubt: Doubt | None = None) -> Served:
        """Bars of every request, from the store where it has them, else from a source; and from others too, as far as `doubt` asks. A
        failure of one symbol is in its line. Raises StoreError, ConfigError."""
        began = self.clock.monotonic()
        requests = list(dict.fromkeys(self._clamped(r) for r in requests))
        names = self.roster.names(source)
        heard = (*names, FILE) if source == "auto" else names  # imported bars stand in the series; nobody is asked for them
        lines: dict[BarRequest, Line] = {}
        rows: list[tuple[object, ...]] = []
        if not refresh and self.store.exists():
            lines, rows = self._from_store(requests, heard)
        missing = [r for r in requests if r not in lines]
        if missing:
            fetched = self._run(self._fetch_all(missing, names, refresh=refresh))
            lines |= dict(zip(missing, fetched, strict=True))
            found, rows = self._read([lines[r] for r in requests], heard)
            lines = dict(zip(requests, found, strict=True))
        if doubt is not None:
            lines, rows = self._confirmed(lines, rows, heard, doubt)
        ms = 1000 * (self.clock.monotonic() - began)
        return Served(rows, Report(tuple(lines[r] for r in requests), self.run_name(), ms))

    def plan(self, requests: Sequence[BarRequest], *, source: str = "auto", refresh: bool = False) -> Report:
        """What `fetch` would do: each line's `requests` are those it would send, its `planned` what they cost and when they could go.
        Sends and writes nothing but calendars."""
        from mdagent.work.fit import wish_for
        from mdagent.work.rehearse import Means, rehearse

        told, names = self.settings, self.roster.names(source)
        asked, able = dict.fromkeys(map(self._clamped, requests)), self._able(names)
        wishes = [wish_for(r, able, refresh=refresh, world=told.world, today=self.clock.now().date()) for r in asked]
        patience = max(told.fetch.deadline, _PATIENCE if len(asked) > 1 else 0.0)
        means = Means(self.store, self.form(), told.sessions.closures, told.world != "replay", patience)
        return Report(tuple(rehearse(wishes, names, means)), self.run_name(), 0.0)

    def backfill(self, groups: Iterable[Sequence[Chunk]], errand: Errand) -> int:
        """Bring the store up to date for all chunks, a group at a time; their lines go to `errand.heard`. The number of those that were
        not begun before the time was over. Raises StoreError."""
        from mdagent.work.backfill import Backfill
        from mdagent.work.horizon import Horizon

        names, self._patient = self.names(errand.sources), True
        self._able(names)

        async def work() -> int:
            with self._watching(long=True):
                async with self._gate(errand.allowance, errand.tag) as gate, self._clerk(leisurely=True) as clerk:
                    run = Backfill(self._bench(gate, clerk, names, errand.allowance), errand.heard)
                    self._horizon = Horizon(gate, run.places)
                    await run.run(groups)
                    return run.left

        return int(self._run(work()))

    def to_go(self, chunks: int, each: float) -> float:
        """Seconds until so many chunks more are done in the backfill under way, each by so many requests."""
        return self._horizon.to_go(chunks, each) if self._horizon else 0.0

    def quota_left(self) -> dict[str, float]:
        """Of each source that the backfill under way asks, the share of its tightest window that is left."""
        return self._horizon.quota_left() if self._horizon else {}

    def foretell(self, groups: Iterable[Sequence[Chunk]], sources: Sequence[str] = ("auto",)) -> Iterator[tuple[int, Chunk, Line]]:
        """What `backfill` would do: the number of its group with each chunk and its line. What is there already comes without a plan."""
        from mdagent.work.rehearse import Means, rehearsal_of

        told, names = self.settings, self.names(sources)
        self._able(names)
        means = Means(self.store, self.form(), told.sessions.closures, told.world != "replay", _LONG_PATIENCE)
        rehearsal = rehearsal_of(means)
        for number, group in enumerate(groups):
            there = self._there([chunk for chunk in group if not chunk.refresh], names)
            lacking = [chunk for chunk in group if chunk.refresh or chunk.request not in there]
            yield from ((number, chunk, there[chunk.request]) for chunk in group if not chunk.refresh and chunk.request in there)
            lines = rehearsal.lines([self._chosen(chunk, names) for chunk in lacking])
            yield from ((number, chunk, line) for chunk, line in zip(lacking, lines, strict=True))

    def resettle(self, symbols: Sequence[Symbol], intervals: Sequence[Interval], sources: Sequence[str] = ("auto",)) -> list[Chunk]:
        """The chunks that ask again, of the source that said it, for late sessions which may have been corrected since."""
        from mdagent.work.settle import recent

        return recent(self.store, symbols, intervals, {n: self.roster.source(n) for n in self.names(sources)}, self.clock.now())

    def compare(self, requests: Sequence[BarRequest], how: How, *, sources: Sequence[str] = (), ask: bool = True) -> Comparison:
        """What each source (none named: all enabled) says of the same bars; with `ask` each is asked for what the store lacks of it.
        Raises UsageError."""
        from mdagent.work.compare import compare, stored_apart, why_missing

        files = [word for word in dict.fromkeys(sources) if word.startswith(FILE)]
        names = [name for word in dict.fromkeys(sources or ("auto",)) if word not in files for name in self.roster.names(word)]
        if ask and not sources:
            names = [source.spec.name for source in self._able(names)]
        asked = list(dict.fromkeys(map(self._clamped, requests)))
        missing = {name: why_missing(self.fetch(asked, source=name).report.lines) for name in names} if ask else {}
        heard = [*names, *(files if sources else (FILE,))]
        rows, left = stored_apart(self.store, asked, heard) if self.store.exists() else ([], {})
        missing |= {name: "nothing of it is stored for these bars" for name in files if all(row[8] != name for row in rows)}
        return compare(rows, {name: why for name, why in missing.items() if why} | left, how)

    def quote(self, symbols: Sequence[Symbol], *, source: str = "auto") -> list[Quote | Failure]:
        """A Quote, or the Failure, for each symbol. This and the next three raise Unusable when no source can be asked at all."""
        from mdagent.work.ask import quote_of

        return self._ask("quote", source, [quote_of(s) for s in symbols])

    def graded(self, quotes: Sequence[Quote], *, source: str = "auto", cross_check: int = 0) -> list[tuple[Quote, Live]]:
        """Each quote with its grade, after so many further sources have been asked for theirs, and one or two more where it is doubted.
        A price that is outvoted gives way to the other, unless a `source` is named."""
        from dataclasses import replace
        from functools import partial

        from mdagent.store.almanac import Almanac
        from mdagent.work.live import Ticker

        told, now = self.settings, self.clock.now()
        almanac = Almanac(told.home / "calendars", told.sessions.closures, now.date())
        promised = {one.spec.name: one.plan.delay for one, _ in self.sources()}
        further = [one.spec.name for one, own in self.sources() if own.enabled and "quote" in one.spec.offers]
        stored = self._last_stored(quotes, now)
        ticker = Ticker(lambda *_: None, promised, almanac.sessions, lambda symbol, currency: stored.get((symbol, currency)), now)
        made = []
        for quote in quotes:
            ends = self.clock.monotonic() + min(_OPINIONS, told.fetch.deadline)
            one = replace(ticker, ask=partial(self._opinion, ends=ends))
            made.append(one.graded(quote, further, cross_check, named=source != "auto"))
        return made

    def _opinion(self, symbol: Symbol, source: str, ends: float) -> Quote | None:
        """What a further source says; None where it cannot be asked, or takes more than half of the time that is left."""
        from mdagent.guard.outcome import Failure
        from mdagent.work.ask import Unusable, quote_of

        left = ends - self.clock.monotonic()
        if left < _OPINIONS / 16:
            return None
        try:
            (told,) = self._ask("quote", source, [quote_of(symbol)], deadline=left / 2)
        except Unusable:
            return None
        return None if isinstance(told, Failure) else told

    def _last_stored(self, quotes: Sequence[Quote], now: datetime) -> dict[tuple[Symbol, str | None], Stored | None]:
        """What the store knows of these symbols. A store that is held, or cannot be read, keeps nobody from a price."""
        from mdagent.work.live import last_stored

        if not quotes or not self.store.exists():
            return {}
        try:
            with self.store._replace(read_wait=min(self.store.read_wait, _GLANCE)).reading("quote") as reader:
                return {(q.symbol, q.currency): last_stored(reader, q.symbol, q.currency, now) for q in quotes}
        except MdagentError as error:
            self.say(f"prices are not held against stored closes: {error}")
            return {}

    def search(self, words: str, *, source: str = "auto") -> list[Listing] | Failure:
        """Listings that fit the words, or the Failure."""
        from mdagent.work.ask import search_for

        return self._ask("search", source, [search_for(words)])[0]

    def market(self, *, source: str = "auto") -> list[MarketStatus] | Failure:
        """Which markets are open now, as the first source tells that can, or the Failure."""
        from mdagent.work.ask import markets

        return self._ask("market", source, [markets()])[0]

    def actions(self, symbols: Sequence[Symbol], start: datetime, end: datetime, *, source: str = "auto") -> list[Events | Failure]:
        """Splits and dividends with `start <= date < end`, or the Failure, for each symbol. Nothing is stored."""
        from mdagent.work.ask import actions_of

        return self._ask("actions", source, [actions_of(s, start, end, self.clock.now()) for s in symbols])

    def probe(self, names: Sequence[str] = ()) -> list[Probed]:
        """What the cheapest request shows of each source; of every one that can be asked when none is named."""
        from mdagent.work.probe import probe_all

        told, wanted = self.settings, dict.fromkeys(n for name in names or ("auto",) for n in self.roster.names(name))
        sources = [self.roster.source(n) for n in wanted]
        found: list[Probed] = self._run(probe_all(self._gate, sources, told.fetch.deadline, told.world, named=bool(names)))
        return found

    def sources(self) -> list[tuple[Source, SourceSettings]]:
        """Every known source with its settings."""
        return [(self.roster.source(name), told) for name, told in self.settings.sources.items()]

    def policy(self, name: str) -> Policy:
        """The rules for one source, by its facts and the settings in force now."""
        self._adopt()
        return self.roster.policy(name)

    @property
    def roster(self) -> Roster:
        """The sources under these settings."""
        if self._roster is None:
            from mdagent.roster import Roster

            self._roster = Roster(self.settings, self.clock)
        return self._roster

    def _adopt(self) -> None:
        """Take over settings that another process published, whole; keep the old ones, and say why, when they cannot be read."""
        from mdagent.store.epochs import epoch_number

        number = epoch_number(self.ledger)
        if self.renew is None or (number == self._epoch and not self._edited):
            return
        told = "the edited file" if number == self._epoch else f"epoch {number}"
        self._epoch, self._edited = number, False
        try:
            fresh = self.renew()
        except MdagentError as error:
            self.say(f"the settings of {told} were not adopted, the old ones stay: {error.message}")
            return
        old = self.settings  # where the bars go, and to which world they belong, cannot change under a run
        keep = ("store", "ledger", "home", "world", "replay", "record")
        self.settings = fresh._replace(**{name: getattr(old, name) for name in keep})
        self._roster = self._form = None
        self.say(f"adopted the settings of {told}")

    def _note_edit(self) -> None:
        """Called from the watching thread: the next request looks again."""
        self._edited = True

    def _able(self, names: Sequence[str]) -> list[Source]:
        off = self.ledger.switched_off()
        if len(names) == 1 and names[0] in off:
            msg = f"the source {names[0]} is disabled"
            raise UsageError(msg, f"mdagent sources enable {names[0]}")
        return [self.roster.source(name) for name in names if name not in off]

    def _clamped(self, request: BarRequest) -> BarRequest:
        from mdagent.work.spans import clamp_end

        return clamp_end(request, self.clock.now())

    def _from_store(self, requests: Sequence[BarRequest], names: Sequence[str]) -> tuple[dict[BarRequest, Line], list[tuple[object, ...]]]:
        """Lines of the requests that the store serves by itself; and the rows, when it serves them all."""
        from mdagent.work.calendar import read_sessions
        from mdagent.work.standing import cached, whole_series

        now = self.clock.now()
        with self.store.reading() as reader:
            found = {r: served for r in requests if (served := cached(reader, r, names, read_sessions, now))}
            if len(found) < len(requests):
                self._look_ahead(reader, [r for r in requests if r not in found])
                return {r: line for r, (line, _) in found.items()}, []
            lines, rows = whole_series(reader, [found[r] for r in requests], names)
            return dict(zip(requests, lines, strict=True)), rows

    def _look_ahead(self, reader: Reader, requests: Sequence[BarRequest]) -> None:
        """What will be asked of the store next, while it is open."""
        from functools import partial

        from mdagent.work.calendar import known_sessions
        from mdagent.work.clerk import look_ahead
        from mdagent.work.spans import latest_end

        known = partial(known_sessions, closures=self.settings.sessions.closures)
        to_date = [r.over(r.start, max(r.end, latest_end(r.interval, self.clock.now()))) for r in requests]
        self._ahead = look_ahead(reader, self.store.path, [*requests, *to_date], known)

    def _confirmed(
        self, lines: dict[BarRequest, Line], rows: list[tuple[object, ...]], heard: Sequence[str], doubt: Doubt
    ) -> tuple[dict[BarRequest, Line], list[tuple[object, ...]]]:
        """The lines after a second opinion where one was called for; and the rows, which may come from another source now."""
        from mdagent.work.doubt import further

        if not any(further(line, doubt) for line in lines.values()):
            return lines, rows
        from mdagent.work.crosscheck import Bench, confirm

        names = [name for name in heard if name != FILE]

        def able(request: BarRequest) -> list[str]:
            return [server.source.spec.name for server in self.wish(request, names).servers]

        def fetch(request: BarRequest, name: str) -> Line:
            return self.fetch([request], source=name).report.lines[0]

        bench = Bench(able, fetch, self.store, self._sessions, self.clock.now, self._mode, *self._weights(names))
        told = [confirm(line, doubt, bench) for line in lines.values()]
        found, rows = self._read(told, heard)
        return dict(zip(lines, found, strict=True)), rows

    def _weights(self, names: Sequence[str]) -> tuple[dict[str, float], dict[str, timedelta]]:
        """What each source has earned by its late grades, and how late its finished bars may change."""
        from mdagent.store.recall import grade_of

        scores = {name: grade_of(self.ledger, name, self.roster.account(name)) for name in names}
        earned = {name: score / 100 for name, score in scores.items() if score is not None}
        return earned, {source.spec.name: source.delay for source in self._able(names)}

    @property
    def _mode(self) -> Mode:
        from mdagent.quality.modes import mode_named

        return mode_named(self.settings.fetch.mode)

    def _read(self, lines: Sequence[Line], names: Sequence[str]) -> tuple[list[Line], list[tuple[object, ...]]]:
        from mdagent.work.standing import whole_series

        if not any(line.bars for line in lines):
            return list(lines), []
        with self.store.reading() as reader:
            return whole_series(reader, [(line, None) for line in lines], names)

    def wish(self, request: BarRequest, names: Sequence[str], *, refresh: bool = False) -> Wish:
        """Who of these may serve a request, in the order of asking, and why the others may not."""
        from mdagent.work.fit import wish_for

        wish = wish_for(request, self._able(names), refresh=refresh, world=self.settings.world, today=self.clock.now().date())
        return self.form().placed(wish)

    def form(self) -> Form:
        """How the sources are doing."""
        if self._form is None:
            from mdagent.work.rank import Form

            self._form = Form(self.ledger, self.clock, self.policy, self.settings.weights)
        return self._form

    async def _fetch_all(self, requests: Sequence[BarRequest], names: Sequence[str], *, refresh: bool) -> list[Line]:
        from functools import partial

        from mdagent.work.many import Desk, fetch_many

        many, told = len(requests) > 1, 0

        def done(line: Line) -> None:
            nonlocal told
            told += 1
            if many:
                self.progress(told, len(requests), f"{line.request.symbol}: {line.brief}")

        with self._watching(long=many):
            async with self._gate() as gate, self._clerk() as clerk:
                desk = Desk(
                    partial(self.wish, names=names, refresh=refresh),
                    partial(self._tools, gate, clerk, patience=_PATIENCE if many else 0.0),
                    self._adopt,
                    done,
                )
                return await fetch_many(requests, desk)

    def _tools(self, gate: Gate, clerk: Clerk, *, patience: float, brief: bool = False) -> Tools:
        from functools import partial

        from mdagent.work.calendar import known_sessions
        from mdagent.work.fetch import Tools

        deadline, bounded = self.settings.fetch.deadline, self.settings.world != "replay"
        deadline = max(deadline, _CHUNK) if brief else deadline
        known = partial(known_sessions, closures=self.settings.sessions.closures)
        with_all = (clerk, self.ledger, gate, self.clock, self._sessions, deadline, patience)
        return Tools(*with_all, bounded_depth=bounded, known=known, mode=self._mode, brief=brief)

    def _watching(self, *, long: bool) -> AbstractContextManager[None]:
        """While a long fetch runs, an edit of the settings files is noticed."""
        from contextlib import nullcontext

        if not long or not self.watched or self.renew is None:
            return nullcontext()
        from mdagent.config import watch

        return watch(self.watched, self._note_edit)

    def _ask(self, endpoint: str, source: str, asks: Sequence[Ask[T]], *, deadline: float | None = None) -> list[T | Failure]:
        from mdagent.work.ask import able, ask_all

        told, today = self.settings, self.clock.now().date()
        sources = able(endpoint, self._able(self.roster.names(source)), named=source != "auto", world=told.world, today=today)
        if len(sources) > 1:
            order = {ranked.source: ranked.order for ranked in self.form().rank(sources, endpoint)}
            sources = sorted(sources, key=lambda s: order[s.spec.name])
        hedge = self.form().hedge(sources, endpoint) if told.fetch.hedge and endpoint == "quote" else None
        answers: list[T | Failure] = self._run(ask_all(self._gate, endpoint, sources, asks, deadline or told.fetch.deadline, hedge=hedge))
        return answers

    def _sessions(self, request: BarRequest) -> Any:  # noqa: ANN401  sessions or None
        from mdagent.work.calendar import ensure_sessions

        return ensure_sessions(self.store, request, self.settings.sessions.closures)

    def names(self, words: Sequence[str]) -> tuple[str, ...]:
        """The sources that these words name, each once. Raises UsageError."""
        return tuple(dict.fromkeys(name for word in words for name in self.roster.names(word)))

    def _chosen(self, chunk: Chunk, names: Sequence[str]) -> Wish:
        return self.wish(chunk.request, (chunk.source,) if chunk.source else names, refresh=chunk.refresh)

    def _there(self, chunks: Sequence[Chunk], names: Sequence[str]) -> dict[BarRequest, Line]:
        """The lines of what the store has served already."""
        if not chunks or not self.store.exists():
            return {}
        from mdagent.work.look import Look

        sources = {name: self.roster.source(name) for name in names}
        with self.store.reading("backfill") as reader:
            return Look(reader, sources, self.clock.now(), self.settings.world != "replay").served([c.request for c in chunks])

    def _bench(self, gate: Gate, clerk: Clerk, names: Sequence[str], allowance: Allowance) -> Bench:
        from functools import partial

        from mdagent.work.backfill import Bench
        from mdagent.work.many import Desk
        from mdagent.work.outage import Outage

        outage = Outage(gate)

        def desk(chunks: Sequence[Chunk], done: Callable[[Line], None]) -> Desk:
            by_request = {chunk.request: chunk for chunk in chunks}

            def tools() -> Tools:
                return self._tools(gate, clerk, patience=allowance.patience(_LONG_PATIENCE, self.clock.monotonic()), brief=True)

            return Desk(lambda request: self._chosen(by_request[request], names), tools, self._adopt, done, outage.passes)

        return Bench(partial(self._there, names=names), desk, allowance, self.clock.monotonic)

    @asynccontextmanager
    async def _clerk(self, *, leisurely: bool = False) -> AsyncIterator[Clerk]:
        """Who goes to the store for all; what was brought to him is written before this ends, however it ends."""
        from mdagent.work.clerk import Clerk

        ahead, self._ahead = self._ahead, None
        clerk = Clerk(self.store, self.clock, leisurely, *(ahead or ()))
        try:
            yield clerk
        finally:
            await clerk.finish()

    @asynccontextmanager
    async def _gate(self, allowance: Allowance | None = None, tag: str = "") -> AsyncIterator[Gate]:
        """The door to the providers, and behind it a wire that is closed with it."""
        import random

        from mdagent.config.wiring import wire_options
        from mdagent.guard.allowance import Allowance
        from mdagent.wire import open_wire
        from mdagent.wire.spool import Spool
        from mdagent.work.gate import Gate

        world, dice = self.settings.world, self.dice or random.SystemRandom()
        wire = open_wire(world, self.clock, options=wire_options(self.settings), around=self.around)
        try:
            bounds = allowance or Allowance()
            spool = Spool(self.settings.store.with_name(f"{self.settings.store.name}.spool"), self.clock)
            yield Gate(self.ledger, wire, self.clock, dice, self.run_name() + tag, self.policy, self.say, world, bounds, spool)
        finally:
            await wire.aclose()

    def run_name(self) -> str:
        """What the journal calls what this process writes now."""
        import os

        return f"{self.clock.now():%Y%m%dT%H%M%S}-{self.called or os.getpid()}"

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  what the coroutine returns
        from mdagent.work.run import to_the_end

        self.prepare()
        return to_the_end(work, self.clock)
