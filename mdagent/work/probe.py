"""Is a source there, is our key good, what does its plan let us ask? Told by the cheapest request that it offers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.guard.outcome import FailureKind
from mdagent.market import BarRequest, Interval, Symbol
from mdagent.work.ask import Ask, key_variable, lacking, markets, quote_of, search_for
from mdagent.work.fit import unready
from mdagent.work.telling import skew_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.sources.base import Source
    from mdagent.work.ask import Door
    from mdagent.work.fit import Unfit
    from mdagent.work.gate import Gate, Result

SYMBOL = "AAPL"  # known to every provider of American shares, and often free of charge
_TIMES = ("date", "age", "retry-after")  # the headers that count nothing
_SKEWED = 60  # seconds from which our clock can put a calendar quota on the wrong day
# A refusal of this kind comes after the key was read, and was found good.
_KEY_IS_GOOD = (FailureKind.PLAN_LIMIT, FailureKind.NO_DATA, FailureKind.UNKNOWN_SYMBOL, FailureKind.QUOTA_EXHAUSTED)


class Probed(NamedTuple):
    """What one request showed. `key` is `valid`, `refused`, `missing`, `not needed`, or `untested` where no answer told; `entitled` is
    `yes`, `no: ` and why, or empty. `latency_ms` is that of the last exchange; `clock_skew_s` says by how many seconds our clock is ahead
    of the answer's. `quota_left` is what the answer itself says, in its own words."""

    source: str
    key: str
    entitled: str = ""
    status: int | None = None
    latency_ms: float | None = None
    clock_skew_s: int | None = None
    quota_left: str = ""
    verdict: str = ""
    ok: bool = False
    next_step: str = ""


def unasked(source: Source, unfit: Unfit) -> Probed:
    """A source that cannot be asked: nothing is sent."""
    name, keyless = source.spec.name, unfit.kind is FailureKind.AUTH
    key = "missing" if keyless else "untested" if source.spec.needs_key else "not needed"
    hint = f"set {key_variable(name)}" if keyless else "use another source (mdagent sources list)"
    return Probed(name, key, verdict=unfit.why, next_step=hint)


async def probe_all(door: Door, sources: Sequence[Source], deadline: float, world: str, *, named: bool) -> list[Probed]:
    """All of them at once, in their order; those that cannot be asked are left out, unless the user `named` them."""
    import asyncio

    async with door() as gate:
        today = gate.clock.now().date()
        fit = [(source, unready(source, world, today)) for source in sources]
        async with asyncio.TaskGroup() as group:
            tasks = {s.spec.name: group.create_task(probe(gate, s, deadline)) for s, unfit in fit if unfit is None}
    return [tasks[s.spec.name].result() if unfit is None else unasked(s, unfit) for s, unfit in fit if named or unfit is None]


async def probe(gate: Gate, source: Source, deadline: float) -> Probed:
    """Ask once, and say what came of it. `deadline` is seconds. Raises StoreError when the ledger fails; all else is in the answer."""
    from mdagent.work.gate import Call

    endpoint, ask = cheapest(source, gate.clock.now())
    call = Call(endpoint, ask.subject, gate.clock.monotonic() + deadline, anyway=True)
    return _told(source, await gate.converse(source, lambda: ask.begin(source), call))


def cheapest(source: Source, now: datetime) -> tuple[str, Ask[Any]]:
    """The first kind of request that the plan includes of: a quote, the state of markets, a search; else a week of bars."""
    asks: dict[str, Ask[Any]] = {"quote": quote_of(Symbol.parse(SYMBOL)), "market": markets(), "search": search_for(SYMBOL)}
    found = next((endpoint for endpoint in asks if not lacking(endpoint, source)), None)
    if found is not None:
        return found, asks[found]
    depths = source.spec.intervals
    interval = Interval.D1 if Interval.D1 in depths else next(iter(depths))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    request = BarRequest(SYMBOL, interval, midnight - timedelta(days=7), midnight, depths[interval].delivers[0])  # type: ignore[arg-type]
    return "bars", Ask(SYMBOL, lambda at: at.bars(request))


def _told(source: Source, result: Result[Any]) -> Probed:
    failure, last = result.failure, result.attempts[-1]
    good = failure is None
    key = "not needed"
    if source.spec.needs_key:
        key = "valid" if failure is None or failure.kind in _KEY_IS_GOOD else "refused" if failure.kind is FailureKind.AUTH else "untested"
    entitled = "yes" if failure is None else f"no: {failure.detail}" if failure.kind is FailureKind.PLAN_LIMIT else ""
    skew = skew_of(last)
    verdict = "ready" if failure is None else f"{failure.kind}: {failure.detail}"
    if skew is not None and abs(skew) >= _SKEWED:
        verdict += f"; this clock is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} that of {source.spec.name}"
    return Probed(
        source.spec.name,
        key,
        entitled,
        last.status,
        round(last.ms, 1) if last.sent and last.token is not None else None,
        skew,
        ", ".join(f"{name} {value}" for name, value in last.headers if name not in _TIMES),
        verdict,
        good,
        "" if failure is None else failure.consequence.next_step,
    )
