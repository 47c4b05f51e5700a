"""Columns of text: numbers, dates, local times."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.sources.reading.texts import dates, decimals, times

PRICES = st.decimals(0, 10**9, places=4, allow_nan=False).map(str)
VOLUMES = st.integers(0, 10**15).map(str)
ODD = ["", ".", "1.", ".5", "-1.5", "+2", "1e3", "1E400", "1,5", "1_0", "0x1", "nan", " 1", "1 ", "1.2.3", "٣", "9" * 41]
STRANGE = st.sampled_from(ODD)


@given(st.lists(PRICES, min_size=1) | st.lists(VOLUMES, min_size=1) | st.lists(PRICES | VOLUMES, min_size=1))
def test_a_decimal_text_is_the_float_nearest_to_it(cells: list[str]) -> None:
    column = decimals("close", cells)
    assert column.values.tolist() == [float(cell) for cell in cells]
    assert not column.null.any()
    assert not column.bad.any()


@given(st.lists(st.none() | st.integers() | st.booleans() | st.text(max_size=6) | STRANGE | PRICES, max_size=12))
def test_a_cell_is_a_number_a_null_or_bad(cells: list[Any]) -> None:
    try:
        column = decimals("close", cells)
    except ConversationFailed:
        assert not any(isinstance(cell, str) and cell.isdecimal() and cell.isascii() for cell in cells)
        return
    for cell, value, null, bad in zip(cells, column.values.tolist(), column.null, column.bad, strict=True):
        assert null == (cell is None)
        assert not (null and bad)
        assert np.isfinite(value) == (not null and not bad)
        if np.isfinite(value):
            assert isinstance(cell, str)
            assert value == float(cell)
            assert cell.isascii()


@pytest.mark.parametrize("odd", ["1,5", "N/A", "-", "", " 1", "1.2.3", "nan", "1_000", "٣", ".", "1;2", None, 5, True])
def test_what_is_no_plain_decimal_is_bad_in_its_row(odd: object) -> None:
    column = decimals("close", ["1.5", odd, "2.5"])
    assert column.values[[0, 2]].tolist() == [1.5, 2.5]
    assert np.isnan(column.values[1])
    assert [bool(column.null[1]), bool(column.bad[1])] == [odd is None, odd is not None]


@pytest.mark.parametrize("cells", [["1,5", "2,5"], ["x"], [1.0, 2.0], [True]])
def test_a_column_without_a_number_is_refused_whole(cells: list[Any]) -> None:
    with pytest.raises(ConversationFailed, match="column close holds no numbers") as caught:
        decimals("close", cells)
    assert caught.value.failure.kind is FailureKind.SCHEMA


@pytest.mark.parametrize("long", ["9" * 41, "1e0001", "0." + "3" * 60])
def test_a_long_number_is_the_same_beside_whatever_cells(long: str) -> None:
    assert [decimals("close", [long, *others]).values[0] for others in ([], ["1"], ["1.5", None], ["x"])] == [float(long)] * 4


def test_a_column_of_nulls_and_words_is_refused_whole() -> None:
    with pytest.raises(ConversationFailed, match="holds no numbers"):
        decimals("close", [None, "x"])
    assert decimals("close", [None, None]).null.all()


def test_an_empty_column_is_a_column() -> None:
    assert [len(decimals("close", []).values), len(dates([])[0]), len(times([])[0])] == [0, 0, 0]


@given(st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)), min_size=1), st.sampled_from(" T"))
def test_dates_and_times_are_what_the_calendar_says(moments: list[datetime], mark: str) -> None:
    whole = [moment.replace(microsecond=0) for moment in moments]
    days, real = dates([f"{moment.date()}" for moment in whole])
    assert days.tolist() == [moment.date() for moment in whole]
    stamps, known = times([moment.isoformat(mark) for moment in whole])
    assert stamps.tolist() == whole
    assert real.all()
    assert known.all()


BAD_DAYS = ["2024-13-01", "2024-00-01", "2023-02-29", "2024-02-30", "2024-01-00", "-900-01-01"]
BAD_FORMS = ["2024101200", "2024-01T00", "2024/01/02", "20240102", "2024-1-2", "", "٢٠٢٤-٠١-٠٢"]


@pytest.mark.parametrize("odd", [*BAD_DAYS, *BAD_FORMS, "2024-01-02 ", "02-01-2024", None, 5, "1e20", "2024-01-02T00:00:00"])
def test_what_is_no_date_is_no_stamp(odd: object) -> None:
    days, real = dates(["2024-02-29", odd, "2024-03-01"])
    assert real.tolist() == [True, False, True]
    assert [f"{day}" for day in days.tolist()] == ["2024-02-29", "1970-01-01", "2024-03-01"]


BAD_TIMES = ["2024-01-02 24:00:00", "2024-01-02 09:60:00", "2024-01-02 09:30:60", "2024-01-02  9:30:00", "2024-01-02"]
ELSEWHERE = ["2024-01-02T15:30-05", "2024-01-02 15:30-03", "2024-01-02 15-00:00", "-900-01-02 09:30:00"]


@pytest.mark.parametrize("odd", [*BAD_TIMES, *ELSEWHERE])
def test_what_is_no_time_is_no_stamp(odd: object) -> None:
    moments, real = times(["2024-02-29 09:30:00", odd, "2024-03-01 09:30"])
    assert real.tolist() == [True, False, True]
    assert [f"{moment}" for moment in moments.tolist()] == ["2024-02-29 09:30:00", "1970-01-01 00:00:00", "2024-03-01 09:30:00"]


@pytest.mark.parametrize("odd", [*BAD_DAYS, *BAD_FORMS])
def test_nor_is_it_one_where_it_stands_alone(odd: str) -> None:
    with pytest.raises(ConversationFailed, match="not written as its format has them"):
        dates([odd])


@pytest.mark.parametrize("odd", [*BAD_TIMES, *ELSEWHERE])
def test_nor_is_a_time(odd: str) -> None:
    with pytest.raises(ConversationFailed, match="not written as its format has them"):
        times([odd])


def test_a_column_without_a_stamp_is_refused_whole() -> None:
    with pytest.raises(ConversationFailed, match="not written as its format has them") as caught:
        dates(["03/04/2024", "04/04/2024"])
    assert caught.value.failure.kind is FailureKind.SCHEMA
