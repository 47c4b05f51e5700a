"""Small answers in Yahoo's format, and a conversation without a network."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

import httpx
import pytest

from mdagent.guard.outcome import ConversationFailed, Failure
from mdagent.market import BarRequest
from mdagent.sources import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.market import BarSet
    from mdagent.sources.base import Conversation

T = TypeVar("T")
NEW_YORK = "America/New_York"
JSON = {"content-type": "application/json"}


def at(day: str, clock: str = "09:30", zone: str = NEW_YORK) -> int:
    """Epoch seconds of a local time."""
    return int(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(zone)).timestamp())


def meta(**facts: Any) -> dict[str, Any]:
    """The summary that comes with a chart; a fact of None is left out."""
    told = {
        "currency": "USD",
        "symbol": "AAPL",
        "exchangeName": "NMS",
        "instrumentType": "EQUITY",
        "firstTradeDate": 345479400,
        "regularMarketTime": at("2024-01-31", "16:00"),
        "gmtoffset": -18000,
        "timezone": "EST",
        "exchangeTimezoneName": NEW_YORK,
        "regularMarketPrice": 184.4,
        "chartPreviousClose": 188.04,
        "regularMarketDayHigh": 187.1,
        "regularMarketDayLow": 184.35,
        "regularMarketVolume": 55467803,
        "dataGranularity": "1d",
        "longName": "Apple Inc.",
        "validRanges": ["1d", "5d"],
        "currentTradingPeriod": {
            "regular": {"timezone": "EST", "start": at("2024-01-31"), "end": at("2024-01-31", "16:00"), "gmtoffset": -18000}
        },
    } | facts
    return {name: value for name, value in told.items() if value is not None}


Row = tuple[Any, Any, Any, Any, Any, Any]


def row(stamp: Any, close: float = 10.0, volume: Any = 1000) -> Row:
    """A plain bar round a close."""
    return (stamp, close - 0.5, close + 1.0, close - 1.0, close, volume)


THREE = [row(at("2024-01-02"), 10.0), row(at("2024-01-03"), 11.0), row(at("2024-01-04"), 12.0)]


def nothing(stamp: int) -> Row:
    """A row that says "no bar here"."""
    return (stamp, None, None, None, None, None)


def chart(rows: Sequence[Row], *, adjclose: Sequence[Any] | None = None, events: Any = None, **facts: Any) -> dict[str, Any]:
    """The body of a chart answer; each row is stamp, open, high, low, close, volume."""
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(6)]
    quote = dict(zip(("open", "high", "low", "close", "volume"), columns[1:], strict=True))
    result: dict[str, Any] = {"meta": meta(**facts), "indicators": {"quote": [quote if rows else {}]}}
    if rows:
        result["timestamp"] = columns[0]
    if adjclose is not None:
        result["indicators"]["adjclose"] = [{"adjclose": list(adjclose)}]
    if events is not None:
        result["events"] = events
    return {"chart": {"result": [result], "error": None}}


def reply(body: object, status: int = 200, **headers: str) -> httpx.Response:
    """An answer: a dict as JSON, bytes and text as they are."""
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return httpx.Response(status, content=content, headers=headers)


def ask(
    symbol: str = "AAPL", interval: str = "1d", start: str = "2024-01-02", end: str = "2024-02-01", adjust: str = "splits"
) -> BarRequest:
    return BarRequest(symbol, interval, start, end, adjust)  # type: ignore[arg-type]


def hold(talk: Conversation[T], *replies: httpx.Response) -> tuple[list[httpx.Request], T]:
    """The requests of a conversation that is answered with these replies in turn, and what it comes to."""
    asked, left = [], list(replies)
    try:
        request = next(talk)
        while True:
            asked.append(request)
            request = talk.send(left.pop(0))
    except StopIteration as end:
        assert not left, "the conversation ended before its answers did"
        return asked, end.value


def bars(body: object, request: BarRequest | None = None) -> BarSet:
    """What Yahoo's adapter makes of a body."""
    return hold(load("yahoo").bars(request or ask()), reply(body))[1]


def refused(body: object, request: BarRequest | None = None) -> Failure:
    """Why Yahoo's adapter refuses a body."""
    with pytest.raises(ConversationFailed) as caught:
        bars(body, request)
    return caught.value.failure


def days(some: BarSet) -> list[str]:
    """The stamps as session dates."""
    return [f"{t:%Y-%m-%d}" for t in some.ts.tolist()]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def presentable(text: str) -> bool:
    """One line, and nothing in it that a terminal or a file could not take."""
    return not any(unicodedata.category(c) in ("Cc", "Cs") for c in text) and len(text.splitlines()) <= 1
