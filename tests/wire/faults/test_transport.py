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
    with scene(tmp_path, fault(kind, **settings)) as act:
        assert act.first(name) is expected
        assert (act.transport.events[0].kind, act.transport.events[0].source) == (kind, name)


@pytest.mark.parametrize("name", SOURCES)
def test_without_a_fault_every_source_answers(tmp_path: Path, name: str) -> None:
    with scene(tmp_path) as act:
        assert set(act.kinds(name)) == {None}
        assert act.transport.events == []


def test_a_fault_strikes_only_in_its_time_and_at_its_sources(tmp_path: Path) -> None:
    with scene(tmp_path, fault("refused", "yahoo", start=10.0, seconds=20.0)) as act:
        assert act.first("yahoo") is None
        act.clock.pause(10.0)
        assert act.first("yahoo") is FailureKind.CONNECT_FAIL
        assert act.first("polygon") is None
        act.clock.pause(20.0)
        assert act.first("yahoo") is None


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    def run(folder: str, seed: int) -> list[Any]:
        (tmp_path / folder).mkdir()
        with scene(tmp_path / folder, fault("status", probability=0.5), fault("latency", jitter=0.9), seed=seed) as act:
            for _ in range(20):
                act.ask("yahoo")
            return act.transport.events

    assert run("a", 1) == run("b", 1)
    assert run("c", 2) != run("a2", 1)


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
