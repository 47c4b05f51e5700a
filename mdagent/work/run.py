"""A coroutine run to its end, on an event loop of its own."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

from mdagent.clock import VirtualClock, virtual_loop

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mdagent.clock import Clock


def to_the_end(work: Coroutine[Any, Any, Any], clock: Clock) -> Any:  # noqa: ANN401  what the coroutine returns
    """The first SIGINT or SIGTERM cancels, so that a write in hand is finished. Of several failures the first is raised."""
    gc.enable()
    factory = (lambda: virtual_loop(clock)) if isinstance(clock, VirtualClock) else None
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(work)
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    told = group.exceptions[0]
    return _first(told) if isinstance(told, BaseExceptionGroup) else told
