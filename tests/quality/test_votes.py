"""What one source lists against what the others do."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from mdagent.market import BarSet, CorporateAction
from mdagent.quality.finding import Severity
from tests.quality.market_days import bar_set, judged, requested, window

ROWS = window("SYM00303", np.random.default_rng(12))
REQUEST = requested(ROWS)


def day(at: int) -> date:
    told: date = ROWS.ts[at].astype("datetime64[D]").item()
    return told


def listing(name: str, *actions: CorporateAction) -> BarSet:
    made = bar_set(ROWS, REQUEST, source=name)
    return replace(made, actions=actions, delivery=made.delivery._replace(events=True))


def split(at: int, ratio: float = 4.0) -> CorporateAction:
    return CorporateAction("split", day(at), ratio)


def payment(at: int, amount: float = 0.05) -> CorporateAction:
    return CorporateAction("dividend", day(at), amount, True)


def found(own: BarSet, *others: BarSet) -> set[tuple[str, str]]:
    return {(f.type, f.severity.value) for f in judged(own, REQUEST, *others).findings}


@pytest.mark.parametrize("many", [2, 3, 4])
def test_a_phantom_split_loses(many: int) -> None:
    others = [listing(f"s{n}") for n in range(many)]
    told = judged(listing("own", split(100)), REQUEST, *others)
    (phantom,) = [f for f in told.findings if f.type == "phantom_split"]
    assert (phantom.check, phantom.severity, phantom.count) == ("votes", Severity.HIGH, 1)
    assert phantom.start is not None
    assert phantom.start.date() == day(100)


def test_a_split_that_another_knows_is_none_though_dated_by_its_own_market() -> None:
    assert found(listing("own", split(100)), listing("a", split(101)), listing("b")) == set()


def test_a_payment_that_nobody_else_has_heard_of_was_never_paid() -> None:
    assert found(listing("own", payment(100)), listing("a"), listing("b")) == {("phantom_dividend", "high")}


def test_of_amounts_the_middle_of_the_others_holds() -> None:
    right = [listing(name, payment(100)) for name in ("a", "b")]
    assert found(listing("own", payment(100, 5.0)), *right) >= {("bad_dividend_amount", "medium")}
    assert found(listing("own", payment(100, 0.051)), *right) == set()


def test_what_most_others_list_is_told_and_costs_nothing() -> None:
    others = [listing(name, split(100)) for name in ("a", "b")]
    assert found(listing("own", payment(100)), *others, listing("c", payment(100))) == {("unlisted_action", "info")}


def test_one_other_is_no_vote_and_two_of_one_feed_are_one() -> None:
    assert found(listing("own", split(100)), listing("a")) == set()
    verdict = judged(listing("own", split(100)), REQUEST, listing("a"), listing("b"), families={"a": "IEX", "b": "IEX"})
    assert "votes" in {s.check for s in verdict.skipped}
