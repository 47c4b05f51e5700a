"""The state of a source in one word, with why and for how long, as the ledger that all processes share has it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from mdagent.guard.breaker import State
from mdagent.guard.outcome import FailureKind
from mdagent.market import Priority
from mdagent.store.quota import Asked, Reservation
from mdagent.store.recall import breakers_of, not_entitled, outlook
from mdagent.work.fit import unready

if TYPE_CHECKING:
    from mdagent.agent import Agent
    from mdagent.config import SourceSettings
    from mdagent.guard.breaker import Breaker
    from mdagent.sources.base import Source

Off = tuple[str, datetime | None]
_WORDS = {State.FORCED_OPEN: "forced open", State.OPEN: "breaker open", State.HALF_OPEN: "being tested", State.DEGRADED: "degraded"}
_SHORT = {FailureKind.BUDGET: "budget spent", FailureKind.RATE_LIMITED: "throttled"}  # of what is left a quota is
_OF_QUOTA = (f"({FailureKind.QUOTA_EXHAUSTED})", "nothing is left of its quota")  # blocks that end with a quota's window


@dataclass(frozen=True, slots=True)
class Standing:
    """One source now. `until` is when the state ends, `probe` when a request may test it again. `idle`: out of use with nothing wrong,
    such as a key that nobody bought; `serves`: it may be asked now."""

    state: str
    why: str = ""
    since: datetime | None = None
    until: datetime | None = None
    probe: datetime | None = None
    idle: bool = False
    serves: bool = False


def standing(agent: Agent, source: Source, told: SourceSettings, off: Off | None) -> Standing:
    """The worst that holds: what nobody may ask, then what the breaker refuses, then what plan, budget and quota do; and in `why` also
    the breakers of its endpoints."""
    barred = _barred(agent, source, off)
    if barred:
        return barred
    name, now = source.spec.name, agent.clock.now()
    found = breakers_of(agent.ledger, agent.roster.account(name))
    shaky = {endpoint: b for endpoint, b in found.items() if endpoint and b.state is not State.CLOSED}
    own = _broken(found.get(""), now) if not told.observe_only else None
    state = own or _lacking(agent, name, now) or _short(agent, name, told, now) or _serving(found.get(""), shaky)
    notes = [f"{endpoint}: {_WORDS[b.state]}{_until(b)}, {b.why}" for endpoint, b in sorted(shaky.items())]
    if told.observe_only and "" in found and found[""].state is not State.CLOSED:
        notes.insert(0, f"observed only, it would be {_WORDS[found[''].state]}: {found[''].why}")
    return replace(state, why="; ".join(filter(None, (state.why, *notes))))


def _barred(agent: Agent, source: Source, off: Off | None) -> Standing | None:
    if off:
        return Standing("disabled", off[0], off[1], idle=True)
    today = agent.clock.now().date()
    unfit = unready(source, agent.settings.world, today)
    if unfit is None:
        return None
    if unfit.kind is FailureKind.AUTH:
        return Standing("no key", unfit.why, idle=True)
    end = source.spec.retired(today)
    return Standing("retired", unfit.why, datetime.combine(end.day, time(), UTC) if end else None, idle=True)


def _broken(b: Breaker | None, now: datetime) -> Standing | None:
    """What a breaker makes of the whole source, where it refuses or is under test."""
    if b is None or b.state in (State.CLOSED, State.DEGRADED):
        return None
    if b.state is State.FORCED_OPEN:
        return Standing(_WORDS[b.state], f"by {b.by}: {b.why}", b.since)
    tested = max(filter(None, (now, b.until, b.lease.until if b.lease else None)))
    until = tested if tested > now else None
    return Standing(_WORDS[b.state], b.why, b.since, until, tested, serves=until is None)


def _lacking(agent: Agent, name: str, now: datetime) -> Standing | None:
    lacks = not_entitled(agent.ledger, name, agent.roster.account(name), now)
    return Standing("not entitled", f"every request of the last 24 h was refused by the plan: {lacks}") if lacks else None


def _short(agent: Agent, name: str, told: SourceSettings, now: datetime) -> Standing | None:
    """What keeps a request of a person at the prompt waiting."""
    rules = agent.roster.rules(name)
    what = Reservation("", "", "", "", usd=told.cost or 0.0, priority=Priority.HIGH)
    ahead = outlook(agent.ledger, Asked(what, name, agent.roster.windows(name), rules), now)
    if ahead.kind is None or ahead.kind is FailureKind.BREAKER_OPEN:
        return None
    block = agent.ledger.blocked(name, rules.account) if ahead.kind is FailureKind.RATE_LIMITED else None
    quota = any(words in ahead.why for words in _OF_QUOTA)
    state = "quota spent" if quota else _SHORT.get(ahead.kind, "quota spent")
    return Standing(state, ahead.why, block.since if block else None, ahead.until)


def _serving(b: Breaker | None, shaky: dict[str, Breaker]) -> Standing:
    """It may be asked, and is not quite well where a breaker says so."""
    if b is not None and b.state is State.DEGRADED:
        return Standing("degraded", b.why, b.since, serves=True)
    since = min((x.since for x in shaky.values()), default=None)
    return Standing("degraded" if shaky else "ready", "", since, serves=True)


def _until(b: Breaker) -> str:
    return f" until {b.until:%Y-%m-%d %H:%M:%S}Z" if b.until else f" by {b.by}" if b.by else ""
