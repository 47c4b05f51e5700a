"""Strict reading of a provider's JSON: what Python's parser forgives is told."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.sources.reading.body import CONFLICT, _keys_are_distinct, _object, failed, read_json
from mdagent.sources.reading.fields import number, text
from tests.sources.answers import reply


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"{}", {}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b' \n{"a": "\\u00e9"} ', {"a": "é"}),
        (b'{"a": 1e400}', {"a": math.inf}),
        (b'{"a": -Infinity}', {"a": -math.inf}),
        (b'{"a": {"a": 1}, "b": 1}', {"a": {"a": 1}, "b": 1}),
        (b"12345678901234567890", 12345678901234567890),
        (b"123456789012345678901234567890", 123456789012345678901234567890.0),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
    ],
)
def test_a_body_is_read_as_it_is(content: bytes, value: object) -> None:
    assert read_json(reply(content)) == value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"  <!DOCTYPE html>", "an HTML page"),
        (b'{"a": 1', "not JSON at character 7 of 7"),
        (b'{"a": 1} trailing', "not JSON at character 9 of 17"),
        (b"{'a': 1}", "not JSON"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "thousands of digits"),
    ],
)
def test_what_cannot_be_read_is_malformed_and_says_where(content: bytes, words: str) -> None:
    with pytest.raises(ConversationFailed, match=words) as caught:
        read_json(reply(content, 203))
    assert (caught.value.failure.kind, caught.value.failure.status) == (FailureKind.MALFORMED, 203)


def test_a_key_given_twice_alike_is_one_key() -> None:
    assert read_json(reply(b'{"a": [1, null], "a": [1, null]}')) == {"a": [1, None]}


def test_a_key_given_twice_differently_is_neither_value() -> None:
    assert read_json(reply(b'{"a": 1, "b": 2, "a": 3}')) == {"a": CONFLICT, "b": 2}
    assert read_json(reply(b'{"a": 1, "a": 1.0}'))["a"] is CONFLICT
    assert read_json(reply(b'{"a": 1, "a": 2, "a": 1}'))["a"] is CONFLICT
    assert repr(CONFLICT) == "<given twice>"


def test_lists_given_twice_differ_element_by_element() -> None:
    assert read_json(reply(b'{"a": [1, 2, [3]], "a": [1, 9, [3]]}'))["a"] == [1, CONFLICT, [3]]
    assert read_json(reply(b'{"a": [1, 2], "a": [1]}'))["a"] is CONFLICT


LEAST, MOST = -(2**63), 2**64 - 1  # whole numbers beyond come as floats
PLAIN = st.none() | st.booleans() | st.integers(LEAST, MOST) | st.text() | st.floats()


@given(st.recursive(PLAIN, lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_every_value_of_json_comes_back_as_pythons_own_parser_reads_it(value: object) -> None:
    for told in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        content = told.encode()
        assert written(read_json(reply(content))) == written(json.loads(content))


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_a_number_is_the_float_nearest_to_what_is_written(number: str) -> None:
    read, own = read_json(reply(f"[{number}]"))[0], json.loads(number)
    assert written(read) == written(own if isinstance(own, float) or LEAST <= own <= MOST else float(own))


BLANKS = st.sampled_from(["", "", "", " ", "\n", "\t", "\r", " \n "])
KEYS = st.sampled_from(["a", "b", "c", '":', '"', "\\", ":", 'a":1,"a', "é"])
LEAVES = st.sampled_from(["1", "-0.5", "1e3", "null", "true", "[]", "{}", '"a"', '":"', '"\\":"', '"\\"a\\":1"', '"\\\\"', '"{\\"a\\":1}"'])


@st.composite
def objects_of(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """The text of an object: keys may come twice, blanks stand anywhere."""
    entries = draw(st.lists(st.tuples(KEYS, BLANKS, BLANKS, inner, st.booleans()), max_size=4))
    told = []
    for key, before, after, value, escaped in entries:
        spelled = json.dumps(key)
        if escaped and key == "a":
            spelled = '"\\u0061"'  # the same key in other letters
        told.append(f"{before}{spelled}{before}:{after}{value}{after}")
    return "{" + ",".join(told) + "}"


def lists_of(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, max_size=4).map(lambda items: "[" + ",".join(items) + "]")


TEXTS = st.recursive(LEAVES, lambda inner: objects_of(inner) | lists_of(inner), max_leaves=20)


def with_care(text: str) -> object:
    """What the slow way makes of it, object by object."""
    return json.loads(text, object_pairs_hook=_object)


def written(value: object) -> str:
    """Told apart by type and order too: 1 is not true, and a conflict equals itself alone."""
    return repr(value)


@given(TEXTS)
def test_counting_keys_never_misses_one_that_comes_twice(text: str) -> None:
    assert written(read_json(reply(text))) == written(with_care(text))


@given(TEXTS, st.integers(1, 12), st.sampled_from(["[%s]", '{"a":%s}', '{"a":1,"b":[%s]}', "[0,%s]", '[{"a":1},{"a":1,"b":%s}]']))
def test_nor_does_it_however_deep_the_object_lies(text: str, depth: int, shell: str) -> None:
    for _ in range(depth):
        text = shell.replace("%s", text)
    assert written(read_json(reply(text))) == written(with_care(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"a" :1,"a":2}',
        '{"a"\n:1,"a":2}',
        '{"b":"\\":","a":1,"a":2}',
        '{"a":"\\":","a" :2}',
        '[1,{"a":1,"a":2}]',
        '[{"a":1},{"a":1,"a":2}]',
        '[{"a":1},{"a":{"b":1,"b":2}}]',
        '[[],{"a":1,"a":2}]',
        '{"a":1,"\\u0061":2}',
        '{"x":[{"a":1,"b":"\\":"},{"a":1,"a":2}]}',
    ],
)
def test_a_key_given_twice_is_found_wherever_it_hides(text: str) -> None:
    assert "<given twice>" in written(read_json(reply(text)))


def test_objects_of_one_shape_are_read_once() -> None:
    made = {"rows": [{"t": n, "c": 1.5} for n in range(100)], "by day": {str(n): {"c": 1} for n in range(100)}}
    rows = json.dumps(made, separators=(",", ":"))
    assert _keys_are_distinct(json.loads(rows), rows.encode())
    twice = rows.replace('"c":1.5}', '"c":1.5,"c":1.5}', 1)
    assert not _keys_are_distinct(json.loads(twice), twice.encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_malformed(content: bytes) -> None:
    kinds = {FailureKind.MALFORMED}
    try:
        read_json(reply(content))
    except ConversationFailed as error:
        kinds.add(error.failure.kind)
    assert kinds == {FailureKind.MALFORMED}


def test_a_conversation_ends_with_a_kind_and_a_sentence() -> None:
    error = failed(FailureKind.SCHEMA, "no such list", 200)
    assert (error.failure.kind, error.failure.detail, error.failure.status) == (FailureKind.SCHEMA, "no such list", 200)


@pytest.mark.parametrize("value", [None, True, False, "1", [1], math.nan, math.inf, 2**53, -(2**53), 10**400, CONFLICT])
def test_what_is_no_plain_number_is_none(value: object) -> None:
    assert number({"a": value}, "a") is None
    assert number({}, "a") is None


@pytest.mark.parametrize(("value", "same"), [(1, 1.0), (-0.5, -0.5), (0, 0.0), (2**53 - 1, 2.0**53 - 1)])
def test_a_number_is_a_float(value: float, same: float) -> None:
    assert number({"a": value}, "a") == same


@pytest.mark.parametrize(
    ("value", "same"), [("é", "é"), (None, ""), (5, ""), (["a"], ""), ("x" * 5000, "x" * 4096), ("a\ud800b", "a?b"), (CONFLICT, "")]
)
def test_a_text_is_bounded_and_can_be_written(value: object, same: str) -> None:
    assert text({"a": value}, "a") == same
    assert text({}, "a") == ""


def rows(count: int, key: str = "b") -> bytes:
    """A large body of rows keyed by date."""
    return b'{"meta":{"x":":"},"rows":{' + b",".join(b'"%d": {"a":"09:30", "%s":[%d]}' % (n, key.encode(), n) for n in range(count)) + b"}}"


@pytest.mark.parametrize("count", [3, 20_000])
def test_a_key_given_twice_is_found_in_small_and_in_large_bodies(count: int) -> None:
    assert read_json(reply(rows(count)))["rows"]["1"] == {"a": "09:30", "b": [1]}
    last = f'"{count - 1}": '.encode()
    twice = read_json(reply(rows(count).replace(last, b'"0": ')))
    assert twice["rows"]["0"] is CONFLICT
    assert read_json(reply(rows(count, 'a" ').replace(b'"a" "', b'"a" ')))["rows"]["1"]["a"] is CONFLICT


def test_a_key_given_twice_is_found_where_objects_hide_from_the_count() -> None:
    assert read_json(reply(b'[{"a":1},{"a":1,"b":{"c":1,"c":2}},{"a":1}]'))[1]["b"]["c"] is CONFLICT
    assert read_json(reply(b'[1,{"a":1,"a":2}]'))[1]["a"] is CONFLICT
    assert read_json(reply(b"[" * 20 + b'{"a":1,"a":2}' + b"]" * 20))
