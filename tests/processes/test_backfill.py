"""Several real backfills of one universe, together and killed: the provider is asked once for each chunk, and the store is the same."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.clock import SystemClock
from mdagent.store.bars import BarStore
from mdagent.store.lock import locked
from mdagent.wire.sandbox.provider import Provider
from mdagent.wire.sandbox.server import serve
from tests.processes.program import CLOCK, PATIENCE, Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WINDOW = ("--start", "2024-01-02", "--end", "2024-02-01", "--source", "yahoo")
AT_ONCE = 8  # requests under way when SIGKILL comes may have to be sent again
TABLES = {
    "bars": "SELECT symbol, interval, ts, source, adjustment, open, high, low, close, volume, currency, provisional, score, lot FROM bars",
    "coverage": "SELECT symbol, interval, source, adjustment, start_ts, end_ts, reason FROM coverage WHERE interval <> 'actions'",
    "journal": "SELECT symbol, inserted, replaced, revised, digest FROM journal",
    "grades": "SELECT symbol, letter, score FROM grades",
    "revisions": "SELECT symbol, ts FROM revisions",
}


@dataclass
class Market:
    """Yahoo on loopback, which counts; and a machine whose mdagent asks it."""

    provider: Provider
    address: str
    homes: Path
    count: int = 0
    asked: Counter[str] = field(default_factory=Counter)

    def machine(self) -> Program:
        """Another one, with an empty store."""
        home = self.homes / str(self.count)
        home.mkdir()
        self.count += 1
        told = {"MDAGENT_SOURCES__YAHOO__BASE_URL": self.address, "MDAGENT_SOURCES__YAHOO__LIMITS": "[{limit: 100000, per: 1m}]"}
        return Program(home, told)

    def seen(self) -> Counter[str]:
        """How often each symbol was asked for since this was last looked at."""
        now = Counter(seen.path.rpartition("/")[2] for seen in self.provider.log)
        fresh = now - self.asked
        self.asked = now
        return fresh


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    provider = Provider(SystemClock.starting_at(datetime.fromisoformat(CLOCK).astimezone(UTC)), only="yahoo", allowances={"yahoo": ()})
    with serve(provider.clock, names=("yahoo",), provider=provider) as running:
        yield Market(provider, running.base_urls["yahoo"], tmp_path)


def universe(count: int) -> list[str]:
    return [f"SYM{n:05}" for n in range(1, 2 * count) if n % 10 != 7][:count]


def finished(running: subprocess.Popen[str]) -> tuple[int, str]:
    err = running.communicate(timeout=PATIENCE)[1]
    assert "Traceback" not in err, err
    return running.returncode, err


def tables(program: Program) -> dict[str, list[tuple[Any, ...]]]:
    with BarStore(program.store, "sandbox", SystemClock()).reading() as reader:
        assert reader.duplicates() == 0
        return {name: sorted(reader.ask(sql, []).fetchall(), key=repr) for name, sql in TABLES.items()}


def test_two_at_once_share_the_work_and_ask_once_for_each_chunk(market: Market) -> None:
    program, symbols = market.machine(), universe(30)
    runs = [program.start("backfill", *symbols, *WINDOW, "--report", f"{n}.json") for n in range(2)]
    assert [finished(run)[0] for run in runs] == [0, 0]
    reports = [json.loads((program.home / f"{n}.json").read_text()) for n in range(2)]
    assert market.seen() == dict.fromkeys(symbols, 1)
    assert [report["symbols"]["done"] for report in reports] == [30, 30]
    assert sum(report["requests"] for report in reports) == 30
    assert sum(report["bars"]["new"] for report in reports) == len(tables(program)["bars"]) == 30 * 21


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
    assert len(tables(program)["bars"]) == 40 * 21


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


def drill(market: Market, count: int, kills: int, seed: int) -> str:
    """One backfill, killed again and again; what its store holds in the end is what that of an undisturbed one holds."""
    dice, symbols = random.Random(seed), universe(count)
    calm = market.machine()
    assert calm.run("backfill", *symbols, *WINDOW).returncode == 0
    assert market.seen() == dict.fromkeys(symbols, 1)
    program, died = market.machine(), 0
    (program.home / "symbols.txt").write_text("\n".join(symbols))
    for _ in range(kills):
        died += killed(market, program, dice)
        if program.store.exists() and len(tables(program)["bars"]) == count * 21:
            break
    code, err = finished(program.start("backfill", "@symbols.txt", *WINDOW))
    assert code == 0, err
    found, wanted = tables(program), tables(calm)
    assert {name: found[name] == wanted[name] for name in TABLES} == dict.fromkeys(TABLES, True), f"seed {seed}"
    asked = market.seen()
    assert set(asked) == set(symbols)
    again = asked.total() - count
    assert again <= AT_ONCE * died, f"seed {seed}"
    return f"seed {seed}: {count} symbols, {died} kills: {again} requests sent again, {len(found['bars'])} bars, none lost, none double"


@pytest.mark.parametrize("seed", [11])
def test_killed_at_random_a_backfill_ends_with_the_same_tables(market: Market, seed: int) -> None:
    assert drill(market, 40, 5, seed)


@pytest.mark.drill
@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(10**6)])
def test_killed_a_hundred_times_a_backfill_of_200_symbols_ends_with_the_same_tables(
    market: Market, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    told, left, number = [], 100, 0
    while left > 0:  # a run that is done cannot be killed, so another machine begins
        told.append(drill(market, 200, left, seed + number))
        left -= int(told[-1].split(" kills")[0].rsplit(" ", 1)[1])
        number += 1
    with capsys.disabled():
        print("\n" + "\n".join(told))  # noqa: T201  a drill's figures are its result


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
    assert len(tables(program)["bars"]) == 30 * 21
    assert list(spool.iterdir()) == []
