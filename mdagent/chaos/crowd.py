"""Several people at one time that is real: each is a thread, and nobody waits for anybody."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mdagent.chaos.crew import Ended
from mdagent.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class CrowdClock(SystemClock):
    """The machine's clock, at which a crowd that is stopped waits no longer."""

    crowd: Crowd | None = None

    def pause(self, seconds: float) -> None:
        if self.crowd is None:
            super().pause(seconds)
        else:
            self.crowd.wait(seconds)


@dataclass(eq=False)
class Crowd:
    """People at one clock. What they are asked to do one at a time they do under `lock`."""

    clock: CrowdClock
    lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _wrong: list[BaseException] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Are all to stop where they are?"""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Whoever waits at the clock goes no further; a call under way ends first."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """For so long. Raises Ended."""
        if self._stopped.wait(max(0.0, seconds)):
            raise Ended

    def run(self, people: Sequence[tuple[float, Callable[[], None]]]) -> None:
        """Let each begin after so many seconds, and wait for them all. Raises what the first of them raises; KeyboardInterrupt, once
        all have stopped."""
        self.clock.crowd = self
        threads = [threading.Thread(target=partial(self._live, *one), name="mdagent-crowd", daemon=True) for one in people]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self.stop()
            raise
        finally:
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            self.clock.crowd = None
        if self._wrong:
            raise self._wrong[0]

    def _live(self, after: float, work: Callable[[], None]) -> None:
        try:
            self.wait(after)
            work()
        except Ended:
            pass
        except BaseException as error:  # noqa: BLE001  told by `run`, in the thread that waits for all
            self._wrong.append(error)
            self.stop()
