"""Questions about now: who is asked, in which order, and what is told when nobody can answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.guard.outcome import FailureKind
from mdagent.market import Symbol
from mdagent.work.ask import Ask, Events, Unusable, able, actions_of, ask_all, lacking, quote_of
from tests.work.clerks import ENDED, SPLIT, TODAY, Clerk, clerk, door
from tests.work.played import says

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.work.played import Stage

AAPL, IBE = Symbol.parse("AAPL"), Symbol.parse("IBE.MC")


def names(*clerks: Clerk, named: bool = False, world: str = "live", endpoint: str = "quote") -> list[str]:
    return [s.spec.name for s in able(endpoint, clerks, named=named, world=world, today=TODAY)]


def refused(*clerks: Clerk, named: bool = True, world: str = "live") -> Unusable:
    with pytest.raises(Unusable) as told:
        able("quote", clerks, named=named, world=world, today=TODAY)
    return told.value


def ask(stage: Stage, asked: Ask[Any], *clerks: Clerk, endpoint: str = "quote") -> Any:
    (answer,) = stage.run(ask_all(door(stage), endpoint, clerks, [asked], 10.0))
    return answer


def test_a_source_that_needs_no_key_is_asked_first_then_who_allows_most() -> None:
    few, many = clerk("few", keyed=True, key="k", a_day=25), clerk("many", keyed=True, key="k", a_day=800)
    assert names(few, many, clerk("free", a_day=10)) == ["free", "many", "few"]


def test_without_a_key_or_after_its_end_or_where_the_plan_lacks_it_a_source_is_left_out() -> None:
    others = clerk("dear", keyed=True), clerk("late", ended=ENDED), clerk("mute", offers=frozenset()), clerk("poor", lacks=("quote",))
    assert names(*others, clerk("good")) == ["good"]


def test_the_sandbox_and_a_replay_have_the_provider_that_has_closed() -> None:
    for world in ("sandbox", "replay"):
        assert names(clerk("late", ended=ENDED), world=world, named=True) == ["late"]


def test_a_source_named_without_its_key_is_told_with_the_variable_to_set() -> None:
    told = refused(clerk("dear", keyed=True))
    assert told.failure.kind is FailureKind.AUTH
    assert (told.message, told.hint) == ("dear: no key", "set MDAGENT_DEAR_API_KEY")


def test_a_source_named_after_its_end_is_told_with_the_day() -> None:
    told = refused(clerk("late", ended=ENDED))
    assert told.message == "late: Late was retired on 2023-08-31: the service was closed"
    assert told.failure.kind is not FailureKind.AUTH
    assert "another source" in told.hint


def test_a_source_named_for_what_it_does_not_offer_says_so() -> None:
    assert refused(clerk(offers=frozenset())).message == "parrot: it does not offer quotes"
    assert refused(clerk(lacks=("quote",))).message == "parrot: its plan basic does not include quotes"


def test_when_no_source_can_each_says_why() -> None:
    told = refused(clerk("dear", keyed=True), clerk("mute", offers=frozenset()), named=False)
    assert told.message == "no source can tell quotes: dear: no key: set MDAGENT_DEAR_API_KEY; mute: it does not offer quotes"
    assert told.failure.kind is FailureKind.BAD_REQUEST
    assert refused(clerk("dear", keyed=True), named=False).failure.kind is FailureKind.AUTH, "a key is all that lacks"
    assert "no source is enabled" in refused(named=False).message


def test_listings_outside_america_may_be_beyond_a_plan() -> None:
    at_home = clerk(lacks=("world",))
    assert [bool(lacking("quote", at_home, s)) for s in (AAPL, IBE, Symbol.parse("EUR/USD"))] == [False, True, False]


def test_the_first_good_answer_is_taken(play: Callable[..., Stage]) -> None:
    stage = play(says("word"))
    assert ask(stage, quote_of(AAPL), clerk("one"), clerk("two")) == "word"
    assert [path for _, path in stage.asked] == ["one.example/one/quote/AAPL"]


def test_after_a_failure_the_next_source_is_asked(play: Callable[..., Stage]) -> None:
    stage = play(says("no such symbol", 404), says("word"))
    assert ask(stage, quote_of(AAPL), clerk("one"), clerk("two")) == "word"
    assert [path for _, path in stage.asked] == ["one.example/one/quote/AAPL", "one.example/two/quote/AAPL"]


def test_a_symbol_beyond_a_plan_is_not_asked_for(play: Callable[..., Stage]) -> None:
    stage = play()
    told = ask(stage, quote_of(IBE), clerk(lacks=("world",)))
    assert (told.kind, stage.asked) == (FailureKind.PLAN_LIMIT, [])
    assert "outside America" in told.detail


def test_a_symbol_is_unknown_only_where_every_source_says_so(play: Callable[..., Stage]) -> None:
    both = play(says("no such symbol", 404), says("none", 404))
    assert ask(both, quote_of(AAPL), clerk("one"), clerk("two")).kind is FailureKind.UNKNOWN_SYMBOL


def test_a_failure_that_may_pass_is_told_rather_than_an_unknown_symbol(play: Callable[..., Stage]) -> None:
    stage = play(says("no such symbol", 404), says("unpaid", 402))
    told = ask(stage, quote_of(AAPL), clerk("one"), clerk("two"))
    assert (told.kind, told.detail) == (FailureKind.PLAN_LIMIT, "two: HTTP 402: unpaid")


def test_splits_and_dividends_come_with_the_name_of_who_tells_them(play: Callable[..., Stage]) -> None:
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    assert ask(play(says()), actions_of(AAPL, start, end, end), clerk("one"), endpoint="actions") == Events("one", (SPLIT,))


def test_each_question_has_its_own_answer(play: Callable[..., Stage]) -> None:
    stage = play(says("first"), says("unknown", 404), says("third"))
    answers: list[Any] = stage.run(ask_all(door(stage), "quote", [clerk()], [quote_of(Symbol.parse(s)) for s in ("A", "B", "C")], 10.0))
    assert [answers[0], answers[1].kind, answers[2]] == ["first", FailureKind.UNKNOWN_SYMBOL, "third"]


# Hedged


def hedged(stage: Stage, *clerks: Clerk) -> Any:
    (answer,) = stage.run(ask_all(door(stage), "quote", clerks, [quote_of(AAPL)], 10.0, hedge=0.8))
    return answer


def test_a_second_source_is_asked_when_the_first_takes_too_long_and_the_first_answer_wins(play: Callable[..., Stage]) -> None:
    stage = play(5.0, says("second"), concurrency=4)
    assert hedged(stage, clerk("one"), clerk("two")) == "second"
    assert stage.clock.monotonic() == pytest.approx(0.8)
    assert [row[2] for row in stage.rows()] == ["CANCELLED", None]
    assert len(stage.ledger.usage("one", stage.windows, stage.clock.now())) == 1, "the loser stays charged"


def test_no_second_source_is_asked_when_the_first_is_in_time(play: Callable[..., Stage]) -> None:
    stage = play(0.5, says("never"))
    assert hedged(stage, clerk("one"), clerk("two")) == "word"
    assert len(stage.asked) == 1


def test_a_first_source_that_fails_is_followed_at_once(play: Callable[..., Stage]) -> None:
    stage = play(says("no", 404), says("second"))
    assert hedged(stage, clerk("one"), clerk("two")) == "second"
    assert stage.clock.monotonic() == 0.0


def test_where_both_fail_the_third_is_asked(play: Callable[..., Stage]) -> None:
    stage = play(says("no", 404), says("no", 404), says("third"))
    assert hedged(stage, clerk("one"), clerk("two"), clerk("three")) == "third"
