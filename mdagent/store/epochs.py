"""Published states of the settings, which every running process adopts: kept in the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from mdagent.store.quota import us, when

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mdagent.store.ledger import Ledger
    from mdagent.store.quota import Db


@dataclass(frozen=True, slots=True)
class Epoch:
    """One published state of the settings; `flat` is path -> printable value, secrets masked."""

    number: int
    at: datetime
    fingerprint: str
    flat: Mapping[str, str]


def publish_epoch(ledger: Ledger, fingerprint: str, flat: Mapping[str, str]) -> Epoch:
    """Make these settings the ones that every running process adopts."""

    def make(db: Db, now: datetime) -> Epoch:
        number = (db.execute("SELECT max(number) FROM epochs").fetchone()[0] or 0) + 1
        db.execute("INSERT INTO epochs VALUES (?,?,?,?)", (number, us(now), fingerprint, json.dumps(dict(flat))))
        return Epoch(number, now, fingerprint, MappingProxyType(dict(flat)))

    return ledger.decide(make)


def last_epoch(ledger: Ledger) -> Epoch | None:
    """The last published settings."""
    for number, at, fingerprint, flat in ledger.rows("SELECT number, at, fingerprint, flat FROM epochs ORDER BY number DESC LIMIT 1"):
        return Epoch(number, when(at), fingerprint, MappingProxyType(json.loads(flat)))
    return None


def epoch_number(ledger: Ledger) -> int:
    """The number of the last published settings, 0 for none."""
    return int(ledger.rows("SELECT coalesce(max(number), 0) FROM epochs")[0][0])
