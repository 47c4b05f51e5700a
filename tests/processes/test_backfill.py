"""Several real backfills of one universe, together and killed: the provider is asked once for each chunk, and the store is the same."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mdagent.clock import SystemClock
from mdagent.store.lock import locked
from tests.processes.loopback import Market, open_market, universe
from tests.processes.program import PATIENCE, Program
from tests.processes.tables import TABLES, tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WINDOW = ("--start", "2024-01-02", "--end", "2024-02-01", "--source", "yahoo")


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    with open_market(tmp_path) as opened:
        yield opened


def finished(running: subprocess.Popen[str]) -> tuple[int, str]:
    err = running.communicate(timeout=PATIENCE)[1]
    assert "Traceback" not in err, err
    return running.returncode, err


def test_two_at_once_share_the_work_and_ask_once_for_each_chunk(market: Market) -> None:
    program, symbols = market.machine(), universe(30)
    runs = [program.start("backfill", *symbols, *WINDOW, "--report", f"{n}.json") for n in range(2)]
    assert [finished(run)[0] for run in runs] == [0, 0]
    reports = [json.loads((program.home / f"{n}.json").read_text()) for n in range(2)]
    assert market.seen() == dict.fromkeys(symbols, 1)
    assert [report["symbols"]["done"] for report in reports] == [30, 30]
    assert sum(report["requests"] for report in reports) == 30
    assert sum(report["bars"]["new"] for report in reports) == len(tables(program.store)["bars"]) == 30 * 21


def test_a_signal_lets_the_write_finish_and_the_same_command_goes_on(market: Market) -> None:
    program, symbols = market.machine(), universe(40)
    words = ("backfill", *symbols, *WINDOW, "--progress", "json", "--report", "report.json")
    with program.start(*words) as running:
        assert running.stderr is not None
        assert '"progress"' in running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        err = running.communicate(timeout=PATIENCE)[1]
    assert running.returncode == 143, err
    assert "run the same command again" in err
    report = json.loads((program.home / "report.json").read_text())
    assert report["interrupted"]
    first = report["symbols"]["done"]
    assert first + report["chunks"]["not_begun"] == 40
    assert program.run(*words).returncode == 0
    assert set(market.seen()) == set(symbols)
    assert len(tables(program.store)["bars"]) == 40 * 21


def killed(market: Market, program: Program, dice: random.Random) -> bool:
    """Start a backfill and kill it, most times once it asks; was it still alive?"""
    before = market.provider.requests if dice.random() < 0.9 else -1
    with program.start("backfill", "@symbols.txt", *WINDOW, "--quiet") as running:
        while market.provider.requests <= before and running.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                running.wait(0.01)
        try:
            running.wait(dice.uniform(0.0, 0.5))
        except subprocess.TimeoutExpired:
            running.kill()
            return True
        finally:
            running.communicate()
    return False


class Outcome(NamedTuple):
    """What came of one machine: its kills, and the requests that had to be sent again."""

    seed: int
    at_once: int
    symbols: int
    kills: int
    again: int
    bars: int

    def __str__(self) -> str:
        words = f"{self.again} requests sent again, {self.bars} bars, none lost, none double"
        return f"seed {self.seed}: {self.symbols} symbols, {self.at_once} at once, {self.kills} kills: {words}"


def drill(market: Market, count: int, kills: int, seed: int, at_once: int) -> Outcome:
    """One backfill, killed again and again; what its store holds in the end is what that of an undisturbed one holds, and asked for again
    is no more than was under way when it was killed: what has arrived is not lost."""
    dice, symbols = random.Random(seed), universe(count)
    calm = market.machine()
    assert calm.run("backfill", *symbols, *WINDOW).returncode == 0
    assert market.seen() == dict.fromkeys(symbols, 1)
    program, died = market.machine(at_once=at_once), 0
    (program.home / "symbols.txt").write_text("\n".join(symbols))
    for _ in range(kills):
        died += killed(market, program, dice)
        if program.store.exists() and len(tables(program.store)["bars"]) == count * 21:
            break
    code, err = finished(program.start("backfill", "@symbols.txt", *WINDOW))
    assert code == 0, err
    found, wanted = tables(program.store), tables(calm.store)
    assert {name: found[name] == wanted[name] for name in TABLES} == dict.fromkeys(TABLES, True), f"seed {seed}"
    asked = market.seen()
    assert set(asked) == set(symbols)
    again = asked.total() - count
    assert again <= at_once * died, f"seed {seed}"
    return Outcome(seed, at_once, count, died, again, len(found["bars"]))


@pytest.mark.parametrize("seed", [11])
def test_killed_at_random_a_backfill_ends_with_the_same_tables(market: Market, seed: int) -> None:
    assert drill(market, 40, 5, seed, 1).bars == 40 * 21


@pytest.mark.drill(number="D1")
@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(10**6)])
def test_killed_a_hundred_times_a_backfill_of_200_symbols_ends_with_the_same_tables(
    market: Market, seed: int, at_once: int, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = list[Outcome]()
    while (left := 100 - sum(one.kills for one in outcomes)) > 0:  # a run that is done cannot be killed, so another machine begins
        outcomes.append(drill(market, 200, left, seed + len(outcomes), at_once))
    with capsys.disabled():
        print(f"\n{chr(10).join(map(str, outcomes))}")  # noqa: T201  a drill's figures are its result
        again, kills = sum(one.again for one in outcomes), sum(one.kills for one in outcomes)
        print(f"in all {kills} kills, {again} requests sent again: {again / kills:.2f} a kill, at most {at_once} allowed")  # noqa: T201


def test_answers_that_could_not_be_written_before_a_kill_are_not_asked_for_again(market: Market) -> None:
    program, symbols = market.machine(), universe(30)
    words = ("backfill", *symbols, *WINDOW, "--quiet")
    spool = program.store.with_name("bars.duckdb.spool")
    with program.start(*words) as running:
        asked = market.provider.requests
        while market.provider.requests == asked:
            assert running.poll() is None
        with locked(program.store, SystemClock(), write=True, wait=PATIENCE, purpose="test"):
            while len(list(spool.glob("[!.]*"))) < 2:
                assert running.poll() is None, running.communicate()
            running.kill()
    left = {json.loads(path.read_bytes().partition(b"\n")[2])["chart"]["result"][0]["meta"]["symbol"] for path in spool.glob("[!.]*")}
    first = market.seen()
    assert len(left) >= 2
    assert program.run(*words).returncode == 0
    again = market.seen()
    assert not left & again.keys(), "they were paid for"
    assert set(first) | set(again) == set(symbols)
    assert len(tables(program.store)["bars"]) == 30 * 21
    assert list(spool.iterdir()) == []
