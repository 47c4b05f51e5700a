"""Drill D16: the machine's clock is set back, put right, or set ahead. By the provider's clock, which is right, nothing ever gets more
than its limit.

Within a run of the machine the ledger knows by how much; what an earlier run has left in the future counts since that was noticed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import VirtualClock
from mdagent.guard.cost import Budget
from mdagent.guard.limits import Denied, Grant, Refusal, Window
from mdagent.market import Priority
from mdagent.store.ledger import Ledger, open_ledger
from mdagent.store.quota import Reservation, Rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

START = datetime(2024, 1, 17, 1, 0, tzinfo=UTC)  # an hour into the day
WHAT = Reservation("bars", "one.example", "run-1", "AAPL", priority=Priority.HIGH)
MINUTE, DAY = (Window(3, 60.0),), (Window(3, "day"),)
SECOND, HOUR = 1.0, 3600.0


class Machine:
    """A ledger, and a clock that is off by so many seconds."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock = path, VirtualClock(START)
        self.ledger: Ledger = open_ledger(path, self.clock)

    def restart(self, seconds: float) -> None:
        """The machine begins another run, and its clock is off by so many seconds from now on."""
        self.ledger.close()
        self.clock = VirtualClock(self.clock.now() + timedelta(seconds=seconds))
        self.ledger = open_ledger(self.path, self.clock)

    def off(self, seconds: float) -> None:
        """Set the wall clock; `off(0)` puts it right."""
        self.clock.set(START + timedelta(seconds=self.clock.monotonic() + seconds))

    def granted(self, windows: Sequence[Window] = MINUTE) -> int:
        """How many more go now."""
        return next(n for n in range(100) if not isinstance(self.ledger.reserve("parrot", windows, what=WHAT), Grant))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "ledger.db")
    yield made
    made.ledger.close()


BACK = pytest.mark.parametrize("back", [1.0, 4.9, 5.1, 30.0, HOUR, 24 * HOUR, 400 * 24 * HOUR, START.timestamp()], ids="{:g} s".format)


@BACK
def test_a_clock_set_back_gives_no_more_in_any_minute(machine: Machine, back: float) -> None:
    assert machine.granted() == 3
    machine.off(-back)
    assert machine.granted() == 0
    machine.clock.pause(61.9)
    assert machine.granted() == 0


@pytest.mark.parametrize("back", [1.0, 4.9, 5.1, 30.0, HOUR, 24 * HOUR])
def test_a_clock_set_back_makes_nobody_wait_longer_than_a_window(machine: Machine, back: float) -> None:
    """Or by 5 s, which are not held to be a step."""
    assert machine.granted() == 3
    machine.off(-back)
    assert machine.granted() == 0
    machine.clock.pause(62.0 + (back if back < 5.0 else 0.0))
    assert machine.granted() == 3


@BACK
def test_and_put_right_again_neither(machine: Machine, back: float) -> None:
    assert machine.granted() == 3
    machine.off(-back)
    assert machine.granted() == 0
    machine.clock.pause(30.0)
    machine.off(0)
    assert machine.granted() == 0
    machine.clock.pause(32.0)
    assert machine.granted() == 3


@pytest.mark.parametrize("back", [1.0, 30.0, 0.9 * HOUR])
def test_a_clock_set_back_within_the_day_gives_no_more_that_day(machine: Machine, back: float) -> None:
    assert machine.granted(DAY) == 3
    machine.off(-back)
    for _ in range(20):
        assert machine.granted(DAY) == 0
        machine.clock.pause(HOUR)


def test_a_clock_set_back_over_midnight_gives_no_more_that_day(machine: Machine) -> None:
    """Set from 01:00 to 23:00 of the day before: an hour later its day begins, in which three have gone already."""
    assert machine.granted(DAY) == 3
    machine.off(-2 * HOUR)
    assert machine.granted(DAY) == 0
    machine.clock.pause(HOUR + 61.0)
    assert machine.granted(DAY) == 0, "it is still the same day, to the provider and by the stamps of the rows"


def test_a_clock_set_back_twice_gives_no_more(machine: Machine) -> None:
    assert machine.granted() == 3
    for seconds in (-HOUR, 0, -30.0):
        machine.off(seconds)
        assert machine.granted() == 0


def test_a_clock_put_right_in_two_steps_gives_no_more(machine: Machine) -> None:
    assert machine.granted() == 3
    for hours in (-2, -1, 0):
        machine.off(hours * HOUR)
        assert machine.granted() == 0


@pytest.mark.parametrize("seconds", [-24 * HOUR, -HOUR, -4.9])
def test_what_was_sent_while_the_clock_was_behind_counts_when_it_is_put_right(machine: Machine, seconds: float) -> None:
    """As on a machine that starts with an old time, and hears the right one later."""
    machine.off(seconds)
    assert machine.granted() == 3
    machine.clock.pause(57.2)
    machine.off(0)
    assert machine.granted() == 0


@pytest.mark.parametrize("windows", [MINUTE, DAY])
def test_a_clock_set_ahead_gives_no_more(machine: Machine, windows: tuple[Window, ...]) -> None:
    assert machine.granted(windows) == 3
    machine.off(24 * HOUR)
    assert machine.granted(windows) == 0


def test_a_block_lasts_as_long_as_the_provider_asked_whatever_the_clock_does(machine: Machine) -> None:
    machine.ledger.block("parrot", 3000.0, "asked to be left alone")
    machine.off(-HOUR)
    assert machine.granted() == 0
    machine.off(0)
    assert machine.granted() == 0


def test_a_place_in_the_queue_is_not_kept_by_the_dead_until_an_old_time_comes_again(machine: Machine) -> None:
    assert machine.granted() == 3
    for _ in range(3):
        assert isinstance(machine.ledger.reserve("parrot", MINUTE, what=replace(WHAT, patience=1e9)), Refusal)
    machine.off(-24 * HOUR)
    machine.clock.pause(2 * HOUR)
    assert machine.granted() == 3


def test_a_block_is_not_waited_for_longer_than_its_length(machine: Machine) -> None:
    machine.ledger.block("parrot", 3000.0, "asked to be left alone")
    machine.off(-24 * HOUR)
    refused = machine.ledger.reserve("parrot", MINUTE, what=WHAT)
    assert isinstance(refused, Refusal)
    assert refused.wait == 3000.0
    machine.clock.pause(3000.0)
    assert machine.granted() == 3


@pytest.mark.parametrize("seconds", [-START.timestamp(), -24 * HOUR, -30.0, 0.0])
@pytest.mark.parametrize("windows", [MINUTE, DAY])
def test_a_machine_that_starts_again_with_an_old_time_gives_no_more_also_when_it_hears_the_right_one(
    machine: Machine, seconds: float, windows: tuple[Window, ...]
) -> None:
    assert machine.granted(windows) == 3
    machine.restart(seconds)
    assert machine.granted(windows) == 0
    machine.clock.pause(30.0)
    machine.clock.set(machine.clock.now() - timedelta(seconds=seconds))
    assert machine.granted(windows) == 0


@pytest.mark.parametrize("seconds", [-START.timestamp(), -24 * HOUR, 0.0])
def test_nobody_waits_longer_than_a_window_for_what_an_earlier_run_has_sent(machine: Machine, seconds: float) -> None:
    assert machine.granted() == 3
    machine.restart(seconds)
    assert machine.granted() == 0
    machine.clock.pause(62.0)
    assert machine.granted() == 3


def test_what_is_only_read_agrees_with_the_clock_too(machine: Machine) -> None:
    """Another process opens the ledger, and takes no decision."""
    machine.ledger.block("parrot", 3000.0, "asked to be left alone")
    machine.off(-HOUR)
    with open_ledger(machine.path, machine.clock) as another:
        block = another.blocked("parrot")
    assert block is not None
    assert block.until == machine.clock.now() + timedelta(seconds=3000.0)


def test_small_steps_are_noticed_together(machine: Machine) -> None:
    """Of a fifth of a second each, which nobody would notice."""
    for n in range(1, 311):
        machine.off(n * 0.2)
        machine.ledger.leave(0)
        if n == 1:
            assert machine.granted() == 3
    assert machine.granted() == 0, "a minute by the clock, and no time at all"


def test_money_that_was_spent_on_a_day_that_was_none_counts_on_both(machine: Machine) -> None:
    rules, paid = Rules(budgets=(Budget(0.05, "day"),)), replace(WHAT, usd=0.05)
    assert isinstance(machine.ledger.reserve("parrot", DAY, what=paid, rules=rules), Grant)
    for hours in (24, 0, -24):
        machine.off(hours * HOUR)
        assert isinstance(machine.ledger.reserve("parrot", DAY, what=paid, rules=rules), Denied)
    machine.off(0)
    machine.clock.pause(24 * HOUR)
    assert isinstance(machine.ledger.reserve("parrot", DAY, what=paid, rules=rules), Grant)
