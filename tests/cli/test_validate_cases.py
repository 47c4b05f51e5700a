"""How well `mdagent validate` finds what is wrong, on cases that were graded by others; skipped where these are not at hand."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.shell import Shell, strict

if TYPE_CHECKING:
    from types import ModuleType

CASES = Path(__file__).resolve().parents[3] / "shared" / "grading"

pytestmark = pytest.mark.skipif(not (CASES / "score.py").exists(), reason="the graded cases are not beside this repository")


def _score() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score", CASES / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _flags(told: Any) -> list[dict[str, Any]]:
    return [{"timestamp": f["start"], "end": f["end"], "type": f["type"]} for f in told["findings"] if f["severity"] != "info"]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The report of the scorer."""
    said = Shell(tmp_path_factory.mktemp("cases")).run("-q", "validate", "--file", str(CASES / "cases"), "--json")
    found = [strict(line) for line in said.out.splitlines()]
    predictions = [
        {"case_id": Path(t["file"]).parent.name, "source": t["source"], "grade": t["grade"]["band"], "flags": _flags(t)} for t in found
    ]
    labels = [json.loads(line) for line in (CASES / "cases" / "labels.jsonl").read_text("utf-8").splitlines()]
    assert len(predictions) == sum(len(label["files"]) for label in labels)
    return _score().score(labels, CASES / "cases", predictions, json.loads((CASES / "mapping.json").read_text("utf-8")))


def test_the_grade_is_the_rubric_s(scored: Any) -> None:
    assert scored["unanswered"] == 0
    assert scored["grade"]["all"]["exact"] >= 0.95
    assert scored["grade"]["all"]["accepted"] >= 0.97


def test_what_can_be_seen_is_found(scored: Any) -> None:
    assert scored["overall"]["recall"] >= 0.95
    assert scored["overall"]["instance_recall"] >= 0.95


def test_what_is_right_is_left_in_peace(scored: Any) -> None:
    assert scored["false_positives"]["control_files_with_any_alarm"] <= 0.02
    assert scored["false_positives"]["per_million_clean_rows"] <= 200
