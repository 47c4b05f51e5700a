"""Providers that fail as a function of the time, on a virtual clock: what is sent, how soon it ends, and what the breakers make of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest

from mdagent.guard.breaker import State
from mdagent.guard.limits import Window
from mdagent.guard.outcome import Failure, FailureKind
from mdagent.store.quota import Rules
from mdagent.store.recall import breakers_of, factor_of
from tests.work.played import says
from tests.work.weather import refused, sky, town, unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mdagent.work.gate import Gate
    from tests.work.played import Played
    from tests.work.weather import Called, Sky, Town


K = FailureKind


def broken() -> Played:
    """A server that fails."""
    return says("no", 500)


def silent() -> Played:
    """A server that takes the request and never answers."""
    return 3600.0


# All down, then up


DOWN, UNTIL = 60.0, 80.0
FAULTS = {"refused": refused, "broken": broken, "silent": silent}


@dataclass
class Outage:
    """Three processes that ask three sources, all of them down for the first minute."""

    town: Town
    calls: Sequence[Called]

    @property
    def failed(self) -> list[Called]:
        return [call for call in self.calls if call.line.failure]


@pytest.fixture(scope="module", params=FAULTS)
def outage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    fault = FAULTS[request.param]
    with town(tmp_path_factory.mktemp("outage"), lambda t: fault() if t < DOWN else says()) as place:
        yield Outage(place, place.live(processes=3, every=2.0, until=UNTIL))


def test_when_all_sources_are_down_each_call_ends_within_eleven_seconds(outage: Outage) -> None:
    longest = max(outage.calls, key=lambda call: call.ended - call.began)
    assert longest.ended - longest.began <= 11.0, longest


def test_a_call_that_nobody_served_says_of_each_source_why(outage: Outage) -> None:
    assert outage.failed
    for call in outage.failed:
        assert {told.source for told in call.line.considered} == {"one", "two", "three"}
        assert all(told.reasons and not told.chosen for told in call.line.considered)


def test_the_first_success_comes_within_fifteen_seconds_of_the_return(outage: Outage) -> None:
    served = [call.ended for call in outage.calls if not call.line.failure]
    assert served
    assert DOWN <= min(served) <= DOWN + 15.0


def test_no_source_ever_has_two_probes_in_flight(outage: Outage) -> None:
    assert outage.town.crowd == 1


def test_while_all_are_down_next_to_nothing_is_sent(outage: Outage) -> None:
    """What opens the breakers (three failures of each, and those that were in flight), one probe of each after its wait, and one of the
    last resort in ten seconds."""
    opening, waits, resorts = 3 * (3 + 2), 3 * 1, int(DOWN / 10)
    assert sum(at < DOWN for at, _ in outage.town.sent) <= opening + waits + resorts


@pytest.mark.parametrize(("status", "words"), [(401, "bad key"), (402, "not in your plan"), (404, "unknown symbol")])
def test_a_source_that_could_not_serve_anyway_does_not_keep_the_others_from_the_last_resort(
    tmp_path: Path, status: int, words: str
) -> None:
    """Its key is refused, its plan lacks the bars, or it does not know the symbol: it is no alternate."""
    with town(tmp_path, lambda t: broken() if t < DOWN else says()) as place:
        place.apart["three"] = lambda: says(words, status)
        calls = place.live(processes=2, every=2.0, until=UNTIL)
    served = [call.ended for call in calls if not call.line.failure]
    assert served
    assert min(served) <= DOWN + 15.0


def test_a_source_that_is_silent_leaves_the_others_time_to_answer(tmp_path: Path) -> None:
    """Before any breaker knows of it."""
    with town(tmp_path, lambda _: says()) as place:
        place.apart["one"] = silent
        (called, *_) = place.live(processes=1, every=60.0, until=1.0)
    assert called.line.failure is None
    assert called.ended - called.began <= 10.0


def test_who_asks_for_a_price_waits_no_longer_than_one_call_may_take_however_many_are_silent(tmp_path: Path) -> None:
    with town(tmp_path, lambda _: silent()) as place:
        ((ended, came), *_) = place.quoting(every=60.0, until=1.0)
    assert isinstance(came, Failure)
    assert ended <= 11.0


def test_prices_too_come_again_within_fifteen_seconds(tmp_path: Path) -> None:
    with town(tmp_path, lambda t: broken() if t < DOWN else says()) as place:
        answers = place.quoting(every=2.0, until=UNTIL)
    served = [at for at, came in answers if not isinstance(came, Failure)]
    assert served
    assert DOWN <= min(served) <= DOWN + 15.0


# The network itself


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("before", [0.0, 5.0], ids=["at the start", "after a while of work"])
def test_a_network_that_is_down_is_said_within_three_seconds_and_moves_no_breaker(tmp_path: Path, processes: int, before: float) -> None:
    with town(tmp_path, lambda t: says() if t < before else unreachable(), latency=0.0) as place:
        calls = place.live(processes, every=1.0, until=before + 12.0)
        cut = [call for call in calls if call.began >= before]
        assert [call.line.failure.kind for call in cut if call.line.failure] == [K.NETWORK_DOWN] * len(cut)
        assert max(call.ended - call.began for call in cut) <= 3.0
        assert place.breakers() == {"one": {}, "two": {}, "three": {}}


def test_a_network_that_is_down_is_said_each_time_however_rarely_it_is_tried(tmp_path: Path) -> None:
    with town(tmp_path, lambda _: unreachable(), latency=0.0) as place:
        calls = place.live(1, every=60.0, until=200.0)
        assert [call.line.failure.kind for call in calls if call.line.failure] == [K.NETWORK_DOWN] * 4
        assert place.breakers() == {"one": {}, "two": {}, "three": {}}


def test_who_asks_for_a_price_is_told_that_it_is_the_network(tmp_path: Path) -> None:
    with town(tmp_path, lambda _: unreachable(), latency=0.0) as place:
        answers = place.quoting(every=60.0, until=130.0)
        assert [came.kind for _, came in answers if isinstance(came, Failure)] == [K.NETWORK_DOWN] * 3
        assert place.breakers() == {"one": {}, "two": {}, "three": {}}


# Up and down


@dataclass
class Diary:
    """What a breaker went through: its state at each change, and how long each wait was."""

    states: list[State] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    changes: int = 0

    def look(self, some: Sky) -> None:
        b = some.breaker()
        if b is None or b.generation == self.changes:
            return
        self.changes = b.generation
        self.states.append(b.state)
        if b.state is State.OPEN and b.until is not None:
            self.waits.append((b.until - b.since).total_seconds())


@pytest.mark.parametrize("every", [0.1, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_source_that_flaps_for_ten_minutes_changes_state_fifteen_times_at_most_and_rests_ever_longer(
    tmp_path: Path, every: float, seed: int
) -> None:
    diary = Diary()

    async def calling(some: Sky) -> None:
        gate = some.gate()
        while some.clock.monotonic() < 600.0:
            await some.once(gate)
            diary.look(some)
            await some.clock.sleep(every)

    with sky(tmp_path, lambda t: says() if t % 10.0 < 5.0 else broken(), seed) as some:
        some.run(calling(some))
    assert diary.changes <= 15
    assert len(diary.waits) >= 3
    assert all(later > before for before, later in pairwise(diary.waits)), diary.waits


# Too many requests


# What a provider may write into Retry-After: seconds, and what are none.
ODD = ("0", "1", "3", "0003", "  7 ", "Wed, 17 Jan 2024 12:01:00 GMT", "-5", "2.5", "1e9", "soon", "", "99999999999999999999", None)
TEN = Window(10, 10.0)  # our own count takes two seconds more for a window
FROM, TO = 30.0, 150.0


@dataclass
class Storm:
    """A provider that refuses four of five requests for two minutes. `told`: when each answer came, and whether it was a refusal."""

    dice: Random
    told: list[tuple[float, bool]] = field(default_factory=list)
    during_a_block: list[float] = field(default_factory=list)
    factors: list[tuple[float, float]] = field(default_factory=list)

    def weather(self, t: float) -> Played:
        refuses = FROM <= t < TO and self.dice.random() < 0.8
        self.told.append((t, refuses))
        if not refuses:
            return says()
        value = self.dice.choice(ODD)
        return says("slow down", 429) if value is None else says("slow down", 429, retry_after=value)

    @property
    def requests(self) -> int:
        return len(self.told)

    @property
    def ideal(self) -> int:
        """One request for each answer that was given, and one refusal for each time that the provider began to refuse: who is told so
        waits until the end of the block, and then asks again. Refusals less than a second apart, which is the shortest block, are of
        requests that were in flight together."""
        refusals = [t for t, refused in self.told if refused]
        begun = sum(later - before >= 1.0 for before, later in pairwise([-1.0, *refusals]))
        return sum(not refused for _, refused in self.told) + begun


@pytest.fixture(scope="module", params=[(1, 1), (4, 2), (8, 4)], ids="{0[0]} at once, {0[1]} in flight".format)
def storm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Storm, Sky]]:
    """As many requests as the quota allows, all the time, for ten minutes."""
    (workers, concurrency), made = request.param, Storm(Random(11))

    async def asking(some: Sky, gate: Gate) -> None:
        while some.clock.monotonic() < 600.0:
            await some.once(gate, deadline=15.0, patience=600.0)
            made.factors.append((some.clock.monotonic(), factor_of(some.ledger, "parrot")))
            await some.clock.sleep(0.01)  # were it refused at once, time would stand still

    async def all_of_them(some: Sky) -> None:
        gate = some.gate()
        await asyncio.gather(*(asking(some, gate) for _ in range(workers)))

    def look(some: Sky) -> None:
        block = some.ledger.blocked("parrot")
        if block and block.until > some.clock.now():
            made.during_a_block.append(some.clock.monotonic())

    more = {"windows": (TEN,), "concurrency": concurrency, "cooldown": 2.0}
    with sky(tmp_path_factory.mktemp("storm"), made.weather, **more) as some:
        some.watch = lambda: look(some)
        some.run(all_of_them(some))
        yield made, some


def test_nothing_is_sent_while_the_provider_wants_to_be_left_alone(storm: tuple[Storm, Sky]) -> None:
    assert sum(refused for _, refused in storm[0].told) >= 5, "it was a storm"
    assert storm[0].during_a_block == []


def test_a_storm_of_refusals_makes_a_tenth_more_requests_at_most(storm: tuple[Storm, Sky]) -> None:
    assert storm[0].requests <= 1.1 * storm[0].ideal


def test_refusals_for_the_quota_move_no_breaker(storm: tuple[Storm, Sky]) -> None:
    assert breakers_of(storm[1].ledger, "parrot") == {}


def test_the_pace_is_that_of_the_plan_again_after_twenty_windows_of_full_use(storm: tuple[Storm, Sky]) -> None:
    told, factors = storm[0].told, storm[0].factors
    assert min(factor for _, factor in factors) <= 0.25
    resumed = min(t for t, refused in told if t >= TO and not refused)
    recovered = min(t for t, factor in factors if t >= TO and factor == 1.0)
    assert recovered - resumed <= 20 * 12.0


def test_refusals_of_requests_in_flight_together_are_one_strike(tmp_path: Path) -> None:
    """A provider that names no time is left alone for the cool-down of its sheet; for longer only when it refuses again after that."""

    async def asking(some: Sky) -> None:
        gate = some.gate()
        for count in (1, 1, 4):  # the last four together
            await asyncio.gather(*(some.once(gate) for _ in range(count)))
            await some.clock.sleep(1.0)

    with sky(tmp_path, lambda t: says() if t < 2.0 else says("slow down", 429), concurrency=4) as some:
        some.run(asking(some))
        block = some.ledger.blocked("parrot")
        assert block is not None
        assert (block.until - block.since).total_seconds() <= 1.1 * some.cooldown


# Half of the answers


def half(seed: int) -> Callable[[float], Played]:
    dice = Random(seed)
    return lambda _: broken() if dice.random() < 0.5 else says()


def calls_of(some: Sky, every: float, seconds: float = 300.0) -> int:
    """One call after another; how many there were."""

    async def calling() -> int:
        gate, count = some.gate(), 0
        while some.clock.monotonic() < seconds:
            await some.once(gate)
            count += 1
            await some.clock.sleep(every)
        return count

    return some.run(calling())


@pytest.mark.parametrize("every", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_half_of_the_answers_failing_makes_a_quarter_more_attempts_than_calls_at_most(tmp_path: Path, every: float, seed: int) -> None:
    with sky(tmp_path, half(seed), seed) as some:
        calls = calls_of(some, every)
        assert len(some.sent) <= 1.25 * calls


@pytest.mark.parametrize("every", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_more_is_retried_than_the_budget_where_no_breaker_helps(tmp_path: Path, every: float, seed: int) -> None:
    """A fifth of all requests may be retries, which makes a quarter more than there are calls; and three on top."""
    with sky(tmp_path, half(seed), seed, rules=Rules(observe_only=True)) as some:
        calls = calls_of(some, every)
        assert calls > 40
        assert len(some.sent) <= 1.25 * (calls + 3) + 1
