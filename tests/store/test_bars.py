"""The bar store: what is written once stays, what changes is told, and what is damaged is left alone."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdagent.errors import ConfigError, StoreBusy, StoreDamaged, WrongWorld
from mdagent.market import CorporateAction, Instrument, RejectedRow, Symbol
from mdagent.store.literal import naive
from tests.store.batches import NOW, batch, closes, finding, keep, store_at, table, utc

if TYPE_CHECKING:
    from pathlib import Path

WEEK = {"2024-01-02": 10.0, "2024-01-03": 11.0, "2024-01-04": 12.0}


# Upsert


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    (kept,) = keep(store, batch(WEEK))
    assert (kept.inserted, kept.replaced, kept.revised, kept.quarantined) == (3, 0, 0, 0)
    assert closes(store) == WEEK


def test_the_same_bars_again_change_nothing(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    first, again = keep(store, batch(WEEK), batch(WEEK))
    assert (again.inserted, again.replaced, again.revised) == (0, 0, 0)
    assert closes(store) == WEEK
    assert table(store, "SELECT DISTINCT batch FROM bars") == [(first.batch,)]
    assert table(store, "SELECT count(DISTINCT digest), count(*) FROM journal") == [(1, 2)]


def test_only_new_rows_are_added(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    _, more = keep(store, batch(WEEK), batch(WEEK | {"2024-01-05": 13.0}))
    assert (more.inserted, more.replaced, more.revised) == (1, 0, 0)
    assert closes(store) == WEEK | {"2024-01-05": 13.0}


def test_older_rows_that_arrive_later_stand_in_order(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch({"2024-01-04": 12.0}), batch({"2024-01-02": 10.0, "2024-01-03": 11.0}))
    assert list(closes(store)) == list(WEEK)


def test_a_provisional_bar_is_replaced_without_ado(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    _, live, final = keep(store, batch({"2024-01-02?": 10.0}), batch({"2024-01-02?": 10.5}), batch({"2024-01-02": 11.0}))
    assert (live.inserted, live.replaced, live.revised) == (0, 1, 0)
    assert (final.inserted, final.replaced, final.revised) == (0, 1, 0)
    assert closes(store) == {"2024-01-02": 11.0}
    assert table(store, "SELECT count(*) FROM revisions") == [(0,)]


def test_a_provisional_bar_becomes_final_even_when_its_prices_stay(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    _, final = keep(store, batch({"2024-01-02?": 10.0}), batch({"2024-01-02": 10.0}))
    assert final.replaced == 1
    assert closes(store) == {"2024-01-02": 10.0}


def test_a_final_bar_that_changed_is_kept_as_a_revision(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    first, second = keep(store, batch(WEEK), batch(WEEK | {"2024-01-03": 11.5}))
    assert (second.inserted, second.replaced, second.revised) == (0, 0, 1)
    assert closes(store) == WEEK | {"2024-01-03": 11.5}
    told = table(store, "SELECT ts, close, batch, replaced_by, replaced_at FROM revisions")
    assert told == [(naive(utc("2024-01-03")), 11.0, first.batch, second.batch, naive(NOW))]


def test_a_changed_volume_is_a_revision_too(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    _, second, third = keep(store, batch(WEEK), batch(WEEK, volume=200.0), batch(WEEK, volume=math.nan))
    assert (second.revised, third.revised) == (3, 3)
    assert table(store, "SELECT count(*) FROM bars WHERE volume IS NULL") == [(3,)]


def test_a_wobble_in_the_last_place_of_a_float32_is_no_revision(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    wobble = {day: float(np.float32(close * (1 + 3e-7))) for day, close in WEEK.items()}
    _, second = keep(store, batch(WEEK), batch(wobble))
    assert (second.replaced, second.revised) == (0, 0)
    assert closes(store) == WEEK


def test_a_provisional_bar_never_takes_the_place_of_a_final_one(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    _, late = keep(store, batch({"2024-01-02": 10.0}), batch({"2024-01-02?": 99.0}))
    assert (late.inserted, late.replaced, late.revised) == (0, 0, 0)
    assert closes(store) == {"2024-01-02": 10.0}


def test_each_source_has_its_own_row_and_the_series_picks_the_final_and_better_graded(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(
        store,
        batch({"2024-01-02": 10.0, "2024-01-03?": 11.0}),
        batch({"2024-01-02": 20.0, "2024-01-03": 21.0}, source="other", scores=np.array([50.0, 50.0])),
    )
    assert table(store, "SELECT count(*) FROM bars") == [(4,)]
    assert closes(store) == {"2024-01-02": 10.0, "2024-01-03": 21.0}
    assert closes(store, "AAPL", "other") == {"2024-01-02": 20.0, "2024-01-03": 21.0}
    assert table(store, "SELECT close FROM consolidated ORDER BY ts") == [(10.0,), (21.0,)]


def test_symbols_do_not_mix(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK), batch({"2024-01-02": 77.0}, symbol="MSFT"))
    assert closes(store) == WEEK
    assert closes(store, "MSFT") == {"2024-01-02": 77.0}
    with store.reading() as reader:
        assert reader.symbols() == ["AAPL", "MSFT"]
        assert reader.duplicates() == 0


PRICE = st.sampled_from([10.0, 11.0])
DAY = st.integers(2, 6).map(lambda d: f"2024-01-{d:02}")


@settings(max_examples=8)
@given(st.lists(st.dictionaries(st.tuples(DAY, st.booleans()), PRICE, min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_order_of_batches_keeps_one_row_a_day_and_loses_no_final_one(tmp_path_factory: pytest.TempPathFactory, told: list[Any]) -> None:
    store = store_at(tmp_path_factory.mktemp("any"))
    right: dict[str, tuple[bool, float]] = {}
    revised = 0
    for one in told:
        rows = {day: (provisional, close) for (day, provisional), close in one.items()}
        keep(store, batch({day + ("?" if provisional else ""): close for day, (provisional, close) in rows.items()}))
        for day, (provisional, close) in rows.items():
            was = right.get(day)
            revised += was is not None and not was[0] and not provisional and was[1] != close
            if was is None or was[0] or not provisional:
                right[day] = (provisional, close)
    assert closes(store) == {day + ("?" if p else ""): close for day, (p, close) in sorted(right.items())}
    assert table(store, "SELECT count(*) FROM revisions") == [(revised,)]


# What is said beside the bars


def test_findings_grade_and_arithmetic_come_back_with_the_window(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    one = batch(WEEK, findings=(finding("it's told; with a quote"),))
    keep(store, one)
    with store.reading() as reader:
        told = reader.standing(one.request, "yahoo")
    assert (told.bars, told.provisional, told.quarantined) == (3, 0, 0)
    assert (told.letter, told.score, told.arithmetic) == (one.grade.letter, one.grade.score, one.arithmetic)
    assert told.findings == (("low", "gaps", "it's told; with a quote"),)


def test_quarantined_rows_are_kept_and_counted_for_the_window_they_came_with(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    lost = (RejectedRow(utc("2024-01-03"), "values", "no price", '{"close": null}'), RejectedRow(None, "stamp", "no time", "{}"))
    one = batch({"2024-01-02": 10.0, "2024-01-04": 12.0}, quarantine=lost)
    keep(store, one)
    with store.reading() as reader:
        assert reader.standing(one.request, "yahoo").quarantined == 2
    assert table(store, "SELECT ts, check_name, reason, raw FROM quarantine ORDER BY ts") == [
        (naive(utc("2024-01-03")), "values", "no price", '{"close": null}'),
        (None, "stamp", "no time", "{}"),
    ]


def test_a_row_that_came_right_later_leaves_the_quarantine(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    lost = (RejectedRow(utc("2024-01-03"), "values", "no price", "{}"),)
    keep(store, batch({"2024-01-02": 10.0, "2024-01-04": 12.0}, quarantine=lost), batch(WEEK))
    assert table(store, "SELECT count(*) FROM quarantine") == [(0,)]


def test_an_answer_without_a_bar_is_still_written_down(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    one = batch(WEEK)
    empty = batch(WEEK, bars=one.bars.take(np.zeros(3, dtype=bool)), scores=np.array([]), provisional=np.array([], dtype=bool))
    (kept,) = keep(store, empty)
    assert kept.inserted == 0
    with store.reading() as reader:
        assert len(reader.coverage(one.request, "yahoo")) == 1


def test_a_corporate_action_is_kept_once_and_a_changed_one_beside_it(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    split = CorporateAction("split", date(2024, 1, 3), 4.0)
    again = CorporateAction("split", date(2024, 1, 3), 2.0)
    keep(store, batch(WEEK, actions=(split,)), batch(WEEK, actions=(split,)), batch(WEEK, actions=(again,)))
    assert table(store, "SELECT kind, date, value FROM actions ORDER BY batch") == [
        ("split", date(2024, 1, 3), 4.0),
        ("split", date(2024, 1, 3), 2.0),
    ]


def test_what_a_source_said_of_a_symbol_is_kept_as_it_said_it_last(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    for exchange in ("NYQ", "NMS"):
        one = batch(WEEK)
        told = Instrument(Symbol.parse("AAPL"), "yahoo", "Apple; DROP TABLE bars; --'", exchange, "America/New_York", "USD", "EQUITY")
        keep(store, batch(WEEK, bars=type(one.bars)(**{f: getattr(one.bars, f) for f in one.bars.__slots__} | {"instrument": told})))
    with store.reading() as reader:
        assert reader.exchange_of("AAPL") == ("NMS", "America/New_York", "EQUITY")
        assert reader.exchange_of("MSFT") is None
    assert table(store, "SELECT name FROM instruments") == [("Apple; DROP TABLE bars; --'",)]


# All or nothing


def test_a_transaction_that_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK))

    class Stopped(Exception):
        pass

    def half_way() -> None:
        with store.writing("test") as writer:
            writer.keep(batch({"2024-01-08": 99.0}))
            raise Stopped

    with pytest.raises(Stopped):
        half_way()
    assert closes(store) == WEEK
    assert table(store, "SELECT count(*) FROM journal") == [(1,)]


# The file


def test_a_store_is_made_by_rename_and_nothing_else_is_left(tmp_path: Path) -> None:
    store = store_at(tmp_path / "deep" / "er")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    leftover = tmp_path / "deep" / "er" / ".bars.duckdb.new-1"
    leftover.write_bytes(b"half")
    assert not store.exists()
    keep(store, batch(WEEK))
    assert store.exists()
    assert sorted(p.name for p in store.path.parent.iterdir()) == ["bars.duckdb", "bars.duckdb.lock", "bars.duckdb.turn"]
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in store.path.parent.iterdir())


def test_a_folder_is_made_for_a_new_store_for_its_owner_alone(tmp_path: Path) -> None:
    store = store_at(tmp_path / "home")
    keep(store, batch(WEEK))
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        keep(store_at(tmp_path / "file"), batch(WEEK))
    assert "MDAGENT_HOME" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00" * 100, b"\x00" * 5000, b"text"])
def test_a_file_that_is_no_store_is_damaged_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    store = store_at(tmp_path)
    store.path.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"bars\.duckdb") as caught, store.reading():
        pass
    assert "doctor" in caught.value.hint
    with pytest.raises(StoreDamaged):
        keep(store, batch(WEEK))
    assert store.path.read_bytes() == content


def test_a_store_cut_short_is_damaged_and_left_as_it_is(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK))
    half = store.path.read_bytes()[:8000]
    store.path.write_bytes(half)
    with pytest.raises(StoreDamaged), store.reading() as reader:
        reader.sizes()
    assert store.path.read_bytes() == half


def test_a_database_of_somebody_else_is_no_store(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    duckdb.connect(store.path).close()
    with pytest.raises(StoreDamaged), store.reading():
        pass


def test_a_store_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK))
    db = duckdb.connect(store.path)
    db.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    db.close()
    with pytest.raises(StoreDamaged, match="has version 99, this mdagent knows version"), store.reading():
        pass


def test_bars_of_two_worlds_never_share_a_store(tmp_path: Path) -> None:
    keep(store_at(tmp_path, "sandbox"), batch(WEEK))
    for other in ("live", "replay"):
        with pytest.raises(WrongWorld, match=f"holds sandbox bars; {other} bars may not enter") as caught:
            keep(store_at(tmp_path, other), batch({"2024-01-08": 1.0}))
        assert "--store" in caught.value.hint
        with pytest.raises(WrongWorld), store_at(tmp_path, other).reading():
            pass
    assert closes(store_at(tmp_path, "sandbox")) == WEEK


def test_a_program_that_knows_no_lock_of_ours_is_waited_for_and_then_told_of(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keep(store, batch(WEEK))
    import subprocess
    import sys

    code = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    held = subprocess.Popen([sys.executable, "-c", code, str(store.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        with pytest.raises(StoreBusy, match="does not know mdagent's lock"):
            keep(store, batch(WEEK))
        assert store.clock.monotonic() == pytest.approx(2.0, abs=0.01)
    finally:
        held.communicate()
    assert closes(store) == WEEK
