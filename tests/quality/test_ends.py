"""The first bar has none before it, the last none after it: what else tells that its close was never paid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mdagent.quality.finding import Severity
from mdagent.quality.grade import grade
from mdagent.quality.letters import band
from mdagent.quality.rubric import CEILINGS
from tests.quality.market_days import bar_set, judged, requested, walk, whole

if TYPE_CHECKING:
    from mdagent.quality.finding import Verdict
    from tests.quality.injections import Rows

LISTINGS = [f"SYM{n:05d}" for n in range(2101, 2116) if n % 10 != 7]


def windows(seed: int) -> list[Rows]:
    """Short stretches, such as a chart or a nightly backfill asks for."""
    rng, made = np.random.default_rng(seed), []
    for name in LISTINGS:
        rows, length = whole(name), int(rng.integers(15, 60))
        start = int(rng.integers(0, len(rows) - length))
        made += [rows.take(np.arange(start, start + length)), walk(rng, length, 4.0)]
    return made


def verdict(rows: Rows) -> Verdict:
    request = requested(rows)
    return judged(bar_set(rows, request), request)


def with_close(rows: Rows, at: int, factor: float) -> Rows:
    close = rows.close.copy()
    close[at] *= factor
    return replace(rows, close=close, high=np.maximum(rows.high, close), low=np.minimum(rows.low, close))


@pytest.mark.parametrize("factor", [1.15, 1 / 1.15])
def test_a_bad_close_of_the_first_bar_is_found(factor: float) -> None:
    rows = windows(3)
    told = [verdict(with_close(one, 0, factor)) for one in rows]
    right = [
        any(f.type == "bad_tick" and f.start is not None and np.datetime64(f.start.replace(tzinfo=None)) == one.ts[0] for f in v.findings)
        for one, v in zip(rows, told, strict=True)
    ]
    assert sum(right) >= 0.95 * len(rows)
    assert {band(grade(v).score) for v, found in zip(told, right, strict=True) if found} <= {"C", "D", "F"}


@pytest.mark.parametrize("factor", [1.25, 1 / 1.25])
def test_a_bad_close_of_the_last_bar_is_doubted(factor: float) -> None:
    told = [verdict(with_close(one, -1, factor)) for one in windows(5)]
    doubted = [v for v in told if any("none after it bears it out" in f.message for f in v.findings)]
    assert len(doubted) >= 0.85 * len(told)
    assert {v.caps[-1] for v in doubted if v.caps} == {CEILINGS[Severity.MEDIUM]}


@pytest.mark.parametrize("times", [0.2, 8.0])
def test_a_day_of_news_and_one_that_is_not_over_are_not_doubted(times: float) -> None:
    rows = with_close(windows(6)[0], -1, 1 / 1.12)
    volume = rows.volume.copy()
    volume[-1] = np.median(volume) * times
    assert [f.message for f in verdict(replace(rows, volume=volume)).findings if "bears it out" in f.message] == []


def test_no_clean_bar_at_an_end_is_suspected() -> None:
    told = [verdict(one) for one in windows(4)]
    assert [f.message for v in told for f in v.findings if f.severity is not Severity.INFO] == []
    assert {band(grade(v).score) for v in told} == {"A"}
