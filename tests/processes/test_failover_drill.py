"""The first source does not answer, over real sockets: how much longer a request takes because of it, and for how many requests.

Yahoo stands first, at an address where nobody listens, or where nobody ever takes a connection; Tiingo, simulated behind a real server
on loopback, serves in its place. "Direct" is the same request in a home like it where Tiingo stands alone. Bars are fetched into a
store of their own; quotes go the other way through the program, which is shorter by a tenth of a second of DuckDB.
"""

from __future__ import annotations

import json
import shutil
import socket
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

import certifi
import pytest

from mdagent.agent import Agent
from mdagent.clock import SystemClock
from mdagent.config import Flags, load
from mdagent.guard.breaker import State
from mdagent.market import BarRequest, Quote, Symbol
from mdagent.sources import NAMES
from mdagent.store.recall import breakers_of
from mdagent.wire.sandbox.server import serve
from tests.processes.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.drill
FIRST, SECOND = "yahoo", "tiingo"
DAYS = ("2024-01-02", "2024-01-10")
SAMPLES = 20
PAIRS = {"bars": 20, "quote": 60}  # as many as there is time for while the breaker is open, 24 s at least
# The order of asking is to be decided by health alone, or a source that failed once would not be asked a second time anyway.
BLIND = {f"MDAGENT_WEIGHTS__{fact}": "0" for fact in ("RELIABILITY", "QUALITY", "LATENCY")}
KINDS = ("bars", "quote")


@dataclass
class Place:
    """Homes that start alike: the store holds a calendar, the ledger nothing. `dead` is where the first source is said to be."""

    folder: Path
    second: str
    dead: str
    clock: SystemClock = field(default_factory=SystemClock)
    made: int = 0
    asked: int = 0

    def environ(self, *, direct: bool) -> dict[str, str]:
        off = [name for name in NAMES if name != SECOND and (direct or name != FIRST)]
        told = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in off} | BLIND
        bases = {SECOND: self.second} | ({} if direct else {FIRST: self.dead})
        told["MDAGENT_WIRE__CA_FILE"] = str(self.folder / "ca.pem")
        return told | {f"MDAGENT_SOURCES__{name.upper()}__BASE_URL": base for name, base in bases.items()}

    def home(self) -> Path:
        """One more, in which nothing was asked."""
        self.made += 1
        there = self.folder / f"home{self.made}"
        if self.made > 1:
            shutil.copytree(self.folder / "home1", there, ignore=shutil.ignore_patterns("ledger.db*"))
        return there

    def agent(self, home: Path, *, direct: bool) -> Agent:
        environ = {"MDAGENT_HOME": str(home), "MDAGENT_SANDBOX": "1"} | self.environ(direct=direct)
        return Agent(load(Flags(), environ, self.folder).settings, self.clock)

    def ask(self, agent: Agent, kind: str) -> float:
        """Milliseconds of a request for a symbol that was never asked for; the second source serves it."""
        self.asked += 1
        symbol, began = f"SYM{self.asked:05}", self.clock.monotonic()
        if kind == "bars":
            (line,) = agent.fetch([BarRequest(symbol, "1d", *DAYS, "raw")]).report.lines  # type: ignore[arg-type]
            source, failure = line.source, line.failure
        else:
            (quote,) = agent.quote([Symbol.parse(symbol)])
            source, failure = (quote.source, None) if isinstance(quote, Quote) else (None, quote)
        ms = 1000 * (self.clock.monotonic() - began)
        assert (source, failure) == (SECOND, None)
        return ms

    def breaker(self, agent: Agent) -> State:
        found = breakers_of(agent.ledger, FIRST).get("")
        return found.state if found else State.CLOSED


@contextmanager
def place(folder: Path, dead: str) -> Iterator[Place]:
    """With one request of each kind done, so that what is loaded and made once is there."""
    clock, pem = SystemClock(), Path(certifi.where()).read_text("utf-8")
    end = "-----END CERTIFICATE-----\n"  # one authority instead of a hundred, which every request of an agent would read anew
    (folder / "ca.pem").write_text(pem[pem.index("-----BEGIN") : pem.index(end)] + end, "utf-8")
    with serve(clock, names=(SECOND,)) as running:
        made = Place(folder, running.base_urls[SECOND], dead, clock)
        with made.agent(made.home(), direct=True) as agent:
            for kind in KINDS:
                made.ask(agent, kind)
        yield made


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def blackhole() -> Iterator[int]:
    """A port whose queue of connections is full: who knocks is neither let in nor sent away."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        for _ in range(8):
            knocking = stack.enter_context(socket.socket())
            knocking.settimeout(0.3)
            try:
                knocking.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        else:
            pytest.skip("the queue of this system cannot be filled")
        yield port


def p95(values: list[float]) -> float:
    return quantiles(values, n=20, method="inclusive")[-1]


def excess(with_it: list[float], without: list[float]) -> tuple[float, float]:
    """The median of the differences between the two of each pair, and its standard error (by the median absolute deviation): on a busy
    machine a figure without the second says nothing."""
    apart = [a - b for a, b in zip(with_it, without, strict=True)]
    middle = median(apart)
    return middle, 1.2533 * 1.4826 * median(abs(d - middle) for d in apart) / len(apart) ** 0.5


def tell(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}")  # noqa: T201  a drill's figures are its result


def in_words(values: list[float]) -> str:
    return f"median {median(values):.1f}, p95 {p95(values):.0f}, worst {max(values):.0f} ms"


def alternately(some: Place, kind: str, times: int) -> tuple[list[float], list[float]]:
    """Requests in turn, direct and with the first source in the way, each in a home where it is the first."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(times):
        for direct in (True, False):
            with some.agent(some.home(), direct=direct) as agent:
                took[direct].append(some.ask(agent, kind))
    return took[True], took[False]


def open_it(some: Place, agent: Agent, kind: str) -> list[float]:
    """Ask until the first source's breaker is open, three times at most."""
    calls: list[float] = []
    while some.breaker(agent) is not State.OPEN:
        assert len(calls) < 3, f"it is {some.breaker(agent)} after {len(calls)} requests"
        calls.append(some.ask(agent, kind))
    return calls


def knocks_of_a_second_process(some: Place, home: Path, port: int) -> int:
    """Connections that a fetch by the real program opens where the first source is said to be: somebody listens there now."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        program = Program(home, some.environ(direct=False) | {"MDAGENT_CLOCK": ""})
        done = program.run("fetch", "MSFT", "--start", DAYS[0], "--end", DAYS[1], "--adjust", "raw", "--report", "report.json")
        assert done.returncode == 0, done.stderr
        assert json.loads((home / "report.json").read_text("utf-8"))["symbols"][0]["source"] == SECOND
        listener.setblocking(False)
        count = 0
        with suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()
                count += 1
        return count


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_first_source_refuses_the_next_serves_within_300_ms(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with place(tmp_path, f"http://127.0.0.1:{free_port()}") as some:
        direct, failover = alternately(some, kind, SAMPLES)
    over = p95(failover) - p95(direct)
    tell(capsys, f"{kind}, refused: direct {in_words(direct)}; failover {in_words(failover)}; p95 over direct {over:.0f} ms")
    assert over <= 300.0


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_first_source_is_a_black_hole_the_next_serves_within_2_5_s(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two seconds to connect, and half a second for all the rest; what a direct request takes is not counted, since on a busy machine
    that alone may be more."""
    with blackhole() as port, place(tmp_path, f"http://127.0.0.1:{port}") as some:
        direct, failover = alternately(some, kind, 5)
    over = max(failover) - median(direct)
    tell(capsys, f"{kind}, black-holed: direct {in_words(direct)}; first failover {in_words(failover)}; worst over direct {over:.0f} ms")
    assert over <= 2500.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["refused", "black-holed"])
def test_once_its_breaker_is_open_no_request_takes_longer_and_no_process_tries_it(
    tmp_path: Path, fault: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    took: dict[bool, list[float]] = {True: [], False: []}
    with ExitStack() as stack:
        hole = stack.enter_context(ExitStack())
        port = hole.enter_context(blackhole()) if fault == "black-holed" else free_port()
        some = stack.enter_context(place(tmp_path, f"http://127.0.0.1:{port}"))
        home = some.home()
        faulty = stack.enter_context(some.agent(home, direct=False))
        alone = stack.enter_context(some.agent(some.home(), direct=True))
        calls = open_it(some, faulty, kind)
        hole.close()
        knocks = knocks_of_a_second_process(some, home, port)
        for pair in range(PAIRS[kind]):
            for direct in (True, False) if pair % 2 else (False, True):
                took[direct].append(some.ask(alone if direct else faulty, kind))
        assert some.breaker(faulty) is State.OPEN, "it was tested meanwhile: the figures are of something else"
    (over, error), opening = excess(took[False], took[True]), ", ".join(f"{ms:.0f}" for ms in calls)
    tell(
        capsys,
        f"{kind}, {fault}: open after {len(calls)} requests ({opening} ms); then {in_words(took[False])}; direct {in_words(took[True])};"
        f" over direct {over:.1f} +- {error:.1f} ms; connections by a second process: {knocks}",
    )
    assert knocks == 0
    assert over - 2 * error <= 10.0
