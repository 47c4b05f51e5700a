"""A whole backfill against what only downloads: many symbols of ten years over loopback, from a provider that takes 20 ms.

    python benchmarks/backfill.py [--symbols N] [--rounds N] [--at-once N ...] [--peer]

Each side is a process of its own, and so is the provider. `bare` is a loop over httpx with as many requests at once, which parses the
JSON and keeps nothing: two at once are what is shipped for Yahoo, four for other sources, and with eight it is the processor that both
sides wait for. `yfinance` (extra `bench`) is pointed at the same provider, with the threads that it takes by itself, two for each
processor, and compared with as many requests of ours at once. Wall time is what counts: 20 ms are waited for, not worked. The exit code
is 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).resolve().parent
MDAGENT = str(Path(sys.executable).with_name("mdagent"))
CLOCK, FIRST_DAY, LAST_DAY = "2026-01-05T12:00:00Z", "2016-01-05", "2026-01-05"
QUERY = "?period1=1451952000&period2=1767614400&interval=1d&events=div%2Csplits"
BARE, PEER = 1.3, 3.0
THREADS = 2 * (os.cpu_count() or 1)  # of yfinance.download


def universe(count: int) -> list[str]:
    return [f"SYM{n:05}" for n in range(1, 2 * count) if n % 10 != 7][:count]


async def bare(url: str, symbols: list[str], at_once: int) -> None:
    """Download and parse, so many at once."""
    import httpx

    left, bars = list(symbols), 0

    async with httpx.AsyncClient(timeout=30.0) as client:

        async def work() -> None:
            nonlocal bars
            while left:
                reply = await client.get(f"{url}/v8/finance/chart/{left.pop()}{QUERY}")
                bars += len(json.loads(reply.content)["chart"]["result"][0]["timestamp"])

        await asyncio.gather(*(work() for _ in range(at_once)))
    print(bars)


def peer(url: str, symbols: list[str], folder: str) -> None:
    """yfinance.download with its threads, spared the cookie and the crumb that it would ask for once."""
    import yfinance
    from yfinance import data

    data.YfData._get_cookie_and_crumb = lambda *_, **__: ("crumb", "basic")  # type: ignore[method-assign] # noqa: SLF001
    for module in [m for name, m in sys.modules.items() if name.startswith("yfinance")]:
        for name in ("_BASE_URL_", "_QUERY1_URL_", "_ROOT_URL_"):
            if hasattr(module, name):
                setattr(module, name, url)
    yfinance.set_tz_cache_location(folder)
    found = yfinance.download(symbols, start=FIRST_DAY, end=LAST_DAY, threads=True, progress=False, auto_adjust=False)
    print(int(found["Close"].count().sum()))


def run(words: list[str], environ: Mapping[str, str]) -> tuple[float, float, int, str]:
    """Seconds on the wall and of the processor, the most memory held in bytes, and what was printed."""
    began = time.perf_counter()
    child = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds, child.returncode = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
    child.stdout.close()
    assert child.returncode == 0, (child.returncode, said[-2000:])
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, said


def settings(home: Path, url: str, at_once: int) -> dict[str, str]:
    """The environment of an mdagent that asks that provider alone, without a quota."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MDAGENT_", "COVERAGE_"))}
    return clean | {
        "MDAGENT_HOME": str(home),
        "MDAGENT_SANDBOX": "1",
        "MDAGENT_CLOCK": CLOCK,
        "MDAGENT_SOURCES__YAHOO__BASE_URL": url,
        "MDAGENT_SOURCES__YAHOO__LIMITS": "[{limit: 100000, per: 1m}]",
        "MDAGENT_SOURCES__YAHOO__CONCURRENCY": str(at_once),
    }


def ours(url: str, symbols: int, at_once: int, home: Path) -> tuple[float, float, int]:
    """The command that cron runs, into a store with one other symbol: calendars are there, as on any machine after its first day."""
    shutil.rmtree(home / "sandbox", ignore_errors=True)
    environ = settings(home, url, at_once)
    words = [MDAGENT, "backfill", f"@{home / 'universe.txt'}", "--start", FIRST_DAY, "--end", LAST_DAY, "--source", "yahoo"]
    run([MDAGENT, "backfill", "SYM99991", *words[3:]], environ)
    seconds, cpu, memory, said = run([*words, "--report", str(home / "report.json"), "--progress", "plain"], environ)
    report = json.loads((home / "report.json").read_text())
    assert report["symbols"]["done"] == symbols, said[-2000:]
    assert report["bars"]["new"] > 2400 * symbols, said[-2000:]
    return seconds, cpu, memory


def main() -> int:
    words = argparse.ArgumentParser(description="Measure a whole backfill.")
    words.add_argument("--symbols", type=int, default=500)
    words.add_argument("--rounds", type=int, default=3, help="runs of each side (default 3)")
    words.add_argument(
        "--at-once", type=int, nargs="+", default=[2, 4, 8], help="requests under way at once, on both sides (default 2 4 8)"
    )
    words.add_argument("--peer", action="store_true", help="yfinance too")
    words.add_argument("--as", dest="side", help=argparse.SUPPRESS)
    words.add_argument("--url", help=argparse.SUPPRESS)
    told = words.parse_args()
    symbols = universe(told.symbols)
    if told.side == "bare":
        asyncio.run(bare(told.url, symbols, told.at_once[0]))
        return 0
    if told.side == "peer":
        with TemporaryDirectory() as folder:
            peer(told.url, symbols, folder)
        return 0
    return measure(told, symbols)


def measure(told: argparse.Namespace, symbols: list[str]) -> int:
    server = [sys.executable, str(HERE / "charts.py")]
    with TemporaryDirectory() as folder, subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as provider:
        assert provider.stdout is not None
        says = json.loads(provider.stdout.readline())
        url, home = f"http://127.0.0.1:{says['port']}", Path(folder)
        (home / "universe.txt").write_text("\n".join(symbols))
        try:
            print(f"{told.symbols} symbols of ten years, {says['bytes']:,} bytes each")
            other_side(told, url, "bare", 8)
            ours(url, told.symbols, 8, home)
            peer_takes = other_side(told, url, "peer", 0)[0] if told.peer and importlib.util.find_spec("yfinance") else None
            met = [compared(told, url, at_once, home, peer_takes) for at_once in told.at_once]
        finally:
            provider.kill()
    return int(not all(met))


def compared(told: argparse.Namespace, url: str, at_once: int, home: Path, peer_takes: float | None) -> bool:
    """Ours and the bare loop in turns, with so many requests at once; against the peer's seconds, where it was measured."""
    pairs = [(ours(url, told.symbols, at_once, home), other_side(told, url, "bare", at_once)) for _ in range(told.rounds)]
    mine, other = median(p[0][0] for p in pairs), median(p[1][0] for p in pairs)
    cpu, other_cpu, peak = median(p[0][1] for p in pairs), median(p[1][1] for p in pairs), max(p[0][2] for p in pairs) / 2**20
    words = f"{mine:.2f} s / {other:.2f} s; cpu {cpu:.2f} / {other_cpu:.2f}; at most {peak:.0f} MiB"
    met = verdict(f"backfill / bare httpx loop, {at_once} at once", mine / other, BARE, words)
    if peer_takes is not None and at_once == THREADS:
        words = f"{mine:.2f} s / {peer_takes:.2f} s"
        met &= verdict(f"backfill / yfinance.download, {at_once} at once", mine / peer_takes, 1 / PEER, words)
    return met


def other_side(told: argparse.Namespace, url: str, side: str, at_once: int) -> tuple[float, float, int]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("MDAGENT_", "COVERAGE_"))}
    words = [sys.executable, __file__, "--url", url, "--symbols", str(told.symbols), "--at-once", str(at_once), "--as", side]
    return run(words, environ)[:3]


def verdict(name: str, value: float, goal: float, words: str) -> bool:
    print(f"{name:44} {value:8.2f}  goal {goal:5.2f} {'met' if value <= goal else 'MISSED':6}  {words}", flush=True)
    return value <= goal


if __name__ == "__main__":
    sys.exit(main())
