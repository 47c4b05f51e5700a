"""The quality of what is stored, with its trend: by symbol, by source or by month, the worst first; and the history of grades."""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from mdagent.quality.finding import Severity
from mdagent.quality.letters import letter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mdagent.store.gradebook import Grading, Month


class Mark(NamedTuple):
    """How good a group of bars is. `name` is its symbol, or its source; `month` is empty but by month. `score` is the mean of its bars'
    (None where it has none); `trend` by how much the last grades differ from those before, of a month from the month before."""

    name: str
    interval: str
    month: str
    bars: int
    score: float | None
    letter: str | None
    trend: float | None
    last: Grading | None
    least: float | None
    suspect: int
    provisional: int
    quarantined: int
    findings: str


class Past(NamedTuple):
    """A grade, by how much it differs from the one before, and what changed."""

    grading: Grading
    change: float | None
    what: str


_BY: dict[str, Callable[[Month], tuple[str, str, str]]] = {
    "symbol": lambda m: (m.symbol, m.interval, ""),
    "source": lambda m: (m.source, m.interval, ""),
    "month": lambda m: (m.symbol, m.interval, m.month),
}
WAYS = tuple(_BY)


def marks(months: Iterable[Month], gradings: Sequence[Grading], by: str) -> list[Mark]:
    """One for each group, the worst first; those without a bar at the end."""
    groups: dict[tuple[str, str, str], list[Month]] = {}
    for month in months:
        groups.setdefault(_BY[by](month), []).append(month)
    given: dict[tuple[str, str], list[Grading]] = {}
    for one in gradings:
        given.setdefault((one.source if by == "source" else one.symbol, one.interval), []).append(one)
    made: list[Mark] = []
    before: dict[tuple[str, str], float | None] = {}
    for key, some in sorted(groups.items()):
        mark = _mark(key, some, given.get(key[:2], []))
        if by == "month":
            last = before.get(key[:2])
            trend = round(mark.score - last, 4) if mark.score is not None and last is not None else None
            before[key[:2]] = mark.score
            mark = mark._replace(trend=trend, last=None, findings="")
        made.append(mark)
    return sorted(made, key=lambda m: (m.score is None, m.score or 0.0, m.name, m.interval, m.month))


def _mark(key: tuple[str, str, str], some: Sequence[Month], given: Sequence[Grading]) -> Mark:
    bars = sum(m.bars for m in some)
    score = sum(m.total for m in some) / bars if bars else None
    series = _series(given)
    trends = [grades[-1].score - fmean(g.score for g in grades[:-1]) for grades in series if len(grades) > 1]
    last = [grades[-1] for grades in series]
    return Mark(
        key[0],
        key[1],
        key[2],
        bars=bars,
        score=score,
        letter=None if score is None else letter(score),
        trend=round(fmean(trends), 4) if trends else None,
        last=max(last, key=lambda g: (g.graded_at, g.batch), default=None),
        least=min((m.least for m in some if m.least is not None), default=None),
        suspect=sum(m.suspect for m in some),
        provisional=sum(m.provisional for m in some),
        quarantined=sum(m.quarantined for m in some),
        findings=_found(last),
    )


def _series(given: Sequence[Grading]) -> list[list[Grading]]:
    groups: dict[tuple[str, ...], list[Grading]] = {}
    for one in given:
        groups.setdefault((one.symbol, one.interval, one.source, one.adjustment), []).append(one)
    return list(groups.values())


def _found(last: Iterable[Grading]) -> str:
    """What the last judgement of each series found, worst first: type, severity, bars."""
    counts: Counter[tuple[str, str]] = Counter()
    for grading in last:
        for kind, severity, count in grading.findings:
            if severity != Severity.INFO:
                counts[kind, severity] += count
    ordered = sorted(counts, key=lambda pair: (Severity(pair[1]).rank, pair[0]))
    return ", ".join(f"{kind} ({severity}, {counts[kind, severity]})" for kind, severity in ordered)


def history(gradings: Sequence[Grading]) -> Iterator[Past]:
    """Every grade of every series, the oldest first, each against the one before."""
    for grades in _series(gradings):
        for n, one in enumerate(grades):
            earlier = grades[n - 1] if n else None
            yield Past(one, round(one.score - earlier.score, 4) if earlier else None, "; ".join(_changes(earlier, one)))


def _changes(before: Grading | None, one: Grading) -> Iterator[str]:
    had = {kind for kind, severity, _ in before.findings if severity != Severity.INFO} if before else set()
    has = {kind for kind, severity, _ in one.findings if severity != Severity.INFO}
    if before is None:
        yield "the first grade"
    elif (before.start, before.end) != (one.start, one.end):
        yield "another window"
    if has - had:
        yield f"found: {', '.join(sorted(has - had))}"
    if had - has:
        yield f"gone: {', '.join(sorted(had - has))}"
    if one.inserted:
        yield f"{one.inserted} new"
    if one.revised:
        yield f"{one.revised} revised"
