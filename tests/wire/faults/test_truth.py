"""What a provider has wrong about the market arrives in its own format, and is found and graded for what it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdagent.guard.outcome import Failure
from mdagent.market import BarRequest, BarSet, Symbol
from mdagent.quality.checks import Circumstances, judge
from mdagent.quality.grade import grade
from mdagent.quality.letters import band
from mdagent.wire.bounds import Limits
from mdagent.wire.faults import KINDS, completed
from mdagent.wire.sandbox import series
from mdagent.wire.sandbox.distortion import Distortion, distorted, spoilt_day
from mdagent.wire.sandbox.intraday import Strip
from mdagent.wire.sandbox.market import hours, truth
from mdagent.wire.sandbox.tickers import listing
from tests.quality.market_days import sessions
from tests.wire.faults.scene import SOURCES, START, fault, scene, source

NOWHERE = Path("/nonexistent")  # no ledger is kept
DEFECTS = [name for name, kind in KINDS.items() if kind.where == "truth"]


def ask(basis: str = "splits", start: str = "2024-01-02", end: str = "2024-06-07", symbol: str = "CARR") -> BarRequest:
    """Bars of a listing whose history is short, so that those who always tell all of it are quick."""
    return BarRequest(symbol, "1d", start, end, basis)  # type: ignore[arg-type]


PAID = ask("all", "2021-06-07")
YEAR = ask("splits", "2023-06-07")
SPLIT = ask("splits", "2023-03-01", "2023-12-01", "AMC")
WINDOWS = {
    **dict.fromkeys(("phantom_dividend", "bad_dividend_amount", "missing_dividend_adjustment", "bad_dividend_adjustment"), PAID),
    "adjusted_raw_mix": SPLIT,
    "zero_volume": YEAR,
}


@cache
def clean(name: str, request: BarRequest) -> BarSet | Failure:
    return scene(NOWHERE).heard(name, request)


def looks(bars: BarSet | Failure) -> Any:
    """All that an answer tells, in a form that can be compared."""
    if isinstance(bars, Failure):
        return bars
    columns = tuple(getattr(bars, name).tobytes() for name in ("ts", "open", "high", "low", "close", "volume"))
    return columns, bars.actions, bars.delivery.rejected, bars.delivery.conflicts, bars.delivery.duplicates


# What is not told with daily bars, or cannot be: raw prices know no adjustment, an object holds no key twice, a window ends today.
UNSEEN = {
    "phantom_split": {"alphavantage"},
    "phantom_dividend": {"finnhub", "iexcloud", "polygon"},
    "bad_dividend_amount": {"finnhub", "iexcloud", "polygon"},
    "missing_dividend_adjustment": {"finnhub", "iexcloud", "polygon"},
    "bad_dividend_adjustment": {"finnhub", "iexcloud", "polygon"},
    "duplicate_timestamp": {"alphavantage"},
    "future_timestamp": {"iexcloud"},
}


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_defect_arrives_in_every_format_that_can_tell_it(kind: str) -> None:
    request = WINDOWS.get(kind, ask())
    for name in SOURCES:
        act = scene(NOWHERE, fault(kind, name))
        assert (looks(act.heard(name, request)) != looks(clean(name, request))) is (name not in UNSEEN.get(kind, ())), name
        assert {event.kind for event in act.transport.events} == {kind}
        other = SOURCES[(SOURCES.index(name) + 1) % len(SOURCES)]
        if name == "yahoo":
            assert looks(act.heard(other, request)) == looks(clean(other, request))


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_defect_spoils_minutes_without_a_crash_of_the_provider(kind: str) -> None:
    minutes = BarRequest("CARR", "5m", "2024-06-03", "2024-06-05", "raw")  # type: ignore[arg-type]
    for name in ("polygon", "yahoo"):
        act = scene(NOWHERE, fault(kind, name, **({"every": 5} if "every" in KINDS[kind].settings else {})))
        heard = act.heard(name, minutes)
        assert len(heard) if isinstance(heard, BarSet) else heard.kind.value in ("SCHEMA", "NO_DATA", "MISMATCH")


# Letters that a year of Yahoo's bars may get, and what is found: alone, or with others to compare with.
FOUND: list[tuple[str, set[str], str, bool]] = [
    ("bad_tick", {"bad_tick"}, "DF", False),
    ("decimal_shift", {"decimal_shift", "currency_mixup"}, "DF", False),
    ("nan_field", {"nan_field"}, "CD", False),
    ("zero_volume", {"zero_volume"}, "B", False),
    ("negative_volume", {"negative_volume"}, "CD", False),
    ("high_low_swapped", {"high_low_swapped"}, "CD", False),
    ("close_outside_range", {"close_outside_range"}, "DF", False),
    ("nonpositive_price", {"nonpositive_price"}, "DF", False),
    ("column_swap", {"column_swap"}, "DF", False),
    ("currency_mixup", {"currency_mixup"}, "F", False),
    ("unadjusted_split", {"unadjusted_split"}, "F", False),
    ("phantom_split", {"unadjusted_split"}, "F", False),
    ("phantom_dividend", {"phantom_dividend"}, "DF", True),
    ("bad_dividend_amount", {"bad_dividend_amount"}, "DF", True),
    ("missing_dividend_adjustment", {"provider_drift", "adjusted_raw_mix"}, "DF", True),
    ("bad_dividend_adjustment", {"provider_drift", "adjusted_raw_mix"}, "DF", True),
    ("stale_run", {"stale_run"}, "CD", False),
    ("volume_scale", {"volume_scale"}, "CD", False),
    ("missing_rows", {"missing_rows"}, "DF", False),
    ("truncated_history", {"truncated_history"}, "F", False),
    ("duplicate_timestamp", {"duplicate_timestamp"}, "CD", False),
    ("non_trading_day_bar", {"non_trading_day_bar"}, "CD", False),
    ("date_shifted", {"date_shifted"}, "F", False),
    ("future_timestamp", {"future_timestamp"}, "D", False),
    ("adjusted_raw_mix", {"bad_tick"}, "DF", False),
    ("other_instrument", {"wrong_symbol"}, "F", False),
    ("provider_drift", {"provider_drift"}, "DF", True),
    ("rewritten_history", {"provider_drift"}, "F", True),
]


FOUND_WITH: dict[str, dict[str, Any]] = {"other_instrument": {"symbol": "MSFT"}}


@pytest.mark.parametrize(("kind", "types", "letters", "together"), FOUND, ids=[kind for kind, *_ in FOUND])
def test_a_defect_is_found_and_graded(kind: str, types: set[str], letters: str, together: bool) -> None:
    request = WINDOWS.get(kind, YEAR)
    bars = scene(NOWHERE, fault(kind, **FOUND_WITH.get(kind, {}))).bars("yahoo", request)
    others = [clean(name, request) for name in ("alphavantage", "finnhub", "polygon", "tiingo", "twelvedata")] if together else []
    near = [s for s in sessions() if request.start - timedelta(days=40) <= s.opens <= request.end]
    known = Circumstances(others=tuple(o for o in others if isinstance(o, BarSet) and o.adjustment is bars.adjustment), listed=True)
    verdict = judge(bars, request, near, START, timedelta(0), known)
    assert types & {f.type for f in verdict.findings}
    assert band(grade(verdict).score) in letters


def test_each_defect_is_tried_here() -> None:
    assert [kind for kind, *_ in FOUND] == DEFECTS


def test_a_provider_is_wrong_about_the_same_bars_whenever_it_is_asked_and_the_truth_stays() -> None:
    before = truth(known := listing("CARR"))
    kept = before.close.copy()
    wrong = scene(NOWHERE, fault("bad_tick")), scene(NOWHERE, fault("bad_tick"), seed=2)
    long, short = wrong[0].bars("polygon", ask()), wrong[0].bars("polygon", ask(start="2024-03-01"))
    assert long.close[-len(short) :].tolist() == short.close.tolist()
    assert wrong[1].bars("polygon", ask()).close.tolist() != long.close.tolist()
    assert wrong[0].bars("twelvedata", ask()).close.tolist() != long.close.tolist()
    assert np.array_equal(truth(known).close, kept)


def test_weeks_are_made_of_the_days_that_a_provider_has_wrong() -> None:
    weeks = BarRequest("CARR", "1w", "2024-01-01", "2024-06-03", "splits")  # type: ignore[arg-type]
    act = scene(NOWHERE, fault("bad_tick", what="row"))
    assert len(act.bars("yahoo", weeks)) == len(scene(NOWHERE).bars("yahoo", weeks))
    assert (act.bars("yahoo", weeks).high > 1.1 * scene(NOWHERE).bars("yahoo", weeks).high).any()


def test_history_is_rewritten_only_once_the_fault_has_begun() -> None:
    act = scene(NOWHERE, fault("rewritten_history", start=60.0))
    before = act.bars("yahoo", ask())
    act.clock.pause(61.0)
    after = act.bars("yahoo", ask())
    assert len(after) == len(before)
    assert (after.close[:-6] != before.close[:-6]).all()
    assert after.close[-4:].tolist() == before.close[-4:].tolist()


def test_a_day_of_the_whole_market_has_the_same_bars_wrong() -> None:
    tickers = [ticker for name in ("CARR", "OTIS", "DOW") if (ticker := listing(name))]
    days = hours("XNYS").day
    with distorted([Distortion("bad_tick", completed(fault("bad_tick", what="row")).settings, 0, "salt")]):
        views = [series.at(ticker, int(START.timestamp())) for ticker in tickers]
        for at in range(len(days) - 3000, len(days) - 2960):
            own = [int(np.searchsorted(view.truth.hours.day, days[at])) for view in views]
            right = Strip.join([replace(view, spoil=None).daily(n, n + 1) for view, n in zip(views, own, strict=True)])
            told = Strip.join([view.daily(n, n + 1) for view, n in zip(views, own, strict=True)])
            assert spoilt_day(right, tickers, at).close.tolist() == told.close.tolist()


@pytest.mark.parametrize("name", ["alphavantage", "finnhub", "twelvedata"])
def test_a_quote_after_a_close_of_nothing_is_told_all_the_same(name: str) -> None:
    here, talk = scene(NOWHERE, fault("nonpositive_price", every=1)), source(name).quote(Symbol.parse("CARR"))
    reply = here.run(here.send(next(talk), Limits()))
    assert reply.status_code == 200
