"""One fetch of a series at a time, on this machine: who comes second finds in the store what the first has fetched."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mdagent.store.flights import board, land

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mdagent.market import BarRequest
    from mdagent.work.fill import Tools

_LOOK = 0.1  # seconds between two looks


@asynccontextmanager
async def flight(source: str, request: BarRequest, tools: Tools) -> AsyncIterator[None]:
    """Hold the right to fetch these bars from this source."""
    series = await take_off(source, request, tools)
    try:
        yield
    finally:
        land(tools.ledger, series, tools.gate.run)


def series_of(source: str, request: BarRequest) -> str:
    """What there is one right for."""
    return f"{source} {request.symbol.ticker} {request.interval} {request.adjustment}"


async def take_off(source: str, request: BarRequest, tools: Tools) -> str:
    """Take the right, and name what it is for. Another process that has it is waited for, as long as a call may take; a dead one is not,
    and after that both go on: asking twice is better than not at all."""
    series, clock = series_of(source, request), tools.clock
    run, longest = tools.gate.run, tools.deadline + tools.patience
    ends, said = clock.monotonic() + longest, False
    while (other := board(tools.ledger, series, (run, os.getpid()), longest, _alive)) and clock.monotonic() < ends:
        if not said:
            tools.gate.say(f"waiting for run {other}, which fetches {request.symbol} from {source} already")
        said = True
        await clock.sleep(_LOOK)
    return series


def _alive(pid: int) -> bool:
    """One that has ended, and whose parent has not looked at it yet, is not."""
    try:
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's, or this is not Linux
        return True
