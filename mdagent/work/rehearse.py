"""A fetch without sending: who would be asked for what, what it would cost, and when quota and budgets would let it go.

It goes as a fetch goes (`work.many`, `work.fetch`), every answer taken for good. What only an answer can tell is not in it: further
pages, a second try, a source that fails and the one that is asked in its place.
"""

from __future__ import annotations

import heapq
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mdagent.guard.cost import beyond
from mdagent.guard.outcome import Failure, FailureKind
from mdagent.market import Interval
from mdagent.work.calendar import ensure_all, read_sessions, remembering
from mdagent.work.dry import Lack, Sight, Talk, lack_of, talks
from mdagent.work.fetch import last_resort, telling, unserved
from mdagent.work.foresee import Foresight, Gone
from mdagent.work.many import SIDE_BY_SIDE
from mdagent.work.report import Considered, Line, Planned
from mdagent.work.spans import BEGINNING, latest_end
from mdagent.work.standing import cached
from mdagent.work.together import alike, fitting, shares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from mdagent.market import BarRequest
    from mdagent.sessions import Session
    from mdagent.sources.base import Source
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader
    from mdagent.work.fit import Server, Wish
    from mdagent.work.rank import Form

_AT_ONCE = 64  # requests of users for which the store is kept open; between them a writer may have it
_HELD, _NOT_DUE = "the store has it", "no bar is due"
IDLE = (_HELD, _NOT_DUE)  # the notes of a step that asks for nothing
_SHUT_OUT = (FailureKind.BUDGET, FailureKind.PLAN_LIMIT, FailureKind.BREAKER_OPEN)


class Part(NamedTuple):
    """What a symbol has of a request that it shares: the source, the windows that come so (none where it is refused on the way), how many
    others there are; and, of the first one, what all of it takes."""

    source: str
    came: tuple[BarRequest, ...]
    others: int
    gone: Gone | None

    @property
    def words(self) -> str:
        """For a person."""
        return f"asked together with {self.others} other{'' if self.others == 1 else 's'}"


class Means(NamedTuple):
    """What a plan is made with. `form` ranks the sources, `closures` are days without a session by calendar, and `patience` the seconds
    that a fetch waits for quota."""

    store: BarStore
    form: Form
    closures: Mapping[str, Sequence[date]]
    bounded_depth: bool
    patience: float


def rehearse(wishes: Sequence[Wish], names: Sequence[str], means: Means) -> list[Line]:
    """A line for each wish, in their order. What any of the sources `names` has stored is served by the store. Raises StoreError."""
    lines = _held([w.request for w in wishes if not w.refresh], names, means)
    asked = [w for w in wishes if w.request not in lines]
    if asked:
        lines |= zip((w.request for w in asked), rehearsal_of(means).lines(asked), strict=True)
    return [lines[w.request] for w in wishes]


def rehearsal_of(means: Means) -> Rehearsal:
    """One that has sent nothing yet."""
    foresight = Foresight(means.form.ledger, means.form.policy, means.form.clock.now())
    return Rehearsal(means, replace(means.form, look=foresight.look), foresight, remembering())


def _held(requests: Sequence[BarRequest], names: Sequence[str], means: Means) -> dict[BarRequest, Line]:
    """The lines of what the store serves by itself, as a fetch would find them."""
    lines: dict[BarRequest, Line] = {}
    if requests and means.store.exists():
        now = means.form.clock.now()
        with means.store.reading("plan") as reader:
            for request in requests:
                served = cached(reader, request, names, read_sessions, now)
                if served is not None:
                    step = Planned(served[0].source or "", request.start, request.end, note=_HELD)
                    lines[request] = served[0]._replace(planned=(step,))
    return lines


@dataclass(slots=True)
class Rehearsal:
    """One a plan. `form` ranks by the `foresight`; `sessions` tells them as the open store has them."""

    means: Means
    form: Form
    foresight: Foresight
    sessions: Callable[[Reader | None, BarRequest], Sequence[Session] | None]
    _began: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.foresight.at

    def lines(self, wishes: Sequence[Wish]) -> list[Line]:
        """A line for each, in their order; they go after those of earlier calls. Raises StoreError."""
        latest = latest_end(Interval.D1, self._began)
        windows = (w.request.over(w.request.start, max(w.request.end, latest)) for w in wishes if w.servers)
        ensure_all(self.means.store, windows, self.means.closures)
        shared = dict(self._shared([self.form.placed(w) for w in wishes])) if len(wishes) > 1 else {}
        made, places = [], [self.foresight.at] * SIDE_BY_SIDE
        for first in range(0, len(wishes), _AT_ONCE):
            with self._sight() as sight:
                for wish in wishes[first : first + _AT_ONCE]:
                    began = self.foresight.at = heapq.heappop(places)
                    line = self._line(self.form.placed(wish), shared.get(wish.request), sight)
                    made.append(line)
                    heapq.heappush(places, began if any(step.late for step in line.planned) else self.foresight.at)
        return made

    @contextmanager
    def _sight(self) -> Iterator[Sight]:
        """A look into the store, for as long as it is open."""
        store = self.means.store
        with store.reading("plan") if store.exists() else nullcontext() as reader:
            yield Sight(reader, lambda request: self.sessions(reader, request), self._began, self.means.bounded_depth)

    def _shared(self, wishes: Sequence[Wish]) -> Iterator[tuple[BarRequest, Part]]:
        """The requests that several symbols share, as far as quota and budgets let them go. They come before all others."""
        with self._sight() as sight:
            lacking = list(self._lacking(wishes, sight))
        chosen = {wish.request for wish in wishes if len(wish.servers) > 1}
        for group in fitting(alike(lacking), chosen, lambda name: self.foresight.policy(name).windows):
            name, (first, _) = group.source.spec.name, group.members[0]
            talk = Talk.of("batch", partial(group.source.batch, group.windows))
            gone = self.foresight.hold(name, talk, first.priority)
            whole = talk.failure is None and not gone.refused
            for asked, window in group.members[: None if whole else bool(gone.requests)]:
                yield asked, Part(name, (window,) * whole, len(group.members) - 1, gone if asked is first else None)

    def _lacking(self, wishes: Sequence[Wish], sight: Sight) -> Iterator[tuple[Source, BarRequest, Sequence[BarRequest]]]:
        for wish in wishes:
            server = wish.servers[0] if wish.servers else None
            if server is not None and shares(server) and not self._unknown(server, wish):
                yield server.source, wish.request, lack_of(server, wish.request, sight, refresh=wish.refresh).windows

    def _line(self, wish: Wish, part: Part | None, sight: Sight) -> Line:
        """What a fetch of one request would come to: source after source, until one lets it through."""
        if part is not None:  # whoever was asked for it already serves it
            servers = tuple(sorted(wish.servers, key=lambda s: s.source.spec.name != part.source))
            wish = wish._replace(refresh=wish.refresh and not part.came, servers=servers)
        tried: list[Line] = []
        for server in wish.servers:
            tried.append(self._from(server, wish, sight, part=part if not tried else None))
            if tried[-1].failure is None:
                break
        if not tried:
            return unserved(wish)
        resort = last_resort(wish, tried)
        if resort is not None:
            tried.append(self._from(resort, wish, sight, probe=True))
        told = tried[-1] if tried[-1].failure is None else max(tried, key=telling)
        considered = (*wish.considered, *(one for line in tried for one in line.considered))
        steps = {step.source: step for line in tried for step in line.planned}  # a probe in place of the refusal before it
        planned = tuple(steps.values())
        return told._replace(considered=considered, planned=planned, requests=sum(step.requests for step in planned))

    def _from(self, server: Server, wish: Wish, sight: Sight, *, part: Part | None = None, probe: bool = False) -> Line:
        """One source's try."""
        name, request = server.source.spec.name, wish.request
        unknown = self._unknown(server, wish)
        if unknown is not None:
            return _refused(Line(request, name), unknown)
        lack = lack_of(server, request, sight, refresh=wish.refresh, came=part.came if part else ())
        step, failure = self._step(server, request, lack, part, probe=probe)
        line = Line(request, name, bars=lack.bars, notes=lack.notes, cut=bool(lack.notes) and request.start > BEGINNING)
        if failure is not None:
            keep = step.requests or failure.kind in _SHUT_OUT
            return _refused(line._replace(planned=(step,) if keep else ()), failure)
        held = _HELD if lack.bars else _NOT_DUE
        words = (*((part.words,) if part else ()), *lack.words(name)) or lack.notes or (held,)
        step = step if step.note or lack.windows or step.requests else step._replace(note=held)
        return line._replace(planned=(step,), considered=(Considered(name, chosen=True, reasons=words),))

    def _step(self, server: Server, request: BarRequest, lack: Lack, part: Part | None, *, probe: bool) -> tuple[Planned, Failure | None]:
        """What a source would be asked, and why not all of it."""
        name, said = server.source.spec.name, list(lack.notes)
        gone: list[Gone] = [] if part is None or part.gone is None else [part.gone]
        if part is not None:
            said.insert(0, part.words)
        failure = None
        for talk in talks(server, request, lack, self._began):
            if talk.failure is not None:
                failure = talk.failure
            else:
                gone.append(self.foresight.hold(name, talk, request.priority, probe=probe))
                refused = gone[-1].refused
                failure = Failure(refused.kind, f"{name}: {refused.reason}", until=refused.until) if refused else None
            if failure is not None and failure.kind is not FailureKind.NO_DATA:
                said.append(f"refused: {failure.detail}")
                break
        if failure is not None and failure.kind is FailureKind.NO_DATA and (lack.bars or any(g.requests for g in gone)):
            failure = None
        if failure is None and lack.notes and not (lack.windows or lack.bars or part):
            failure = Failure(FailureKind.NO_DATA, lack.notes[0])
        if probe:
            said.append("every breaker is open: a probe")
        if over := sum(g.beyond for g in gone):
            said.append(f"{beyond(over)}, for {sum(g.overage for g in gone):.4f} USD")
        late = any(g.waited > self.means.patience for g in gone)
        if late:
            said.append(f"a fetch does not wait so long ({self.means.patience:.0f} s at most)")
        windows = (*lack.windows, *(part.came if part else ()))
        return self._sum(name, windows or (request,), gone)._replace(note="; ".join(dict.fromkeys(said)), late=late), failure

    def _sum(self, name: str, windows: Sequence[BarRequest], gone: Sequence[Gone]) -> Planned:
        last = max((g.at for g in gone if g.requests), default=self._began)
        return Planned(
            name,
            min(w.start for w in windows),
            max(w.end for w in windows),
            sum(g.requests for g in gone),
            sum(g.credits for g in gone),
            sum(g.usd for g in gone),
            (last - self._began).total_seconds(),
        )

    def _unknown(self, server: Server, wish: Wish) -> Failure | None:
        """Why a source is not asked for a symbol that it did not know."""
        name, symbol = server.source.spec.name, wish.request.symbol
        found = None if wish.refresh else self.foresight.ledger.unknown(name, symbol.ticker)
        if found is None:
            return None
        told = f"{name} does not know {symbol} (asked before; it is asked again from {found[0]:%Y-%m-%d %H:%M}Z, or with --refresh)"
        return Failure(FailureKind.UNKNOWN_SYMBOL, told)


def _refused(line: Line, failure: Failure) -> Line:
    why = Considered(line.source or "", chosen=False, reasons=(f"{failure.kind}: {failure.detail}",))
    return line._replace(failure=failure, considered=(why,))
