"""Faults of providers arrive in each one's own words, and are what they mean there."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdagent.clock import SystemClock
from mdagent.guard.outcome import FailureKind
from mdagent.market import BarRequest
from mdagent.wire.faults import KINDS, Plan
from mdagent.wire.faults.kinds import RETRY_AFTER
from mdagent.wire.sandbox.server import serve
from tests.wire.faults.scene import SOURCES, fault, scene

if TYPE_CHECKING:
    from pathlib import Path

K = FailureKind
SAME: dict[str, FailureKind | None] = {"finnhub": None, "iexcloud": None, "tiingo": None}  # they do not tell whose bars they are

Told = dict[str, FailureKind | None]

# kind, settings, what every source makes of it, and what some make of it instead
TROUBLE: list[tuple[str, dict[str, Any], FailureKind | None, Told]] = [
    ("rate_limited", {}, K.RATE_LIMITED, {}),
    ("rate_limited", {"retry_after": "date"}, K.RATE_LIMITED, {}),
    ("waf", {}, K.WAF_BLOCK, {}),
    ("waf", {"code": "503"}, K.WAF_BLOCK, {}),
    ("key_revoked", {}, K.AUTH, {}),
    ("plan_lost", {}, K.PLAN_LIMIT, {}),
    ("downgraded", {}, None, {"alphavantage": K.PLAN_LIMIT, "finnhub": K.PLAN_LIMIT}),
    ("quota_cut", {"to": 0.0}, K.RATE_LIMITED, {"iexcloud": K.QUOTA_EXHAUSTED}),
    ("retirement", {}, K.CONNECT_FAIL, {}),
    ("retirement", {"how": "page"}, K.UNEXPECTED_STATUS, {}),
    ("format_drift", {}, K.SCHEMA, {}),
    ("format_drift", {"field": "time"}, K.SCHEMA, {}),
    ("format_drift", {"how": "words"}, K.SCHEMA, {}),
    ("unsorted", {}, None, {}),
    ("paging_loop", {}, None, {"polygon": K.SCHEMA}),
    ("paging_loop", {"how": "endless"}, None, {"polygon": K.SCHEMA}),
    ("wrong_symbol", {}, K.MISMATCH, SAME),
    ("unknown_symbol", {}, K.UNKNOWN_SYMBOL, {"finnhub": K.NO_DATA, "polygon": K.NO_DATA}),
    ("stale_feed", {}, None, {}),
    ("delayed_feed", {}, None, {}),
]


@pytest.mark.parametrize(("kind", "settings", "told"), [(k, s, {n: o.get(n, u) for n in SOURCES}) for k, s, u, o in TROUBLE])
@pytest.mark.parametrize("name", SOURCES)
def test_a_fault_of_a_provider_is_called_by_its_name(tmp_path: Path, name: str, kind: str, settings: dict[str, Any], told: Told) -> None:
    act = scene(tmp_path, fault(kind, **settings))
    assert act.kind(name) is told[name]
    assert {(event.kind, event.source) for event in act.transport.events} == {(kind, name)}


def test_each_fault_of_a_provider_is_tried_here() -> None:
    assert {kind for kind, *_ in TROUBLE} == {name for name, kind in KINDS.items() if kind.where == "provider"}


@pytest.mark.parametrize(
    ("shape", "least", "most"),
    [
        ("none", 299, 330), ("seconds", 29, 33), ("date", 29, 33), ("past", 0.9, 1.1), ("negative", 300, 330), ("nonsense", 300, 330),
        ("fraction", 300, 330), ("huge", 86390, 95040),
    ],
)  # fmt: skip
def test_each_shape_of_retry_after_blocks_for_as_long_as_it_says(tmp_path: Path, shape: str, least: float, most: float) -> None:
    act = scene(tmp_path, fault("rate_limited", retry_after=shape))
    result = act.ask("yahoo", deadline=5.0)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.RATE_LIMITED
    assert len(result.attempts) == 1
    block = act.block("yahoo")
    assert least <= block <= most, block


def test_each_shape_is_tried_here() -> None:
    assert set(RETRY_AFTER) == {"none", "seconds", "date", "past", "negative", "nonsense", "fraction", "huge"}


def test_half_a_quota_is_half_of_what_the_referee_grants(tmp_path: Path) -> None:
    act = scene(tmp_path, fault("quota_cut", "yahoo"))
    kinds = [act.kind("yahoo") for _ in range(61)]
    assert kinds[:60] == [None] * 60
    assert kinds[60] is FailureKind.RATE_LIMITED


LATELY = BarRequest("CARR", "1d", "2024-05-29", "2024-06-08", "splits")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SOURCES)
def test_a_stale_feed_tells_nothing_after_its_beginning_and_a_delayed_one_tells_it_late(tmp_path: Path, name: str) -> None:
    for kind, settings in (("stale_feed", {}), ("delayed_feed", {"delay": 2 * 86400})):
        act = scene(tmp_path, fault(kind, **settings))
        act.clock.set(datetime(2024, 6, 7, 21, 0, tzinfo=UTC))
        act.transport.plan.began -= 2 * 86400.0  # so long has it been on
        assert act.bars(name, LATELY).ts[-1].astype("datetime64[D]").item().day <= 5


def test_an_order_that_is_another_changes_no_bar(tmp_path: Path) -> None:
    for name in SOURCES:
        for how in ("reversed", "rotated"):
            assert scene(tmp_path, fault("unsorted", how=how)).bars(name).close.tolist() == scene(tmp_path).bars(name).close.tolist()


def test_a_provider_is_itself_again_for_who_does_not_pass_the_faults(tmp_path: Path) -> None:
    act = scene(tmp_path, fault("waf"))
    assert act.kind("yahoo") is FailureKind.WAF_BLOCK
    seen = act.referee.requests
    unharmed = scene(tmp_path)
    unharmed.transport.inner = act.transport.inner
    assert unharmed.kind("yahoo") is None
    assert unharmed.referee.requests == seen + 1


def test_the_very_symbol_that_was_asked_for_is_mistaken_for_a_third_one(tmp_path: Path) -> None:
    request = BarRequest("MSFT", "1d", "2024-05-01", "2024-06-01", "splits")  # type: ignore[arg-type]
    assert scene(tmp_path, fault("wrong_symbol")).kind("yahoo", request) is FailureKind.MISMATCH


def test_a_provider_on_loopback_brings_its_faults_about_too(tmp_path: Path) -> None:
    clock = SystemClock.starting_at(datetime(2024, 6, 5, 21, 0, tzinfo=UTC))
    plan = Plan((fault("waf", "tiingo"),), clock, Random(1), clock.monotonic())
    with serve(clock, names=["tiingo", "finnhub"], faults=plan) as running:
        told = {name: httpx.get(url).text for name, url in running.base_urls.items()}
    assert "human" in told["tiingo"]
    assert "human" not in told["finnhub"]
    assert [(event.kind, event.source) for event in plan.events] == [("waf", "tiingo")]
