"""A ledger that somebody may write to in place of the true one, and what of it the true one has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mdagent.store.ledger import Ledger


def copied(ledger: Ledger, to: Path) -> int:
    """All of it in another file, which may not be there yet. The number of its last attempt."""
    ledger.rows("VACUUM INTO ?", str(to))
    return int(ledger.rows("SELECT coalesce(max(id), 0) FROM attempts")[0][0])


def charged(ledger: Ledger, copy: Ledger, since: int) -> int:
    """What the copy has sent after that number counts against the quotas and budgets of the ledger, too; nothing is learned from it about
    who was asked. How many requests that were."""
    names = [name for _, name, *_ in copy.rows("PRAGMA table_info(attempts)") if name not in ("id", "state", "clock")]
    rows = copy.rows(f"SELECT {', '.join(names)} FROM attempts WHERE id > ? AND cost > 0 ORDER BY id", since)
    marks = ", ".join("?" * len(names))
    insert = f"INSERT INTO attempts ({', '.join(names)}, state) VALUES ({marks}, 'sent')"
    ledger.decide(lambda db, _: [db.execute(insert, row) for row in rows])
    return len(rows)
