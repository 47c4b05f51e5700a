"""In which order the sources are asked for one request, each with the arithmetic that gave it its place. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from mdagent.guard.memory import PRIOR
from mdagent.guard.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SOON = 1.0  # seconds of waiting that are as good as none
_HEALTH = {"closed": 1.0, "degraded": 0.5, "half-open": 0.25}  # by the state of the breaker; 0 for any other, which lets nothing through


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of one source for one request; None is not known.

    `reliability` (0 to 1) is that of `attempts`; `quality` the grade (0 to 100) of what it delivered, `graded` says of which bars;
    `latency` is milliseconds of one answer. `left` is the share (0 to 1) of its tightest quota that is left, `a_day` how many
    requests its plan allows a day, `wait` the seconds until its quota admits the request after all those ahead in the queue, each of
    which counts from the time at which it will go itself. `usd` is what the `requests` that it needs would cost, `delay` the seconds
    that its plan tells prices late. `direct`: it delivers the basis asked for, which else is made from splits and dividends.
    `metered`: its key is counted by the day or month, not to be spent where it need not be. `state` is that of its breaker.
    `refuses` is why nothing would be sent now, however long one waited.
    """

    source: str
    reliability: float | None = None
    quality: float | None = None
    latency: float | None = None
    left: float | None = None
    wait: float = 0.0
    usd: float = 0.0
    delay: float = 0.0
    direct: bool = True
    metered: bool = False
    state: str = "closed"
    requests: int = 1
    a_day: float | None = None
    attempts: float | None = None
    graded: str = ""
    refuses: str = ""


WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Term:
    """One fact in the sum: its `value` from 0 (worst) to 1 (best), its `weight` in points of 100, and why the value is what it is."""

    name: str
    value: float
    weight: float
    why: str


@dataclass(frozen=True, slots=True)
class Ranked:
    """A source in its place: `order` 1 is asked first. `score` (0 to 100) is the weighted mean of `terms`; `wait` is in seconds."""

    source: str
    score: float
    wait: float
    terms: tuple[Term, ...]
    order: int
    refuses: str = ""

    def arithmetic(self) -> tuple[str, ...]:
        """One line a term, then their sum. The sum is rounded as it runs, not each part for itself, so that the parts add up to it."""
        sums = [0.0, *(round(s, 2) for s in _running(self.terms))]
        parts = [f"{after - before:5.2f}" for before, after in pairwise(sums)]
        lines = [f"{t.name:<11} {t.value:.3f} x {t.weight:5.2f} = {part}  {t.why}" for t, part in zip(self.terms, parts, strict=True)]
        waits = f"  must wait {self.wait:.0f} s for its quota" if self.wait > 0 else ""
        waits = f"  refuses now: {self.refuses}" if self.refuses else waits
        return (*lines, f"{'score':<11} {sums[-1]:.2f}{waits}")


class _Fact(NamedTuple):
    """How a fact is read off a candidate, made a value from 0 to 1, and said; `unknown` is the value where it is None."""

    of: Callable[[Candidate], float | None]
    value: Callable[[float], float]
    say: Callable[[Candidate, float], str]
    unknown: float = 0.5


def _near(x: float, half: float) -> float:
    """1 at 0, one half at `half`, falling towards 0: the more there is, the less a little more matters."""
    return 1.0 / (1.0 + max(0.0, x) / half)


# Each value rises, or stays, as the fact gets better. What is not known is taken as ordinary: a new source as memory.py has it, bars
# as just good enough (B-), a second for an answer, half of a quota.
_FACTS = {
    "reliability": _Fact(lambda c: c.reliability, lambda x: x, lambda c, x: f"answered {x:.2f}{_of_attempts(c)}", PRIOR.mean),
    "quality": _Fact(lambda c: c.quality, lambda x: x / 100.0, lambda c, x: f"graded {x:.0f}{_of_bars(c)}", 0.8),
    "key": _Fact(lambda c: c.metered, lambda x: 1.0 - x, lambda _, x: "spends a metered key" if x else "spends no metered key"),
    "cost": _Fact(lambda c: c.usd, lambda x: _near(x, 0.01), lambda _, x: f"costs {x:.4f} USD" if x > 0 else "costs nothing"),
    "basis": _Fact(lambda c: c.direct, lambda x: x, lambda _, x: "the basis asked for" if x else "made from splits and dividends"),
    "quota": _Fact(lambda c: c.left, lambda x: x, lambda _, x: f"{x:.0%} of its tightest quota is left"),
    "latency": _Fact(lambda c: _each(c.latency, c.requests), lambda x: _near(x, 1000.0), lambda c, x: f"{x:.0f} ms{_of_requests(c)}"),
    "allowance": _Fact(lambda c: _each(c.a_day, 1.0 / max(1, c.requests)), lambda x: 1.0 - _near(x, 1000.0), lambda _, x: f"{x:.0f} a day"),
    "breaker": _Fact(lambda c: _HEALTH.get(c.state, 0.0), lambda x: x, lambda c, _: f"breaker {c.state}"),
    "freshness": _Fact(lambda c: c.delay, lambda x: _near(x, 60.0), lambda _, x: f"prices {x / 60:g} min late" if x > 0 else "no delay"),
}


def _each(fact: float | None, times: float) -> float | None:
    return None if fact is None else fact * times


def _of_requests(c: Candidate) -> str:
    return "" if c.requests == 1 else f" for {c.requests} requests"


def _of_bars(c: Candidate) -> str:
    return f" for {c.graded}" if c.graded else ""


def _of_attempts(c: Candidate) -> str:
    return "" if c.attempts is None else f" of {c.attempts:.0f} attempts"


def rank(candidates: Sequence[Candidate], weights: Weights = WEIGHTS, *, live: bool = False, patience: float = 0.0) -> tuple[Ranked, ...]:
    """The order of asking. Who refuses comes last. First by the breaker: healthy before degraded before half-open. Then who can serve
    now (within a second, or within `patience` seconds, where the best is worth waiting for) before who must wait; of these the shorter
    wait first, so that many requests spread over the sources by what each can still serve: for equal requests, asked in turn, no
    schedule ends sooner. Of those who can serve now the better score first; ties by name. Where one fact of a source gets better, its
    place gets no worse.

    `live`: the price of this minute is wanted, a quote or a session that is not over.
    """
    points = {name: weights.live if live and name == "freshness" else float(getattr(weights, name)) for name in _FACTS}
    whole = sum(points.values()) or 1.0
    placed = []
    for c in candidates:
        terms = tuple(_term(name, c, points[name] * 100.0 / whole) for name in _FACTS)
        score = min(100.0, _running(terms)[-1])
        waits = 0.0 if c.wait <= max(_SOON, patience) else c.wait
        place = (bool(c.refuses), -_HEALTH.get(c.state, 0.0), waits, -score, c.source)
        placed.append((place, Ranked(c.source, score, c.wait, terms, 0, c.refuses)))
    ordered = sorted(placed, key=lambda row: row[0])
    return tuple(replace(ranked, order=order) for order, (_, ranked) in enumerate(ordered, 1))


def begin_with(ranking: Sequence[Ranked], far: float) -> Ranked | None:
    """Who is asked first where there is time: the first of the ranking; but where it must wait for longer than `far` seconds, whoever may
    be asked now though its breaker is not closed. None where all refuse."""
    able = [ranked for ranked in ranking if not ranked.refuses]
    if not able or able[0].wait <= far:
        return able[0] if able else None
    return next((ranked for ranked in able if ranked.wait <= _SOON), able[0])


def _term(name: str, c: Candidate, weight: float) -> Term:
    fact = _FACTS[name]
    x = fact.of(c)
    if x is None:
        return Term(name, fact.unknown, weight, f"not known, taken as {fact.unknown:.2f}")
    return Term(name, min(1.0, max(0.0, fact.value(x))), weight, fact.say(c, x))


def _running(terms: Sequence[Term]) -> list[float]:
    """The sum of the parts so far, after each term."""
    return list(accumulate(t.value * t.weight for t in terms))
