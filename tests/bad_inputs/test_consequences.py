"""What follows from an odd answer: what is remembered, counted, flagged, and not asked for again."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs.cases import ANSWERS, TEN, Case
from tests.bad_inputs.chart import cell, more, opening, ten
from tests.bad_inputs.stage import FETCH, LeapingClock, Stage, Turns, said
from tests.sources.canonical import DAYS
from tests.wire.nasty import NastyServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.wire.nasty import Step


def case(name: str) -> Case:
    """The case of that id."""
    return next(c for c in ANSWERS if c.id == name)


def test_an_unknown_symbol_is_not_asked_for_again_for_a_day(stage: Stage) -> None:
    with NastyServer(Turns([*case("PS05").scripts, said(TEN)])) as server:
        assert [stage.fetch(server)[0].code for _ in range(2)] == [13, 13]
        assert len(server.requests) == 1
        stage.clock.leapt += 86400
        assert stage.fetch(server)[0].code == 0


def test_an_empty_answer_is_remembered_for_a_while(stage: Stage) -> None:
    with NastyServer(Turns([*case("PS01").scripts, said(TEN)])) as server:
        assert [stage.fetch(server)[0].code for _ in range(2)] == [12, 12]
        assert len(server.requests) == 1
        rows = stage.query("SELECT reason, expires IS NOT NULL AS ends FROM coverage WHERE end_ts > '2024-01-01'")
        assert rows == [{"reason": "no data", "ends": True}]
        stage.clock.leapt += 86400 * 3
        assert stage.fetch(server)[0].code == 0


def test_after_a_refused_answer_the_same_command_asks_again(stage: Stage) -> None:
    with NastyServer(Turns([*case("PB07").scripts, said(TEN)])) as server:
        assert [stage.fetch(server)[0].code for _ in range(2)] == [4, 0]


def test_a_row_in_quarantine_is_asked_for_again_and_leaves_it_when_a_good_one_comes(stage: Stage) -> None:
    with NastyServer(Turns([*case("PV01").scripts, said(TEN)])) as server:
        stage.fetch(server)
        stage.clock.leapt += 4 * 86400
        ran, line = stage.fetch(server)
        assert len(server.requests) == 2
    assert (ran.code, line["bars"], line["quarantined"]) == (0, 10, 0)
    assert stage.quarantined() == []


def test_of_two_bars_for_one_day_neither_is_believed_and_both_are_kept_in_quarantine(stage: Stage) -> None:
    with NastyServer(Turns(case("PT03").scripts)) as server:
        stage.fetch(server)
    assert [(row["ts"][:10], row["check_name"]) for row in stage.quarantined()] == [("2024-01-05", "duplicates")] * 2
    assert "2024-01-05" not in [row["ts"][:10] for row in stage.bars()]


def test_a_bar_that_came_twice_is_counted_once_and_told(stage: Stage) -> None:
    with NastyServer(Turns(case("PT02").scripts)) as server:
        _, line = stage.fetch(server)
    assert any("1 row told twice" in finding for finding in line["findings"])


def test_rows_beyond_the_window_are_dropped_and_counted(stage: Stage) -> None:
    with NastyServer(Turns(case("PT14").scripts)) as server:
        _, line = stage.fetch(server)
    assert any("20 rows outside the window" in finding for finding in line["findings"])


def test_a_bar_in_another_unit_is_kept_with_a_flag_and_a_low_grade_of_its_own(stage: Stage) -> None:
    with NastyServer(Turns(case("PV17").scripts)) as server:
        stage.fetch(server)
    rows = stage.query("SELECT ts, score FROM bars WHERE ts = '2024-01-05'")
    assert rows[0]["score"] < 80
    found = stage.query("SELECT check_name, start_ts FROM findings WHERE check_name = 'units'")
    assert [row["start_ts"][:10] for row in found] == ["2024-01-05"]


def test_the_bar_of_an_open_session_is_provisional_and_gives_way_to_the_final_one(stage: Stage) -> None:
    words = ("fetch", "AAPL", "--start", "2024-01-02", "--end", "2024-01-18", "--json")
    last = len(DAYS)
    today = more(opening(DAYS[-1]) + 86400)
    final = ten(today, cell("close", last, 182.5))
    stage.clock = LeapingClock(case("PT16").now)
    with NastyServer(Turns([*case("PT16").scripts, said(final)])) as server:
        stage.fetch(server, *words)
        row = stage.bars()[-1]
        assert (row["ts"][:10], row["provisional"], row["close"]) == ("2024-01-17", True, 183.75)
        assert row["score"] < 90
        stage.clock = LeapingClock(case("PT16").now + timedelta(days=1))
        stage.fetch(server, *words)
    row = stage.bars()[-1]
    assert (row["ts"][:10], row["provisional"], row["close"]) == ("2024-01-17", False, 182.5)
    assert row["score"] >= 90
    assert stage.query("SELECT count(*) AS n FROM revisions") == [{"n": 0}]


def test_a_cookie_is_not_sent_back(stage: Stage) -> None:
    with NastyServer(Turns(case("TS13").scripts)) as server:
        for _ in range(2):
            stage.fetch(server, *FETCH, "--refresh")
        assert len(server.requests) == 2
        assert not [head for head in server.requests if b"cookie" in head.lower()]


def test_a_redirect_is_not_followed(stage: Stage) -> None:
    with NastyServer([b""]) as other:
        away = said(b"", f"Location: http://{other.place}/", status="302 Found")
        with NastyServer(Turns([away])) as server:
            ran, line = stage.fetch(server)
        assert other.connections == 0
    assert (ran.code, line["failure"]["kind"]) == (4, "SECURITY_BLOCK")


def test_a_dripping_body_ends_with_the_time_for_one_request(stage: Stage) -> None:
    dripping = case("TS07")
    stage.more = dict(dripping.environ)
    with NastyServer(Turns(dripping.scripts)) as server:
        began = stage.clock.monotonic()
        stage.fetch(server)
        spent = stage.clock.monotonic() - began - stage.clock.leapt
    assert 0.8 <= spent <= 2 * 0.4 + 1.0


PEAK = """
import os, pathlib, re
from mdagent.cli import main
from mdagent.cli.terminal import Terminal
code = main({words}, Terminal(os.environ, pathlib.Path.cwd()))
print(code, re.search("VmHWM:\\\\s+(\\\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


def _peak(stage: Stage, scripts: Sequence[Iterable[Step]]) -> tuple[int, int]:
    """Exit code and peak memory (KiB) of a fetch in a process of its own."""
    with NastyServer(Turns(scripts)) as server:
        code = PEAK.format(words=[*FETCH, "--refresh", "-q", "-o", str(stage.cwd / "bars.csv"), "--force"])
        environ = {**os.environ, **stage.environ(server)}
        done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True, timeout=60)
    exit_, kib = done.stdout.split()
    return int(exit_), int(kib)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read in /proc")
def test_a_bomb_costs_less_than_64_mb_more_than_a_good_answer(stage: Stage) -> None:
    good, bad = _peak(stage, [said(TEN)]), _peak(stage, case("TS05").scripts)
    assert (good[0], bad[0]) == (0, 5)  # the bars of the good answer are still there
    assert bad[1] - good[1] < 64 * 1024
