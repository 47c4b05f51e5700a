"""Real processes share one key against a provider on this machine that counts for itself, and some of them are killed.

A client counts the provider's window 2 s longer, so of a limit in 5 s one burst is usable in every 7 s, beginning with the first request.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mdagent.clock import SystemClock
from tests.processes.crowd import hear, start, tell
from tests.processes.program import PATIENCE, lines_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Processes = list[subprocess.Popen[str]]

MARGIN = 2.0


class Counted(NamedTuple):
    """By the provider: when each request came, and how many it refused."""

    arrived: list[float]
    refused: int

    def most(self, seconds: float) -> int:
        """The most in any span of that length."""
        return max(sum(first <= at < first + seconds for at in self.arrived) for first in self.arrived)


def together(path: Path, limit: int, per: float, times: list[int], meanwhile: Callable[[Processes], object]) -> Counted:
    """Start a provider, and a process for each of `times` that asks it so often; they begin together, and what happens then is said by
    `meanwhile`. What the provider counted in the end."""
    with ExitStack() as stack:
        provider = stack.enter_context(start("serve", limit, per))
        place = hear(provider, "at")[1]
        clients = [stack.enter_context(start("ask", place, path, limit, per, n)) for n in times]
        stack.callback(killed, clients)
        for client in clients:
            hear(client, "ready")
        for client in clients:
            tell(client)
        meanwhile(clients)
        told = lines_of(provider)[-1].removeprefix("counted ")
        return Counted(*json.loads(told))


def killed(clients: Processes) -> None:
    for client in clients:
        client.kill()
    for client in clients:
        client.communicate(timeout=PATIENCE)


def test_six_processes_stay_inside_the_quota_although_three_are_killed_while_they_wait(tmp_path: Path) -> None:
    """Twenty go at once; the others wait 2.5 s for the window of 0.5 s to pass. Three are killed while they do, and what they still
    wanted is not asked for; what they hold of the queue is free again at the latest 5 s after its time."""
    wanted = [50, 50, 50, 8, 8, 8]

    def meanwhile(clients: Processes) -> None:
        doomed, living = clients[:3], clients[3:]
        for client in doomed:
            hear(client, "waiting")
        killed(doomed)
        for client in living:
            assert [line for line in lines_of(client) if line != "waiting"] == ["done"] * 8 + ["over"]

    counted = together(tmp_path / "ledger.db", 20, 0.5, wanted, meanwhile)
    assert counted.refused == 0
    assert counted.most(0.5) <= 20


@pytest.mark.drill(number="D12")
def test_eight_processes_use_up_a_quota_and_four_of_them_are_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """39 s in which six bursts of 20 are usable: at 0, 7, 14, 21, 28 and 35 s. Four of the eight die at 17.5 s, while all wait for the
    fourth burst; of that one the living get no more than what the places of the dead leave, so the kill may cost four of 120 requests."""
    limit, per, seconds, clock = 20, 5.0, 39.0, SystemClock()

    def meanwhile(clients: Processes) -> None:
        clock.pause(17.5)
        killed(clients[4:])
        clock.pause(seconds - 17.5)
        killed(clients[:4])

    counted = together(tmp_path / "ledger.db", limit, per, [10_000] * 8, meanwhile)
    usable = limit * (1 + int(seconds / (per + MARGIN)))
    served = sum(at < counted.arrived[0] + seconds for at in counted.arrived)
    bursts = [0] * 6
    for at in counted.arrived:
        bursts[int((at - counted.arrived[0] + MARGIN / 2) / (per + MARGIN))] += 1
    told = f"{served} of {usable} usable requests in {seconds:.0f} s, by burst {bursts}; at most {counted.most(per)} in 5 s"
    with capsys.disabled():
        print(f"\n{told}, {counted.refused} refused")  # noqa: T201  a drill's figures are its result
    assert counted.refused == 0
    assert counted.most(per) <= limit
    assert served >= 0.95 * usable
