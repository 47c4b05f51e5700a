"""Answers in another form than the provider promised: a field renamed, rows out of order, pages that lead nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdagent.wire.faults.kinds import Fault
    from mdagent.wire.sandbox.dialects import Ask, Dialect

# What each provider calls it, in every answer that has bars.
_NAMES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "alphavantage": {"close": ("4. close",), "volume": ("5. volume", "6. volume"), "time": ()},
    "finnhub": {"close": ("c",), "volume": ("v",), "time": ("t",)},
    "iexcloud": {"close": ("close", "fClose", "uClose"), "volume": ("volume", "fVolume", "uVolume"), "time": ("date", "priceDate")},
    "polygon": {"close": ("c",), "volume": ("v",), "time": ("t",)},
    "tiingo": {"close": ("close", "adjClose"), "volume": ("volume", "adjVolume"), "time": ("date",)},
    "twelvedata": {"close": ("close",), "volume": ("volume",), "time": ("datetime",)},
    "yahoo": {"close": ("close",), "volume": ("volume",), "time": ("timestamp",)},
}


def reformatted(fault: Fault, dialect: Dialect, ask: Ask, made: Any) -> Any:  # noqa: ANN401  JSON
    """A field under another name, empty, or in words. Alpha Vantage has its times for keys: those are written another way."""
    del ask
    names, how = _NAMES[dialect.name][fault.settings["field"]], fault.settings["how"]
    return _drifted(made, names, how) if names else _other_dates(made)


def _drifted(made: Any, names: tuple[str, ...], how: str) -> Any:  # noqa: ANN401  JSON
    if isinstance(made, list):
        return [_drifted(one, names, how) for one in made]
    if not isinstance(made, dict):
        return made
    if how == "renamed":
        return {f"{name}Value" if name in names else name: _drifted(one, names, how) for name, one in made.items()}
    return {name: _emptied(one, how) if name in names else _drifted(one, names, how) for name, one in made.items()}


def _emptied(value: Any, how: str) -> Any:  # noqa: ANN401  JSON
    if isinstance(value, list):
        return [_emptied(one, how) for one in value]
    return None if how == "null" else f"about {value}"


def _other_dates(made: Any) -> Any:  # noqa: ANN401  JSON
    rows = {title: part for title, part in made.items() if title.startswith("Time Series")}
    return made | {title: {f"on {stamp}": row for stamp, row in part.items()} for title, part in rows.items()}


def reordered(fault: Fault, dialect: Dialect, ask: Ask, made: Any) -> Any:  # noqa: ANN401  JSON
    """The rows in another order: every list (or, of Alpha Vantage, object) that is as long as the longest one."""
    del ask, dialect
    longest = max(_lengths(made), default=0)
    return _turned(made, longest, fault.settings["how"]) if longest > 2 else made


def _lengths(made: Any) -> list[int]:  # noqa: ANN401  JSON
    if isinstance(made, list):
        return [len(made), *(n for one in made for n in _lengths(one))]
    if isinstance(made, dict):
        rows = [len(made)] if made and all(isinstance(one, dict) for one in made.values()) else []
        return [*rows, *(n for one in made.values() for n in _lengths(one))]
    return []


def _turned(made: Any, longest: int, how: str) -> Any:  # noqa: ANN401  JSON
    if isinstance(made, dict):
        inner = [(name, _turned(one, longest, how)) for name, one in made.items()]
        return dict(_moved(inner, how) if len(inner) == longest and all(isinstance(one, dict) for one in made.values()) else inner)
    if not isinstance(made, list):
        return made
    return _moved(made, how) if len(made) == longest else [_turned(one, longest, how) for one in made]


def _moved(rows: list[Any], how: str) -> list[Any]:
    return rows[::-1] if how == "reversed" else rows[len(rows) // 3 :] + rows[: len(rows) // 3]


_KEYS: Final = ("apiKey", "apikey", "token")


def paging_loop(fault: Fault, dialect: Dialect, ask: Ask, made: Any) -> Any:  # noqa: ANN401  JSON
    """Where a provider has pages with a `next_url`: that of this very page, or of one that is empty and new each time."""
    if dialect.name != "polygon" or not isinstance(made, dict):
        return made
    kept = {name: value for name, value in ask.query.items() if name not in _KEYS and name != "turn"}
    if fault.settings["how"] == "circle":
        return made | {"next_url": f"{ask.origin}{ask.path}?{urlencode(kept)}"}
    turn = int(ask.query.get("turn", "0")) + 1
    emptied = {"results": [], "resultsCount": 0, "count": 0} if turn > 1 else {}
    return made | emptied | {"next_url": f"{ask.origin}{ask.path}?{urlencode(kept | {'turn': str(turn)})}"}
