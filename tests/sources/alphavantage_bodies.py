"""Small answers in Alpha Vantage's format."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.guard.outcome import ConversationFailed, Failure
from mdagent.sources import load
from tests.sources.answers import ask, reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdagent.market import BarRequest, BarSet

KEY = "SECRET0KEY0OF0MINE"


def source(plan: str | None = None) -> Any:
    return load("alphavantage", api_key=KEY, plan=plan)


def row(close: float = 10.0, more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """A plain bar round a close, with fields after the close if any, then the volume."""
    told = {"open": f"{close - 0.5:.4f}", "high": f"{close + 1:.4f}", "low": f"{close - 1:.4f}", "close": f"{close:.4f}"}
    scale = {name: value for name, value in more.items() if name == "adjusted close"}
    return {f"{i}. {name}": value for i, (name, value) in enumerate((told | scale | {"volume": "1000"} | dict(more)).items(), 1)}


def body(rows: dict[str, Any], series: str = "Time Series (Daily)", **meta: Any) -> dict[str, Any]:
    """A series answer; a fact of None is left out."""
    told = {"Information": "Prices", "Symbol": "AAPL", "Last Refreshed": max(rows, default=""), "Time Zone": "US/Eastern"} | meta
    kept = [(name, value) for name, value in told.items() if value is not None]
    return {"Meta Data": {f"{i}. {name}": value for i, (name, value) in enumerate(kept, 1)}, series: rows}


def daily(*days: str, **meta: Any) -> dict[str, Any]:
    return body({day: row() for day in sorted(days, reverse=True)}, **meta)


def minutes(*stamps: str, word: str = "5min", **meta: Any) -> dict[str, Any]:
    return body({stamp: row() for stamp in sorted(stamps, reverse=True)}, f"Time Series ({word})", Interval=word, **meta)


def bars(told: object, request: BarRequest | None = None, plan: str | None = None) -> BarSet:
    """What the adapter makes of a body; splits are none."""
    some: BarSet = hold_all(source(plan).bars(request or ask(adjust="raw")), told)
    return some


def hold_all(talk: Any, told: object) -> Any:
    """The end of a conversation whose every series is the same body, and whose lists of actions are empty."""
    try:
        request = next(talk)
        while True:
            actions = request.url.params["function"] in ("SPLITS", "DIVIDENDS")
            request = talk.send(reply({"symbol": "AAPL", "data": []} if actions else told))
    except StopIteration as end:
        return end.value


def refused(told: object, request: BarRequest | None = None, plan: str | None = None) -> Failure:
    with pytest.raises(ConversationFailed) as caught:
        bars(told, request, plan)
    return caught.value.failure


def instants(some: BarSet) -> list[str]:
    return [f"{t:%Y-%m-%d %H:%M}" for t in some.ts.tolist()]
