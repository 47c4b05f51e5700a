"""Two sources for one question: the second is asked when the first takes too long, and the first good answer wins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

R = TypeVar("R")


async def hedged(
    first: Coroutine[Any, Any, R], second: Callable[[], Coroutine[Any, Any, R]], after: float, good: Callable[[R], bool]
) -> list[R]:
    """What came, a good answer last; both where neither was good. The second is begun `after` seconds without an answer, or at once
    when the first was of no use. Whoever loses is cancelled on the way, and its request stays charged."""
    running = {asyncio.ensure_future(first)}
    begun, came = 1, list[R]()
    try:
        while running:
            done, running = await asyncio.wait(running, timeout=after if begun == 1 else None, return_when=asyncio.FIRST_COMPLETED)
            came += sorted((task.result() for task in done), key=good)
            if came and good(came[-1]):
                break
            if begun == 1:
                running |= {asyncio.ensure_future(second())}
                begun = 2
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return came
