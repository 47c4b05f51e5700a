"""What comes from Yahoo and is no chart, or hardly one. That no bytes at all are too much is in test_contract_bytes.py."""

from __future__ import annotations

import json

import pytest

from mdagent.guard.outcome import FailureKind
from tests.sources.answers import THREE, bars, chart, meta, presentable, refused

K = FailureKind


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
