"""Finnhub: columns of one letter, stamped with epoch seconds of the date's midnight in UTC; it names nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime

from mdagent.market import COLUMNS
from tests.sources.canonical import Format, Odd, Ten, Told, dumps


def render(ten: Ten) -> bytes:
    columns = {name[0]: [row[name] for row in ten.rows] for name in COLUMNS}
    return dumps(columns | {"t": [row["stamp"] for row in ten.rows], "s": "ok"})


def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def error(status: int, words: str) -> Told:
    return Told(status, dumps({"error": words}))


NOTHING = Told(200, b'{"s":"no_data"}')


FORMAT = Format(
    render,
    midnight,
    lambda seconds: Odd(f"{seconds:.0f}"),
    {
        "no data": NOTHING,
        "unknown symbol": NOTHING,
        "throttle": error(429, "API limit reached. Please try again later. Remaining Limit: 0"),
        "bad key": error(401, "Invalid API key"),
        "unknown key": error(401, "Please use an API key."),
        "plan": error(403, "You don't have access to this resource."),
    },
    other_unit=lambda stamp: stamp * 1000,
    lacks={
        "texts": "numbers are JSON numbers",
        "words": "stamps are epoch seconds",
        "symbol": "bars name no symbol",
        "currency": "bars name no currency",
        "name": "bars name no company",
        "late": "bars bear no mark of delay",
        "pages": "a series comes as one page",
        "basis": "the answer does not tell its basis",
    },
    unknown="NO_DATA",
)
