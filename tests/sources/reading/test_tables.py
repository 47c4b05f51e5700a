"""Lists of objects as columns of cells."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.sources.reading.body import CONFLICT
from mdagent.sources.reading.tables import cells, has, objects

ROWS = st.lists(st.dictionaries(st.sampled_from("abc"), st.none() | st.integers() | st.text(max_size=3)), max_size=8)


@given(ROWS, st.sampled_from("abcd"))
def test_a_column_has_a_cell_for_each_row_and_none_where_the_row_lacks_it(rows: list[dict[str, Any]], name: str) -> None:
    assert cells(rows, name) == [row.get(name) for row in rows]
    assert has(rows, name) == any(name in row for row in rows)


def test_objects_are_a_list_of_objects() -> None:
    rows = [{"a": 1}, {}]
    assert objects(rows, "bars") is rows
    assert objects([], "bars") == []


@pytest.mark.parametrize("made", [None, {}, {"a": 1}, "text", 5, True, [1], [{}, None], [{}, []], [[{}]], [{}, CONFLICT], CONFLICT])
def test_anything_else_is_refused_by_its_name(made: object) -> None:
    with pytest.raises(ConversationFailed, match="the answer holds no list of bars") as caught:
        objects(made, "bars")
    assert caught.value.failure.kind is FailureKind.SCHEMA


def test_a_null_is_a_cell_that_is_there() -> None:
    assert has([{"a": None}], "a")
    assert cells([{"a": None}, {}], "a") == [None, None]
