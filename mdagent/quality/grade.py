"""Verdict -> grade: a score with its arithmetic, a letter, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from mdagent.quality.finding import Severity
from mdagent.quality.letters import letter

if TYPE_CHECKING:
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
FURTHER_KIND = 3.0  # off the ceiling for each further check that found something
SHARE_TOP, SHARE_FULL = 4.0, 0.20  # off the ceiling at most, reached when this share of the bars is concerned


class _Rule(NamedTuple):
    """What a check bears upon, the highest score that its finding leaves, and what the user can do."""

    dimension: str
    ceiling: float
    action: str


_RULES = {
    "schema": _Rule("validity", 100.0, "look at the quarantined rows, and fetch the window from another source"),
    "positivity": _Rule("validity", 100.0, "look at the quarantined rows, and fetch the window from another source"),
    "rejected": _Rule("validity", 100.0, "look at the quarantined rows, and fetch the window from another source"),
    "non_session": _Rule("validity", 100.0, "check the symbol's exchange, or add the day to the calendar in the settings"),
    "future": _Rule("validity", 100.0, "check this machine's clock and the source's stamps"),
    "ohlc": _Rule("consistency", 100.0, "compare the flagged bars with another source"),
    "order": _Rule("consistency", 100.0, "fetch the window again"),
    "window": _Rule("consistency", 100.0, "narrow the window"),
    "duplicates": _Rule("uniqueness", 100.0, "fetch the disputed bars from another source"),
    "gaps": _Rule("completeness", 100.0, "fetch the missing bars from another source, or run it again later"),
    "staleness": _Rule("timeliness", 100.0, "run it again later, or use another source"),
    "identity": _Rule("accuracy", 88.0, "compare with a source that names the symbol"),
    "delayed": _Rule("timeliness", 88.0, "use a plan or a source that tells prices in time"),
    "scale": _Rule("accuracy", 76.0, "compare the suspect bars with another source"),
}
_OTHER = _Rule("validity", 100.0, "look at the finding")

_CEILINGS = {Severity.CRITICAL: 45.0, Severity.HIGH: 66.0, Severity.MEDIUM: 86.0, Severity.LOW: 88.0, Severity.INFO: 100.0}
_POINTS = {Severity.CRITICAL: 80.0, Severity.HIGH: 45.0, Severity.MEDIUM: 15.0, Severity.LOW: 5.0, Severity.INFO: 0.0}
_UNPROVED = {"gaps": 88.0, "staleness": 88.0, "non_session": 88.0}  # a ceiling where the check could not run
_REFUSED_CEILING = 30.0


@dataclass(frozen=True, slots=True)
class Penalty:
    """Points off one dimension (of 100), for one finding."""

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
    """

    score: float
    letter: str
    parts: tuple[tuple[str, float, float], ...]
    penalties: tuple[Penalty, ...]
    actions: tuple[str, ...]
    bounds: tuple[Bound, ...] = ()


def grade(verdict: Verdict) -> Grade:
    """The grade of a series. One more finding never raises it; the order of findings never matters."""
    rows = max(verdict.bars, verdict.expected or 0, 1)
    costly = sorted((f for f in verdict.findings if f.severity is not Severity.INFO), key=_sort_key)
    penalties = tuple(_penalty(f, rows) for f in costly)
    parts = tuple((name, weight, max(0.0, 100.0 - sum(p.points for p in penalties if p.dimension == name))) for name, weight in WEIGHTS)
    bounds = (Bound(SINGLE_SOURCE_CAP, "one source, compared with no other"), *_unproved(verdict), *_worst(costly, rows))
    score = round(max(0.0, min(sum(w * s for _, w, s in parts), *(b.ceiling for b in bounds))), 4)
    checks = dict.fromkeys(f.check for f in costly)
    actions = dict.fromkeys(_RULES.get(c, _OTHER).action for c in checks)
    return Grade(score, letter(score), parts, penalties, tuple(actions), bounds)


def _sort_key(finding: Finding) -> tuple[object, ...]:
    return (finding.severity.rank, finding.check, finding.start, finding.end, finding.count, finding.message)


def _share(finding: Finding, rows: int) -> float:
    return min(1.0, finding.count / rows)


def _penalty(finding: Finding, rows: int) -> Penalty:
    """A severity's price, and up to twice that by the share of bars concerned."""
    points = min(100.0, _POINTS[finding.severity] * (1.0 + 2.0 * _share(finding, rows)))
    return Penalty(finding.check, _RULES.get(finding.check, _OTHER).dimension, finding.severity, round(points, 4), finding.message)


def _unproved(verdict: Verdict) -> list[Bound]:
    skipped = [(s, _UNPROVED[s.check]) for s in verdict.skipped if s.check in _UNPROVED]
    bounds = [Bound(ceiling, f"{s.check} not checked: {s.reason}") for s, ceiling in skipped]
    if verdict.refused:
        bounds.append(Bound(_REFUSED_CEILING, f"{len(verdict.quarantine)} of {verdict.bars} rows are bad: the whole answer is refused"))
    return bounds


def _worst(costly: list[Finding], rows: int) -> list[Bound]:
    """The worst finding's ceiling, lowered by every further kind of finding and by the largest share of bars concerned."""
    if not costly:
        return []
    ceilings = [(min(_CEILINGS[f.severity], _RULES.get(f.check, _OTHER).ceiling), f) for f in costly]
    ceiling, worst = min(ceilings, key=lambda pair: (pair[0], _sort_key(pair[1])))
    further = FURTHER_KIND * (len({f.check for f in costly}) - 1)
    share = max(_share(f, rows) for f in costly)
    by_share = SHARE_TOP * min(1.0, share / SHARE_FULL)
    spent = f"further kinds of finding -{further:g}, share of bars {share:.1%} -{by_share:.2f}"
    reason = f"{worst.check} ({worst.severity}) leaves {ceiling:g}; {spent}"
    return [Bound(round(max(0.0, ceiling - further - by_share), 4), reason)]


def arithmetic(graded: Grade) -> list[str]:
    """The sum, a line for each term, to be printed."""
    lines = [f"{p.dimension:<13} -{p.points:.1f}  {p.check} ({p.severity}): {p.reason}" for p in graded.penalties]
    lines += [f"{name:<13} {weight:.2f} x {score:5.1f} = {weight * score:6.2f}" for name, weight, score in graded.parts]
    lines.append(f"{'sum':<13} {sum(w * s for _, w, s in graded.parts):.2f}")
    lines += [f"{'at most':<13} {b.ceiling:.2f}  {b.reason}" for b in graded.bounds]
    return [*lines, f"{'score':<13} {graded.score:.2f}  {graded.letter}"]


def bar_scores(graded: Grade, verdict: Verdict, bars: BarSet) -> np.ndarray:
    """A score for each bar, float64: the series' own, less for a suspect bar, and never an A for a provisional one.

    `bars` are `verdict.keep`, or bars with the same rows.
    """
    import numpy as np

    scores = np.full(len(bars), graded.score)
    if verdict.caps is not None:
        scores = np.minimum(scores, np.array(verdict.caps))
    if bars.complete_until is not None:
        open_since = np.datetime64(bars.complete_until.astimezone(UTC).replace(tzinfo=None), "us")
        scores[bars.ts >= open_since] = np.minimum(scores[bars.ts >= open_since], PROVISIONAL_CAP)
    return scores
