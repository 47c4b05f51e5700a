"""A split restates what a source delivers for the past: the stored series follows it, whole, and keeps what it said before."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from io import StringIO
from itertools import pairwise
from typing import TYPE_CHECKING

from mdagent.cli import main
from mdagent.cli.terminal import Terminal
from mdagent.clock import VirtualClock

if TYPE_CHECKING:
    from pathlib import Path


def run(home: Path, day: datetime, *words: str) -> list[dict[str, str]]:
    environ = {"MDAGENT_HOME": str(home), "MDAGENT_SANDBOX": "1"}
    terminal = Terminal(environ, home, out=StringIO(), err=StringIO(), given_clock=VirtualClock(day))
    assert main([*words, "--csv"], terminal) == 0, terminal.err.getvalue()  # type: ignore[attr-defined]
    return list(csv.DictReader(StringIO(terminal.out.getvalue())))  # type: ignore[attr-defined]


def test_a_new_split_makes_the_older_bars_due_again(tmp_path: Path) -> None:
    before, after = datetime(2024, 5, 1, 12, tzinfo=UTC), datetime(2024, 7, 1, 12, tzinfo=UTC)
    old = run(tmp_path, before, "fetch", "NVDA", "--start", "2024-04-01", "--end", "2024-05-01")
    whole = run(tmp_path, after, "fetch", "NVDA", "--start", "2024-04-01", "--end", "2024-07-01")
    closes = [float(r["close"]) for r in whole]
    assert len(whole) == 63
    assert all(0.5 < b / a < 2 for a, b in pairwise(closes))
    assert abs(float(old[0]["close"]) / closes[0] - 10) < 1e-3  # ten new shares for an old one on 2024-06-10
    kept = run(tmp_path, after, "query", "SELECT count(*) n, min(close) c FROM revisions WHERE symbol = 'NVDA'")
    assert int(kept[0]["n"]) == len(old)
    again = run(tmp_path, after, "fetch", "NVDA", "--start", "2024-04-01", "--end", "2024-07-01")
    assert again == whole
