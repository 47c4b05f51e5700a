"""Small answers in Twelve Data's format, and conversations about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdagent.guard.outcome import ConversationFailed, Failure
from mdagent.market import BarRequest, BarSet, Symbol
from mdagent.sources import load
from tests.sources.answers import ask, hold, reply, utc

if TYPE_CHECKING:
    from mdagent.sources.base import Source


def source(plan: str = "ultra") -> Source:
    return load("twelvedata", api_key="TEST", plan=plan)


def row(stamp: Any, close: float = 10.0, **more: Any) -> dict[str, Any]:
    told = {"datetime": stamp, "open": f"{close - 0.5:.5f}", "high": f"{close + 1:.5f}", "low": f"{close - 1:.5f}", "close": f"{close:.5f}"}
    return told | {"volume": "1000"} | more


def told(rows: list[dict[str, Any]], **meta: Any) -> dict[str, Any]:
    """A series of AAPL in days; a fact of None is left out."""
    about = {"symbol": "AAPL", "interval": "1day", "currency": "USD", "exchange_timezone": "America/New_York", "exchange": "NASDAQ"}
    about |= {"mic_code": "XNGS", "type": "Common Stock"} | meta
    return {"meta": {name: value for name, value in about.items() if value is not None}, "values": rows, "status": "ok"}


THREE = [row("2024-01-04", 12.0), row("2024-01-03", 11.0), row("2024-01-02", 10.0)]
PAIR: dict[str, Any] = {"currency": None, "exchange_timezone": None, "exchange": None, "mic_code": None, "type": "Physical Currency"}


def error(code: Any, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "status": "error"}


def bars(body: object, request: BarRequest | None = None) -> BarSet:
    return hold(source().bars(request or ask()), reply(body))[1]


def refused(body: object, request: BarRequest | None = None) -> Failure:
    with pytest.raises(ConversationFailed) as caught:
        bars(body, request)
    return caught.value.failure


def sent(request: BarRequest) -> dict[str, str]:
    """The parameters of the first request."""
    return dict(next(source().bars(request)).url.params)


def failure_of(body: object, status: int = 200) -> Failure:
    found = source().error_in(reply(body, status))
    assert found is not None
    return found


QUOTE = {
    "symbol": "AAPL",
    "mic_code": "XNGS",
    "currency": "USD",
    "datetime": "2024-01-31",
    "timestamp": 1706711400,
    "last_quote_at": 1706734740,
    "open": "187.04",
    "high": "187.10",
    "low": "184.35",
    "close": "184.40",
    "volume": "55467803",
    "previous_close": "188.04",
}


def hit(symbol: str, mic: str, country: str, exchange: str = "X", name: str = "Somebody") -> dict[str, str]:
    return {
        "symbol": symbol,
        "instrument_name": name,
        "exchange": exchange,
        "mic_code": mic,
        "instrument_type": "Common Stock",
        "country": country,
    }


META = {"symbol": "AAPL", "currency": "USD", "exchange_timezone": "America/New_York", "mic_code": "XNGS"}
SPLIT = {"date": "2020-08-31", "description": "4-for-1 split", "ratio": 0.25, "from_factor": 4, "to_factor": 1}
YEAR = (Symbol.parse("AAPL"), utc("2020-01-01"), utc("2021-01-01"))


def several(*symbols: str, **more: str) -> list[BarRequest]:
    return [ask(symbol, **more) for symbol in symbols]
