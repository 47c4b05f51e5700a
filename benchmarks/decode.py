"""Decoding an answer, against Python's own `json.loads` of the same bytes.

    python benchmarks/decode.py [--rounds N] [--source NAME]

From the reply that is there to the BarSet: the look for an error, the strict reading, stamps, columns, the rows of the window. For
every source ten years of days, as its simulated provider tells them, and 50,000 minutes in its format.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from timing import Contest, call, contest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # how each provider writes is told in tests/sources/formats

import httpx

from mdagent.market import BarRequest, BarSet, Interval
from mdagent.sources import NAMES
from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.tickers import listing
from tests.sources.registry import format_of
from tests.sources.talk import Simulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from timing import Cost

    from mdagent.sources.base import Source

GOAL = 2.0
MINUTES = 50_000
NOW = datetime(2025, 1, 20, 12, tzinfo=UTC)
START, END = datetime(2015, 1, 15, tzinfo=UTC), datetime(2025, 1, 18, tzinfo=UTC)


def days(name: str) -> tuple[Source, BarRequest, list[bytes]]:
    """Ten years of AAPL: the source, what to ask of it, and the answers."""
    simulated = Simulated(name, NOW)
    basis = simulated.source.spec.intervals[Interval.D1].delivers[0]
    request = BarRequest("AAPL", Interval.D1, START, END, basis)  # type: ignore[arg-type]
    assert len(simulated.hold(lambda source: source.bars(request))) > 2500, "ten years have more sessions than that"
    return simulated.source, request, [reply.content for reply in simulated.told]


@lru_cache(maxsize=1)
def minutes_of_the_truth() -> tuple[list[int], list[list[float]]]:
    """Stamps (epoch seconds) and columns of 50,000 minutes of AAPL, in whole days of one winter's time repeated."""
    ticker = listing("AAPL")
    assert ticker is not None
    view = series.at(ticker, int(NOW.timestamp()))
    begin = int(datetime(2024, 11, 4, tzinfo=UTC).timestamp())
    bars = series.intraday(view, "1m", begin, begin + 28 * 86400, "splits")
    columns = [bars.open, bars.high, bars.low, bars.close, bars.volume.astype(np.int64)]
    turns = -(-MINUTES // len(bars))
    stamps = np.concatenate([bars.opens + n * 28 * 86400 for n in range(turns)])[:MINUTES]
    return stamps.tolist(), [np.tile(column, turns)[:MINUTES].tolist() for column in columns]


def minutes(name: str) -> tuple[Source, BarRequest, list[bytes]] | None:
    """50,000 minutes in one answer, or as many as it can hold; None for a source that has none."""
    source = Simulated(name, NOW).source
    depth = source.spec.intervals.get(Interval.M1)
    if depth is None:
        return None
    told, form = minutes_of_the_truth(), format_of(name)
    rows = min(MINUTES, form.most - 1)
    stamps, columns = told[0][:rows], [column[:rows] for column in told[1]]
    start, end = (datetime.fromtimestamp(edge, UTC) for edge in (stamps[0], stamps[-1] + 60))
    return source, BarRequest("AAPL", Interval.M1, start, end, depth.delivers[0]), [form.write_minutes(stamps, columns)]  # type: ignore[arg-type]


def reading(source: Source, request: BarRequest, bodies: list[bytes]) -> Callable[[], Cost]:
    """The cost of a conversation, its first request made and its answers at hand."""

    def cost() -> Cost:
        replies = [httpx.Response(200, content=body) for body in bodies]
        talk = source.bars(request)
        next(talk)
        came: list[BarSet] = []

        def hold() -> None:
            try:
                for reply in replies:
                    assert source.error_in(reply) is None
                    talk.send(reply)
            except StopIteration as end:
                came.append(end.value)

        spent = call(hold)
        assert len(came) == 1, "the conversation did not end with its answers"
        return spent

    return cost


def measure(rounds: int, names: tuple[str, ...] = NAMES) -> list[Contest]:
    """Two contests for each source."""
    made = []
    for name in names:
        for what, body in (("days", days(name)), ("minutes", minutes(name))):
            if body is None:
                continue
            source, request, bodies = body
            if what == "minutes":
                source.cut = lambda asked: [asked]  # type: ignore[method-assign]  all of it came at once
            label = f"{name}: {what}, {sum(map(len, bodies)) / 1e6:.1f} MB / json.loads"

            def bare(bodies: list[bytes] = bodies) -> Cost:
                return call(lambda: [json.loads(each) for each in bodies] and None)

            made.append(contest(label, reading(source, request, bodies), bare, rounds=rounds, goal=GOAL))
    return made


def main() -> int:
    words = argparse.ArgumentParser(description="Measure decoding against json.loads.")
    words.add_argument("--rounds", type=int, default=15, help="runs of each side (default 15)")
    words.add_argument("--source", choices=NAMES, help="one source alone")
    told = words.parse_args()
    contests = measure(told.rounds, (told.source,) if told.source else NAMES)
    for c in contests:
        print(f"{c.name:44} {1e3 * c.ours.cpu:7.1f} / {1e3 * c.other.cpu:6.1f} ms  {c.ratio.cpu:5.2f}  {c.verdict}")
    return int(any(c.verdict == "MISSED" for c in contests))


if __name__ == "__main__":
    sys.exit(main())
