"""Told splits and dividends."""

from __future__ import annotations

from datetime import date
from math import inf

import pytest

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.market import CorporateAction
from mdagent.sources.reading.actions import dividend, split

DAY = date(2020, 8, 31)


def test_new_shares_for_old_ones() -> None:
    assert split(DAY, 4.0, 1.0) == CorporateAction("split", DAY, 4.0)
    assert split(DAY, 1.0, 8.0).value == 0.125


@pytest.mark.parametrize(
    ("day", "new", "old"), [(None, 4.0, 1.0), (DAY, None, 1.0), (DAY, 4.0, None), (DAY, 4.0, 0.0), (DAY, -4.0, -1.0), (DAY, inf, 1.0)]
)
def test_a_split_without_a_day_or_a_ratio_is_refused(day: date | None, new: float | None, old: float | None) -> None:
    with pytest.raises(ConversationFailed) as told:
        split(day, new, old)
    assert told.value.failure.kind is FailureKind.SCHEMA


def test_an_amount_is_as_it_was_paid_and_in_the_unit_of_the_prices_where_none_is_told() -> None:
    assert dividend(DAY, 0.82, "USD") == CorporateAction("dividend", DAY, 0.82, adjusted=False, currency="USD")
    assert dividend(DAY, 0.0, "").currency is None


@pytest.mark.parametrize(("day", "amount"), [(None, 1.0), (DAY, None), (DAY, -0.01)])
def test_a_dividend_without_a_day_or_an_amount_is_refused(day: date | None, amount: float | None) -> None:
    with pytest.raises(ConversationFailed) as told:
        dividend(day, amount, "USD")
    assert told.value.failure.kind is FailureKind.SCHEMA
