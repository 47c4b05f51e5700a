"""Sources that fail are left alone for a while: a backfill waits until they are asked again, and not for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.cli.shell import Shell
from tests.cli.test_backfill import LISTED, backfill
from tests.cli.test_network_cut import HOURLY, TWO

if TYPE_CHECKING:
    from pathlib import Path

    from mdagent.clock import Clock

_OPENING = 3 * 2  # failures in a row that open the breakers of two sources


@dataclass
class Broken(httpx.AsyncBaseTransport):
    """Every provider fails until that second."""

    inner: httpx.AsyncBaseTransport
    clock: Clock
    ends: float

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.clock.monotonic() < self.ends:
            return httpx.Response(500, text="out of order", request=request)
        return await self.inner.handle_async_request(request)


def broken(folder: Path, ends: float) -> Shell:
    shell = Shell(folder, TWO)
    shell.around = lambda inner: Broken(inner, shell.clock, ends)
    return shell


def test_a_backfill_waits_until_sources_that_failed_are_asked_again(tmp_path: Path) -> None:
    shell = broken(tmp_path, 300.0)
    code, report, talk = backfill(shell, *LISTED[:16], *HOURLY, "--priority", "high")
    assert report["symbols"]["done"] >= 16 - _OPENING, talk
    assert "BREAKER_OPEN" not in talk
    assert code in (0, 5)
    assert talk.count("waiting, since no source may be asked now: ") == 1, talk
    assert 300.0 < shell.clock.monotonic() < 1800.0


@pytest.mark.parametrize(("words", "most"), [((), 3 * 3600.0), (("--max-runtime", "10m"), 601.0)])
def test_but_not_for_ever(tmp_path: Path, words: tuple[str, ...], most: float) -> None:
    shell = broken(tmp_path, 86400.0)
    code, report, talk = backfill(shell, *LISTED[:8], *HOURLY, "--priority", "high", *words)
    assert (report["symbols"]["done"], code != 0) == (0, True), talk
    assert 300.0 < shell.clock.monotonic() <= most
