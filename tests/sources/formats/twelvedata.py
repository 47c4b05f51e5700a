"""Twelve Data: a list of rows, newest first, every number a text, local times without a zone."""

from __future__ import annotations

from mdagent.market import COLUMNS
from tests.sources.canonical import Format, Ten, Told, as_text, dumps, iso, iso_instant, new_york


def render(ten: Ten) -> bytes:
    meta = {"symbol": ten.about["symbol"]} if "symbol" in ten.about else {}
    meta |= {"interval": "1min" if ten.interval.intraday else "1day"}
    meta |= {"currency": ten.about["currency"]} if "currency" in ten.about else {}
    meta |= {"exchange_timezone": "America/New_York", "exchange": "NASDAQ", "mic_code": "XNGS", "type": "Common Stock"}
    rows = [{"datetime": row["stamp"]} | {name: as_text(row[name]) for name in COLUMNS} for row in reversed(ten.rows)]
    return dumps({"meta": meta, "values": rows, "status": "ok"})


def error(code: int, words: str, status: int = 200) -> Told:
    return Told(status, dumps({"code": code, "message": words, "status": "error"}))


FORMAT = Format(
    render,
    iso,
    iso_instant,
    {
        "no data": error(400, "No data is available on the specified dates. Try setting different start/end dates.", 400),
        "unknown symbol": error(400, "**symbol** not found: NOSUCH. Please specify it correctly according to API Documentation."),
        "throttle": error(
            429, "You have run out of API credits for the current minute. 12 API credits were used, with the current limit being 8."
        ),
        "bad key": error(401, "**apikey** parameter is incorrect or not specified. You can get your free API key instantly."),
        "unknown key": error(401, "**apikey** parameter is incorrect or not specified.", 401),
        "plan": error(403, "/splits is available exclusively with grow or pro or ultra plan.", 403),
    },
    hour=new_york,
    most=5000,
    lacks={
        "numbers": "numbers are always texts",
        "instants": "stamps are dates in words",
        "unit": "stamps are dates in words, without a unit",
        "columns": "rows, not columns",
        "name": "bars name no company",
        "late": "bars bear no mark of delay",
        "pages": "windows are moved by the one who asks",
        "basis": "the answer does not tell its basis",
    },
)
