"""Pin the bars of a backtest, and say later whether they can still be read as they were."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.market import Adjustment, BarRequest, Interval, Symbol
from mdagent.store.frozen import Frozen, Pin, keep, keep_pins, pins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mdagent.store.read import Reader
    from mdagent.store.write import Writer

Row = tuple[Any, ...]  # in the order of store.read.STORED
_SCORE, _PROVISIONAL = 11, 12


class Verified(NamedTuple):
    """Does the hash of a pinned result still hold? If not, the first bar that is another one: its symbol and stamp (naive UTC), and what
    is different about it."""

    frozen: Frozen
    digest: str
    symbol: str = ""
    ts: datetime | None = None
    difference: str = ""

    @property
    def holds(self) -> bool:
        """Are all bars what they were?"""
        return not self.difference


class Made(NamedTuple):
    """What was pinned, how many provisional bars were left out, and which sources, with the reason; `without` names the symbols that have
    no bar in it."""

    frozen: Frozen
    provisional: int
    left: tuple[str, ...]
    without: tuple[str, ...]


def canonical(row: Row) -> bytes:
    """A row as it is hashed: its cells as text in the order of `store.read.STORED`, without `provisional`, parted by commas; numbers by the
    shortest text that gives them back, absent ones empty, times ISO 8601 in UTC."""
    return (",".join(map(_word, row[:_PROVISIONAL])) + "\n").encode()


def _word(value: object) -> str:
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else value.isoformat() if hasattr(value, "isoformat") else str(value)


def freeze(writer: Writer, name: str, requests: Sequence[BarRequest], as_of: datetime, now: datetime) -> Made:
    """Pin the final bars of all requests, which share all but the symbol. A provisional one is left out: what takes its place leaves no
    trace of it, so that it could not be read again. Nothing is written where there are no bars."""
    whole, bars, provisional = sha256(), 0, 0
    left: list[str] = []
    without: list[str] = []
    for request in requests:
        joint = writer.joint(request, as_of=as_of)
        left += [f"{request.symbol}: {one.source} is left out: {one.why}" for one in joint.left]
        rows: list[Row] = writer.rows(request, joint)
        final = [row for row in rows if not row[_PROVISIONAL]]
        provisional += len(rows) - len(final)
        bars += len(final)
        without += [] if final else [request.symbol.ticker]
        keep_pins(writer.db, name, request.symbol.ticker, [_pin(row) for row in final])
        for row in final:
            whole.update(canonical(row))
    one = requests[0]
    window = (one.interval.value, one.start, one.end, one.adjustment.value)
    made = Frozen(name, tuple(r.symbol.ticker for r in requests), *window, as_of, bars, whole.hexdigest(), now)
    if bars:
        keep(writer.ask, made)
    return Made(made, provisional, tuple(left), tuple(without))


def _pin(row: Row) -> Pin:
    return Pin(row[2], row[8], row[_SCORE], _mark(row))


def _mark(row: Row) -> int:
    return int.from_bytes(sha256(canonical(row)).digest()[:8], "big", signed=True)


def rows_of(reader: Reader, told: Frozen) -> list[Row]:
    """The bars of a pinned result as they can be read now, in the order of its hash."""
    return [row for symbol in told.symbols for row in _read(reader, told, symbol, pins(reader.ask, told.name, symbol))[0]]


def verify(reader: Reader, told: Frozen) -> Verified:
    """Read it again as of its instant, and compare."""
    whole = sha256()
    found: Verified | None = None
    for symbol in told.symbols:
        pinned = pins(reader.ask, told.name, symbol)
        rows, left = _read(reader, told, symbol, pinned)
        for row in rows:
            whole.update(canonical(row))
        if found is None:
            first = min(_differences(pinned, rows, left), default=None)
            found = Verified(told, "", symbol, *first) if first else None
    if found is None and whole.hexdigest() != told.digest:
        found = Verified(told, "", difference="each bar is what its mark says, and all of them together are not: the list was changed")
    return (found or Verified(told, ""))._replace(digest=whole.hexdigest())


def _read(reader: Reader, told: Frozen, symbol: str, pinned: Sequence[Pin]) -> tuple[list[Row], str]:
    """The final rows as of its instant, for each stamp that of the source that won then; and who is left out now."""
    request = BarRequest(Symbol.parse(symbol), Interval(told.interval), told.start, told.end, Adjustment(told.adjustment))
    joint = reader.joint(request, as_of=told.as_of)
    won = {pin.ts: pin for pin in pinned}
    made: list[Row] = []
    rows: list[Row] = reader.rows(request, joint, apart=True)
    for row in rows:
        pin = won.get(row[2])
        if pin is not None and row[8] == pin.source:
            made.append((*row[:_SCORE], pin.score, False))
        elif pin is None and not row[_PROVISIONAL] and (not made or made[-1][2] != row[2]):
            made.append(row)
    return made, "; ".join(f"{one.source} is left out: {one.why}" for one in joint.left)


def _differences(pinned: Sequence[Pin], rows: Sequence[Row], left: str) -> Iterator[tuple[datetime, str]]:
    here = {row[2]: row for row in rows}
    was = {pin.ts for pin in pinned}
    for pin in pinned:
        row = here.get(pin.ts)
        if row is None:
            yield pin.ts, f"the bar of {pin.source} cannot be read any more" + (f": {left}" if left else "")
        elif _mark(row) != pin.mark:
            cells = ", ".join(f"{name} {_word(row[i])}" for i, name in enumerate(("open", "high", "low", "close", "volume"), 3))
            yield pin.ts, f"the bar of {pin.source} is another one: now {cells} {row[10] or ''}".rstrip()
    yield from ((ts, f"a bar of {row[8]} is there that was not") for ts, row in here.items() if ts not in was)
