"""Local time and UTC for whole columns, as Python's own zones have them for one instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.guard.outcome import ConversationFailed, FailureKind
from mdagent.sources.reading.zones import dates_in, instants_in, zone_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Half hours, summer time on either hemisphere, a day that was left out (Apia, 2011), a change of half an hour, offsets with seconds.
NAMES = "America/New_York UTC Asia/Kolkata Australia/Sydney Pacific/Apia Australia/Lord_Howe Europe/Dublin Asia/Tokyo"
zones = st.sampled_from([ZoneInfo(name) for name in NAMES.split()])
SECONDS = st.lists(st.integers(-(2**32), 2**32 + 2**31), min_size=1, max_size=20)


def epochs(moments: list[int]) -> np.ndarray:
    return np.array(moments, dtype=np.int64)


def locals_(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[s]")


@given(SECONDS, zones)
def test_a_date_is_that_of_the_calendar_on_the_wall(moments: list[int], zone: ZoneInfo) -> None:
    due = [(EPOCH + timedelta(seconds=moment)).astimezone(zone).date() for moment in moments]
    assert dates_in(epochs(moments), zone).tolist() == due


@given(SECONDS, zones)
def test_a_local_time_is_the_instant_that_python_makes_of_it(moments: list[int], zone: ZoneInfo) -> None:
    local = epochs(moments).astype("datetime64[s]")
    due = [moment.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None) for moment in local.tolist()]
    assert instants_in(local, zone).tolist() == due


@given(st.integers(2000, 2040), st.integers(0, 200 * 3600), zones)
def test_so_it_is_round_every_change_of_the_clocks(year: int, after: int, zone: ZoneInfo) -> None:
    begin = datetime(year, 3, 25, tzinfo=UTC) + timedelta(seconds=after)
    for moment in (begin, begin + timedelta(days=217)):
        local = moment.replace(tzinfo=None)
        due = local.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
        assert instants_in(locals_(str(local)), zone).tolist() == [due]
        assert dates_in(epochs([int(moment.timestamp())]), zone).tolist() == [moment.astimezone(zone).date()]


def test_of_an_hour_that_comes_twice_the_first_is_meant() -> None:
    made = instants_in(locals_("2024-11-03 00:30", "2024-11-03 01:30", "2024-11-03 02:30"), ZoneInfo("America/New_York"))
    assert made.astype(str).tolist() == ["2024-11-03T04:30:00.000000", "2024-11-03T05:30:00.000000", "2024-11-03T07:30:00.000000"]


def test_an_hour_that_is_leapt_over_is_read_by_the_clock_before() -> None:
    (made,) = instants_in(locals_("2024-03-10 02:30"), ZoneInfo("America/New_York")).astype(str).tolist()
    assert made == "2024-03-10T07:30:00.000000"


def test_an_empty_column_stays_one() -> None:
    zone = ZoneInfo("America/New_York")
    assert dates_in(epochs([]), zone).dtype == np.dtype("datetime64[D]")
    assert instants_in(locals_(), zone).dtype == np.dtype("datetime64[us]")


def test_instants_far_beyond_any_bar_are_no_error() -> None:
    assert len(dates_in(epochs([-(10**15), 10**15]), ZoneInfo("Europe/London"))) == 2


def test_a_zone_is_read_by_its_name() -> None:
    assert zone_of("Europe/Madrid").key == "Europe/Madrid"


WRONG: list[object] = [
    "",
    "Mars/Base",
    "America",
    "../etc/passwd",
    "/etc",
    "a\0b",
    "x" * 5000,
    "\ud800",
    None,
    5,
    {"a": 1},
    [],
    float("nan"),
]


@pytest.mark.parametrize("name", WRONG)
def test_a_zone_that_there_is_not_is_refused(name: object) -> None:
    with pytest.raises(ConversationFailed, match="which does not exist") as caught:
        zone_of(name)
    assert caught.value.failure.kind is FailureKind.SCHEMA
    assert len(caught.value.failure.detail) < 200
