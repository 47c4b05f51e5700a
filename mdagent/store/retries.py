"""The budget of retries: one for all processes, kept in the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mdagent.guard.backoff import Budget
from mdagent.store.quota import us

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mdagent.store.ledger import Ledger
    from mdagent.store.quota import Db

_MEMORY = timedelta(minutes=10)  # of requests that the budget looks back on
_SENT = "SELECT count(*) FROM attempts WHERE source = ? AND at > ? AND at <= ? AND state IN ('sent', 'settled')"
_AGAIN = "SELECT count(*) FROM retries WHERE source = ? AND at > ? AND at <= ?"


def take_retry(ledger: Ledger, source: str, pause: Callable[[Budget], float | None]) -> float | None:
    """The pause before a retry that the budget allows, by which it is counted; None where `pause` says so."""

    def make(db: Db, now: datetime) -> float | None:
        window = (source, us(now - _MEMORY), us(now))
        told = pause(Budget(db.execute(_SENT, window).fetchone()[0], db.execute(_AGAIN, window).fetchone()[0]))
        if told is not None:
            db.execute("DELETE FROM retries WHERE at <= ?", (window[1],))
            db.execute("INSERT INTO retries VALUES (?, ?)", (source, us(now)))
        return told

    return ledger.decide(make)
