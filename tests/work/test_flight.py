"""One process at a time fetches a series; the others wait for it, as long as a call may take, and find in the store what came."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from mdagent.store.flights import board
from mdagent.work.fetch import fetch
from mdagent.work.many import Desk as Counter
from mdagent.work.many import fetch_many
from tests.work.maker import RAW, Desk, Truth, ask, desk_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdagent.market import BarRequest
    from mdagent.work.report import Line
    from tests.work.played import Stage

SERIES = "maker AAPL 1d raw"
SLOW = 3.0  # seconds until an answer comes
LONGEST = 60.0  # seconds that a call of these desks may take


@pytest.fixture
def desk(play: Callable[..., Stage], tmp_path: Path) -> Desk:
    made = desk_of(play(*[SLOW] * 8), tmp_path)
    made.maker(Truth(), RAW)
    return made


def two(desk: Desk, *requests: BarRequest) -> list[list[Line]]:
    """The lines of two processes that are asked for the same at once."""

    def counter(run: str) -> Counter:
        tools = desk.tools()
        tools = replace(tools, gate=replace(tools.gate, run=run))
        return Counter(desk.wish, lambda: tools, lambda: None, lambda _: None)

    async def both() -> list[list[Line]]:
        return list(await asyncio.gather(*(fetch_many(requests, counter(run)) for run in ("run-1", "run-2"))))

    return desk.stage.run(both())


def held_by(desk: Desk, pid: int, seconds: float = 500.0) -> None:
    """Another process has the right to fetch the series."""
    assert board(desk.stage.ledger, SERIES, ("run-other", pid), seconds, lambda _: True) is None


def test_who_comes_second_waits_and_asks_for_nothing(desk: Desk) -> None:
    lines = [line for (line,) in two(desk, ask("raw"))]
    assert [(line.failure, line.bars) for line in lines] == [(None, 8)] * 2
    assert [line.requests for line in lines] == [1, 0]
    assert desk.asked() == ["bars/AAPL/1d/raw/01-02/01-12"]
    assert desk.stage.said == ["waiting for run run-1, which fetches AAPL from maker already"]
    assert desk.stage.ledger.rows("SELECT * FROM flights") == []


def test_who_wants_more_of_the_series_asks_for_the_rest_alone(desk: Desk) -> None:
    async def both() -> list[Line]:
        tools = desk.tools()
        other = replace(tools, gate=replace(tools.gate, run="run-2"))
        more = ask("raw", end="2024-01-17")
        return list(await asyncio.gather(fetch(desk.wish(ask("raw")), tools), fetch(desk.wish(more), other)))

    assert [line.failure for line in desk.stage.run(both())] == [None, None]
    assert desk.asked() == ["bars/AAPL/1d/raw/01-02/01-12", "bars/AAPL/1d/raw/01-12/01-17"]


def test_another_series_is_nobodys_wait(desk: Desk) -> None:
    held_by(desk, os.getpid())
    assert desk.fetch(ask("raw", symbol="MSFT")).failure is None
    assert desk.stage.said == []


def test_one_that_takes_longer_than_a_call_may_is_not_waited_for_any_longer(desk: Desk) -> None:
    held_by(desk, os.getpid())
    line = desk.fetch(ask("raw"))
    assert (line.failure, line.requests) == (None, 1)
    assert LONGEST <= desk.stage.asked[0][0] <= LONGEST + 0.2
    assert desk.stage.ledger.rows("SELECT run FROM flights") == [("run-other",)], "and keeps what it has"


def test_a_right_ends_with_its_time_even_where_the_clock_was_set_back(desk: Desk) -> None:
    held_by(desk, os.getpid(), seconds=10.0)
    assert desk.fetch(ask("raw")).failure is None
    assert 10.0 <= desk.stage.asked[0][0] <= 10.2
    held_by(desk, os.getpid())
    desk.stage.clock.set(desk.now - timedelta(days=1))
    assert board(desk.stage.ledger, SERIES, ("run-1", 1), 10.0, lambda _: True) == "run-other"
    desk.stage.clock.pause(600.0)
    assert board(desk.stage.ledger, SERIES, ("run-1", 1), 10.0, lambda _: True) is None


@pytest.mark.parametrize("reaped", [True, False])
def test_a_process_that_has_ended_is_not_waited_for(desk: Desk, reaped: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | (0 if reaped else os.WNOWAIT))
        held_by(desk, ended.pid)
        assert desk.fetch(ask("raw")).failure is None
    assert desk.stage.said == []


def test_a_request_for_several_symbols_is_sent_once_too(desk: Desk) -> None:
    first, second = two(desk, *[ask("raw", symbol=s) for s in ("AAPL", "MSFT", "IBM")])
    assert all(line.failure is None for line in first + second)
    assert desk.asked() == ["batch/AAPL+MSFT+IBM/01-02/01-12"]
    assert desk.stage.ledger.rows("SELECT * FROM flights") == []
