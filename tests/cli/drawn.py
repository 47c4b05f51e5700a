"""Files of made-up bars, as vendors write them."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.cli.shell import Shell

HEADER = "timestamp,open,high,low,close,volume"
CLOSED = frozenset(date.fromisoformat(d) for d in "2023-01-02 2023-01-16 2023-02-20 2023-04-07 2023-05-29 2023-06-19 2023-07-04".split())


@dataclass(frozen=True)
class Bar:
    """One row."""

    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int

    @property
    def cells(self) -> list[str]:
        return [self.day.isoformat(), *(f"{p:.2f}" for p in (self.open, self.high, self.low, self.close)), str(self.volume)]


def sessions(start: str = "2023-01-03", end: str = "2023-07-01") -> list[date]:
    """The days on which New York traded, in the first half of 2023."""
    first, after = date.fromisoformat(start), date.fromisoformat(end)
    days = [first + timedelta(days=n) for n in range((after - first).days)]
    return [d for d in days if d.weekday() < 5 and d not in CLOSED]


def walk(days: Iterable[date] | None = None, seed: int = 7) -> list[Bar]:
    """A stock's bars: an ordinary random walk about a hundred dollars."""
    dice, close, bars = random.Random(seed), 100.0, []
    for day in days or sessions():
        opened = close * (1 + dice.gauss(0, 0.004))
        close = opened * (1 + dice.gauss(0, 0.012))
        high, low = max(opened, close) * (1 + abs(dice.gauss(0, 0.004))), min(opened, close) * (1 - abs(dice.gauss(0, 0.004)))
        first, most, least, last = (round(p, 2) for p in (opened, high, low, close))
        bars.append(Bar(day, first, most, least, last, volume=int(2e6 * dice.lognormvariate(0, 0.3))))
    return bars


def text(bars: Iterable[Bar], header: str = HEADER, line: Callable[[Bar], str] | None = None) -> str:
    return "".join(f"{row}\n" for row in (header, *(line(b) if line else ",".join(b.cells) for b in bars)))


def put(path: Path, words: str) -> str:
    """Write a file; its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words, encoding="utf-8")
    return str(path)


META: dict[str, Any] = {
    "symbol": "ACME", "interval": "1d", "calendar": "XNYS", "currency": "USD", "adjustment": "split", "asof": "2023-07-01",
    "requested_start": "2023-01-03", "requested_end": "2023-06-30", "actions": [],
}  # fmt: skip


def judge(shell: Shell, words: str, *more: str, meta: dict[str, Any] | None = None, code: int = 0) -> Any:
    """The JSON of one file with its meta."""
    file, known = put(shell.cwd / "acme.csv", words), put(shell.cwd / "meta.json", json.dumps(META | (meta or {})))
    said = shell.run("validate", "--file", file, "--meta", known, "--json", *more)
    assert said.code == code, said.err
    return said.json


def types(told: Any) -> set[str]:
    return {f["type"] for f in told["findings"] if f["severity"] != "info"}
