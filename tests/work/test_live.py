"""Whom a quote is held against, and whose price is told where they differ."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from mdagent.market import Quote, Symbol
from mdagent.quality.letters import band
from mdagent.quality.live import Stored
from mdagent.work.live import Ticker

if TYPE_CHECKING:
    from mdagent.quality.live import Live

NOW = datetime(2024, 1, 3, 16, 0, tzinfo=UTC)
AAPL = Symbol.parse("AAPL")
STORED = Stored(date(2024, 1, 2), 100.0, 0.01)


def told(
    last: float, others: dict[str, float], *, count: int = 0, stored: Stored | None = None, named: bool = False, old: float = 0.0
) -> tuple[Quote, Live, list[str]]:
    """What becomes of a quote of `first`, and who else was asked. The others' prices are `old` seconds old; below zero they fail."""
    asked: list[str] = []

    def ask(symbol: Symbol, name: str) -> Quote | None:
        asked.append(name)
        return Quote(symbol, name, others[name], NOW - timedelta(seconds=old)) if others[name] > 0 else None

    ticker = Ticker(ask, {}, lambda *_: (), lambda *_: stored, NOW)
    quote, live = ticker.graded(Quote(AAPL, "first", last, NOW), ["first", *others], count, named=named)
    return quote, live, asked


def test_an_ordinary_price_costs_no_second_request() -> None:
    quote, live, asked = told(101.0, {"second": 101.0}, stored=STORED)
    assert (quote.source, band(live.score), asked) == ("first", "B", [])


def test_a_price_far_from_the_store_is_asked_of_another_which_may_confirm_it() -> None:
    quote, live, asked = told(60.0, {"down": -1.0, "second": 60.1, "third": 60.0}, stored=STORED)
    assert (quote.source, band(live.score), asked) == ("first", "A", ["down", "second"])
    assert "far from the last close stored" in live.why


def test_one_other_and_the_store_outvote_a_price() -> None:
    quote, live, _ = told(1.01, {"second": 101.0}, stored=STORED)
    assert (quote.source, quote.last, band(live.score)) == ("second", 101.0, "B")
    assert live.why.endswith("; first says 1.01")


def test_two_others_outvote_a_price_and_confirm_each_other() -> None:
    quote, live, asked = told(95.0, {"second": 101.0, "third": 101.1, "fourth": 101.0}, count=1)
    assert (quote.source, band(live.score), asked) == ("second", "A", ["second", "third"])


def test_one_word_against_another_is_doubt() -> None:
    quote, live, _ = told(95.0, {"second": 101.0, "third": -1.0}, count=1)
    assert (quote.source, band(live.score)) == ("first", "D")
    quote, live, _ = told(95.0, {"second": 101.0, "third": 95.0}, count=1)
    assert (quote.source, band(live.score)) == ("first", "A")


def test_nobody_to_confirm_it_leaves_it_doubted() -> None:
    quote, live, _ = told(1.01, {"second": -1.0}, stored=STORED)
    assert (quote.source, band(live.score)) == ("first", "D")


def test_a_source_that_was_named_is_shown_and_doubted() -> None:
    quote, live, _ = told(1.01, {"second": 101.0, "third": 101.0}, stored=STORED, named=True)
    assert (quote.source, band(live.score)) == ("first", "D")


def test_older_prices_do_not_outvote_a_new_one() -> None:
    quote, live, _ = told(95.0, {"second": 101.0, "third": 101.0}, count=1, old=900.0)
    assert (quote.source, band(live.score)) == ("first", "D")
