"""Rows of another interval than the one asked for, told by how they lie in time, whatever the answer says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdagent.guard.outcome import FailureKind
from mdagent.sources.reading.body import failed

if TYPE_CHECKING:
    from mdagent.market import Interval

_ENOUGH = 3  # rows from which a spacing can be told


def check_spacing(stamps: np.ndarray, interval: Interval, seconds: np.ndarray | None = None) -> None:
    """Raises ConversationFailed MISMATCH where the rows are those of another interval. `stamps` (datetime64[us], in any order) are
    the bars' own: dates, Mondays, firsts; `seconds` are the times that they were made of, where those tell more. Leave out stamps
    that are no times. Daily and longer: several rows for a bar are shorter bars; intraday: rows two steps apart are longer ones."""
    if len(stamps) < _ENOUGH:
        return
    moments = stamps.astype("datetime64[us]").astype(np.int64) // 1_000_000 if seconds is None else seconds
    gaps = np.diff(np.sort(moments))
    if interval.intraday:
        wrong = bool((gaps[gaps > 0] >= 2 * interval.seconds).all()) and bool((gaps == 2 * interval.seconds).sum() >= _ENOUGH - 1)
    else:
        distinct = 1 + np.count_nonzero(np.diff(np.sort(stamps)))
        wrong = bool(distinct <= len(stamps) // 2)
    if wrong:
        msg = f"{interval} bars were asked for, the rows of the answer lie {np.median(gaps):.0f} s apart"
        raise failed(FailureKind.MISMATCH, msg)
