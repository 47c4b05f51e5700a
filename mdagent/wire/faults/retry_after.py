"""A `Retry-After` header in every shape that providers are known to send, and some that they had better not."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from mdagent.wire.faults.kinds import Fault


def told(fault: Fault, now: datetime) -> dict[str, str]:
    """The headers that a fault's `retry_after` and `wait` ask for; the Date that a date is to be read against is one of them."""
    shape, wait = fault.settings["retry_after"], float(fault.settings["wait"])
    date = format_datetime(now, usegmt=True)
    texts = {
        "seconds": f"{wait:.0f}",
        "date": format_datetime(now + timedelta(seconds=wait), usegmt=True),
        "past": format_datetime(now - timedelta(seconds=wait), usegmt=True),
        "negative": f"-{wait:.0f}",
        "nonsense": "soon, we promise",
        "fraction": "1e9",
        "huge": "9" * 19,
    }
    return {"date": date} | ({"retry-after": texts[shape]} if shape in texts else {})
