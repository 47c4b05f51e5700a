"""The order of asking: who can serve, how well, and the arithmetic of it."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from mdagent.guard.limits import Grant, Refusal, Usage, Window, admit
from mdagent.guard.memory import PRIOR
from mdagent.guard.route import WEIGHTS, Candidate, Ranked, rank
from mdagent.guard.weights import Weights

NOW = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
STATES = ("closed", "degraded", "half-open", "open", "forced open")  # from best to worst

share = st.floats(0.0, 1.0)
amount = st.sampled_from([0.0, 0.5, 1.0, 60.0, 1e9]) | st.floats(0.0, 1e5)
FACTS: dict[str, Any] = {
    "reliability": share, "quality": st.floats(0.0, 100.0), "latency": amount, "left": share, "wait": amount, "usd": amount,
    "delay": amount, "direct": st.booleans(), "metered": st.booleans(), "state": st.sampled_from(STATES), "requests": st.integers(0, 99),
    "a_day": amount,
}  # fmt: skip
LESS_IS_BETTER = {"latency", "wait", "usd", "delay", "metered", "requests"}
UNSURE = {"reliability", "quality", "latency", "left", "a_day"}
known = st.builds(Candidate, st.just("x"), **FACTS)
unsure = st.builds(Candidate, st.just("x"), **{name: st.none() | fact if name in UNSURE else fact for name, fact in FACTS.items()})
several = st.lists(unsure, max_size=6).map(lambda found: [replace(c, source=f"s{n}") for n, c in enumerate(found)])
weighing = st.just(WEIGHTS) | st.builds(Weights, **{name: st.floats(0.0, 100.0) for name in Weights._fields})
asking = st.fixed_dictionaries({"weights": weighing, "live": st.booleans(), "patience": st.sampled_from([0.0, 30.0])})


def order(*candidates: Candidate, **more: Any) -> list[str]:
    return [r.source for r in rank(candidates, **more)]


# What holds for every ranking


@given(several, asking, st.integers(0, 99))
def test_the_order_does_not_depend_on_the_order_of_the_candidates(candidates: list[Candidate], how: dict[str, Any], seed: int) -> None:
    mixed = random.Random(seed).sample(candidates, len(candidates))
    assert rank(mixed, **how) == rank(candidates, **how)


@pytest.mark.parametrize("fact", FACTS)
@given(data=st.data(), c=known, others=several, how=asking)
def test_a_source_that_gets_better_in_one_fact_never_comes_later(
    fact: str, data: st.DataObject, c: Candidate, others: list[Candidate], how: dict[str, Any]
) -> None:
    pair = sorted((getattr(c, fact), data.draw(FACTS[fact])), key=STATES.index if fact == "state" else None)
    better, worse = pair if fact in LESS_IS_BETTER | {"state"} else pair[::-1]
    places = [order(replace(c, **{fact: value}), *others, **how).index("x") for value in (better, worse)]
    assert places[0] <= places[1]


@pytest.mark.parametrize(
    ("fact", "better", "worse"),
    [
        ("reliability", 0.95, 0.94), ("quality", 91.0, 90.0), ("latency", 200.0, 210.0), ("left", 0.6, 0.5), ("usd", 0.0, 0.001),
        ("delay", 0.0, 900.0), ("direct", True, False), ("metered", False, True), ("requests", 1, 2), ("a_day", 800.0, 25.0),
        ("state", "closed", "degraded"), ("state", "degraded", "half-open"), ("state", "half-open", "open"), ("wait", 30.0, 31.0),
    ],
)  # fmt: skip
def test_of_two_that_differ_in_one_fact_the_better_comes_first_whatever_its_name(fact: str, better: Any, worse: Any) -> None:
    base = Candidate("", latency=300.0, a_day=1000.0)
    one, two = (replace(base, source=name, **{fact: value}) for name, value in (("z", better), ("a", worse)))
    assert order(one, two) == ["z", "a"]


@given(several, weighing, st.booleans())
def test_scores_lie_between_0_and_100_and_places_count_from_one(candidates: list[Candidate], weights: Weights, live: bool) -> None:
    ranked = rank(candidates, weights, live=live)
    assert [r.order for r in ranked] == list(range(1, len(candidates) + 1))
    assert all(0.0 <= r.score <= 100.0 for r in ranked)
    assert all(0.0 <= t.value <= 1.0 for r in ranked for t in r.terms)


def test_the_best_there_can_be_has_100_points_and_the_worst_none() -> None:
    best = Candidate("b", 1.0, 100.0, 0.0, 1.0, a_day=float("inf"))
    endless = float("inf")
    worst = Candidate("w", 0.0, 0.0, endless, 0.0, endless, endless, endless, direct=False, metered=True, state="open", a_day=0.0)
    assert [(r.source, r.score) for r in rank([worst, best])] == [("b", 100.0), ("w", 0.0)]


# Its arithmetic


def parts(of: Ranked) -> list[Decimal]:
    return [Decimal(line.partition("= ")[2].split()[0]) for line in of.arithmetic()[:-1]]


@given(several, weighing, st.booleans())
def test_the_printed_parts_add_up_to_the_printed_score(candidates: list[Candidate], weights: Weights, live: bool) -> None:
    for ranked in rank(candidates, weights, live=live):
        told = Decimal(ranked.arithmetic()[-1].split()[1])
        assert sum(parts(ranked)) == told
        assert told == Decimal(f"{ranked.score:.2f}")
        for term, part in zip(ranked.terms, parts(ranked), strict=True):
            assert float(part) == pytest.approx(term.value * term.weight, abs=0.0101)


def test_each_fact_is_told_with_its_value_its_weight_and_its_reason() -> None:
    yahoo = Candidate("yahoo", 0.97, 91.0, 250.0, 0.7, wait=31.0, delay=900.0, direct=False, requests=2, a_day=48_000.0)
    (ranked,) = rank([replace(yahoo, attempts=120.0, graded="AAPL 1d")])
    assert ranked.arithmetic() == (
        "reliability 0.970 x 30.00 = 29.10  answered 0.97 of 120 attempts",
        "quality     0.910 x 30.00 = 27.30  graded 91 for AAPL 1d",
        "key         1.000 x 12.00 = 12.00  spends no metered key",
        "cost        1.000 x 12.00 = 12.00  costs nothing",
        "basis       0.000 x  6.00 =  0.00  made from splits and dividends",
        "quota       0.700 x  3.00 =  2.10  70% of its tightest quota is left",
        "latency     0.667 x  2.50 =  1.67  500 ms for 2 requests",
        "allowance   0.960 x  2.00 =  1.92  24000 a day",
        "breaker     1.000 x  2.00 =  2.00  breaker closed",
        "freshness   0.062 x  0.50 =  0.03  prices 15 min late",
        "score       88.12  must wait 31 s for its quota",
    )


def test_what_is_not_known_is_taken_as_ordinary_and_said() -> None:
    (ranked,) = rank([Candidate("parrot")])
    unknown = {t.name: t.value for t in ranked.terms if t.why.startswith("not known, taken as ")}
    assert unknown == {"reliability": PRIOR.mean, "quality": 0.8, "quota": 0.5, "latency": 0.5, "allowance": 0.5}
    assert order(Candidate("bad", quality=70.0), Candidate("good", quality=90.0), Candidate("new")) == ["good", "new", "bad"]


def test_the_default_weights_are_points_of_a_hundred() -> None:
    (ranked,) = rank([Candidate("parrot")])
    assert sum(t.weight for t in ranked.terms) == pytest.approx(100.0)
    assert all(t.weight == pytest.approx(getattr(WEIGHTS, t.name)) for t in ranked.terms)


def test_without_any_weight_names_decide() -> None:
    nothing = Weights(**dict.fromkeys(Weights._fields, 0.0))
    assert order(Candidate("b", 1.0), Candidate("a", 0.0), weights=nothing) == ["a", "b"]


# Who comes first


fresh = st.builds(Candidate, st.just(""), left=st.just(1.0), metered=st.booleans(), direct=st.booleans(), a_day=st.integers(0, 10**7))


@given(st.lists(fresh))
def test_with_no_history_the_order_is_no_key_then_the_basis_itself_then_most_requests_then_the_name(found: list[Candidate]) -> None:
    named = [replace(c, source=f"s{n:03}") for n, c in enumerate(found)]
    rule = sorted(named, key=lambda c: (c.metered, not c.direct, -(c.a_day or 0.0), c.source))
    assert order(*named) == [c.source for c in rule]


@given(st.floats(0.001, 1.0), st.booleans(), st.floats(0.0, 900.0))
def test_with_no_history_a_source_without_a_key_is_first_however_little_is_left(left: float, direct: bool, delay: float) -> None:
    yahoo = Candidate("yahoo", left=left, direct=direct, delay=delay, a_day=48_000.0)
    assert order(Candidate("finnhub", left=1.0, metered=True, a_day=86_400.0), yahoo)[0] == "yahoo"


def test_a_metered_key_is_spent_where_the_free_source_is_much_worse() -> None:
    key = Candidate("key", 0.95, 95.0, metered=True)
    assert order(Candidate("free", 0.75, 80.0), key) == ["free", "key"]
    assert order(Candidate("free", 0.50, 95.0), key) == ["key", "free"]
    assert order(Candidate("free", 0.95, 50.0), key) == ["key", "free"]
    assert order(Candidate("free", 0.70, 70.0), key) == ["key", "free"]


def test_a_late_price_is_good_enough_for_history_and_not_for_now() -> None:
    late, prompt = Candidate("late", delay=900.0), Candidate("prompt", metered=True)
    assert order(late, prompt) == ["late", "prompt"]
    assert order(late, prompt, live=True) == ["prompt", "late"]


def test_a_healthy_breaker_goes_before_any_score_and_an_open_one_is_last() -> None:
    states = [Candidate(f"s{n}", quality=20.0 * n, state=state) for n, state in enumerate(STATES)]
    assert order(*states) == ["s0", "s1", "s2", "s4", "s3"]
    assert order(Candidate("well", wait=60.0), Candidate("ill", state="degraded")) == ["well", "ill"]


def test_who_can_serve_now_goes_before_who_must_wait_and_the_shorter_wait_first() -> None:
    waiting = [Candidate("best", 1.0, 100.0, wait=40.0), Candidate("good", 1.0, 90.0, wait=20.0), Candidate("poor", 0.5, 60.0)]
    assert order(*waiting) == ["poor", "good", "best"]


def test_a_second_is_no_wait_and_patience_makes_it_longer() -> None:
    best, poor = Candidate("best", 1.0, 100.0, wait=1.0), Candidate("poor", 0.5, 60.0)
    assert order(best, poor) == ["best", "poor"]
    assert order(replace(best, wait=1.1), poor) == ["poor", "best"]
    assert order(replace(best, wait=30.0), poor, patience=30.0) == ["best", "poor"]


def test_of_equals_the_name_decides() -> None:
    assert order(Candidate("b"), Candidate("a"), Candidate("c")) == ["a", "b", "c"]


# Many requests


MARGIN = 2.0  # seconds by which a window of a minute is counted longer
PLANS = {"five": (5, None), "eight": (8, None), "thirty": (30, None), "sixty": (60, 400)}  # requests a minute, and a day


def windows(name: str) -> list[Window]:
    minutely, daily = PLANS[name]
    return [Window(minutely, 60.0), *([Window(daily, "day")] if daily else [])]


def candidate(name: str, usage: list[Usage], now: datetime) -> Candidate:
    answer = admit(windows(name), usage, 1, now)
    assert isinstance(answer, Grant | Refusal)
    wait = answer.wait if isinstance(answer, Refusal) else 0.0
    young = sum(u.at > now - timedelta(seconds=60 + MARGIN) for u in usage)
    return Candidate(name, left=1.0 - young / PLANS[name][0], wait=wait, metered=name != "sixty", a_day=1440.0 * PLANS[name][0])


def spread(before: dict[str, list[Usage]], requests: int, at_once: bool) -> dict[str, list[Usage]]:
    """Each request in turn goes to the first of the ranking, when that source's quota admits it. The next asks then; or all ask now, and
    those ahead in the queue count as used at the time that they were told."""
    usage, now = {name: list(used) for name, used in before.items()}, NOW
    for _ in range(requests):
        first = rank([candidate(name, used, now) for name, used in usage.items()])[0]
        goes = now + timedelta(seconds=first.wait)
        usage[first.source].append(Usage(goes, 1))
        now = now if at_once else goes
    return usage


def slots(name: str, before: list[Usage], most: int) -> list[float]:
    """The earliest seconds from now at which a source can serve one request after another today, by the definition of its windows
    (never more than so many in any minute and a margin), not by our code: the k-th waits for the one that many before it."""
    minutely, daily = PLANS[name]
    times = [(u.at - NOW).total_seconds() for u in before]
    room = min(most, daily - len(before) if daily else most)
    for _ in range(room):
        times.append(max(0.0, times[-1] if times else 0.0, times[-minutely] + 60 + MARGIN if len(times) >= minutely else 0.0))
    return times[len(before) :]


def best_end(before: dict[str, list[Usage]], requests: int) -> float:
    """The seconds after which the last request of the best possible schedule goes, by a mixed integer program.

    A source that may be used up to time T serves at most N_s(T) requests: its slots up to T, taken as early as they come (to leave one
    empty moves no later one forward). Let t_j be all slot times. Variables: n_s >= 0, the requests that go to source s; y_j in
    {0, 1}, which of the times is the end.

        minimise  sum_j t_j y_j   subject to   sum_j y_j = 1,   sum_s n_s = requests,   n_s <= sum_j N_s(t_j) y_j  for each s
    """
    offered = {name: np.array(slots(name, used, requests)) for name, used in before.items()}
    ends = np.unique(np.concatenate(list(offered.values())))
    by = np.array([np.searchsorted(times, ends, side="right") for times in offered.values()])
    sources, moments = len(offered), len(ends)
    constraints = [
        LinearConstraint(np.concatenate([np.zeros(sources), np.ones(moments)])[None, :], 1, 1),
        LinearConstraint(np.concatenate([np.ones(sources), np.zeros(moments)])[None, :], requests, requests),
        LinearConstraint(np.hstack([np.eye(sources), -by]), -np.inf, 0),
    ]
    found = milp(
        np.concatenate([np.zeros(sources), ends]), integrality=np.concatenate([np.zeros(sources), np.ones(moments)]),
        bounds=Bounds(0, np.concatenate([np.full(sources, np.inf), np.ones(moments)])), constraints=constraints,
    )  # fmt: skip
    assert found.success
    return float(found.fun)


def earlier(seed: int) -> dict[str, list[Usage]]:
    """What was asked before: the minutes are under way, each source at another place of its own, and most of the day's quota is gone."""
    dice = random.Random(seed)
    made = {}
    for name, (minutely, daily) in PLANS.items():
        ages = sorted((dice.uniform(0.0, 60.0) for _ in range(dice.randint(0, minutely))), reverse=True)
        old = range(dice.randint(200, 330) if daily else 0, 0, -1)
        ages = [3600.0 + 10.0 * k for k in old] + ages
        made[name] = [Usage(NOW - timedelta(seconds=age), 1) for age in ages]
    return made


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("before", [{name: [] for name in PLANS}, earlier(1), earlier(2)], ids=["fresh", "used", "used more"])
def test_500_requests_end_within_five_percent_of_the_best_schedule_and_no_quota_is_passed(
    before: dict[str, list[Usage]], at_once: bool
) -> None:
    usage = spread(before, 500, at_once)
    asked = {name: used[len(before[name]) :] for name, used in usage.items()}
    assert sum(map(len, asked.values())) == 500
    end = max((u.at - NOW).total_seconds() for used in asked.values() for u in used)
    best = best_end(before, 500)
    assert best - 0.01 <= end <= 1.05 * best
    for name, (minutely, daily) in PLANS.items():
        times = sorted(u.at for u in usage[name])
        assert all(b - a >= timedelta(seconds=60) for a, b in zip(times, times[minutely:], strict=False))
        assert daily is None or len(times) <= daily
