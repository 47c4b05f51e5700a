"""What a plan did not include is not asked for again within a day: neither by this process nor by another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.work.telling import memory_of

if TYPE_CHECKING:
    import httpx

    from mdagent.clock import Clock
    from mdagent.store.ledger import Ledger

_MEMORY = timedelta(hours=24)
_LOOK = 60.0  # seconds between two looks whether anything is remembered at all, which it seldom is


@dataclass(slots=True)
class Paywalls:
    """Requests are known by what they ask for; a key in them cannot be read out of the ledger."""

    ledger: Ledger
    clock: Clock
    _any: dict[str, tuple[float, bool]] = field(default_factory=dict)

    def remember(self, account: str, request: httpx.Request, failure: Failure) -> None:
        """The plan of this account does not include that."""
        self.ledger.remember_unknown(account, _name(request), self.clock.now() + _MEMORY, failure.detail)
        self._any.pop(account, None)

    def before(self, source: str, account: str, request: httpx.Request) -> Failure | None:
        """Why this request is not sent; None where it may be."""
        now = self.clock.monotonic()
        looked, any_ = self._any.get(account, (0.0, False))
        if account not in self._any or now - looked > _LOOK:
            query = "SELECT 1 FROM unknown_symbols WHERE source = ? AND symbol LIKE 'request %' LIMIT 1"
            any_ = bool(self.ledger.rows(query, account))
            self._any[account] = (now, any_)
        found = self.ledger.unknown(account, _name(request)) if any_ else None
        if found is None:
            return None
        again = f"asked before; it is asked again from {found[0]:%Y-%m-%d %H:%M}Z, or after `mdagent sources reset {source}`"
        return Failure(FailureKind.PLAN_LIMIT, f"{source}: {found[1]} ({again})", until=found[0])


def _name(request: httpx.Request) -> str:
    return f"request {sha256(memory_of(request).encode()).hexdigest()[:32]}"
