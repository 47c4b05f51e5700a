"""Reports of experiments: kept in the ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.quota import us, when

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mdagent.store.ledger import Ledger
    from mdagent.store.quota import Db

_COLUMNS = "id, at, experiment, seed, verdict, suite, told"


class Kept(NamedTuple):
    """One report: its number, when it was made, and the report itself. `suite`: the run of a suite that it belongs to, "" for none."""

    number: int
    at: datetime
    experiment: str
    seed: int
    verdict: str
    suite: str
    told: Mapping[str, Any]


def keep_drill(ledger: Ledger, told: Mapping[str, Any], suite: str = "") -> int:
    """Keep a report; its number."""

    def make(db: Db, now: datetime) -> int:
        row = (us(now), told["experiment"], told["seed"], told["verdict"], suite, json.dumps(dict(told)))
        put = "INSERT INTO drills (at, experiment, seed, verdict, suite, told) VALUES (?,?,?,?,?,?)"
        return int(db.execute(put, row).lastrowid or 0)

    return ledger.decide(make)


def drill(ledger: Ledger, number: int | None = None) -> Kept | None:
    """The report of that number, or the last one."""
    where, words = ("WHERE id = ?", (number,)) if number is not None else ("", ())
    rows = ledger.rows(f"SELECT {_COLUMNS} FROM drills {where} ORDER BY id DESC LIMIT 1", *words)
    return _kept(rows[0]) if rows else None


def drills(ledger: Ledger, most: int = 50) -> list[Kept]:
    """The last reports, the latest first."""
    return [_kept(row) for row in ledger.rows(f"SELECT {_COLUMNS} FROM drills ORDER BY id DESC LIMIT ?", most)]


def _kept(row: tuple[Any, ...]) -> Kept:
    number, at, experiment, seed, verdict, suite, told = row
    return Kept(number, when(at), experiment, seed, verdict, suite, json.loads(told))
