"""Verdict -> grade."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdagent.market import BarRequest, BarSet, Interval
from mdagent.quality.finding import Finding, Severity, Verdict
from mdagent.quality.grade import WEIGHTS, arithmetic, bar_scores, grade
from mdagent.quality.letters import band, letter
from mdagent.sessions import expected
from tests.quality.ten import DAYS, bars, bars_at, judged, row, sessions, spoilt

START = datetime(2024, 1, 2, tzinfo=UTC)
CHECKS = ["schema", "ohlc", "gaps", "staleness", "units", "identity", "duplicates", "future", "rejected", "not known"]
TYPES = ["nan_field", "bad_tick", "missing_rows", "zero_volume", "unadjusted_split", "stale_feed", "wrong_symbol", "not known"]

SCALE = {"A+": 97, "A": 93, "A-": 90, "B+": 87, "B": 83, "B-": 80, "C+": 77, "C": 73, "C-": 70, "D+": 67, "D": 60, "F": 0}


def test_letters_start_at_the_seed_scale() -> None:
    for name, least in SCALE.items():
        assert (letter(least), band(least)) == (name, name[0])
    assert [letter(least - 0.01) for least in SCALE.values() if least] == list(SCALE)[1:]
    assert letter(100) == "A+"


def test_weights_sum_to_one() -> None:
    assert sum(w for _, w in WEIGHTS) == pytest.approx(1.0)


def test_clean_bars_of_one_source_are_an_a() -> None:
    assert grade(judged(bars())).letter == "A"
    request = BarRequest("AAPL", "1d", "2014-01-01", "2024-01-01")  # type: ignore[arg-type]
    years = judged(bars_at(expected(sessions(), Interval.D1, request.start, request.end)), request=request)
    assert grade(years).letter == "A"


def test_what_is_only_told_costs_nothing() -> None:
    told = judged(
        bars(unsorted=True, duplicates=(datetime(2024, 1, 3, tzinfo=UTC),), rows=12, outside=(datetime(2023, 12, 29, tzinfo=UTC),))
    )
    assert len(told.findings) == 3
    assert grade(told).letter == "A"
    assert grade(told).actions == ()


@pytest.mark.parametrize(
    "some",
    [
        spoilt(3, close=np.nan),
        spoilt(3, low=0.0),
        spoilt(3, volume=-5.0),
        spoilt(3, high=184.0, low=187.0),
        bars(DAYS[:3] + DAYS[4:], rejected=(row(5),), rows=10),
        bars(conflicts=(row(5),), rows=11),
        bars(tuple(sorted((*DAYS, 6)))),
        bars(outside=(datetime(2024, 1, 19, tzinfo=UTC),), rows=11),
    ],
)
def test_one_bad_row_in_ten_leaves_the_series_no_more_than_a_d_and_the_other_bars_their_a(some: BarSet) -> None:
    verdict = judged(some)
    graded = grade(verdict)
    assert band(graded.score) in "DF"
    assert graded.actions
    assert all(a.command.startswith("mdagent ") and a.gain > 0 for a in graded.actions)
    assert (bar_scores(graded, verdict, verdict.keep) == 96).all()


@pytest.mark.parametrize(("share", "letter"), [(0.001, "B"), (0.019, "B"), (0.021, "C"), (0.11, "D")])
def test_the_share_of_bars_raises_a_minor_defect(share: float, letter: str) -> None:
    found = Finding("volumes", "zero_volume", Severity.LOW, START, START, round(1000 * share), None, None, "none")
    assert band(grade(verdict_of([found], rows=1000)).score) == letter


def test_a_close_a_little_outside_its_range_is_held_against_that_bar_alone() -> None:
    verdict = judged(spoilt(3, close=187.0))
    scores = bar_scores(grade(verdict), verdict, verdict.keep)
    assert scores[3] == 88
    assert (np.delete(scores, 3) == 96).all()


def test_an_unproved_identity_is_a_b() -> None:
    assert band(grade(judged(bars(named=False))).score) == "B"


def test_a_bar_in_another_unit_is_no_better_than_a_d_itself() -> None:
    good = bars()
    verdict = judged(spoilt(3, **{n: float(getattr(good, n)[3]) * 100 for n in ("open", "high", "low", "close")}))
    graded = grade(verdict)
    scores = bar_scores(graded, verdict, verdict.keep)
    assert band(float(scores[3])) == "D"
    assert (np.delete(scores, 3) == 96).all()


def test_what_others_confirm_may_be_an_a_plus_and_is_believed_more() -> None:
    alone = judged(bars())
    confirmed = replace(alone, confirmed_by=("another",))
    assert (grade(alone).letter, grade(confirmed).letter) == ("A", "A+")
    assert grade(confirmed).confidence > grade(alone).confidence


def test_prices_are_not_blamed_for_a_volume() -> None:
    found = Finding("volumes", "volume_scale", Severity.MEDIUM, START, START, 1, None, None, "times a thousand")
    graded = grade(verdict_of([found]))
    assert graded.of_prices > graded.score == graded.of_volume


def test_a_refused_answer_is_an_f() -> None:
    assert grade(judged(bars(DAYS[:7], rejected=(row(11), row(12), row(16)), rows=10))).letter == "F"


def test_an_unknown_calendar_leaves_no_a() -> None:
    graded = grade(judged(bars(), known=False))
    assert band(graded.score) == "B"
    assert any("gaps not checked" in b.reason for b in graded.bounds)


def test_a_provisional_bar_is_never_an_a_and_leaves_the_others_alone() -> None:
    verdict = judged(replace(bars(), complete_until=datetime(2024, 1, 16, tzinfo=UTC)))
    graded = grade(verdict)
    assert graded.letter == "A"
    scores = bar_scores(graded, verdict, verdict.keep)
    assert scores.dtype == np.float64
    assert scores[-1] == 89.0
    assert (scores[:-1] == graded.score).all()


def test_the_arithmetic_adds_up_and_can_be_printed() -> None:
    graded = grade(judged(bars(DAYS[:3] + DAYS[4:], rejected=(row(5),), rows=10, named=False)))
    lowest = min(b.ceiling for b in graded.bounds)
    assert graded.score == pytest.approx(min(sum(w * s for _, w, s in graded.parts), lowest), abs=1e-3)
    lines = arithmetic(graded)
    assert any("validity" in line and "rejected" in line for line in lines)
    assert f"{'score':<13} {graded.score:.2f}  {graded.letter}" in lines
    assert lines[-1].startswith("next ")
    assert ": mdagent " in lines[-1]


findings = st.builds(
    Finding,
    check=st.sampled_from(CHECKS),
    type=st.sampled_from(TYPES),
    severity=st.sampled_from(list(Severity)),
    start=st.just(START),
    end=st.just(START),
    count=st.integers(0, 40),
    value=st.none(),
    expected=st.none(),
    message=st.sampled_from(["one", "two"]),
)


def verdict_of(found: list[Finding], rows: int = 30) -> Verdict:
    return Verdict(tuple(found), (), (), START, START, rows, rows, (), bars())


@settings(max_examples=200, deadline=None)
@given(st.lists(findings, max_size=8), findings)
def test_one_more_finding_never_raises_the_score(some: list[Finding], more: Finding) -> None:
    assert grade(verdict_of([*some, more])).score <= grade(verdict_of(some)).score


@settings(max_examples=100, deadline=None)
@given(st.lists(findings, max_size=6).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_the_order_of_findings_never_matters(pair: tuple[list[Finding], list[Finding]]) -> None:
    one, two = grade(verdict_of(pair[0])), grade(verdict_of(pair[1]))
    assert (one.score, one.parts, one.bounds) == (two.score, two.parts, two.bounds)


@settings(max_examples=100, deadline=None)
@given(st.lists(findings, min_size=1, max_size=8))
def test_the_worst_severity_bounds_the_letter(some: list[Finding]) -> None:
    verdict = verdict_of(some)
    score = grade(verdict).score
    assert 0 <= score <= 96
    ceilings = {Severity.CRITICAL: 45, Severity.HIGH: 66, Severity.MEDIUM: 76, Severity.LOW: 86, Severity.INFO: 96}
    assert verdict.worst is not None
    assert score <= ceilings[verdict.worst]
