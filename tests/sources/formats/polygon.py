"""Polygon, now Massive: rows of one letter each, stamped with epoch milliseconds of New York's midnight, page after page."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from mdagent.market import COLUMNS, Adjustment
from tests.sources.canonical import Format, Odd, Ten, Told, dumps


def render(ten: Ten) -> bytes:
    body: dict[str, Any] = {"ticker": ten.about["symbol"]} if "symbol" in ten.about else {}
    body |= {"queryCount": len(ten.rows), "resultsCount": len(ten.rows), "adjusted": ten.adjusted}
    if ten.rows:
        body["results"] = [{name[0]: row[name] for name in COLUMNS} | {"vw": row["close"], "t": row["stamp"], "n": 7} for row in ten.rows]
    body |= {"status": "DELAYED" if ten.late else "OK", "request_id": "6a7e466379af0a71039d60cc78e72282", "count": len(ten.rows)}
    return dumps(body | ({"next_url": ten.next} if ten.next else {}))


def midnight(day: date) -> int:
    """Midnight of a winter's day in New York."""
    return int(datetime(day.year, day.month, day.day, 5, tzinfo=UTC).timestamp()) * 1000


def error(status: int, code: str, **words: str) -> Told:
    return Told(status, dumps({"status": code, "request_id": "6a7e466379af0a71039d60cc78e72282"} | words))


NOTHING = Told(200, b'{"ticker":"AAPL","queryCount":0,"resultsCount":0,"adjusted":true,"status":"OK","count":0}')

FORMAT = Format(
    render,
    midnight,
    lambda seconds: Odd(f"{1000 * seconds:.0f}") if seconds < 1e15 else Odd("1e20"),
    {
        "no data": NOTHING,
        "unknown symbol": NOTHING,
        "throttle": error(429, "ERROR", error="You've exceeded the maximum requests per minute, please wait or upgrade your subscription."),
        "bad key": error(401, "ERROR", error="API Key was not provided"),
        "unknown key": error(200, "ERROR", error="Unknown API Key"),
        "plan": error(403, "NOT_AUTHORIZED", message="You are not entitled to this data. Please upgrade your plan."),
    },
    flagged=Adjustment.SPLITS,
    other_unit=lambda stamp: stamp // 1000,
    lacks={
        "texts": "numbers are JSON numbers",
        "words": "stamps are epoch milliseconds",
        "columns": "rows, not columns",
        "currency": "bars name no currency",
        "name": "bars name no company",
    },
    unknown="NO_DATA",
)
