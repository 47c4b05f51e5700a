"""Words of the command line become symbols and windows."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.cli.terminal import Terminal
from mdagent.cli.words import read_requests, read_symbols, read_window
from mdagent.clock import VirtualClock
from mdagent.errors import UsageError
from mdagent.market import Interval, Symbol

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2024, 3, 31, 12, 0, tzinfo=UTC)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal({}, tmp_path, StringIO(), StringIO(), given_clock=VirtualClock(NOW))


def window(terminal: Terminal, interval: str = "1d", start: str | None = None, end: str | None = None, period: str | None = None) -> str:
    since, until = read_window(Interval(interval), start, end, period, terminal)
    assert since.tzinfo is until.tzinfo is UTC
    return f"{since:%Y-%m-%dT%H:%M} {until:%Y-%m-%dT%H:%M}".replace("T00:00", "")


def names(symbols: list[Symbol]) -> list[str]:
    return [s.ticker for s in symbols]


# Symbols


def test_symbols_stand_once_in_their_order(tmp_path: Path) -> None:
    assert names(read_symbols(["msft", "AAPL,msft", "BRK-B", "BRK.B"], tmp_path)) == ["MSFT", "AAPL", "BRK.B"]


def test_a_list_may_have_comments_commas_and_blank_lines(tmp_path: Path) -> None:
    text = "AAPL # the fruit\n\n# nothing\nMSFT, IBE.MC\tVOD.L\r\n"
    (tmp_path / "mine.txt").write_text(text, "utf-8")
    assert names(read_symbols(["@mine.txt"], tmp_path)) == ["AAPL", "MSFT", "IBE.MC", "VOD.L"]
    assert names(read_symbols(["-", "NVDA"], tmp_path, StringIO(text))) == ["AAPL", "MSFT", "IBE.MC", "VOD.L", "NVDA"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "no symbol is named"),
        (["@missing.txt"], "cannot be read"),
        (["@."], "cannot be read"),
        (["@binary.txt"], "cannot be read"),
        (["@empty.txt"], "no symbol is named"),
        (["AAPL", "../x"], "is not a symbol"),
        (["AAPL,"], "the symbol is empty"),
        (["A"] * 100_001, "100001 symbols are named"),
    ],
)
def test_what_names_no_symbol_is_refused(tmp_path: Path, words: list[str], why: str) -> None:
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.txt").write_text("# none\n", "utf-8")
    with pytest.raises(UsageError, match=why) as caught:
        read_symbols(words, tmp_path)
    assert caught.value.hint


# Windows


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "2023-04-01 2024-04-02"),
        ({"start": "2024-01-02"}, "2024-01-02 2024-04-02"),
        ({"start": "2024-01-02", "end": "2024-02-01"}, "2024-01-02 2024-02-01"),
        ({"start": "2024-01-02", "end": "2999-01-01"}, "2024-01-02 2024-04-02"),
        ({"end": "2024-02-29", "period": "1y"}, "2023-02-28 2024-02-29"),
        ({"period": "1mo"}, "2024-02-29 2024-04-02"),
        ({"period": "6mo"}, "2023-09-30 2024-04-02"),
        ({"period": "10y"}, "2014-03-31 2024-04-02"),
        ({"period": "ytd"}, "2024-01-01 2024-04-02"),
        ({"period": "max"}, "1900-01-01 2024-04-02"),
        ({"end": "2023-06-01", "period": "ytd"}, "2023-01-01 2023-06-01"),
        ({"interval": "5m", "period": "5d"}, "2024-03-26 2024-03-31T12:00"),
        ({"interval": "5m", "period": "2wk"}, "2024-03-17 2024-03-31T12:00"),
        ({"interval": "1m"}, "2024-03-26 2024-03-31T12:00"),
        ({"interval": "1h", "start": "2024-03-31T10:00", "end": "2024-03-31T11:00"}, "2024-03-31T10:00 2024-03-31T11:00"),
    ],
)
def test_a_window_is_told_by_its_ends_or_by_its_length(terminal: Terminal, asked: dict[str, str], told: str) -> None:
    assert window(terminal, **asked) == told


def test_a_day_counts_from_its_midnight_however_late_it_is(terminal: Terminal) -> None:
    assert window(terminal, period="5d").startswith("2024-03-26")


def test_an_end_in_the_future_is_taken_as_now_and_said(terminal: Terminal) -> None:
    window(terminal, start="2024-01-02", end="2999-01-01")
    assert terminal.err.getvalue() == "the end 2999-01-01 lies in the future: taken as now\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"start": "2024-02-01", "end": "2024-02-01"}, "is not before the end"),
        ({"start": "2025-01-01"}, "lies in the future"),
        ({"start": "2024-01-01", "period": "1y"}, "exclude each other"),
        ({"period": "0d"}, "is not a period"),
        ({"period": "1"}, "is not a period"),
        ({"period": "-5d"}, "is not a period"),
        ({"period": "1year"}, "is not a period"),
        ({"period": "99999y"}, "before the year 1"),
        ({"period": "99999mo"}, "before the year 1"),
        ({"end": "0001-01-02", "period": "5d"}, "before the year 1"),
        ({"start": "soon"}, "is not a date"),
        ({"end": "2024-02-30"}, "is not a date"),
    ],
)
def test_what_is_no_window_is_refused(terminal: Terminal, asked: dict[str, str], why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        window(terminal, **asked)
    assert caught.value.hint


@given(st.text(max_size=12), st.text(max_size=12) | st.none(), st.text(max_size=6) | st.none())
def test_any_words_are_a_window_or_a_usage_error(start: str, end: str | None, period: str | None) -> None:
    terminal = Terminal({}, None, StringIO(), StringIO(), given_clock=VirtualClock(NOW))  # type: ignore[arg-type]
    try:
        since, until = read_window(Interval.D1, start or None, end, period, terminal)
    except UsageError:
        return
    assert since < until


@given(st.integers(1, 99999), st.sampled_from(["d", "wk", "mo", "y"]))
def test_a_longer_period_never_begins_later(n: int, unit: str) -> None:
    terminal = Terminal({}, None, StringIO(), StringIO(), given_clock=VirtualClock(NOW))  # type: ignore[arg-type]
    try:
        longer, _ = read_window(Interval.D1, None, None, f"{n + 1}{unit}", terminal)
    except UsageError:
        return
    assert longer <= read_window(Interval.D1, None, None, f"{n}{unit}", terminal)[0]


# Both


def test_each_symbol_gets_a_request(terminal: Terminal) -> None:
    symbols = [Symbol.parse("AAPL"), Symbol.parse("MSFT")]
    requests = read_requests(symbols, "1wk", ("2024-01-02", "2024-02-01", None), "all", terminal)
    assert [(r.symbol.ticker, r.interval, r.adjustment) for r in requests] == [("AAPL", "1w", "all"), ("MSFT", "1w", "all")]
