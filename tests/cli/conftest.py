"""A prompt of one's own for each test: with an empty home, or with one that holds January of two symbols."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.cli.drawn import judge, text, walk
from tests.cli.shell import JANUARY, Shell
from tests.cli.three import HALF, SOURCES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="session")
def january(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose home holds 21 sessions of AAPL and of MSFT."""
    folder = tmp_path_factory.mktemp("january")
    Shell(folder).good("fetch", "AAPL", "MSFT", *JANUARY)
    return folder


@pytest.fixture
def stocked(january: Path, tmp_path: Path) -> Shell:
    shutil.copytree(january / "home", tmp_path / "home")
    return Shell(tmp_path)


@pytest.fixture(scope="session")
def calendars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has New York's calendar already."""
    folder = tmp_path_factory.mktemp("calendars")
    judge(Shell(folder), text(walk()))
    return folder / "home"


@pytest.fixture
def almanac(tmp_path: Path, calendars: Path) -> Shell:
    """A prompt in such a home."""
    return Shell(tmp_path, {"MDAGENT_HOME": str(calendars)})


@pytest.fixture(scope="session")
def half_a_year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose home holds half a year of AAPL from three sources."""
    folder = tmp_path_factory.mktemp("half")
    for source in SOURCES:
        Shell(folder).good("fetch", "AAPL", *HALF, "--source", source)
    return folder


@pytest.fixture
def three_sources(half_a_year: Path, tmp_path: Path) -> Shell:
    shutil.copytree(half_a_year / "home", tmp_path / "home")
    return Shell(tmp_path)
