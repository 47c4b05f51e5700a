"""Global options may stand anywhere on the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import typer

from mdagent.cli import app
from mdagent.cli.hoist import PLAIN, VALUED, hoist
from tests.cli.shell import JANUARY

if TYPE_CHECKING:
    from tests.cli.shell import Shell


@pytest.mark.parametrize(
    ("line", "moved"),
    [
        ("fetch AAPL", "fetch AAPL"),
        ("fetch AAPL --sandbox", "--sandbox fetch AAPL"),
        ("fetch --store x AAPL -q", "--store x -q fetch AAPL"),
        ("fetch AAPL --store=x --csv", "--store=x fetch AAPL --csv"),
        ("--env dev fetch AAPL -vv", "--env dev -vv fetch AAPL"),
        ("search -- -q --sandbox", "search -- -q --sandbox"),
        ("fetch --sandbox -- --store", "--sandbox fetch -- --store"),
        ("fetch AAPL --store", "fetch AAPL --store"),
        ("fetch AAPL --storefront x", "fetch AAPL --storefront x"),
        ("sources status --lock-wait 2", "--lock-wait 2 sources status"),
        ("", ""),
    ],
)
def test_global_options_come_first_with_their_values(line: str, moved: str) -> None:
    assert hoist(line.split()) == moved.split()


def test_every_global_option_is_known_to_the_hoist() -> None:
    command = typer.main.get_command(app)
    known = {name for p in command.params for name in p.opts if name.startswith("-")}
    own = {"--version", "--install-completion", "--show-completion", "--help", "-h"}
    assert known - own == {*VALUED, *PLAIN} - {"-vv", "-vvv"}


@pytest.mark.parametrize("place", [0, 1, 2, -1])
def test_an_option_means_the_same_wherever_it_stands(stocked: Shell, place: int) -> None:
    words = ["fetch", "AAPL", *JANUARY]
    at = place if place >= 0 else len(words)
    said = stocked.good(*words[:at], "--sandbox", "--store", "home/sandbox/bars.duckdb", "-q", *words[at:], MDAGENT_SANDBOX="")
    assert len(said.rows) == 21
    assert said.err == ""


def test_a_store_by_option_wins_over_one_by_variable(stocked: Shell) -> None:
    stocked.good("fetch", "AAPL", *JANUARY, "--store", "mine.duckdb", MDAGENT_STORE="other.duckdb")
    assert "mine.duckdb" in stocked.files()
    assert "other.duckdb" not in stocked.files()
    stocked.good("fetch", "AAPL", *JANUARY, MDAGENT_STORE="other.duckdb")
    assert "other.duckdb" in stocked.files()
