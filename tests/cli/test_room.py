"""Before a backfill: has the disk room for what it may bring?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mdagent.cli.room import LEAST, bars_in, scarce
from mdagent.market import Interval

if TYPE_CHECKING:
    from pathlib import Path

START, END = datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("interval", "least", "most"), [("1d", 250, 263), ("1w", 50, 54), ("1mo", 11, 13), ("1h", 1600, 1900), ("1m", 90_000, 110_000)]
)
def test_the_bars_of_a_year_are_guessed(interval: str, least: int, most: int) -> None:
    assert least <= bars_in(Interval.parse(interval), START, END) <= most


def test_little_room_is_told_with_what_may_be_needed(tmp_path: Path) -> None:
    store = tmp_path / "deep" / "bars.duckdb"
    assert scarce(store, 1000, lambda _: LEAST) == ""
    told = scarce(store, 25_000_000, lambda _: LEAST)
    assert told.startswith(f"{tmp_path} has 256 MiB free, and 2,861 MiB may be needed")
    assert scarce(store, 1000, lambda _: 6 * 1024 * 1024).startswith(f"{tmp_path} has 6 MiB free, and 256 MiB may be needed")


def test_what_the_store_has_already_needs_no_room(tmp_path: Path) -> None:
    store = tmp_path / "bars.duckdb"
    with store.open("wb") as file:
        file.truncate(3_000_000_000)
    assert scarce(store, 25_000_000, lambda _: LEAST) == ""
