"""A provider's list of numbers as a column that knows where it holds none."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.sources.reading.body import CONFLICT
from mdagent.sources.reading.columns import numbers, row_text


def test_numbers_come_as_float64() -> None:
    column = numbers("close", [1, 2.5, -3, 0], 4)
    assert column.values.dtype == np.float64
    assert column.values.tolist() == [1.0, 2.5, -3.0, 0.0]
    assert not column.null.any()
    assert not column.bad.any()


def test_null_is_absent_and_anything_else_is_bad() -> None:
    cells = [1.0, None, True, "2", float("inf"), float("nan"), [3], CONFLICT, 10**400]
    column = numbers("close", cells, len(cells))
    assert column.null.tolist() == [False, True] + [False] * 7
    assert column.bad.tolist() == [False, False] + [True] * 7
    assert np.isnan(column.values[1:4]).all()


def test_integers_past_the_greatest_float_are_bad_in_their_row_only() -> None:
    column = numbers("volume", [1, 10**400, None], 3)
    assert column.values[0] == 1.0
    assert (column.bad.tolist(), column.null.tolist()) == ([False, True, False], [False, False, True])


def test_a_column_of_nulls_is_a_column() -> None:
    column = numbers("volume", [None, None], 2)
    assert column.null.all()
    assert not column.bad.any()


def test_an_empty_column_is_a_column() -> None:
    assert len(numbers("time", [], 0).values) == 0


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([1.0, 2.0], "column close has 2 values where 3 were due"),
        ([1.0] * 4, "column close has 4 values where 3 were due"),
        (None, "column close has NoneType values where 3 were due"),
        ({"0": 1}, "column close has dict values where 3 were due"),
        ("123", "column close has str values where 3 were due"),
        (["1", "2", "3"], "column close holds no numbers"),
        ([True, False, True], "column close holds no numbers"),
        (["a", None, None], "column close holds no numbers"),
    ],
)
def test_a_column_of_another_length_or_of_no_numbers_is_refused_whole(cells: object, words: str) -> None:
    with pytest.raises(ConversationFailed, match=words) as caught:
        numbers("close", cells, 3)
    assert caught.value.failure.kind is FailureKind.SCHEMA


@given(st.lists(st.none() | st.floats() | st.integers() | st.booleans() | st.text(max_size=3), max_size=30))
def test_each_cell_is_a_finite_number_a_null_or_bad(cells: list[Any]) -> None:
    try:
        column = numbers("x", cells, len(cells))
    except ConversationFailed:
        assert not any(type(c) in (int, float) for c in cells)
        return
    for cell, value, null, bad in zip(cells, column.values.tolist(), column.null, column.bad, strict=True):
        assert null == (cell is None)
        assert not (null and bad)
        assert np.isfinite(value) == (not null and not bad)
        if np.isfinite(value):
            assert value == float(cell)


def test_a_row_is_shown_as_it_was_delivered() -> None:
    assert json.loads(row_text(("a", "b", "c"), (1, None, "x"))) == {"a": 1, "b": None, "c": "x"}
    assert json.loads(row_text(("a",), (CONFLICT,))) == {"a": "<given twice>"}
    assert len(row_text(("a",), ("x" * 1000,))) == 500
    assert row_text(("a",), (10**5000,)) == "{}"
