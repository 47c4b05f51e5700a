"""An empty store for each test: a copy, since to make one takes longer than what most tests do with it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import VirtualClock
from mdagent.store.ledger import open_ledger
from tests.store.batches import store_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mdagent.store.bars import BarStore
    from mdagent.store.ledger import Ledger


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = store_at(tmp_path_factory.mktemp("blank"))
    with store.writing("test"):
        """Made when first opened."""
    return store.path


@pytest.fixture
def store(blank: Path, tmp_path: Path) -> BarStore:
    shutil.copy(blank, tmp_path / blank.name)
    return store_at(tmp_path)


START = datetime(2024, 1, 17, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def ledger(tmp_path: Path, clock: VirtualClock) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.db", clock) as made:
        yield made
