"""A ledger that was damaged: what it counted is lost, and a new one may not begin as if nothing had been sent.

Damage is marked by a file beside the ledger, which outlives its being moved away. A ledger that is made beside that mark holds every
window to be spent at that moment: none grants anything before it has passed once.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mdagent.guard.limits import Refusal, span
from mdagent.store.quota import LOST, Turn, correct, us, when

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from mdagent.guard.limits import Denied, Grant
    from mdagent.store.quota import Asked, Db

ASIDE = (
    "move it and the files beside it that begin with its name into another folder: a new one is made, which holds every quota to be spent"
    " until its window has passed once; mdagent doctor looks at the rest"
)


def mark_of(path: Path) -> Path:
    """The file that says that the ledger there was damaged."""
    return path.with_name(f"{path.name}.damaged")


def note_damage(path: Path) -> None:
    """Leave the mark. Where it cannot be written the damaged ledger is still in its place, and nothing is granted."""
    with suppress(OSError):
        mark_of(path).touch(0o600)


def begin_spent(db: Db, now: datetime) -> None:
    """In a ledger that takes the place of a damaged one."""
    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (LOST, us(now)))


def lost_at(db: Db) -> datetime | None:
    """When it took the place of a damaged one, if it did."""
    row = db.execute("SELECT at FROM marks WHERE name = ?", (LOST,)).fetchone()
    return when(row[0]) if row else None


def spend(turn: Turn, asked: Asked, lost: datetime, run: int) -> None:
    """Every window of the account that has not passed since counts as spent then, written down as requests of somebody else's."""
    for window in asked.windows:
        if span(window, turn.now)[0] < lost:
            correct(turn._replace(now=lost), asked.accounts, window, 0, run)


def explained(answer: Grant | Refusal | Denied, asked: Asked, lost: datetime, now: datetime) -> Grant | Refusal | Denied:
    """A refusal says that the quota is held to be spent since nobody knows what was sent."""
    if isinstance(answer, Refusal) and any(span(window, now)[0] < lost for window in asked.windows):
        return replace(answer, reason=f"{answer.reason}, for all that is known: the ledger before {lost:%Y-%m-%d %H:%M:%S}Z was damaged")
    return answer
