"""Whatever Yahoo sends is bars or a classified failure, never a crash."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.market import BarSet
from mdagent.sources import load
from tests.sources.answers import THREE, ask, at, bars, chart, meta, presentable, refused, reply

if TYPE_CHECKING:
    import httpx

K = FailureKind
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def hold_all(talk: Any, answer: httpx.Response) -> object:
    """The end of a conversation in which every request gets this one answer."""
    try:
        next(talk)
        while True:
            talk.send(answer)
    except StopIteration as end:
        return end.value


def survives(content: bytes, status: int, request: Any) -> None:
    source = load("yahoo")
    answer = reply(content, status)
    failure = source.error_in(answer)
    for talk in (source.bars(request), source.quote("AAPL"), source.search("x")):
        try:
            value = hold_all(talk, answer)
        except ConversationFailed as error:
            failure = error.failure
        else:
            assert not isinstance(value, BarSet) or np.isfinite(value.close).all()
        assert failure is None or presentable(failure.detail)


@given(st.binary(max_size=200), st.sampled_from([200, 400, 404, 429, 500]))
def test_no_bytes_make_the_reader_raise_anything_but_a_failure(content: bytes, status: int) -> None:
    survives(content, status, ask())


@given(JSON_VALUES, st.sampled_from(["1d", "1w", "1h"]))
def test_no_json_makes_the_reader_raise_anything_but_a_failure(value: object, interval: str) -> None:
    survives(json.dumps(value).encode(), 200, ask(interval=interval))


@given(st.data())
def test_no_value_in_any_place_of_a_chart_makes_the_reader_raise_anything_but_a_failure(data: st.DataObject) -> None:
    interval = data.draw(st.sampled_from(["1d", "1w", "1mo", "1h", "1m"]))
    word = {"1w": "1wk"}.get(interval, interval)
    events = {
        "dividends": {"1": {"amount": 0.2, "date": at("2024-01-10")}},
        "splits": {"1": {"date": at("2024-01-10"), "numerator": 4, "denominator": 1}},
    }
    body = chart(THREE, adjclose=[9.0, 10.0, 11.0], events=events, dataGranularity=word)
    place: Any = body
    path: list[tuple[Any, Any]] = []
    while isinstance(place, dict | list) and place and (not path or data.draw(st.integers(0, 9)) > 0):
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        path.append((place, key))
        place = place[key]
    holder, key = path[-1]
    holder[key] = data.draw(JSON_VALUES)
    survives(json.dumps(body).encode(), 200, ask(interval=interval, adjust=data.draw(st.sampled_from(["splits", "all"]))))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", K.MALFORMED),
        (b"   ", K.MALFORMED),
        (b"<html>maintenance</html>", K.MALFORMED),
        (b'{"chart": {"result"', K.MALFORMED),
        (b"\xff\xfe\x00", K.MALFORMED),
        (b"[" * 100000, K.MALFORMED),
        (b"null", K.SCHEMA),
        (b"[]", K.SCHEMA),
        (b'"chart"', K.SCHEMA),
        (b"{}", K.SCHEMA),
        ({"chart": {"result": [], "error": None}}, K.SCHEMA),
        ({"chart": {"result": None, "error": None}}, K.SCHEMA),
        ({"chart": {"result": [{"meta": meta(), "indicators": {"quote": []}}]}}, K.SCHEMA),
        ({"chart": {"result": [{"meta": meta(), "timestamp": 5, "indicators": {"quote": [{}]}}]}}, K.SCHEMA),
        ({"chart": {"result": [{"meta": meta(), "timestamp": [1704205800], "indicators": {"quote": [{}]}}]}}, K.SCHEMA),
    ],
)
def test_what_is_no_chart_is_named_by_what_is_wrong_with_it(body: object, kind: FailureKind) -> None:
    assert refused(body).kind is kind


def test_columns_of_unequal_length_are_refused_whole() -> None:
    body = chart(THREE)
    body["chart"]["result"][0]["indicators"]["quote"][0]["close"].pop()
    failure = refused(body)
    assert (failure.kind, failure.detail) == (K.SCHEMA, "column close has 2 values where 3 were due")


def test_prices_without_stamps_are_refused() -> None:
    body = chart(THREE)
    del body["chart"]["result"][0]["timestamp"]
    assert refused(body).kind is K.SCHEMA


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", None, "../../etc/passwd", "America", "\x00", 5, "x" * 5000, "\ud800"])
def test_a_zone_that_does_not_exist_is_refused(zone: object) -> None:
    body = chart(THREE)
    body["chart"]["result"][0]["meta"]["exchangeTimezoneName"] = zone
    failure = refused(body)
    assert failure.kind is K.SCHEMA
    assert presentable(failure.detail)


def test_half_characters_of_a_name_are_replaced_because_no_file_could_hold_them() -> None:
    told = bars(chart(THREE, longName="App\ud800le")).instrument
    assert told is not None
    assert told.name == "App?le"


def test_a_byte_order_mark_is_dropped() -> None:
    assert len(bars(b"\xef\xbb\xbf" + json.dumps(chart(THREE)).encode())) == 3
