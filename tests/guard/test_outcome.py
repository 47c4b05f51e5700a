"""What one HTTP exchange meant, and what it leads to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import CONSEQUENCES, Blame, Charge, ConversationFailed, Failure, FailureKind, Retry, kind_of_status

K = FailureKind


def test_every_kind_of_failure_has_its_row_in_the_table() -> None:
    assert set(CONSEQUENCES) == set(FailureKind)


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_tells_a_person_what_to_do_next(kind: FailureKind) -> None:
    step = Failure(kind, "something").consequence.next_step
    assert step
    assert step[0].islower()
    assert not step.endswith(".")


@pytest.mark.parametrize(
    ("retry", "kinds"),
    [
        (Retry.ONCE, {K.CONNECT_FAIL, K.TIMEOUT_READ, K.TRUNCATED, K.MALFORMED}),
        (Retry.TWICE, {K.SERVER_ERROR}),
        (Retry.AFTER_BLOCK, {K.RATE_LIMITED}),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(retry: Retry, kinds: set[FailureKind]) -> None:
    assert {k for k, c in CONSEQUENCES.items() if c.retry is retry} == kinds


def test_a_throttle_and_the_callers_mistakes_are_never_held_against_the_source() -> None:
    innocent = (K.RATE_LIMITED, K.QUOTA_EXHAUSTED, K.BAD_REQUEST, K.PLAN_LIMIT, K.DEADLINE, K.THROTTLED, K.CANCELLED)
    assert {CONSEQUENCES[k].blame for k in innocent} == {Blame.NONE}
    assert CONSEQUENCES[K.UNKNOWN_SYMBOL].blame is Blame.SUCCESS
    assert CONSEQUENCES[K.NO_DATA].blame is Blame.SUCCESS
    assert CONSEQUENCES[K.AUTH].blame is Blame.FORCE_OPEN


def test_quota_comes_back_only_where_nothing_can_have_been_sent() -> None:
    assert {k for k, c in CONSEQUENCES.items() if c.charge is Charge.REFUNDED} == {
        *(K.CONNECT_FAIL, K.TLS_FAIL, K.THROTTLED),
        *(K.BUDGET, K.BREAKER_OPEN, K.NETWORK_DOWN),
    }
    assert {k for k, c in CONSEQUENCES.items() if c.charge is Charge.UNLESS_SENT} == {K.SECURITY_BLOCK, K.DEADLINE, K.CANCELLED}
    assert CONSEQUENCES[K.QUOTA_EXHAUSTED].charge is Charge.FILL


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (400, K.BAD_REQUEST),
        (401, K.AUTH),
        (402, K.PLAN_LIMIT),
        (403, K.PLAN_LIMIT),
        (404, K.UNKNOWN_SYMBOL),
        (408, K.TIMEOUT_READ),
        (413, K.BAD_REQUEST),
        (418, K.UNEXPECTED_STATUS),
        (422, K.BAD_REQUEST),
        (429, K.RATE_LIMITED),
        (451, K.PLAN_LIMIT),
        (500, K.SERVER_ERROR),
        (502, K.SERVER_ERROR),
        (503, K.SERVER_ERROR),
        (504, K.SERVER_ERROR),
        (520, K.SERVER_ERROR),
        (599, K.SERVER_ERROR),
        (501, K.UNEXPECTED_STATUS),
        (204, K.UNEXPECTED_STATUS),
        (301, K.UNEXPECTED_STATUS),
        (999, K.UNEXPECTED_STATUS),
    ],
)
def test_a_status_has_one_meaning(status: int, kind: FailureKind | None) -> None:
    assert kind_of_status(status, "{}") is kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, '{"error": "Invalid API key"}', K.AUTH),
        (403, '{"error": "The api_key is missing"}', K.AUTH),
        (403, '{"message": "your token has expired"}', K.AUTH),
        (403, '{"error": "not in your plan"}', K.PLAN_LIMIT),
        (403, "  <html>Forbidden</html>", K.WAF_BLOCK),
        (503, "<html>Just a moment...</html>", K.WAF_BLOCK),
        (503, "<html>Access Denied</html>", K.WAF_BLOCK),
        (503, "<html>Service Unavailable</html>", K.SERVER_ERROR),
        (503, '{"error": "just a moment"}', K.SERVER_ERROR),
        (500, "<html>captcha</html>", K.SERVER_ERROR),
    ],
)
def test_a_refused_key_a_plan_and_a_wall_look_different(status: int, body: str, kind: FailureKind) -> None:
    assert kind_of_status(status, body) is kind


@given(st.integers(min_value=100, max_value=999), st.text(max_size=300))
def test_only_a_200_is_no_failure(status: int, body: str) -> None:
    assert (kind_of_status(status, body) is None) == (status == 200)


def test_the_exception_that_ends_a_conversation_carries_failure_and_next_step() -> None:
    failure = Failure(K.NO_DATA, "nothing here")
    error = ConversationFailed(failure)
    assert error.failure is failure
    assert error.message == "nothing here"
    assert error.hint == failure.consequence.next_step
