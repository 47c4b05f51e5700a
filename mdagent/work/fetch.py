"""One request -> the best bars: what is missing, who can serve it, ask, judge, keep, bring to one basis."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.store.foreseen import Foreseen
from mdagent.work.fill import Filled, Tools, fill
from mdagent.work.flight import flight
from mdagent.work.gate import MISTAKEN
from mdagent.work.learn import Unlearned, learn, unlearned
from mdagent.work.look import Look
from mdagent.work.report import Considered, Line
from mdagent.work.spans import BEGINNING
from mdagent.work.standing import line_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.market import BarRequest
    from mdagent.store.read import Reader
    from mdagent.work.fit import Server, Wish

_OUT_OF_REACH = 2
_COULD_NOT = (FailureKind.AUTH, FailureKind.PLAN_LIMIT, FailureKind.UNKNOWN_SYMBOL, FailureKind.BAD_REQUEST)  # up or down
_SPARED = "not asked: others come first"

__all__ = ["Tools", "fetch", "unserved"]


async def fetch(wish: Wish, tools: Tools) -> Line:
    """Bring the store up to date for one request. The line tells how it went; bars are read from the store afterwards.
    Raises StoreError."""
    considered, sent = list(wish.considered), 0
    tried: list[Line] = []
    began = tools.clock.monotonic()

    async def served_by(server: Server, tools: Tools) -> bool:
        nonlocal sent
        if not tools.patience:  # one deadline for all that are tried; where quota is waited for, each has its own
            tools = replace(tools, deadline=max(0.0, tools.deadline + began - tools.clock.monotonic()))
        line = await _from(server, wish, replace(tools, others=server is not wish.servers[-1]))
        sent += line.requests
        why = "served it" if line.failure is None else f"{line.failure.kind}: {line.failure.detail}"
        considered.append(Considered(server.source.spec.name, line.failure is None, (why,), wish.sums_of(server)))
        tried.append(line)
        return line.failure is None

    for server in wish.servers:
        if await served_by(server, tools) or _offline(tried):
            break
    if not tried:
        return unserved(wish)
    resort = last_resort(wish, tried)
    if resort is not None:
        await served_by(resort, replace(tools, last_resort=True))
    spared = wish.servers[len(tried) :] if resort is None else ()
    considered += [Considered(s.source.spec.name, chosen=False, reasons=(_SPARED,), arithmetic=wish.sums_of(s)) for s in spared]
    told = tried[-1] if tried[-1].failure is None else _opening_first(max(tried, key=telling), tried)
    new = sum(line.new for line in tried)
    return told._replace(considered=tuple(considered), requests=sent, new=new)


def _offline(tried: Sequence[Line]) -> bool:
    """Have so many sources been out of reach that the others are not worth the wait?"""
    return sum(line.failure is not None and line.failure.unreachable for line in tried) >= _OUT_OF_REACH


def last_resort(wish: Wish, tried: Sequence[Line]) -> Server | None:
    """Where breakers refuse every source for its failures: the one that is to be tested soonest."""
    failures = [line.failure for line in tried]
    if not all(f is not None and f.kind in (FailureKind.BREAKER_OPEN, *_COULD_NOT) for f in failures):
        return None
    shut = [(f, n) for n, f in enumerate(failures) if f is not None and f.kind is FailureKind.BREAKER_OPEN]
    waits = [(f.until, n) for f, n in shut if f.until is not None]
    return wish.servers[min(waits)[1]] if waits else None


def telling(line: Line) -> tuple[int, bool, bool]:
    """Of several sources that failed, the one to be told of: that with most bars, else one that knows the symbol for unknown, else one
    that failed for the network, which the others did then, too; else the first."""
    kind = line.failure.kind if line.failure else None
    return line.bars, kind is FailureKind.UNKNOWN_SYMBOL, kind is FailureKind.NETWORK_DOWN


def _opening_first(told: Line, tried: Sequence[Line]) -> Line:
    """Where a breaker is what is told of, that of them which is tested first: until then nobody can be asked."""
    shut = [(line.failure.until, n) for n, line in enumerate(tried) if line.failure and line.failure.kind is FailureKind.BREAKER_OPEN]
    known = [(until, n) for until, n in shut if until is not None]
    is_shut = told.failure is not None and told.failure.kind is FailureKind.BREAKER_OPEN
    return tried[min(known)[1]] if is_shut and known and not told.bars else told


def unserved(wish: Wish) -> Line:
    """The line of a request that nobody can serve. Where all that is missing is a key, that is what is said."""
    words = "; ".join(f"{c.source}: {', '.join(c.reasons)}" for c in wish.considered) or "no source is enabled"
    kinds = {r.kind for r in wish.refusals}
    kind = FailureKind.AUTH if kinds == {FailureKind.AUTH} else FailureKind.BAD_REQUEST
    failure = Failure(kind, f"no source can serve {wish.request.symbol}: {words}")
    return Line(wish.request, None, failure=failure, considered=wish.considered, notes=wish.notes)


async def _from(server: Server, wish: Wish, tools: Tools) -> Line:
    """One source's try: every gap it can fill, each kept as soon as it is judged; then what its basis needs to be another one."""
    source, name, wanted = server.source, server.source.spec.name, wish.request.adjustment
    stored = replace(wish.request, adjustment=server.basis)
    known = None if wish.refresh else tools.ledger.unknown(name, stored.symbol.ticker)
    if known:
        until, why = known
        mistaken = why.startswith(MISTAKEN)
        kind = FailureKind.MISMATCH if mistaken else FailureKind.UNKNOWN_SYMBOL
        words = f"{name}: {why.removeprefix(MISTAKEN)}" if mistaken else f"{name} does not know {stored.symbol}"
        told = f"{words} (asked before; it is asked again from {until:%Y-%m-%d %H:%M}Z, or with --refresh)"
        return (await tools.clerk.ask(standing_all, Stood(wish, server, Filled(failure=Failure(kind, told)), tools)))[0]
    async with flight(name, stored, tools):
        done = await fill(source, stored, tools, wanted=wanted, refresh=wish.refresh)
        line, lack = await tools.clerk.ask(standing_all, Stood(wish, server, done, tools))
        if lack is not None:
            done = done.and_then(await learn(source, stored, lack, tools))
            line, _ = await tools.clerk.ask(standing_all, Stood(wish, server, done, tools))
    if not line.bars and done.failure is None and done.lacking is not None:
        return line._replace(failure=done.lacking)
    return line._replace(cut=bool(done.notes) and stored.start > BEGINNING)


class Stood(NamedTuple):
    """What came of asking one source for a request."""

    wish: Wish
    server: Server
    done: Filled
    tools: Tools

    @property
    def stored(self) -> BarRequest:
        """The request on the basis of which that source's bars are stored."""
        return replace(self.wish.request, adjustment=self.server.basis)


def standing_all(reader: Reader | None, stood: Sequence[Stood]) -> list[tuple[Line, Unlearned | None]]:
    """The line of each request, from what the store holds of it now; and, where nothing failed, what the store does not know yet of the
    splits and dividends that its basis needs."""
    known = _briefly(reader, stood) if reader is not None else {}
    return [_told(known[n], one) if n in known else _standing(reader, one) for n, one in enumerate(stood)]


def _briefly(reader: Reader, stood: Sequence[Stood]) -> dict[int, Line]:
    """The lines of those that need no reading of bars: the store has served them."""
    made: dict[int, Line] = {}
    able = [n for n, one in enumerate(stood) if one.tools.brief and one.done.failure is None and one.done.lacking is None]
    for name in dict.fromkeys(stood[n].server.source.spec.name for n in able):
        own = [n for n in able if stood[n].server.source.spec.name == name]
        tools, source = stood[own[0]].tools, stood[own[0]].server.source
        seen = Foreseen(reader, (stood[n].wish.request.symbol.ticker for n in own), tools.clerk.calendars)
        served = Look(seen, {name: source}, tools.clock.now(), tools.bounded_depth).served([stood[n].wish.request for n in own])
        made.update((n, served[stood[n].wish.request]) for n in own if stood[n].wish.request in served)
    return made


def _told(line: Line, one: Stood) -> tuple[Line, Unlearned | None]:
    done = one.done
    return (
        line._replace(
            requests=done.sent,
            bars=max(line.bars, done.inserted),
            new=done.inserted,
            revised=done.revisions,
            restated=done.restatements,
            notes=(*line.notes, *one.wish.notes, *done.notes, *done.changes),
        ),
        None,
    )


def _standing(reader: Reader | None, one: Stood) -> tuple[Line, Unlearned | None]:
    (wish, server, done, tools), stored = one, one.stored
    name, notes = server.source.spec.name, (*wish.notes, *done.notes, *done.changes)
    if reader is None:
        nothing_yet = Failure(FailureKind.NO_DATA, f"{name} has no {stored.interval} bars of {stored.symbol} in this range")
        return Line(wish.request, name, done.sent, failure=done.failure or nothing_yet, notes=notes), None
    lack = None
    if done.failure is None:
        lack = unlearned(reader, server.source, stored, wish.request.adjustment, tools.clock.now())
    line = line_of(reader, stored, name, requests=done.sent, failure=done.failure, notes=notes)
    left = reader.joint(wish.request, (name,)).left if line.bars and line.failure is None else ()
    if left:
        words = f"{name} cannot serve {wish.request.adjustment} prices: {left[0].why}"
        line = line._replace(bars=0, provisional=0, failure=Failure(FailureKind.MISMATCH, words))  # stored, but not what was asked for
    return line._replace(request=wish.request, new=done.inserted, revised=done.revisions, restated=done.restatements), lack
