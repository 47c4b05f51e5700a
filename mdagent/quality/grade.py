"""Verdict -> grade: a score with its arithmetic, a letter, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from mdagent.quality.finding import Severity
from mdagent.quality.letters import letter
from mdagent.quality.modes import MODES
from mdagent.quality.remedies import OF_SINGLE_BARS, PRICES_ONLY, VOLUME_ONLY, Remedy, dimension_of, remedies
from mdagent.quality.rubric import FLOOR, FURTHER_KIND, escalated, left_by, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from mdagent.market import BarSet
    from mdagent.quality.finding import Finding, Verdict

WEIGHTS = (
    ("completeness", 0.25),
    ("accuracy", 0.20),
    ("timeliness", 0.20),
    ("consistency", 0.15),
    ("validity", 0.15),
    ("uniqueness", 0.05),
)
PROVISIONAL_CAP = 89.0
SINGLE_SOURCE_CAP = 96.0  # nothing has been compared with another source

_POINTS = {Severity.CRITICAL: 80.0, Severity.HIGH: 40.0, Severity.MEDIUM: 15.0, Severity.LOW: 5.0, Severity.INFO: 0.0}
_UNPROVED = {"gaps": 88.0, "staleness": 88.0, "non_session": 88.0}  # a ceiling where the check could not run
_BY_NATURE = "a file is as old as it is"
_REFUSED_CEILING = 30.0
_UNHEARD_CEILING = 69.0
_TOO_FEW_TO_RAISE = {"missing_rows": 2, "stale_feed": 10**9}  # so many bars say nothing by their share, however short the window
_ALONE = 0.9  # confidence in what nobody else has confirmed


class Defect(NamedTuple):
    """All findings of one type: their share of the bars, and the severity that it raises them to."""

    type: str
    check: str
    severity: Severity
    share: float
    message: str


@dataclass(frozen=True, slots=True)
class Penalty:
    """Points off one dimension (of 100), for one type of defect."""

    check: str
    dimension: str
    severity: Severity
    points: float
    reason: str


@dataclass(frozen=True, slots=True)
class Bound:
    """The highest score that something leaves, whatever the sum says."""

    ceiling: float
    reason: str


@dataclass(frozen=True, slots=True)
class Grade:
    """How good a series is, 0 to 100, with all that led there.

    `parts` are (dimension, weight, score 0 to 100); `score` is their weighted sum, or the lowest of `bounds` if that is less.
    `confidence`, 0 to 1, is how much of what could be checked was, on how many bars, and whether another source confirmed it.
    `of_prices` and `of_volume` are the scores that either field would have alone.
    """

    score: float
    letter: str
    parts: tuple[tuple[str, float, float], ...]
    penalties: tuple[Penalty, ...]
    actions: tuple[Remedy, ...]
    bounds: tuple[Bound, ...] = ()
    confidence: float = 0.0
    of_prices: float = 0.0
    of_volume: float = 0.0


def grade(verdict: Verdict) -> Grade:
    """The grade of a series. One more finding never raises it; the order of findings never matters."""
    rows = max(verdict.bars, verdict.expected or 0, 1)
    found = defects(verdict.findings, rows)
    penalties = tuple(_penalty(d) for d in found)
    parts = tuple((name, weight, max(0.0, 100.0 - sum(p.points for p in penalties if p.dimension == name))) for name, weight in WEIGHTS)
    bounds = (*_confirmed(verdict), *_unproved(verdict), *_rubric(found))
    score = round(max(0.0, min([sum(w * s for _, w, s in parts), *(b.ceiling for b in bounds)])), 4)
    gains = {d.type: _without(d, found, score) for d in found}
    fields = (_of_field(found, score, VOLUME_ONLY), _of_field(found, score, PRICES_ONLY))
    return Grade(score, letter(score), parts, penalties, remedies(verdict, gains), bounds, _confidence(verdict), *fields)


def _of_field(found: Sequence[Defect], score: float, others: frozenset[str]) -> float:
    """The score without the defects of other fields: no less than that of all."""
    return max(score, round(min(SINGLE_SOURCE_CAP, rubric_score([d for d in found if d.type not in others])), 4))


def defects(findings: Sequence[Finding], rows: int) -> list[Defect]:
    """The findings that cost something by type, the worst first. Of one type the shares add up and the worst severity counts."""
    made = []
    for kind in sorted({f.type for f in findings if f.severity is not Severity.INFO}):
        mine = sorted((f for f in findings if f.type == kind and f.severity is not Severity.INFO), key=lambda f: f.order)
        count = sum(f.count for f in mine)
        share = min(1.0, count / rows)
        severity = worst(f.severity for f in mine)
        if count > _TOO_FEW_TO_RAISE.get(kind, 0):
            severity = escalated(severity, share)
        made.append(Defect(kind, mine[0].check, severity, share, mine[0].message))
    return sorted(made, key=lambda d: (d.severity.rank, -d.share, d.type))


def rubric_score(found: Sequence[Defect]) -> float:
    """What the rubric leaves: the worst defect's ceiling, less for its share of the bars and for every further kind of defect."""
    if not found:
        return 100.0
    least = min(left_by(d.severity, d.share) for d in found)
    return max(FLOOR, least - FURTHER_KIND * (len(found) - 1))


def _penalty(defect: Defect) -> Penalty:
    """A severity's price, and up to twice that by the share of bars concerned."""
    points = min(100.0, _POINTS[defect.severity] * (1.0 + defect.share))
    return Penalty(defect.check, dimension_of(defect.type), defect.severity, round(points, 4), defect.message)


def _confirmed(verdict: Verdict) -> list[Bound]:
    if verdict.confirmed_by:
        return []
    return [Bound(SINGLE_SOURCE_CAP, "one source, compared with no other")]


def _unproved(verdict: Verdict) -> list[Bound]:
    """What a check that could not run, another source that the mode demands, and an answer that is refused leave of the score."""
    skipped = [(s, _UNPROVED[s.check]) for s in verdict.skipped if s.check in _UNPROVED and s.reason != _BY_NATURE]
    bounds = [Bound(ceiling, f"{s.check} not checked: {s.reason}") for s, ceiling in skipped]
    if MODES[verdict.mode].sources > 1 and not verdict.confirmed_by:
        bounds.append(Bound(_UNHEARD_CEILING, f"the mode {verdict.mode} believes no source alone"))
    if verdict.refused:
        bounds.append(Bound(_REFUSED_CEILING, f"{len(verdict.quarantine)} of {verdict.bars} rows are bad: the whole answer is refused"))
    return bounds


def _rubric(found: Sequence[Defect]) -> list[Bound]:
    if not found:
        return []
    lowest = min(found, key=lambda d: (left_by(d.severity, d.share), d.type))
    reason = f"{lowest.type} ({lowest.severity}, {lowest.share:.1%} of the bars) leaves {left_by(lowest.severity, lowest.share):.2f}"
    if len(found) > 1:
        reason += f", {len(found) - 1} further kinds of defect take {FURTHER_KIND:g} each"
    return [Bound(round(rubric_score(found), 4), reason)]


def _without(defect: Defect, found: Sequence[Defect], score: float) -> float:
    """What the score would gain if this defect were gone and all else as it is."""
    rest = [d for d in found if d is not defect]
    return round(max(0.0, min(rubric_score(rest), SINGLE_SOURCE_CAP) - score), 1)


def _confidence(verdict: Verdict) -> float:
    checked = len(verdict.ran) / max(1, len(verdict.ran) + len([s for s in verdict.skipped if s.reason != _BY_NATURE]))
    many = 1.0 - 1.0 / (1.0 + verdict.bars) ** 0.5
    return float(round(checked * many * (1.0 if verdict.confirmed_by else _ALONE), 3))


def arithmetic(graded: Grade) -> list[str]:
    """The sum, a line for each term, and then what to do next, to be printed."""
    lines = [f"{p.dimension:<13} -{p.points:.1f}  {p.check} ({p.severity}): {p.reason}" for p in graded.penalties]
    lines += [f"{name:<13} {weight:.2f} x {score:5.1f} = {weight * score:6.2f}" for name, weight, score in graded.parts]
    lines.append(f"{'sum':<13} {sum(w * s for _, w, s in graded.parts):.2f}")
    lines += [f"{'at most':<13} {b.ceiling:.2f}  {b.reason}" for b in graded.bounds]
    lines.append(f"{'score':<13} {graded.score:.2f}  {graded.letter}")
    return [*lines, *(f"{'next':<13} +{a.gain:.1f}  {a.what}: {a.command}" for a in graded.actions)]


def bar_scores(graded: Grade, verdict: Verdict, bars: BarSet) -> np.ndarray:
    """A score for each bar, float64: what is wrong with the series as a whole lowers all of them, what is wrong with some bars those
    alone, and a provisional one is never an A. No bar of a series that passed scores less than the series for other bars' faults.

    `bars` are `verdict.keep`, or bars with the same rows.
    """
    import numpy as np

    rows = max(verdict.bars, verdict.expected or 0, 1)
    whole = rubric_score([d for d in defects(verdict.findings, rows) if d.type not in OF_SINGLE_BARS])
    bounds = [b.ceiling for b in (*_confirmed(verdict), *_unproved(verdict))]
    scores = np.full(len(bars), max(graded.score, min([whole, *bounds])))
    if verdict.caps is not None:
        scores = np.minimum(scores, np.array(verdict.caps))
    if bars.complete_until is not None:
        open_since = np.datetime64(bars.complete_until.astimezone(UTC).replace(tzinfo=None), "us")
        scores[bars.ts >= open_since] = np.minimum(scores[bars.ts >= open_since], PROVISIONAL_CAP)
    return scores
