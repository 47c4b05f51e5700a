"""Every source against every bad answer: what is kept, what is put aside, what it is called."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from mdagent.cli.exits import ExitCode, of_line
from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import BarRequest, BarSet
from mdagent.quality.checks import judge
from mdagent.quality.grade import bar_scores, grade
from mdagent.quality.letters import band
from mdagent.sessions import Session, build
from mdagent.sources import load, spec_of
from mdagent.work.report import Line
from tests.sources.registry import KNOWN, format_of
from tests.sources.spoilt import BELOW_THE_BODY, CASES, Case, Outcome
from tests.sources.talk import converse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdagent.sources.base import Source
    from tests.sources.canonical import Format, Told

LIST = Path(__file__).resolve().parents[3] / "shared" / "bad_inputs.yaml"
CODES = {"PROVIDERS_FAILED": 4, "DATA_REJECTED": 6, "AUTH": 11, "SYMBOL_UNKNOWN": 13}  # where the list has another word
KEY = "SECRET123KEY"
LETTERS = "ABCDF"
ABILITIES = frozenset("texts numbers columns unit currency symbol name words instants pages late basis plan torn early".split())


@lru_cache(maxsize=1)
def sessions() -> Sequence[Session]:
    """New York's of that winter."""
    return build("XNYS", date(2023, 12, 1), date(2024, 3, 1)).sessions


class Replies:
    """The replies of a case in turn, the last for ever; a page's address is filled in once it is known who was asked where."""

    def __init__(self, told: Sequence[Told]) -> None:
        self._told = list(told)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        status, content = self._told[min(len(self.asked), len(self._told) - 1)]
        self.asked.append(request)
        here = str(request.url).encode()
        content = content.replace(b'"self"', b'"' + here + b'"').replace(b'"cursor:', b'"' + here.partition(b"?")[0] + b"?cursor=")
        return httpx.Response(status, content=content, headers={"content-type": "text/plain"}, request=request)


def come_of(source: Source, form: Format, case: Case) -> tuple[Outcome, Failure | None, Replies]:
    """What a bad answer comes to, adapter and quality together."""
    basis = form.flagged if case.flagged and form.flagged else form.basis
    request = BarRequest("AAPL", "1d", "2024-01-02", case.end, basis)  # type: ignore[arg-type]
    replies = Replies(case.said(form))
    failure: Failure | None = None
    bars: object = None
    try:
        bars = converse(source, source.bars(request), replies)
    except ConversationFailed as error:
        failure, bars = error.failure, error.partial
    if isinstance(bars, BarSet) and bars.adjustment is not basis:
        failure, bars = Failure(FailureKind.MISMATCH, "another basis"), None
    if not isinstance(bars, BarSet):
        assert failure is not None
        return Outcome(failure.kind, exit=of_line(Line(request, source.spec.name, failure=failure), 0)), failure, replies
    verdict = judge(bars, request, sessions(), case.now, source.delay)
    if verdict.refused:
        failure = Failure(FailureKind.BAD_VALUES, "most rows are bad")
        return Outcome(failure.kind, exit=of_line(Line(request, source.spec.name, failure=failure), 0)), failure, replies
    if not len(bars) and not verdict.quarantine:
        failure = failure or Failure(FailureKind.NO_DATA, "no bars")
    given, stored, bad = grade(verdict), len(verdict.keep), len(verdict.quarantine)
    suspect = any(f.check == "units" for f in verdict.findings)
    kind = failure.kind if failure else "BAD_VALUES" if bad else "SUSPECT" if suspect else "OK"
    scores = bar_scores(given, verdict, verdict.keep)
    letter = band(min(given.score, float(scores.max()))) if stored else "F"
    if suspect:
        letter = band(float(scores.min()))
    line = Line(request, source.spec.name, bars=stored, quarantined=bad, failure=failure)
    return Outcome(kind, stored, bad, of_line(line, 0), letter), failure, replies


def due(form: Format, case: Case) -> Outcome:
    """What the case must come to, in the words that this provider has for it."""
    if case.id == "PS05" and form.unknown != case.due.kind:
        return Outcome(form.unknown, exit=ExitCode.NO_DATA)
    if case.id in form.outcomes:
        kind, stored, quarantined = form.outcomes[case.id]
        return case.due._replace(kind=kind, stored=stored, quarantined=quarantined)
    return case.due


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("source", KNOWN)
def test_a_bad_answer_comes_to_what_it_must(source: str, case: Case) -> None:
    form = format_of(source)
    reason = case.why_not(form)
    if reason:
        return  # that each excuse is a good one is tested below
    adapter = load(source, api_key=KEY, plan=spec_of(source).plans[-1].name)
    came, failure, replies = come_of(adapter, form, case)
    wanted = due(form, case)
    assert (came.kind, came.stored, came.quarantined) == (wanted.kind, wanted.stored, wanted.quarantined), failure
    assert wanted.exit in (None, came.exit)
    if wanted.grade:
        assert LETTERS.index(came.grade or "A") >= LETTERS.index(wanted.grade)
    assert failure is None or len(failure.detail) <= 300
    if case.needs == "pages":
        assert len(replies.asked) <= case.requests
    assert all(request.url.host in spec_of(source).hosts for request in replies.asked)


@pytest.mark.parametrize("source", KNOWN)
def test_the_ten_bars_are_good_ones(source: str) -> None:
    form = format_of(source)
    adapter = load(source, api_key=KEY, plan=spec_of(source).plans[-1].name)
    case = next(case for case in CASES if case.id == "PB17")
    came, _, _ = come_of(adapter, form, case)
    assert came == Outcome("OK", 10, 0, ExitCode.OK, came.grade)
    assert came.grade in ("A", "B")


@pytest.mark.parametrize("source", KNOWN)
def test_whoever_is_excused_says_why(source: str) -> None:
    form = format_of(source)
    assert set(form.lacks) <= ABILITIES
    assert set(form.excused) | set(form.outcomes) <= {case.id for case in CASES}
    assert all(len(reason.split()) >= 3 for reason in (*form.lacks.values(), *form.excused.values()))
    assert {"texts", "numbers"} & set(form.lacks), "numbers are texts or they are not"
    assert {"words", "instants"} & set(form.lacks), "stamps are words or they are not"


def listed() -> Iterator[dict[str, Any]]:
    """The cases of the common list that concern a provider's words; none where it is absent."""
    for case in yaml.safe_load(LIST.read_text("utf-8"))["cases"] if LIST.exists() else ():
        if case["area"].startswith("provider."):
            yield case


@pytest.mark.skipif(not LIST.exists(), reason="the common list is not at hand")
def test_every_case_of_the_list_is_in_the_table_or_has_its_reason() -> None:
    ids = {case["id"] for case in listed()}
    ours = {case.id for case in CASES if "/" not in case.id}
    assert ids - ours == set(BELOW_THE_BODY)


@pytest.mark.parametrize("theirs", list(listed()), ids=lambda case: case["id"])
def test_the_outcome_is_that_of_the_list(theirs: dict[str, Any]) -> None:
    ours = next((case.due for case in CASES if case.id == theirs["id"]), None)
    if ours is None:
        return
    expect = theirs["expect"]
    assert (ours.kind, ours.stored, ours.quarantined) == (expect["class"], expect["stored"], expect["quarantined"])
    assert ours.exit in (None, CODES.get(expect["exit"], ExitCode.__members__.get(expect["exit"])))
    assert ours.grade == expect.get("max_grade", ours.grade)
