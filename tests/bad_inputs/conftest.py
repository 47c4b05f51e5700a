"""Homes to start from: one that holds ten bars of December, one that holds those of January too."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import pytest

from tests.bad_inputs.chart import opening, stamps, ten
from tests.bad_inputs.stage import Stage, Turns, copied, said
from tests.wire.nasty import NastyServer

if TYPE_CHECKING:
    from collections.abc import Iterator

DECEMBER = tuple(date(2023, 12, day) for day in (14, 15, 18, 19, 20, 21, 22, 26, 27, 28))


@pytest.fixture(scope="session")
def small_ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One certificate authority instead of a hundred: they are read anew by every run."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    text = Path(certifi.where()).read_text("utf-8")
    end = "-----END CERTIFICATE-----"
    path.write_text(text[text.index("-----BEGIN") : text.index(end)] + end + "\n", "utf-8")
    return path


@pytest.fixture(scope="session")
def december_home(tmp_path_factory: pytest.TempPathFactory, small_ca: Path) -> Path:
    """A store with ten bars of December; no request is on record."""
    folder = tmp_path_factory.mktemp("december")
    stage = Stage(folder / "home", folder, small_ca)
    _keep(stage, ten(stamps(lambda row, _: opening(DECEMBER[row]))), "fetch", "AAPL", "--start", "2023-12-14", "--end", "2023-12-29")
    return stage.home


@pytest.fixture(scope="session")
def january_home(tmp_path_factory: pytest.TempPathFactory, small_ca: Path, december_home: Path) -> Path:
    """A store with the ten good bars of January as well."""
    folder = tmp_path_factory.mktemp("january")
    stage = Stage(copied(december_home, folder / "home"), folder, small_ca)
    _keep(stage, ten())
    return stage.home


def _keep(stage: Stage, body: bytes, *words: str) -> None:
    with NastyServer(Turns([said(body)])) as server:
        ran, line = stage.fetch(server, *words)
    assert ran.code == 0, ran.err
    assert line["bars"] == 10
    for path in stage.home.glob("ledger.db*"):
        path.unlink()


@pytest.fixture(scope="session")
def december_rows(december_home: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The rows of that store."""
    return Stage(december_home, tmp_path_factory.mktemp("rows"), None).rows()[0]


@pytest.fixture(scope="session")
def january_rows(january_home: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The rows of that store."""
    return Stage(january_home, tmp_path_factory.mktemp("rows"), None).rows()[0]


@pytest.fixture
def stage(tmp_path: Path, december_home: Path, small_ca: Path) -> Iterator[Stage]:
    """A place whose store holds December; at the end the canary key must stand nowhere in it."""
    made = Stage(copied(december_home, tmp_path / "home"), tmp_path / "work", small_ca)
    made.cwd.mkdir()
    yield made
    assert made.leaks() == []


@pytest.fixture
def full_stage(tmp_path: Path, january_home: Path, small_ca: Path) -> Iterator[Stage]:
    """A place whose store holds January too."""
    made = Stage(copied(january_home, tmp_path / "full"), tmp_path / "full-work", small_ca)
    made.cwd.mkdir()
    yield made
    assert made.leaks() == []
