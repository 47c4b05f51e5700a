"""A ledger of an earlier version is brought up to date when it is opened, and nothing that was spent is forgotten."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import VirtualClock
from mdagent.errors import StoreDamaged
from mdagent.guard.limits import Refusal, Window
from mdagent.store.ledger import open_ledger
from mdagent.store.ledger_schema import STEPS, VERSION
from mdagent.store.quota import Reservation, Rules, us
from mdagent.store.recall import hosts_of, spending

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)
WHAT = Reservation("bars", "one.example", "run-1", "AAPL")
DAY = (Window(3, "day"),)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of version 1: three requests of today, one of which never went out, and a block."""
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as db:
        for statement in STEPS[0].split(";"):
            db.execute(statement)
        put = "INSERT INTO attempts (at, source, endpoint, host, run, subject, cost, state) VALUES (?,'yahoo','bars','h','r','AAPL',1,?)"
        for n, state in enumerate(("settled", "settled", "refunded")):
            db.execute(put, (us(START - timedelta(minutes=n)), state))
        db.execute("INSERT INTO blocks VALUES ('polygon', ?, ?, 1, 'asked to be left alone')", (us(START), us(START + timedelta(hours=1))))
        db.execute("PRAGMA user_version=1")
    return path


def test_what_was_spent_before_keys_were_told_apart_counts_for_every_key(old: Path) -> None:
    with open_ledger(old, VirtualClock(START + timedelta(minutes=1))) as ledger:
        assert ledger.rows("PRAGMA user_version") == [(VERSION,)]
        for account in ("yahoo:1111", "yahoo:2222"):
            granted = [ledger.reserve("yahoo", DAY, what=WHAT, rules=Rules(account)) for _ in range(2)]
            assert [isinstance(answer, Refusal) for answer in granted] == [False, True]


def test_an_old_block_still_holds(old: Path) -> None:
    with open_ledger(old, VirtualClock(START + timedelta(minutes=1))) as ledger:
        assert isinstance(ledger.reserve("polygon", DAY, what=WHAT, rules=Rules("polygon:1111")), Refusal)


def test_a_ledger_of_version_2_keeps_its_pace_its_spend_and_its_queue(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as db:
        for step in STEPS[:2]:
            for statement in step.split(";"):
                db.execute(statement)
        put = (
            "INSERT INTO attempts (at, source, account, endpoint, host, run, subject, cost, state) VALUES (?,?,?,'bars','h','r','AAPL',1,?)"
        )
        for minutes in range(2):
            db.execute(put, (us(START - timedelta(minutes=minutes)), "yahoo", "yahoo:1111", "settled"))
        db.execute("INSERT INTO paces VALUES ('yahoo:1111', 0.5, ?, 1)", (us(START),))
        db.execute("PRAGMA user_version=2")
    with open_ledger(path, VirtualClock(START + timedelta(minutes=1))) as ledger:
        assert ledger.rows("SELECT factor, overloads, slowed, eased, refused FROM paces") == [(0.5, 1, us(START), None, us(START))]
        granted = [ledger.reserve("yahoo", DAY, what=WHAT, rules=Rules("yahoo:1111")) for _ in range(2)]
        assert [isinstance(answer, Refusal) for answer in granted] == [False, True]


def test_what_was_spent_before_overage_was_told_apart_is_none(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as db:
        for step in STEPS[:3]:
            for statement in step.split(";"):
                db.execute(statement)
        put = "INSERT INTO attempts (at, source, account, endpoint, host, run, subject, cost, usd, state)"
        db.execute(f"{put} VALUES (?,'yahoo','yahoo','bars','h','r','AAPL',1,0.5,'settled')", (us(START),))
        db.execute("PRAGMA user_version=3")
    with open_ledger(path, VirtualClock(START + timedelta(minutes=1))) as ledger:
        (spend,) = spending(ledger, START - timedelta(days=1))
        assert (spend.usd, spend.overage) == (0.5, 0.0)
        over = Rules("yahoo", overage=0.25)
        assert [ledger.reserve("yahoo", (Window(2, "day"),), what=WHAT, rules=over).overage for _ in range(2)] == [0.0, 0.25]  # type: ignore[union-attr]


def test_opening_it_twice_changes_nothing_more(old: Path) -> None:
    for _ in range(2):
        with open_ledger(old, VirtualClock(START)) as ledger:
            assert len(ledger.rows("SELECT * FROM attempts")) == 3


def test_a_ledger_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(StoreDamaged, match=f"version {VERSION + 1}"):
        open_ledger(path, VirtualClock(START))


# Of several hosts


@pytest.mark.parametrize(
    ("asked", "order"),
    [
        ([], "abc"),
        ([("a", 900, None)] * 2, "abc"),
        ([("a", 900, None)] * 3, "bca"),
        ([("a", 900, None)] * 3 + [("b", 100, None)] * 3, "cba"),
        ([("a", 900, None)] * 3 + [("b", 100, None)] * 2, "bca"),
        ([("a", 900, None)] * 3 + [("b", 100, None)] * 3 + [("c", 500, None)] * 3, "bca"),
        ([("a", 5, "CONNECT_FAIL")], "bca"),
        ([("a", 5, None)] * 8 + [("a", 5, "CONNECT_FAIL")], "bca"),
        ([("a", 5, None)] * 8 + [("a", 5, "CONNECT_FAIL")] * 2 + [("b", 100, None)] * 3 + [("c", 90, None)] * 3, "cba"),
        ([("a", 5, None), ("a", 5, "SERVER_ERROR")] * 5 + [("b", 100, None)] * 3, "cba"),
        ([("a", 5, "UNKNOWN_SYMBOL")] * 5, "bca"),
    ],
)
def test_the_fastest_healthy_host_comes_first(tmp_path: Path, asked: list[tuple[str, int, str | None]], order: str) -> None:
    with open_ledger(tmp_path / "l.db", VirtualClock(START)) as ledger:
        put = (
            "INSERT INTO attempts (at, source, account, endpoint, host, run, subject, cost, state, ms, kind)"
            " VALUES (?,'s','s','bars',?,'r','A',1,'settled',?,?)"
        )
        with sqlite3.connect(tmp_path / "l.db") as db:
            db.executemany(put, [(us(START), *row) for row in asked])
        assert "".join(hosts_of(ledger, "s", ("a", "b", "c"), START - timedelta(hours=1)).order) == order
