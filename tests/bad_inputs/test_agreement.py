"""The table of this folder says the same as the common list of bad inputs, where that list is at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mdagent.cli.exits import ExitCode
from mdagent.guard.outcome import Blame
from tests.bad_inputs.cases import ANSWERS, NOT_YET, TLS, Case
from tests.bad_inputs.others import OTHERS, Other

LIST = Path(__file__).resolve().parents[3] / "shared" / "bad_inputs.yaml"
CODES = {"PROVIDERS_FAILED": 4, "DATA_REJECTED": 6, "AUTH": 11, "SYMBOL_UNKNOWN": 13}  # where the list has another word
REQUESTS = {"no": 1, "once_elsewhere": 2, "up_to_2": 2, "not_before_30s": 1}  # up_to_2: the second answer is a good one
ALL: tuple[Case | Other, ...] = (*ANSWERS, *TLS, *OTHERS)
OURS = {case.id: case for case in ALL}


def listed() -> list[dict[str, Any]]:
    """The cases of the common list; none where it is absent."""
    return yaml.safe_load(LIST.read_text("utf-8"))["cases"] if LIST.exists() else []


def test_no_id_stands_for_two_cases_and_none_is_both_done_and_open() -> None:
    ids = [case.id for case in ALL]
    assert len(ids) == len(set(ids))
    assert not set(ids) & set(NOT_YET)
    assert all(NOT_YET.values())


@pytest.mark.skipif(not LIST.exists(), reason="the common list is not at hand")
def test_every_case_of_the_list_is_in_the_table_or_has_its_reason() -> None:
    ids = {case["id"] for case in listed()}
    assert ids == {id_ for id_ in (*OURS, *NOT_YET) if "/" not in id_}


@pytest.mark.parametrize("theirs", [case for case in listed() if case["id"] in OURS], ids=lambda case: case["id"])
def test_the_outcome_is_that_of_the_list(theirs: dict[str, Any]) -> None:
    expect, ours = theirs["expect"], OURS[theirs["id"]]
    assert ours.exit == CODES.get(expect["exit"], ExitCode.__members__.get(expect["exit"]))
    if not isinstance(ours, Case):
        return
    assert ours.kind == expect["class"]
    assert (ours.stored, ours.quarantined) == (expect["stored"], expect["quarantined"])
    assert ours.refunded is (expect["quota"] == "refunded")
    assert ours.refunded or ours.requests == REQUESTS[expect["retry"]]
    if expect["action"] == "force_open":
        assert ours.blame is Blame.FORCE_OPEN
    elif ours.kind != "OK":
        assert ours.blame == expect["breaker"]
    assert ours.grade == expect.get("max_grade", ours.grade)
