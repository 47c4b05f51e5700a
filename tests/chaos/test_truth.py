"""What is held against the truth of the sandbox, and what is not lost although it is not in a series."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mdagent.chaos.truth import set_aside
from mdagent.market import BarRequest
from tests.store.batches import store_at
from tests.store.told import LATE, days, read, sends, tells

if TYPE_CHECKING:
    from pathlib import Path


def test_bars_of_a_source_that_did_not_tell_its_splits_are_set_aside_and_not_lost(tmp_path: Path) -> None:
    store, request = store_at(tmp_path), BarRequest("AAPL", "1d", "2024-01-01", "2024-02-01", "splits")  # type: ignore[arg-type]
    sends(store, days("2024-01-02", 10.0, 11.0), basis="splits", at="2024-01-05T22:00")
    with store.reading() as reader:
        assert set_aside(reader, request) == set()
    sends(store, days("2024-01-10", 12.0), basis="splits", at=LATE)  # between the two a split may have been: nobody told
    assert read(store).closes == {}
    with store.reading() as reader:
        found = {f"{datetime.fromtimestamp(stamp, UTC):%m-%d}" for stamp in set_aside(reader, request)}
    assert found == {"01-02", "01-03", "01-10"}
    tells(store)
    assert len(read(store).closes) == 3
    with store.reading() as reader:
        assert set_aside(reader, request) == set()
