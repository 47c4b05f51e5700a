"""An empty store for each test: a copy, since to make one takes longer than what most tests do with it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.store.batches import store_at

if TYPE_CHECKING:
    from pathlib import Path

    from mdagent.store.bars import BarStore


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
