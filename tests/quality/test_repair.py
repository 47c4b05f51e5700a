"""Findings and evidence -> proposed corrections; nothing is invented."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mdagent.market import Adjustment, BarSet, Interval, RejectedRow, Symbol
from mdagent.quality.finding import Finding, Severity
from mdagent.quality.repair import Listed, corrections, swapped_back

if TYPE_CHECKING:
    from mdagent.quality.repair import Correction

START = datetime(2023, 6, 1, tzinfo=UTC)
N = 60


def days(*places: int) -> tuple[tuple[datetime, datetime], ...]:
    return tuple((START + timedelta(days=n), START + timedelta(days=n)) for n in places)


def bars(source: str = "yahoo", times: float = 1.0, **columns: Any) -> BarSet:
    """Sixty bars that go slowly up; `columns` replace whole columns."""
    close = np.linspace(100.0, 110.0, N) * times
    made = {"open": close * 0.999, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": np.full(N, 1e6)} | columns
    ts = np.datetime64("2023-06-01", "us") + np.arange(N) * np.timedelta64(1, "D")
    return BarSet(Symbol.parse("AAPL"), Interval.D1, source, Adjustment.SPLITS, "USD", ts, **made)


def spoilt(good: BarSet, at: int | slice, price: float = 1.0, volume: float = 1.0) -> BarSet:
    columns = {name: getattr(good, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for name, column in columns.items():
        column[at] *= volume if name == "volume" else price
    return replace(good, **columns)


def finding(kind: str, *places: int, severity: Severity = Severity.HIGH) -> Finding:
    spans = days(*places)
    start, end = (spans[0][0], spans[-1][1]) if spans else (None, None)
    return Finding("test", kind, severity, start, end, len(places), None, None, "x", spans if len(spans) > 1 else ())


def by_place(found: tuple[Correction, ...]) -> dict[int, Correction]:
    return {(c.ts - START).days: c for c in found}


@pytest.mark.parametrize("times", [0.01, 100.0, 10.0, 0.001])
def test_a_price_at_a_power_of_ten_goes_back_to_the_level_about_it(times: float) -> None:
    (told,) = corrections(spoilt(bars(), 30, times), [finding("decimal_shift", 30)], ())
    assert told.factor == pytest.approx(1 / times)
    assert told.new is not None
    assert told.new[:4] == pytest.approx([float(getattr(bars(), c)[30]) for c in ("open", "high", "low", "close")])
    assert told.new[4] == told.old[4]
    assert "bars beside it are near" in told.evidence


def test_a_price_at_no_power_of_ten_is_left_with_the_word_that_evidence_lacks() -> None:
    (told,) = corrections(spoilt(bars(), 30, 3.0), [finding("decimal_shift", 30)], ())
    assert told.new is None
    assert told.factor is None
    assert "no power of ten" in told.evidence


def test_where_all_is_in_another_unit_two_others_have_to_say_so() -> None:
    pence = bars(times=100.0)
    found = corrections(pence, [finding("currency_mixup")], (bars("a"), bars("b")))
    assert len(found) == N
    assert {c.factor for c in found} == {0.01}
    assert "a, b say" in found[0].evidence
    assert all(c.new is None for c in corrections(pence, [finding("currency_mixup")], (bars("a"),)))


def test_all_bars_before_a_listed_split_are_divided_and_their_volumes_multiplied() -> None:
    found = corrections(
        spoilt(bars(), slice(0, 25), 4.0, 0.25), [finding("unadjusted_split", 25)], (), [Listed("yahoo", date(2023, 6, 26), 4.0)]
    )
    assert sorted(by_place(found)) == list(range(25))
    assert {c.factor for c in found} == {0.25}
    told = found[3]
    assert told.new is not None
    assert (told.new[3], told.new[4]) == pytest.approx((float(bars().close[3]), 1e6))
    assert "the split of 4 for 1 on 2023-06-26, listed by yahoo" in told.evidence


def test_a_volume_that_counts_the_shares_of_its_day_stays() -> None:
    series = replace(spoilt(bars(), slice(0, 25), 4.0), raw_volume=True)
    found = corrections(series, [finding("unadjusted_split", 25)], (), [Listed("yahoo", date(2023, 6, 26), 4.0)])
    assert {c.new[4] for c in found if c.new} == {1e6}


def test_what_is_on_the_basis_already_further_back_is_left() -> None:
    found = corrections(
        spoilt(bars(), slice(15, 25), 4.0), [finding("unadjusted_split", 15, 25)], (), [Listed("yahoo", date(2023, 6, 26), 4.0)]
    )
    assert sorted(by_place(found)) == list(range(15, 25))


def test_a_reverse_split_multiplies() -> None:
    found = corrections(spoilt(bars(), slice(0, 25), 0.1), [finding("unadjusted_split", 25)], (), [Listed("yahoo", date(2023, 6, 26), 0.1)])
    assert {c.factor for c in found} == {10.0}


def test_two_splits_are_both_taken_out() -> None:
    series = spoilt(spoilt(bars(), slice(0, 25), 4.0), slice(0, 10), 2.0)
    listed = [Listed("yahoo", date(2023, 6, 11), 2.0), Listed("polygon", date(2023, 6, 26), 4.0)]
    found = by_place(corrections(series, [finding("unadjusted_split", 10, 25)], (), listed))
    assert (found[5].factor, found[20].factor) == (0.125, 0.25)
    assert "listed by yahoo" in found[5].evidence
    assert "listed by polygon" in found[5].evidence


def test_a_split_that_nobody_lists_is_no_evidence() -> None:
    (told,) = corrections(spoilt(bars(), slice(0, 25), 4.0), [finding("unadjusted_split", 25)], ())
    assert told.new is None
    assert "no source lists a split" in told.evidence


def test_volumes_in_another_unit_are_brought_to_those_beside_them() -> None:
    found = corrections(spoilt(bars(), slice(20, 40), volume=0.01), [finding("volume_scale", *range(20, 40))], ())
    assert sorted(by_place(found)) == list(range(20, 40))
    assert {(c.factor, c.new and c.new[4]) for c in found} == {(100.0, 1e6)}
    assert all(c.new and c.new[:4] == c.old[:4] for c in found)


def test_all_volumes_in_another_unit_are_brought_to_those_of_the_others() -> None:
    found = corrections(spoilt(bars(), slice(0, N), volume=0.01), [finding("volume_scale")], (bars("a"), bars("b")))
    assert len(found) == N
    assert "of the other sources" in found[0].evidence
    (told,) = corrections(spoilt(bars(), slice(0, N), volume=0.01), [finding("volume_scale")], ())
    assert told.new is None


@pytest.mark.parametrize("kind", ["bad_tick", "provider_drift", "adjusted_raw_mix"])
def test_a_bar_that_others_tell_otherwise_becomes_what_two_of_them_say(kind: str) -> None:
    series = spoilt(bars(), 30, 1.3)
    (told,) = corrections(series, [finding(kind, 30)], (bars("a"), bars("b"), bars("c", 1.5)))
    assert told.new is not None
    assert told.new[3] == pytest.approx(float(bars().close[30]))
    assert told.factor is None
    assert told.evidence == "a, b, c say 105.085"


@pytest.mark.parametrize("others", [(), (bars("a"),), (bars("a"), bars("b", 1.1))])
def test_with_fewer_than_two_that_agree_nothing_is_invented(others: tuple[BarSet, ...]) -> None:
    (told,) = corrections(spoilt(bars(), 30, 1.3), [finding("bad_tick", 30)], others)
    assert told.new is None
    assert told.evidence == "no evidence: fewer than two other sources agree on this bar"


def test_a_bar_that_the_others_confirm_was_right() -> None:
    assert corrections(bars(), [finding("bad_tick", 30)], (bars("a"), bars("b"))) == ()


def test_a_stale_bar_takes_volume_too_and_none_where_the_others_disagree() -> None:
    series = spoilt(bars(), 30, 1.05)
    (told,) = corrections(series, [finding("stale_run", 30)], (bars("a", volume=np.full(N, 2e6)), bars("b", volume=np.full(N, 2e6))))
    assert told.new is not None
    assert told.new[4] == 2e6
    (other,) = corrections(series, [finding("stale_run", 30)], (bars("a", volume=np.full(N, 2e6)), bars("b", volume=np.full(N, 9e6))))
    assert other.new is not None
    assert np.isnan(other.new[4])


def test_a_zero_volume_becomes_what_two_others_say() -> None:
    series = spoilt(bars(), 30, volume=0.0)
    (told,) = corrections(series, [finding("zero_volume", 30, severity=Severity.LOW)], (bars("a"), bars("b")))
    assert told.new is not None
    assert told.new[4] == 1e6
    assert told.new[:4] == told.old[:4]
    (alone,) = corrections(series, [finding("zero_volume", 30, severity=Severity.LOW)], (bars("a"),))
    assert alone.new is None


def test_two_defects_of_one_bar_are_one_correction() -> None:
    series = spoilt(spoilt(bars(), 30, 0.01), slice(25, 35), volume=0.01)
    found = by_place(corrections(series, [finding("decimal_shift", 30), finding("volume_scale", *range(25, 35))], ()))
    told = found[30]
    assert told.type == "decimal_shift+volume_scale"
    assert told.new is not None
    assert (told.new[3], told.new[4]) == pytest.approx((float(bars().close[30]), 1e6))


def test_evidence_of_one_kind_is_enough_where_another_lacks() -> None:
    series = spoilt(bars(), 30, 0.01)
    (told,) = corrections(series, [finding("bad_tick", 30), finding("decimal_shift", 30)], ())
    assert told.type == "decimal_shift"
    assert told.new is not None


def test_what_is_only_information_and_what_cannot_be_mended_calls_for_nothing() -> None:
    told = [finding("bad_tick", 30, severity=Severity.INFO), finding("missing_rows", 30), finding("wrong_symbol", 30)]
    assert corrections(spoilt(bars(), 30, 1.3), told, (bars("a"), bars("b"))) == ()


# ---- from quarantine


def row(check: str, o: float, h: float, low: float, c: float, v: Any) -> RejectedRow:  # noqa: PLR0917
    raw = json.dumps(dict(zip(("open", "high", "low", "close", "volume"), (o, h, low, c, v), strict=True)))
    return RejectedRow(START, check, "x", raw)


def test_high_and_low_are_swapped_back() -> None:
    (told,) = swapped_back([row("ohlc", 10.0, 9.0, 11.0, 10.5, 100.0)])
    assert (told.type, told.new, told.from_quarantine) == ("high_low_swapped", (10.0, 11.0, 9.0, 10.5, 100.0), True)


def test_a_volume_among_the_prices_is_swapped_back() -> None:
    (told,) = swapped_back([row("columns", 10.0, 11.0, 9.0, 123456.0, 10.5)])
    assert (told.type, told.new) == ("column_swap", (10.0, 11.0, 9.0, 10.5, 123456.0))


@pytest.mark.parametrize(
    "bad",
    [
        row("ohlc", 20.0, 9.0, 11.0, 10.5, 100.0),  # the open fits neither way
        row("ohlc", 10.0, 11.0, 9.0, 10.5, 100.0),  # nothing is swapped
        row("columns", 10.0, 11.0, 9.0, 12.0, 10.5),
        row("columns", 10.0, 11.0, 9.0, 123456.0, 99.0),
        row("positivity", 10.0, 9.0, 11.0, 10.5, 100.0),
        row("ohlc", 10.0, 9.0, 11.0, 10.5, None),
        RejectedRow(START, "ohlc", "x", "not json"),
        RejectedRow(START, "ohlc", "x", "[]"),
        RejectedRow(None, "ohlc", "x", row("ohlc", 10.0, 9.0, 11.0, 10.5, 100.0).raw),
    ],
)
def test_a_row_that_no_swap_puts_right_stays_where_it_is(bad: RejectedRow) -> None:
    assert swapped_back([bad]) == ()
