"""What has to be known of splits and dividends before a stored series may be served on a basis."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdagent.market import Adjustment

if TYPE_CHECKING:
    from datetime import datetime

    from mdagent.market import BarRequest
    from mdagent.store.read import Reader


class Need(NamedTuple):
    """What must be known of a symbol at a source: `splits`, or `all` payments too, from `since` on."""

    kinds: str
    since: datetime


def need_of(reader: Reader | None, stored: BarRequest, wanted: Adjustment, source: str, *, coming: datetime | None = None) -> Need | None:
    """What the stored series needs to be served on the basis wanted; None for nothing. Adjusted prices that were delivered on several
    days need the splits between: what came before a split does not have it. `coming`: when more bars of it will be delivered."""
    kinds = "all" if Adjustment.ALL in (stored.adjustment, wanted) else "splits"
    if stored.adjustment is not wanted:
        return Need(kinds, stored.start)
    came = reader.deliveries(stored, source) if reader is not None and wanted is not Adjustment.RAW else None
    if came is None or came[0].date() == (coming or came[1]).date():
        return None
    return Need(kinds, came[0].replace(hour=0, minute=0, second=0, microsecond=0))  # a split of that day may have come after it


def is_known(reader: Reader, stored: BarRequest, source: str, need: Need, now: datetime) -> bool:
    """Is it known up to this very day? A source may have adjusted its prices since the evening before."""
    reached = reader.knows(stored, source, need.kinds, need.since)
    return reached is not None and reached.date() >= now.date()
