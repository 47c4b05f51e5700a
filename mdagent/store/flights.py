"""The right to fetch a series: one process at a time has it. Kept in the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mdagent.store.quota import us

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mdagent.store.ledger import Ledger
    from mdagent.store.quota import Db

_LONGEST = timedelta(minutes=10)  # no right is held longer
_ODD = 2 * _LONGEST  # one that seems to last so long was given while the clock stood elsewhere; a few seconds of that are no matter


def board(ledger: Ledger, series: str, who: tuple[str, int], seconds: float, alive: Callable[[int], bool]) -> str | None:
    """Take the right to fetch a series for so long; or the run that has it already, while its process lives. `who`: run and process."""
    run, pid = who

    def make(db: Db, now: datetime) -> str | None:
        row = db.execute("SELECT run, pid, until FROM flights WHERE series = ?", (series,)).fetchone()
        if row and row[0] != run and us(now) < row[2] <= us(now + _ODD) and alive(row[1]):
            return str(row[0])
        until = us(now + min(timedelta(seconds=seconds), _LONGEST))
        db.execute("INSERT OR REPLACE INTO flights VALUES (?,?,?,?)", (series, run, pid, until))
        return None

    return ledger.decide(make)


def land(ledger: Ledger, series: str, run: str) -> None:
    """Give it back."""
    ledger.decide(lambda db, _: db.execute("DELETE FROM flights WHERE series = ? AND run = ?", (series, run)) and None)
