"""A store that grows by backfills: what a symbol costs at the beginning and at the end, the memory, and then what `scale.py` measures.

    python benchmarks/grow.py [--symbols N] [--at-once N] [--folder DIR]

Ten commands `mdagent backfill` of as many symbols each bring ten years of daily bars into one store, from a provider on loopback; the
last one is set against the first by processor time, since the machine may be busier at one time than at another. The exit code is 1
when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from backfill import FIRST_DAY, HERE, LAST_DAY, MDAGENT, run, settings, universe
from scale import FEW, bytes_a_bar, everything, one_of_many, verdict

from mdagent.clock import SystemClock
from mdagent.store.bars import BarStore

STEPS, COST, MEMORY, AGAIN = 10, 1.2, 500.0, 3.0  # the goals: the last step's cost over the first's, MiB, and seconds with nothing to do


def backfill(symbols: list[str], home: Path, environ: dict[str, str]) -> tuple[float, float, int]:
    """Seconds on the wall and of the processor, and the most memory in bytes."""
    (home / "universe.txt").write_text("\n".join(symbols))
    words = [MDAGENT, "backfill", f"@{home / 'universe.txt'}", "--start", FIRST_DAY, "--end", LAST_DAY, "--source", "yahoo"]
    seconds, cpu, memory, said = run([*words, "--quiet", "--report", str(home / "report.json")], environ)
    told = json.loads((home / "report.json").read_text())
    assert told["symbols"]["done"] == len(symbols), said[-2000:]
    return seconds, cpu, memory


def grow(symbols: list[str], home: Path, environ: dict[str, str]) -> list[bool]:
    backfill(["SYM99991"], home, environ)  # calendars
    costs, peak, size = [], 0, len(symbols) // STEPS
    for step in range(STEPS):
        seconds, cpu, memory = backfill(symbols[step * size : (step + 1) * size], home, environ)
        costs.append(cpu / size)
        peak = max(peak, memory)
        print(
            f"  {(step + 1) * size:6,} symbols: {1000 * cpu / size:6.1f} ms of cpu and {1000 * seconds / size:6.1f} ms a symbol", flush=True
        )
    words = f"{1000 * costs[-1]:.1f} ms / {1000 * costs[0]:.1f} ms of the processor"
    met = [verdict("cost of a symbol at the end / at the start", costs[-1] / costs[0], COST, words)]
    met.append(verdict("MiB of a backfill at most", peak / 2**20, MEMORY, ""))
    seconds, cpu, memory = backfill(symbols, home, environ)
    met.append(verdict("seconds of cpu with nothing to do", cpu, AGAIN, f"{seconds:.1f} s on the wall, {memory / 2**20:.0f} MiB"))
    return met


def main() -> int:
    words = argparse.ArgumentParser(description="Measure a store that grows.")
    words.add_argument("--symbols", type=int, default=1000, help="in the end (default 1000)")
    words.add_argument("--at-once", type=int, default=8, help="requests under way at once (default 8)")
    words.add_argument("--rounds", type=int, default=3, help="runs of each side of what follows (default 3)")
    words.add_argument("--folder", type=Path, help="where to make it (default the system's folder for temporary files)")
    told = words.parse_args()
    with TemporaryDirectory(dir=told.folder, prefix="grow-") as folder:
        provider = subprocess.Popen([sys.executable, str(HERE / "charts.py")], stdout=subprocess.PIPE, text=True)
        assert provider.stdout is not None
        url = f"http://127.0.0.1:{json.loads(provider.stdout.readline())['port']}"
        big, small = Path(folder) / "big", Path(folder) / "small"
        big.mkdir(), small.mkdir()
        symbols = universe(told.symbols)
        try:
            met = grow(symbols, big, settings(big, url, told.at_once))
            backfill(symbols[:FEW], small, settings(small, url, told.at_once))
        finally:
            provider.kill()
        met += scaled(big, small, symbols, told.rounds)
    return int(not all(met))


def scaled(big: Path, small: Path, symbols: list[str], rounds: int) -> list[bool]:
    stores = [BarStore(home / "sandbox" / "bars.duckdb", "sandbox", SystemClock()) for home in (big, small)]
    with stores[0].reading() as reader:
        bars = reader.ask("SELECT count(*) FROM bars", []).fetchone()
    assert bars is not None
    print(f"{len(symbols):,} symbols, {bars[0]:,} bars", flush=True)
    environ = [settings(home, "http://127.0.0.1:1", 1) for home in (big, small)]
    met = [bytes_a_bar(stores[0], bars[0], environ[0])]
    run([MDAGENT, "store", "compact"], environ[1])
    met += one_of_many(stores[0], stores[1], (symbols[len(symbols) // 2], symbols[FEW // 2]), environ, rounds)
    met.append(everything(stores[0], environ[0], rounds))
    return met


if __name__ == "__main__":
    sys.exit(main())
