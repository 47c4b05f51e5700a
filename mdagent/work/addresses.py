"""Where a source is asked: at the fastest healthy one of its addresses, and after a failure there at the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mdagent.guard.outcome import FailureKind, Retry
from mdagent.store.recall import OF_THE_HOST, Hosts, hosts_of
from mdagent.work.telling import rehosted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from mdagent.clock import Clock
    from mdagent.guard.outcome import Attempt, Failure
    from mdagent.store.ledger import Ledger

_KEPT = 60.0  # seconds between two looks into the ledger; after a failure it is looked at again
_MEMORY = timedelta(hours=1)
_NO_ANSWER = (FailureKind.CONNECT_FAIL, FailureKind.TIMEOUT_READ)
_USUAL = {"http": ":80", "https": ":443"}


@dataclass(slots=True)
class Addresses:
    """Of each source, as all processes found them."""

    ledger: Ledger
    clock: Clock
    _kept: dict[tuple[str, tuple[str, ...]], tuple[float, Hosts]] = field(default_factory=dict)

    def place(self, source: str, request: httpx.Request, bases: tuple[str, ...], before: Sequence[Attempt]) -> httpx.Request:
        """The request at the best address, or at the next one where attempts of the same call `before` failed there."""
        if len(bases) < 2:
            return request
        failed = _failed(before)
        named = {host_of(base): base for base in bases}
        best = min(self._hosts(source, tuple(named)).order, key=failed.count)
        return request if best == request.url.netloc.decode() else rehosted(request, bases, named[best])

    def spares(self, attempt: Attempt, bases: tuple[str, ...]) -> bool:
        """Is the source not to blame for this failure, since it is one address that does not answer, and another is not known to be sick?
        To be asked before the attempt is written down."""
        failure = attempt.failure
        if failure is None or failure.kind not in OF_THE_HOST or len(bases) < 2:
            return False
        names = tuple(map(host_of, bases))
        found = self._hosts(attempt.source, names)
        self._kept.pop((attempt.source, names), None)
        return failure.kind in _NO_ANSWER and bool({*names} - {*found.sick} - {attempt.host})

    def another(self, failure: Failure, before: Sequence[Attempt], bases: tuple[str, ...], *, others: bool) -> bool:
        """Is it tried again at once, since nobody answers here, and there is an address where this call has not failed yet? Where `others`
        can be asked in its place, only if the refusal cost no time."""
        slow = failure.unreachable or failure.kind is not FailureKind.CONNECT_FAIL
        return failure.kind in _NO_ANSWER and not (others and slow) and not {*map(host_of, bases)} <= {*_failed(before)}

    def _hosts(self, source: str, names: tuple[str, ...]) -> Hosts:
        now, kept = self.clock.monotonic(), self._kept.get((source, names))
        if kept is None or now - kept[0] > _KEPT:
            kept = (now, hosts_of(self.ledger, source, names, self.clock.now() - _MEMORY))
            if not kept[1].learning:
                self._kept[source, names] = kept
        return kept[1]


def _failed(attempts: Sequence[Attempt]) -> list[str]:
    """Where those went that failed and were worth a second try."""
    return [a.host for a in attempts if a.token is not None and a.failure and a.failure.consequence.retry is not Retry.NO]


def host_of(base: str) -> str:
    """What an address is known by in the ledger: its host, with the port where that is not the usual one."""
    parts = urlsplit(base)
    return parts.netloc.lower().removesuffix(_USUAL.get(parts.scheme, ""))
