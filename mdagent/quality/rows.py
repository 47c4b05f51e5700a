"""Checks of single rows: numbers that are none, columns in each other's place, prices that contradict each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mdagent.quality.case import Outcome, as_stamps
from mdagent.quality.counted import many
from mdagent.quality.finding import Severity

if TYPE_CHECKING:
    from mdagent.market import RejectedRow
    from mdagent.quality.case import Case
    from mdagent.quality.finding import Finding

SMALLEST, LARGEST = 1e-12, 2.0**53  # of a price; at 2**53 a float64 no longer tells neighbouring integers apart
ROUNDING = 1e-6  # sources that think in float32 round open and close out of the range
SPILL = 0.005  # an open or close this far beyond the range, relatively, is an error and no rounding
WIDE_SPILL = 0.05  # and a close this far beyond it misleads whoever trades on it
SPILL_CAP = 88.0
_MIRRORED = 0.2  # a negative price this near to its neighbours' opposite has lost its sign
_FOREIGN = 20.0  # a price this many times the others of its row is no price
_AKIN = 1.5  # a volume within this factor of the row's prices is one of them


def condemn(  # noqa: PLR0913, PLR0917  what a finding is made of
    case: Case, check: str, kind: str, bad: np.ndarray, reason: str, severity: Severity = Severity.MEDIUM
) -> Outcome:
    """Quarantine these bars; a row counts under the first check that it fails."""
    bad = bad & ~case.bad
    if not bad.any():
        return Outcome()
    told = case.tell(check, kind, severity, bad, f"{many(bad.sum())} quarantined: {reason}")
    return Outcome((told,), bad, reason)


def both(one: Outcome, other: Outcome) -> Outcome:
    """Two outcomes of one check, each about rows of its own."""
    if one.condemned is None or other.condemned is None:
        given = other if one.condemned is None else one
        return replace(given, findings=(*one.findings, *other.findings))
    return replace(one, findings=(*one.findings, *other.findings), condemned=one.condemned | other.condemned)


def schema(case: Case) -> Outcome:
    """Times that are times, numbers that are finite and of a size that a price or a volume can have. A volume may be unknown, but not
    here and there."""
    size, volume = np.abs(case.prices), case.bars.volume
    absurd = ~np.isfinite(size) | ((size > 0) & (size <= SMALLEST)) | (size >= LARGEST)
    bad = np.isnat(case.bars.ts) | absurd.any(axis=0) | np.isinf(volume) | (np.abs(volume) >= LARGEST)
    found = condemn(case, "schema", "nan_field", bad, "a price or a volume that is no number of a possible size")
    unknown = np.isnan(volume)
    if not unknown.any() or unknown.sum() > len(unknown) / 2:
        return found
    told = case.tell("schema", "nan_field", Severity.LOW, unknown, f"{many(unknown.sum())} without a volume, which the others have")
    return replace(found, findings=(*found.findings, told))


def positivity(case: Case) -> Outcome:
    """Prices above zero, volume not below. What may be negative (futures, yields) may not lose its sign for a day, nor be 0 to the
    digit."""
    with np.errstate(all="ignore"):
        below = case.prices <= 0
        if case.signed:
            below &= (case.prices == 0) | _mirrored(case)
        minus = case.bars.volume < 0
    if not below.any() and not minus.any():
        return Outcome()
    close = below[3] | below.all(axis=0)
    words = "a price of zero or below"
    found = condemn(case, "positivity", "nonpositive_price", close, words, Severity.HIGH)
    found = both(found, condemn(case, "positivity", "nonpositive_price", below.any(axis=0) & ~close, words))
    return both(found, condemn(case, "positivity", "negative_volume", minus & ~below.any(axis=0), "a negative volume"))


def _mirrored(case: Case) -> np.ndarray:
    close = case.bars.close
    level = float(np.nanmedian(np.abs(close))) if len(close) else 0.0
    lost: np.ndarray = (case.prices < 0) & (np.abs(case.prices + level) < _MIRRORED * level) & (np.nanmedian(close) > 0)
    return lost


def columns(case: Case) -> Outcome:
    """A volume among the prices and a price for a volume: columns in each other's place."""
    prices, volume = case.prices, case.bars.volume
    with np.errstate(all="ignore"):
        largest = prices.max(axis=0)
        if not (largest > _FOREIGN * prices.min(axis=0)).any():
            return Outcome()
        rest = np.sort(prices, axis=0)[:3]
        middle = np.median(rest, axis=0)
        akin = (volume > middle / _AKIN) & (volume < middle * _AKIN)
        swapped = (largest > _FOREIGN * middle) & akin & (rest[0] > 0)
    return condemn(case, "columns", "column_swap", swapped, "a volume stands among the prices, and a price for the volume", Severity.HIGH)


def ohlc(case: Case) -> Outcome:
    """High not below low; open and close between them. A little beyond is told and kept."""
    o, h, low, c = case.prices
    with np.errstate(all="ignore"):
        if not (np.maximum(o, c) > h).any() and not (np.minimum(o, c) < low).any() and not (h < low).any():
            return Outcome()
        scale = np.maximum(np.abs(h), np.abs(low))
        upside_down = h < low - ROUNDING * scale
        close_out = np.maximum(np.maximum(c - h, low - c), 0.0) / scale
        open_out = np.maximum(np.maximum(o - h, low - o), 0.0) / scale
        excess = np.maximum(close_out, open_out)
        turned = upside_down & (np.minimum(o, c) >= h - ROUNDING * scale) & (np.maximum(o, c) <= low + ROUNDING * scale)
    straight = ~upside_down
    found = condemn(case, "ohlc", "high_low_swapped", turned, "high and low stand in each other's place")
    found = both(found, condemn(case, "ohlc", "ohlc_violation", upside_down & ~turned, "a high below the low"))
    outside = "a close outside high and low"
    far = straight & (close_out > WIDE_SPILL)
    found = both(found, condemn(case, "ohlc", "close_outside_range", far, outside, Severity.HIGH))
    near = straight & (close_out >= SPILL) & ~far
    found = both(found, condemn(case, "ohlc", "close_outside_range", near, outside))
    rest = straight & (open_out >= SPILL) & ~far & ~near
    found = both(found, condemn(case, "ohlc", "ohlc_violation", rest, "an open far outside high and low"))
    return _slight(case, found, excess, (excess > ROUNDING) & straight & (excess < SPILL) & ~case.bad)


def _slight(case: Case, found: Outcome, excess: np.ndarray, slight: np.ndarray) -> Outcome:
    if not slight.any():
        return found
    message = f"{many(slight.sum())} with an open or close slightly outside high and low"
    told = case.tell("ohlc", "ohlc_violation", Severity.LOW, slight, message, value=float(excess[slight].max()), expected=0.0)
    return replace(found, findings=(*found.findings, told), caps=np.where(slight, SPILL_CAP, 100.0))


def order(case: Case) -> Outcome:
    """Ascending stamps. A source's own disorder was mended on arrival, which is worth a word and no more."""
    raw = case.bars.ts.astype(np.int64)
    bad = np.zeros(len(raw), dtype=bool)
    bad[1:] = raw[1:] <= np.maximum.accumulate(raw)[:-1]
    found = condemn(case, "order", "unsorted_rows", bad, "a stamp not after the one before it")
    if case.bars.delivery.unsorted:
        severity = Severity.LOW if case.as_is else Severity.INFO
        count = 1 if case.as_is else 0
        told = case.tell("order", "unsorted_rows", severity, (), "the rows came out of order; they were sorted", count=count)
        found = replace(found, findings=(*found.findings, told))
    return found


def duplicates(case: Case) -> Outcome:
    """One row a stamp. Equal second rows were dropped; of differing rows neither is believed."""
    found: list[Finding] = []
    delivery = case.bars.delivery
    if delivery.duplicates:
        again = sorted(set(delivery.duplicates))
        severity = Severity.LOW if case.as_is else Severity.INFO
        message = f"{many(len(delivery.duplicates), 'row')} told twice and kept once"
        found.append(case.tell("duplicates", "duplicate_timestamp", severity, again, message, count=len(delivery.duplicates)))
    disputed = frozenset(r.ts for r in delivery.conflicts if r.ts is not None)
    if not disputed:
        return Outcome(tuple(found))
    bad = np.isin(case.bars.ts, as_stamps(disputed)) & ~case.bad
    count = int(bad.sum()) + len(delivery.conflicts)
    message = f"{many(count, 'row')} quarantined: different values for one stamp"
    found.append(case.tell("duplicates", "duplicate_timestamp", Severity.MEDIUM, sorted(disputed), message))
    return Outcome(tuple(found), bad, "another row with different values has this stamp", delivery.conflicts)


_KINDS = {  # rows that an earlier look put into quarantine, by the check that did
    "positivity": "nonpositive_price",
    "columns": "column_swap",
    "units": "decimal_shift",
    "ohlc": "ohlc_violation",
    "duplicates": "duplicate_timestamp",
    "future": "future_timestamp",
    "non_session": "non_trading_day_bar",
}


def rejected(case: Case) -> Outcome:
    """Rows that never became bars."""
    rows = case.bars.delivery.rejected
    if not rows:
        return Outcome()
    kinds: dict[str, list[RejectedRow]] = {}
    for row in rows:
        kinds.setdefault(_KINDS.get(row.check, "nan_field"), []).append(row)
    found = []
    for kind, some in kinds.items():
        stamps = [r.ts for r in some if r.ts is not None]
        words = "they cannot be read as bars" if kind == "nan_field" else some[0].reason
        found.append(
            case.tell("rejected", kind, Severity.MEDIUM, stamps, f"{many(len(some), 'row')} quarantined: {words}", count=len(some))
        )
    return Outcome(tuple(found), rows=rows)
