"""One meaning of a price: whoever answers, and whatever happened meanwhile, each `--adjust` is one number."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import VirtualClock
from mdagent.sources import NAMES
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = tuple(NAMES)
BASES = ("raw", "splits", "all")
DAYS = ("--start", "2020-01-02", "--end", "2020-01-09")
SPRING = ("--start", "2024-04-01", "--end", "2024-05-01")
BEFORE, AFTER = datetime(2024, 5, 1, 12, tzinfo=UTC), datetime(2024, 7, 1, 12, tzinfo=UTC)
BASIC = {"MDAGENT_SOURCES__TWELVEDATA__PLAN": "basic"}


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, dict[tuple[str, str], dict[str, float]]]:
    """Every source asked for every basis; and what it said."""
    shell = Shell(tmp_path_factory.mktemp("everybody"))
    told = {}
    for source in SOURCES:
        for basis in BASES:
            said = shell.good("fetch", "AAPL", *DAYS, "--source", source, "--adjust", basis)
            told[source, basis] = {row["ts"]: float(row["close"]) for row in said.rows}
            assert {row["adjustment"] for row in said.rows} == {basis}
    return shell, told


@pytest.fixture
def all_of_them(everybody: tuple[Shell, object], tmp_path: Path) -> Shell:
    shutil.copytree(everybody[0].cwd / "home", tmp_path / "home")
    return Shell(tmp_path)


def closes(shell: Shell, *words: str, **environ: str) -> list[float]:
    return [float(row["close"]) for row in shell.good(*words, **environ).rows]


# AAPL of 2020-01-02, which came back as 300.35, 75.09 or 72.27 depending on who answered


@pytest.mark.parametrize("basis", BASES)
def test_a_close_is_one_number_whoever_answers(everybody: tuple[Shell, dict[tuple[str, str], dict[str, float]]], basis: str) -> None:
    told = everybody[1]
    first = told["twelvedata", basis]
    assert len(first) == 5
    for source in SOURCES:
        assert told[source, basis] == pytest.approx(first, rel=1e-6), source


def test_the_bases_are_three_numbers(everybody: tuple[Shell, dict[tuple[str, str], dict[str, float]]]) -> None:
    told = everybody[1]
    for source in SOURCES:
        raw, splits, whole = (told[source, basis] for basis in BASES)
        for day in raw:
            assert raw[day] / splits[day] == pytest.approx(4.0, rel=1e-6)
            assert 0.9 < whole[day] / splits[day] < 1.0


@pytest.mark.parametrize("basis", BASES)
def test_the_consolidated_series_of_all_of_them_is_that_number_too(all_of_them: Shell, basis: str) -> None:
    said = all_of_them.good("export", "AAPL", *DAYS, "--adjust", basis)
    assert "left out" not in said.err
    alone = closes(all_of_them, "export", "AAPL", *DAYS, "--adjust", basis, "--source", "twelvedata")
    assert [float(r["close"]) for r in said.rows] == pytest.approx(alone, rel=1e-6)
    bars = all_of_them.good("query", "SELECT count(DISTINCT source) n, count(DISTINCT adjustment) b FROM bars WHERE year(ts) = 2020").rows
    assert bars[0] == {"n": str(len(SOURCES)), "b": "2"}, "each source is stored on the one basis that it was asked for"


def test_another_basis_asks_for_no_bar_again(all_of_them: Shell) -> None:
    for source in SOURCES:
        for basis in BASES:
            said = all_of_them.good("fetch", "AAPL", *DAYS, "--source", source, "--adjust", basis)
            assert "0 requests sent" in said.err, (source, basis)
            dry = all_of_them.good("fetch", "AAPL", *DAYS, "--source", source, "--adjust", basis, "--dry-run")
            assert "0 requests would be sent" in dry.err


def test_splits_alone_cost_one_request_and_no_bar(shell: Shell) -> None:
    shell.good("fetch", "AAPL", *DAYS, "--source", "twelvedata", "--adjust", "raw")
    shell.good("fetch", "AAPL", *DAYS, "--source", "twelvedata", "--adjust", "splits")
    asked = shell.good("query", "SELECT source, interval, start_ts, end_ts FROM journal").rows
    assert len(asked) == 1
    again = shell.good("fetch", "AAPL", *DAYS, "--source", "twelvedata", "--adjust", "splits")
    assert "0 requests sent" in again.err


# A failover keeps the basis


def test_a_failover_in_the_middle_of_a_range_keeps_the_basis(shell: Shell) -> None:
    whole = ("--start", "2020-08-03", "--end", "2020-10-01")
    shell.good("fetch", "AAPL", "--start", "2020-08-03", "--end", "2020-09-15", "--source", "twelvedata")  # raw, in the store
    gone = {"MDAGENT_SOURCES__TWELVEDATA__ENABLED": "false"}
    later = shell.good("fetch", "AAPL", "--start", "2020-09-15", "--end", "2020-10-01", "--source", "yahoo", **gone)
    assert {r["source"] for r in later.rows} == {"yahoo"}
    both = shell.good("export", "AAPL", *whole)
    assert {r["source"] for r in both.rows} == {"twelvedata", "yahoo"}
    prices = [float(r["close"]) for r in both.rows]
    assert len(prices) == 42
    assert all(0.8 < b / a < 1.25 for a, b in pairwise(prices)), "four new shares for an old one make no jump"
    alone = closes(Shell(shell.cwd / "alone"), "fetch", "AAPL", *whole, "--source", "finnhub")
    assert prices == pytest.approx(alone, rel=1e-6)


def test_who_answers_in_place_of_a_source_without_quota_answers_on_the_same_basis(shell: Shell) -> None:
    one_a_day = {"MDAGENT_SOURCES__YAHOO__LIMITS": '[{"limit": 1, "per": "day", "zone": "UTC"}]'}
    first = shell.good("fetch", "AAPL", "--start", "2020-08-03", "--end", "2020-09-01", **one_a_day)
    assert {r["source"] for r in first.rows} == {"yahoo"}
    whole = ("--start", "2020-07-01", "--end", "2020-10-01")
    second = shell.good("fetch", "AAPL", *whole, **one_a_day)
    assert {r["source"] for r in second.rows} != {"yahoo"}, "another one had to serve the rest"
    alone = closes(Shell(shell.cwd / "alone"), "fetch", "AAPL", *whole, "--source", "yahoo")
    assert [float(r["close"]) for r in second.rows] == pytest.approx(alone, rel=1e-6)


# What cannot be brought to the basis is left out, and said; refused, and why


@pytest.fixture
def half_known(shell: Shell) -> Shell:
    """Raw bars of one source whose splits nobody asked for, and bars of another that tells them."""
    shell.good("fetch", "AAPL", *DAYS, "--source", "polygon", "--adjust", "raw")
    shell.good("fetch", "AAPL", *DAYS, "--source", "yahoo")
    shell.clock.pause(60)
    return shell


LEFT = "polygon is left out: it has raw prices, and its splits since 2020-01-02 are not known"


def test_a_source_that_cannot_be_brought_to_the_basis_is_left_out_and_said(half_known: Shell) -> None:
    said = half_known.good("export", "AAPL", *DAYS)
    assert {r["source"] for r in said.rows} == {"yahoo"}
    assert f"AAPL: {LEFT}" in said.err
    told, report = half_known.fetch("AAPL", *DAYS)
    assert told.code == 0
    assert LEFT in told.err
    assert report["symbols"][0]["notes"] == [LEFT]
    assert "left out" not in half_known.good("export", "AAPL", *DAYS, "--adjust", "raw", "--source", "polygon").err


def test_where_nothing_can_be_brought_to_it_the_reason_is_given_and_the_code_is_4(half_known: Shell) -> None:
    said = half_known.run("export", "AAPL", *DAYS, "--source", "polygon")
    assert (said.code, said.rows) == (4, [])
    assert LEFT in said.err
    assert "no stored bars can be brought to splits prices" in said.err


def test_a_plan_that_does_not_tell_splits_falls_back_on_the_basis_that_the_provider_makes(shell: Shell) -> None:
    told = {}
    for basis in BASES:
        said = shell.good("fetch", "AAPL", *DAYS, "--source", "twelvedata", "--adjust", basis, **BASIC)
        told[basis] = [float(r["close"]) for r in said.rows]
        assert {r["adjustment"] for r in said.rows} == {basis}
    stored = shell.good("query", "SELECT DISTINCT adjustment a FROM bars ORDER BY a").rows
    assert [r["a"] for r in stored] == ["all", "raw", "splits"]
    assert shell.good("query", "SELECT count(*) n FROM actions").rows == [{"n": "0"}]
    assert told["splits"] == pytest.approx([c / 4 for c in told["raw"]], rel=1e-6)


def test_a_plan_without_such_bars_is_refused_with_code_4(shell: Shell) -> None:
    said = shell.run("fetch", "AAPL", *DAYS, "--source", "finnhub", "--adjust", "all", MDAGENT_SOURCES__FINNHUB__PLAN="free")
    assert (said.code, said.rows) == (4, [])
    assert "finnhub: its plan free has no 1d bars" in said.err


def test_a_raw_month_with_a_split_inside_is_refused_and_an_adjusted_one_is_not(shell: Shell) -> None:
    june = ("--interval", "1mo", "--start", "2024-05-01", "--end", "2024-07-01")
    shell.clock.set(AFTER + timedelta(days=14))
    said = shell.run("fetch", "NVDA", *june, "--source", "yahoo", "--adjust", "raw")
    assert said.code == 4
    assert "the split of 2024-06-10 falls within one of its 1mo bars" in said.err
    assert len(closes(shell, "fetch", "NVDA", *june, "--source", "yahoo")) == 2


# Ten new shares for an old one: NVDA on 2024-06-10


@pytest.fixture(scope="module")
def restated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, list[float], str, object]:
    """NVDA fetched before and after its split; the closes of before, and what the second fetch said."""
    shell = Shell(tmp_path_factory.mktemp("nvda"), clock=VirtualClock(BEFORE))
    old = closes(shell, "fetch", "NVDA", *SPRING, "--source", "yahoo")
    shell.clock.set(AFTER)
    said, report = shell.fetch("NVDA", "--start", "2024-04-01", "--end", "2024-06-29", "--source", "yahoo")
    assert said.code == 0, said.err
    return shell, old, said.err, report


Restated = tuple[Shell, list[float], str, dict[str, list[dict[str, list[str]]]]]


def test_a_split_restates_what_a_source_delivers_for_the_past_and_the_report_says_so(restated: Restated) -> None:
    _, old, err, report = restated
    note = f"{len(old)} bars restated by a split"
    assert note in err
    assert report["symbols"][0]["notes"] == [note]


def test_a_restatement_is_logged_once(restated: Restated) -> None:
    shell, old, _, _ = restated
    (told,) = shell.good("query", "SELECT symbol, source, adjustment, bars, factor FROM restatements").rows
    assert (told["symbol"], told["source"], told["adjustment"], told["bars"]) == ("NVDA", "yahoo", "splits", str(len(old)))
    assert float(told["factor"]) == pytest.approx(0.1)
    assert shell.good("query", "SELECT DISTINCT cause FROM revisions").rows == [{"cause": "restatement"}]


def test_the_numbers_of_before_are_still_answered(restated: Restated) -> None:
    shell, old, _, _ = restated
    assert closes(shell, "export", "NVDA", *SPRING, "--as-of", "2024-05-15") == old
    now = closes(shell, "export", "NVDA", *SPRING)
    assert now == pytest.approx([c / 10 for c in old], rel=1e-6)
    assert closes(shell, "export", "NVDA", *SPRING, "--adjust", "raw") == pytest.approx(old, rel=1e-6)
    assert closes(shell, "export", "NVDA", *SPRING, "--adjust", "raw", "--as-of", "2024-05-15") == pytest.approx(old, rel=1e-6)


def test_before_anything_was_stored_there_is_nothing(restated: Restated) -> None:
    said = restated[0].run("export", "NVDA", *SPRING, "--as-of", "2024-01-01")
    assert (said.code, said.rows) == (12, [])


@pytest.mark.parametrize(
    ("source", "environ"), [("finnhub", {}), ("polygon", {}), ("iexcloud", {}), ("twelvedata", {}), ("twelvedata", BASIC)]
)
def test_no_source_is_read_with_a_jump_after_a_split(shell: Shell, source: str, environ: dict[str, str]) -> None:
    shell.clock.set(BEFORE)
    old = closes(shell, "fetch", "NVDA", *SPRING, "--source", source, **environ)
    shell.clock.set(AFTER)
    words = ("NVDA", "--start", "2024-04-01", "--end", "2024-06-29", "--source", source)
    new = closes(shell, "fetch", *words, **environ)
    assert len(new) == 63
    assert all(0.5 < b / a < 2 for a, b in pairwise(new))
    assert new[: len(old)] == pytest.approx([c / 10 for c in old], rel=1e-4)
    assert closes(shell, "export", *words, **environ) == new
    assert closes(shell, "export", "NVDA", *SPRING, "--as-of", "2024-05-15", "--source", source, **environ) == pytest.approx(old, rel=1e-6)
