"""What one run may send, spend and last, and what it has used of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from mdagent.guard.outcome import Failure, FailureKind

_CENT = 1e-9  # sums of floats are not exact


@dataclass(slots=True)
class Allowance:
    """Bounds of a run, None for none: requests, credits, USD, and when (on the monotonic clock) it may begin nothing more. What was used
    is counted with or without bounds. `words` name who set them: "the plan", "this run"."""

    requests: int | None = None
    credits: int | None = None
    usd: float | None = None
    ends: float | None = None
    words: str = "this run"
    used_requests: int = 0
    used_credits: int = 0
    used_usd: float = 0.0
    spent: bool = False  # was a request refused for its price or number?
    over: bool = False  # was one refused for the time?
    _taken: dict[int, tuple[int, float]] = field(default_factory=dict)

    def refusal(self, cost: int, usd: float, now: float) -> Failure | None:
        """Why a request of so many credits and USD may not begin; None where it may."""
        if self.ends is not None and now >= self.ends:
            self.over = True
            return Failure(FailureKind.DEADLINE, f"the time of {self.words} is over: nothing new is begun")
        bounds = (
            (self.requests, self.used_requests, 1, "requests"),
            (self.credits, self.used_credits, cost, "credits"),
            (self.usd, self.used_usd, usd, "USD"),
        )
        for most, used, more, of in bounds:
            if most is not None and more > 0 and used + more > most + _CENT:
                self.spent = True
                told = f"{of} of {self.words} would be passed: {used:.10g} of {most:.10g} are used, {more:.10g} more asked for"
                return Failure(FailureKind.BUDGET, f"the {told}")
        return None

    def take(self, token: int, cost: int, usd: float, now: float) -> Failure | None:
        """Count the request with that row of the ledger; or why it may not go after all."""
        failure = self.refusal(cost, usd, now)
        if failure is None:
            self._taken[token] = (cost, usd)
            self._count(1, cost, usd)
        return failure

    def settle(self, token: int, *, refund: bool) -> None:
        """The request is over; `refund`: it was never sent."""
        cost, usd = self._taken.pop(token, (0, 0.0))
        if refund and (cost or usd):
            self._count(-1, -cost, -usd)

    def patience(self, most: float, now: float) -> float:
        """Seconds that a request may wait for quota, of at most so many."""
        return most if self.ends is None else max(0.0, min(most, self.ends - now))

    def _count(self, requests: int, cost: int, usd: float) -> None:
        self.used_requests += requests
        self.used_credits += cost
        self.used_usd += usd
