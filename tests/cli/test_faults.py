"""Whose fault it is: an unknown ticker and a closed market are nobody's, a refused key is its own credential's alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mdagent.guard.breaker import State
from mdagent.sources import NAMES, spec_of
from mdagent.store.recall import breakers_of
from tests.cli.shell import JANUARY
from tests.cli.test_sources_status import ledger_of

if TYPE_CHECKING:
    from mdagent.guard.breaker import Breaker
    from tests.cli.shell import Shell

KEYED = tuple(name for name in NAMES if spec_of(name).needs_key)
WEEKEND = ("--start", "2024-02-03", "--end", "2024-02-05")
HOLIDAY = ("--start", "2024-01-15", "--end", "2024-01-16")
BEFORE = ("--start", "2020-06-01", "--end", "2020-06-20")  # ABNB is listed from December on
SUNDAY = datetime(2024, 2, 4, 17, 0, tzinfo=UTC)


def wrong(name: str) -> dict[str, str]:
    """The settings with a key that this source does not know."""
    return {f"MDAGENT_{name.upper()}_API_KEY": "canary-wrong-4711"}


def only(*names: str) -> dict[str, str]:
    """The settings under which these sources alone serve."""
    return {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES if name not in names}


def breakers(shell: Shell) -> dict[str, dict[str, Breaker]]:
    """Every breaker that has something to say, by account and endpoint."""
    with ledger_of(shell) as ledger:
        accounts = [account for (account,) in ledger.rows("SELECT DISTINCT account FROM breakers")]
        return {account: breakers_of(ledger, account) for account in accounts}


def kinds(shell: Shell) -> dict[tuple[str, str | None], int]:
    """How many attempts of each source ended how."""
    with ledger_of(shell) as ledger:
        rows = ledger.rows("SELECT source, kind, count(*) FROM attempts GROUP BY source, kind")
        return {(source, kind): count for source, kind, count in rows}


def states(shell: Shell, code: int = 0, **environ: str) -> dict[str, str]:
    """What `sources status` says of each source."""
    said = shell.run("sources", "status", "--json", **environ)
    assert said.code == code, said.out
    return {row["source"]: row["state"] for row in said.json}


def all_ready(shell: Shell) -> bool:
    return set(states(shell).values()) == {"ready"}


# An unknown ticker


def test_a_ticker_that_no_source_knows_never_moves_a_breaker_however_often_it_is_asked_for(shell: Shell) -> None:
    for turn in range(40):
        words = ("quote", "NOSUCH") if turn % 4 else ("fetch", "NOSUCH", *JANUARY, "--refresh")
        said = shell.run(*words)
        assert said.code == 13, said.err
        shell.clock.pause(90)
    found = kinds(shell)
    for name in NAMES:
        assert found.get((name, "UNKNOWN_SYMBOL"), 0) + found.get((name, "NO_DATA"), 0) == 40, name
    assert breakers(shell) == {}
    assert all_ready(shell)


def test_nor_does_a_question_about_its_splits(shell: Shell) -> None:
    for name in NAMES:
        for _ in range(5):
            shell.run("actions", "NOSUCH", *JANUARY, "--source", name)
        shell.clock.pause(90)
    assert breakers(shell) == {}
    assert all_ready(shell)


def test_a_ticker_that_is_known_is_served_amid_many_that_are_not(shell: Shell) -> None:
    said, report = shell.fetch(*(f"NOSUCH{n}" for n in range(8)), "AAPL", *JANUARY)
    assert said.code == 5
    assert [line["symbol"] for line in report["symbols"] if line["bars"]] == ["AAPL"]
    assert breakers(shell) == {}


# A key that is refused


@pytest.mark.parametrize("name", KEYED)
def test_a_refused_key_forces_its_own_credential_open_and_nothing_else(shell: Shell, name: str) -> None:
    said = shell.run("fetch", "AAPL", *JANUARY, "--source", name, **wrong(name))
    assert said.code == 11
    assert "check the key of this source" in said.err
    ((account, found),) = breakers(shell).items()
    assert account.startswith(f"{name}:")
    assert {endpoint: (b.state, b.by) for endpoint, b in found.items()} == {"": (State.FORCED_OPEN, "AUTH")}
    told = states(shell, 4, **wrong(name))
    assert {other for other, state in told.items() if state != "ready"} == {name}
    assert told[name] == "forced open"
    assert all_ready(shell), "under the key that is good"


@pytest.mark.parametrize("name", KEYED)
def test_it_is_not_sent_a_second_time_and_the_exit_code_still_says_that_it_is_the_key(shell: Shell, name: str) -> None:
    for words in (("fetch", "AAPL", *JANUARY), ("fetch", "MSFT", *JANUARY), ("quote", "AAPL")):
        assert shell.run(*words, "--source", name, **wrong(name)).code == 11
    shell.clock.pause(100 * 86400)
    assert shell.run("quote", "AAPL", "--source", name, **wrong(name)).code == 11
    assert kinds(shell) == {(name, "AUTH"): 1}


@pytest.mark.parametrize("name", KEYED)
def test_a_good_key_works_at_once(shell: Shell, name: str) -> None:
    assert shell.run("fetch", "AAPL", *JANUARY, "--source", name, **wrong(name)).code == 11
    good = f"sandbox-{name}-{spec_of(name).plans[-1].name}"
    assert shell.good("fetch", "AAPL", *JANUARY, "--source", name, **{f"MDAGENT_{name.upper()}_API_KEY": good}).rows


@pytest.mark.parametrize("name", KEYED)
def test_other_sources_serve_meanwhile(shell: Shell, name: str) -> None:
    other = "tiingo" if name != "tiingo" else "polygon"
    around = only(name, other) | wrong(name)
    for symbol in ("AAPL", "MSFT", "NVDA"):
        said = shell.run("fetch", symbol, *JANUARY, **around)
        assert said.code == 0, said.err
        assert {row["source"] for row in said.rows} == {other}
    assert kinds(shell).get((name, "AUTH"), 0) <= 1


def test_the_first_in_the_ranking_with_a_refused_key_is_passed_over_in_the_same_fetch(shell: Shell) -> None:
    around = only(*KEYED)
    ranked = shell.good("sources", "rank", "AAPL", "--json", **around).json
    first = ranked[0]["source"]
    said = shell.run("fetch", "AAPL", *JANUARY, **around, **wrong(first))
    assert said.code == 0, said.err
    assert kinds(shell)[(first, "AUTH")] == 1
    assert first not in {row["source"] for row in said.rows}


# A closed market


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_market_is_no_failure(shell: Shell, name: str) -> None:
    """Most of it is not even asked for, since the calendar knows; what is asked is answered with nothing, or with the price of Friday."""
    shell.clock.set(SUNDAY)
    for days in (WEEKEND, HOLIDAY, WEEKEND, HOLIDAY):
        said = shell.run("fetch", "AAPL", *days, "--source", name, "--refresh")
        assert said.code == 12, said.err
        shell.clock.pause(90)
    assert shell.good("quote", "AAPL", "--source", name).rows
    assert breakers(shell) == {}
    assert all_ready(shell)


@pytest.mark.parametrize("name", NAMES)
def test_nor_are_days_on_which_nothing_was_traded_yet(shell: Shell, name: str) -> None:
    """Before the first day of a listing every source is asked, and has nothing."""
    for _ in range(6):
        said = shell.run("fetch", "ABNB", *BEFORE, "--source", name, "--refresh")
        assert said.code == 12, said.err
        shell.clock.pause(90)
    told = kinds(shell)
    assert told.get((name, "NO_DATA"), 0) + told.get((name, None), 0) >= 6
    assert breakers(shell) == {}
    assert all_ready(shell)
    row = next(row for row in shell.good("sources", "status", "--json").json if row["source"] == name)
    assert row["failed_1h"] == 0


def test_the_state_of_a_market_that_is_closed_is_an_answer(shell: Shell) -> None:
    shell.clock.set(SUNDAY)
    asked = [name for name in NAMES if "market" in spec_of(name).offers]
    for name in asked:
        assert "closed" in shell.good("market", "--source", name).out
    assert breakers(shell) == {}
    assert kinds(shell) == {(name, None): 1 for name in asked}
