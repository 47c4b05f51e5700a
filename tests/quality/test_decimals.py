"""float32 on the way is no reason for prices of seventeen digits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mdagent.quality.decimals import decimals


@given(st.lists(st.integers(1, 9_999_999), min_size=1, max_size=30), st.integers(2, 5))
def test_a_price_of_at_most_seven_digits_comes_back_as_it_was(ticks: list[int], places: int) -> None:
    prices = np.array([tick / 10**places for tick in ticks])
    through = prices.astype(np.float32).astype(np.float64)
    assert np.array_equal(decimals(through), prices)


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=30))
def test_nothing_is_lost(values: list[float]) -> None:
    told = np.array(values)
    with np.errstate(over="ignore"):
        assert np.array_equal(decimals(told).astype(np.float32), told.astype(np.float32), equal_nan=True)


def test_prices_that_no_float32_holds_stay_as_they_are() -> None:
    told = np.array([1.85, 2.5])
    assert decimals(told) is told
