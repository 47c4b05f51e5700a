"""Whatever Twelve Data sends is a value or a classified failure, never a crash."""

from __future__ import annotations

import json
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from tests.sources.answers import ask, presentable
from tests.sources.twelvedata_bodies import META, QUOTE, SPLIT, THREE, YEAR, error, hit, source, told

K = FailureKind


# Whatever comes

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
WHOLE: list[Any] = [
    told(THREE),
    {"AAPL": told(THREE), "MSFT": error(400, "No data is available")},
    QUOTE,
    {"meta": META, "splits": [SPLIT], "dividends": [{"ex_date": "2020-08-07", "amount": 0.82}]},
    {"data": [hit("IBE", "XMAD", "Spain")], "status": "ok"},
    [{"name": "NYSE", "code": "XNYS", "is_market_open": True}],
    error(429, "You have run out"),
]


def survives(content: bytes, status: int = 200, interval: str = "1d") -> None:
    """Every conversation ends with a value or a failure, when every request gets this one answer."""
    one = source()
    answer = httpx.Response(status, content=content)
    told = [one.error_in(answer)]
    request = ask(interval=interval)
    talks: list[Any] = [one.bars(request), one.batch([request, ask("MSFT", interval)]), one.quote("AAPL"), one.search("x"), one.market()]
    for talk in [*talks, one.actions(*YEAR)]:
        try:
            next(talk)
            while True:
                talk.send(answer)
        except StopIteration as end:
            told += [f for f in end.value if isinstance(f, Failure)] if isinstance(end.value, list) else []
        except ConversationFailed as failed:
            told.append(failed.failure)
    assert all(presentable(failure.detail) for failure in told if failure is not None)


@given(st.binary(max_size=200), st.sampled_from([200, 400, 404, 429, 500]))
def test_no_bytes_make_it_raise_anything_but_a_failure(content: bytes, status: int) -> None:
    survives(content, status)


@given(st.data())
def test_no_value_in_any_place_makes_it_raise_anything_but_a_failure(data: st.DataObject) -> None:
    holder: list[Any] = [json.loads(json.dumps(data.draw(st.sampled_from(WHOLE))))]
    place: Any = holder
    key: Any = 0
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.integers(0, 9)) > 0:
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(JSON_VALUES)
    survives(json.dumps(holder[0]).encode(), interval=data.draw(st.sampled_from(["1d", "1w", "1mo", "1h"])))
