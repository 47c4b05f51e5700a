"""A provider to be played, for each test its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.work.played import Stage, stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Makes a stage whose provider gives these answers in turn."""
    made: list[Stage] = []

    def begin(*answers: object, **more: object) -> Stage:
        made.append(stage(tmp_path, *answers, **more))  # type: ignore[arg-type]
        return made[-1]

    yield begin
    for one in made:
        one.ledger.close()
