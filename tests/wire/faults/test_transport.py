"""Faults of the network arrive, at every source, as what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdagent.errors import ConfigError
from mdagent.guard.outcome import FailureKind
from mdagent.wire.faults import KINDS, completed
from tests.wire.faults.scene import SOURCES, fault, scene

if TYPE_CHECKING:
    from pathlib import Path

NETWORK: list[tuple[str, dict[str, Any], FailureKind | None]] = [
    ("refused", {}, FailureKind.CONNECT_FAIL),
    ("black_hole", {}, FailureKind.CONNECT_FAIL),
    ("partition", {}, FailureKind.CONNECT_FAIL),
    ("dns", {}, FailureKind.CONNECT_FAIL),
    ("tls", {"why": "unknown_ca"}, FailureKind.TLS_FAIL),
    ("silence", {}, FailureKind.TIMEOUT_READ),
    ("latency", {"delay": 1.0}, None),
    ("latency", {"delay": 60.0}, FailureKind.TIMEOUT_READ),
    ("bandwidth", {"rate": 1e6}, None),
    ("bandwidth", {"rate": 50.0}, FailureKind.TIMEOUT_READ),
    ("slow_loris", {}, FailureKind.TIMEOUT_READ),
    ("reset", {}, FailureKind.TRUNCATED),
    ("cut", {}, FailureKind.TRUNCATED),
    ("cut", {"told": "no"}, FailureKind.MALFORMED),
    ("cut", {"told": "no", "share": 0.0}, FailureKind.MALFORMED),
    ("header_flood", {}, FailureKind.PROTOCOL),
    ("endless", {}, FailureKind.TOO_LARGE),
    ("bomb", {}, FailureKind.TOO_LARGE),
    ("redirect", {}, FailureKind.SECURITY_BLOCK),
    ("redirect", {"to": "private"}, FailureKind.SECURITY_BLOCK),
    ("status", {"code": 429}, FailureKind.RATE_LIMITED),
    ("status", {"code": 503}, FailureKind.SERVER_ERROR),
]


@pytest.mark.parametrize(("kind", "settings", "expected"), NETWORK, ids=[f"{k} {s}" for k, s, _ in NETWORK])
@pytest.mark.parametrize("name", SOURCES)
def test_a_fault_of_the_network_is_called_by_its_name(
    tmp_path: Path, name: str, kind: str, settings: dict[str, Any], expected: FailureKind | None
) -> None:
    act = scene(tmp_path, fault(kind, **settings))
    assert act.kind(name) is expected
    assert (act.transport.events[0].kind, act.transport.events[0].source) == (kind, name)


@pytest.mark.parametrize("name", SOURCES)
def test_without_a_fault_every_source_answers(tmp_path: Path, name: str) -> None:
    act = scene(tmp_path)
    assert len(act.bars(name)) == 22
    assert act.transport.events == []


def test_each_fault_of_the_network_is_tried_here() -> None:
    assert {kind for kind, _, _ in NETWORK} == {name for name, kind in KINDS.items() if kind.where == "transport"}


def test_a_fault_strikes_only_in_its_time_and_at_its_sources(tmp_path: Path) -> None:
    act = scene(tmp_path, fault("refused", "yahoo", start=10.0, seconds=20.0))
    assert act.kind("yahoo") is None
    act.clock.pause(10.0)
    assert act.kind("yahoo") is FailureKind.CONNECT_FAIL
    assert act.kind("polygon") is None
    act.clock.pause(20.0)
    assert act.kind("yahoo") is None


def test_through_the_gate_a_refusal_is_tried_at_the_other_address_and_costs_nothing(tmp_path: Path) -> None:
    result = scene(tmp_path, fault("refused", "yahoo")).ask("yahoo")
    assert result.failure is not None
    assert {(a.failure.kind, a.sent) for a in result.attempts if a.failure} == {(FailureKind.CONNECT_FAIL, False)}
    assert len({a.host for a in result.attempts}) == 2


def test_a_partition_of_all_is_the_network_and_of_one_is_its_own(tmp_path: Path) -> None:
    everywhere = scene(tmp_path, fault("partition"))
    kinds = [result.failure.kind for name in SOURCES[:4] if (result := everywhere.ask(name, deadline=5.0)).failure]
    assert kinds[-1] is FailureKind.NETWORK_DOWN
    (tmp_path / "other").mkdir()
    one = scene(tmp_path / "other", fault("partition", "yahoo"))
    assert one.ask("polygon").failure is None
    failure = one.ask("yahoo").failure
    assert failure is not None
    assert failure.kind is FailureKind.CONNECT_FAIL


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    def run(seed: int) -> list[Any]:
        act = scene(tmp_path, fault("status", probability=0.5), fault("latency", jitter=0.9), seed=seed)
        for _ in range(12):
            act.kind("yahoo")
        return act.transport.events

    assert run(1) == run(1)
    assert run(2) != run(1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (fault("refuse"), "did you mean refused?"),
        (fault("latency", delay=-1), "use a number from 0 to 3600"),
        (fault("latency", delay="long"), "use a number from 0 to 3600"),
        (fault("latency", length=1), "it has delay, jitter"),
        (fault("refused", length=1), "this kind has no settings"),
        (fault("status", retry_after="soon"), "use one of none, "),
        (fault("refused", probability=1.5), "use a number from 0 to 1"),
    ],
)
def test_a_fault_that_the_table_does_not_allow_is_refused(wrong: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        completed(wrong)
    assert words in caught.value.hint


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_described_and_its_defaults_are_allowed(name: str) -> None:
    kind = KINDS[name]
    assert kind.says
    assert all(setting.refusal(setting.default) is None and setting.says for setting in kind.settings.values())
    assert completed(fault(name)).settings == {key: setting.default for key, setting in kind.settings.items()}
