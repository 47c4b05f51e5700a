"""Delivered rows become the bars of the window, and a word on every row that is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mdagent.market import BarRequest
from mdagent.sources.reading.columns import numbers
from mdagent.sources.reading.rows import Answer, Rows, assemble, near

START = datetime(2024, 1, 2, tzinfo=UTC)
REQUEST = BarRequest("AAPL", "1d", "2024-01-02", "2024-01-12")  # type: ignore[arg-type]
Cells = tuple[int, Any, Any, Any, Any, Any]


def plain(day: int, close: float = 10.0) -> Cells:
    return (day, close, close, close, close, 5.0)


def rows(*cells: Cells, real: list[bool] | None = None, **more: Any) -> Rows:
    """The rows of an answer; a row's stamp is so many days after the start of the window."""
    stamps = np.array([START.replace(tzinfo=None) + timedelta(days=c[0]) for c in cells], dtype="datetime64[us]")
    columns = tuple(numbers(str(i), [c[i] for c in cells], len(cells)) for i in range(1, 6))
    return assemble(Answer(stamps, np.array(real if real is not None else [True] * len(cells), dtype=bool), columns, **more), REQUEST)


def test_good_rows_are_bars_in_order() -> None:
    made = rows(plain(2, 3.0), plain(0, 1.0), plain(1, 2.0))
    assert made.table[3].tolist() == [1.0, 2.0, 3.0]
    assert made.delivery.unsorted
    assert made.delivery.rows == 3


def test_rows_beyond_the_window_are_told_and_left_out() -> None:
    made = rows(plain(-1), plain(0), plain(9), plain(10))
    assert len(made.ts) == 2
    assert made.delivery.outside == (START - timedelta(days=1), START + timedelta(days=10))


def test_a_row_of_nulls_is_absent_and_a_row_without_a_price_rejected() -> None:
    made = rows(
        plain(0),
        (1, None, None, None, None, None),
        (2, 1.0, None, 1.0, 1.0, 5.0),
        (3, 1.0, 1.0, 1.0, 1.0, None),
        (4, None, None, None, None, 0),
    )
    assert [t.item().day for t in made.ts] == [2, 5]
    assert np.isnan(made.table[4][1])
    assert made.delivery.absent == (START + timedelta(days=1),)
    assert [(r.ts, r.check) for r in made.delivery.rejected] == [
        (START + timedelta(days=2), "values"),
        (START + timedelta(days=4), "values"),
    ]


def test_a_volume_that_is_no_number_spoils_its_row() -> None:
    made = rows(plain(0), (1, 1.0, 1.0, 1.0, 1.0, "many"))
    assert len(made.ts) == 1
    assert '"volume": "no number"' in made.delivery.rejected[0].raw


def test_a_row_whose_stamp_is_no_time_is_rejected_without_one() -> None:
    made = rows(plain(0), plain(1), real=[True, False])
    assert len(made.ts) == 1
    (lost,) = made.delivery.rejected
    assert (lost.ts, lost.check) == (None, "stamp")


def test_the_first_of_equal_stamps_is_the_bar_and_later_ones_are_duplicates_or_conflicts() -> None:
    made = rows(plain(0, 1.0), plain(1, 2.0), plain(1, 9.0), plain(1, 2.0), plain(0, 1.0))
    assert made.table[3].tolist() == [1.0, 2.0]
    assert len(made.delivery.duplicates) == 2
    assert [r.check for r in made.delivery.conflicts] == ["duplicates"]


def test_two_rows_that_both_lack_a_volume_are_equal() -> None:
    made = rows((0, 1.0, 1.0, 1.0, 1.0, None), (0, 1.0, 1.0, 1.0, 1.0, None))
    assert (len(made.ts), len(made.delivery.duplicates), made.delivery.conflicts) == (1, 1, ())


def test_no_rows_are_no_bars() -> None:
    made = rows()
    assert len(made.ts) == 0
    assert made.table.shape == (5, 0)


def test_what_the_answer_said_of_itself_is_passed_on() -> None:
    told = rows(plain(0), snapshot=True, named=False).delivery
    assert told.snapshot
    assert not told.named


CELL = st.sampled_from([None, 1.0, 2.0, "x", float("nan"), True])


@given(st.lists(st.tuples(st.integers(-2, 12), CELL, CELL, CELL, CELL, CELL, st.booleans()), max_size=15))
def test_every_row_is_accounted_for_exactly_once(cells: list[tuple[Any, ...]]) -> None:
    cells.append((0, 1.0, 1.0, 1.0, 1.0, 1.0, True))  # a column of no numbers at all would be refused whole
    made = rows(*(c[:6] for c in cells), real=[c[6] for c in cells])
    told = made.delivery
    assert len(made.ts) + len(told.rejected) + len(told.conflicts) + len(told.duplicates) + len(told.absent) + len(told.outside) == len(
        cells
    )
    assert (np.diff(made.ts) > np.timedelta64(0)).all()
    assert np.isfinite(made.table[:4]).all()


def test_rows_that_were_left_unread_are_counted_and_told() -> None:
    stamps = np.array(["2024-01-01", "2024-01-02", "2024-01-11", "2024-01-12", "1970-01-01"], dtype="datetime64[us]")
    real = np.array([True, True, True, True, False])
    assert near(stamps, real, REQUEST).tolist() == [False, True, True, False, True]
    made = rows(plain(0), plain(1), beyond=stamps[[0, 3]])
    assert made.delivery.rows == 4
    assert made.delivery.outside == (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 12, tzinfo=UTC))


def test_rows_newest_first_are_turned_round() -> None:
    made = rows(plain(2, 3.0), plain(1, 2.0), plain(0, 1.0))
    assert made.table[3].tolist() == [1.0, 2.0, 3.0]
    assert made.places.tolist() == [2, 1, 0]


def test_of_equal_stamps_newest_first_the_first_is_the_bar() -> None:
    made = rows(plain(1, 2.0), plain(1, 3.0), plain(0, 1.0))
    assert made.table[3].tolist() == [1.0, 2.0]
    assert len(made.delivery.conflicts) == 1
