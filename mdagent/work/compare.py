"""What each source says of the same bars, side by side, and by how much they differ."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.series import LeftOut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdagent.market import BarRequest
    from mdagent.store.bars import BarStore
    from mdagent.work.report import Line

FIELDS = ("open", "high", "low", "close", "volume")
_FEWEST_TO_JUDGE = 3  # of two that differ nobody can say which is wrong


class How(NamedTuple):
    """The field to compare, and how far (relative) from the median a source may be without standing apart."""

    field: str = "close"
    tolerance: float = 0.001


class Session(NamedTuple):
    """One bar as told by several sources: a value for each of them (None where it has none), their median, the distance between highest
    and lowest relative to it (None with fewer than two), and who stands apart from the others."""

    symbol: str
    interval: str
    ts: Any
    adjustment: str
    currency: str | None
    values: tuple[float | None, ...]
    median: float | None
    spread: float | None
    apart: tuple[str, ...]


class Comparison(NamedTuple):
    """The sessions in order; the sources in the order of the values; who could not be compared, and why."""

    sources: tuple[str, ...]
    sessions: tuple[Session, ...]
    left: tuple[LeftOut, ...]


def why_missing(lines: Sequence[Line]) -> str:
    """Why a source has nothing to compare, "" where it has."""
    failed = next((line for line in lines if line.failure is not None), None)
    if failed is None or failed.failure is None:
        return ""
    return failed.considered[-1].reasons[0] if failed.source is None and failed.considered else failed.failure.detail


def stored_apart(store: BarStore, requests: Sequence[BarRequest], names: Sequence[str]) -> tuple[list[tuple[object, ...]], dict[str, str]]:
    """A row for each stamp and source, all on the basis asked for and in one unit; and who is left out, with the reason."""
    rows: list[tuple[object, ...]] = []
    left: dict[str, str] = {}
    with store.reading("compare") as reader:
        for request in requests:
            joint = reader.joint(request, names)
            rows += reader.rows(request, joint, apart=True)
            left |= {one.source: one.why for one in joint.left}
    return rows, left


def compare(rows: Sequence[tuple[Any, ...]], left: Mapping[str, str], how: How) -> Comparison:
    """Rows in the order of `store.read.STORED`, one for each stamp and source. A source stands apart when it is further than the
    tolerance from the median of at least three."""
    place = 3 + FIELDS.index(how.field)
    sources = tuple(sorted({row[8] for row in rows}))
    bars: dict[tuple[str, Any], dict[str, tuple[Any, ...]]] = {}
    for row in rows:
        bars.setdefault((row[0], row[2]), {})[row[8]] = row
    sessions = tuple(_session(told, sources, place, how.tolerance) for told in bars.values())
    return Comparison(sources, sessions, tuple(LeftOut(name, why) for name, why in sorted(left.items())))


def _session(told: dict[str, tuple[Any, ...]], sources: tuple[str, ...], place: int, tolerance: float) -> Session:
    any_row = next(iter(told.values()))
    values = {name: told[name][place] for name in sources if name in told and told[name][place] is not None}
    middle = median(values.values()) if values else None
    spread = (max(values.values()) - min(values.values())) / abs(middle) if middle and len(values) > 1 else None
    apart: tuple[str, ...] = ()
    if middle and len(values) >= _FEWEST_TO_JUDGE:
        apart = tuple(name for name, value in values.items() if abs(value / middle - 1) > tolerance)
    symbol, interval, ts, adjustment, currency = any_row[0], any_row[1], any_row[2], any_row[9], any_row[10]
    return Session(symbol, interval, ts, adjustment, currency, tuple(values.get(n) for n in sources), middle, spread, apart)
