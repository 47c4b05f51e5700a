"""Symbols that lack the same window are asked for in one request, where the source offers that and it saves any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdagent.guard.outcome import FailureKind
from mdagent.work.many import Desk as Counter
from mdagent.work.many import fetch_many
from tests.work.maker import RAW, SPLITS, Desk, Truth, ask, desk_of, split
from tests.work.played import says

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdagent.market import BarRequest
    from mdagent.work.report import Line
    from tests.work.played import Stage


@pytest.fixture
def desk(play: Callable[..., Stage], tmp_path: Path) -> Desk:
    return desk_of(play(), tmp_path)


def many(desk: Desk, *requests: BarRequest, refresh: bool = False) -> list[Line]:
    if not desk.stage.answers:
        desk.stage.answers += [says() for _ in range(desk.patience)]
    counter = Counter(lambda r: desk.wish(r, refresh=refresh), desk.tools, lambda: None, lambda _: None)
    return desk.stage.run(fetch_many(requests, counter))


def of(*symbols: str, adjust: str = "raw") -> list[BarRequest]:
    return [ask(adjust, symbol=s) for s in symbols]


def test_symbols_that_lack_the_same_window_share_a_request(desk: Desk) -> None:
    desk.maker(Truth(), RAW)
    lines = many(desk, *of("AAPL", "MSFT", "IBM"))
    assert desk.asked() == ["batch/AAPL+MSFT+IBM/01-02/01-12"]
    assert [line.bars for line in lines] == [8, 8, 8]
    assert [line.requests for line in lines] == [1, 0, 0], "the first is charged with it"
    assert all(line.notes == ("asked together with 2 others",) for line in lines)
    assert all(line.failure is None for line in lines)


def test_what_is_stored_afterwards_is_as_if_each_had_been_asked_for(desk: Desk) -> None:
    desk.maker(Truth(), RAW)
    many(desk, *of("AAPL", "MSFT"))
    desk.asked()
    assert [line.requests for line in many(desk, *of("AAPL", "MSFT"))] == [0, 0]
    assert desk.closes(ask("raw", symbol="MSFT")) == desk.closes(ask("raw"))
    assert desk.asked() == []


def test_a_symbol_alone_is_asked_for_by_itself(desk: Desk) -> None:
    desk.maker(Truth(), RAW)
    (line,) = many(desk, *of("AAPL"))
    assert desk.asked() == ["bars/AAPL/1d/raw/01-02/01-12"]
    assert line.notes == ()


def test_only_those_that_lack_the_window_are_asked_for(desk: Desk) -> None:
    desk.maker(Truth(), RAW)
    desk.fetch(ask("raw"))
    desk.asked()
    many(desk, *of("AAPL", "MSFT", "IBM"))
    assert desk.asked() == ["batch/MSFT+IBM/01-02/01-12"]


def test_different_windows_are_different_groups(desk: Desk) -> None:
    desk.maker(Truth(), RAW)
    other = [ask("raw", "2024-01-03", symbol=s) for s in ("IBM", "KO")]
    many(desk, *of("AAPL", "MSFT"), *other, ask("raw", "2024-01-04", symbol="GE"))
    assert desk.asked() == ["batch/AAPL+MSFT/01-02/01-12", "batch/IBM+KO/01-03/01-12", "bars/GE/1d/raw/01-04/01-12"]


def test_a_plan_without_it_or_a_source_that_does_not_offer_it_is_asked_symbol_by_symbol(desk: Desk) -> None:
    desk.maker(Truth(), RAW, lacks=frozenset(("batch",)))
    many(desk, *of("AAPL", "MSFT"))
    assert sorted(desk.asked()) == ["bars/AAPL/1d/raw/01-02/01-12", "bars/MSFT/1d/raw/01-02/01-12"]
    desk.makers.clear()
    desk.maker(Truth(), RAW, name="other", offers=frozenset(("actions",)))
    many(desk, *of("IBM", "KO"))
    assert all(path.startswith("bars/") for path in desk.asked())


def test_a_symbol_that_is_unknown_is_told_as_such_and_does_not_spoil_the_others(desk: Desk) -> None:
    desk.maker(Truth(unknown=frozenset(("MSFT",))), RAW)
    good, bad, third = many(desk, *of("AAPL", "MSFT", "IBM"))
    assert (good.failure, third.failure) == (None, None)
    assert bad.failure is not None
    assert bad.failure.kind is FailureKind.UNKNOWN_SYMBOL
    assert desk.asked() == ["batch/AAPL+MSFT+IBM/01-02/01-12"], "it is not asked for once more"
    many(desk, *of("MSFT", "KO"))
    assert desk.asked() == ["bars/KO/1d/raw/01-02/01-12"]


def test_where_the_shared_request_fails_each_is_asked_for_by_itself(desk: Desk) -> None:
    desk.maker(Truth(), RAW)
    desk.stage.answers += [says("no such path", 404)] + [says() for _ in range(10)]
    lines = many(desk, *of("AAPL", "MSFT"))
    assert [line.bars for line in lines] == [8, 8]
    asked = desk.asked()
    assert asked[0] == "batch/AAPL+MSFT/01-02/01-12"
    assert sorted(asked[1:]) == ["bars/AAPL/1d/raw/01-02/01-12", "bars/MSFT/1d/raw/01-02/01-12"]
    assert sum(line.requests for line in lines) == 3


def test_what_a_basis_needs_is_learned_symbol_by_symbol_afterwards(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-09")]), RAW)
    lines = many(desk, *of("AAPL", "MSFT", adjust="splits"))
    first, *rest = desk.asked()
    assert first == "batch/AAPL+MSFT/01-02/01-12"
    assert sorted(rest) == ["splits/AAPL/01-02/01-18", "splits/MSFT/01-02/01-18"]
    assert [line.requests for line in lines] == [2, 1]
    for symbol in ("AAPL", "MSFT"):
        assert set(desk.closes(ask(symbol=symbol)).values()) == {100.0}


def test_a_refresh_asks_for_all_of_them_together_once(desk: Desk) -> None:
    truth = Truth()
    desk.maker(truth, RAW)
    many(desk, *of("AAPL", "MSFT"))
    desk.asked()
    truth.close = 2000.0
    lines = many(desk, *of("AAPL", "MSFT"), refresh=True)
    assert desk.asked() == ["batch/AAPL+MSFT/01-02/01-12"]
    assert {line.notes[1:] for line in lines} == {("8 bars that were final came back different (table revisions)",)}
    assert set(desk.closes(ask("raw")).values()) == {2000.0}


def test_a_split_that_comes_with_shared_bars_makes_the_old_ones_due_again(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-18")]), SPLITS, offers=frozenset(("actions with bars", "batch")))
    many(desk, *of("AAPL", "MSFT", adjust="splits"))
    desk.at("2024-01-19T22:00")
    lines = many(desk, *[ask("splits", end="2024-01-20", symbol=s) for s in ("AAPL", "MSFT")])
    for symbol, line in zip(("AAPL", "MSFT"), lines, strict=True):
        assert line.failure is None, line.failure
        assert set(desk.closes(ask("splits", end="2024-01-20", symbol=symbol)).values()) == {100.0}
