"""`mdagent store`: what the file of bars holds, whether it is sound, and the file written anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from mdagent.clock import SystemClock
from mdagent.errors import StoreFull
from mdagent.store.bars import BarStore
from mdagent.store.compact import compact
from tests.cli.shell import JANUARY, Shell, strict

if TYPE_CHECKING:
    from pathlib import Path

CHECKS = {
    "pages", "keys of bars", "batch of bars", "batch of quarantine", "batch of revisions", "grade of findings", "calendar of sessions",
    "coverage", "values of bars", "counter of batches", "provisional bars", "number of bars", "contents of batches",
}  # fmt: skip


def path_of(shell: Shell) -> Path:
    return shell.home / "bars.duckdb"


def everything(shell: Shell) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in an order of its own."""
    with duckdb.connect(path_of(shell), read_only=True) as db:
        names = [row[0] for row in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {name: db.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall() for name in sorted(names)}


def spoil(shell: Shell, *statements: str) -> None:
    with duckdb.connect(path_of(shell)) as db:
        for one in statements:
            db.execute(one)


def checked(shell: Shell, code: int = 0) -> dict[str, dict[str, str]]:
    said = shell.run("store", "check", "--csv")
    assert said.code == code, said.err
    return {row["check"]: row for row in said.rows}


def wasteful(shell: Shell) -> None:
    """Nine tenths of the bars are gone from the middle of the file."""
    spoil(
        shell,
        "INSERT INTO bars SELECT bars.* REPLACE (ts - INTERVAL 30 YEAR - INTERVAL 1 MINUTE * n AS ts, open + random() AS open)"
        " FROM bars, range(20000) r(n)",
        "CHECKPOINT",
        "INSERT INTO bars SELECT bars.* REPLACE (ts - INTERVAL 50 YEAR AS ts) FROM bars WHERE ts > TIMESTAMP '2000-01-01'",
        "CHECKPOINT",
        "DELETE FROM bars WHERE ts BETWEEN TIMESTAMP '1980-01-01' AND TIMESTAMP '2000-01-01'",
        "CHECKPOINT",
    )


# ---- stats


def test_stats_tell_rows_and_bytes(stocked: Shell) -> None:
    rows = {(r["kind"], r["name"], r["interval"]): r for r in stocked.good("store", "stats", "--csv").rows}
    bars, series = rows["table", "bars", ""], rows["series", "yahoo", "1d"]
    assert (bars["rows"], series["rows"]) == ("42", "42")
    assert 0 < int(bars["bytes"]) <= int(rows["file", "size", ""]["bytes"])
    assert int(series["bytes"]) == int(bars["bytes"])
    assert float(series["bytes_a_row"]) == pytest.approx(int(series["bytes"]) / 42, abs=0.1)
    assert int(rows["file", "size", ""]["bytes"]) == path_of(stocked).stat().st_size
    assert rows["write", "first", ""]["told"].startswith("2024-02-05T22:0")
    assert rows["version", "duckdb", ""]["told"] == duckdb.__version__
    assert {r["kind"] for r in stocked.good("store", "stats", "--json").json} == {"table", "series", "file", "write", "version"}


def test_stats_tell_the_series_apart(three_sources: Shell) -> None:
    found = [r for r in three_sources.good("store", "stats", "--csv").rows if r["kind"] in ("series", "table")]
    whole = next(r for r in found if r["name"] == "bars")
    series = [r for r in found if r["kind"] == "series"]
    assert len(series) == 3
    assert sum(int(r["rows"]) for r in series) == int(whole["rows"])
    assert sum(int(r["bytes"]) for r in series) == pytest.approx(int(whole["bytes"]), abs=3)


# ---- check


def test_a_store_that_fetches_made_is_sound(three_sources: Shell) -> None:
    found = checked(three_sources)
    assert set(found) == CHECKS
    assert {row["state"] for row in found.values()} == {"ok"}


SPOILT = {
    "keys of bars": "INSERT INTO bars SELECT * FROM bars LIMIT 1",
    "batch of bars": "UPDATE bars SET batch = 77 WHERE symbol = 'MSFT'",
    "batch of quarantine": "INSERT INTO quarantine VALUES ('A', '1d', NULL, 'yahoo', 'raw', 'c', 'r', '{}', TIMESTAMP '2024-01-01', 99)",
    "grade of findings": (
        "INSERT INTO findings VALUES (99, 'A', '1d', 'yahoo', 'c', 'high', NULL, NULL, 1, NULL, NULL, 'words', 'bad_tick', NULL)"
    ),
    "coverage": "INSERT INTO coverage SELECT * REPLACE (start_ts + INTERVAL 1 DAY AS start_ts) FROM coverage WHERE interval = '1d' LIMIT 1",
    "values of bars": "UPDATE bars SET close = 'nan'::DOUBLE WHERE ts = TIMESTAMP '2024-01-03'",
    "calendar of sessions": "DELETE FROM calendars",
    "counter of batches": "UPDATE journal SET batch = 5000; UPDATE bars SET batch = 5000; UPDATE grades SET batch = 5000;"
    " UPDATE findings SET batch = 5000",
    "number of bars": "DELETE FROM bars WHERE symbol = 'MSFT' AND ts = TIMESTAMP '2024-01-03'",
    "contents of batches": "UPDATE bars SET close = close + 0.01 WHERE symbol = 'MSFT' AND ts = TIMESTAMP '2024-01-03'",
}
WITH_IT = {"values of bars": {"contents of batches"}}  # what is no number did not come so


@pytest.mark.parametrize("name", SPOILT)
def test_each_damage_is_found_and_says_what_to_do(stocked: Shell, name: str) -> None:
    spoil(stocked, SPOILT[name])
    found = checked(stocked, code=9)
    assert {check for check, row in found.items() if row["state"] == "bad"} == {name, *WITH_IT.get(name, ())}
    assert int(found[name]["wrong"]) > 0
    assert found[name]["next_step"]
    said = stocked.run("store", "check")
    assert "is damaged" in said.err
    assert "→" in said.err


def test_a_bar_that_is_not_what_came_is_named_and_mended_by_asking_again(stocked: Shell) -> None:
    spoil(stocked, SPOILT["contents of batches"])
    assert "1 of 2 batches" in checked(stocked, code=9)["contents of batches"]["seen"]
    assert "MSFT 1d yahoo from 2024-01-02" in checked(stocked, code=9)["contents of batches"]["seen"]
    said = stocked.run("doctor", "--json")
    assert (said.code, {row["name"] for row in said.json if row["state"] == "bad"}) == (9, {"contents"})
    stocked.good("fetch", "MSFT", *JANUARY, "--refresh")
    assert "hashed again: 1 of 3 batches" in checked(stocked)["contents of batches"]["seen"]
    assert stocked.good("doctor")


def test_bars_that_are_provisional_for_long_are_a_note(stocked: Shell) -> None:
    spoil(stocked, "UPDATE bars SET provisional = true WHERE ts = TIMESTAMP '2024-01-03'")
    found = checked(stocked)["provisional bars"]
    assert (found["state"], found["wrong"]) == ("note", "2")
    assert "mdagent fetch SYMBOL" in found["next_step"]


def test_a_page_that_rotted_is_found_by_its_checksum(stocked: Shell) -> None:
    with duckdb.connect(path_of(stocked), read_only=True) as db:
        sql = "SELECT block_id FROM pragma_storage_info('bars') WHERE column_name = 'close' AND block_id >= 0 AND segment_type = 'DOUBLE'"
        block = (db.execute(sql).fetchone() or (0,))[0]
    with path_of(stocked).open("r+b") as file:
        file.seek(3 * 4096 + block * 262144 + 5000)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))
    said = stocked.run("store", "check", "--csv")
    assert (said.code, "checksum" in said.out + said.err) == (9, True)
    assert "→" in said.err


def test_what_a_killed_process_left_is_told_and_cleared_away(stocked: Shell) -> None:
    (stocked.home / ".bars.duckdb.new-1").write_bytes(b"half")
    (stocked.home / ".bars.duckdb.new-1.tmp").mkdir()
    assert checked(stocked)["half-built files"]["state"] == "note"
    stocked.good("store", "compact")
    assert set(checked(stocked)) == CHECKS


# ---- compact


def test_a_compacted_store_holds_the_same_in_fewer_bytes(stocked: Shell) -> None:
    wasteful(stocked)
    before, size = everything(stocked), path_of(stocked).stat().st_size
    told = stocked.good("store", "compact", "--json")
    assert (told.json["before"], told.json["rewritten"]) == (size, True)
    assert told.json["after"] == path_of(stocked).stat().st_size < 0.7 * size
    assert f"{size:,} bytes before, {told.json['after']:,} after" in told.err
    assert everything(stocked) == before
    assert path_of(stocked).stat().st_mode & 0o777 == 0o600
    assert not [name for name in stocked.files() if ".new-" in name or name.endswith(".wal")]


def test_what_was_told_is_told_again_and_the_store_lives_on(three_sources: Shell) -> None:
    words = [("export",), ("grade",), ("validate", "AAPL", "--json"), ("store", "check"), ("sources", "log")]
    before = [three_sources.good(*one).out for one in words]
    three_sources.good("store", "compact")
    assert [three_sources.good(*one).out for one in words] == before
    three_sources.good("fetch", "NVDA", *JANUARY)
    three_sources.good("override", "NVDA", "2024-01-03", "--reject", "--reason", "x", "--by", "me")
    assert {row["state"] for row in checked(three_sources).values()} == {"ok"}
    three_sources.good("store", "compact")
    assert len(three_sources.good("override", "--list").rows) == 1
    assert len(three_sources.good("export", "NVDA").rows) == 20


def test_bars_lie_in_the_order_in_which_they_are_read(stocked: Shell) -> None:
    stocked.good("fetch", "AAPL", "--start", "2023-11-01", "--end", "2024-01-02", "--source", "tiingo")
    stocked.good("store", "compact")
    with duckdb.connect(path_of(stocked), read_only=True) as db:
        rows = db.execute("SELECT symbol, interval, source, adjustment, ts FROM bars ORDER BY rowid").fetchall()
    assert rows == sorted(rows)


def test_a_counter_that_fell_behind_is_set_right(stocked: Shell) -> None:
    spoil(stocked, SPOILT["counter of batches"])
    assert "mdagent store compact" in checked(stocked, code=9)["counter of batches"]["next_step"]
    stocked.good("store", "compact")
    assert {row["state"] for row in checked(stocked).values()} == {"ok"}


def test_a_table_that_we_do_not_know_is_kept(stocked: Shell) -> None:
    spoil(stocked, "CREATE TABLE mine AS SELECT 1 AS one")
    stocked.good("store", "compact")
    assert everything(stocked)["mine"] == [(1,)]


def test_little_waste_is_left_alone(stocked: Shell) -> None:
    stocked.good("store", "compact")
    before = path_of(stocked).stat()
    said = stocked.good("store", "compact", "--if-waste", "0.5", "--json")
    assert (said.json["rewritten"], "left as it is" in said.err) == (False, True)
    assert path_of(stocked).stat().st_ino == before.st_ino
    wasteful(stocked)
    assert strict(stocked.good("store", "compact", "--if-waste", "0.5", "--json").out)["rewritten"] is True


def test_without_room_for_a_second_file_nothing_is_done(stocked: Shell) -> None:
    before, store = path_of(stocked).read_bytes(), BarStore(path_of(stocked), "sandbox", SystemClock())
    with pytest.raises(StoreFull, match="has 1,000 bytes free") as told:
        compact(store, free=lambda _: 1000)
    assert "free some space" in told.value.hint
    assert path_of(stocked).read_bytes() == before


def test_a_link_to_a_store_stays_a_link(stocked: Shell) -> None:
    path_of(stocked).rename(stocked.cwd / "real.duckdb")
    path_of(stocked).symlink_to(stocked.cwd / "real.duckdb")
    stocked.good("store", "compact")
    assert path_of(stocked).is_symlink()
    assert len(stocked.good("export", "AAPL").rows) == 21


@pytest.mark.parametrize("command", ["stats", "check", "compact"])
def test_without_a_store_there_is_nothing_to_look_at(shell: Shell, command: str) -> None:
    said = shell.run("store", command)
    assert (said.code, "there is no store" in said.err) == (12, True)
    assert not shell.files()


def test_a_busy_store_is_waited_for_and_then_told(stocked: Shell) -> None:
    store = BarStore(path_of(stocked), "sandbox", SystemClock())
    with store.reading():
        said = stocked.run("store", "compact", "--lock-wait", "0")
    assert (said.code, "is in use" in said.err) == (8, True)
