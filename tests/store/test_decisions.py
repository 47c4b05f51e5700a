"""What people decide and mend: kept beside the bars, laid over them when they are read."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.errors import UsageError
from mdagent.quality.repair import Correction
from mdagent.store.decided import ANYBODY
from mdagent.store.decisions import (
    ACCEPT,
    REJECT,
    Bar,
    Mending,
    Override,
    Series,
    mended,
    override,
    overrides,
    repair,
    repairs,
    undo_override,
    undo_repair,
)
from tests.store.batches import NOW, batch, closes, keep, table, utc
from tests.store.told import dividend, read, split, tells

if TYPE_CHECKING:
    from datetime import datetime

    from mdagent.store.bars import BarStore

WEEK = {"2024-01-02": 10.0, "2024-01-03": 11.0, "2024-01-04": 12.0}
SERIES = Series("AAPL", "1d", "yahoo", "splits")


def decide(store: BarStore, day: str, decision: str, source: str = ANYBODY, *, reason: str = "x", at: datetime = NOW) -> Override:
    with store.writing("test") as writer:
        return override(writer.ask, Override(0, Bar("AAPL", "1d", utc(day), source), decision, reason, "ann", at))[0]


def mend(store: BarStore, day: str, old: float, new: float, *, kind: str = "bad_tick", at: datetime = NOW, **more: Any) -> Any:
    rows = tuple(4 * (v,) + (100.0,) for v in (old, new))
    one = Correction(utc(day), kind, rows[0], rows[1], None, "a, b say so?", **more)
    with store.writing("test") as writer:
        return repair(writer.ask, Mending(SERIES, kind, (one,), "ann", "run", at))


def test_a_store_without_decisions_reads_the_plain_table(store: BarStore) -> None:
    keep(store, batch(WEEK))
    with store.reading() as reader:
        assert reader.joint(batch(WEEK).request).table == "bars"
    decide(store, "2024-01-03", REJECT)
    with store.reading() as reader:
        assert reader.joint(batch(WEEK).request).table != "bars"


def test_a_rejection_of_one_source_leaves_the_others(store: BarStore) -> None:
    keep(store, batch(WEEK), batch({"2024-01-03": 11.5}, source="tiingo"))
    decide(store, "2024-01-03", REJECT, "yahoo")
    assert closes(store) == WEEK | {"2024-01-03": 11.5}
    assert closes(store, "AAPL", "yahoo") == {"2024-01-02": 10.0, "2024-01-04": 12.0}


def test_a_rejection_of_the_bar_holds_for_a_source_that_comes_later(store: BarStore) -> None:
    keep(store, batch(WEEK))
    decide(store, "2024-01-03", REJECT)
    keep(store, batch({"2024-01-03": 11.5}, source="tiingo"))
    assert "2024-01-03" not in closes(store)


def test_the_last_of_several_decisions_holds_whatever_it_is_about(store: BarStore) -> None:
    keep(store, batch(WEEK), batch(WEEK, source="tiingo"))
    decide(store, "2024-01-03", REJECT)
    kept = decide(store, "2024-01-03", ACCEPT, "yahoo")
    with store.reading() as reader:
        rows: list[Any] = reader.bars([batch(WEEK).request])
    assert [r[8] for r in rows if r[2].day == 3] == ["yahoo"]
    with store.writing("test") as writer:
        undo_override(writer.ask, kept.number, NOW)
    assert "2024-01-03" not in closes(store)


def test_the_view_consolidated_has_the_columns_of_bars_and_the_marks(store: BarStore) -> None:
    keep(store, batch(WEEK))
    mend(store, "2024-01-03", 11.0, 11.2)
    decide(store, "2024-01-04", REJECT)
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = '{}' ORDER BY ordinal_position"
    assert table(store, columns.format("consolidated")) == table(store, columns.format("bars"))
    told = table(store, "SELECT source, close, score FROM consolidated ORDER BY ts")
    assert told == [("yahoo", 10.0, 96.0), ("yahoo~repaired", 11.2, 86.0)]


def test_other_symbols_and_intervals_are_not_touched(store: BarStore) -> None:
    keep(store, batch(WEEK), batch(WEEK, symbol="MSFT"), batch(WEEK, interval="1w"))
    decide(store, "2024-01-03", REJECT)
    assert closes(store, "MSFT") == WEEK
    assert table(store, "SELECT interval, count(*) FROM consolidated WHERE symbol = 'AAPL' GROUP BY ALL ORDER BY 1") == [
        ("1d", 2),
        ("1w", 3),
    ]


def test_the_same_decision_with_another_reason_is_another_one(store: BarStore) -> None:
    keep(store, batch(WEEK))
    first = decide(store, "2024-01-03", REJECT)
    assert decide(store, "2024-01-03", REJECT).number == first.number
    assert decide(store, "2024-01-03", REJECT, reason="it's a misprint?").number != first.number
    with store.reading() as reader:
        assert [o.reason for o in overrides(reader.ask, "AAPL")] == ["it's a misprint?", "x"]
        assert overrides(reader.ask, "MSFT") == []


def test_a_repair_of_a_row_that_says_something_else_by_now_is_not_written(store: BarStore) -> None:
    keep(store, batch(WEEK))
    assert mend(store, "2024-01-03", 11.3, 11.2) is None
    assert table(store, "SELECT count(*) FROM repairs") == [(0,)]


def test_a_repair_holds_while_the_source_says_what_it_said_and_no_longer(store: BarStore) -> None:
    keep(store, batch(WEEK))
    mend(store, "2024-01-03", 11.0, 11.2)
    keep(store, batch(WEEK, at=NOW + timedelta(days=1)))
    assert closes(store)["2024-01-03"] == 11.2
    keep(store, batch(WEEK | {"2024-01-03": 11.1}, at=NOW + timedelta(days=2)))
    assert closes(store)["2024-01-03"] == 11.1
    with store.reading() as reader:
        assert [m.holds for m in mended(reader.ask, "AAPL", "1d")] == [False]


def test_a_newer_repair_takes_the_place_of_an_older_one_and_gives_it_back(store: BarStore) -> None:
    keep(store, batch(WEEK))
    mend(store, "2024-01-03", 11.0, 11.2)
    later = mend(store, "2024-01-03", 11.0, 11.4)
    assert closes(store)["2024-01-03"] == 11.4
    with store.writing("test") as writer:
        undo_repair(writer.ask, later.number, "AAPL", "run", NOW)
    assert closes(store)["2024-01-03"] == 11.2
    with store.reading() as reader:
        assert [r.undone_at is None for r in repairs(reader.ask, "AAPL")] == [False, True]


def test_a_repair_is_of_its_symbol(store: BarStore) -> None:
    keep(store, batch(WEEK))
    number = mend(store, "2024-01-03", 11.0, 11.2).number
    with store.writing("test") as writer, pytest.raises(UsageError, match=f"there is no repair {number} of MSFT"):
        undo_repair(writer.ask, number, "MSFT", "run", NOW)


def test_a_repaired_row_is_brought_to_another_basis_as_the_row_that_it_mends(store: BarStore) -> None:
    keep(store, batch(WEEK))
    tells(store, split("2024-01-04", 2.0), source="yahoo", at="2024-02-05T22:00")
    mend(store, "2024-01-03", 11.0, 11.2)
    assert read(store, "raw").closes == {"2024-01-02": 20.0, "2024-01-03": 22.4, "2024-01-04": 12.0}


def test_a_rejected_close_weighs_no_dividend(store: BarStore) -> None:
    keep(store, batch(WEEK))
    tells(store, dividend("2024-01-04", 1.0), source="yahoo", at="2024-02-05T22:00")
    assert read(store, "all").closes["2024-01-02"] == pytest.approx(10.0 * (1 - 1 / 11))
    decide(store, "2024-01-03", REJECT)
    assert read(store, "all").closes["2024-01-02"] == pytest.approx(10.0 * (1 - 1 / 10))


def test_the_standing_of_a_source_counts_what_stands(store: BarStore) -> None:
    keep(store, batch(WEEK))
    decide(store, "2024-01-03", REJECT)
    with store.reading() as reader:
        held = reader.standing(batch(WEEK).request, "yahoo")
    assert (held.bars, held.rejected) == (2, 1)


def test_what_was_decided_then_holds_for_what_was_known_then(store: BarStore) -> None:
    keep(store, batch(WEEK, at=NOW - timedelta(days=2)))
    one = decide(store, "2024-01-03", REJECT, at=NOW - timedelta(days=1))
    with store.writing("test") as writer:
        undo_override(writer.ask, one.number, NOW)

    def known(moment: datetime) -> bool:
        with store.reading() as reader:
            rows: list[Any] = reader.bars([batch(WEEK).request], (), moment)
        return any(r[2].day == 3 for r in rows)

    assert [known(NOW - timedelta(hours=h)) for h in (36, 12, 0)] == [True, False, True]


def test_many_bars_are_mended_at_once(store: BarStore) -> None:
    days = {f"{utc('2020-01-01') + timedelta(days=n):%Y-%m-%d}": 10.0 for n in range(1200)}
    keep(store, batch(days))
    rows = tuple(Correction(utc(d), "unadjusted_split", (10.0,) * 4 + (100.0,), (5.0,) * 4 + (200.0,), 0.5, "a split") for d in days)
    with store.writing("test") as writer:
        made = repair(writer.ask, Mending(SERIES, "unadjusted_split", rows, "ann", "run", NOW))
    assert made is not None
    assert made.bars == 1200
    assert set(closes(store).values()) == {5.0}
