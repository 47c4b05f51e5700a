"""Ten daily bars of AAPL as Yahoo's chart answer, and ways to spoil it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from tests.sources.canonical import DAYS, VALUES, Raw

if TYPE_CHECKING:
    from collections.abc import Callable


def opening(day: date) -> int:
    """Epoch seconds of a winter session's start in New York."""
    return int(datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC).timestamp())


def _meta() -> dict[str, Any]:
    return {
        "currency": "USD",
        "symbol": "AAPL",
        "exchangeName": "NMS",
        "instrumentType": "EQUITY",
        "firstTradeDate": 345479400,
        "regularMarketTime": 1705438801,
        "gmtoffset": -18000,
        "timezone": "EST",
        "exchangeTimezoneName": "America/New_York",
        "regularMarketPrice": 183.75,
        "longName": "Apple Inc.",
        "priceHint": 2,
        "dataGranularity": "1d",
        "range": "",
    }


@dataclass
class Chart:
    """An answer under construction; `columns` by Yahoo's names."""

    meta: dict[str, Any] = field(default_factory=_meta)
    stamps: list[Any] = field(default_factory=lambda: [opening(day) for day in DAYS])
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: list(values) for name, values in VALUES.items()})
    adjusted: bool = True

    def body(self) -> bytes:
        """The answer as bytes; `Raw` cells stand in it unquoted."""
        quote: dict[str, Any] = dict(self.columns)
        indicators: dict[str, Any] = {"quote": [quote]}
        if self.adjusted:
            indicators["adjclose"] = [{"adjclose": list(self.columns["close"])}]
        result = {"meta": self.meta, "timestamp": self.stamps, "indicators": indicators}
        text = json.dumps({"chart": {"result": [_marked(result)], "error": None}})
        return re.sub(r'"<raw>(.*?)</raw>"', lambda found: json.loads(f'"{found[1]}"'), text).encode()


def _marked(value: Any) -> Any:
    if isinstance(value, Raw):
        return f"<raw>{value}</raw>"
    if isinstance(value, dict):
        return {key: _marked(item) for key, item in value.items()}
    return [_marked(item) for item in value] if isinstance(value, list) else value


def ten(*changes: Callable[[Chart], object]) -> bytes:
    """The ten bars, changed."""
    chart = Chart()
    for change in changes:
        change(chart)
    return chart.body()


def cell(column: str, row: int, value: Any) -> Callable[[Chart], object]:
    """One cell of one column."""

    def change(chart: Chart) -> None:
        chart.columns[column][row] = value

    return change


def stamp(row: int, value: Any) -> Callable[[Chart], object]:
    """One time stamp."""

    def change(chart: Chart) -> None:
        chart.stamps[row] = value

    return change


def prices(row: int, factor: float) -> Callable[[Chart], object]:
    """All four prices of one row, multiplied."""

    def change(chart: Chart) -> None:
        for name in ("open", "high", "low", "close"):
            chart.columns[name][row] *= factor

    return change


def stamps(made: Callable[[int, int], Any]) -> Callable[[Chart], object]:
    """Every time stamp, from its row and its seconds."""

    def change(chart: Chart) -> None:
        chart.stamps = [made(row, seconds) for row, seconds in enumerate(chart.stamps)]

    return change


def order(*rows: int) -> Callable[[Chart], object]:
    """The rows in that order."""

    def change(chart: Chart) -> None:
        chart.stamps = [chart.stamps[row] for row in rows]
        chart.columns = {name: [cells[row] for row in rows] for name, cells in chart.columns.items()}

    return change


def more(seconds: int, *, like: int = 9, higher: float = 0.0) -> Callable[[Chart], object]:
    """One more row at the end, a copy of row `like` with its high and close raised."""

    def change(chart: Chart) -> None:
        chart.stamps.append(seconds)
        for name, cells in chart.columns.items():
            cells.append(cells[like] + (higher if name in ("high", "close") else 0))

    return change


def meta(**told: Any) -> Callable[[Chart], object]:
    """Facts of the answer's head; None takes one away."""

    def change(chart: Chart) -> None:
        chart.meta |= told
        chart.meta = {name: value for name, value in chart.meta.items() if value is not None}

    return change


def shorten(column: str) -> Callable[[Chart], object]:
    """A column without its last cell."""

    def change(chart: Chart) -> None:
        chart.columns[column].pop()

    return change


def twice(column: str, row: int, value: float) -> Callable[[Chart], object]:
    """The column's key given twice; the second list differs in one row."""

    def change(chart: Chart) -> None:
        first = chart.columns[column]
        second = [value if place == row else item for place, item in enumerate(first)]
        chart.columns[column] = Raw(f'{json.dumps(first)},"{column}":{json.dumps(second)}')  # type: ignore[assignment]

    return change


def unadjusted(chart: Chart) -> None:
    """No series that is adjusted for dividends."""
    chart.adjusted = False


def no_rows(chart: Chart) -> None:
    """A head, and nothing under it."""
    chart.stamps, chart.columns, chart.adjusted = [], {}, False


def told_error(code: str, description: str) -> bytes:
    """Yahoo's error object."""
    return json.dumps({"chart": {"result": None, "error": {"code": code, "description": description}}}).encode()
