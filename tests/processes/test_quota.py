"""Several processes share one limit through the ledger: together they get exactly the limit, whatever their clocks say."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import SystemClock
from tests.processes.keeper import grants
from tests.processes.program import lines_of, start_keeper

if TYPE_CHECKING:
    from pathlib import Path

LIMIT, TRIES = 50, 30


def test_four_processes_together_get_exactly_the_limit(tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger.db")
    children = [start_keeper("reserve", ledger, str(LIMIT), str(TRIES)) for _ in range(4)]
    granted = [int(lines_of(child)[-1].split()[1]) for child in children]
    assert sum(granted) == LIMIT, granted


@pytest.mark.parametrize("hours", [-0.5, -1, -23, -47, -24 * 365, 0.99], ids="{:g} h".format)
def test_a_clock_set_elsewhere_grants_nothing_more_before_the_window_is_over(tmp_path: Path, hours: float) -> None:
    assert grants(tmp_path / "ledger.db", SystemClock(), LIMIT, LIMIT + 1) == LIMIT
    assert grants(tmp_path / "ledger.db", SystemClock(timedelta(hours=hours)), LIMIT, 1) == 0


def test_a_clock_set_back_and_put_right_again_grants_nothing_more(tmp_path: Path) -> None:
    grants(tmp_path / "ledger.db", SystemClock(), LIMIT, LIMIT)
    for hours in (-1.0, 0.0, -24.0, 0.0):
        assert grants(tmp_path / "ledger.db", SystemClock(timedelta(hours=hours)), LIMIT, 1) == 0


def test_when_the_window_is_over_the_limit_is_there_again(tmp_path: Path) -> None:
    grants(tmp_path / "ledger.db", SystemClock(), LIMIT, LIMIT)
    assert grants(tmp_path / "ledger.db", SystemClock(timedelta(hours=1, minutes=3)), LIMIT, LIMIT + 1) == LIMIT
