"""The sandbox: a market without network or key, whose bars never meet live ones."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING

import httpx

from mdagent.cli import main
from mdagent.cli.terminal import Terminal
from mdagent.clock import VirtualClock
from mdagent.sources import spec_of
from mdagent.wire.sandbox.dialects import dialects
from tests.cli.shell import JANUARY, NOW, Shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Interrupted(VirtualClock):
    """The person at the prompt looks at the server once, and presses Ctrl-C."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.seen: list[httpx.Response] = []
        self.look: Callable[[], str] = str

    def pause(self, seconds: float) -> None:
        if seconds < 60:
            return super().pause(seconds)
        url = self.look()
        self.seen.append(httpx.get(f"{url}/v8/finance/chart/AAPL", params={"range": "5d", "interval": "1d"}, trust_env=False))
        raise KeyboardInterrupt


def test_the_sandbox_needs_no_network_and_no_key_and_says_that_its_prices_are_synthetic(shell: Shell) -> None:
    said = shell.good("--sandbox", "fetch", "AAPL", *JANUARY, MDAGENT_SANDBOX="")
    assert len(said.rows) == 21
    assert "sandbox: these prices are synthetic" in said.err


def test_any_window_and_any_home_gives_the_same_prices(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Shell(tmp_path / "other")
    whole = {r["ts"]: r["close"] for r in shell.good("fetch", "AAPL", *JANUARY).rows}
    part = {r["ts"]: r["close"] for r in other.good("fetch", "AAPL", "--start", "2024-01-10", "--end", "2024-01-20").rows}
    assert part == {day: whole[day] for day in part}
    assert len(part) == 7


def test_the_sandbox_has_a_home_of_its_own(shell: Shell) -> None:
    shell.good("fetch", "AAPL", *JANUARY)
    assert all(name.startswith("home/sandbox/") for name in shell.files())


def test_synthetic_bars_are_not_read_as_live_ones_nor_the_other_way_round(stocked: Shell) -> None:
    store = str(stocked.home / "bars.duckdb")
    said = stocked.run("export", "AAPL", "--store", store, MDAGENT_SANDBOX="")
    assert (said.code, said.out) == (3, "")
    assert "holds sandbox bars; live bars may not enter or be mistaken for them" in said.err


def test_the_market_of_the_sandbox_can_stand_at_another_day(shell: Shell) -> None:
    shell.clock.set(datetime(2020, 8, 31, 21, 30, tzinfo=UTC))
    rows = shell.good("fetch", "AAPL", "--start", "2020-08-27").rows
    assert [r["ts"] for r in rows] == ["2020-08-27", "2020-08-28", "2020-08-31"]
    assert 0.5 < float(rows[2]["close"]) / float(rows[1]["close"]) < 2, "the split of that day is already in the prices"
    assert shell.good("query", "SELECT kind, date, value FROM actions").rows == [{"kind": "split", "date": "2020-08-31", "value": "4"}]


def test_thousands_of_symbols_are_there_for_scale_and_nothing_else(shell: Shell) -> None:
    assert shell.good("fetch", "SYM00001", "SYM99999", "--period", "5d").rows
    assert shell.run("fetch", "SYM00000", "--period", "5d").code == 13


def test_every_dialect_is_served_at_an_address_of_its_own_with_the_key_of_its_largest_plan(tmp_path: Path) -> None:
    clock = Interrupted(NOW)
    out, err = StringIO(), StringIO()
    clock.look = lambda: dict(line.split()[:2] for line in out.getvalue().splitlines())["yahoo"]
    assert main(["sandbox", "serve"], Terminal({"MDAGENT_HOME": str(tmp_path)}, tmp_path, out, err, given_clock=clock)) == 130
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert [line[0] for line in lines] == list(dialects())
    assert len({line[1] for line in lines}) == len(lines)
    for name, url, *key in lines:
        assert url.startswith("http://127.0.0.1:")
        spec = spec_of(name)
        assert key == ([f"sandbox-{name}-{spec.plans[-1].name}"] if spec.needs_key else [])
        assert [*dialects()[name].plans] == [p.name for p in spec.plans], "the plans are named alike"


def test_the_server_prints_one_address_a_source_and_serves_until_ctrl_c(tmp_path: Path) -> None:
    clock = Interrupted(NOW)
    out, err = StringIO(), StringIO()
    clock.look = lambda: out.getvalue().split()[1]
    words = ["sandbox", "serve", "yahoo", "--port", "0"]
    code = main(words, Terminal({"MDAGENT_HOME": str(tmp_path)}, tmp_path, out, err, given_clock=clock))
    assert code == 130
    name, url = out.getvalue().split()
    assert name == "yahoo", "it needs no key, so none is printed"
    assert url.startswith("http://127.0.0.1:")
    assert "interrupted" in err.getvalue()
    (answer,) = clock.seen
    assert answer.status_code == 200
    assert len(answer.json()["chart"]["result"][0]["timestamp"]) == 5
    assert answer.headers["x-mdagent-world"] == "sandbox"


def test_a_server_of_a_source_that_there_is_not_is_refused(shell: Shell) -> None:
    said = shell.run("sandbox", "serve", "nobody")
    assert (said.code, said.out) == (2, "")
    assert "no source is called 'nobody'" in said.err


def test_a_port_that_is_no_port_is_refused(shell: Shell) -> None:
    assert shell.run("sandbox", "serve", "--port", "99999").code == 2
