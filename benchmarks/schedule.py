"""A backfill bound by quota: how much longer it takes than the best possible schedule.

    python benchmarks/schedule.py [--symbols N] [--folder DIR]

`mdagent backfill`, the command itself, of thousands of symbols over four sources with the windows of their free plans, against the
simulated providers and on the virtual clock, so that half a day of quota takes minutes. The four are those that serve bars by a free
key: Alpha Vantage, Tiingo, Twelve Data and Polygon. (Finnhub's free plan has no bars, IEX Cloud is retired, and Yahoo publishes no
windows.) Asked for are the hours of two sessions as they were traded, which each of them serves by one request a symbol, or for one
credit of a request that several share. The exit code is 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import sys
import time
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.*, run from anywhere

from mdagent.cli import main as mdagent
from mdagent.cli.terminal import Terminal
from mdagent.clock import VirtualClock
from mdagent.sources import NAMES, spec_of
from tests.cli.earliest import best, bounds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.sources.base import Quota

NOW = datetime(2024, 2, 5, 22, 0, tzinfo=UTC)  # a Monday, an hour after the close in New York
FOUR = ("alphavantage", "tiingo", "twelvedata", "polygon")
WINDOW = ("--interval", "1h", "--start", "2024-02-01", "--end", "2024-02-03", "--adjust", "raw")
TIMES, AHEAD, MEMORY = 1.05, 0.10, 500.0  # the goals: of the makespan, of the time that is foretold, MiB


class Ran(NamedTuple):
    """What the command did: its exit code, seconds on its clock and on the wall, what it said, and what the ledger has of its requests:
    when, whom, credits, HTTP status."""

    code: int
    seconds: float
    wall: float
    events: list[dict[str, Any]]
    asked: list[tuple[float, str, int, int | None]]


def symbols(count: int) -> list[str]:
    """Listings of the sandbox; those that end in 7 are halted now and then, and would be served in part."""
    return [name for n in range(1, 2 * count) if not (name := f"SYM{n:05}").endswith("7")][:count]


def run(folder: Path, count: int) -> Ran:
    """The command line in this process, on a clock that moves only where it waits."""
    plans = {f"MDAGENT_SOURCES__{name.upper()}__PLAN": spec_of(name).plans[0].name for name in FOUR}
    others = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES if name not in FOUR}
    environ = plans | others | {"MDAGENT_HOME": str(folder / "home"), "MDAGENT_SANDBOX": "1"}
    (folder / "symbols.txt").write_text("\n".join(symbols(count)))
    clock, talk = VirtualClock(NOW), StringIO()
    terminal = Terminal(environ, folder, StringIO(), talk, given_clock=clock)
    began = time.perf_counter()
    code = mdagent(["backfill", "@symbols.txt", *WINDOW, "--progress", "json"], terminal)
    wall = time.perf_counter() - began
    db = sqlite3.connect(folder / "home" / "sandbox" / "ledger.db")
    query = "SELECT at / 1e6 - ?, source, cost, status FROM attempts WHERE state <> 'refunded' ORDER BY at, id"
    asked = db.execute(query, (NOW.timestamp(),)).fetchall()
    db.close()
    events = [json.loads(line) for line in talk.getvalue().splitlines() if line.startswith("{")]
    return Ran(code, clock.monotonic(), wall, events, asked)


def over(asked: Sequence[tuple[float, str, int, int | None]]) -> list[str]:
    """Where a provider counted more than its plan allows: every refusal of its own, and every window of the plan that holds too many."""
    found = [f"{name} answered {status} at {at:.0f} s" for at, name, _, status in asked if status != 200]
    for name in FOUR:
        mine = [(at, cost) for at, source, cost, _ in asked if source == name]
        for quota in spec_of(name).plans[0].quotas:
            rows = [(at, cost if quota.of == "credits" else 1) for at, cost in mine]
            found += [f"{name}: {words}" for words in _fuller(rows, quota)]
    return found


def _fuller(rows: Sequence[tuple[float, int]], quota: Quota) -> list[str]:
    if isinstance(quota.per, str):
        days: dict[object, int] = {}
        for at, cost in rows:
            day = (NOW + timedelta(seconds=at)).astimezone(ZoneInfo(quota.zone)).date()
            days[day] = days.get(day, 0) + cost
        return [f"{used} of {quota.limit} on {day}" for day, used in days.items() if used > quota.limit]
    told, first, used = [], 0, 0
    for at, cost in rows:
        used += cost
        while rows[first][0] <= at - quota.per:
            used -= rows[first][1]
            first += 1
        if used > quota.limit:
            told.append(f"{used} of {quota.limit} within {quota.per:g} s at {at:.1f} s")
    return told


def foretold(ran: Ran) -> list[tuple[float, float]]:
    """Of each line of progress: when it was said, as a share of the run, and by how much of what was left then it was wrong."""
    told = [(e["seconds"], e["eta_seconds"]) for e in ran.events if e["event"] == "progress" and e["eta_seconds"] is not None]
    left = [(at, eta, ran.seconds - at) for at, eta in told]
    return [(at / ran.seconds, abs(eta - rest) / rest) for at, eta, rest in left if rest > 0.05 * ran.seconds]


def verdict(name: str, value: float, goal: float, words: str) -> bool:
    print(f"{name:48} {value:8.3f}  goal {goal:6.2f} {'met' if value <= goal else 'MISSED':6}  {words}", flush=True)
    return value <= goal


def told(ran: Ran, count: int) -> bool:
    """The table; True where all goals are met."""
    bounds = {name: bounds_of(spec_of(name).plans[0].quotas) for name in FOUR}
    seconds, by = best(bounds, NOW, count)
    summary = ran.events[-1]
    served = {name: sum(cost for _, source, cost, _ in ran.asked if source == name) for name in FOUR}
    done = summary["symbols"]
    print(f"{count:,} symbols: {done['done']} done, {done['partly']} partly, {done['failed']} failed; exit code {ran.code}")
    for name in FOUR:
        gone = [at for at, source, *_ in ran.asked if source == name]
        last = max(gone, default=0.0)
        gaps = [b - a for a, b in pairwise(gone)]
        words = f"last at {last / 3600:.2f} h, every {median(gaps) if gaps else 0:.1f} s"
        print(f"  {name:13} {served[name]:5} symbols in {len(gone):5} requests; best {by[name]:5}; {words}")
    bad, misses = over(ran.asked), [miss for _, miss in foretold(ran)]
    for words in bad[:10]:
        print(f"  {words}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    met = [
        verdict("makespan / the best possible", ran.seconds / max(1e-9, seconds), TIMES, f"{ran.seconds:,.0f} s / {seconds:,.0f} s"),
        verdict("time foretold, off by (median)", median(misses) if misses else 0.0, AHEAD, f"at worst {max(misses, default=0.0):.2f}"),
        verdict("requests beyond a quota, as providers count", len(bad), 0, f"{len(ran.asked)} requests"),
        verdict("symbols not served", count - done["done"], 0, f"{ran.wall:.0f} s on the wall, {ran.wall / count * 1000:.0f} ms each"),
        verdict("peak memory, MiB", memory, MEMORY, "this process, the providers included"),
    ]
    return all(met) and ran.code == 0


def main() -> int:
    words = argparse.ArgumentParser(description="Measure a backfill that is bound by quota.")
    words.add_argument("--symbols", type=int, default=4000, help="to be served (default 4000)")
    words.add_argument("--folder", type=Path, help="where to store them (default the system's folder for temporary files)")
    asked = words.parse_args()
    os.environ.pop("COVERAGE_PROCESS_START", None)
    with TemporaryDirectory(dir=asked.folder, prefix="schedule-") as folder:
        return int(not told(run(Path(folder), asked.symbols), asked.symbols))


if __name__ == "__main__":
    sys.exit(main())
