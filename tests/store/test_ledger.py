"""The ledger: what processes must agree on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdagent.clock import VirtualClock
from mdagent.errors import ConfigError, StoreBusy, StoreDamaged
from mdagent.guard.limits import Grant, Refusal, Window
from mdagent.guard.outcome import Attempt, Failure, FailureKind
from mdagent.store.epochs import epoch_number, last_epoch, publish_epoch
from mdagent.store.ledger import Ledger, open_ledger
from mdagent.store.quota import Reservation
from mdagent.store.recall import sent_since, speed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
WHAT = Reservation("bars", "query1.example", "run-1", "AAPL")
THREE_A_MINUTE = (Window(3, 60.0),)


def granted(ledger: Ledger, windows: Sequence[Window] = THREE_A_MINUTE, tries: int = 100) -> int:
    """How many requests may go at once."""
    for n in range(tries):
        if not isinstance(ledger.reserve("yahoo", windows, what=WHAT), Grant):
            return n
    return tries


def reserve(ledger: Ledger, source: str = "yahoo", windows: Sequence[Window] = THREE_A_MINUTE) -> int:
    answer = ledger.reserve(source, windows, what=WHAT)
    assert isinstance(answer, Grant)
    return answer.token


def went(failure: Failure | None = None, ms: float = 12.0, *, sent: bool = True) -> Attempt:
    return Attempt("yahoo", "bars", "query1.example", START, ms, 200, 1000, failure, sent=sent)


# Quota


def test_so_many_requests_go_and_then_the_ledger_says_when(ledger: Ledger, clock: VirtualClock) -> None:
    assert granted(ledger) == 3
    refused = ledger.reserve("yahoo", THREE_A_MINUTE, what=WHAT)
    assert isinstance(refused, Refusal)
    assert refused.reason == "the quota of 3 per 1m is spent"
    assert refused.until == START + timedelta(seconds=62)
    clock.pause(61.9)
    assert granted(ledger) == 0
    clock.pause(0.2)
    assert granted(ledger) == 3


def test_a_refused_request_takes_nothing_from_any_window(ledger: Ledger) -> None:
    both = (Window(2, 60.0), Window(3, "day"))
    assert granted(ledger, both) == 2
    assert granted(ledger, (Window(3, "day"),)) == 1, "the two that went, and none of those that did not"


def test_sources_have_quotas_of_their_own(ledger: Ledger) -> None:
    assert granted(ledger) == 3
    assert isinstance(ledger.reserve("other", THREE_A_MINUTE, what=WHAT), Grant)


def test_another_process_counts_on_where_this_one_stopped(tmp_path: Path, clock: VirtualClock) -> None:
    with open_ledger(tmp_path / "ledger.db", clock) as one, open_ledger(tmp_path / "ledger.db", clock) as two:
        reserve(one)
        reserve(two)
        assert granted(one) == 1
        assert granted(two) == 0
    with open_ledger(tmp_path / "ledger.db", clock) as three:
        assert granted(three) == 0


def test_a_day_quota_is_that_of_the_providers_day(ledger: Ledger, clock: VirtualClock) -> None:
    day = (Window(2, "day", "America/New_York"),)
    assert granted(ledger, day) == 2
    clock.pause((datetime(2024, 1, 18, 4, 59, tzinfo=UTC) - clock.now()).total_seconds())
    assert granted(ledger, day) == 0
    clock.pause(120.0)
    assert granted(ledger, day) == 2


def test_quota_comes_back_only_on_proof(ledger: Ledger) -> None:
    tokens = [reserve(ledger) for _ in range(3)]
    ledger.settle(tokens[0], went(), refund=False)
    assert granted(ledger) == 0
    ledger.settle(tokens[1], went(Failure(FailureKind.CONNECT_FAIL, "refused"), sent=False), refund=True)
    assert granted(ledger) == 1


def test_a_process_that_died_before_its_answer_keeps_its_charge(ledger: Ledger) -> None:
    reserve(ledger)
    assert granted(ledger) == 2


def test_costs_are_counted(ledger: Ledger) -> None:
    dear = Reservation("bars", "h", "r", "s", cost=2)
    assert isinstance(ledger.reserve("yahoo", THREE_A_MINUTE, what=dear), Grant)
    assert isinstance(ledger.reserve("yahoo", THREE_A_MINUTE, what=dear), Refusal)
    assert sum(u.cost for u in ledger.usage("yahoo", THREE_A_MINUTE, START)) == 2


# A clock that is wrong


@pytest.mark.parametrize("back", [timedelta(minutes=5), timedelta(hours=1), timedelta(days=1), timedelta(days=400)])
def test_a_clock_set_back_grants_nothing_more_and_waits_no_longer_than_a_window(
    ledger: Ledger, clock: VirtualClock, back: timedelta
) -> None:
    assert granted(ledger) == 3
    clock.set(clock.now() - back)
    assert granted(ledger) == 0
    clock.pause(30.0)
    assert granted(ledger) == 0
    clock.pause(60.0)
    assert granted(ledger) == 3


def test_a_clock_set_back_does_not_lengthen_a_block_beyond_its_length(ledger: Ledger, clock: VirtualClock) -> None:
    ledger.block("yahoo", 300.0, "asked to be left alone")
    clock.set(START - timedelta(days=30))
    assert granted(ledger) == 0
    clock.pause(301.0)
    assert granted(ledger) == 3


@settings(max_examples=30)
@given(
    limit=st.integers(1, 4),
    steps=st.lists(st.sampled_from([0.0, 0.5, 5.0, 20.0, 61.0, 70.0]), min_size=1, max_size=25),
    back=st.none() | st.tuples(st.integers(0, 24), st.sampled_from([3.0, 10.0, 3600.0, 90000.0])),
)
def test_never_more_than_the_limit_in_any_minute_even_if_the_clock_is_set_back(
    tmp_path_factory: pytest.TempPathFactory, limit: int, steps: list[float], back: tuple[int, float] | None
) -> None:
    clock, sent = VirtualClock(START), list[float]()
    with open_ledger(tmp_path_factory.mktemp("ledger") / "l.db", clock) as ledger:
        for number, step in enumerate(steps):
            clock.pause(step)
            if back and back[0] == number:
                clock.set(clock.now() - timedelta(seconds=back[1]))
            if isinstance(ledger.reserve("yahoo", (Window(limit, 60.0),), what=WHAT), Grant):
                sent.append(clock.monotonic())
    for first in sent:
        assert sum(first <= at < first + 57.0 for at in sent) <= limit  # a step back of up to 5 s is not held to be one


# Blocks


def test_a_block_holds_for_every_process_until_it_is_over(tmp_path: Path, ledger: Ledger, clock: VirtualClock) -> None:
    ledger.block("yahoo", 300.0, "yahoo asked to be left alone")
    with open_ledger(tmp_path / "ledger.db", clock) as other:
        refused = other.reserve("yahoo", (), what=WHAT)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.wait, refused.until) == ("yahoo asked to be left alone", 300.0, START + timedelta(seconds=300))
    clock.pause(300.0)
    assert granted(ledger) == 3


def test_a_block_in_force_is_never_shortened(ledger: Ledger) -> None:
    ledger.block("yahoo", 300.0, "first")
    block = ledger.block("yahoo", 10.0, "second", fresh=False)
    assert block.until == START + timedelta(seconds=300)
    assert ledger.block("yahoo", 900.0, "third", fresh=False).until == START + timedelta(seconds=900)


def test_strikes_are_counted_until_they_are_told_to_start_anew(ledger: Ledger) -> None:
    assert [ledger.block("yahoo", 1.0, "x", fresh=fresh).strikes for fresh in (True, False, False, True)] == [1, 2, 3, 1]
    assert ledger.blocked("yahoo") is not None
    ledger.unblock("yahoo")
    assert ledger.blocked("yahoo") is None
    assert ledger.block("yahoo", 1.0, "x", fresh=False).strikes == 1


# Symbols that a source does not know


def test_an_unknown_symbol_is_remembered_until_its_time(ledger: Ledger, clock: VirtualClock) -> None:
    until = START + timedelta(hours=24)
    ledger.remember_unknown("yahoo", "NOSUCH", until, "no such symbol")
    assert ledger.unknown("yahoo", "NOSUCH") == (until, "no such symbol")
    assert ledger.unknown("yahoo", "AAPL") is None
    assert ledger.unknown("other", "NOSUCH") is None
    clock.pause(24 * 3600.0)
    assert ledger.unknown("yahoo", "NOSUCH") is None


def test_an_unknown_symbol_can_be_forgotten(ledger: Ledger) -> None:
    ledger.remember_unknown("yahoo", "NEW", START + timedelta(hours=24), "no such symbol")
    ledger.forget_unknown("yahoo", "NEW")
    assert ledger.unknown("yahoo", "NEW") is None
    ledger.forget_unknown("yahoo", "NEW")


# What it tells


def test_requests_and_failures_of_a_source_are_told(ledger: Ledger, clock: VirtualClock) -> None:
    many = (Window(100, 60.0),)
    for ms, failure in (
        (10.0, None),
        (30.0, Failure(FailureKind.SERVER_ERROR, "HTTP 503: busy")),
        (20.0, Failure(FailureKind.UNKNOWN_SYMBOL, "no such")),
    ):
        clock.pause(1.0)
        ledger.settle(reserve(ledger, windows=many), went(failure, ms), refund=False)
    ledger.settle(reserve(ledger, windows=many), went(Failure(FailureKind.CONNECT_FAIL, "x"), sent=False), refund=True)
    told = speed(ledger, "yahoo", "yahoo", START)
    assert (told.sent, told.failed, told.p50, told.p95) == (3, 1, 20.0, 30.0)
    assert told.last_failure == "SERVER_ERROR: HTTP 503: busy"
    assert told.last_at == START + timedelta(seconds=3)
    assert sent_since(ledger, "yahoo", START + timedelta(seconds=1)) == 2
    nothing = speed(ledger, "other", "other", START)
    assert (nothing.sent, nothing.last_at, nothing.p50, nothing.last_failure, nothing.success) == (0, None, None, None, None)


# Published settings


def test_the_last_published_settings_are_those_in_force(ledger: Ledger, clock: VirtualClock) -> None:
    assert (last_epoch(ledger), epoch_number(ledger)) == (None, 0)
    publish_epoch(ledger, "one", {"color": "auto"})
    clock.pause(5.0)
    second = publish_epoch(ledger, "two", {"color": "never"})
    assert second.number == epoch_number(ledger) == 2
    told = last_epoch(ledger)
    assert told is not None
    assert (told.number, told.at, told.fingerprint, dict(told.flat)) == (2, START + timedelta(seconds=5), "two", {"color": "never"})


# The file


def test_the_file_is_for_its_owner_alone_and_sound(tmp_path: Path, clock: VirtualClock) -> None:
    with open_ledger(tmp_path / "home" / "ledger.db", clock) as ledger:
        assert ledger.check() == "ok"
        assert ledger.path.stat().st_mode & 0o777 == 0o600
        assert ledger.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_ledger_is_told_and_left_as_it_is(tmp_path: Path, clock: VirtualClock, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"the ledger .* cannot be read") as caught:
        open_ledger(path, clock)
    assert "doctor" in caught.value.hint
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_is_a_matter_of_settings(tmp_path: Path, clock: VirtualClock) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        open_ledger(tmp_path / "file" / "ledger.db", clock)
    assert "MDAGENT_HOME" in caught.value.hint


def test_a_decision_that_fails_is_undone(ledger: Ledger) -> None:
    reserve(ledger)
    with pytest.raises(ZeroDivisionError):
        ledger.reserve("yahoo", (_Broken(1, 60.0),), what=WHAT)
    assert granted(ledger) == 2


class _Broken(Window):
    """A window that cannot say why it refuses."""

    @property
    def text(self) -> str:
        raise ZeroDivisionError


def test_a_ledger_that_another_program_holds_is_busy_not_damaged(tmp_path: Path, ledger: Ledger) -> None:
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger._db.execute("PRAGMA busy_timeout=0")  # noqa: SLF001  ten seconds otherwise
    with pytest.raises(StoreBusy, match="in use by another process"):
        ledger.unblock("yahoo")
    other.execute("ROLLBACK")
    other.close()
    ledger.unblock("yahoo")


def test_a_second_ledger_in_one_process_takes_no_lock_from_the_first(tmp_path: Path, clock: VirtualClock) -> None:
    path = tmp_path / "ledger.db"
    with open_ledger(path, clock) as first:
        first.rows("SELECT 1")
        open_ledger(path, clock).close()
        script = (
            "import sys; from pathlib import Path; from mdagent.clock import SystemClock; from mdagent.store.ledger import open_ledger;"
            "open_ledger(Path(sys.argv[1]), SystemClock()).close()"
        )
        subprocess.run([sys.executable, "-c", script, str(path)], check=True)
        assert path.with_name("ledger.db-wal").exists(), "another process took itself for the last, and put the log away"
