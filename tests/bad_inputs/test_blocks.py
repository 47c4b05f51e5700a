"""A provider that wants to be left alone is left alone, by every process, for as long as it says."""

from __future__ import annotations

import pytest

from tests.bad_inputs.cases import SERVER_LIMITS, TEN
from tests.bad_inputs.stage import FETCH, LeapingClock, Stage, Turns, said
from tests.wire.nasty import NastyServer

LATER = ("fetch", "AAPL", "--start", "2024-01-02", "--end", "2024-01-17", "--refresh")


def case(name: str) -> Turns:
    """The scripts of a case, then a good answer."""
    found = next(c for c in SERVER_LIMITS if c.id == name)
    return Turns([*found.scripts, said(TEN)])


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("LS01", 1, 330),
        ("LS02", 7, 7),
        ("LS03", 90, 90),
        ("LS04", 86400, 86400),
        ("LS05", 1, 330),
        ("LS06", 1, 330),
        ("LS07", 30, 30),
        ("LS08", 39, 40),
    ],
)
def test_the_source_is_blocked_for_so_many_seconds(name: str, least: float, most: float, stage: Stage) -> None:
    with NastyServer(case(name)) as server:
        stage.fetch(server)
        seconds = stage.block()
        assert seconds is not None
        assert least - 0.5 <= seconds <= most
        status = stage.run("sources", "status", "--json", server=server)
    assert ('"state": "quota spent"' if name == "LS08" else '"state": "throttled"') in status.out
    assert status.code == 4


def test_while_blocked_the_next_command_sends_nothing(stage: Stage) -> None:
    with NastyServer(case("LS01")) as server:
        stage.fetch(server)
        stage.clock.leapt += 60
        ran, line = stage.fetch(server)
        assert len(server.requests) == 1
    assert ran.code == 7
    assert line["failure"]["kind"] == "THROTTLED"


def test_a_block_that_ends_before_the_deadline_is_waited_for(stage: Stage) -> None:
    with NastyServer(case("LS02")) as server:
        stage.fetch(server)
        asked = stage.clock.now()
        ran, _ = stage.fetch(server)
        assert len(server.requests) == 2
    assert ran.code == 0
    assert 6 <= (stage.clock.now() - asked).total_seconds() < 10


def test_a_503_is_tried_again_after_its_30_s_where_the_deadline_allows(stage: Stage) -> None:
    stage.more = {"MDAGENT_FETCH__DEADLINE": "120"}
    with NastyServer(case("LS07")) as server:
        ran, line = stage.fetch(server)
        assert len(server.requests) == 2
    assert (ran.code, line["bars"]) == (0, 10)
    assert stage.clock.leapt >= 30


def test_after_the_provider_says_that_nothing_is_left_the_next_call_waits_for_the_reset(stage: Stage) -> None:
    stage.more = {"MDAGENT_FETCH__DEADLINE": "60"}
    with NastyServer(case("LS08")) as server:
        assert stage.run(*FETCH, server=server).code == 0
        assert stage.clock.leapt < 1
        assert stage.run(*LATER, server=server).code == 0
        assert len(server.requests) == 2
    assert 38 <= stage.clock.leapt <= 41


def test_a_clock_set_back_by_a_day_grants_no_window_more_than_its_limit(stage: Stage) -> None:
    stage.more = {"MDAGENT_SOURCES__YAHOO__LIMITS": "[{limit: 3, per: 1h}]"}
    with NastyServer(Turns([said(TEN)])) as server:
        for _ in range(2):
            assert stage.run(*LATER, server=server).code == 0
        stage.clock = LeapingClock(stage.clock.now().replace(day=16))
        assert stage.run(*LATER, server=server).code in (0, 5)  # the last session is not over yet, by this clock
        assert "the quota of 3 per 1h is spent" in stage.run(*LATER, server=server).err
        assert len(server.requests) == 3
        stage.clock.leapt += 3700
        stage.run(*LATER, server=server)
        assert len(server.requests) == 4  # an hour later the window is free again
