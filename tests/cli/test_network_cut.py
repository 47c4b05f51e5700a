"""A network that is gone for an hour: a backfill waits for it and goes on by itself, a person at the prompt is told at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

from mdagent.guard.breaker import State
from tests.cli.shell import JANUARY, Shell
from tests.cli.test_backfill import LISTED, backfill, sent
from tests.cli.test_faults import breakers, kinds
from tests.cli.test_makespan import only

if TYPE_CHECKING:
    from pathlib import Path

    from mdagent.clock import Clock

HOUR, TIMEOUT = 3600.0, 2.0
HOURLY = ("--interval", "1h", "--start", "2024-02-01", "--end", "2024-02-03", "--adjust", "raw")
TWO = only({"tiingo": 2, "polygon": 2})
ONE = only({"yahoo": 3})


@dataclass
class Cut(httpx.AsyncBaseTransport):
    """Nobody answers, in any way, from one second of the clock to another. `tries` are those that were made meanwhile."""

    inner: httpx.AsyncBaseTransport
    clock: Clock
    begins: float
    ends: float
    tries: list[float] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        now = self.clock.monotonic()
        if self.begins <= now < self.ends:
            self.tries.append(now)
            await self.clock.sleep(TIMEOUT)
            msg = "no route to the host"
            raise httpx.ConnectTimeout(msg, request=request)
        return await self.inner.handle_async_request(request)


def cut_off(folder: Path, environ: dict[str, str], begins: float, ends: float) -> tuple[Shell, list[Cut]]:
    """A prompt whose network is gone for that time, and what stood in its way."""
    shell, made = Shell(folder, environ), list[Cut]()

    def around(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        made.append(Cut(inner, shell.clock, begins, ends))
        return made[-1]

    shell.around = around
    return shell, made


@pytest.mark.parametrize(("environ", "words", "usual"), [(TWO, HOURLY, 4 * 62), (ONE, JANUARY, 4 * 62)], ids=["two sources", "one source"])
def test_a_backfill_waits_for_the_network_and_goes_on_by_itself(
    tmp_path: Path, environ: dict[str, str], words: tuple[str, ...], usual: float
) -> None:
    shell, cuts = cut_off(tmp_path, environ, 30.0, 30.0 + HOUR)
    code, report, talk = backfill(shell, *LISTED[:10], *words, "--priority", "high")
    assert code == 0, talk
    assert report["symbols"] == {"done": 10, "partly": 0, "failed": 0}
    assert len(shell.good("query", "SELECT DISTINCT symbol FROM bars", "--csv").rows) == 10
    assert report["requests"] == sent(shell) == 10, "what was tried in vain is not charged, and nothing is paid for twice"
    assert (talk.count("waiting for the network"), talk.count("the network is back after 1:00")) == (1, 1), talk
    assert shell.clock.monotonic() <= 30.0 + HOUR + usual + 90.0
    assert 30 <= len(cuts[0].tries) <= 300, "not without pause"
    assert {b.state for told in breakers(shell).values() for b in told.values()} <= {State.CLOSED}


def test_the_time_of_the_run_bounds_the_wait_and_the_next_run_does_the_rest(tmp_path: Path) -> None:
    shell, _ = cut_off(tmp_path, TWO, 30.0, 30.0 + HOUR)
    words = (*LISTED[:8], *HOURLY, "--priority", "high")
    code, report, talk = backfill(shell, *words, "--max-runtime", "10m")
    assert (code, report["symbols"]["failed"]) == (14, 0), talk
    assert report["symbols"]["done"] + report["chunks"]["not_begun"] == 8
    assert shell.clock.monotonic() <= 630.0
    shell.clock.pause(HOUR)
    code, report, talk = backfill(shell, *words)
    assert (code, report["symbols"]["done"]) == (0, 8), talk
    assert sent(shell) == 8


def test_a_person_is_told_at_once(tmp_path: Path) -> None:
    shell, _ = cut_off(tmp_path, TWO, 0.0, HOUR)
    said = shell.run("fetch", "AAPL", *HOURLY)
    assert said.code == 4, said.err
    assert "several sources cannot be reached at once" in said.err
    assert shell.clock.monotonic() <= 11.0
    assert ("polygon", "NETWORK_DOWN") in kinds(shell) or ("tiingo", "NETWORK_DOWN") in kinds(shell) or kinds(shell)
