"""A ledger that was damaged: what it counted is lost, and a new one may not begin as if nothing had been sent.

Damage is marked by a file beside the ledger, which outlives its being moved away. A ledger that is made beside that mark holds every
window to be spent at that moment: none grants anything before it has passed once.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from mdagent.errors import StoreDamaged
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

_LONG, _OFTEN = 20_000, timedelta(hours=1)  # requests whose rows take some 10 ms to be looked at, and how often more are
_PROVED = "proved"


def mark_of(path: Path) -> Path:
    """The file that says that the ledger there was damaged."""
    return path.with_name(f"{path.name}.damaged")


def note_damage(path: Path) -> None:
    """Leave the mark. Where it cannot be written the damaged ledger is still in its place, and nothing is granted."""
    with suppress(OSError):
        mark_of(path).touch(0o600)


def mind(turn: Turn, asked: Asked, run: int, path: Path | None) -> datetime | None:
    """When the ledger took the place of a damaged one, if it did: then every window of the account that has not passed since counts as
    spent, written down as requests of somebody else's. A `path`: it is looked at first, and StoreDamaged may be raised."""
    if path is not None:
        _prove(turn.db, path, turn.now)
    lost = _lost_at(turn.db)
    for window in asked.windows if lost else ():
        if lost and span(window, turn.now)[0] < lost:
            correct(turn._replace(now=lost), asked.accounts, window, 0, run)
    return lost


def _prove(db: Db, path: Path, now: datetime) -> None:
    """Is everything in order with the tables and what is counted by? Their rows stand in an index, too, so that a bit which flipped shows.
    A long ledger is looked at once an hour. Raises StoreDamaged."""
    long = (db.execute("SELECT max(id) FROM attempts").fetchone()[0] or 0) > _LONG
    if (
        long
        and db.execute("SELECT 1 FROM marks WHERE name = ? AND abs(at - ?) < ?", (_PROVED, us(now), us(now) - us(now - _OFTEN))).fetchone()
    ):
        return
    told = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if told != "ok":
        note_damage(path)
        msg = f"the ledger {path} cannot be trusted: {told.splitlines()[-1][:200]}"
        raise StoreDamaged(msg, f"it was left as it is; {ASIDE}")
    if long:
        db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (_PROVED, us(now)))


def begin_spent(db: Db, now: datetime) -> None:
    """In a ledger that takes the place of a damaged one."""
    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (LOST, us(now)))


def _lost_at(db: Db) -> datetime | None:
    row = db.execute("SELECT at FROM marks WHERE name = ?", (LOST,)).fetchone()
    return when(row[0]) if row else None


def explained(answer: Grant | Refusal | Denied, asked: Asked, lost: datetime, now: datetime) -> Grant | Refusal | Denied:
    """A refusal says that the quota is held to be spent since nobody knows what was sent."""
    if isinstance(answer, Refusal) and any(span(window, now)[0] < lost for window in asked.windows):
        return replace(answer, reason=f"{answer.reason}, for all that is known: the ledger before {lost:%Y-%m-%d %H:%M:%S}Z was damaged")
    return answer
