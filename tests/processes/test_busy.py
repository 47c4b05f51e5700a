"""Drill D4: two backfills, five readers and a person at the prompt share one store. No error is shown, nobody starves, nothing is lost."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import SystemClock
from mdagent.store.bars import BarStore
from tests.processes.crew import start, turns_of
from tests.processes.loopback import open_market, universe
from tests.processes.program import PATIENCE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.processes.crew import Turn
    from tests.processes.loopback import Market
    from tests.processes.program import Program

WINDOW = ("--start", "2024-01-02", "--end", "2024-02-01")
SESSIONS = 21
UNDER_WAY = 16  # requests of one backfill
HELD = ("AAPL", "MSFT")  # stored before
READS = (
    ("export", "AAPL", *WINDOW, "--csv"),
    ("query", "SELECT symbol, count(*), min(ts), max(ts), sum(close) FROM bars WHERE symbol = 'MSFT' GROUP BY 1", "--csv"),
    ("gaps", "AAPL", "MSFT", *WINDOW, "--csv"),
    ("sources", "status", "--csv"),
    ("fetch", "MSFT", *WINDOW, "--source", "yahoo", "--csv"),  # from the store
)
ASKED = ("fetch", "SYM4{:03}1", *WINDOW, "--source", "yahoo", "--csv")


@dataclass(frozen=True, slots=True)
class Account:
    """Milliseconds: of computing in a fetch, of the fetches alone and in the crowd, and of the reads. Of the backfills the seconds between
    commits, and the chunks."""

    cpu: list[float]
    alone: list[float]
    fetches: list[float]
    reads: list[float]
    pauses: list[float]
    chunks: list[int]

    def __str__(self) -> str:
        shares = " and ".join(f"{n / sum(self.chunks):.0%}" for n in self.chunks)
        return (
            f"fetch ({at(0.5, self.cpu):.0f} ms of it computing) alone {spread(self.alone)}; in the crowd {spread(self.fetches)};"
            f" reads {spread(self.reads)}; {sum(self.chunks)} chunks of backfills ({shares}), from commit to commit at most"
            f" {max(self.pauses):.2f} s"
        )


def at(share: float, times: list[float]) -> float:
    """The time that this share of them does not exceed."""
    return sorted(times)[int(share * (len(times) - 1))]


def spread(times: list[float]) -> str:
    return f"{len(times)}: p50 {at(0.5, times):.0f}, p95 {at(0.95, times):.0f}, p99 {at(0.99, times):.0f}, max {max(times):.0f} ms"


def good(turns: list[Turn]) -> list[float]:
    """Their milliseconds; none may have failed."""
    assert [turn for turn in turns if turn.code] == []
    return [turn.ms for turn in turns]


def fill(program: Program, number: int, symbols: list[str]) -> subprocess.Popen[str]:
    (program.home / f"{number}.txt").write_text("\n".join(symbols))
    words = ("backfill", f"@{number}.txt", *WINDOW, "--source", "yahoo", "--quiet", "--report", f"{number}.json")
    return program.start(*words)


def begun(market: Market, symbols: list[str]) -> bool:
    """Was more than what can be under way at once asked for? Then some of it is stored."""
    asked = {seen.path.rpartition("/")[2] for seen in market.provider.log}
    return len(asked.intersection(symbols)) > UNDER_WAY


def crowd(market: Market, readers: int, seconds: float) -> Account:
    """Let them all loose; then count."""
    program = market.machine()
    assert program.run("fetch", *HELD, *WINDOW, "--source", "yahoo").returncode == 0
    alone = good(turns_of(start(program, seconds / 6, *(word.replace("SYM4", "SYM5") for word in ASKED))))
    symbols = universe(20_000)
    with ExitStack() as ends:
        fills = [ends.enter_context(fill(program, n, symbols[n * 9000 : (n + 1) * 9000])) for n in range(2)]
        while not all(begun(market, symbols[n * 9000 : (n + 1) * 9000]) for n in range(2)):
            SystemClock().pause(0.05)
        crew = [ends.enter_context(start(program, seconds, *READS[n % len(READS)])) for n in range(readers)]
        asker = ends.enter_context(start(program, seconds, *ASKED))
        asked = turns_of(asker)
        read = [turns_of(reader) for reader in crew]
        for one in fills:
            one.send_signal(signal.SIGTERM)
        ended = [(one.communicate(timeout=PATIENCE)[1], one.returncode) for one in fills]
    assert all(code == 143 and "Traceback" not in err for err, code in ended), ended
    fetches, reads = good(asked), [ms for turns in read for ms in good(turns)]
    assert [turn for turn in [*asked, *read[0]] if turn.lines != 1 + SESSIONS] == []
    reports = [json.loads((program.home / f"{n}.json").read_text()) for n in range(2)]
    pauses, chunks = commits(program, len(asked), reports)
    return Account([turn.cpu for turn in asked], alone, fetches, reads, pauses, chunks)


def commits(program: Program, asked: int, reports: list[dict[str, dict[str, int]]]) -> tuple[list[float], list[int]]:
    """Of the two backfills. Whatever was acknowledged is there, once."""
    runs = (
        "SELECT run, count(*), list(epoch(kept_at) ORDER BY kept_at) FROM journal WHERE symbol < 'SYM4' AND symbol LIKE 'SYM%' GROUP BY 1"
    )
    with BarStore(program.store, "sandbox", SystemClock()).reading() as reader:
        assert reader.duplicates() == 0
        uneven = reader.ask(f"SELECT symbol FROM bars GROUP BY 1 HAVING count(*) <> {SESSIONS}", []).fetchall()
        assert uneven == []
        fetched = reader.ask("SELECT count(DISTINCT symbol) FROM bars WHERE symbol LIKE 'SYM4%'", []).fetchone()[0]
        held = reader.ask("SELECT count(*) FROM bars WHERE symbol < 'SYM4' AND symbol LIKE 'SYM%'", []).fetchone()[0]
        found = reader.ask(runs, []).fetchall()
    assert fetched >= asked
    assert held >= sum(report["bars"]["new"] for report in reports)
    assert len(found) == len(reports)
    pauses = [later - earlier for _, _, stamps in found for earlier, later in pairwise(stamps)]
    return pauses, [count for _, count, _ in found]


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    with open_market(tmp_path) as opened:
        yield opened


def test_backfills_readers_and_a_prompt_share_a_store_without_an_error(market: Market) -> None:
    account = crowd(market, readers=2, seconds=2.0)
    assert min(account.chunks) >= 1


@pytest.mark.drill(number="D4")
def test_backfills_readers_and_a_prompt_share_a_store_for_a_minute(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    account = crowd(market, readers=5, seconds=60.0)
    with capsys.disabled():
        print(f"\n{account}")  # noqa: T201  a drill's figures are its result
    assert at(0.95, account.fetches) <= at(0.95, account.alone) + 1000
    assert at(0.99, account.reads) <= 1000
    assert max(account.pauses) <= 2
    assert min(account.chunks) >= 0.3 * sum(account.chunks)
