"""One set of bars before the checks."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdagent.market import Adjustment, BarRequest, CorporateAction, Instrument, Interval, Symbol
from mdagent.quality.checks import CHECKS, judge
from mdagent.quality.finding import Severity, Verdict
from mdagent.sessions import expected
from tests.quality.ten import DAYS, NOW, REQUEST, bars, bars_at, judged, row, sessions, spoilt

UP = 1.0 + 1e-7
NEEDING_MORE = {"volumes", "dividends", "others", "votes"}  # of ten bars of one source, which lists no actions


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def names(verdict: Verdict) -> set[str]:
    return {f.check for f in verdict.findings if f.severity is not Severity.INFO}


def test_ten_clean_bars_have_no_finding_and_every_check_ran() -> None:
    verdict = judged(bars())
    assert verdict.findings == ()
    assert {s.check for s in verdict.skipped} == NEEDING_MORE
    assert set(verdict.ran) == {*CHECKS} - NEEDING_MORE
    assert (verdict.bars, verdict.expected, verdict.absences, verdict.caps, verdict.refused) == (10, 10, (), None, False)


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({"close": np.nan}, "schema"),
        ({"low": -np.inf}, "schema"),
        ({"high": np.inf}, "schema"),
        ({"low": 1e-320}, "schema"),
        ({"high": 9007199254740993}, "schema"),
        ({"volume": np.inf}, "schema"),
        ({"low": 0.0}, "positivity"),
        ({"open": -184.0, "high": -186.0, "low": -183.0, "close": -185.0}, "positivity"),
        ({"volume": -5.0}, "positivity"),
        ({"high": 184.0, "low": 187.0}, "ohlc"),
        ({"close": 250.0}, "ohlc"),
        ({"open": 100.0}, "ohlc"),
    ],
)
def test_a_row_that_cannot_be_a_bar_is_quarantined_once_with_its_values(values: dict[str, float], check: str) -> None:
    verdict = judged(spoilt(3, **values))
    assert names(verdict) == {check}
    assert len(verdict.keep) == 9
    (lost,) = verdict.quarantine
    assert (lost.check, lost.ts) == (check, utc(2024, 1, 5))
    assert set(json.loads(lost.raw)) == {"open", "high", "low", "close", "volume"}
    assert [(a.ts, a.reason) for a in verdict.absences] == [(utc(2024, 1, 5), "row rejected")]
    assert not verdict.refused


def test_rounding_to_float32_is_no_error_and_a_source_may_tell_no_volume() -> None:
    good = bars()
    silent = replace(spoilt(3, close=float(good.high[3]) * UP), volume=np.full(10, np.nan))
    verdict = judged(silent)
    assert verdict.findings == ()
    assert len(verdict.keep) == 10


def test_a_volume_missing_here_and_there_is_told_and_the_bar_kept() -> None:
    verdict = judged(spoilt(3, volume=np.nan))
    assert [(f.check, f.type, f.severity, f.count) for f in verdict.findings] == [("schema", "nan_field", Severity.LOW, 1)]
    assert len(verdict.keep) == 10


def test_a_close_slightly_outside_the_range_is_told_and_kept() -> None:
    good = bars()
    verdict = judged(spoilt(3, close=float(good.high[3]) * 1.002))
    (found,) = verdict.findings
    assert (found.check, found.severity, found.count) == ("ohlc", Severity.LOW, 1)
    assert found.value == pytest.approx(0.002, rel=0.01)
    assert len(verdict.keep) == 10
    assert verdict.caps is not None
    assert verdict.caps.index(min(verdict.caps)) == 3


def test_futures_and_indices_may_fall_below_zero_and_stocks_may_not() -> None:
    oil = replace(spoilt(3, open=-30.0, high=-10.0, low=-40.0, close=-37.63), symbol=Symbol.parse("CL=F"), instrument=None)
    assert "positivity" not in names(judged(oil))


def test_disorder_and_equal_duplicates_are_only_told() -> None:
    verdict = judged(bars(unsorted=True, duplicates=(datetime(2024, 1, 3, tzinfo=UTC),), rows=11))
    assert {(f.check, f.severity, f.count) for f in verdict.findings} == {("order", Severity.INFO, 0), ("duplicates", Severity.INFO, 1)}
    assert len(verdict.keep) == 10


def test_of_two_different_rows_for_one_stamp_neither_wins() -> None:
    verdict = judged(bars(conflicts=(row(5, "duplicates"),), rows=11))
    assert len(verdict.keep) == 9
    assert [r.ts for r in verdict.quarantine] == [utc(2024, 1, 5)] * 2
    assert names(verdict) == {"duplicates"}
    assert verdict.bars == 11
    assert not verdict.refused


def test_stamps_out_of_order_within_a_set_are_quarantined() -> None:
    mixed = bars().take(np.array([0, 1, 2, 5, 4, 6, 7, 8, 9]))
    verdict = judged(mixed)
    assert [r.check for r in verdict.quarantine] == ["order"]
    assert (np.diff(verdict.keep.ts) > np.timedelta64(0)).all()


def test_rows_that_cannot_be_read_are_quarantined() -> None:
    verdict = judged(bars(DAYS[:3] + DAYS[4:], rejected=(row(5),), rows=10))
    assert (len(verdict.keep), len(verdict.quarantine), verdict.bars) == (9, 1, 10)
    assert names(verdict) == {"rejected"}
    assert verdict.absences[0].reason == "row rejected"


def test_more_than_a_fifth_of_bad_rows_refuses_the_answer() -> None:
    two = judged(bars(DAYS[:8], rejected=(row(12), row(16)), rows=10))
    three = judged(bars(DAYS[:7], rejected=(row(11), row(12), row(16)), rows=10))
    assert (two.refused, three.refused) == (False, True)


def test_a_daily_bar_on_a_closed_day_is_quarantined() -> None:
    for day in (6, 15):
        verdict = judged(bars(tuple(sorted((*DAYS, day)))))
        assert (len(verdict.keep), [r.check for r in verdict.quarantine]) == (10, ["non_session"])


def test_a_bar_of_the_future_is_quarantined_inside_and_outside_the_window() -> None:
    later = BarRequest("AAPL", "1d", "2024-01-02", "2024-02-01")  # type: ignore[arg-type]
    inside = judged(bars((*DAYS, 19)), request=later)
    outside = judged(bars(outside=(utc(2024, 1, 19),), rows=11))
    for verdict in (inside, outside):
        assert (len(verdict.keep), [(r.check, r.ts) for r in verdict.quarantine]) == (10, [("future", utc(2024, 1, 19))])
        assert names(verdict) == {"future"}


def test_rows_outside_the_window_are_counted_only() -> None:
    past = judged(bars(outside=(utc(2023, 12, 28), utc(2023, 12, 29)), rows=12))
    unheeding = judged(bars(outside=tuple(expected(sessions(), Interval.D1, utc(2024, 1, 17), utc(2024, 2, 14))), rows=30))
    for verdict, count in ((past, 2), (unheeding, 20)):
        assert [(f.check, f.severity, f.count) for f in verdict.findings] == [("window", Severity.INFO, count)]
        assert len(verdict.keep) == 10


def test_the_open_session_is_no_future_and_its_absence_is_pending() -> None:
    request = BarRequest("AAPL", "1d", "2024-01-02", "2024-01-18")  # type: ignore[arg-type]
    now = utc(2024, 1, 17, 15)
    assert judged(bars((*DAYS, 17)), now=now, request=request).findings == ()
    without = judged(bars(), now=now, request=request)
    assert without.findings == ()
    assert [(a.ts, a.reason) for a in without.absences] == [(utc(2024, 1, 17), "pending")]
    assert without.expected == 10


def test_a_session_that_has_begun_where_the_sun_rises_first_is_no_future() -> None:
    wellington = replace(bars((8,)), symbol=Symbol.parse("AIR.NZ"))
    now = utc(2024, 1, 7, 22)
    verdict = judge(wellington, REQUEST, sessions("XNZE"), now, timedelta(0))
    assert "future" not in names(verdict)
    assert "future" in names(judge(wellington, REQUEST, sessions("XNZE"), utc(2024, 1, 7, 20), timedelta(0)))


def test_every_missing_session_has_its_reason() -> None:
    listed = Instrument(REQUEST.symbol, "test", first_trade=date(2024, 1, 4))
    got = replace(bars((5, 8, 9, 11, 12, 16), absent=(utc(2024, 1, 10),), rows=7), instrument=listed)
    verdict = judged(got)
    assert [(a.ts.day, a.reason) for a in verdict.absences] == [
        (2, "not yet listed"),
        (3, "not yet listed"),
        (4, "provider gap"),
        (10, "null bar at source"),
    ]
    assert verdict.expected == 8
    assert sorted((f.check, f.severity, f.count) for f in verdict.findings) == [("gaps", Severity.MEDIUM, 1)] * 2


@pytest.mark.parametrize(
    ("missing", "severity"),
    [(1, Severity.LOW), (5, Severity.LOW), (20, Severity.MEDIUM), (60, Severity.HIGH), (200, Severity.CRITICAL)],
)
def test_gaps_weigh_by_their_share(missing: int, severity: Severity) -> None:
    request = BarRequest("AAPL", "1d", "2014-01-01", "2024-01-01")  # type: ignore[arg-type]
    due = expected(sessions(), Interval.D1, request.start, request.end)
    assert len(due) == 2516
    verdict = judged(bars_at(due[:50] + due[50 + missing :]), request=request)
    assert [(f.check, f.severity, f.count) for f in verdict.findings] == [("gaps", severity, missing)]


@pytest.mark.parametrize(
    ("missing", "severity"), [(1, Severity.MEDIUM), (3, Severity.HIGH), (6, Severity.CRITICAL), (10, Severity.CRITICAL)]
)
def test_a_missing_end_of_a_window_that_reaches_now_is_stale(missing: int, severity: Severity) -> None:
    verdict = judged(bars(DAYS[: len(DAYS) - missing]))
    assert [(f.check, f.severity, f.count) for f in verdict.findings] == [("staleness", severity, missing)]


def test_a_missing_end_of_a_past_window_is_a_gap() -> None:
    verdict = judged(bars(DAYS[:-1]), now=utc(2024, 3, 1))
    assert names(verdict) == {"gaps"}


def test_within_the_sources_delay_the_last_bar_is_pending() -> None:
    verdict = judge(bars(DAYS[:-1]), REQUEST, sessions(), utc(2024, 1, 16, 21, 10), timedelta(minutes=15))
    assert verdict.findings == ()
    assert verdict.absences[0].reason == "pending"


def test_without_a_calendar_its_checks_did_not_run() -> None:
    verdict = judged(bars(DAYS[:5]), known=False)
    assert {s.check for s in verdict.skipped} - {"ticks", "levels"} == {"non_session", "gaps", "staleness"} | NEEDING_MORE
    assert not {"non_session", "gaps", "staleness"} & set(verdict.ran)
    assert verdict.expected is None
    none = judge(bars(), REQUEST, (), NOW, timedelta(0))
    assert {"non_session", "gaps", "staleness"} <= {s.check for s in none.skipped}


def test_beyond_the_known_sessions_nothing_is_condemned() -> None:
    verdict = judge(bars(), REQUEST, [s for s in sessions() if s.day < date(2024, 1, 9)], NOW, timedelta(0))
    assert len(verdict.keep) == 10


@pytest.mark.parametrize("at", [0, 3, 9])
@pytest.mark.parametrize("times", [100.0, 0.01])
def test_a_bar_in_another_unit_is_kept_and_suspected(at: int, times: float) -> None:
    good = bars()
    verdict = judged(spoilt(at, **{n: float(getattr(good, n)[at]) * times for n in ("open", "high", "low", "close")}))
    assert [(f.check, f.count) for f in verdict.findings] == [("units", 1)]
    assert len(verdict.keep) == 10
    assert verdict.caps is not None
    assert [i for i, cap in enumerate(verdict.caps) if cap < 80] == [at]


def test_a_level_that_moves_for_good_is_a_split_that_somebody_forgot_and_no_slip_of_units() -> None:
    good = bars()
    columns = {n: np.where(np.arange(10) < 5, 1.0, 20.0) * getattr(good, n) for n in ("open", "high", "low", "close")}
    assert [(f.check, f.type) for f in judged(replace(good, **columns)).findings] == [("levels", "unadjusted_split")]
    raw = judged(replace(good, adjustment=Adjustment.RAW, **columns))
    assert raw.findings == ()


def test_a_split_of_raw_prices_that_a_source_does_not_list_though_it_lists_them_all_was_none() -> None:
    good = bars()
    columns = {n: np.where(np.arange(10) < 5, 1.0, 20.0) * getattr(good, n) for n in ("open", "high", "low", "close")}
    lists_all = replace(good, adjustment=Adjustment.RAW, delivery=good.delivery._replace(events=True), **columns)
    assert [(f.check, f.type) for f in judged(lists_all).findings] == [("levels", "unadjusted_split")]
    day = good.ts[5].item().date()
    assert judged(replace(lists_all, actions=(CorporateAction("split", day, 0.05),))).findings == ()


def test_two_bars_have_too_few_neighbours_to_be_suspected() -> None:
    assert {"units", "ticks", "levels", "stale"} <= {s.check for s in judged(bars((2, 3))).skipped}


def test_an_answer_without_a_name_has_no_proved_identity() -> None:
    assert [(f.check, f.severity) for f in judged(bars(named=False)).findings] == [("identity", Severity.LOW)]


def minutes(stamps: list[datetime], interval: str = "1m") -> tuple[Verdict, BarRequest]:
    request = BarRequest("AAPL", interval, "2024-01-02", "2024-01-04")  # type: ignore[arg-type]
    some = replace(bars_at(stamps), interval=request.interval)
    return judged(some, request=request, now=utc(2024, 1, 10)), request


def test_intraday_bars_belong_to_a_session_and_the_closing_print_is_tolerated() -> None:
    due = expected(sessions(), Interval.M1, utc(2024, 1, 2), utc(2024, 1, 4))
    clean, _ = minutes(due)
    assert clean.findings == ()
    extra, _ = minutes(sorted((*due, utc(2024, 1, 2, 12), utc(2024, 1, 2, 21), utc(2024, 1, 3, 3))))
    assert [(r.ts, r.check) for r in extra.quarantine] == [(utc(2024, 1, 2, 12), "non_session"), (utc(2024, 1, 3, 3), "non_session")]
    assert [f.start for f in extra.findings if f.severity is Severity.INFO] == [utc(2024, 1, 2, 21)]


def test_single_silent_minutes_are_untraded_and_long_silence_is_a_gap() -> None:
    due = expected(sessions(), Interval.M1, utc(2024, 1, 2), utc(2024, 1, 4))
    verdict, _ = minutes([ts for i, ts in enumerate(due) if i != 50 and not 100 <= i < 110])
    assert {a.reason for a in verdict.absences} == {"not traded", "provider gap"}
    assert {(f.check, f.severity, f.count) for f in verdict.findings} == {("gaps", Severity.INFO, 1), ("gaps", Severity.MEDIUM, 10)}


def test_hours_cut_by_the_clock_are_as_good_as_hours_from_the_open() -> None:
    clock = [utc(2024, 1, d, h) for d in (2, 3) for h in range(14, 21)]
    verdict, _ = minutes(clock, "1h")
    assert len(verdict.keep) == 14
    assert names(verdict) == set()


def test_lunch_is_no_gap_and_a_bar_in_it_is_a_stranger() -> None:
    request = BarRequest("7203.T", "30m", "2024-02-05", "2024-02-06")  # type: ignore[arg-type]
    due = expected(sessions("XTKS"), Interval.M30, request.start, request.end)
    some = replace(bars_at(due), symbol=request.symbol, interval=request.interval)
    assert judge(some, request, sessions("XTKS"), utc(2024, 2, 7), timedelta(0)).findings == ()
    lunch = replace(bars_at(sorted((*due, utc(2024, 2, 5, 3)))), symbol=request.symbol, interval=request.interval)
    assert [r.check for r in judge(lunch, request, sessions("XTKS"), utc(2024, 2, 7), timedelta(0)).quarantine] == ["non_session"]


def test_a_sunday_evening_bar_of_spot_fx_is_kept_and_christmas_is_optional() -> None:
    request = BarRequest("EURUSD=X", "1d", "2023-12-18", "2024-01-06")  # type: ignore[arg-type]
    due = [ts for ts in expected(sessions("24/5"), Interval.D1, request.start, request.end) if (ts.month, ts.day) not in ((12, 25), (1, 1))]
    some = replace(bars_at(sorted((*due, utc(2023, 12, 24)))), symbol=request.symbol)
    verdict = judge(some, request, sessions("24/5"), utc(2024, 2, 7), timedelta(0))
    assert len(verdict.keep) == len(due) + 1
    assert names(verdict) == set()
    assert {a.reason for a in verdict.absences} == {"not traded"}
    saturday = replace(bars_at(sorted((*due, utc(2023, 12, 23)))), symbol=request.symbol)
    assert [r.check for r in judge(saturday, request, sessions("24/5"), utc(2024, 2, 7), timedelta(0)).quarantine] == ["non_session"]


@pytest.mark.parametrize("interval", ["1w", "1mo"])
def test_weeks_and_months_are_judged_by_their_first_day(interval: str) -> None:
    request = BarRequest("AAPL", interval, "2023-01-01", "2024-01-01")  # type: ignore[arg-type]
    due = expected(sessions(), request.interval, request.start, request.end)
    clean = judged(replace(bars_at(due), interval=request.interval), request=request)
    assert clean.findings == ()
    gone = judged(replace(bars_at(due[:3] + due[4:]), interval=request.interval), request=request)
    assert [(a.ts, a.reason) for a in gone.absences] == [(due[3], "provider gap")]


def test_no_bars_at_all_is_a_verdict_too() -> None:
    verdict = judged(bars(()))
    assert names(verdict) == {"staleness"}
    assert (len(verdict.keep), verdict.bars, verdict.expected, len(verdict.absences)) == (0, 0, 10, 10)
    assert not verdict.refused


def test_ten_years_of_clean_bars_pass() -> None:
    request = BarRequest("AAPL", "1d", "2014-01-01", "2024-01-01")  # type: ignore[arg-type]
    assert judged(bars_at(expected(sessions(), Interval.D1, request.start, request.end)), request=request).findings == ()


prices = st.one_of(st.floats(1.0, 1000.0), st.sampled_from([0.0, -1.0, np.nan, np.inf, 1e-320, 2.0**60]))
rows = st.lists(
    st.tuples(st.integers(-5, 40), prices, prices, prices, prices, st.one_of(prices, st.just(np.nan))),
    max_size=20,
    unique_by=lambda r: r[0],
)


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(0, 3), st.integers(0, 3), st.lists(st.sampled_from(DAYS), max_size=3), st.integers(0, 30))
def test_no_row_is_ever_lost(table: list[tuple[float, ...]], equal: int, empty: int, disputed: list[int], beyond: int) -> None:
    table = sorted(table)
    stamps = [utc(2024, 1, 1) + timedelta(days=int(r[0])) for r in table]
    outside = tuple(utc(2024, 1, 10) + timedelta(days=i) for i in range(beyond))
    absent = tuple(utc(2024, 1, 2) + timedelta(days=i) for i in range(empty))
    conflicts = tuple(row(d, "duplicates") for d in disputed)
    rejects = (row(4),)
    delivered = len(table) + equal + empty + len(disputed) + beyond + len(rejects)
    again = tuple(utc(2024, 1, 2) + timedelta(days=i) for i in range(equal))
    told = {"duplicates": again, "absent": absent, "conflicts": conflicts, "outside": outside, "rejected": rejects, "rows": delivered}
    some = bars_at(stamps, **told)
    if table:
        o, h, low, c, v = np.array([r[1:] for r in table]).T
        some = replace(some, open=o, high=h, low=low, close=c, volume=v)
    verdict = judged(some)
    counted = sum(f.count for f in verdict.findings if f.check == "window")
    assert len(verdict.keep) + len(verdict.quarantine) + counted + equal + empty == delivered
    assert np.isfinite(verdict.keep.close).all()
    assert verdict.caps is None or len(verdict.caps) == len(verdict.keep)
    assert {*verdict.ran} | {s.check for s in verdict.skipped} == {*CHECKS}


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([0.001, 0.5, 3.0, 100.0]),
    st.integers(0, 9),
    st.sampled_from(["open", "high", "low", "close"]),
    st.sampled_from([0.01, 0.9, 1.001, 1.2, 50.0]),
)
def test_the_verdict_does_not_depend_on_the_unit_of_price(unit: float, at: int, column: str, fault: float) -> None:
    some = spoilt(at, **{column: float(getattr(bars(), column)[at]) * fault})
    scaled = replace(some, **{n: getattr(some, n) * unit for n in ("open", "high", "low", "close")})
    one, two = judged(some), judged(scaled)
    assert [(f.check, f.severity, f.count) for f in one.findings] == [(f.check, f.severity, f.count) for f in two.findings]
    assert (one.keep.ts == two.keep.ts).all()


@pytest.mark.parametrize(("missing", "severity"), [(1, Severity.INFO), (30, Severity.LOW), (200, Severity.MEDIUM), (600, Severity.HIGH)])
def test_minutes_of_silence_before_now_weigh_by_their_length(missing: int, severity: Severity) -> None:
    request = BarRequest("AAPL", "1m", "2024-01-02", "2024-01-04")  # type: ignore[arg-type]
    due = expected(sessions(), Interval.M1, request.start, request.end)
    some = replace(bars_at(due[:-missing]), interval=request.interval)
    verdict = judged(some, request=request, now=utc(2024, 1, 4))
    assert [(f.check, f.severity, f.count) for f in verdict.findings if f.check == "staleness"] == [("staleness", severity, missing)]
    assert names(verdict) <= {"staleness"}
