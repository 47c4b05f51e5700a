"""What one source would be asked for a request, by a look at the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdagent.work.dry import Lack, Sight, lack_of, talks
from mdagent.work.fit import Server
from mdagent.work.need import Need
from tests.work.maker import ALL, RAW, SPLITS, Desk, Truth, ask, desk_of, midnight, sessions, split

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdagent.market import BarRequest
    from tests.work.played import Stage

ALONE: frozenset[str] = frozenset()


@pytest.fixture
def desk(play: Callable[..., Stage], tmp_path: Path) -> Desk:
    return desk_of(play(), tmp_path)


def lack(desk: Desk, request: BarRequest, came: tuple[BarRequest, ...] = ()) -> Lack:
    """What the last maker would be asked for."""
    maker = desk.makers[-1]
    server = desk.wish(request).servers[-1]
    assert server.source is maker
    with desk.store.reading() as reader:
        return lack_of(server, request, Sight(reader, lambda _: sessions(), desk.now, bounded_depth=True), came=came)


def windows(lack: Lack) -> list[str]:
    return [f"{w.start:%m-%d} {w.end:%m-%d}" for w in lack.windows]


def test_only_what_is_missing_is_lacking(desk: Desk) -> None:
    desk.maker(Truth(), RAW)
    desk.fetch(ask("raw"))
    assert lack(desk, ask("raw")) == Lack(bars=8)
    more = lack(desk, ask("raw", end="2024-01-17"))
    assert (more.bars, windows(more)) == (8, ["01-12 01-17"])


def test_what_other_symbols_bring_along_is_not_lacking(desk: Desk) -> None:
    desk.maker(Truth(), RAW)
    desk.fetch(ask("raw"))
    rest = ask("raw", "2024-01-12", "2024-01-17")
    assert windows(lack(desk, ask("raw", end="2024-01-17"), (rest,))) == []


def test_adjusted_bars_of_one_who_tells_no_splits_are_asked_for_all_anew(desk: Desk) -> None:
    desk.maker(Truth(), SPLITS, offers=ALONE)
    desk.fetch(ask())
    wider = ask(end="2024-01-17")
    assert windows(lack(desk, wider)) == ["01-02 01-17"]
    desk.asked()
    desk.fetch(wider)
    assert desk.asked() == ["bars/AAPL/1d/splits/01-02/01-17"]


def test_what_a_second_delivery_needs_is_told_before_it_comes(desk: Desk) -> None:
    """Adjusted bars of two days: was there a split between? It is asked for after the bars, and is in the plan before them."""
    desk.maker(Truth(), SPLITS)
    desk.fetch(ask())
    desk.at("2024-01-18T22:00")
    wider = ask(end="2024-01-18")
    told = lack(desk, wider)
    assert (windows(told), told.need) == (["01-12 01-18"], Need("splits", midnight("2024-01-17")))
    desk.asked()
    assert desk.fetch(wider).requests == desk.dry(ask(end="2024-01-18", symbol="MSFT")).requests + 1 == 2
    assert desk.asked() == ["bars/AAPL/1d/splits/01-12/01-18", "splits/AAPL/01-17/01-19"]


def test_what_would_be_asked_is_said(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-09")]), RAW)
    desk.fetch(ask("raw"))
    assert lack(desk, ask("splits")).words("maker") == ("would ask for what makes one basis of another: splits",)
    dear = lack(desk, ask("all", end="2024-01-17"))
    assert dear.words("maker")[0].startswith("would ask maker for 2024-01-12 00:00 to ")
    assert dear.words("maker")[1:] == ("would ask for what makes one basis of another: splits and dividends",)


def test_each_window_is_a_conversation_and_so_are_the_actions(desk: Desk) -> None:
    maker = desk.maker(Truth(), RAW)
    request = ask("all")
    lacking = Lack(windows=(ask("raw"), ask("raw", "2024-01-12", "2024-01-17")), need=Need("all", request.start))
    told = list(talks(Server(maker, RAW), request, lacking, desk.now))
    assert [(talk.endpoint, talk.costs, talk.failure) for talk in told] == [
        ("bars", (1,), None),
        ("bars", (1,), None),
        ("actions", (1, 1), None),
    ]
    assert ALL is request.adjustment
