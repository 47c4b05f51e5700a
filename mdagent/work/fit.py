"""Which sources can serve a request, on which basis they are asked for it, and why the others cannot. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdagent.guard.outcome import FailureKind
from mdagent.market import Interval
from mdagent.work.report import Considered

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from mdagent.guard.route import Ranked
    from mdagent.market import Adjustment, BarRequest
    from mdagent.sources.base import Plan, Source, SourceSpec


class Server(NamedTuple):
    """A source that may serve a request, and the basis that it is asked for: what the reader wants is made of it where it differs."""

    source: Source
    basis: Adjustment


class Unfit(NamedTuple):
    """Why a source is not asked."""

    kind: FailureKind
    why: str


class Wish(NamedTuple):
    """One request of the user: who may serve it, in the order of asking, and whether what is stored may."""

    request: BarRequest
    servers: tuple[Server, ...]
    refresh: bool = False
    considered: tuple[Considered, ...] = ()
    refusals: tuple[Unfit, ...] = ()
    notes: tuple[str, ...] = ()
    ranking: tuple[Ranked, ...] = ()

    def sums_of(self, server: Server) -> tuple[str, ...]:
        """The arithmetic that gave a server its place."""
        return next((r.arithmetic() for r in self.ranking if r.source == server.source.spec.name), ())


def wish_for(request: BarRequest, sources: Iterable[Source], *, refresh: bool, world: str, today: date) -> Wish:
    """The request with the sources that may be asked for it; those left out with their reason. Without a key first, then who delivers
    the basis itself, then who allows most requests: a metered key is not spent where it need not be."""
    able: list[tuple[tuple[object, ...], Server]] = []
    left, refusals = [], []
    for source in sources:
        found = unready(source, world, today) or _serving(source, request)
        if isinstance(found, Unfit):
            left.append(Considered(source.spec.name, chosen=False, reasons=(found.why,)))
            refusals.append(found)
        else:
            rank = (source.spec.needs_key, found.basis is not request.adjustment, -a_day(source.plan), source.spec.name)
            able.append((rank, found))
    servers = tuple(server for _, server in sorted(able, key=lambda pair: pair[0]))
    return Wish(request, servers, refresh, tuple(left), tuple(refusals))


def unready(source: Source, world: str, today: date) -> Unfit | None:
    """Why this source cannot be asked for anything in this world; None where it can."""
    spec = source.spec
    retired = spec.retired(today) if world == "live" else None
    if retired:
        return Unfit(FailureKind.PLAN_LIMIT, f"{spec.title} was retired on {retired.day}: {retired.what}")
    if not source.keyed:
        return Unfit(FailureKind.AUTH, f"no key: set MDAGENT_{spec.name.upper()}_API_KEY")
    return None


def _serving(source: Source, request: BarRequest) -> Server | Unfit:
    spec, plan = source.spec, source.plan
    interval, wanted = request.interval, request.adjustment
    if interval not in spec.intervals:
        return Unfit(FailureKind.BAD_REQUEST, f"it has no {interval} bars")
    if interval.value in plan.lacks:
        return Unfit(FailureKind.PLAN_LIMIT, f"its plan {plan.name} has no {interval} bars")
    if request.symbol.mic not in (None, "XNYS") and request.symbol.kind in ("equity", "fund") and "world" in plan.lacks:
        return Unfit(FailureKind.PLAN_LIMIT, f"its plan {plan.name} has no listings outside America")
    delivers = [b for b in spec.intervals[interval].delivers if f"{interval} {b}" not in plan.lacks]
    if not delivers:
        return Unfit(FailureKind.PLAN_LIMIT, f"its plan {plan.name} has no {interval} bars")
    if wanted is delivers[0] or tells_actions(spec, plan):
        return Server(source, delivers[0])
    if wanted in delivers:
        return Server(source, wanted)
    why = f"it delivers {' or '.join(delivers)} {interval} prices, not {wanted}, and its plan {plan.name} does not tell the splits"
    return Unfit(FailureKind.BAD_REQUEST, why)


def tells_actions(spec: SourceSpec, plan: Plan) -> bool:
    """Can the splits and dividends be had, by which one basis is made of another?"""
    return "actions with bars" in spec.offers or ("actions" in spec.offers and "actions" not in plan.lacks)


def a_day(plan: Plan) -> float:
    """How many requests the tightest quota leaves a day."""
    seconds = {"day": 86400.0, "month": 30 * 86400.0}
    return min((q.limit * 86400.0 / (seconds[q.per] if isinstance(q.per, str) else q.per) for q in plan.quotas), default=0.0)


def daily_basis(source: Source) -> Adjustment | None:
    """The basis in which this source's daily bars are stored; None where it has none."""
    depth = source.spec.intervals.get(Interval.D1)
    delivers = [b for b in depth.delivers if f"{Interval.D1} {b}" not in source.plan.lacks] if depth else []
    return delivers[0] if delivers and Interval.D1.value not in source.plan.lacks else None
