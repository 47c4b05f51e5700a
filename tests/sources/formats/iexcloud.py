"""IEX Cloud: a bare list of rows, the adjusted and the traded columns side by side; errors are plain text."""

from __future__ import annotations

from typing import Any

from mdagent.market import COLUMNS
from tests.sources.canonical import Format, Ten, Told, dumps, iso, iso_instant, new_york


def render(ten: Ten) -> bytes:
    return dumps([_minute(row) if ten.hours or ten.interval.intraday else _day(row) for row in ten.rows])


def _day(row: dict[str, Any]) -> dict[str, Any]:
    made = {"date": row["stamp"]} | {name: row[name] for name in COLUMNS} | {f"u{name.capitalize()}": row[name] for name in COLUMNS}
    return made | {"change": 0, "changePercent": 0, "label": "Jan 2", "changeOverTime": 0}


def _minute(row: dict[str, Any]) -> dict[str, Any]:
    day, _, minute = row["stamp"].partition(" ")
    made = {"date": day, "minute": minute[:5], "label": minute[:5]} | {name: row[name] for name in COLUMNS}
    made |= {"average": row["close"], "notional": 1000.5, "numberOfTrades": 7}
    return made | {f"market{name.capitalize()}": row[name] for name in COLUMNS}


FORMAT = Format(
    render,
    iso,
    iso_instant,
    {
        "no data": Told(200, b"[]"),
        "unknown symbol": Told(404, b"Unknown symbol"),
        "throttle": Told(429, b"Too many requests"),
        "bad key": Told(403, b"The API key provided is not valid."),
        "unknown key": Told(403, b"The API key provided is not valid."),
        "plan": Told(451, b"The requested data is not available to your current tier."),
    },
    hour=new_york,
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
    },
    counts_the_market=lambda interval: not interval.intraday,  # its minutes are of its own exchange, a sliver
)
