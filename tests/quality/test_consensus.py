"""Several sources of the same bars: one of them is wrong, in every way that one can be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdagent.quality.consensus import MOST_WEIGHT, consensus, weights_of
from mdagent.quality.finding import Finding, Severity
from mdagent.quality.grade import grade
from mdagent.quality.letters import band
from tests.quality.injections import PRICES, Rows
from tests.quality.market_days import bar_set, judged, requested, window

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")


def honest(rows: Rows, rng: np.random.Generator) -> Rows:
    """What another honest source says of the same bars: a few hundredths of a percent apart, some percent in volume."""
    noise = {n: getattr(rows, n) * np.exp(rng.normal(0, 2e-4, len(rows))) for n in PRICES}
    noise["high"] = np.maximum(noise["high"], np.maximum(noise["open"], noise["close"]))
    noise["low"] = np.minimum(noise["low"], np.minimum(noise["open"], noise["close"]))
    return replace(rows, **noise, volume=np.round(rows.volume * np.exp(rng.normal(0, 0.02, len(rows)))))


def times(rows: Rows, factor: float, part: slice = slice(None)) -> Rows:
    columns = {n: getattr(rows, n).copy() for n in PRICES}
    for column in columns.values():
        column[part] *= factor
    return replace(rows, **columns)


def a_day_late(rows: Rows) -> Rows:
    return replace(rows.take(np.arange(len(rows) - 1)), ts=rows.ts[1:])


def drifting(rows: Rows) -> Rows:
    ramp = 1.0 + np.r_[np.zeros(len(rows) // 2), np.linspace(0, 0.03, len(rows) - len(rows) // 2)]
    return replace(rows, **{n: getattr(rows, n) * ramp for n in PRICES})


def one_bar(rows: Rows) -> Rows:
    made = rows.close.copy()
    made[100] *= 1.04
    return replace(rows, close=made, high=np.maximum(rows.high, made))


def scattered(rows: Rows) -> Rows:
    swing = 1.0 + np.random.default_rng(7).uniform(-0.02, 0.02, len(rows))
    return replace(rows, **{n: getattr(rows, n) * swing for n in PRICES})


WRONGS: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "ten times": (lambda rows: times(rows, 10.0), "currency_mixup"),
    "a hundredth": (lambda rows: times(rows, 0.01), "currency_mixup"),
    "one percent": (lambda rows: times(rows, 1.01), "adjusted_raw_mix provider_drift"),
    "a day": (a_day_late, "date_shifted"),
    "a split": (lambda rows: times(rows, 4.0, slice(0, 120)), "unadjusted_split adjusted_raw_mix"),
    "a drift": (drifting, "provider_drift"),
    "every bar a little": (scattered, "provider_drift"),
    "one bar": (one_bar, "bad_tick"),
    "volumes": (lambda rows: replace(rows, volume=rows.volume * 1000.0), "volume_scale"),
}


def serious(findings: tuple[Finding, ...]) -> set[str]:
    return {f.type for f in findings if f.severity is not Severity.INFO}


def verdicts(many: int, wrong: str | None) -> dict[str, tuple[set[str], str]]:
    """What each of so many sources is found to be, when the second is wrong."""
    rng = np.random.default_rng(many)
    rows = window("SYM00303", rng)
    request = requested(rows)
    said = [honest(rows, rng) for _ in range(many)]
    if wrong is not None:
        said[1] = WRONGS[wrong][0](said[1])
    sets = [bar_set(one, request, source=name) for one, name in zip(said, NAMES, strict=False)]
    made = {}
    for n, own in enumerate(sets):
        verdict = judged(own, request, *(other for m, other in enumerate(sets) if m != n))
        made[own.source] = (serious(verdict.findings), band(grade(verdict).score))
    return made


@pytest.mark.parametrize("many", [3, 4, 5, 6])
@pytest.mark.parametrize("wrong", WRONGS)
def test_of_three_or_more_the_one_that_is_wrong_is_named_and_no_other(wrong: str, many: int) -> None:
    told = verdicts(many, wrong)
    found, letter = told.pop("beta")
    assert found & set(WRONGS[wrong][1].split()), found
    assert letter in ("CD" if wrong in ("one bar", "volumes") else "F")
    assert told == dict.fromkeys(told, (set(), "A"))


@pytest.mark.parametrize("wrong", ["ten times", "a hundredth", "one percent", "a day", "a drift", "volumes"])
def test_two_that_differ_throughout_are_in_disagreement_and_nobody_is_to_blame(wrong: str) -> None:
    first_day = ({"missing_rows"}, "B") if wrong == "a day" else (set(), "A")  # who is a day late lacks the first
    assert verdicts(2, wrong) == {"alpha": (set(), "A"), "beta": first_day}


def test_of_two_the_one_whose_own_series_jumps_is_found_by_that() -> None:
    told = verdicts(2, "a split")
    assert told["alpha"] == (set(), "A")
    assert told["beta"] == ({"unadjusted_split"}, "F")


@pytest.mark.parametrize("many", [2, 3, 5])
def test_sources_that_differ_by_noise_alone_confirm_each_other(many: int) -> None:
    assert verdicts(many, None) == dict.fromkeys(NAMES[:many], (set(), "A"))


def test_disagreement_of_two_is_told() -> None:
    rng = np.random.default_rng(2)
    rows = window("SYM00303", rng)
    request = requested(rows)
    verdict = judged(bar_set(rows, request), request, bar_set(times(rows, 1.01), request, source="other"))
    assert [(f.type, f.severity) for f in verdict.findings] == [("disagreement", Severity.INFO)]


def test_the_middle_of_five_of_which_one_is_ten_times_off_is_the_truth() -> None:
    values = np.array([[100.0], [100.02], [99.98], [1000.0], [100.01]])
    found = consensus(values, weights_of(NAMES[:5], {}, {}), 0.001)
    assert found.middle[0] == pytest.approx(100.01)
    assert found.outvoted[:, 0].tolist() == [False, False, False, True, False]
    assert found.agreeing[0] == pytest.approx(0.8)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=6), st.integers(0, 5))
def test_what_a_source_has_earned_never_makes_it_a_majority_of_one(earned: list[float], liar: int) -> None:
    names, liar = NAMES[: len(earned)], liar % len(earned)
    weights = weights_of(names, dict(zip(names, earned, strict=True)), {})
    assert weights.sum() == pytest.approx(1.0)
    assert (weights <= MOST_WEIGHT + 1e-9).all()
    values = np.full((len(names), 1), 50.0)
    values[liar] = 75.0
    found = consensus(values, weights, 0.001)
    assert found.middle[0] == 50.0
    assert found.outvoted[:, 0].tolist() == [n == liar for n in range(len(names))]


def test_sources_of_one_feed_count_once() -> None:
    weights = weights_of(("a", "b", "c", "d"), {}, {"a": "IEX", "b": "IEX"})
    assert weights[0] == weights[1] == pytest.approx(1 / 6)
    values = np.array([[10.0], [10.0], [11.0], [11.0]])
    assert consensus(values, weights, 0.001).middle[0] == 11.0


def test_who_has_no_bar_has_no_voice() -> None:
    values = np.array([[10.0, np.nan], [10.0, np.nan], [12.0, 12.0]])
    found = consensus(values, weights_of(NAMES[:3], {}, {}), 0.001)
    assert found.voices.tolist() == [3, 1]
    assert found.middle.tolist() == [10.0, 12.0]
    assert found.outvoted[:, 1].tolist() == [False, False, False]
    nobody = consensus(np.full((2, 1), np.nan), weights_of(NAMES[:2], {}, {}), 0.001)
    assert np.isnan(nobody.middle[0])
    assert np.isnan(nobody.spread[0])


def test_the_order_of_the_others_makes_no_difference() -> None:
    rng = np.random.default_rng(4)
    rows = window("SYM00404", rng)
    request = requested(rows)
    own = bar_set(one_bar(rows), request)
    others = [bar_set(honest(rows, rng), request, source=name) for name in NAMES[:3]]
    assert judged(own, request, *others).findings == judged(own, request, *others[::-1]).findings
