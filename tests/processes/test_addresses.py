"""Two addresses of one source, real servers on loopback, one of them dead: the fetch succeeds, and the next process knows it."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.clock import SystemClock
from mdagent.store.ledger import open_ledger
from mdagent.wire.sandbox.server import serve
from tests.processes.program import CLOCK, Program
from tests.processes.test_failover_drill import blackhole, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAYS = ("--start", "2024-01-02", "--end", "2024-01-10")


@pytest.fixture
def live() -> Iterator[str]:
    with serve(SystemClock.starting_at(datetime.fromisoformat(CLOCK).astimezone(UTC)), names=("yahoo",)) as running:
        yield running.base_urls["yahoo"]


def program(home: Path, *addresses: str, **more: str) -> Program:
    listed = "".join(f"\n      - {address}" for address in addresses)
    (home / "mdagent.yaml").write_text(f"sources:\n  yahoo:\n    base_url:{listed}\n", "utf-8")
    return Program(home, more)


def attempts(home: Path) -> list[tuple[Any, ...]]:
    with open_ledger(home / "sandbox" / "ledger.db", SystemClock()) as ledger:
        return ledger.rows("SELECT host, kind FROM attempts ORDER BY id")


def name(address: str) -> str:
    return address.removeprefix("http://")


def fetch(some: Program, *symbols: str) -> None:
    done = some.run("fetch", *symbols, *DAYS, "--source", "yahoo", "--report", "report.json", "--csv")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 + 6 * len(symbols)
    (some.home / "report.json").rename(some.home / f"{symbols[0]}.json")


def test_where_the_first_is_dead_the_second_serves_and_the_next_process_asks_it_at_once(tmp_path: Path, live: str) -> None:
    port = free_port()
    dead = f"http://127.0.0.1:{port}"
    some = program(tmp_path, dead, live)
    fetch(some, "AAPL")
    assert attempts(tmp_path) == [(name(dead), "CONNECT_FAIL"), (name(live), None)]
    with socket.create_server(("127.0.0.1", port)) as listener:  # somebody is there now: who knocks is seen
        fetch(some, "MSFT")
        listener.setblocking(False)
        with suppress(BlockingIOError):
            pytest.fail(f"it was asked by {listener.accept()[1]}")
    assert attempts(tmp_path)[2:] == [(name(live), None)]
    assert json.loads((tmp_path / "MSFT.json").read_text("utf-8"))["requests"] == 1


def test_where_it_takes_no_connection_it_is_the_same(tmp_path: Path, live: str) -> None:
    with blackhole() as port:
        dead = f"http://127.0.0.1:{port}"
        some = program(tmp_path, dead, live, MDAGENT_SOURCES__YAHOO__TIMEOUT__CONNECT="0.2")
        fetch(some, "AAPL")
        fetch(some, "MSFT")
    assert attempts(tmp_path) == [(name(dead), "CONNECT_FAIL"), (name(live), None), (name(live), None)]


def test_many_symbols_are_served_although_the_first_address_is_dead(tmp_path: Path, live: str) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    symbols = [f"SYM{number:05d}" for number in range(1, 13)]
    fetch(program(tmp_path, dead, live), *symbols)
    found = attempts(tmp_path)
    assert len([1 for host, _ in found if host == name(live)]) == len(symbols)
    assert len([1 for host, kind in found if (host, kind) == (name(dead), "CONNECT_FAIL")]) <= 4, "no more than go at once"
    done = Program(tmp_path).run("sources", "status", "--json")
    assert {row["source"]: row["state"] for row in json.loads(done.stdout)}["yahoo"] == "ready", "no breaker held it against the source"


def test_a_variable_names_them_with_commas_and_the_list_shows_them(tmp_path: Path, live: str) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    some = Program(tmp_path, {"MDAGENT_SOURCES__YAHOO__BASE_URL": f"{dead},{live}"})
    fetch(some, "AAPL")
    assert [host for host, _ in attempts(tmp_path)] == [name(dead), name(live)]
    rows = {row["source"]: row["base"] for row in json.loads(some.run("sources", "list", "--json").stdout)}
    assert rows["yahoo"] == f"{dead}, {live}"
    assert f"[{dead}, {live}]" in some.run("config", "show").stdout
