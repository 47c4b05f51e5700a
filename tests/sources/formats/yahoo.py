"""Yahoo: columns under one result, stamped with epoch seconds of the session's open."""

from __future__ import annotations

from typing import Any

from mdagent.market import COLUMNS, Adjustment
from tests.sources.canonical import Format, Odd, Ten, Told, dumps, opening


def render(ten: Ten) -> bytes:
    columns: dict[str, Any] = {name: [row[name] for row in ten.rows] for name in COLUMNS}
    indicators: dict[str, Any] = {"quote": [columns if ten.rows else {}]}
    if ten.adjusted and ten.rows and not ten.interval.intraday:
        indicators["adjclose"] = [{"adjclose": columns["close"]}]
    meta = {
        "exchangeName": "NMS",
        "instrumentType": "EQUITY",
        "firstTradeDate": 345479400,
        "exchangeTimezoneName": "America/New_York",
        "dataGranularity": ten.interval.value,
    }
    meta |= {
        told: ten.about[name] for name, told in (("symbol", "symbol"), ("currency", "currency"), ("name", "longName")) if name in ten.about
    }
    result = {"meta": meta, "indicators": indicators} | ({"timestamp": [row["stamp"] for row in ten.rows]} if ten.rows else {})
    return dumps({"chart": {"result": [result], "error": None}})


def error(code: str, description: str, status: int = 200) -> Told:
    return Told(status, dumps({"chart": {"result": None, "error": {"code": code, "description": description}}}))


FORMAT = Format(
    render,
    opening,
    lambda seconds: Odd(f"{seconds:.0f}"),
    {
        "no data": error("Bad Request", "Data doesn't exist for startDate = 1704171600, endDate = 1705467600", 400),
        "unknown symbol": error("Not Found", "No data found, symbol may be delisted"),
        "throttle": error("Too Many Requests", "slow down"),
        "bad key": error("Unauthorized", "Invalid Crumb"),
        "unknown key": error("ERROR", "Unknown API Key"),
    },
    flagged=Adjustment.ALL,
    other_unit=lambda stamp: stamp * 1000,
    lacks={
        "texts": "numbers are JSON numbers",
        "words": "stamps are epoch seconds",
        "late": "charts bear no mark of delayed data",
        "pages": "a chart comes as one page",
        "plan": "there is only one plan",
    },
    precise=1e-6,
)
