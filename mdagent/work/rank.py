"""The order in which sources are asked, by what the ledger remembers of them and what they can serve now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from mdagent.guard.breaker import State
from mdagent.guard.memory import fold
from mdagent.guard.route import WEIGHTS, Candidate, rank
from mdagent.market import Priority
from mdagent.store.quota import Asked, Reservation
from mdagent.store.recall import hedges, outlook, seen, speed
from mdagent.work.fit import a_day

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mdagent.clock import Clock
    from mdagent.guard.memory import Reputation, Seen
    from mdagent.guard.route import Ranked
    from mdagent.guard.weights import Weights
    from mdagent.market import BarRequest
    from mdagent.sources.base import Source
    from mdagent.store.ledger import Ledger
    from mdagent.store.recall import Outlook
    from mdagent.work.fit import Server, Wish
    from mdagent.work.gate import Policy

_KEPT = 60.0  # seconds that what was read of the past is good for
_FRESH = timedelta(hours=1)
_SOONEST = 0.8


@dataclass(slots=True)
class Form:
    """How the sources are doing, as the ledger has it; `policy` is asked for the rules of each. One a command. `look` tells what would
    become of a request, where that is not to be the ledger's word."""

    ledger: Ledger
    clock: Clock
    policy: Callable[[str], Policy]
    weights: Weights = WEIGHTS
    look: Callable[[Asked, datetime], Outlook] | None = None
    _past: dict[str, tuple[float, list[Seen]]] = field(default_factory=dict)
    _folded: dict[tuple[str, str, str, str], Reputation] = field(default_factory=dict)

    def placed(self, wish: Wish) -> Wish:
        """The wish with its servers in the order of asking, and the sums behind it."""
        if len(wish.servers) < 2:
            return wish
        by_name, ranking = {s.source.spec.name: s for s in wish.servers}, self.ranking(wish)
        return wish._replace(servers=tuple(by_name[r.source] for r in ranking), ranking=ranking)

    def ranking(self, wish: Wish, field: str = "") -> tuple[Ranked, ...]:
        """Every server in its place; for the sake of one field, `price` or `volume`, where one is named."""
        asked = wish.request
        live = asked.interval.intraday and self.clock.now() - asked.end < _FRESH
        return rank([self._of_bars(s, asked, field) for s in wish.servers], self.weights, live=live)

    def rank(self, sources: Sequence[Source], endpoint: str) -> tuple[Ranked, ...]:
        """The sources in the order of asking for what is true this minute."""
        return rank([self._candidate(s, endpoint) for s in sources], self.weights, live=True)

    def hedge(self, sources: Sequence[Source], endpoint: str) -> float | None:
        """Seconds after which the second of the sources may be asked as well: what the first needs nineteen times of twenty, 0.8 at least.
        None where one of them has less than half of its quota left, or where more than one question in twenty was hedged today."""
        now = self.clock.now()
        if len(sources) < 2 or any((self._candidate(s, endpoint).left or 1.0) <= 0.5 for s in sources[:2]):
            return None
        asked, hedged = hedges(self.ledger, endpoint, now - timedelta(days=1))
        if hedged > 0.05 * asked:
            return None
        name = sources[0].spec.name
        usual = speed(self.ledger, name, self.policy(name).rules.account, now - timedelta(days=1)).p95
        return max(_SOONEST, (usual or 0.0) / 1000)

    def reputation(self, name: str, interval: str = "", symbol: str = "", field: str = "") -> Reputation:
        """What a source's attempts say of it; its quality by field, `price` or `volume`, where one is named."""
        past = self._seen(name)
        known = symbol if any(s.symbol == symbol and s.score is not None for s in past) else ""
        key = (name, interval, known, field)
        if key not in self._folded:
            self._folded[key] = fold(name, past, self.clock.now(), interval=interval, symbol=known, field=field)
        return self._folded[key]

    def _seen(self, name: str) -> list[Seen]:
        now, kept = self.clock.monotonic(), self._past.get(name)
        if kept is None or now - kept[0] > _KEPT:
            kept = self._past[name] = (now, seen(self.ledger, name, self.policy(name).rules.account, self.clock.now()))
            self._folded = {key: told for key, told in self._folded.items() if key[0] != name}
        return kept[1]

    def _of_bars(self, server: Server, asked: BarRequest, field: str) -> Candidate:
        source = server.source
        return self._candidate(
            source,
            "bars",
            interval=asked.interval.value,
            symbol=asked.symbol.ticker,
            field=field,
            priority=asked.priority,
            requests=len(source.cut(asked)),
            direct=server.basis is asked.adjustment,
        )

    def _candidate(  # noqa: PLR0913  what is asked of it
        self,
        source: Source,
        endpoint: str,
        *,
        interval: str = "",
        symbol: str = "",
        field: str = "",
        priority: Priority = Priority.HIGH,
        requests: int = 1,
        direct: bool = True,
    ) -> Candidate:
        name, policy = source.spec.name, self.policy(source.spec.name)
        told = self.reputation(name, interval, symbol, field)
        what = Reservation(endpoint, "", "", symbol, usd=policy.usd * requests, priority=priority)
        ahead = (self.look or partial(outlook, self.ledger))(Asked(what, name, policy.windows, policy.rules), self.clock.now())
        known = told.seen >= 0.5
        return Candidate(
            name,
            reliability=told.reliability.mean if known else None,
            quality=told.quality,
            latency=told.latency,
            left=ahead.left,
            wait=ahead.wait or 0.0,
            usd=(policy.usd + ahead.overage) * requests,
            delay=source.plan.delay.total_seconds(),
            direct=direct,
            metered=source.spec.needs_key,
            state=State.HALF_OPEN.value if ahead.state is State.OPEN and ahead.wait is not None else ahead.state.value,
            requests=requests,
            a_day=a_day(source.plan),
            attempts=told.seen if known else None,
            graded=told.basis,
            refuses=ahead.why if ahead.wait is None else "",
        )
