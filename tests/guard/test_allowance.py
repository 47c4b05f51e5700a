"""A run stays within what it may send, spend and last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.allowance import Allowance
from mdagent.guard.outcome import FailureKind

COSTS = st.lists(st.tuples(st.integers(1, 50), st.floats(0, 2), st.booleans()), max_size=60)


@given(st.integers(0, 20), st.integers(0, 300), st.floats(0, 10), COSTS)
def test_no_bound_is_ever_passed_and_what_was_never_sent_is_given_back(
    requests: int,
    most: int,
    usd: float,
    costs: list[tuple[int, float, bool]],
) -> None:
    allowance, sent = Allowance(requests, most, usd), list[tuple[int, float]]()
    for token, (cost, price, refund) in enumerate(costs):
        refused = allowance.take(token, cost, price, 0.0)
        assert refused is None or refused.kind is FailureKind.BUDGET
        if refused is None:
            allowance.settle(token, refund=refund)
            sent += [] if refund else [(cost, price)]
        assert len(sent) <= requests
        assert sum(c for c, _ in sent) <= most
        assert sum(p for _, p in sent) <= usd + 1e-6
        assert (allowance.used_requests, allowance.used_credits) == (len(sent), sum(c for c, _ in sent))


def test_what_costs_nothing_is_within_every_budget() -> None:
    assert Allowance(usd=0.0).refusal(1, 0.0, 0.0) is None


def test_after_its_time_nothing_begins_and_no_wait_is_longer() -> None:
    allowance = Allowance(ends=100.0)
    assert (allowance.patience(3600.0, 40.0), allowance.patience(3600.0, 200.0)) == (60.0, 0.0)
    assert allowance.refusal(1, 0.0, 99.9) is None
    refused = allowance.refusal(1, 0.0, 100.0)
    assert refused is not None
    assert refused.kind is FailureKind.DEADLINE
    assert allowance.over
