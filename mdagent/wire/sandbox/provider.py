"""The simulated provider: a referee that counts what it is asked, and says no.

It shares no code with mdagent's own limits on purpose: when both agree that a quota held, it did.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING

from mdagent.wire.sandbox.dialects import Reply, answer, too_many_requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdagent.clock import Clock

HOSTS = ("query1.finance.yahoo.com", "query2.finance.yahoo.com")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived, and what became of it."""

    at: datetime
    host: str
    path: str
    status: int


@dataclass(eq=False)
class Provider:
    """Yahoo, simulated. Each client may ask `per_minute` times in any 60 seconds and `per_hour` times in any 3600; refused
    requests are seen and logged, but do not count against it. Safe to use from several threads."""

    clock: Clock
    per_hour: int = 2000
    per_minute: int = 120
    log: list[Seen] = field(default_factory=list)
    _granted: dict[str, deque[float]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def requests(self) -> int:
        """How many requests arrived, refused ones included."""
        return len(self.log)

    def answer(self, host: str, path: str, query: Mapping[str, str], client: str = "local") -> tuple[Reply, dict[str, str]]:
        """The reply to a GET of the decoded `path`, and its headers."""
        now = self.clock.now()
        with self._lock:
            allowed = self._allows(client, now.timestamp())
        reply = answer(path, query, int(now.timestamp())) if allowed else too_many_requests()
        with self._lock:
            self.log.append(Seen(now, host, path, reply.status))
            number = len(self.log)
        return reply, _headers(reply, now, number)

    def _allows(self, client: str, now: float) -> bool:
        times = self._granted.setdefault(client, deque())
        while times and (times[0] <= now - 3600 or times[0] > now):  # later than now: the clock was set back
            times.popleft()
        if len(times) >= self.per_hour or sum(t > now - 60 for t in times) >= self.per_minute:
            return False
        times.append(now)
        return True


def _headers(reply: Reply, now: datetime, number: int) -> dict[str, str]:
    from email.utils import format_datetime

    headers = {"content-type": reply.content_type, "date": format_datetime(now, usegmt=True), "server": "ATS"}
    headers["y-rid"] = f"sandbox{number:06d}"
    headers["x-mdagent-world"] = "sandbox"  # so that a live store refuses what comes from here
    if reply.status == 200:
        headers |= {"cache-control": "public, max-age=10, stale-while-revalidate=20", "age": "0"}
    return headers
