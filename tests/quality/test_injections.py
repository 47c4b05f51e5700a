"""Fresh defects at random places of series that no threshold was chosen by: they are found, named and graded; clean ones are left alone."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from mdagent.quality.finding import Finding, Severity, Verdict
from mdagent.quality.grade import grade
from mdagent.quality.letters import band
from tests.quality.injections import INJECTIONS, Spoilt
from tests.quality.market_days import bar_set, judged, requested, walk, window

SEED = int(os.environ.get("INJECTION_SEED", "20240603"))
LISTINGS = [f"SYM{n:05d}" for n in (101, 202, 303, 404, 505, 606, 808, 909, 1010, 1111, 1212, 1313)]
ROUNDS = 9  # of every kind


def told(verdict: Verdict) -> list[Finding]:
    return [f for f in verdict.findings if f.severity is not Severity.INFO]


def hits(found: list[Finding], spoilt: Spoilt) -> int:
    """How many of the stamps lie in, or beside, a run that something was found in."""
    margin = timedelta(days=4)
    stamps = [s.astype("datetime64[s]").item() for s in spoilt.stamps]
    runs = [(a.replace(tzinfo=None), z.replace(tzinfo=None)) for f in found for a, z in f.runs if a is not None and z is not None]
    return sum(any(a - margin <= s <= z + margin for a, z in runs) for s in stamps)


@pytest.fixture(scope="module")
def trials() -> list[tuple[str, Spoilt, Verdict, Verdict]]:
    rng = np.random.default_rng(SEED)
    made = []
    for number in range(ROUNDS * len(INJECTIONS)):
        rows = window(LISTINGS[number % len(LISTINGS)], rng)
        inject = INJECTIONS[number % len(INJECTIONS)]
        request = requested(rows)
        spoilt = inject(rows, rng)
        clean = judged(bar_set(rows, request), request)
        made.append((inject.__name__, spoilt, clean, judged(bar_set(spoilt.rows, request, spoilt.splits), request)))
    return made


def test_clean_series_are_left_alone(trials: list[tuple[str, Spoilt, Verdict, Verdict]]) -> None:
    alarmed = [told(clean) for _, _, clean, _ in trials if told(clean)]
    assert len(alarmed) <= 0.02 * len(trials), alarmed[:3]


def test_nearly_every_defect_is_found_where_it_is(trials: list[tuple[str, Spoilt, Verdict, Verdict]]) -> None:
    found, due = Counter[str](), Counter[str]()
    for name, spoilt, _, verdict in trials:
        found[name] += hits(told(verdict), spoilt)
        due[name] += len(spoilt.stamps)
    assert found.total() >= 0.95 * due.total(), {name: (found[name], due[name]) for name in due if found[name] < due[name]}


def test_nearly_every_letter_is_the_rubrics(trials: list[tuple[str, Spoilt, Verdict, Verdict]]) -> None:
    wrong = [
        (name, spoilt.letters, band(grade(verdict).score), [(f.type, f.count) for f in told(verdict)])
        for name, spoilt, _, verdict in trials
        if band(grade(verdict).score) not in spoilt.letters
    ]
    assert len(wrong) <= 0.05 * len(trials), wrong


def test_what_is_found_is_called_by_its_name(trials: list[tuple[str, Spoilt, Verdict, Verdict]]) -> None:
    named = [spoilt.type in {f.type for f in told(verdict)} for _, spoilt, _, verdict in trials]
    assert sum(named) >= 0.9 * len(named)


@pytest.mark.parametrize("freedom", [4.0, 6.0])
def test_walks_with_fat_tails_alarm_in_less_than_a_hundredth_of_series(freedom: float) -> None:
    rng = np.random.default_rng(SEED + int(freedom))
    alarmed = 0
    for _ in range(300):
        rows = walk(rng, 750, freedom)
        request = requested(rows)
        alarmed += bool(told(judged(bar_set(rows, request), request)))
    assert alarmed < 3


def test_prices_in_another_unit_have_the_same_verdict_as_before(trials: list[tuple[str, Spoilt, Verdict, Verdict]]) -> None:
    rng = np.random.default_rng(SEED)
    for inject in INJECTIONS:
        rows = window(LISTINGS[0], rng)
        request = requested(rows)
        spoilt = inject(rows, rng).rows
        verdicts = []
        for times in (1.0, 1000.0, 0.001):
            told_in = replace(spoilt, **{n: getattr(spoilt, n) * times for n in ("open", "high", "low", "close")})
            verdicts.append([(f.check, f.type, f.severity, f.runs) for f in judged(bar_set(told_in, request), request).findings])
        if inject.__name__ != "swapped_columns":  # a volume among the prices has no unit
            assert verdicts[0] == verdicts[1] == verdicts[2], inject.__name__


def test_the_order_of_rows_changes_nothing_but_is_told() -> None:
    rng = np.random.default_rng(SEED)
    for inject in INJECTIONS:
        rows = window(LISTINGS[1], rng)
        request = requested(rows)
        spoilt = inject(rows, rng)
        if inject.__name__ in ("unsorted", "conflicting"):  # of two rows for a day the first is the bar
            continue
        mixed = spoilt.rows.take(rng.permutation(len(spoilt.rows)))
        one, two = (judged(bar_set(some, request, spoilt.splits), request) for some in (spoilt.rows, mixed))
        assert [f for f in two.findings if f.type != "unsorted_rows"] == list(one.findings), inject.__name__
        assert "unsorted_rows" in {f.type for f in two.findings}
