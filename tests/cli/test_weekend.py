"""A weekend after a fetch: no session has begun since, and yet the splits have to be known up to now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mdagent.clock import VirtualClock
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path


def test_older_bars_fetched_on_a_weekend_join_those_of_friday(tmp_path: Path) -> None:
    shell = Shell(tmp_path, clock=VirtualClock(datetime(2024, 2, 2, 22, tzinfo=UTC)))
    shell.good("fetch", "AAPL", "--start", "2024-01-02", "--source", "yahoo")
    shell.clock.set(datetime(2024, 2, 3, 12, tzinfo=UTC))
    longer = ("fetch", "AAPL", "--start", "2023-06-02", "--source", "yahoo")
    first = shell.good(*longer)
    assert len(first.rows) == 169
    assert shell.good(*longer).out == first.out
    assert "from the store" in shell.good(*longer).err
