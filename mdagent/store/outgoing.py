"""Stored bars -> a Parquet file, without passing through Python: DuckDB copies the rows that `Reader.rows` would tell, and as it would.

Most series are plain: one source, on the basis asked for, with nothing to multiply and nothing decided. Those are one statement for all
symbols; the others are joined one by one as every reader does it, into a table beside.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from mdagent.errors import StoreFull
from mdagent.market import Adjustment
from mdagent.quality.letters import LETTERS
from mdagent.store.decided import DECIDED
from mdagent.store.literal import literal, naive
from mdagent.store.read import united
from mdagent.store.series import ACTIONS, Held, known_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mdagent.market import BarRequest
    from mdagent.store.read import Reader
    from mdagent.store.series import LeftOut

_LETTER = f"CASE {' '.join(f'WHEN score >= {least!r} THEN {literal(name)}' for name, least in LETTERS)} ELSE 'F' END AS grade"
_SHOWN = f"symbol, interval, ts, open, high, low, close, volume, source, adjustment, currency, {_LETTER}, score, provisional"
_FACTS = "open, high, low, close, volume, source, adjustment"


class Copied(NamedTuple):
    """How many rows were written, and for each symbol who was left out of it."""

    rows: int
    left: list[tuple[str, LeftOut]]


def copy_out(reader: Reader, requests: Sequence[BarRequest], sources: Sequence[str], path: Path) -> Copied:
    """Write the consolidated series of all requests, which differ in nothing but the symbol, one after another in order of `ts`. The
    reader must be allowed to write `path`. Raises StoreFull."""
    found = _plain(reader, requests, sources) if requests else {}
    others = [request for request in requests if request.symbol.ticker not in found]
    reader.ask(
        f"CREATE TEMP TABLE rest AS SELECT 0 AS place, symbol, interval, ts, {_FACTS}, currency, score, provisional FROM bars LIMIT 0", []
    )
    left = _join_others(reader, requests, sources, {r.symbol.ticker for r in others})
    rest = (reader.ask("SELECT count(*) FROM rest", []).fetchone() or (0,))[0]
    query = _query(reader, requests, found, rest=bool(rest)) if found else f"SELECT {_SHOWN} FROM rest"
    try:
        row = reader.ask(f"COPY ({query}) TO ? (FORMAT parquet, USE_TMP_FILE false)", [str(path)]).fetchone()
    except duckdb.Error as error:
        if "space" in str(error):
            msg = f"{path.parent} has no space left for the file"
            raise StoreFull(msg, "free some space, or write elsewhere") from error
        raise
    return Copied(int(row[0]) if row else 0, left)


def _join_others(reader: Reader, requests: Sequence[BarRequest], sources: Sequence[str], whose: set[str]) -> list[tuple[str, LeftOut]]:
    left: list[tuple[str, LeftOut]] = []
    for place, request in enumerate(requests):
        if request.symbol.ticker not in whose:
            continue
        joint = reader.joint(request, sources)
        left += [(request.symbol.ticker, one) for one in joint.left]
        if joint.parts:
            sql, words = united(request, joint, apart=False)
            reader.ask(f"INSERT INTO rest BY NAME SELECT {place} AS place, * FROM ({sql})", words)
    return left


def _query(reader: Reader, requests: Sequence[BarRequest], found: dict[str, Held], *, rest: bool) -> str:
    """Where the plain series are all there is and lie in order already, a mere scan; else sorted."""
    one, currencies = requests[0], {r.symbol.ticker: r.symbol.currency for r in requests}
    names = [r.symbol.ticker for r in requests if r.symbol.ticker in found]
    window = (
        f"interval = {literal(one.interval.value)} AND adjustment = {literal(one.adjustment.value)}"
        f" AND ts >= {literal(naive(one.start))} AND ts < {literal(naive(one.end))}"
    )
    there = (reader.ask(f"SELECT count(*) FROM bars WHERE {window}", []).fetchone() or (0,))[0]
    whole = there == sum(held.bars for held in found.values()) and all(held.currency for held in found.values())
    if whole and not rest and names == sorted(names) and _in_order(reader, window):
        return f"SELECT {_SHOWN} FROM bars WHERE {window}"
    places = {r.symbol.ticker: n for n, r in enumerate(requests)}
    rows = ", ".join(f"({places[name]}, ?, ?, nullif(?, ''))" for name in names)
    words = [word for name in names for word in (name, found[name].source, found[name].currency or currencies[name] or "")]
    reader.ask("CREATE TEMP TABLE plain (place INTEGER, symbol VARCHAR, source VARCHAR, currency VARCHAR)", [])
    reader.ask(f"INSERT INTO plain VALUES {rows}", words)
    taken = (
        f"SELECT place, b.symbol, interval, ts, open, high, low, close, volume, b.source, adjustment, p.currency, score, provisional"
        f" FROM bars b JOIN plain p ON b.symbol = p.symbol AND b.source = p.source WHERE {window}"
    )
    return f"SELECT {_SHOWN} FROM ({taken} UNION ALL SELECT * FROM rest) ORDER BY place, ts"


def _in_order(reader: Reader, window: str) -> bool:
    """Do these bars lie in the file by symbol and stamp, as `store compact` leaves them?"""
    rows = f"SELECT symbol, ts, lag(symbol) OVER () AS before, lag(ts) OVER () AS earlier FROM bars WHERE {window}"
    wrong = reader.ask(f"SELECT 1 FROM ({rows}) WHERE symbol < before OR (symbol = before AND ts <= earlier) LIMIT 1", []).fetchone()
    return wrong is None


def _plain(reader: Reader, requests: Sequence[BarRequest], sources: Sequence[str]) -> dict[str, Held]:
    """The symbols of which one source has all that there is in the window, on the basis asked for, with nothing to multiply; see
    `series.join` for what that takes."""
    one = requests[0]
    among = f" AND source IN ({', '.join('?' * len(sources))})" if sources else ""
    rows = reader.ask(
        "SELECT symbol, source, adjustment, currency, lot, raw_volume, count(*), min(ts), max(ts), min(fetched_at), max(fetched_at)"
        f" FROM bars WHERE interval = ? AND ts >= ? AND ts < ?{among} GROUP BY ALL",
        [one.interval.value, naive(one.start), naive(one.end), *sources],
    ).fetchall()
    asked, decided = {r.symbol.ticker for r in requests}, {row[0] for row in reader.ask(DECIDED, []).fetchall()}
    series: dict[str, list[Held]] = {}
    for symbol, source, basis, *facts in rows:
        if symbol in asked and symbol not in decided:
            series.setdefault(symbol, []).append(Held(source, Adjustment(basis), *facts))
    single = {name: held[0] for name, held in series.items() if len(held) == 1 and held[0].basis is one.adjustment and held[0].lot == 1.0}
    if one.adjustment is Adjustment.RAW:
        return single
    splits = dict(
        reader.ask("SELECT symbol, max(date) FROM actions WHERE kind = 'split' AND replaced_at IS NULL GROUP BY 1", []).fetchall()
    )
    known = _known(reader) if any(held.oldest.date() != held.newest.date() for held in single.values()) else {}
    return {name: held for name, held in single.items() if _needs_nothing(held, splits.get(name), known.get((name, held.source), ()))}


def _needs_nothing(held: Held, split: date | None, known: Sequence[tuple[datetime, datetime]]) -> bool:
    """Are these adjusted prices still what they were when they came?"""
    if split is not None and (held.raw_volume or split >= held.oldest.date()):
        return False  # the volume counts the shares of its day, or the prices came before the split
    if held.oldest.date() == held.newest.date():
        return True
    reached = known_to(known, datetime.combine(held.oldest.date(), time())) if held.basis is Adjustment.SPLITS else None
    return reached is not None and reached.date() >= held.newest.date()


def _known(reader: Reader) -> dict[tuple[str, str], list[tuple[datetime, datetime]]]:
    """The stretches of time of which each source told all splits of a symbol."""
    found: dict[tuple[str, str], list[tuple[datetime, datetime]]] = {}
    for symbol, source, start, end in reader.ask(
        "SELECT symbol, source, start_ts, end_ts FROM coverage WHERE interval = ? ORDER BY ALL", [ACTIONS]
    ).fetchall():
        found.setdefault((symbol, source), []).append((start, end))
    return found
