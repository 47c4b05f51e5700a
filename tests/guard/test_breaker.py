"""The circuit breaker: may a request go, and what its outcome changes. The rows are those of the table at the head of the module."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.breaker import (
    LEGAL,
    Breaker,
    Go,
    Illegal,
    Lease,
    No,
    Outcome,
    State,
    Verdict,
    _moved,
    ask,
    dump,
    explain,
    force,
    forgive,
    judged,
    load,
    reset,
    slow_limit,
    told,
    verdicts,
)
from mdagent.guard.outcome import CONSEQUENCES, Blame, Failure, FailureKind

# long because: one table is specified here, row by row

NOW = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
CLOSED, DEGRADED, OPEN, HALF_OPEN, FORCED_OPEN = State
MARKS = {
    ".": Verdict(ms=100.0),
    "s": Verdict(ms=20000.0),  # slow
    "F": Verdict(units=1, ms=100.0, why="HTTP 500"),
    "D": Verdict(units=2, why="a foreign certificate"),
    "W": Verdict(units=1, open_now=True, why="a wall"),
    "A": Verdict(units=1, force="AUTH", why="HTTP 401"),
    "!": Verdict(units=2, alarm=True, why="a redirect to 10.0.0.1"),
    "-": Verdict(counts=False),
}


class Always:
    """Dice that always fall on one number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def uniform(self, a: float, b: float) -> float:
        assert a <= self.number <= b
        return self.number


EVEN = Always(1.0)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def run(b: Breaker, marks: str, start: float = 0.0, gap: float = 1.0, alternates: int | None = None) -> Breaker:
    """After one outcome a `gap`, each of an attempt that began in the state it ends in."""
    for n, mark in enumerate(marks):
        b = told(b, MARKS[mark], b.generation, at(start + n * gap), EVEN, alternates=alternates)
    return b


def asked(b: Breaker, seconds: float, holder: str = "one", *, last_resort: bool = False) -> tuple[Breaker, Go | No]:
    return ask(b, at(seconds), holder=holder, lease=20.0, dice=EVEN, last_resort=last_resort)


def probe(b: Breaker, mark: str, seconds: float, *, last_resort: bool = False) -> Breaker:
    """After one probe, which was granted."""
    b, answer = asked(b, seconds, last_resort=last_resort)
    assert answer == Go(probe=True)
    return run(b, mark, seconds)


NEW = Breaker(NOW)
OPENED = run(NEW, "FFF", -2.0)  # until 30 s from NOW
TESTED = asked(OPENED, 30.0)[0]


# Closed and degraded: rows 1, 2, 3 and 11


@pytest.mark.parametrize(
    ("marks", "state"),
    [
        (".....", CLOSED),
        (".....F", CLOSED),  # 17 %
        ("....F", DEGRADED),  # exactly 20 %
        ("...F", CLOSED),  # 25 %, but of four
        ("...ss.", CLOSED),
        ("...sss", DEGRADED),  # exactly 50 %
        ("ssss", CLOSED),  # all of four
        ("D..", CLOSED),  # two of four: a double is two outcomes
        ("D...", DEGRADED),  # two of five
    ],
)
def test_row_1_a_fifth_of_failures_or_half_of_slow_answers_degrades(marks: str, state: State) -> None:
    b = run(NEW, marks)
    assert b.state is state
    assert b.generation == (state is not CLOSED)


@pytest.mark.parametrize(("bad", "state"), [(50, DEGRADED), (49, CLOSED)])
def test_row_1_a_twentieth_of_bad_rows_degrades(bad: int, state: State) -> None:
    b = judged(run(NEW, "....."), 1000, bad, at(5.0))
    assert (b.state, b.window[-1].rows, b.window[-1].bad) == (state, 1000, bad)
    assert judged(run(NEW, "...."), 1000, bad, at(5.0)).state is CLOSED  # four outcomes are no rate


def test_rows_are_added_to_the_newest_outcome_if_there_is_one() -> None:
    b = judged(judged(run(NEW, ".."), 10, 1, at(2.0)), 5, 0, at(2.0))
    assert [(o.rows, o.bad) for o in b.window] == [(0, 0), (15, 1)]
    assert judged(NEW, 10, 10, NOW) == NEW
    assert judged(run(NEW, "."), 10, 10, at(301.0)).window == run(NEW, ".").window
    assert judged(TESTED, 10, 10, at(31.0)) == TESTED


@pytest.mark.parametrize(
    ("marks", "state"),
    [
        ("FF", CLOSED),
        ("FFF", OPEN),  # whatever the rate
        (".................FFF", OPEN),
        ("FF.FF", OPEN),  # 80 %
        ("DF", OPEN),  # a double is two in a row
        ("D", CLOSED),
        ("DD", OPEN),
        (".F.F.F", OPEN),  # exactly 50 %
        (".F.F..", DEGRADED),  # 33 %
        ("FF.F", CLOSED),  # 75 %, but of four
        ("FF.F.", OPEN),  # the fifth outcome makes it a rate: 60 %
        ("W", OPEN),
    ],
)
def test_row_2_three_failures_in_a_row_or_half_of_all_or_a_wall_opens(marks: str, state: State) -> None:
    b = run(NEW, marks)
    assert b.state is state
    assert b.trips == (state is OPEN)


@pytest.mark.parametrize(
    ("marks", "opens_with"),
    [("...F.F", {2, 3, 9}), (".F.F.F", {None, 1, 2, 3, 9}), ("F.FF.", {None, 1, 2, 3, 9}), ("F.FF.FF", {None, 0, 1, 2, 3, 9})],
)
def test_row_2_opens_sooner_where_others_can_serve_and_later_where_none_can(marks: str, opens_with: set[int | None]) -> None:
    counts = [None, 0, 1, 2, 3, 9]
    assert {n for n in counts if run(NEW, marks, alternates=n).state is OPEN} == opens_with


def test_only_the_last_twenty_outcomes_of_300_seconds_count() -> None:
    assert len(run(NEW, "." * 30).window) == 20
    two = run(NEW, "FF")  # at 0 s and 1 s
    assert len(run(two, ".", 300.0).window) == 3  # exactly 300 s old still counts
    assert len(run(two, ".", 300.001).window) == 2


def test_failures_in_a_row_are_those_of_an_hour() -> None:
    assert run(NEW, "FFF", gap=1800.0).state is OPEN
    assert run(NEW, "FFF", gap=1800.001).state is CLOSED
    assert run(NEW, "FF.F", gap=600.0).state is CLOSED
    assert len(run(NEW, ".FF", gap=600.0).window) == 2


def test_what_the_clock_was_set_back_over_does_not_count() -> None:
    assert len(run(run(NEW, "FF"), "F", -3600.0).window) == 1
    assert run(run(NEW, "FF"), "F", -3.0).state is OPEN  # some ms or s apart: two processes, one clock


SOUND = ".........."


@pytest.mark.parametrize(
    ("marks", "start", "state"),
    [
        (SOUND, 51.0, CLOSED),  # the last at 60 s
        (SOUND, 50.9, DEGRADED),
        ("F.........", 51.0, DEGRADED),  # one of ten is not below 10 %
        ("ss........", 51.0, CLOSED),
        ("sss.......", 51.0, DEGRADED),  # exactly 30 %
    ],
)
def test_row_3_a_minute_and_ten_sound_outcomes_close(marks: str, start: float, state: State) -> None:
    degraded = run(NEW, "....F", -4.0)
    assert run(degraded, marks, start).state is state


@pytest.mark.parametrize(("bad", "state"), [(10, DEGRADED), (9, CLOSED)])
def test_row_3_no_hundredth_of_the_rows_may_be_bad(bad: int, state: State) -> None:
    degraded = judged(run(run(NEW, "....F", -4.0), SOUND, 50.0), 990, bad, at(59.5))
    assert degraded.state is DEGRADED
    assert judged(degraded, 10, 0, at(60.0)).state is state


def test_row_3_a_quiet_source_closes_by_what_there_is_but_not_by_less_than_five() -> None:
    degraded = run(NEW, "....F", -4.0)
    assert run(degraded, "....", 400.0).state is DEGRADED
    assert run(degraded, ".....", 400.0).state is CLOSED


def test_row_3_the_failures_before_those_ten_are_forgotten() -> None:
    b = run(run(NEW, "....F", -4.0), "..........", 51.0)
    assert b.state is CLOSED
    assert len(b.window) == 10
    assert run(b, ".", 61.0).state is CLOSED


def test_row_3_counts_its_minute_anew_where_the_clock_was_set_back() -> None:
    degraded = run(NEW, "....F", -4.0)
    assert run(degraded, SOUND, -3600.0, 6.6).state is DEGRADED  # 59.4 s
    assert run(degraded, SOUND, -3600.0, 6.7).state is CLOSED


def test_row_11_every_ten_minutes_without_a_failure_n_falls_by_one() -> None:
    b = replace(NEW, trips=2, calm_since=NOW)
    assert run(b, ".", 599.0).trips == 2
    assert run(b, ".", 600.0).trips == 1
    assert run(b, ".", 36000.0).trips == 0
    assert run(b, "...", 0.0, 300.0).trips == 1
    assert run(b, "F..", 300.0, 299.0).trips == 2  # calm since 300 s, not since 0 s
    assert run(b, "F", 1200.0).trips == 0  # it was calm until then
    assert run(b, "s", 600.0).trips == 1  # slowness is no failure
    assert run(b, "..", -3600.0, 600.0).trips == 1  # the clock was set back: from then on


def test_row_11_counts_from_the_close() -> None:
    b = OPENED
    for n in range(3):
        b = probe(b, ".", 30.0 + n)
    assert (b.state, b.trips) == (CLOSED, 1)
    assert run(b, ".", 631.999).trips == 1
    assert run(b, ".", 632.0).trips == 0


# Open: rows 2, 4 and 12


@pytest.mark.parametrize(("trips", "wait"), [(0, 30), (1, 60), (2, 120), (3, 240), (4, 480), (5, 960), (6, 1800), (7, 1800), (10**6, 1800)])
@pytest.mark.parametrize("chance", [0.8, 1.0, 1.2])
def test_the_wait_doubles_with_every_trip_up_to_half_an_hour_and_is_spread(trips: int, wait: float, chance: float) -> None:
    b = told(replace(NEW, trips=trips, calm_since=NOW), MARKS["W"], 0, NOW, Always(chance))
    assert b.until == at(4 * wait * chance)  # a wall: four times
    b = told(replace(run(NEW, "FF"), trips=trips, calm_since=NOW), MARKS["F"], 0, NOW, Always(chance))
    assert (b.state, b.trips, b.until, b.asked) == (OPEN, trips + 1, at(wait * chance), False)


@pytest.mark.parametrize(
    ("mark", "retry_after", "until"),
    [("F", 29.0, 30.0), ("F", 31.0, 31.0), ("F", 1e9, 86400.0), ("W", 119.0, 120.0), ("W", 3600.0, 3600.0), ("F", float("inf"), 86400.0)],
)
def test_a_retry_after_that_is_longer_wins_up_to_a_day(mark: str, retry_after: float, until: float) -> None:
    b = told(run(NEW, "FF", -2.0), replace(MARKS[mark], retry_after=retry_after), 0, NOW, EVEN)
    assert (b.until, b.asked) == (at(until), until == min(retry_after, 86400.0))


def test_row_4_it_is_open_until_its_time_and_then_the_first_who_asks_probes() -> None:
    still, answer = asked(OPENED, 29.999)
    assert still == OPENED
    assert answer == No("3 failures in a row, the last: HTTP 500", at(30.0))
    b, answer = asked(OPENED, 30.0)
    assert answer == Go(probe=True)
    assert (b.state, b.lease, b.generation) == (HALF_OPEN, Lease("one", at(50.0)), 2)
    assert asked(b, 31.0, "two")[1] == No("one is testing it", at(50.0))


def test_everybody_goes_while_it_is_closed_or_degraded() -> None:
    for b in (NEW, run(NEW, "....F")):
        assert asked(b, 5.0) == (b, Go())


@pytest.mark.parametrize("late", MARKS)
def test_an_outcome_of_an_earlier_generation_is_dropped(late: str) -> None:
    for b in (OPENED, TESTED, force(NEW, "operator", "", NOW), run(NEW, "....F")):
        assert told(b, MARKS[late], b.generation - 1, at(31.0), EVEN) == b


def test_no_outcome_but_a_force_changes_an_open_breaker() -> None:
    assert run(OPENED, ".F-W") == OPENED
    assert run(OPENED, "A").state is FORCED_OPEN


def test_row_12_a_wait_longer_than_any_is_cut_where_the_clock_was_set_back() -> None:
    b, answer = asked(OPENED, 30.0 - 2160.0)
    assert (b, answer) == (OPENED, No(OPENED.why, at(30.0)))  # it may be
    b, answer = asked(OPENED, 30.0 - 2161.0)
    assert answer == No(OPENED.why, at(60.0 - 2161.0))
    assert (b.state, b.generation, b.since) == (OPEN, 1, at(30.0 - 2161.0))
    assert asked(b, 60.0 - 2161.0)[1] == Go(probe=True)


def test_row_12_a_retry_after_explains_a_day_and_a_wall_what_was_set() -> None:
    wish = told(NEW, replace(MARKS["W"], retry_after=80000.0), 0, NOW, EVEN)
    assert asked(wish, -6400.0)[0] == wish
    b = asked(wish, -6401.0)[0]
    assert (b.until, b.asked) == (at(-6401.0 + 30.0), False)
    wall = told(replace(NEW, trips=9, calm_since=NOW), MARKS["W"], 0, NOW, EVEN)
    assert wall.until == at(7200.0)
    assert asked(wall, 0.0)[0] == wall
    assert asked(wall, -1.0)[0].until == at(1799.0)


# Half-open: rows 5 to 8, and the last resort


@pytest.mark.parametrize(("marks", "state"), [("...", CLOSED), ("..s", DEGRADED), ("sss", DEGRADED), ("..", HALF_OPEN)])
def test_rows_5_and_6_three_good_probes_close_or_degrade_with_an_empty_window(marks: str, state: State) -> None:
    b = OPENED
    for n, mark in enumerate(marks):
        b = probe(b, mark, 30.0 + n)
    assert b.state is state
    if state is not HALF_OPEN:
        assert (b.window, b.generation, b.trips, b.lease) == ((), 3, 1, None)


@pytest.mark.parametrize("mark", ["F", "D", "W"])
def test_row_7_a_failed_probe_opens_with_the_next_wait(mark: str) -> None:
    b = probe(probe(OPENED, ".", 30.0), mark, 40.0)
    assert (b.state, b.trips, b.until) == (OPEN, 2, at(40.0 + (240.0 if mark == "W" else 60.0)))
    assert b.why == f"a probe failed: {MARKS[mark].why}"


def test_row_8_an_outcome_that_does_not_count_gives_the_permit_back() -> None:
    b = run(TESTED, "-", 31.0)
    assert b == replace(TESTED, lease=None)
    assert asked(b, 31.0, "two")[1] == Go(probe=True)


def test_row_8_a_killed_prober_holds_up_nobody_for_longer_than_its_lease() -> None:
    assert asked(TESTED, 49.999, "two")[1] == No("one is testing it", at(50.0))
    b, answer = asked(TESTED, 50.0, "two")
    assert answer == Go(probe=True)
    assert b == replace(TESTED, lease=Lease("two", at(70.0)))


def test_row_8_a_success_after_its_lease_does_not_count_but_a_failure_does() -> None:
    assert run(TESTED, ".", 50.0) == replace(TESTED, lease=None)
    assert run(TESTED, "..", 31.0).good == 1  # one lease, one success
    assert run(TESTED, ".F", 31.0).state is OPEN  # the answer was no good after all


def test_no_lease_is_longer_than_ten_minutes_also_where_the_clock_was_set_back() -> None:
    b = ask(OPENED, at(30.0), holder="one", lease=1e6, dice=EVEN)[0]
    assert b.lease == Lease("one", at(630.0))
    assert asked(b, 29.0, "two")[1] == Go(probe=True)


def test_a_last_resort_is_probed_before_its_time_by_one() -> None:
    b, answer = asked(OPENED, 10.0, last_resort=True)
    assert answer == Go(probe=True)
    assert b.state is HALF_OPEN
    assert asked(b, 11.0, "two", last_resort=True)[1] == No("one is testing it", at(30.0))
    assert asked(b, 11.0, "two")[1] == No(b.why, at(30.0))  # to all others it is open still
    assert asked(b, 40.0, "two")[1] == Go(probe=True)


def test_a_last_resort_that_fails_raises_no_n_and_leaves_the_wait_as_it_was() -> None:
    b = OPENED
    for n in range(5):
        b = probe(b, "F", 5.0 * n, last_resort=True)
        assert (b.state, b.trips, b.until) == (OPEN, 1, at(30.0))
    late = run(asked(b, 25.0, last_resort=True)[0], "F", 31.0)
    assert (late.trips, late.until) == (1, at(61.0))  # its time had come meanwhile
    assert probe(b, "F", 30.0, last_resort=True).trips == 2  # no last resort: it was due
    assert probe(b, "W", 29.0, last_resort=True).until == at(29.0 + 120.0)
    wish = told(asked(b, 25.0, last_resort=True)[0], replace(MARKS["F"], retry_after=900.0), b.generation + 1, at(26.0), EVEN)
    assert (wish.until, wish.asked, wish.trips) == (at(926.0), True, 1)
    again = probe(wish, "F", 100.0, last_resort=True)
    assert (again.until, again.asked, again.trips) == (at(926.0), True, 1)


def test_a_last_resort_that_succeeds_is_a_good_probe_like_others() -> None:
    b = probe(OPENED, ".", 5.0, last_resort=True)
    assert (b.good, b.until) == (1, None)
    assert probe(b, "F", 6.0).trips == 2
    assert probe(probe(b, ".", 6.0), ".", 7.0).state is CLOSED


# Forced, reset, forgiven: rows 9 and 10


@pytest.mark.parametrize("b", [NEW, run(NEW, "....F"), OPENED, TESTED, force(NEW, "AUTH", "", NOW)], ids=lambda b: b.state.value)
def test_row_9_any_may_be_forced_and_no_time_opens_it(b: Breaker) -> None:
    forced = force(b, "operator", "maintenance", at(31.0))
    assert (forced.state, forced.by, forced.why, forced.lease, forced.until) == (FORCED_OPEN, "operator", "maintenance", None, None)
    assert forced.generation == max(b.generation, 1) if b.state is FORCED_OPEN else b.generation + 1
    for last_resort in (False, True):
        assert asked(forced, 1e6, last_resort=last_resort) == (forced, No("maintenance", None))
    assert run(forced, ".F-WA!", 1e6) == forced


def test_row_9_a_refused_key_forces_it_open() -> None:
    b = run(NEW, "A")
    assert (b.state, b.by, b.why) == (FORCED_OPEN, "AUTH", "HTTP 401")


@pytest.mark.parametrize(("last", "state"), [(3600.0, FORCED_OPEN), (3600.001, OPEN)])
def test_row_9_three_security_alarms_within_an_hour_force_it_open(last: float, state: State) -> None:
    b = run(NEW, "!.!")  # at 0 s and 2 s
    assert len(b.alarms) == 2
    b = probe(replace(b, state=OPEN, until=at(last)), "!", last)
    assert b.state is state
    if state is FORCED_OPEN:
        assert (b.by, b.why) == ("SECURITY", "3 security alarms within an hour, the last: a redirect to 10.0.0.1")
        assert reset(b, at(last)).alarms == ()


def test_alarms_of_a_clock_that_was_set_back_since_do_not_count() -> None:
    b = replace(NEW, alarms=(at(3601.0), at(3602.0)))
    assert run(b, "!").alarms == (NOW,)


def test_a_cause_is_one_line() -> None:
    for b in (NEW, force(NEW, "AUTH", "", NOW)):
        assert force(b, "operator", "main\x1b\ntenance", NOW).why == "main tenance"


def test_row_10_a_reset_tests_what_was_forced_or_open_with_n_1() -> None:
    for b in (force(replace(NEW, trips=5), "operator", "", NOW), replace(OPENED, trips=5)):
        again = reset(b, at(1.0))
        assert (again.state, again.trips, again.until, again.lease, again.by) == (HALF_OPEN, 1, None, None, "")
        assert probe(again, "F", 2.0).trips == 2


def test_a_reset_of_one_that_serves_starts_it_afresh_and_of_one_under_test_changes_nothing() -> None:
    degraded = replace(run(NEW, "....F"), trips=3)
    again = reset(degraded, at(6.0))
    assert (again.state, again.window, again.trips, again.generation) == (CLOSED, (), 0, degraded.generation + 1)
    assert reset(run(NEW, "F"), at(1.0)) == NEW
    assert reset(TESTED, at(31.0)) == TESTED


def test_failures_of_the_network_are_taken_back() -> None:
    b = forgive(OPENED, at(-10.0), at(1.0))
    assert (b.state, b.trips, b.window) == (CLOSED, 0, ())
    assert forgive(OPENED, at(0.001), at(1.0)) == OPENED  # it was open before
    again = forgive(replace(OPENED, trips=2), at(-10.0), at(1.0))
    assert (again.state, again.trips) == (HALF_OPEN, 1)  # a test of it failed for the network's sake
    assert forgive(run(NEW, ".F"), at(-10.0), at(2.0)).window == run(NEW, ".").window


WAYS = {
    CLOSED: {DEGRADED, OPEN, FORCED_OPEN},  # rows 1, 2, 9
    DEGRADED: {CLOSED, OPEN, FORCED_OPEN},  # rows 3, 2, 9
    OPEN: {HALF_OPEN, FORCED_OPEN},  # rows 4, 9
    HALF_OPEN: {CLOSED, DEGRADED, OPEN, FORCED_OPEN},  # rows 5, 6, 7, 9
    FORCED_OPEN: {HALF_OPEN},  # row 10
}


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
def test_a_change_that_is_not_in_the_table_is_illegal(before: State, after: State) -> None:
    b = replace(NEW, state=before)
    assert ((before, after) in LEGAL) is (after in WAYS[before])
    if after in WAYS[before]:
        assert _moved(b, after, NOW, "").generation == 1
    else:
        with pytest.raises(Illegal, match=f"{before} -> {after}"):
            _moved(b, after, NOW, "")


# What an attempt means, and what is slow

NOTHING, GOOD, ONE, TWO = (False, 0), (True, 0), (True, 1), (True, 2)
MEANS = {  # to the breaker of the provider, to that of the endpoint
    "CONNECT_FAIL TIMEOUT_READ TRUNCATED PROTOCOL SERVER_ERROR UNEXPECTED_STATUS MALFORMED AUTH WAF_BLOCK": (ONE, NOTHING),
    "TLS_FAIL SECURITY_BLOCK": (TWO, NOTHING),
    "TOO_LARGE MISMATCH": (TWO, TWO),
    "SCHEMA BAD_VALUES": (NOTHING, ONE),
    "UNKNOWN_SYMBOL NO_DATA": (GOOD, GOOD),
    "RATE_LIMITED QUOTA_EXHAUSTED PLAN_LIMIT BAD_REQUEST DEADLINE THROTTLED CANCELLED": (NOTHING, NOTHING),
}


@pytest.mark.parametrize(("kind", "means"), [(FailureKind(kind), means) for kinds, means in MEANS.items() for kind in kinds.split()])
def test_a_failure_means_to_both_breakers_what_the_failure_table_says(kind: FailureKind, means: tuple[object, object]) -> None:
    provider, endpoint = verdicts(Failure(kind, "it broke", retry_after=7.0), 12.0)
    assert ((provider.counts, provider.units), (endpoint.counts, endpoint.units)) == means
    assert (provider.ms, provider.retry_after, provider.why) == (12.0, 7.0, "it broke")
    special = (provider.open_now, provider.force == "AUTH", provider.alarm)
    assert special == tuple(kind is k for k in (FailureKind.WAF_BLOCK, FailureKind.AUTH, FailureKind.SECURITY_BLOCK))
    assert (endpoint.open_now, endpoint.force, endpoint.alarm) == (False, "", False)


@pytest.mark.parametrize("kind", [kind for kind, row in CONSEQUENCES.items() if row.blame is Blame.NONE])
def test_a_failure_that_is_nobodys_fault_counts_nowhere(kind: FailureKind) -> None:
    assert [v.counts for v in verdicts(Failure(kind, ""), 12.0)] == [False, False]


def test_a_success_counts_at_both_levels() -> None:
    assert verdicts(None, 12.0) == (Verdict(ms=12.0), Verdict(ms=12.0))


@pytest.mark.parametrize(("typical", "limit"), [(None, 15000.0), (100.0, 1000.0), (250.0, 1000.0), (300.0, 1200.0), (5000.0, 15000.0)])
def test_slow_is_four_times_the_typical_within_bounds(typical: float | None, limit: float) -> None:
    b = replace(NEW, typical=typical)
    assert slow_limit(b) == limit
    for ms, slow in ((limit, False), (limit + 0.1, True)):
        assert told(b, Verdict(ms=ms), 0, NOW, EVEN).window[-1].slow is slow
    assert not told(b, Verdict(units=1, ms=60000.0), 0, NOW, EVEN).window[-1].slow  # only an answer is slow


# Its sums in words, and how it is stored


def test_explain_prints_its_sums() -> None:
    b = judged(run(replace(NEW, typical=310.0), ".s.F.", -4.0), 1000, 6, NOW)
    assert explain(b, NOW) == (
        "degraded since 2024-01-17 12:00:00Z: 1 of 5 outcomes failed (20.0%, the limit is 20%)",
        "1 of 5 outcomes failed (20.0%): degraded from 20%, sound below 10%",
        "1 of 5 outcomes were slow (20.0%): degraded from 50%, sound below 30%",
        "6 of 1000 rows were bad (0.6%): degraded from 5%, sound below 1%",
        "0 failures in a row: open from 3, or from 50% failed (30% if two others are healthy, 70% if none is)",
        "slow is above 1240 ms: 4 x 310 ms, held between 1000 and 15000 ms",
        "n is 0: the next wait is 30 s, give or take 20%",
    )


def test_explain_tells_why_it_is_not_closed_until_when_and_by_whom() -> None:
    wish = told(run(NEW, "FF", -2.0), replace(MARKS["F"], retry_after=90.0), 0, NOW, EVEN)
    assert explain(wish, NOW)[:2] == (
        "open since 2024-01-17 12:00:00Z: 3 failures in a row, the last: HTTP 500",
        "not before 2024-01-17 12:01:30Z, as the provider asked",
    )
    assert "n is 1: the next wait is 60 s, give or take 20%" in explain(wish, NOW)
    assert explain(asked(probe(OPENED, "s", 30.0), 31.0)[0], at(31.0))[1:3] == (
        "1 of 3 good probes, 1 slow",
        "one is testing it, until 2024-01-17 12:00:51Z at most",
    )
    assert explain(force(NEW, "operator", "maintenance", NOW), NOW)[0] == (
        "forced open since 2024-01-17 12:00:00Z, by operator: maintenance"
    )
    assert explain(run(NEW, "!"), NOW)[-1] == "1 security alarms: 3 within an hour force it open"


def test_explain_says_where_there_is_too_little_to_tell() -> None:
    lines = explain(NEW, NOW)
    assert lines[0] == "closed since 2024-01-17 12:00:00Z: nothing has happened yet"
    assert "no rate counts: fewer than 5 outcomes in 300 s" in lines
    assert "slow is above 15000 ms: none is typical yet" in lines


instants = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))
counts = st.integers(0, 2**40)
ms = st.floats(0.0, allow_infinity=False)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
breakers = st.builds(
    Breaker,
    since=instants,
    state=st.sampled_from(State),
    generation=counts,
    trips=counts,
    until=st.none() | instants,
    asked=st.booleans(),
    why=words,
    by=words,
    lease=st.none() | st.builds(Lease, words, instants),
    good=counts,
    slow=counts,
    window=st.lists(st.builds(Outcome, instants, counts, ms, st.booleans(), counts, counts), max_size=20).map(tuple),
    typical=st.none() | ms,
    calm_since=st.none() | instants,
    alarms=st.lists(instants, max_size=3).map(tuple),
)


@given(breakers)
def test_what_is_stored_comes_back_as_it_was(b: Breaker) -> None:
    assert load(dump(b)) == b


STORED = dump(run(NEW, "."))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "null",
        "7",
        "{}",
        "[]",
        STORED[:-1],
        STORED.replace("closed", "ajar"),
        STORED.replace("closed", "open") + "]",
        STORED.replace('"closed",0,0', '"closed",0,-1'),
        STORED.replace('"closed",0,0', '"closed",0,1.5'),
        STORED.replace("100.0", '"100.0"'),
        STORED.replace("100.0,false", "100.0,0"),
        STORED.replace("100.0,", ""),
        STORED.replace("1705492800000000", "null"),
        STORED.replace("1705492800000000", "9" * 18),
        STORED.replace("[]]", "[null]]"),
        STORED.replace("[[", "[7,["),
        STORED.replace("null,null", '"one",null', 1),
    ],
)
def test_nonsense_is_no_breaker(text: str) -> None:
    assert text != STORED
    with pytest.raises(ValueError, match="not a breaker: "):
        load(text)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=30).map(str))
def test_any_text_is_a_breaker_or_nonsense(text: str) -> None:
    with pytest.raises(ValueError, match="not a breaker: "):
        load(text)
