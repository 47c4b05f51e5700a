"""Many requests over several sources: each source gets what its windows allow, and all of it is done about as soon as can be."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from mdagent.sources import NAMES
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = 60.0
# Requests a minute. Each of these serves an hour's raw bars of two days by one request, and none takes several symbols in one.
FOUR = {"alphavantage": 5, "tiingo": 8, "finnhub": 30, "polygon": 60}
SMALL = {"alphavantage": 2, "tiingo": 3, "finnhub": 10, "polygon": 15}
WINDOW = ("--interval", "1h", "--start", "2024-02-01", "--end", "2024-02-03", "--adjust", "raw", "--priority", "high")


def symbols(count: int) -> list[str]:
    """Listings of the sandbox; those that end in 7 are halted now and then, and would be served in part."""
    return [name for n in range(1, 2 * count) if not (name := f"SYM{n:05}").endswith("7")][:count]


def only(limits: dict[str, int]) -> dict[str, str]:
    """The settings under which these sources alone serve, with so many requests a minute."""
    told = {f"MDAGENT_SOURCES__{name.upper()}__LIMITS": f"[{{limit: {limit}, per: 1m}}]" for name, limit in limits.items()}
    return told | {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES if name not in limits}


def best_end(limits: dict[str, int], requests: int) -> float:
    """Seconds after which the last request of the best possible schedule goes, by a mixed integer program.

    A source s serves at most k_s requests in any minute, so by the end of minute w (w = 0, 1 ...) at most (w + 1) k_s; all of its
    requests going at the beginning of each minute reaches that, so no other schedule ends sooner. Variables: x_sw, the requests that
    s serves at the beginning of minute w; y_w in {0, 1}, whether anything goes in minute w or later; T, the end.

        minimise T   subject to   sum_sw x_sw = requests,   0 <= x_sw <= k_s y_w,   y_w <= y_(w-1),   T >= 60 w y_w
    """
    allowed = list(limits.values())
    sources, minutes = len(allowed), -(-requests // sum(allowed)) + 1
    count = sources * minutes + minutes + 1  # x, y, T
    served = np.arange(sources * minutes).reshape(sources, minutes)
    begun, end = sources * minutes + np.arange(minutes), count - 1
    rows, upper = [], []
    for w in range(minutes):
        for s, most in enumerate(allowed):
            rows.append({served[s, w]: 1.0, begun[w]: -float(most)})
            upper.append(0.0)
        rows.append({begun[w]: MINUTE * w, end: -1.0})
        upper.append(0.0)
    for before, after in pairwise(begun):
        rows.append({after: 1.0, before: -1.0})
        upper.append(0.0)
    matrix = np.zeros((len(rows), count))
    for n, row in enumerate(rows):
        for column, value in row.items():
            matrix[n, column] = value
    everything = np.zeros((1, count))
    everything[0, served.ravel()] = 1.0
    objective, whole, most_of = np.zeros(count), np.ones(count), np.full(count, np.inf)
    objective[end], whole[end], most_of[begun] = 1.0, 0.0, 1.0
    constraints = [LinearConstraint(everything, requests, requests), LinearConstraint(matrix, -np.inf, np.array(upper))]
    found = milp(objective, integrality=whole, bounds=Bounds(0, most_of), constraints=constraints)
    assert found.success
    return float(found.fun)


class Done(NamedTuple):
    """Seconds on the prompt's clock until all was served, and when each source was asked, as the ledger has it."""

    seconds: float
    asked: dict[str, list[float]]


def served(folder: Path, limits: dict[str, int], count: int) -> Done:
    """All symbols, each by one request to one of the sources. No request is lost, none sent twice, none refused."""
    shell = Shell(folder, only(limits))
    said, report = shell.fetch(*symbols(count), *WINDOW)
    assert [line["failure"] for line in report["symbols"] if line["failure"]] == []
    assert said.code == 0, said.err[-2000:]
    db = sqlite3.connect(shell.home / "ledger.db")
    rows = db.execute("SELECT source, at / 1e6, state, kind FROM attempts ORDER BY at").fetchall()
    db.close()
    assert {(state, kind) for _, _, state, kind in rows} == {("settled", None)}
    assert len(rows) == report["requests"] == count
    return Done(shell.clock.monotonic(), {name: [at for source, at, *_ in rows if source == name] for name in limits})


def violations(done: Done, limits: dict[str, int]) -> list[str]:
    """Where more than the limit went out within a minute: between one request and the one so many later."""
    return [
        f"{name}: {limit + 1} requests in {later - first:.3f} s"
        for name, limit in limits.items()
        for first, later in zip(done.asked[name], done.asked[name][limit:], strict=False)
        if later - first < MINUTE
    ]


def figures(done: Done, best: float) -> str:
    """What was measured, in words."""
    spread = ", ".join(f"{len(times)} by {name}" for name, times in done.asked.items())
    return f"{sum(map(len, done.asked.values()))} requests in {done.seconds:.2f} s, the best possible {best:.0f} s: {spread}"


@pytest.mark.parametrize(
    ("limits", "requests", "seconds"),
    [(FOUR, 103, 0.0), (FOUR, 104, 60.0), (FOUR, 500, 240.0), (SMALL, 60, 60.0), (SMALL, 61, 120.0), ({"yahoo": 1}, 3, 120.0)],
)
def test_the_best_schedule_is_known_where_it_can_be_counted_by_hand(limits: dict[str, int], requests: int, seconds: float) -> None:
    assert best_end(limits, requests) == pytest.approx(seconds)


# 120 leave room in the second minute; 60 are exactly what two minutes hold, so that not one place may stay empty
@pytest.mark.parametrize(
    ("limits", "count"),
    [pytest.param(FOUR, 120, marks=pytest.mark.drill), (SMALL, 60)],
    ids=["120 over 103 a minute", "60 over 30 a minute"],
)
def test_many_symbols_are_done_within_five_percent_of_the_best_schedule(tmp_path: Path, limits: dict[str, int], count: int) -> None:
    done, best = served(tmp_path, limits, count), best_end(limits, count)
    assert violations(done, limits) == []
    assert best <= done.seconds <= 1.05 * best, figures(done, best)


def test_a_small_quota_is_waited_for_however_many_symbols_there_are(tmp_path: Path) -> None:
    five = {"polygon": 5}
    done = served(tmp_path, five, 20)
    assert violations(done, five) == []
    assert done.seconds <= 1.05 * best_end(five, 20), figures(done, best_end(five, 20))


@pytest.mark.drill
def test_five_hundred_symbols_are_done_within_five_percent_of_the_best_schedule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done, best = served(tmp_path, FOUR, 500), best_end(FOUR, 500)
    with capsys.disabled():
        print(f"\n{figures(done, best)}")  # noqa: T201  a drill's figures are its result
    assert violations(done, FOUR) == []
    assert best <= done.seconds <= 1.05 * best, figures(done, best)
