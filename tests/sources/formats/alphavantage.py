"""Alpha Vantage: an object keyed by date, newest first, every number a text, every error within 200."""

from __future__ import annotations

from mdagent.market import COLUMNS, Adjustment
from tests.sources.canonical import Format, Pairs, Ten, Told, as_text, dumps, iso, iso_instant, new_york

_NUMBERED = {name: f"{n}. {name}" for n, name in enumerate(COLUMNS, 1)}


def render(ten: Ten) -> bytes:
    rows = [(str(row["stamp"]), {told: as_text(row[name]) for name, told in _NUMBERED.items()}) for row in reversed(ten.rows)]
    meta = {"1. Information": "Prices (open, high, low, close) and Volumes"}
    meta |= {"2. Symbol": ten.about["symbol"]} if "symbol" in ten.about else {}
    meta |= {"3. Last Refreshed": "2024-01-16", "4. Output Size": "Full size", "5. Time Zone": "US/Eastern"}
    word = "60min" if ten.hours else "1min" if ten.interval.intraday else "Daily"
    return dumps({"Meta Data": meta, f"Time Series ({word})": Pairs(rows)})


def error(key: str, words: str) -> Told:
    return Told(200, dumps({key: words}))


FORMAT = Format(
    render,
    iso,
    iso_instant,
    {
        "no data": Told(200, b"{}"),
        "unknown symbol": error("Error Message", "Invalid API call. Please retry or visit the documentation for TIME_SERIES_DAILY."),
        "throttle": error(
            "Note", "Our standard API call frequency is 5 calls per minute and 500 calls per day. Please visit our premium plans."
        ),
        "bad key": error("Error Message", "the parameter apikey is invalid or missing. Please claim your free API key."),
        "unknown key": error("Error Message", "the parameter apikey is invalid or missing."),
        "plan": error("Information", "Thank you! This is a premium endpoint. You may subscribe to any of the premium plans."),
    },
    basis=Adjustment.RAW,
    hour=new_york,
    lacks={
        "numbers": "numbers are always texts",
        "instants": "stamps are dates in words",
        "unit": "stamps are dates in words, without a unit",
        "columns": "rows keyed by date, not columns",
        "currency": "bars name no currency",
        "name": "bars name no company",
        "late": "bars bear no mark of delay",
        "pages": "a series comes as one page",
        "torn": "a week has one factor, which fits none that holds a split",
        "early": "its markets close at the usual hour, whatever the day",
        "basis": "the function asked for is the basis, and the answer names it",
    },
)
