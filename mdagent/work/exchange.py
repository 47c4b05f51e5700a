"""What one call through the gate has come to: each exchange, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import httpx

    from mdagent.guard.limits import Grant
    from mdagent.guard.outcome import Attempt, Failure


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back: a reply that the conversation is to read, or else a failure. `grant` names its row in the ledger."""

    grant: Grant | None
    attempt: Attempt
    reply: httpx.Response | None
    failure: Failure
    sent: bool = True
    unwanted: bool = False  # refused for who we are, not for the quota
    came: datetime | None = None  # when another process got the answer, of one that it could not keep


@dataclass(slots=True)
class Telling:
    """What one call has come to so far: tries begun, attempts made, answers that need not be asked for again."""

    tried: int = 1
    waited: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    known: dict[str, Exchange] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)
    once: bool = False  # a probe, or a request to a source that is degraded: not to be tried again there
    last: Failure | None = None  # what ended the try before
    spooled: list[str] = field(default_factory=list)  # the names of answers that are to be forgotten once their bars are stored
    came: datetime | None = None  # when the oldest answer came, where that was not now
