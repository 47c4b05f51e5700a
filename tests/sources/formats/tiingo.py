"""Tiingo: a bare list of rows, the traded and the adjusted columns side by side, dates written as midnights."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from mdagent.market import COLUMNS, Adjustment
from tests.sources.canonical import Format, Ten, Told, dumps, iso_instant


def render(ten: Ten) -> bytes:
    rows: list[dict[str, Any]] = []
    for row in ten.rows:
        made: dict[str, Any] = {"date": row["stamp"]} | {name: row[name] for name in COLUMNS}
        if ten.interval.intraday:
            rows.append(made)
            continue
        made |= {f"adj{name.capitalize()}": row[name] for name in COLUMNS}
        rows.append(made | {"divCash": 0.0, "splitFactor": 1.0})
    return dumps(rows)


def midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00.000Z"


def instant(seconds: float) -> str:
    day = iso_instant(seconds)
    return f"{day}T00:00:00.000Z" if "-" in day[1:] else day


def hour(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


FORMAT = Format(
    render,
    midnight,
    instant,
    {
        "no data": Told(200, b"[]"),
        "unknown symbol": Told(404, b'{"detail":"Not found."}'),
        "throttle": Told(429, b'{"detail":"Error: You have run over your hourly request allocation."}'),
        "bad key": Told(401, b'{"detail":"Invalid token."}'),
        "unknown key": Told(403, b'{"detail":"Authentication credentials were not provided."}'),
    },
    basis=Adjustment.RAW,
    hour=hour,
    lacks={
        "texts": "numbers are JSON numbers",
        "instants": "stamps are dates in words",
        "unit": "stamps are dates in words, without a unit",
        "columns": "rows, not columns",
        "symbol": "bars name no symbol",
        "currency": "bars name no currency",
        "name": "bars name no company",
        "late": "bars bear no mark of delay",
        "pages": "a series comes as one page",
        "basis": "the columns are named by their basis",
        "plan": "its words for lack of a plan are not known",
    },
    counts_the_market=lambda interval: not interval.intraday,  # its minutes are of its own exchange, a sliver
)
