"""Homes to start from: one that knows the calendar, one that holds ten good bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs.chart import ten
from tests.bad_inputs.stage import FETCH, Stage, Turns, copied, said
from tests.wire.nasty import NastyServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without bars, in which the calendar was built already."""
    folder = tmp_path_factory.mktemp("empty")
    stage = Stage(folder / "home", folder)
    assert stage.run(*FETCH, "--dry-run").code == 0
    return stage.home


@pytest.fixture(scope="session")
def kept_home(tmp_path_factory: pytest.TempPathFactory, empty_home: Path) -> Path:
    """A store with the ten good bars; no request is on record."""
    folder = tmp_path_factory.mktemp("kept")
    stage = Stage(copied(empty_home, folder / "home"), folder)
    with NastyServer(Turns([said(ten())])) as server:
        ran, _ = stage.fetch(server)
    assert ran.code == 0, ran.err
    for path in stage.home.glob("ledger.db*"):
        path.unlink()
    return stage.home


@pytest.fixture
def stage(tmp_path: Path, empty_home: Path) -> Iterator[Stage]:
    """A fresh place; at the end the canary key must stand nowhere in it."""
    made = Stage(copied(empty_home, tmp_path / "home"), tmp_path / "work")
    made.cwd.mkdir()
    yield made
    assert made.leaks() == []


@pytest.fixture
def kept_stage(tmp_path: Path, kept_home: Path) -> Iterator[Stage]:
    """A place whose store holds the ten good bars."""
    made = Stage(copied(kept_home, tmp_path / "kept"), tmp_path / "kept-work")
    made.cwd.mkdir()
    yield made
    assert made.leaks() == []
