"""Money: what a request costs, and whether a budget allows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `usd` in a day or month (UTC), of one source or of all ("")."""

    usd: float
    per: Literal["day", "month"]
    source: str = ""

    def over(self, spent: float, more: float) -> str:
        """Why `more` may not be spent on top of `spent`; "" where it may. What costs nothing always may."""
        if more <= 0 or spent + more <= self.usd + 1e-9:
            return ""
        of = f" for {self.source}" if self.source else ""
        return f"the budget of {self.usd:.2f} USD a {self.per}{of} would be passed: {spent:.4f} is spent, {more:.4f} more is asked for"
