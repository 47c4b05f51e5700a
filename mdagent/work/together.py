"""Several symbols in one request, where a source offers that and it saves requests: asked ahead of the fetch of each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mdagent.guard.outcome import Failure, FailureKind
from mdagent.market import BarSet
from mdagent.store.write import Kept
from mdagent.work.due import due
from mdagent.work.fill import Filled, take
from mdagent.work.gate import Call, Result
from mdagent.work.spans import within_depth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mdagent.market import BarRequest
    from mdagent.sources.base import Source
    from mdagent.work.fill import Tools
    from mdagent.work.fit import Wish

_FEWEST = 2


class Shared(NamedTuple):
    """What a symbol got from a request that it shared: the requests it is charged with (the first symbol with all), how many others
    there were, and what became of its bars."""

    requests: int
    others: int
    came: Filled

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the report."""
        return (f"asked together with {self.others} other{'' if self.others == 1 else 's'}", *self.came.changes)


async def fetch_together(wishes: Sequence[Wish], tools: Tools) -> dict[BarRequest, Shared]:
    """Ask for the windows that several symbols lack alike. What does not come so is left to the fetch of the single symbol.
    Raises StoreError."""
    shared: dict[BarRequest, Shared] = {}
    for group in _alike(wishes, tools):
        windows = [window for _, window in group.members]
        alone = sum(len(group.source.cut(w)) for w in windows)
        needed = group.source.batch_requests(windows)
        if needed is None or needed >= alone:
            continue
        sent, came = await _ask(group, windows, tools)
        for i, (asked, window) in enumerate(group.members):
            shared[asked] = Shared(sent if i == 0 else 0, len(group.members) - 1, came.get(window, Filled()))
    return shared


class _Group(NamedTuple):
    source: Source
    members: tuple[tuple[BarRequest, BarRequest], ...]  # what the user asked, and the window to ask for


def _alike(wishes: Sequence[Wish], tools: Tools) -> list[_Group]:
    """Requests that their first source can be asked for in one breath: they lack one and the same window."""
    groups: dict[tuple[str, str, str, datetime, datetime], list[tuple[Source, BarRequest, BarRequest]]] = {}
    for wish in wishes:
        server = wish.servers[0] if wish.servers else None
        if server is None or "batch" not in server.source.spec.offers or "batch" in server.source.plan.lacks:
            continue
        source, asked = server.source, wish.request
        if tools.ledger.unknown(source.spec.name, asked.symbol.ticker) and not wish.refresh:
            continue
        now = tools.clock.now()
        lack = due(source, replace(asked, adjustment=server.basis), asked.adjustment, tools, refresh=wish.refresh)
        wide = lack.window
        windows, _ = within_depth(lack.parts, source, now if tools.bounded_depth else None)
        if len(windows) == 1:
            key = (source.spec.name, wide.interval.value, wide.adjustment.value, windows[0].start, windows[0].end)
            groups.setdefault(key, []).append((source, asked, windows[0]))
    return [_Group(found[0][0], tuple((a, w) for _, a, w in found)) for found in groups.values() if len(found) >= _FEWEST]


async def _ask(group: _Group, windows: list[BarRequest], tools: Tools) -> tuple[int, dict[BarRequest, Filled]]:
    """The requests sent, and what became of each window whose bars came. A failure of all is told by the fetches that follow."""
    subject = ",".join(w.symbol.ticker for w in windows)[:200]
    call = Call("batch", subject, tools.clock.monotonic() + tools.deadline * max(1, len(windows) // 20), tools.patience)
    result = await tools.gate.converse(group.source, partial(group.source.batch, windows), call)
    came: dict[BarRequest, Filled] = {}
    for window, found in zip(windows, result.value or (), strict=False):
        if isinstance(found, BarSet):
            kept = take(group.source, window, Result(found, None, result.attempts), tools.sessions(window), tools)
            if isinstance(kept, Kept):
                came[window] = Filled.by(kept)
        elif isinstance(found, Failure) and found.kind is FailureKind.UNKNOWN_SYMBOL:
            tools.gate.remember_unknown(group.source.spec.name, window.symbol.ticker, found)
        elif isinstance(found, Failure) and found.kind is FailureKind.NO_DATA:
            take(group.source, window, Result(None, found, result.attempts), tools.sessions(window), tools)
    return sum(a.sent for a in result.attempts), came
