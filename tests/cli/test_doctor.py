"""`mdagent doctor`: is everything in order? It looks and never mends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import pytest

from mdagent.clock import VirtualClock
from mdagent.sources import NAMES, spec_of
from mdagent.store.ledger import open_ledger
from mdagent.store.lock import locked
from tests.cli.shell import NOW

if TYPE_CHECKING:
    from tests.cli.shell import Said, Shell

LATER = datetime(2099, 1, 1, tzinfo=UTC)  # in the live world a clock before the day of the build is wrong
KEYED = [name for name in NAMES if spec_of(name).needs_key]


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


def test_a_missing_key_is_a_note_that_names_the_variable(shell: Shell) -> None:
    shell.clock.set(LATER)
    told = checks(shell.good("doctor", "--json", MDAGENT_SANDBOX=""))
    for name in KEYED:
        end = spec_of(name).retired(shell.clock.now().date())
        row = told[f"key of {name}"]
        assert row["state"] == "note"
        if end:
            assert f"retired on {end.day}" in row["seen"]
        else:
            assert (row["seen"], row["next_step"]) == ("missing", f"set MDAGENT_{name.upper()}_API_KEY")
    assert told["key of yahoo"]["state"] == "ok"


def test_a_key_that_is_there_is_ok_and_not_shown(shell: Shell) -> None:
    shell.clock.set(LATER)
    keys = {f"MDAGENT_{name.upper()}_API_KEY": "canary-4711-key" for name in KEYED}
    said = shell.good("doctor", "--json", MDAGENT_SANDBOX="", **keys)
    assert "canary" not in said.out
    ended = [name for name in KEYED if spec_of(name).retired(LATER.date())]
    assert {checks(said)[f"key of {name}"]["seen"] for name in KEYED if name not in ended} == {"present"}


def test_a_source_that_is_disabled_needs_no_key(shell: Shell) -> None:
    shell.clock.set(LATER)
    off = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES}
    told = checks(shell.good("doctor", "--json", MDAGENT_SANDBOX="", **off))
    assert {told[f"key of {name}"]["seen"] for name in NAMES} == {"the source is disabled"}


def test_the_sandbox_needs_no_key(shell: Shell) -> None:
    told = checks(shell.good("doctor", "--json"))
    assert {told[f"key of {name}"]["seen"] for name in KEYED} == {"not needed in the sandbox"}


def test_a_plan_that_the_source_does_not_have_is_bad(shell: Shell) -> None:
    said = shell.run("doctor", "--json", MDAGENT_SOURCES__YAHOO__PLAN="gold")
    assert said.code == 3
    bad = [row for row in said.json if row["state"] == "bad"]
    assert [(row["seen"], row["next_step"]) for row in bad] == [
        ("sources.yahoo.plan is 'gold': Yahoo Finance has no such plan", "use one of free")
    ]


def test_a_person_gets_a_table(stocked: Shell) -> None:
    stocked.screens = (True, True)
    assert "versions" in stocked.good("doctor").out
