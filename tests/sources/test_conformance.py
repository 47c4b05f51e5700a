"""Recorded answers of the real provider, where a folder of them lies beside the repository."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mdagent import Agent
from mdagent.clock import VirtualClock
from mdagent.config import Flags, load
from mdagent.guard.outcome import ConversationFailed
from mdagent.market import BarRequest, Interval
from tests.sources.answers import bars

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2].parent / "shared"
RUNNER = FOLDER / "conformance" / "run.py"
RECORDINGS = FOLDER / "recordings" / "yahoo"
BACK = {"1wk": "1w", "60m": "1h"}


@pytest.mark.skipif(not RUNNER.exists(), reason="there is no conformance runner beside the repository")
@pytest.mark.parametrize("source", ["alphavantage", "finnhub", "iexcloud", "polygon", "twelvedata", "yahoo"])
def test_the_source_conforms_to_every_recorded_answer(source: str) -> None:
    done = subprocess.run([sys.executable, str(RUNNER), "--source", source], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def charts() -> Iterator[Recorded]:
    """Each recorded chart that has rows of an interval that mdagent knows."""
    if not RECORDINGS.exists():
        return
    for text in (RECORDINGS / "recordings.jsonl").read_text("utf-8").splitlines():
        told: dict[str, Any] = json.loads(text)
        if told["kind"] != "bars" or not told["file"].endswith(".json") or not (told["request"].get("path") or "").startswith("/v8/"):
            continue
        content = (RECORDINGS / told["file"]).read_bytes()
        body = json.loads(content)
        try:
            result = body["chart"]["result"][0]
            symbol, interval = result["meta"]["symbol"], result["meta"]["dataGranularity"]
            stamps = result["timestamp"]
        except (KeyError, TypeError, IndexError):
            continue
        if stamps and BACK.get(interval, interval) in list(Interval):
            yield Recorded(told["file"], symbol, BACK.get(interval, interval), content)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A chart answer of the provider."""

    file: str
    symbol: str
    interval: str
    content: bytes

    def window(self) -> tuple[datetime, datetime]:
        """Days that hold every row of the body; of an intraday one no more than its rows, since what one request may hold is bounded."""
        stamps = json.loads(self.content)["chart"]["result"][0]["timestamp"]
        first, last = (datetime.fromtimestamp(t, UTC).replace(hour=0, minute=0, second=0) for t in (min(stamps), max(stamps)))
        early, late = (31, 2) if self.interval in ("1d", "1w", "1mo") else (0, 1)
        return first - timedelta(days=early), last + timedelta(days=late)

    def rows(self, request: BarRequest) -> list[tuple[Any, ...]] | None:
        """What it makes of a window; None where it is an answer to something else."""
        try:
            some = bars(self.content, request)
        except ConversationFailed:
            return None
        columns = [[None if math.isnan(v) else v for v in c.tolist()] for c in (some.open, some.high, some.low, some.close, some.volume)]
        return list(zip(some.ts.tolist(), *columns, strict=True))


def alike_rows(stored: list[tuple[Any, ...]], recorded: list[tuple[Any, ...]] | None) -> bool:
    """Whether the store holds each number that was recorded; one recorded as a float32 may be any that is read as the same float32."""
    return recorded is not None and len(stored) == len(recorded) and all(map(alike_numbers, chain(*stored), chain(*recorded)))


def alike_numbers(stored: Any, recorded: Any) -> bool:
    if stored == recorded or not (isinstance(stored, float) and isinstance(recorded, float)):
        return bool(stored == recorded)
    return float(np.float32(recorded)) == recorded == float(np.float32(stored))


def layers() -> list[list[Recorded]]:
    """All charts, each symbol at most once in a layer."""
    made: list[list[Recorded]] = []
    for one in charts():
        free = next((layer for layer in made if all(one.symbol != other.symbol for other in layer)), None)
        if free is None:
            made.append(free := [])
        free.append(one)
    return made


LAYERS = layers()
NOW = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.mark.skipif(not LAYERS, reason="there are no recordings beside the repository")
@pytest.mark.parametrize("layer", LAYERS, ids=[f"{len(layer)} charts" for layer in LAYERS])
def test_a_recorded_chart_goes_into_the_store_as_one_of_its_recordings_has_it(layer: list[Recorded], tmp_path: Path) -> None:
    settings = load(Flags(replay=RECORDINGS, store=tmp_path / "t.duckdb"), {"MDAGENT_HOME": str(tmp_path / "home")}, tmp_path).settings
    requests = [BarRequest(one.symbol, one.interval, *one.window()) for one in layer]  # type: ignore[arg-type]
    with Agent(settings, VirtualClock(NOW)) as agent:
        lines = agent.fetch(requests).report.lines
        for one, request, line in zip(layer, requests, lines, strict=True):
            assert line.failure is None, (one.file, line.failure)
            with agent.store.reading() as reader:
                rows = [(ts, *more[:5]) for _, _, ts, *more in reader.bars([request])]
            alike = [other for layer in LAYERS for other in layer if (other.symbol, other.interval) == (one.symbol, one.interval)]
            assert rows, one.file
            assert any(alike_rows(rows, other.rows(request)) for other in alike), (one.file, len(rows))
