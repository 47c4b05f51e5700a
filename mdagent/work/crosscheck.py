"""A second opinion: what several sources say of the same bars, judged together and written down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from mdagent.quality.checks import Circumstances, judge
from mdagent.quality.consensus import consensus, noise_of, weights_of
from mdagent.quality.grade import arithmetic, bar_scores, grade
from mdagent.store.review import Agreement, Review
from mdagent.work.doubt import further
from mdagent.work.stored import bars_of, knows_all, lost_rows, on_basis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from mdagent.market import Adjustment, BarRequest, BarSet
    from mdagent.quality.modes import Mode
    from mdagent.sessions import Session
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader
    from mdagent.work.doubt import Doubt
    from mdagent.work.report import Line

_LEAST_TOLERANCE = 0.002  # of a price: how far two honest sources may be apart
_NOISE = 6.0
_FEWEST = 2


class Bench(NamedTuple):
    """Who may be asked, and how. `able` names who may serve a request, the best first; `fetch` asks one of them; `earned` is the
    weight that each has earned so far, 0 to 1; `delays` how late each lets a finished bar change."""

    able: Callable[[BarRequest], Sequence[str]]
    fetch: Callable[[BarRequest, str], Line]
    store: BarStore
    sessions: Callable[[BarRequest], Sequence[Session] | None]
    now: Callable[[], datetime]
    mode: Mode
    earned: Mapping[str, float]
    delays: Mapping[str, timedelta]


class Stored(NamedTuple):
    """What the store has of one source, on the basis asked for; and the basis that it is stored on."""

    bars: BarSet
    basis: Adjustment


def confirm(line: Line, doubt: Doubt, bench: Bench) -> Line:
    """The line after other sources were heard, where that was asked for or called for: of those compared, the best graded one's."""
    count = further(line, doubt)
    if not count or line.source is None:
        return line
    asked: list[Line] = []
    for name in bench.able(line.request):
        if len(asked) < count and name != line.source:
            one = bench.fetch(line.request, name)
            asked += [one] if one.bars and one.failure is None else []
    sent = line.requests + sum(one.requests for one in asked)
    reviews = review(line.request, [line.source, *(one.source or "" for one in asked)], bench) if asked else []
    if not reviews:
        words = f"no further source could be compared with {line.source}" if doubt.cross_check else ""
        return line._replace(requests=sent, notes=(*line.notes, *([words] if words else [])))
    best = min(reviews, key=lambda r: (-r.grade.score, r.source))  # as the store chooses among equals
    told = next((one for one in asked if one.source == best.source), line)
    missing = [] if len(asked) >= count else [f"only {len(asked)} of {count} further sources could be compared"]
    return told._replace(
        requests=sent,
        letter=best.grade.letter,
        score=best.grade.score,
        findings=tuple(f"{f.severity} {f.check}: {f.message}" for f in best.verdict.findings),
        arithmetic=tuple(best.arithmetic.splitlines()),
        skipped="; ".join(f"{s.check}: {s.reason}" for s in best.verdict.skipped),
        considered=line.considered,
        notes=(*line.notes, *missing, *(f"{r.source} {r.grade.letter}, compared with the others" for r in reviews)),
    )


def review(request: BarRequest, names: Sequence[str], bench: Bench) -> list[Review]:
    """Judge each source's stored series against those of the others, on the basis of the request, and keep what comes of it: findings,
    grades, scores of bars, and how far the sources agree on each. None where fewer than two have bars."""
    with bench.store.reading("cross-check") as reader:
        sets = stored_sets(reader, request, names)
    if len(sets) < _FEWEST:
        return []
    families = {name: told.bars.venue for name, told in sets.items() if told.bars.venue}
    sessions = bench.sessions(request)
    made = [_review(sets, name, request, sessions, families, bench) for name in sets]
    agreements = _agreements({name: told.bars for name, told in sets.items()}, request, bench, families)
    with bench.store.writing(f"cross-check {request.symbol}") as writer:
        writer.keep_reviews(made, agreements)
    return made


def _review(  # noqa: PLR0913, PLR0917  one source, the others, and all that both are judged by
    sets: Mapping[str, Stored],
    name: str,
    request: BarRequest,
    sessions: Sequence[Session] | None,
    families: Mapping[str, str],
    bench: Bench,
) -> Review:
    from datetime import timedelta

    bars, others = sets[name].bars, tuple(told.bars for other, told in sets.items() if other != name)
    known = Circumstances(bench.mode, listed=bool(bars.actions), others=others, earned=bench.earned, families=families)
    verdict = judge(bars, request, sessions, bench.now(), bench.delays.get(name, timedelta(0)), known)
    given = grade(verdict)
    stored = replace(request, adjustment=sets[name].basis)
    return Review(stored, name, verdict, given, "\n".join(arithmetic(given)), bar_scores(given, verdict, verdict.keep), bench.now())


def stored_sets(reader: Reader, request: BarRequest, names: Sequence[str]) -> dict[str, Stored]:
    """What the store has of each source in the window, on the basis of the request and in one unit."""
    joint = reader.joint(request, names)
    basis = {part.held.source: part.held.basis for part in reversed(joint.parts)}
    made = {}
    for name, cells in sorted(reader.apart(request, joint).items()):
        if not len(cells["ts"]):
            continue
        told = replace(
            bars_of(request, name, cells, joint),
            actions=on_basis(reader.actions_of(request.symbol.ticker, name, request.start, request.end), request.adjustment),
            delivery=lost_rows(reader.quarantined(request, name), cells["ts"])._replace(events=knows_all(reader, request, name)),
            venue=reader.venue_of(request, name),
        )
        made[name] = Stored(told, basis[name])
    return made


def _agreements(sets: Mapping[str, BarSet], request: BarRequest, bench: Bench, families: Mapping[str, str]) -> list[Agreement]:
    """How far the sources agree on the close of every bar that two of them have."""
    import numpy as np

    ts = np.unique(np.concatenate([told.ts for told in sets.values()]))
    closes = np.full((len(sets), len(ts)), np.nan)
    for n, told in enumerate(sets.values()):
        closes[n, np.searchsorted(ts, told.ts)] = told.close
    middle = consensus(closes, weights_of(list(sets), bench.earned, families), _LEAST_TOLERANCE).middle
    with np.errstate(all="ignore"):
        noise = float(np.nanmedian([noise_of(np.log(close / middle)) for close in closes]))
    found = consensus(closes, weights_of(list(sets), bench.earned, families), max(_LEAST_TOLERANCE, _NOISE * noise))
    both = found.voices >= _FEWEST
    made = []
    for n, name in enumerate(sets):
        here = both & np.isfinite(closes[n])
        columns = {
            "ts": ts[here],
            "voices": found.voices[here],
            "agreement": found.agreeing[here],
            "middle": found.middle[here],
            "spread": found.spread[here],
            "outvoted": found.outvoted[n][here],
        }
        made.append(Agreement(request, name, columns, bench.now()))
    return made
