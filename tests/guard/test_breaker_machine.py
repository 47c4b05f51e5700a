"""The breaker against a second, simpler reading of its table: whatever happens, in any order, both are in the same state.

The model counts in whole seconds, writes outcomes as letters and knows nothing of how the breaker keeps them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mdagent.guard.breaker import LEGAL, Breaker, Go, State, Verdict, ask, dump, explain, force, judged, load, reset, told

EPOCH = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86400
LEASE = 20
KINDS = {  # letter: what is told, but for ms and Retry-After
    "g": Verdict(),
    "f": Verdict(units=1),
    "d": Verdict(units=2, why="double"),
    "t": Verdict(units=3),
    "n": Verdict(counts=False),
    "w": Verdict(units=1, open_now=True),
    "k": Verdict(units=1, force="AUTH"),
    "a": Verdict(units=2, alarm=True),
}
UNITS = {"g": 0, "f": 1, "d": 2, "t": 3, "w": 1, "k": 1, "a": 2}


@dataclass
class Shot:
    at: int
    letters: str  # one a unit of failure; of a success one: g, or s if slow
    rows: int = 0
    bad: int = 0


@dataclass
class Told:
    """One outcome, and what the world is like."""

    kind: str
    ms: int
    retry_after: int | None
    chance: float
    others: int | None


@dataclass
class Model:
    now: int = 0
    state: str = "closed"
    since: int = 0
    generation: int = 0
    n: int = 0
    calm: int = 0
    until: int | None = None
    asked: bool = False
    resort: bool = False
    lease: int | None = None
    probes: str = ""
    shots: list[Shot] = field(default_factory=list)
    typical: int | None = None
    alarms: list[int] = field(default_factory=list)
    by: str = ""

    def become(self, state: str) -> None:
        fresh = Model(self.now, state, self.now, self.generation + 1, self.n, self.now)
        fresh.shots, fresh.typical, fresh.alarms = self.shots, self.typical, self.alarms
        self.__dict__.update(fresh.__dict__)

    def wait(self, chance: float) -> int:
        return round(min(30.0 * 2.0 ** (self.n - 1), 1800.0) * chance)

    def shut(self, said: Told) -> None:
        resort, before, asked = self.resort, self.until, self.asked
        self.become("open")
        self.n += 0 if resort else 1
        wait = self.wait(said.chance) * (4 if said.kind == "w" else 1)
        wish = min(said.retry_after or 0, DAY)
        self.until, self.asked = self.now + max(wait, wish), wish > wait
        if resort and before is not None:
            pressing = said.kind == "w" or self.asked
            if before > self.until or (before > self.now and not pressing):
                self.until, self.asked = before, asked

    def held(self) -> bool:
        return self.lease is not None and 0 < self.lease - self.now <= 10 * MINUTE

    def ask(self, chance: float, *, last_resort: bool) -> tuple[str, int | None]:
        if self.state in ("closed", "degraded"):
            return "go", None
        if self.state == "forced open":
            return "no", None
        if self.until is not None:
            self.mistrust(self.until, chance)
            if self.now < self.until and not last_resort:
                return "no", self.until
        if self.state == "half-open" and self.held():
            return "no", self.lease
        early = self.until is not None and self.now < self.until
        until, asked = self.until, self.asked
        if self.state == "open":
            self.become("half-open")
        self.resort, self.until, self.asked = early, until if early else None, asked and early
        self.lease = self.now + LEASE
        return "probe", None

    def mistrust(self, until: int, chance: float) -> None:
        believed = DAY if self.asked else max(36 * MINUTE, min(until - self.since, 144 * MINUTE))
        if until - self.now > believed:
            self.until, self.asked, self.since = self.now + self.wait(chance), False, min(self.since, self.now)

    def told(self, said: Told, generation: int) -> None:
        if generation != self.generation or self.state == "forced open":
            return
        if said.kind == "a":
            self.alarms = [*(a for a in self.alarms if -HOUR <= self.now - a <= HOUR), self.now][-3:]
        if said.kind == "k" or (said.kind == "a" and len(self.alarms) == 3):
            self.become("forced open")
            self.by = "AUTH" if said.kind == "k" else "SECURITY"
        elif self.state == "half-open":
            self.tested(said)
        elif self.state != "open" and said.kind != "n":
            self.counted(said)

    def slow(self, said: Told) -> bool:
        return said.ms > (15000 if self.typical is None else min(max(1000, 4 * self.typical), 15000))

    def tested(self, said: Told) -> None:
        if UNITS.get(said.kind):
            self.shut(said)
            return
        good, self.lease = self.held() and said.kind == "g", None
        if not good:
            return
        self.probes += "s" if self.slow(said) else "g"
        self.resort, self.until, self.asked = False, None, False
        if len(self.probes) == 3:
            self.become("degraded" if "s" in self.probes else "closed")
            self.shots = []

    def counted(self, said: Told) -> None:
        if self.state == "closed" and self.n:
            self.calm = min(self.calm, self.now)
            while self.n and self.now - self.calm >= 10 * MINUTE:
                self.n, self.calm = self.n - 1, self.calm + 10 * MINUTE
            self.calm += (self.now - self.calm) // (10 * MINUTE) * 10 * MINUTE
            self.calm = self.now if UNITS[said.kind] else self.calm
        self.since = min(self.since, self.now)
        self.shots.append(Shot(self.now, "f" * UNITS[said.kind] or ("s" if self.slow(said) else "g")))
        self.shots = self.fresh()[-20:]
        letters = "".join(s.letters for s in self.shots)
        threshold = {None: Fraction(1, 2), 0: Fraction(7, 10), 1: Fraction(1, 2)}.get(said.others, Fraction(3, 10))
        if said.kind == "w" or letters.endswith("fff") or (len(letters) >= 5 and letters.count("f") >= threshold * len(letters)):
            self.shut(said)
        else:
            self.regraded()

    def fresh(self) -> list[Shot]:
        failing = len("".join("f" if s.letters[0] == "f" else "." for s in self.shots).rpartition(".")[2])
        row = len(self.shots) - failing
        return [s for n, s in enumerate(self.shots) if -300 <= self.now - s.at <= (300 if n < row else 3600)]

    def regraded(self) -> None:
        if self.state == "closed" and self.over(self.shots, 20, 50, 5):
            self.become("degraded")
        elif self.state == "degraded" and self.now - self.since >= MINUTE:
            last = self.shots[-10:]
            if sum(len(s.letters) for s in last) >= 5 and not self.over(last, 10, 30, 1):
                self.become("closed")
                self.shots = last

    def over(self, shots: list[Shot], *percent: int) -> bool:
        letters = "".join(s.letters for s in shots)
        parts = [
            (letters.count("f"), len(letters)),
            (letters.count("s"), len(letters)),
            (sum(s.bad for s in shots), sum(s.rows for s in shots)),
        ]
        return len(letters) >= 5 and any(whole and 100 * part >= p * whole for (part, whole), p in zip(parts, percent, strict=True))

    def judged(self, rows: int, bad: int) -> None:
        if self.state in ("closed", "degraded") and self.fresh():
            self.shots = self.fresh()
            self.shots[-1].rows += rows
            self.shots[-1].bad += bad
            self.regraded()

    def reset(self) -> None:
        if self.state in ("closed", "degraded"):
            if self.state == "degraded":
                self.become("closed")
            self.shots, self.n, self.alarms = [], 0, []
        elif self.state != "half-open":
            self.become("half-open")
            self.n, self.alarms = 1, []


class Chance:
    def __init__(self, number: float) -> None:
        self.number = number

    def uniform(self, a: float, b: float) -> float:
        assert a <= self.number <= b
        return self.number


def seconds(instant: datetime | None) -> int | None:
    if instant is None:
        return None
    assert (instant - EPOCH) % timedelta(seconds=1) == timedelta(0)
    return (instant - EPOCH) // timedelta(seconds=1)


SEEN: Counter[tuple[State, State]] = Counter()
chances = st.sampled_from([0.8, 1.0, 1.2])
forth = st.sampled_from([0, 1, 1, 5, 10, 20, 24, 30, 36, 59, 60, 61, 120, 299, 300, 301, 600, 1800, 2160, HOUR, DAY])
sayings = st.builds(
    Told,
    kind=st.sampled_from("ggggggggggggffffdtnnwwka"),
    ms=st.sampled_from([100, 100, 100, 1000, 1001, 1500, 15000, 15001]),
    retry_after=st.sampled_from([None, None, None, 10, 100, 5000, 10**6]),
    chance=chances,
    others=st.sampled_from([None, 0, 1, 2, 5]),
)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.b = Breaker(EPOCH)
        self.model = Model()
        self.begun: list[int] = []

    @property
    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.model.now)

    def set(self, after: Breaker) -> None:
        if (before := self.b.state) is not after.state:
            SEEN[before, after.state] += 1
        grown = after.generation - self.b.generation
        assert grown == (after.state is not before)
        self.b = load(dump(after))
        assert self.b == after

    def tell(self, said: Told, generation: int) -> None:
        v = replace(KINDS[said.kind], ms=float(said.ms), retry_after=None if said.retry_after is None else float(said.retry_after))
        self.model.told(said, generation)
        self.set(told(self.b, v, generation, self.now, Chance(said.chance), alternates=said.others))

    @rule(passed=forth)
    def time_passes(self, passed: int) -> None:
        self.model.now += passed

    @rule(back=st.sampled_from([1, 10, 299, 301, 2000, HOUR, DAY]))
    def the_clock_is_set_back(self, back: int) -> None:
        self.model.now -= back

    @rule(chance=chances, last_resort=st.sampled_from([False, False, True]))
    def a_request_asks(self, chance: float, last_resort: bool) -> None:
        after, answer = ask(self.b, self.now, holder="one", lease=float(LEASE), dice=Chance(chance), last_resort=last_resort)
        expected, until = self.model.ask(chance, last_resort=last_resort)
        self.set(after)
        if isinstance(answer, Go):
            assert expected == ("probe" if answer.probe else "go")
            self.begun.append(self.b.generation)
        else:
            assert (expected, until) == ("no", seconds(answer.until))

    @rule(chance=chances, said=sayings, passed=st.sampled_from([0, 1, 5, 30]), times=st.integers(1, 6))
    def requests_go_by(self, chance: float, said: Told, passed: int, times: int) -> None:
        for _ in range(times):
            self.a_request_asks(chance, last_resort=False)
            self.model.now += passed
            if self.begun:
                self.tell(said, self.begun.pop())
            self.both_are_in_the_same_state()

    @rule(which=st.integers(0, 10), said=sayings)
    def an_attempt_ends(self, which: int, said: Told) -> None:
        if self.begun:
            self.tell(said, self.begun.pop(which % len(self.begun)))

    @rule(said=sayings)
    def an_answer_turns_out_to_be_something_else(self, said: Told) -> None:
        self.tell(said, self.b.generation)

    @rule()
    def all_who_ask_are_killed(self) -> None:
        self.begun.clear()

    @rule(rows=st.sampled_from([0, 1, 100]), bad=st.integers(0, 8))
    def rows_are_judged(self, rows: int, bad: int) -> None:
        self.model.judged(rows, min(rows, bad))
        self.set(judged(self.b, rows, min(rows, bad), self.now))

    @rule()
    def the_operator_forces_it(self) -> None:
        if self.model.state != "forced open":
            self.model.become("forced open")
        self.model.by = "operator"
        self.set(force(self.b, "operator", "maintenance", self.now))

    @rule()
    def the_operator_resets_it(self) -> None:
        self.model.reset()
        self.set(reset(self.b, self.now))

    @rule(typical=st.sampled_from([100, 300, 9000]))
    def the_typical_time_is_known(self, typical: int) -> None:
        if self.model.state == "closed":
            self.model.typical = typical
            self.b = replace(self.b, typical=float(typical))

    @invariant()
    def both_are_in_the_same_state(self) -> None:
        b, m = self.b, self.model
        assert (b.state, b.generation, b.trips, seconds(b.since)) == (m.state, m.generation, m.n, m.since)
        assert (seconds(b.until), b.asked, b.by) == (m.until, m.asked, m.by)
        assert (b.good, b.slow, seconds(b.lease.until if b.lease else None)) == (len(m.probes), m.probes.count("s"), m.lease)
        shots: list[Any] = [(s.at, s.letters.count("f"), s.letters == "s", s.rows, s.bad) for s in m.shots]
        assert [(seconds(o.at), o.failed, o.slow, o.rows, o.bad) for o in b.window] == shots
        assert [seconds(a) for a in b.alarms] == m.alarms

    @invariant()
    def it_keeps_within_its_bounds_and_can_say_so(self) -> None:
        b = self.b
        assert len(b.window) <= 20
        assert (b.until is None) <= (b.state is not State.OPEN)
        assert (b.lease is None) or b.state is State.HALF_OPEN
        assert explain(b, self.now)[0].startswith(b.state.value)


def run(examples: int, *, same: bool) -> set[tuple[State, State]]:
    """The changes of state that were seen."""
    SEEN.clear()
    bounds = settings(
        max_examples=examples,
        stateful_step_count=50,
        derandomize=same,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=bounds)
    return set(SEEN)


def test_no_order_of_events_tells_the_breaker_from_its_model() -> None:
    assert run(60, same=True) <= LEGAL


@pytest.mark.drill(number="D25")
def test_no_order_of_events_in_two_thousand_times_fifty_tells_the_breaker_from_its_model() -> None:
    assert run(2000, same=False) == LEGAL
