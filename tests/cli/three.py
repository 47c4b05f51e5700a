"""Half a year of AAPL from three sources, and ways to spoil what one of them says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from tests.cli.shell import Shell

HALF = ("--start", "2023-06-01", "--end", "2023-12-01")
SOURCES = ("yahoo", "tiingo", "polygon")
_BAR = "WHERE source = 'yahoo' AND symbol = 'AAPL' AND ts = TIMESTAMP"


def change(shell: Shell, sql: str) -> list[tuple[Any, ...]]:
    """Change the store as nobody should."""
    with duckdb.connect(shell.home / "bars.duckdb") as db:
        return db.execute(sql).fetchall()


def tenfold(shell: Shell, day: str = "2023-06-14") -> None:
    """All prices of a day a hundredth of what they were."""
    change(shell, f"UPDATE bars SET open = open / 100, high = high / 100, low = low / 100, close = close / 100 {_BAR} '{day}'")


def spike(shell: Shell, day: str = "2023-08-08") -> None:
    """A close, and with it the high, a third too high; and the score of one that a finding holds down."""
    change(shell, f"UPDATE bars SET close = close * 1.3, high = close * 1.3, score = 45 {_BAR} '{day}'")


def lots(shell: Shell) -> None:
    """Volumes of a month in lots of a hundred."""
    change(shell, "UPDATE bars SET volume = volume / 100 WHERE source = 'yahoo' AND ts >= '2023-09-01' AND ts < '2023-10-01'")


def swap(shell: Shell, day: str = "2023-11-07") -> None:
    """A row in quarantine whose high and low stand in each other's place."""
    columns = "open, high, low, close, volume, fetched_at, batch"
    ((o, h, low, c, v, at, batch),) = change(shell, f"DELETE FROM bars {_BAR} '{day}' RETURNING {columns}")
    raw = json.dumps({"open": o, "high": low, "low": h, "close": c, "volume": v})
    words = f"'AAPL', '1d', '{day}', 'yahoo', 'splits', 'ohlc', 'high and low stand in each other''s place', '{raw}'"
    change(shell, f"INSERT INTO quarantine VALUES ({words}, TIMESTAMP '{at}', {batch})")


def alone(shell: Shell) -> None:
    """The store without what others say."""
    change(shell, "DELETE FROM bars WHERE source <> 'yahoo'")
