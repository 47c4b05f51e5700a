"""Sources vote on splits and payments: what one lists and no other has heard of was never so."""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.case import Outcome
from mdagent.quality.counted import many
from mdagent.quality.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.market import BarSet, CorporateAction
    from mdagent.quality.case import Case
    from mdagent.quality.finding import Finding

_FEWEST = 2  # others that list actions, of different feeds
_SAME_DAY = timedelta(days=5)  # sources date an action by the days of their own market
_APART = 0.2  # of an amount or ratio: further apart than this it is not the same
_FEW = 2


def votes(case: Case) -> Outcome:
    """Each listed split and payment against what the other sources list; and what most of them list that this one does not."""
    voters = [other for other in case.others if other.actions or other.delivery.events]
    feeds = {case.families.get(v.source, v.source) for v in voters}
    if len(feeds) < _FEWEST:
        return Outcome(skipped="fewer than two other sources list splits and payments")
    alone, differing = [], []
    for action in case.bars.actions:
        told = [amount for voter in voters if (amount := _told(voter, action)) is not None]
        if not told:
            alone.append(action)
        elif abs(action.value / median(told) - 1.0) > _APART and len(told) >= _FEWEST:
            differing.append(action)
    found = [
        *_phantoms(case, "phantom_split", [a for a in alone if a.kind == "split"], len(voters)),
        *_phantoms(case, "phantom_dividend", [a for a in alone if a.kind != "split"], len(voters)),
        *_amounts(case, differing),
        *_unlisted(case, voters),
    ]
    return Outcome(tuple(found))


def _told(voter: BarSet, action: CorporateAction) -> float | None:
    """What a source says of an action: all that it lists of that kind about that day."""
    same = [a.value for a in voter.actions if (a.kind == "split") is (action.kind == "split") and abs(a.date - action.date) <= _SAME_DAY]
    return sum(same) if same else None


def _phantoms(case: Case, kind: str, actions: Sequence[CorporateAction], voters: int) -> list[Finding]:
    if not actions:
        return []
    noun = "split" if kind == "phantom_split" else "payment"
    words = f"{many(len(actions), f'listed {noun}')} of which none of {voters} other sources has heard"
    return [case.tell("votes", kind, Severity.HIGH, _days(case, actions), words, count=len(actions), value=actions[0].value)]


def _amounts(case: Case, actions: Sequence[CorporateAction]) -> list[Finding]:
    if not actions:
        return []
    severity = Severity.HIGH if len(actions) > _FEW else Severity.MEDIUM
    words = f"{many(len(actions), 'listed split or payment')} of another amount than the other sources list"
    return [case.tell("votes", "bad_dividend_amount", severity, _days(case, actions), words, count=len(actions), value=actions[0].value)]


def _unlisted(case: Case, voters: Sequence[BarSet]) -> list[Finding]:
    """What most of the others list, told for what it is worth: a source need not list what its prices are adjusted for."""
    lacking = []
    for action in voters[0].actions:
        agree = sum(_told(voter, action) is not None for voter in voters)
        if agree * 2 > len(voters) and agree >= _FEWEST and _told(case.bars, action) is None:
            lacking.append(action)
    if not lacking or not (case.bars.actions or case.bars.delivery.events):
        return []
    words = f"{many(len(lacking), 'split or payment')} that most other sources list and this one does not"
    return [case.tell("votes", "unlisted_action", Severity.INFO, _days(case, lacking), words, count=len(lacking))]


def _days(case: Case, actions: Sequence[CorporateAction]) -> np.ndarray:
    """The bars of the days on which the actions took effect, or the next ones."""
    mask = np.zeros(len(case.bars), dtype=bool)
    stamps = case.bars.ts.astype("datetime64[D]")
    at = np.searchsorted(stamps, np.array([a.date for a in actions], dtype="datetime64[D]"))
    mask[at[at < len(mask)]] = True
    return mask
