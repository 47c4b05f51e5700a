"""One fetch of a series at a time, on this machine: who comes second finds in the store what the first has fetched."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mdagent.store.flights import board, land

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mdagent.market import BarRequest
    from mdagent.work.fill import Tools

_LOOK = 0.1  # seconds between two looks


@asynccontextmanager
async def flight(source: str, request: BarRequest, tools: Tools) -> AsyncIterator[None]:
    """Hold the right to fetch these bars from this source. Another process that has it is waited for, as long as a call may take; a dead
    one is not, and after that both go on: asking twice is better than not at all."""
    series, clock = f"{source} {request.symbol.ticker} {request.interval} {request.adjustment}", tools.clock
    run, longest = tools.gate.run, tools.deadline + tools.patience
    ends, said = clock.monotonic() + longest, False
    while (other := board(tools.ledger, series, (run, os.getpid()), longest, _alive)) and clock.monotonic() < ends:
        if not said:
            tools.gate.say(f"waiting for run {other}, which fetches {request.symbol} from {source} already")
        said = True
        await clock.sleep(_LOOK)
    try:
        yield
    finally:
        land(tools.ledger, series, run)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
