"""`mdagent doctor`: is everything in order? It looks and never mends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import pytest

from mdagent.clock import VirtualClock
from mdagent.store.ledger import open_ledger
from mdagent.store.lock import locked
from tests.cli.shell import NOW

if TYPE_CHECKING:
    from tests.cli.shell import Said, Shell


def checks(said: Said) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in said.json}


def test_a_sound_home_is_all_ok(stocked: Shell) -> None:
    told = checks(stocked.good("doctor", "--json"))
    assert {row["state"] for row in told.values()} == {"ok"}
    assert told.keys() >= {"versions", "settings", "clock", "disk", "key of yahoo", "ledger", "store", "keys of bars"}
    assert "42 bars" in told["store"]["seen"]
    assert told["keys of bars"]["seen"] == "0 rows share the key of another"
    assert "world sandbox" in told["settings"]["seen"]


def test_an_empty_home_is_noted_and_nothing_is_made(shell: Shell) -> None:
    told = checks(shell.good("doctor", "--json"))
    assert (told["store"]["state"], told["ledger"]["state"]) == ("note", "note")
    assert told["store"]["next_step"] == "mdagent fetch AAPL makes it"
    assert not shell.files()


def test_rows_that_share_a_key_are_found(stocked: Shell) -> None:
    with duckdb.connect(stocked.home / "bars.duckdb") as db:
        db.execute("INSERT INTO bars SELECT * FROM bars WHERE symbol = 'AAPL'")
    said = stocked.run("doctor", "--json")
    assert said.code == 3
    told = checks(said)["keys of bars"]
    assert (told["state"], told["seen"]) == ("bad", "21 rows share the key of another")


@pytest.mark.parametrize("content", [b"", b"not a database"])
def test_a_damaged_store_is_told_and_left_as_it_is(stocked: Shell, content: bytes) -> None:
    path = stocked.home / "bars.duckdb"
    path.write_bytes(content)
    said = stocked.run("doctor", "--json")
    assert said.code == 9
    assert checks(said)["store"]["state"] == "bad"
    assert checks(said)["ledger"]["state"] == "ok", "the other checks ran"
    assert path.read_bytes() == content
    fetched = stocked.run("fetch", "AAPL")
    assert (fetched.code, fetched.out) == (9, "")
    assert path.read_bytes() == content


def test_a_damaged_ledger_is_told_and_left_as_it_is(stocked: Shell) -> None:
    path = stocked.home / "ledger.db"
    path.write_bytes(b"x" * 5000)
    said = stocked.run("doctor", "--json")
    assert said.code == 9
    assert checks(said)["ledger"]["state"] == "bad"
    assert checks(said)["store"]["state"] == "ok"
    assert path.read_bytes() == b"x" * 5000


def test_a_store_that_somebody_writes_to_names_the_writer(stocked: Shell) -> None:
    with locked(stocked.home / "bars.duckdb", VirtualClock(NOW), write=True, wait=0, purpose="backfill"):
        said = stocked.run("doctor", "--json", "--lock-wait", "0")
    assert said.code == 8
    assert "(backfill, since 2024-02-05T22:00:00" in checks(said)["store"]["seen"]


def test_a_block_is_noted(stocked: Shell) -> None:
    with open_ledger(stocked.home / "ledger.db", VirtualClock(NOW)) as ledger:
        ledger.block("yahoo", 300.0, "yahoo asked to be left alone (RATE_LIMITED)")
    told = checks(stocked.good("doctor", "--json"))["quota of yahoo"]
    assert (told["state"], told["seen"]) == ("note", "yahoo asked to be left alone (RATE_LIMITED) until 2024-02-05 22:05:00Z")


def test_a_clock_that_is_years_behind_is_bad_in_the_live_world(shell: Shell) -> None:
    shell.clock.set(datetime(2001, 1, 1, tzinfo=UTC))
    assert checks(shell.good("doctor", "--json"))["clock"]["state"] == "ok", "the sandbox may be anywhere in time"
    said = shell.run("doctor", "--json", MDAGENT_SANDBOX="")
    assert said.code == 3
    assert checks(said)["clock"]["next_step"] == "set the machine's clock"


def test_a_person_gets_a_table(stocked: Shell) -> None:
    stocked.screens = (True, True)
    assert "versions" in stocked.good("doctor").out
