"""A real backfill that is killed again and again while a TCP proxy delays, slices and resets what comes from its provider."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mdagent.clock import SystemClock
from mdagent.wire.faults import Fault, Plan
from mdagent.wire.toxics import RunningProxies
from tests.processes.loopback import Market, open_market, universe
from tests.processes.tables import TABLES, tables
from tests.processes.test_backfill import WINDOW, finished, killed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.processes.program import Program

HOURS = 7200.0
TOXICS = (
    Fault("toxic_latency", ("yahoo",), 0.0, HOURS, 1.0, {"delay": 0.05, "jitter": 0.04}),
    Fault("toxic_slicer", ("yahoo",), 0.0, HOURS, 0.7, {"size": 600, "pause": 0.002}),
    Fault("toxic_reset", ("yahoo",), 0.0, HOURS, 0.15, {"after": 0.02}),
)


@contextmanager
def spoilt(market: Market, seed: int) -> Iterator[Plan]:
    """Machines that begin meanwhile reach their provider through the proxy alone."""
    straight, clock = market.address, SystemClock()
    plan = Plan(TOXICS, clock, random.Random(seed), clock.monotonic())
    with RunningProxies({"yahoo": straight}, plan) as proxies:
        market.address = proxies.base_urls["yahoo"]
        try:
            yield plan
        finally:
            market.address = straight


class Outcome(NamedTuple):
    """What came of one machine: its kills, the runs that it took afterwards until all was there, and its bars."""

    kills: int
    runs: int
    bars: int

    def __str__(self) -> str:
        return f"{self.kills} kills, {self.runs} runs to the end, {self.bars} bars, the same as undisturbed"


def run_on(program: Program) -> int:
    """Until nothing is missing; so many runs it took."""
    for runs in range(1, 6):
        code, err = finished(program.start("backfill", "@symbols.txt", *WINDOW))
        if code == 0:
            return runs
    raise AssertionError(err)


def drill(market: Market, wanted: Path, count: int, kills: int, dice: random.Random) -> Outcome:
    """One backfill, killed until it is done or so often; run on, it ends with the tables of the undisturbed one in `wanted`. Whom the
    resets have cost all tries is asked for again by the same command."""
    program, died = market.machine(), 0
    (program.home / "symbols.txt").write_text("\n".join(universe(count)))
    while died < kills and not (program.store.exists() and len(tables(program.store)["bars"]) == count * 21):
        died += killed(market, program, dice)
    runs = run_on(program)
    found, expected = tables(program.store), tables(wanted)
    assert {name: found[name] == expected[name] for name in TABLES} == dict.fromkeys(TABLES, True)
    return Outcome(died, runs, len(found["bars"]))


@pytest.mark.drill(number="D1")
@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(10**6)])
def test_killed_twenty_times_under_toxics_a_backfill_ends_with_the_right_bars(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes, dice, count = list[Outcome](), random.Random(seed), 60
    with open_market(tmp_path) as market:
        calm = market.machine()
        assert calm.run("backfill", *universe(count), *WINDOW).returncode == 0
        with spoilt(market, seed) as plan:
            while (left := 20 - sum(one.kills for one in outcomes)) > 0:  # a run that is done cannot be killed, so another machine begins
                outcomes.append(drill(market, calm.store, count, left, dice))
        struck = Counter(event.kind for event in plan.events)
        again = market.seen().total() - count * (1 + len(outcomes))
    allowed = 2 * sum(one.kills for one in outcomes) + struck["toxic_reset"]  # what was under way at a kill, and what was reset
    assert 0 <= again <= allowed, f"seed {seed}"
    assert set(struck) == {fault.kind for fault in TOXICS}, "a toxic that never struck proves nothing"
    assert {one.bars for one in outcomes} == {count * 21}
    with capsys.disabled():
        print(f"\nseed {seed}: connections spoilt: {dict(struck)}")  # noqa: T201  a drill's figures are its result
        print(f"{again} requests sent again, at most {allowed} allowed\n{chr(10).join(map(str, outcomes))}")  # noqa: T201
