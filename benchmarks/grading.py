"""Judging and grading: a whole store against only reading it, and one series against what peers check.

    python benchmarks/grading.py [--symbols N] [--rounds N]

The store holds ten years of daily bars of every symbol. Both sides read the same columns, one symbol after another, in the same order; the
other side only adds them up. One thread each. pandera and yfinance (`pip install mdagent[bench]`) look at the same frame, where they are
installed: pandera at a schema, yfinance with what its repair looks for in clean prices (unit mix-ups, missing splits, zeroes).
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from timing import call, contest

from mdagent.clock import SystemClock
from mdagent.market import Adjustment, BarRequest, BarSet, Interval, Symbol
from mdagent.quality.checks import judge
from mdagent.quality.grade import bar_scores, grade
from mdagent.quality.modes import BALANCED
from mdagent.sessions import build
from mdagent.store.bars import BarStore
from mdagent.work.stored import Shelf
from mdagent.work.validate import Desk, Wish

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from timing import Cost

GOAL_RATIO, GOAL_RATE, GOAL_MS = 60.0, 3e6, 10.0
START, END, NOW = datetime(2014, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
SESSIONS = build("XNYS", date(2013, 11, 1), date(2024, 3, 1)).sessions
INSERT = (
    "INSERT INTO bars SELECT ?, '1d', ts, 'bench', 'splits', open, high, low, close, volume, NULL, NULL, 'USD', false, 96,"
    " TIMESTAMP '2024-01-02', 1, 1, 1, false, NULL FROM walk"
)


def walk(number: int) -> BarSet:
    """Ten years of a random walk with fat tails."""
    dice = np.random.default_rng(number)
    ts = np.array([s.day for s in SESSIONS if START.date() <= s.day < END.date()], dtype="datetime64[D]").astype("datetime64[us]")
    n, scale = len(ts), float(dice.uniform(0.008, 0.025))
    step = dice.standard_t(5, n) * scale * 0.77
    close = 50.0 * np.exp(np.cumsum(step))
    opened = np.r_[50.0, close[:-1]] * np.exp(0.3 * step + dice.normal(0, 0.3, n) * scale)
    high = np.maximum(opened, close) * np.exp(np.abs(dice.normal(0, 0.4, n)) * scale)
    low = np.minimum(opened, close) * np.exp(-np.abs(dice.normal(0, 0.4, n)) * scale)
    volume = np.round(np.exp(dice.normal(14, 0.35, n)) * (0.7 + 0.4 * np.abs(step / scale)))
    return BarSet(Symbol.parse("AAPL"), Interval.D1, "bench", Adjustment.SPLITS, "USD", ts, opened, high, low, close, volume)


def stocked(path: Path, symbols: list[str]) -> BarStore:
    """A store of ten years of each symbol."""
    store = BarStore(path, "live", SystemClock())
    with store.writing("bench"):
        pass
    with duckdb.connect(path) as db:
        for number, symbol in enumerate(symbols):
            bars = walk(number % 97)
            db.register("walk", {n: getattr(bars, n) for n in ("ts", "open", "high", "low", "close", "volume")})
            db.execute(INSERT, [symbol])
    return store


def of_the_store(folder: Path, count: int, rounds: int) -> bool:
    """All of a store; True where the goals are met."""
    symbols = [f"SYM{n:05d}" for n in range(1, count + 1)]
    store = stocked(folder / "bars.duckdb", symbols)
    bars = count * len(walk(0))
    shelf = Shelf(store, Desk(lambda _code, _start, _end: SESSIONS, NOW), lambda _name: timedelta(0), (), {})
    names = [Symbol.parse(s) for s in symbols]

    def ours() -> Cost:
        return call(lambda: _judge_all(shelf, names))

    def reading() -> Cost:
        return call(lambda: _add_up(store.path, symbols))

    told = contest("all checks and grades of a store / adding its columns up", ours, reading, rounds=rounds, goal=GOAL_RATIO)
    print(f"{bars / 1e6:.1f} million bars of {count} symbols: {told.ours.wall:.1f} s, {bars / told.ours.wall / 1e6:.2f} million a second")
    print(f"{told.name}: cpu ratio {told.ratio.cpu:.1f}, wall ratio {told.ratio.wall:.1f}, goal {told.goal:g} {told.verdict}")
    return told.verdict == "met"


def _judge_all(shelf: Shelf, names: list[Symbol]) -> None:
    graded = sum(len(found) for _, found, _ in shelf.judged(names, Interval.D1, Wish(BALANCED)))
    assert graded == len(names)


def _add_up(path: Path, symbols: list[str]) -> None:
    total = 0.0
    with duckdb.connect(path, read_only=True) as db:
        for symbol in symbols:
            query = f"SELECT ts, open, high, low, close, volume FROM bars WHERE symbol = '{symbol}' AND interval = '1d' ORDER BY ts"
            told = db.execute(query).fetchnumpy()
            total += sum(float(np.sum(column)) for name, column in told.items() if name != "ts")
    assert total > 0


def of_one_series(rounds: int) -> bool:
    """One series in a warm process, and what peers do with the same frame."""
    bars = walk(5)
    request = BarRequest(bars.symbol, Interval.D1, START, END)

    def ours() -> None:
        verdict = judge(bars, request, SESSIONS, NOW, timedelta(0))
        bar_scores(grade(verdict), verdict, verdict.keep)

    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    cost = _best(ours, rounds)
    read = _best(lambda: [float(np.sum(c)) for c in columns], rounds)
    rate, met = len(bars) / cost, cost * 1000 < GOAL_MS and len(bars) / cost >= GOAL_RATE
    print(f"\n{len(bars)} bars: {1000 * cost:.2f} ms (goal {GOAL_MS:g}), {rate / 1e6:.2f} million bars a second (goal {GOAL_RATE / 1e6:g})")
    print(f"all checks and grade / adding five columns up: {cost / read:.0f} (goal {GOAL_RATIO:g})")
    frame = bars.to_pandas()
    for name, peer in (("pandera, a schema", _pandera(frame)), ("yfinance, its repair of clean prices", _yfinance(frame))):
        if peer is None:
            print(f"{name}: not installed (pip install 'mdagent[bench]')")
            continue
        theirs = _best(peer, max(3, rounds // 4))
        print(f"{name}: {1000 * theirs:.1f} ms, {theirs / cost:.1f} times ours")
    return met


def _best(work: Callable[[], object], rounds: int) -> float:
    """Seconds of the median run, after one to warm up."""
    work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def _pandera(frame: pd.DataFrame) -> Callable[[], object] | None:
    try:
        import pandera.pandas as pa
    except ImportError:
        return None
    price = pa.Column(float, pa.Check.gt(0))
    schema = pa.DataFrameSchema(
        {"open": price, "high": price, "low": price, "close": price, "volume": pa.Column(float, pa.Check.ge(0))},
        index=pa.Index("datetime64[us, UTC]", unique=True),
        checks=[
            pa.Check(lambda f: f["high"] >= f[["open", "close", "low"]].max(axis=1)),
            pa.Check(lambda f: f["low"] <= f[["open", "close"]].min(axis=1)),
        ],
    )
    return lambda: schema.validate(frame)


def _yfinance(frame: pd.DataFrame) -> Callable[[], object] | None:
    """The looks of its repair that need no request: they find nothing in clean prices, and so ask for nothing."""
    try:
        from yfinance.scrapers.history import PriceHistory
    except ImportError:
        return None
    history = PriceHistory(None, "AAPL", "America/New_York")
    history._history_metadata = {"currency": "USD", "exchangeTimezoneName": "America/New_York"}  # noqa: SLF001 - it would ask for it
    told = frame.rename(columns=str.capitalize).tz_convert("America/New_York").assign(**{"Stock Splits": 0.0, "Dividends": 0.0})
    told["Adj Close"] = told["Close"]

    def look() -> object:
        mended = history._fix_unit_mixups(told, "1d", "America/New_York", prepost=False)  # noqa: SLF001
        mended = history._fix_bad_stock_splits(mended, "1d", "America/New_York")  # noqa: SLF001
        return history._fix_zeroes(mended, "1d", "America/New_York", prepost=False)  # noqa: SLF001

    try:
        look()
    except Exception as error:  # noqa: BLE001 - its internals change from one version to the next
        print(f"yfinance could not be run: {type(error).__name__}: {str(error)[:80]}", file=sys.stderr)
        return None
    return look


def main() -> int:
    words = argparse.ArgumentParser(description="Measure judging and grading.")
    words.add_argument("--symbols", type=int, default=4000, help="in the store, with ten years of daily bars each (default 4000)")
    words.add_argument("--rounds", type=int, default=3, help="runs of the whole store (default 3)")
    told = words.parse_args()
    met = of_one_series(40)
    with TemporaryDirectory(prefix="mdagent-bench-") as folder:
        met &= of_the_store(Path(folder), told.symbols, told.rounds)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
