"""What is known of a file's bars besides its rows: a small JSON file beside it."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.errors import UsageError
from mdagent.market import Adjustment, CorporateAction, Interval, parse_instant
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

BESIDE = "case.json"
_BASES = {"split": "splits", "split_div": "all"}
_KINDS = {"split": "ratio", "dividend": "amount", "capital_gain": "amount"}


class Meta(NamedTuple):
    """None where it is not told. `start` and `end` (the first moment left out) are what was asked for, `asof` when; `actions` are all
    that the source lists; `files` names the other sources' files of the same bars, by source."""

    symbol: str | None = None
    interval: Interval | None = None
    calendar: str | None = None
    currency: str | None = None
    adjustment: Adjustment | None = None
    asof: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    actions: tuple[CorporateAction, ...] | None = None
    files: Mapping[str, Path] = {}

    def source_of(self, path: Path) -> str:
        """What the source of this file is called."""
        return next((name for name, one in self.files.items() if one == path), path.stem)


def read_meta(path: Path) -> Meta:
    """Raises UsageError, with the key and the value that cannot be read."""
    try:
        told = json.loads(path.read_text("utf-8"))
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise UsageError(msg, "name a JSON file that tells what was asked for") from error
    except (ValueError, RecursionError) as error:
        msg = f"{path} is no JSON: {one_line(str(error), 80)}"
        raise UsageError(msg, "name a JSON file that tells what was asked for") from error
    if not isinstance(told, dict):
        msg = f"{path} holds {type(told).__name__}, not an object"
        raise UsageError(msg, 'write it as {"symbol": "AAPL", "interval": "1d"}')
    made: dict[str, Any] = {name: _read(path, told, key, how) for name, (key, how) in _KEYS.items()}
    made["files"] = {name: path.parent / file for name, file in (made["files"] or {}).items()}
    return Meta(**made)


def _read(path: Path, told: dict[str, Any], key: str, how: Callable[[Any], Any]) -> Any:  # noqa: ANN401  as the key has it
    value = told.get(key)
    if value is None:
        return None
    try:
        return how(value)
    except UsageError as error:
        msg = f"{path}: {key}: {error.message}"
        raise UsageError(msg, error.hint) from error
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        msg = f"{path}: {key} cannot be read: {one_line(json.dumps(value), 60)}"
        raise UsageError(msg, "leave it out, or write it as the README shows") from error


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _basis(value: object) -> Adjustment:
    return Adjustment.parse(_BASES.get(_text(value), _text(value)))


def _instant(value: object) -> datetime:
    return parse_instant(_text(value))


def _end(value: object) -> datetime:
    """A day is the last one asked for; an instant the first that was not."""
    return parse_instant(_text(value)) + timedelta(days=1 if len(_text(value)) == len("2024-01-31") else 0)


def _actions(value: list[dict[str, Any]]) -> tuple[CorporateAction, ...]:
    return tuple(_action(one) for one in value)


def _action(told: dict[str, Any]) -> CorporateAction:
    kind, amount = told["type"], float(told[_KINDS[told["type"]]])
    if not isfinite(amount) or (kind == "split" and amount <= 0):
        raise ValueError
    currency = told.get("currency")
    return CorporateAction(kind, date.fromisoformat(told["date"]), amount, currency=None if currency is None else _text(currency))


def _files(value: list[dict[str, Any]]) -> dict[str, str]:
    return {_text(one["name"]): _text(one["file"]) for one in value}


_KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "symbol": ("symbol", _text),
    "interval": ("interval", lambda value: Interval.parse(_text(value))),
    "calendar": ("calendar", _text),
    "currency": ("currency", _text),
    "adjustment": ("adjustment", _basis),
    "asof": ("asof", _instant),
    "start": ("requested_start", _instant),
    "end": ("requested_end", _end),
    "actions": ("actions", _actions),
    "files": ("sources", _files),
}
