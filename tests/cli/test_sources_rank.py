"""`mdagent sources rank` and `reputation`: who is asked first, by which sum, and what is remembered of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.guard.outcome import FailureKind
from mdagent.sources import NAMES
from tests.cli.test_sources_status import ask, ledger_of

if TYPE_CHECKING:
    from tests.cli.shell import Shell

LIVE = {"MDAGENT_SANDBOX": ""}
RANK = "source,order,score,wait_s,term,value,weight,part,why"
REPUTATION = (
    "source,interval,reliability,low,high,attempts,quality,grade,graded_of,median_ms,failures,last_attempt,price_quality,volume_quality"
)
FACTS = "reliability quality key cost basis quota latency allowance breaker freshness".split()


def ranked(shell: Shell, *words: str, **environ: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = shell.good("sources", "rank", *words, "--json", **environ).json
    return rows


def of(shell: Shell, name: str, *words: str) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in shell.good("sources", "reputation", *words, "--json").json if row["source"] == name)
    return row


def test_a_row_is_a_source_and_a_term_in_the_order_of_asking(shell: Shell) -> None:
    rows = ranked(shell, "AAPL")
    assert [row["term"] for row in rows] == FACTS * len(NAMES)
    order = [row["order"] for row in rows]
    assert order == sorted(order)
    assert (rows[0]["source"], rows[0]["order"]) == ("yahoo", 1), "it spends no metered key"
    assert shell.good("sources", "rank", "AAPL", "--csv").out.splitlines()[0] == RANK


def test_the_parts_of_a_source_add_up_to_its_score(shell: Shell) -> None:
    rows = [row for row in ranked(shell, "AAPL", "--interval", "5m", "--adjust", "raw") if row["order"]]
    for name in {row["source"] for row in rows}:
        terms = [row for row in rows if row["source"] == name]
        assert sum(row["part"] for row in terms) == pytest.approx(terms[0]["score"], abs=0.001)
        for row in terms:
            assert row["part"] == pytest.approx(row["value"] * row["weight"], abs=0.02)
            assert row["why"]


def test_the_order_is_that_of_the_next_fetch(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        for _ in range(3):
            ask(ledger, shell.clock, FailureKind.SERVER_ERROR)
    first = ranked(shell, "AAPL")[0]["source"]
    assert first != "yahoo", "its breaker is open"
    said, report = shell.fetch("AAPL", "--period", "5d")
    assert said.code == 0, said.err
    assert report["symbols"][0]["source"] == first


def test_a_source_that_is_alone_has_its_sum_too_and_the_others_their_reason(shell: Shell) -> None:
    shell.clock.set(datetime(2026, 11, 24, 12, tzinfo=UTC))
    rows = ranked(shell, "AAPL", **LIVE)
    assert [row["term"] for row in rows if row["source"] == "yahoo"] == FACTS
    left = {row["source"]: row["why"] for row in rows if row["order"] is None}
    assert set(left) == set(NAMES) - {"yahoo"}
    assert left["tiingo"] == "no key: set MDAGENT_TIINGO_API_KEY"
    assert "was retired on 2024-08-31" in left["iexcloud"]


def test_a_source_that_is_off_is_left_out_with_what_turned_it_off(shell: Shell) -> None:
    shell.good("sources", "disable", "finnhub")
    rows = ranked(shell, "AAPL", MDAGENT_SOURCES__YAHOO__ENABLED="false")
    left = {row["source"]: row["why"] for row in rows if row["order"] is None}
    assert left == {
        "finnhub": "switched off by hand (mdagent sources enable finnhub)",
        "yahoo": "sources.yahoo.enabled is false",
    }


def test_where_nobody_can_serve_that_is_told(shell: Shell) -> None:
    off = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES}
    said = shell.run("sources", "rank", "AAPL", "--csv", **off)
    assert said.code == 4
    assert len(said.rows) == len(NAMES)
    assert "no source can serve AAPL 1d bars" in said.err


def test_a_person_reads_the_sums_one_below_the_other(shell: Shell) -> None:
    shell.screens = (True, True)
    out = shell.good("sources", "rank", "AAPL", MDAGENT_SOURCES__TIINGO__ENABLED="false").out.splitlines()
    assert out[0] == "1. yahoo"
    assert out[1] == "   reliability 0.900 x 30.00 = 27.00  not known, taken as 0.90"
    assert out[len(FACTS) + 1].startswith("   score ")
    assert out[-1] == "-  tiingo: sources.tiingo.enabled is false"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("AAPL", "--interval", "2d"), "'2d' is not an interval"),
        (("AAPL", "--adjust", "some"), "'some' is not an adjustment"),
        (("AAPL", "--start", "2030-01-01"), "lies in the future"),
        (("A PL",), "A PL"),
        ((), "SYMBOL"),
    ],
)
def test_a_wrong_word_is_told(shell: Shell, words: tuple[str, ...], told: str) -> None:
    said = shell.run("sources", "rank", *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err


# Reputation


def test_of_a_source_that_nobody_asked_the_prior_is_told(shell: Shell) -> None:
    said = shell.good("sources", "reputation", "--csv")
    assert said.out.splitlines()[0] == REPUTATION
    assert [row["source"] for row in said.rows] == list(NAMES)
    row = of(shell, "yahoo")
    assert (row["interval"], row["reliability"], row["attempts"], row["last_attempt"]) == ("all", 0.9, 0, None)
    assert row["low"] < row["reliability"] < row["high"]


def test_what_was_seen_moves_it(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        for kind in (None, None, FailureKind.SERVER_ERROR):
            ledger.judge(ask(ledger, shell.clock, kind, ms=40.0), 21, 0, None if kind else 96.0)
    row = of(shell, "yahoo", "yahoo")
    assert (row["price_quality"], row["volume_quality"]) == (96, 96)
    assert (row["reliability"], row["attempts"], row["median_ms"]) == (round(11 / 13, 4), 3, 40)
    assert (row["quality"], row["grade"], row["graded_of"]) == (96, "A", "all")
    assert row["failures"].startswith("SERVER_ERROR ")
    assert row["failures"].endswith("%")
    assert row["last_attempt"] == "2024-02-05T22:00:00Z"


def test_the_quality_of_prices_and_of_volumes_is_told_apart_and_ranks_apart(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        for _ in range(3):
            ledger.judge(ask(ledger, shell.clock), 21, 0, 76.0, (96.0, 76.0))
    row = of(shell, "yahoo", "yahoo")
    assert (row["quality"], row["price_quality"], row["volume_quality"]) == (91, 96, 76)
    by_field = {}
    for field in ("price", "volume"):
        rows = shell.good("sources", "rank", "AAPL", "--field", field, "--json").json
        by_field[field] = next(r["value"] for r in rows if (r["source"], r["term"]) == ("yahoo", "quality"))
    assert by_field == {"price": 0.96, "volume": 0.76}
    assert shell.run("sources", "rank", "AAPL", "--field", "wick").code == 2


def test_an_interval_narrows_it(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock)
    assert (of(shell, "yahoo", "--interval", "1d")["attempts"], of(shell, "yahoo", "-i", "5m")["attempts"]) == (1, 0)
    assert of(shell, "yahoo", "-i", "1d")["interval"] == "1d"


@pytest.mark.parametrize(("words", "told"), [(("yaho",), "did you mean yahoo?"), (("--interval", "2d"), "'2d' is not an interval")])
def test_a_wrong_name_or_interval_is_told(shell: Shell, words: tuple[str, ...], told: str) -> None:
    said = shell.run("sources", "reputation", *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err


def test_a_person_reads_the_reputation_as_a_table(shell: Shell) -> None:
    shell.screens = (True, True)
    out = shell.good("sources", "reputation", "yahoo").out
    assert "yahoo" in out
    assert "0.9" in out
