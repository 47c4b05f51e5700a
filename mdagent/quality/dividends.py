"""Dividends against prices: paid but not taken out of them, listed but never paid, of an impossible amount."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.market import Adjustment
from mdagent.quality.case import Outcome
from mdagent.quality.counted import many
from mdagent.quality.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from mdagent.market import CorporateAction
    from mdagent.quality.case import Case
    from mdagent.quality.finding import Finding
    from mdagent.quality.tape import Tape

_SMALLEST = 0.003  # of the price; less is lost in the noise of one night
_EVIDENCE = 1.5  # log-likelihood that all payments are in prices declared free of them
_STRONG = 6.0  # and that one is
_MOST = 6.0  # that one night may add, since news moves prices too
_LARGE = 0.08  # of the price: a payment this large is doubted before the adjustment is
_HUNDRED = (40.0, 250.0)
_MODERATE, _MAJOR = 0.02, 0.10  # of the price, all wrong payments together
_FEW = 2
_TWICE = np.timedelta64(7, "D")
_NO_DROP = 6.0  # standard deviations of a night that a payment must exceed before its absence is told


class Payment(NamedTuple):
    """A listed payment at row `at` of the tape: its amount and its share of the last price before it."""

    at: int
    amount: float
    share: float


def dividends(case: Case) -> Outcome:
    """Each listed payment against the fall, or the adjustment, that it ought to have left."""
    paid = payments(case)
    if not case.bars.actions and not case.listed:
        return Outcome(skipped="the source lists no dividends")
    if not paid:
        return Outcome()
    if case.adjusted_close is not None:
        found = _against_adjusted(case, paid)
    elif case.bars.adjustment is Adjustment.ALL:
        found = _left_in(case, paid)
    else:
        found = _never_paid(case, _absent(case.tape, paid))
    return Outcome(tuple(found))


def payments(case: Case) -> list[Payment]:
    """The listed payments that fall into the tape, each day's together. Payments in another currency than the prices are left out."""
    tape, made = case.tape, []
    days = tape.ts.astype("datetime64[D]")
    for day, amount in _by_day(case.bars.actions, case.bars.currency):
        at = int(np.searchsorted(days, np.datetime64(day, "D")))
        if 0 < at < len(tape) and tape.own[at] and amount > 0:
            made.append(Payment(at, amount, amount / float(np.exp(tape.close[at - 1]))))
    return made


def _by_day(actions: Sequence[CorporateAction], currency: str | None) -> list[tuple[date, float]]:
    totals: dict[date, float] = {}
    for action in actions:
        if action.kind != "split" and (action.currency is None or action.currency == currency):
            totals[action.date] = totals.get(action.date, 0.0) + action.value
    return sorted(totals.items())


def _against_adjusted(case: Case, paid: list[Payment]) -> list[Finding]:
    """What the adjusted close says was paid, against what is listed."""
    tape = case.tape
    assert case.adjusted_close is not None  # noqa: S101  the caller asked
    factor = case.adjusted_close[tape.at] / np.exp(tape.close)
    twice = _told_twice(tape, paid)
    amounts, missed = [], [(p, 0.0) for p in _absent(tape, paid)]
    found = _never_paid(case, [p for p, _ in missed]) if missed else []
    paid = [p for p in paid if all(p is not a for a, _ in missed)]
    for payment in paid:
        implied = 1.0 - float(factor[payment.at - 1] / factor[payment.at])
        if not np.isfinite(implied) or abs(implied - payment.share) <= max(0.002, 0.15 * payment.share):
            continue
        hundred = implied > 0 and _HUNDRED[0] <= payment.share / implied <= _HUNDRED[1]
        if payment in twice or (hundred and payment.share > _LARGE):
            amounts.append(payment)
        else:
            missed.append((payment, implied))
    found += _amounts(case, [p for p in amounts if p not in twice]) + _phantoms(case, twice)
    if missed:
        error = abs(float(np.prod([(1 - p.share) / (1 - i) for p, i in missed if p.share < 1 and i < 1])) - 1.0)
        words = f"the adjusted close is wrong for {many(len(missed), 'listed payment')}, {error:.1%} of the price in all"
        found.append(_adjustment(case, "bad_dividend_adjustment", [p for p, _ in missed], error, words))
    return found


def _left_in(case: Case, paid: list[Payment]) -> list[Finding]:
    """Prices declared free of dividends that fall by them all the same."""
    tape = case.tape
    weighed = [(p, evidence(tape, p)) for p in paid if p.share > _SMALLEST]
    together = sum(e for _, e in weighed) > _EVIDENCE
    left = [p for p, e in weighed if (together and e > 0) or e > _STRONG]
    if not left:
        return []
    error = 1.0 - float(np.prod([1.0 - min(p.share, 0.99) for p in left]))
    words = f"prices declared adjusted for dividends fall by {len(left)} of them: {error:.1%} of the price in all"
    return [_adjustment(case, "missing_dividend_adjustment", left, error, words)]


def evidence(tape: Tape, payment: Payment) -> float:
    """The log-likelihood ratio of a night that brought the payment's fall to one that did not, normal about either."""
    gap, scale = float(tape.gaps[payment.at - 1]), max(float(tape.gap_scale[payment.at - 1]), 1e-6)
    fall = -float(np.log1p(-min(payment.share, 0.99)))
    ratio = (gap**2 - (gap + fall) ** 2) / (2 * scale**2)
    return float(np.clip(ratio, -_MOST, _MOST))


def _never_paid(case: Case, absent: list[Payment]) -> list[Finding]:
    return _amounts(case, absent) if len(absent) > _FEW else _phantoms(case, absent)


def _absent(tape: Tape, paid: list[Payment]) -> list[Payment]:
    """Payments that no fall of the price answers, in prices that have not been adjusted for them."""
    absent = []
    for payment in paid:
        scale = float(tape.gap_scale[payment.at - 1])
        fall = -float(np.log1p(-min(payment.share, 0.99)))
        if fall > max(0.04, _NO_DROP * scale) and float(tape.gaps[payment.at - 1]) > -fall / 3:
            absent.append(payment)
    return absent


def _told_twice(tape: Tape, paid: list[Payment]) -> list[Payment]:
    """Of two equal payments within days the first: nobody pays twice in a week."""
    return [
        one
        for one, other in pairwise(paid)
        if one.amount == other.amount and tape.ts[other.at] - tape.ts[one.at] < _TWICE and one.share > _SMALLEST
    ]


def _amounts(case: Case, paid: list[Payment]) -> list[Finding]:
    if not paid:
        return []
    severity = Severity.HIGH if len(paid) > _FEW else Severity.MEDIUM
    largest = max(p.share for p in paid)
    words = f"{many(len(paid), 'listed payment')} of an impossible amount, up to {largest:.0%} of the price"
    return [case.tell("dividends", "bad_dividend_amount", severity, _mask(case, paid), words, value=largest)]


def _phantoms(case: Case, paid: list[Payment]) -> list[Finding]:
    if not paid:
        return []
    words = f"{many(len(paid), 'listed payment')} never paid, as far as prices tell"
    return [case.tell("dividends", "phantom_dividend", Severity.HIGH, _mask(case, paid), words, value=max(p.share for p in paid))]


def _adjustment(case: Case, kind: str, paid: list[Payment], error: float, words: str) -> Finding:
    severity = Severity.CRITICAL if error >= _MAJOR else Severity.HIGH if error >= _MODERATE else Severity.MEDIUM
    return case.tell("dividends", kind, severity, _mask(case, paid), words, value=error, expected=0.0)


def _mask(case: Case, paid: list[Payment]) -> np.ndarray:
    mask = np.zeros(len(case.tape), dtype=bool)
    mask[[p.at for p in paid]] = True
    return case.tape.places(mask, len(case.bars))
