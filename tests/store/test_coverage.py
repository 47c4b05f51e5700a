"""What was asked for, and what was said of it last."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from mdagent.market import BarRequest
from mdagent.store.cover import merge
from mdagent.store.literal import naive
from mdagent.store.read import Span
from tests.store.batches import batch, keep, store_at, utc

if TYPE_CHECKING:
    from pathlib import Path

WEEK = {"2024-01-02": 10.0, "2024-01-03": 11.0, "2024-01-04": 12.0}


def span(a: int, b: int, reason: str = "complete", expires: int | None = None) -> Span:
    """Hours after New Year."""
    start = naive(utc("2024-01-01"))
    until = start + timedelta(hours=expires) if expires is not None else None
    return Span(start + timedelta(hours=a), start + timedelta(hours=b), reason, until)


SPAN = st.builds(
    lambda a, n, reason, expires: span(a, a + n, reason, expires),
    st.integers(0, 30),
    st.integers(1, 12),
    st.sampled_from(["complete", "provider gap"]),
    st.none() | st.integers(0, 3),
)


@given(st.lists(st.lists(SPAN, min_size=1, max_size=4), max_size=6))
def test_merged_coverage_says_of_every_hour_what_was_said_last(batches: list[list[Span]]) -> None:
    merged: list[Span] = []
    hours: dict[int, tuple[str, Any]] = {}
    first = span(0, 1).start
    for new in batches:
        merged = merge(merged, new)
        for one in new:
            for hour in range(int((one.start - first).total_seconds()) // 3600, int((one.end - first).total_seconds()) // 3600):
                hours[hour] = (one.reason, one.expires)
    told = {}
    for one in merged:
        for hour in range(int((one.start - first).total_seconds()) // 3600, int((one.end - first).total_seconds()) // 3600):
            assert hour not in told, "spans never overlap"
            told[hour] = (one.reason, one.expires)
    assert told == hours
    for a, b in pairwise(merged):
        assert a.end <= b.start
        joinable = a.end == b.start and a.expires is None and b.expires is None and a.reason == b.reason
        assert not joinable, "touching final spans of one reason are one"


def test_coverage_is_that_of_one_source_interval_and_basis(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    one = batch(WEEK)
    keep(store, one)
    inside = BarRequest("AAPL", "1d", "2024-01-03", "2024-01-04")  # type: ignore[arg-type]
    with store.reading() as reader:
        assert reader.coverage(inside, "yahoo") == [Span(one.request.start, one.request.end, "complete", None)]
        assert reader.coverage(inside, "other") == []
        assert reader.coverage(BarRequest("AAPL", "1w", "2024-01-03", "2024-01-04"), "yahoo") == []  # type: ignore[arg-type]
        assert reader.coverage(BarRequest("AAPL", "1d", "2024-01-03", "2024-01-04", "all"), "yahoo") == []  # type: ignore[arg-type]
        assert reader.coverage(BarRequest("AAPL", "1d", "2024-01-05", "2024-01-06"), "yahoo") == []  # type: ignore[arg-type]
        assert reader.first_bar(inside, "yahoo") == utc("2024-01-02")
        assert reader.first_bar(inside, "other") is None
