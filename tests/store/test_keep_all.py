"""Several batches in one go leave what each of them alone would have left."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdagent.market import CorporateAction
from tests.store.batches import batch, finding, keep, store_at, table, utc

if TYPE_CHECKING:
    from pathlib import Path

    from mdagent.store.bars import BarStore
    from mdagent.store.write import Batch

DAYS = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]
TABLES = ("bars", "coverage", "journal", "grades", "findings", "actions", "instruments", "quarantine", "revisions", "restatements")


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    first = draw(st.integers(0, 3))
    days = DAYS[first : draw(st.integers(first, 3)) + 1]
    last = "?" if draw(st.booleans()) else ""
    closes = {day + (last if day == days[-1] else ""): float(draw(st.integers(10, 12))) for day in days}
    more: dict[str, Any] = {"symbol": draw(st.sampled_from("ABC")), "source": draw(st.sampled_from(["yahoo", "tiingo"]))}
    if draw(st.booleans()):
        more["actions"] = (CorporateAction("split", date(2024, 1, 3), draw(st.sampled_from([2.0, 4.0])), False),)
        more["tells_actions"] = True
    if draw(st.booleans()):
        more["findings"] = (finding('it\'s "odd"; \\ ü'),)
    return batch(closes, **more, at=utc(draw(st.sampled_from(["2024-01-06", "2024-01-07"]))))


def contents(store: BarStore) -> dict[str, list[str]]:
    """All but the numbers of batches and the order of rows."""
    return {name: sorted(map(repr, table(store, f"SELECT * FROM {name}"))) for name in TABLES}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(batches(), max_size=3), several=st.lists(batches(), min_size=1, max_size=6))
def test_together_as_one_after_the_other(tmp_path: Path, before: list[Batch], several: list[Batch]) -> None:
    stores = [store_at(tmp_path / name) for name in ("apart", "together")]
    for store in stores:
        for path in store.path.parent.glob("bars.duckdb*"):
            path.unlink()
        keep(store, *before)
    alone = keep(stores[0], *several)
    with stores[1].writing("test") as writer:
        together = writer.keep_all(several)
    assert together == alone
    assert contents(stores[0]) == contents(stores[1])


def test_any_text_and_any_number_come_back_as_they_were(tmp_path: Path) -> None:
    store, words = store_at(tmp_path), '\'; DROP TABLE bars; -- " \\ \n \t é 漢 \x01 {"a": [1]}'
    number = 0.1 + 0.2
    keep(store, batch({"2024-01-02": number}, findings=(finding(words),)))
    assert table(store, "SELECT message FROM findings") == [(words,)]
    assert table(store, "SELECT close FROM bars") == [(number,)]
    assert table(store, "SELECT spans FROM findings") == [(None,)]
