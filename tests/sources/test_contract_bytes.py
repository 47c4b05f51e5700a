"""No bytes make a parser raise anything but a classified failure: for every source and every kind of conversation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from tests.sources.fuzz import Bench, Parser, good, parsers, run
from tests.sources.registry import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

PARSERS = [parser for parser in parsers() if parser.source in KNOWN]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
each = pytest.mark.parametrize("parser", PARSERS, ids=str)
BENCHES: dict[Parser, Bench] = {}


def bench(parser: Parser) -> Bench:
    """One for all examples."""
    return BENCHES.setdefault(parser, BENCHES.get(parser) or Bench(parser))


def few(examples: int) -> Callable[[Any], Any]:
    """So many examples, the same in every run."""
    return settings(max_examples=examples, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@each
def test_a_good_answer_that_was_spoilt_is_read_or_refused(parser: Parser) -> None:
    tally = run(parser, range(40))
    assert not tally.faults
    assert tally.bodies == 40


@each
def test_the_good_answer_itself_is_read(parser: Parser) -> None:
    came = bench(parser).give(good(parser)[0], 200)
    assert not isinstance(came, Failure), came


@each
@few(5)
@given(content=st.binary(max_size=80), status=st.sampled_from([200, 403, 429, 503]))
def test_bytes_are_read_or_refused(parser: Parser, content: bytes, status: int) -> None:
    bench(parser).give(content, status)


@each
@few(8)
@given(value=JSON_VALUES)
def test_json_is_read_or_refused(parser: Parser, value: object) -> None:
    bench(parser).give(json.dumps(value).encode(), 200)


@each
@few(12)
@given(data=st.data())
def test_any_value_in_any_place_is_read_or_refused(parser: Parser, data: st.DataObject) -> None:
    place_of = data.draw(st.integers(0, len(good(parser)) - 1))
    try:
        body = json.loads(good(parser)[place_of])
    except ValueError:
        return  # a bare word
    place: Any = body
    path: list[tuple[Any, Any]] = []
    while isinstance(place, dict | list) and place and (not path or data.draw(st.integers(0, 9)) > 0):
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        path.append((place, key))
        place = place[key]
    if not path:
        return
    holder, key = path[-1]
    holder[key] = data.draw(JSON_VALUES)
    bench(parser).give(json.dumps(body).encode(), 200, place=place_of)


NO_ANSWERS: tuple[tuple[bytes, FailureKind], ...] = (
    (b"", FailureKind.MALFORMED),
    (b"   ", FailureKind.MALFORMED),
    (b"<html>maintenance</html>", FailureKind.MALFORMED),
    (b'{"chart": {"result"', FailureKind.MALFORMED),
    (b"\xff\xfe\x00", FailureKind.MALFORMED),
    (b"[" * 100000, FailureKind.MALFORMED),
    (b"null", FailureKind.SCHEMA),
    (b"5", FailureKind.SCHEMA),
    (b'"chart"', FailureKind.SCHEMA),
)


@each
@pytest.mark.parametrize(("content", "kind"), NO_ANSWERS)
def test_what_is_no_answer_is_named_by_what_is_wrong_with_it(parser: Parser, content: bytes, kind: FailureKind) -> None:
    came = bench(parser).give(content, 200)
    if parser.kind == "batch" and isinstance(came, list):
        came = came[0]
    assert isinstance(came, Failure)
    assert came.kind is kind


EMPTY_WORDS = (
    {"Note": ""},
    {"Information": " "},
    {"error": ""},
    {"error": {"code": "", "description": ""}},
    {"chart": {"result": None, "error": ""}},
    {"status": "ERROR", "error": ""},
    {"status": "NOT_AUTHORIZED", "message": ""},
    {"code": 400, "message": "", "status": "error"},
    {"detail": ""},
)


@each
@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
def test_an_error_without_words_is_told_in_ours(parser: Parser, status: int) -> None:
    for body in EMPTY_WORDS:
        bench(parser).give(json.dumps(body).encode(), status)  # checks that every failure says something
    bench(parser).give(b"", status)


@each
def test_a_failure_told_by_the_gate_ends_the_conversation_or_is_borne(parser: Parser) -> None:
    told = Failure(FailureKind.SERVER_ERROR, "HTTP 500", 500)
    made = bench(parser)
    talk = made.begin(made.source)
    next(talk)
    with pytest.raises((ConversationFailed, StopIteration)) as caught:
        talk.throw(ConversationFailed(told))
    if isinstance(caught.value, ConversationFailed):
        assert caught.value.failure is told
    else:  # a batch tells it of each of its symbols
        assert set(caught.value.args[0]) <= {told}


@pytest.mark.parametrize("source", KNOWN)
def test_five_megabytes_of_a_good_answer_are_glanced_at_not_read(source: str) -> None:
    import time

    made = bench(Parser(source, "days"))
    content = good(made.parser)[0]
    reply = httpx.Response(200, content=content[:-1] + b" " * 5_000_000 + content[-1:])
    begun = time.process_time()
    made.source.error_in(reply)
    assert time.process_time() - begun < 0.1
