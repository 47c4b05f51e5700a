"""A ledger that was damaged: the one that takes its place grants nothing before each window has passed once."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import VirtualClock
from mdagent.errors import StoreDamaged
from mdagent.guard.limits import Grant, Refusal, Window
from mdagent.store.ledger import open_ledger
from mdagent.store.quota import Reservation

if TYPE_CHECKING:
    from pathlib import Path

    from mdagent.store.ledger import Ledger

START = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
WHAT = Reservation("bars", "127.0.0.1", "run", "AAPL")
MINUTE, DAY = Window(5, 60.0), Window(20, "day")
REQUESTS = Window(3, 60.0, of="requests")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def path(tmp_path: Path, clock: VirtualClock) -> Path:
    """Of a ledger that was there, was found to be damaged, and was moved away."""
    path = tmp_path / "ledger.db"
    open_ledger(path, clock).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    with pytest.raises(StoreDamaged) as told:
        open_ledger(path, clock).check()
    assert "holds every quota to be spent" in told.value.hint
    path.rename(tmp_path / "aside")
    return path


def ask(ledger: Ledger, *windows: Window) -> Grant | Refusal:
    answer = ledger.reserve("yahoo", windows, what=WHAT)
    assert isinstance(answer, Grant | Refusal)
    return answer


@pytest.mark.parametrize("window", [MINUTE, REQUESTS])
def test_a_window_grants_nothing_before_it_has_passed_once(path: Path, clock: VirtualClock, window: Window) -> None:
    with open_ledger(path, clock) as ledger:
        refused = ask(ledger, window)
        assert isinstance(refused, Refusal)
        assert refused.until == START + timedelta(seconds=62)
        assert "the ledger before 2024-01-17 12:00:00Z was damaged" in refused.reason
        clock.pause(refused.wait)
        assert isinstance(ask(ledger, window), Grant)


def test_each_window_has_its_own_time(path: Path, clock: VirtualClock) -> None:
    with open_ledger(path, clock) as ledger:
        assert isinstance(ask(ledger, MINUTE, DAY), Refusal)
    clock.pause(3600.0)
    with open_ledger(path, clock) as ledger:
        refused = ask(ledger, MINUTE, DAY)
        assert isinstance(refused, Refusal)
        assert refused.until == datetime(2024, 1, 18, 0, 1, tzinfo=UTC)
        clock.pause(refused.wait)
        assert [isinstance(ask(ledger, MINUTE, DAY), Grant) for _ in range(6)] == [True] * 5 + [False]
        assert "damaged" not in str(ask(ledger, MINUTE, DAY))


def test_what_was_spent_is_written_down_once_by_however_many_processes(path: Path, clock: VirtualClock) -> None:
    with open_ledger(path, clock) as one, open_ledger(path, clock) as two:
        ask(one, MINUTE, DAY)
        clock.pause(300.0)
        ask(two, MINUTE, DAY)
        assert one.rows("SELECT sum(cost), max(at) - min(at) FROM attempts") == [(20, 0)]


def test_a_new_ledger_where_none_was_grants_at_once(tmp_path: Path, clock: VirtualClock) -> None:
    with open_ledger(tmp_path / "ledger.db", clock) as ledger:
        assert isinstance(ask(ledger, MINUTE, DAY), Grant)
    assert os.listdir(tmp_path) == ["ledger.db"]  # noqa: PTH208  names are enough


def test_a_clock_that_is_set_moves_the_time_of_the_loss_with_it(path: Path, clock: VirtualClock) -> None:
    with open_ledger(path, clock) as ledger:
        clock.set(START + timedelta(hours=1))
        assert isinstance(ask(ledger, MINUTE), Refusal)


def test_the_mark_holds_for_one_new_ledger(path: Path, clock: VirtualClock) -> None:
    open_ledger(path, clock).close()
    path.unlink()
    with open_ledger(path, clock) as ledger:
        assert isinstance(ask(ledger, MINUTE), Grant)


def test_an_empty_file_was_cut_short_and_is_no_new_ledger(tmp_path: Path, clock: VirtualClock) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    with pytest.raises(StoreDamaged, match=r"is empty \(0 bytes\)"):
        open_ledger(path, clock)
    assert path.stat().st_size == 0


def test_what_a_killed_creation_left_is_cleared_away(tmp_path: Path, clock: VirtualClock) -> None:
    for name in (".ledger.db.new-4194305", ".ledger.db.new-4194305-wal"):  # no process has such a number
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".ledger.db.new-1").write_bytes(b"of one that lives")
    open_ledger(tmp_path / "ledger.db", clock).close()
    assert sorted(os.listdir(tmp_path)) == [".ledger.db.new-1", "ledger.db"]  # noqa: PTH208


def test_the_name_it_was_built_under_goes_with_the_next_who_opens_it(tmp_path: Path, clock: VirtualClock) -> None:
    open_ledger(tmp_path / "ledger.db", clock).close()
    os.link(tmp_path / "ledger.db", tmp_path / ".ledger.db.new-4194305")
    open_ledger(tmp_path / "ledger.db", clock).close()
    assert os.listdir(tmp_path) == ["ledger.db"]  # noqa: PTH208


def test_whoever_comes_second_takes_the_ledger_of_the_first(tmp_path: Path, clock: VirtualClock) -> None:
    from mdagent.store.ledger_file import half_built

    with open_ledger(tmp_path / "first.db", clock) as ledger:
        ask(ledger, MINUTE)
    with half_built(tmp_path / "ledger.db"):
        (tmp_path / "first.db").rename(tmp_path / "ledger.db")
    with open_ledger(tmp_path / "ledger.db", clock) as ledger:
        assert ledger.rows("SELECT count(*) FROM attempts") == [(1,)]


def test_a_bit_that_flips_in_a_row_is_seen_before_anything_is_granted(tmp_path: Path, clock: VirtualClock) -> None:
    path = tmp_path / "ledger.db"
    with open_ledger(path, clock) as ledger:
        for _ in range(5):
            assert isinstance(ask(ledger, MINUTE), Grant)
    content = bytearray(path.read_bytes())
    for place in [at for at in range(len(content)) if content.startswith(int(START.timestamp() * 1e6).to_bytes(8, "big")[2:], at)][:1]:
        content[place] ^= 1  # the time of a request
    path.write_bytes(content)
    with open_ledger(path, clock) as ledger, pytest.raises(StoreDamaged, match="cannot be trusted"):
        ask(ledger, MINUTE)


def test_a_long_ledger_is_looked_at_once_an_hour(tmp_path: Path, clock: VirtualClock) -> None:
    looked = []
    for _ in range(3):
        with open_ledger(tmp_path / "ledger.db", clock) as ledger:
            ledger.decide(lambda db, _: db.execute("UPDATE attempts SET id = id + 30000"))
            ask(ledger, MINUTE)
            looked.append(ledger.rows("SELECT at FROM marks WHERE name = 'proved'"))
        clock.pause(1900.0)
    assert looked[0] == []
    assert looked[1]
    assert looked[2] == looked[1]


def test_one_whose_log_did_not_come_into_it_is_not_published(tmp_path: Path) -> None:
    from mdagent.store.ledger_file import half_built

    with pytest.raises(OSError, match="Input/output error"), half_built(tmp_path / "ledger.db") as new:
        new.with_name(f"{new.name}-wal").write_bytes(b"what a full or failing disk did not let in")
    assert os.listdir(tmp_path) == []  # noqa: PTH208
