"""What becomes of the times in the ledger when the machine's clock is set: they move with it.

So what went half a minute ago went half a minute ago still, whatever the clock says, and no quota comes back before its time. A day or
a month counts a request by both dates: which of them was the true one, nobody knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdagent.store.quota import LOST, STEPPED, UNSEEN, us

if TYPE_CHECKING:
    from datetime import datetime

    from mdagent.clock import Anchor
    from mdagent.store.quota import Db

_COUNTED = 32 * 86_400_000_000  # nothing older counts for a window
_FOLLOW = {
    "blocks": ("since", "until"),
    "waiting": ("since", "until"),
    "flights": ("until",),
    "paces": ("slowed", "eased", "refused"),
}


def was_set(db: Db, anchor: Anchor) -> bool:
    """Was the clock set since any process looked?"""
    far = "SELECT 1 FROM clocks WHERE run = ? AND abs(began - ?) > ?"
    return db.execute(far, (*anchor, UNSEEN)).fetchone() is not None


def run_of(db: Db, anchor: Anchor, now: datetime) -> int:
    """The number of this run of the machine in the ledger. Where the clock was set since any process looked, the times are moved."""
    row = db.execute("SELECT id, began FROM clocks WHERE run = ?", (anchor.run,)).fetchone()
    if row is None:
        made: int = db.execute("INSERT INTO clocks (run, began) VALUES (?, ?)", (anchor.run, anchor.began)).lastrowid
        return made
    number, began = row
    if abs(anchor.began - began) > UNSEEN:
        _move(db, number, anchor.began - began, us(now))
        db.execute("UPDATE clocks SET began = ? WHERE id = ?", (anchor.began, number))
    return int(number)


def _move(db: Db, run: int, by: int, now: int) -> None:
    sent = "UPDATE attempts SET stamp = coalesce(stamp, at), at = at + ? WHERE clock = ? AND at > ?"
    db.execute(sent, (by, run, now - by - _COUNTED))
    db.execute("UPDATE attempts SET noticed = noticed + ? WHERE noticed IS NOT NULL", (by,))
    for table, columns in _FOLLOW.items():
        moved = ", ".join(f"{column} = {column} + {by:d}" for column in columns)
        db.execute(f"UPDATE {table} SET {moved}")
    db.execute("UPDATE marks SET at = at + ? WHERE name = ?", (by, LOST))
    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (STEPPED, now))
