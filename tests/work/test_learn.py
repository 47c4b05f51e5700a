"""What has to be known of splits and dividends is asked for where the store does not know it, once, and no bar for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdagent.guard.outcome import FailureKind
from tests.work.maker import ALL, RAW, SPLITS, Desk, Truth, ask, desk_of, dividend, midnight, split
from tests.work.played import says

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdagent.work.report import Line
    from tests.work.played import Stage

WITH_BARS = frozenset(("actions with bars",))


@pytest.fixture
def desk(play: Callable[..., Stage], tmp_path: Path) -> Desk:
    return desk_of(play(), tmp_path)


def good(line: Line) -> Line:
    assert line.failure is None, line.failure
    return line


# Asked for once


def test_splits_alone_are_asked_for_where_splits_alone_are_needed(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-09")]), RAW)
    assert good(desk.fetch(ask())).requests == 2
    assert desk.asked() == ["bars/AAPL/1d/raw/01-02/01-12", "splits/AAPL/01-02/01-18"]
    assert set(desk.closes(ask()).values()) == {100.0}
    assert good(desk.fetch(ask())).requests == 0


def test_the_basis_that_is_stored_needs_nothing_else(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-09")]), RAW)
    assert good(desk.fetch(ask("raw"))).requests == 1
    assert set(desk.closes(ask("raw")).values()) == {1000.0, 100.0}


def test_another_basis_later_asks_for_no_bar(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-09")]), RAW)
    desk.fetch(ask("raw"))
    desk.asked()
    good(desk.fetch(ask("splits")))
    assert desk.asked() == ["splits/AAPL/01-02/01-18"]
    good(desk.fetch(ask("raw")))
    assert desk.asked() == []


def test_dividends_are_weighed_by_daily_closes_which_one_request_brings_along(desk: Desk) -> None:
    desk.maker(Truth(actions=[dividend("2024-01-16", 10.0)]), RAW)
    assert good(desk.fetch(ask("all"))).requests == 3
    assert desk.asked() == ["bars/AAPL/1d/raw/01-02/01-19", "splits/AAPL/01-02/01-18", "dividends/AAPL/01-02/01-18"]
    assert set(desk.closes(ask("all")).values()) == {990.0}


def test_hours_are_weighed_by_days(desk: Desk) -> None:
    desk.maker(Truth(actions=[dividend("2024-01-16", 10.0)]), RAW)
    hours = ask("all", interval="1h")
    assert good(desk.fetch(hours)).requests == 4
    assert desk.asked() == [
        "bars/AAPL/1h/raw/01-02/01-12", "bars/AAPL/1d/raw/01-02/01-19", "splits/AAPL/01-02/01-18", "dividends/AAPL/01-02/01-18",
    ]  # fmt: skip
    assert set(desk.closes(hours).values()) == {990.0}


def test_where_daily_bars_tell_their_splits_one_request_up_to_now_does(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-16")]), SPLITS, offers=WITH_BARS)
    assert good(desk.fetch(ask("raw"))).requests == 1
    assert desk.asked() == ["bars/AAPL/1d/splits/01-02/01-19"]
    assert set(desk.closes(ask("raw")).values()) == {1000.0}
    assert good(desk.fetch(ask("splits"))).requests == 0


def test_for_hours_the_days_are_asked_that_tell_the_splits(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-09")]), SPLITS, offers=WITH_BARS)
    hours = ask("splits", interval="1h")
    assert good(desk.fetch(hours)).requests == 2
    assert desk.asked() == ["bars/AAPL/1h/raw/01-02/01-12", "bars/AAPL/1d/splits/01-02/01-19"]
    assert set(desk.closes(hours).values()) == {100.0}


def test_who_cannot_tell_is_asked_for_the_basis_itself_and_for_nothing_else(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-09")]), RAW, SPLITS, lacks=frozenset(("actions",)))
    assert good(desk.fetch(ask())).requests == 1
    assert desk.asked() == ["bars/AAPL/1d/splits/01-02/01-12"]


# How long it is good for


def test_what_is_known_today_is_asked_for_again_tomorrow(desk: Desk) -> None:
    desk.maker(Truth(), RAW)
    desk.fetch(ask())
    desk.asked()
    desk.at("2024-01-17T23:59")
    good(desk.fetch(ask()))
    assert desk.asked() == []
    desk.at("2024-01-18T14:00")
    good(desk.fetch(ask()))
    assert desk.asked() == ["splits/AAPL/01-02/01-19"]


def test_a_split_since_then_restates_what_is_read_and_no_bar_is_asked_for(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-18")]), RAW)
    desk.fetch(ask())
    assert set(desk.closes(ask()).values()) == {1000.0}
    desk.asked()
    desk.at("2024-01-18T22:00")
    good(desk.fetch(ask()))
    assert desk.asked() == ["splits/AAPL/01-02/01-19"]
    assert set(desk.closes(ask()).values()) == {100.0}
    assert set(desk.closes(ask(), as_of=midnight("2024-01-18")).values()) == {1000.0}


# Adjusted bars of two deliveries


def test_two_deliveries_need_the_splits_between_from_the_day_of_the_first(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-18")]), SPLITS)
    assert good(desk.fetch(ask(end="2024-01-18"))).requests == 1
    desk.at("2024-01-19T22:00")
    desk.asked()
    line = good(desk.fetch(ask(end="2024-01-20")))
    assert desk.asked() == [
        "bars/AAPL/1d/splits/01-17/01-20",
        "splits/AAPL/01-17/01-20",
        "bars/AAPL/1d/splits/01-02/01-19",  # made due again by the split
    ]
    assert line.notes == ("11 bars restated by a split",)
    assert set(desk.closes(ask(end="2024-01-20")).values()) == {100.0}


def test_bars_that_came_in_new_shares_on_the_day_of_the_split_are_not_divided_once_more(desk: Desk) -> None:
    """Delivered at noon of the day, adjusted already; the split is told only on the next day."""
    desk.maker(Truth(actions=[split("2024-01-17")]), SPLITS)
    desk.at("2024-01-17T17:00")
    good(desk.fetch(ask(end="2024-01-17")))
    assert set(desk.closes(ask(end="2024-01-17")).values()) == {100.0}
    desk.at("2024-01-18T22:00")
    good(desk.fetch(ask(end="2024-01-19")))
    assert set(desk.closes(ask(end="2024-01-19")).values()) == {100.0}
    good(desk.fetch(ask("raw", end="2024-01-19")))
    assert set(desk.closes(ask("raw", end="2024-01-19")).values()) == {1000.0, 100.0}


def test_a_plan_that_does_not_tell_splits_delivers_the_whole_window_again(desk: Desk) -> None:
    desk.maker(Truth(actions=[split("2024-01-18")]), SPLITS, lacks=frozenset(("actions",)))
    desk.fetch(ask(end="2024-01-18"))
    desk.asked()
    desk.at("2024-01-19T22:00")
    line = good(desk.fetch(ask(end="2024-01-20")))
    assert desk.asked() == ["bars/AAPL/1d/splits/01-02/01-20"]
    assert set(desk.closes(ask(end="2024-01-20")).values()) == {100.0}
    assert line.notes == ("11 bars restated by a split",)


# When it cannot be had


def test_splits_that_cannot_be_had_are_a_failure_that_says_so_and_the_bars_stay(desk: Desk) -> None:
    desk.maker(Truth(), RAW)
    desk.stage.answers += [says(), says("pay for it", 402)]
    line = desk.fetch(ask())
    assert line.failure is not None
    assert line.failure.kind is FailureKind.PLAN_LIMIT
    assert line.failure.detail.startswith("its splits and dividends, by which raw prices are brought to another basis, could not be had:")
    assert desk.closes(ask()) == {}, "nothing is guessed"
    assert len(desk.closes(ask("raw"))) == 8
    desk.stage.answers.clear()
    desk.stage.ledger.reset_breaker("maker", "")  # it has been paid for
    desk.asked()
    good(desk.fetch(ask()))
    assert desk.asked() == ["splits/AAPL/01-02/01-18"]


def test_the_next_source_serves_where_the_splits_of_the_first_cannot_be_had(desk: Desk) -> None:
    truth = Truth(actions=[split("2024-01-09")])
    desk.maker(truth, RAW, name="a")
    desk.maker(truth, RAW, name="b")
    desk.stage.answers += [says(), says("pay for it", 402), says(), says()]
    line = good(desk.fetch(ask()))
    assert line.source == "b"
    assert [(c.source, c.chosen) for c in line.considered] == [("a", False), ("b", True)]
    assert set(desk.closes(ask()).values()) == {100.0}


# Said beforehand


@pytest.mark.parametrize("adjust", ["raw", "splits", "all"])
@pytest.mark.parametrize("interval", ["1d", "1h"])
@pytest.mark.parametrize("bases", [(RAW, SPLITS), (SPLITS, ALL)])
@pytest.mark.parametrize("offers", [frozenset(("actions",)), WITH_BARS])
def test_a_dry_run_tells_how_many_requests_it_takes(
    desk: Desk, adjust: str, interval: str, bases: tuple[object, ...], offers: frozenset[str]
) -> None:
    desk.maker(Truth(actions=[split("2024-01-09"), dividend("2024-01-10", 1.0)]), *bases, offers=offers)  # type: ignore[arg-type]
    request = ask(adjust, interval=interval)
    expected = desk.dry(request).requests
    assert good(desk.fetch(request)).requests == expected
    assert desk.dry(request).requests == good(desk.fetch(request)).requests == 0
