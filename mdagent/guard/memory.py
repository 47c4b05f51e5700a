"""What is remembered of a source: its reputation, folded from the attempts and grades in the ledger, the old ones fading. Pure.

Nothing is kept but the attempts themselves: a reputation is computed anew from them, so that it can neither drift nor be lost.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

from mdagent.guard.outcome import CONSEQUENCES, Blame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

_TAIL = 0.05  # on either side of the central 90 %
_REACH, _CELLS = 9.0, 20  # the grid of an interval: so many standard deviations to either side, so many cells in each
_ENOUGH = 3  # grades that speak for themselves


@dataclass(frozen=True, slots=True)
class Beta:
    """What is believed of a share: `good` and `bad` attempts, those of the prior included; both above 0."""

    good: float
    bad: float

    @property
    def mean(self) -> float:
        """The share to be expected of the next attempt."""
        return self.good / (self.good + self.bad)

    @property
    def low(self) -> float:
        """The share is below this with a probability of 5 %."""
        return _quantile(self, _TAIL)

    @property
    def high(self) -> float:
        """The share is above this with a probability of 5 %."""
        return _quantile(self, 1.0 - _TAIL)


PRIOR = Beta(9.0, 1.0)  # a source of which nothing is known: it answers nine times of ten, and ten attempts of its own weigh as much
HALF_LIFE = timedelta(days=7)

# What an attempt adds to good and to bad, by the blame that its row of the failure table lays on the source; (0, 1) for the others.
_WORTH = {Blame.NONE: (0.0, 0.0), Blame.SUCCESS: (1.0, 0.0), Blame.COUNT_DOUBLE: (0.0, 2.0)}
_UNITS: dict[str | None, tuple[float, float]] = {None: (1.0, 0.0)}
_UNITS.update((kind.value, _WORTH.get(row.blame, (0.0, 1.0))) for kind, row in CONSEQUENCES.items())


@dataclass(frozen=True, slots=True)
class Seen:
    """One attempt as the ledger remembers it. `kind` names its FailureKind, None for a good answer; a name that this version does not
    know counts neither way. `score` is the grade (0 to 100) of the bars that it brought, `prices` and `volume` those of the fields, None
    where nothing was graded."""

    at: datetime
    interval: str
    kind: str | None
    ms: float | None
    score: float | None
    symbol: str
    prices: float | None = None
    volume: float | None = None

    def graded(self, field: str) -> float | None:
        """The grade of that field of what it brought, `price` or `volume`; of all of it for "": three parts prices, one part volume."""
        if self.prices is None or self.volume is None:
            return self.score
        return {"price": self.prices, "volume": self.volume}.get(field, 0.75 * self.prices + 0.25 * self.volume)


@dataclass(frozen=True, slots=True)
class Reputation:
    """What a source's attempts say of it. Each counts for half after a half-life, so that without news all returns to the prior.

    `interval` is that of the attempts, "" for all. `by_kind` are the shares of attempts that ended in each kind of failure, the
    largest first: means of a Dirichlet posterior whose prior is that of `reliability`, its one bad attempt spread evenly over all
    kinds. `quality` is the mean score, of the `basis` that had enough grades (`AAPL 1d`, `1d`, `all`; "" for none); `latency` the
    median milliseconds of good answers. `seen` is how many attempts of today weigh as much as all that were seen.
    """

    source: str
    interval: str
    reliability: Beta
    by_kind: tuple[tuple[str, float], ...]
    quality: float | None
    basis: str
    latency: float | None
    seen: float
    last: datetime | None


def fold(  # noqa: PLR0913  of whom, for what, and how fast it fades
    source: str,
    seen: Iterable[Seen],
    now: datetime,
    *,
    interval: str = "",
    symbol: str = "",
    field: str = "",
    half_life: timedelta = HALF_LIFE,
) -> Reputation:
    """The reputation of a source by all that was seen of it, in any order. What lies in the future, by a clock that was set back,
    counts as of now. `interval` narrows everything, `symbol` and `field` (`price` or `volume`) the quality alone: a provider does not
    fail by symbol, but its bars of one may be worse. Quality is that of the symbol and interval where three grades are there, else of
    the interval, else of all."""
    aged = [(s, 0.5 ** (max(timedelta(0), now - s.at) / half_life)) for s in seen]
    here = [(s, weight) for s, weight in aged if interval in ("", s.interval)]
    quality, basis = _quality(aged, interval, symbol, field)
    units = [(weight, _UNITS.get(s.kind, (0.0, 0.0))) for s, weight in here]
    return Reputation(
        source,
        interval,
        Beta(PRIOR.good + math.fsum(w * good for w, (good, _) in units), PRIOR.bad + math.fsum(w * bad for w, (_, bad) in units)),
        _by_kind(here),
        quality,
        basis,
        _median([(s.ms, weight) for s, weight in here if s.kind is None and s.ms is not None]),
        math.fsum(weight for _, weight in here),
        max((min(s.at, now) for s, _ in here), default=None),
    )


def _by_kind(aged: Sequence[tuple[Seen, float]]) -> tuple[tuple[str, float], ...]:
    whole = PRIOR.good + PRIOR.bad + math.fsum(weight for _, weight in aged)
    kinds = {s.kind for s, _ in aged if s.kind is not None}
    ended = {kind: math.fsum(weight for s, weight in aged if s.kind == kind) for kind in kinds}
    shares = [(kind, (PRIOR.bad / len(CONSEQUENCES) + weight) / whole) for kind, weight in ended.items()]
    return tuple(sorted(shares, key=lambda pair: (-pair[1], pair[0])))


def _quality(aged: Sequence[tuple[Seen, float]], interval: str, symbol: str, field: str) -> tuple[float | None, str]:
    """From the narrowest basis to the widest; the widest needs one grade only."""
    graded = [(s, score, weight) for s, weight in aged if (score := s.graded(field)) is not None]
    for ticker, length in ((symbol, interval), ("", interval), ("", "")):
        scores = [(score, weight) for s, score, weight in graded if ticker in ("", s.symbol) and length in ("", s.interval)]
        mean, basis = _mean(scores), " ".join(filter(None, (ticker, length)))
        if mean is not None and (len(scores) >= _ENOUGH or not basis):
            return mean, basis or "all"
    return None, ""


def _mean(weighted: Sequence[tuple[float, float]]) -> float | None:
    """None where there is nothing, or nothing that is young enough to weigh anything."""
    whole = math.fsum(weight for _, weight in weighted)
    return math.fsum(value * weight for value, weight in weighted) / whole if whole > 0 else None


def _median(weighted: Sequence[tuple[float, float]]) -> float | None:
    """The least value with half of the weight at or below it; None as for the mean."""
    ordered = sorted(weighted)
    running = list(accumulate(weight for _, weight in ordered))
    return ordered[bisect_left(running, running[-1] / 2)][0] if running and running[-1] > 0 else None


def _quantile(beta: Beta, share: float) -> float:
    """By sums over a grid of the logit t of a Beta variable, whose density is proportional to exp(a t) / (1 + exp(t))^(a + b) (change of
    variable; the generalised logistic of type IV of Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions, vol. 2, 1995,
    ch. 23). Its mode is log(a / b), its variance there 1/a + 1/b (Laplace). Within 0.0001 of the exact quantile for a, b >= 1, where the
    normal curve of that mean and variance would be off by up to 0.1: one bad attempt makes a long tail."""
    both, mode, deviation = beta.good + beta.bad, math.log(beta.good / beta.bad), math.sqrt(1.0 / beta.good + 1.0 / beta.bad)
    peak, step = beta.good * mode - both * _softplus(mode), deviation / _CELLS
    cells = int(_REACH * _CELLS)
    masses = [math.exp(beta.good * t - both * _softplus(t) - peak) for t in (mode + (k + 0.5) * step for k in range(-cells, cells))]
    running = list(accumulate(masses))
    k = bisect_left(running, share * running[-1])
    t = mode + step * (k - cells + 1.0 - (running[k] - share * running[-1]) / masses[k])
    return 1.0 / (1.0 + math.exp(-t))


def _softplus(t: float) -> float:
    """log(1 + exp(t)), without overflow."""
    return max(t, 0.0) + math.log1p(math.exp(-abs(t)))
