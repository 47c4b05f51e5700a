"""What the ledger would say if the requests that are planned so far had been sent; nothing is written into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mdagent.guard.forecast import Purse, Tally
from mdagent.guard.limits import Denied
from mdagent.guard.outcome import FailureKind
from mdagent.store.quota import Asked, Reservation, spent
from mdagent.store.recall import Outlook, factor_of, outlook, waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mdagent.guard.cost import Price
    from mdagent.market import Priority
    from mdagent.store.ledger import Ledger
    from mdagent.work.dry import Talk
    from mdagent.work.gate import Policy


class Gone(NamedTuple):
    """What would become of a conversation: the requests that go, their credits and USD, when the last of them goes, the seconds that they
    wait for quota; what refuses the rest; and the credits beyond the quota, with how much of the USD is for them."""

    at: datetime
    requests: int = 0
    credits: int = 0
    usd: float = 0.0
    waited: float = 0.0
    refused: Denied | None = None
    beyond: int = 0
    overage: float = 0.0

    def more(self, at: datetime, cost: int, price: Price) -> Gone:
        """And one request of so many credits, at that time."""
        usd, overage = self.usd + price.total, self.overage + price.overage
        return Gone(at, self.requests + 1, self.credits + cost, usd, beyond=self.beyond + price.beyond, overage=overage)


@dataclass(slots=True)
class Foresight:
    """One a plan. `at` is when the next question is asked; the first one, now. What waits already goes first, but for that of the run of
    this name."""

    ledger: Ledger
    policy: Callable[[str], Policy]
    at: datetime
    run: str = ""
    _began: datetime = field(init=False)
    _purse: Purse = field(init=False)
    _tallies: dict[str, Tally] = field(default_factory=dict)
    _standing: dict[tuple[str, str], Outlook] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began = self.at
        self._purse = Purse(lambda when, source: self.ledger.reading(partial(spent, when=when, source=source)))

    def look(self, asked: Asked, _: datetime) -> Outlook:
        """What would become of a request then, as `store.recall.outlook` tells it of now."""
        what, standing = asked.what, self._outlook(asked.source, asked.what.endpoint)
        if standing.kind is FailureKind.BREAKER_OPEN:
            return standing
        tally = self._tally(asked.source, what.priority)
        left, state = tally.left(self.at), standing.state
        price = tally.price(what.usd, what.cost, self.at)
        slot = self._purse.over(asked.rules.budgets, price, self.at) or tally.slot(what.cost, what.priority, self.at)
        if isinstance(slot, Denied):
            return Outlook(None, slot.reason, slot.until, left, state, slot.kind)
        wait = (slot - self.at).total_seconds()
        if wait:
            return Outlook(wait, until=slot, left=left, state=state, kind=FailureKind.THROTTLED)
        return Outlook(0.0, left=left, state=state, overage=price.overage)

    def hold(self, name: str, talk: Talk, priority: Priority, *, probe: bool = False) -> Gone:
        """Take the requests of a conversation from quota and budgets, as far as these allow; the time goes on to its end. `probe`: an
        open breaker is not to refuse it."""
        standing, policy, began = self._outlook(name, talk.endpoint), self.policy(name), self.at
        if standing.kind is FailureKind.BREAKER_OPEN and not probe:
            return Gone(self.at, refused=Denied(standing.kind, standing.why, standing.until))
        tally, budgets, gone, refused = self._tally(name, priority), policy.rules.budgets, Gone(self.at), None
        for cost in talk.costs:
            price = tally.price(cost * policy.usd, cost, self.at)
            slot = self._purse.over(budgets, price, self.at) or tally.slot(cost, priority, self.at)
            if not isinstance(slot, Denied):
                price = tally.price(cost * policy.usd, cost, slot)
            refused = slot if isinstance(slot, Denied) else self._purse.over(budgets, price, slot)
            if refused or isinstance(slot, Denied):
                break
            tally.take(cost, slot)
            self._purse.pay(budgets, price.total, slot)
            self.at = slot
            gone = gone.more(slot, cost, price)
        return gone._replace(waited=(self.at - began).total_seconds(), refused=refused)

    def open_tally(self, name: str, priority: Priority) -> Tally | None:
        """The quota of a source as it stands; from when its breaker may open, where it refuses; None where no time ends that."""
        standing, tally = self._outlook(name, "bars"), self._tally(name, priority)
        if standing.kind is FailureKind.BREAKER_OPEN:
            if standing.until is None:
                return None
            tally.first = max(tally.first, standing.until)
        return tally

    def _outlook(self, name: str, endpoint: str) -> Outlook:
        key = (name, endpoint)
        if key not in self._standing:
            policy = self.policy(name)
            asked = Asked(Reservation(endpoint, "", "", ""), name, policy.windows, policy.rules)
            self._standing[key] = outlook(self.ledger, asked, self._began)
        return self._standing[key]

    def _tally(self, name: str, priority: Priority) -> Tally:
        """The quota of a source as it stands, and those that wait for it already."""
        if name not in self._tallies:
            policy, now = self.policy(name), self._began
            account = policy.rules.account or name
            made = self._tallies[name] = Tally(policy.windows, now, factor_of(self.ledger, account), policy.rules.overage)
            made.used(self.ledger.usage(name, policy.windows, now, account))
            block = self.ledger.blocked(name, account)
            made.first = max(now, block.until) if block else now
            for waiter in waiting(self.ledger, account, now):
                slot = made.slot(waiter.cost, waiter.priority, now)
                if waiter.run != self.run and waiter.priority <= priority and not isinstance(slot, Denied):
                    made.take(waiter.cost, slot)
        return self._tallies[name]
