"""How far a backfill has to go: by the quota of its sources, and by the pace of its own work where that takes longer."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from mdagent.guard.forecast import last_of
from mdagent.store.recall import quota_left
from mdagent.work.foresee import Foresight
from mdagent.work.many import SIDE_BY_SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdagent.clock import Clock
    from mdagent.work.gate import Gate
    from mdagent.work.many import Places

_ANEW, _SHARE = 30.0, 0.02  # seconds, or a share of what is to go, for which a look ahead is good


@dataclass(slots=True)
class Horizon:
    """One a run."""

    gate: Gate
    places: Places
    _seen: tuple[float, int, float] | None = None  # when it was looked ahead, the chunks to go then, and the seconds that they take

    def to_go(self, chunks: int, each: float) -> float:
        """Seconds until so many chunks more are done, each by so many requests."""
        now, seen = self._clock.monotonic(), self._seen
        if seen is None or now - seen[0] > max(_ANEW, _SHARE * seen[2]) or chunks > seen[1]:
            seen = self._seen = (now, chunks, self._by_quota(chunks, each))
        done = self.places.done.total()
        work = max(0.0, self.places.seconds - self.gate.slept) / max(1, done) / SIDE_BY_SIDE
        return max(work * chunks, seen[2] - (now - seen[0]), 0.0)

    def quota_left(self) -> dict[str, float]:
        """Of each source that is asked, the share of its tightest window that is left."""
        names = dict.fromkeys(sorted(name for servers in self.places.begun for name in servers))
        return {name: left for name in names if (left := self._left(name)) is not None}

    @property
    def _clock(self) -> Clock:
        return self.gate.clock

    def _left(self, name: str) -> float | None:
        policy = self.gate.policy(name)
        told = quota_left(self.gate.ledger, name, policy.windows, policy.rules.account or name, self._clock.now())
        return min((max(0.0, 1 - one.used / one.window.limit) for one in told), default=None)

    def _by_quota(self, chunks: int, each: float) -> float:
        now = self._clock.now()
        foresight = Foresight(self.gate.ledger, self.gate.policy, now, self.gate.run)
        needs = {servers: ceil(count * each) for servers, count in self._needs(chunks)}
        tallies = {name: tally for servers in needs for name in servers if (tally := foresight.open_tally(name, self.places.priority))}
        return (last_of(tallies, needs, self.places.priority, now) - now).total_seconds()

    def _needs(self, chunks: int) -> Iterator[tuple[frozenset[str], float]]:
        """By the sources that can serve them: those that are begun, and of the rest the same shares as of these."""
        begun, done = self.places.begun, self.places.done
        rest = max(0, chunks - (begun.total() - done.total()))
        for servers, count in begun.items():
            yield servers, count - done[servers] + rest * count / begun.total()
