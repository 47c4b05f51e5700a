"""One told split or dividend -> a CorporateAction, or a refusal of the whole answer: the one left out may be the one that matters."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from mdagent.guard.outcome import FailureKind
from mdagent.market import CorporateAction
from mdagent.sources.reading.body import failed

if TYPE_CHECKING:
    from datetime import date


def split(day: date | None, new: float | None, old: float | None) -> CorporateAction:
    """`new` shares for `old` ones. Raises ConversationFailed SCHEMA."""
    ratio = new / old if new and old and new > 0 and old > 0 else inf
    if day is None or not 0 < ratio < inf:
        msg = "a split of the answer has no date or no ratio"
        raise failed(FailureKind.SCHEMA, msg)
    return CorporateAction("split", day, ratio)


def dividend(day: date | None, amount: float | None, currency: str | None) -> CorporateAction:
    """`amount` a share as it was paid; an empty currency is that of the prices. Raises ConversationFailed SCHEMA."""
    if day is None or amount is None or amount < 0:
        msg = "a dividend of the answer has no date or no amount"
        raise failed(FailureKind.SCHEMA, msg)
    return CorporateAction("dividend", day, amount, currency=currency or None)
