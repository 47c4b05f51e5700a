"""Every bad answer of a provider has its outcome: what is kept, what is told, who is charged."""

from __future__ import annotations

from typing import Any

import pytest

from mdagent.guard.outcome import CONSEQUENCES, Blame, FailureKind
from tests.bad_inputs.cases import ANSWERS, Case
from tests.bad_inputs.stage import FETCH, LeapingClock, Sent, Stage, Turns
from tests.wire.nasty import NastyServer

LETTERS = "ABCDF"
ONE_OF_EACH = list({case.kind: case for case in ANSWERS if not case.stored}.values())


def kind_of(line: dict[str, Any], sent: list[Sent]) -> str:
    """The class of what happened, by the report; of a failure that a second try healed, by the ledger."""
    if line["failure"]:
        return str(line["failure"]["kind"])
    failed = next((row.kind for row in sent if row.kind), None)
    if failed:
        return failed
    if line["quarantined"]:
        return "BAD_VALUES"
    return "SUSPECT" if any(" units: " in finding for finding in line["findings"]) else "OK"


def blame_of(line: dict[str, Any], kind: str) -> Blame:
    """What a breaker is to count: a few bad rows feed the rate of bad rows, a whole answer of them is a failure."""
    if kind in ("OK", "SUSPECT") or (kind == "BAD_VALUES" and not line["failure"]):
        return Blame.NONE if kind == "OK" else Blame.QUALITY
    return CONSEQUENCES[FailureKind(kind)].blame


def prepare(stage: Stage, case: Case) -> None:
    """The clock and the variables of the case."""
    stage.clock = LeapingClock(case.now)
    stage.more = dict(case.environ)


def check(stage: Stage, case: Case, server: NastyServer, before: list[str]) -> None:
    """Fetch, and look at everything that the case names; what was stored `before` is to be there still."""
    ran, line = stage.fetch(server, *case.words)
    sent, (bars, quarantined) = stage.sent(), stage.rows()
    assert ran.code == case.exit, ran.err
    kind = kind_of(line, sent)
    assert kind == case.kind
    assert bars[: len(before)] == before
    assert len(bars) - len(before) == case.stored
    assert len(quarantined) == case.quarantined
    assert len(server.requests) == case.requests
    assert [row.state for row in sent] == ["refunded" if case.refunded else "settled"] * max(case.requests, int(case.refunded))
    assert blame_of(line, kind) == case.blame
    if case.grade:
        assert LETTERS.index(line["grade"][0]) >= LETTERS.index(case.grade)
    said_nothing_wrong(ran.out + ran.err)
    assert all(len(row.detail or "") <= 300 for row in sent)
    if ran.code == 0:
        assert ran.out.count("\n") == 1 + case.stored


def said_nothing_wrong(text: str) -> None:
    """No traceback, no page of HTML, no raw control character."""
    assert "Traceback" not in text
    assert "<html" not in text.lower()
    assert "DOCTYPE" not in text
    assert not [ch for ch in text if ch < " " and ch != "\n"]


@pytest.mark.parametrize("case", ANSWERS, ids=str)
def test_a_bad_answer_has_its_outcome(case: Case, stage: Stage, december_rows: list[str]) -> None:
    prepare(stage, case)
    with NastyServer(Turns(case.scripts)) as server:
        check(stage, case, server, december_rows)


@pytest.mark.parametrize("case", ONE_OF_EACH, ids=lambda case: case.kind)
def test_a_refused_answer_for_a_window_that_is_stored_leaves_its_bars_alone(case: Case, full_stage: Stage, january_rows: list[str]) -> None:
    prepare(full_stage, case)
    with NastyServer(Turns(case.scripts)) as server:
        ran, _ = full_stage.fetch(server, *(case.words or FETCH), "--refresh")
        assert len(server.requests) == case.requests
    assert ran.code != 0
    assert full_stage.rows() == (january_rows, [])
