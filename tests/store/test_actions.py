"""Splits and dividends as sources tell them: what changed or is told no more stays answerable; what a split restates is no error."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.store.batches import table
from tests.store.told import EARLY, LATE, dividend, sends, split, tells

if TYPE_CHECKING:
    from mdagent.store.bars import BarStore

OLD = {"2024-01-03": 1000.0, "2024-01-04": 1100.0, "2024-01-05": 1200.0}
RESTATED = {d: c / 10 for d, c in OLD.items()}
ONE_DAY = "2024-01-05"


def now(store: BarStore) -> list[tuple[Any, ...]]:
    """Kind, day and value of what is told now."""
    rows = table(store, "SELECT kind, date, value FROM actions WHERE replaced_at IS NULL ORDER BY ALL")
    return [(kind, str(day), value) for kind, day, value in rows]


def before(store: BarStore) -> list[tuple[Any, ...]]:
    """Value and times of what was told once."""
    return table(store, "SELECT value, fetched_at, replaced_at FROM actions WHERE replaced_at IS NOT NULL ORDER BY ALL")


T1, T2 = datetime.fromisoformat(EARLY), datetime.fromisoformat(LATE)

# What was told


def test_what_is_told_twice_is_stored_once(store: BarStore) -> None:
    for at in (EARLY, LATE):
        tells(store, dividend(ONE_DAY, 0.24), split("2024-01-04"), at=at)
    assert now(store) == [("dividend", ONE_DAY, 0.24), ("split", "2024-01-04", 10.0)]
    assert table(store, "SELECT DISTINCT fetched_at FROM actions") == [(T1,)], "it is known since it was first told"


def test_a_value_that_changed_takes_the_place_of_the_old_one_which_stays(store: BarStore) -> None:
    tells(store, dividend(ONE_DAY, 0.24), at=EARLY)
    tells(store, dividend(ONE_DAY, 0.25))
    assert now(store) == [("dividend", ONE_DAY, 0.25)]
    assert before(store) == [(0.24, T1, T2)]


def test_noise_in_the_last_place_is_no_change(store: BarStore) -> None:
    tells(store, dividend(ONE_DAY, 0.24), at=EARLY)
    tells(store, dividend(ONE_DAY, 0.24 * (1 + 1e-12)))
    assert before(store) == []


def test_two_dividends_of_one_day_are_two(store: BarStore) -> None:
    both = (dividend(ONE_DAY, 0.24), dividend(ONE_DAY, 1.0))
    tells(store, *both, at=EARLY)
    tells(store, *reversed(both))
    assert now(store) == [("dividend", ONE_DAY, 0.24), ("dividend", ONE_DAY, 1.0)]
    assert before(store) == [], "in whatever order they come"
    tells(store, both[0], at="2024-01-12T22:00")
    assert now(store) == [("dividend", ONE_DAY, 0.24)]
    assert [v for v, _, _ in before(store)] == [0.24, 1.0]


def test_two_equal_dividends_of_one_day_are_two(store: BarStore) -> None:
    tells(store, dividend(ONE_DAY, 0.24), dividend(ONE_DAY, 0.24))
    assert len(now(store)) == 2


def test_what_is_told_no_more_within_the_stretch_that_is_all_told_is_withdrawn(store: BarStore) -> None:
    tells(store, split("2024-01-04"), dividend(ONE_DAY, 0.24), at=EARLY)
    tells(store)
    assert now(store) == []
    assert [v for v, _, _ in before(store)] == [0.24, 10.0]


def test_what_lies_outside_that_stretch_stays(store: BarStore) -> None:
    tells(store, dividend(ONE_DAY, 0.24), at=EARLY)
    tells(store, since="2024-01-06")
    assert now(store) == [("dividend", ONE_DAY, 0.24)]


def test_who_tells_splits_alone_withdraws_no_dividend(store: BarStore) -> None:
    tells(store, split("2024-01-04"), dividend(ONE_DAY, 0.24), at=EARLY)
    tells(store, kinds="splits")
    assert now(store) == [("dividend", ONE_DAY, 0.24)]


def test_who_does_not_say_that_it_is_all_withdraws_nothing(store: BarStore) -> None:
    tells(store, dividend(ONE_DAY, 0.24), at=EARLY)
    tells(store, known=False)
    assert now(store) == [("dividend", ONE_DAY, 0.24)]


def test_each_source_and_each_symbol_has_its_own(store: BarStore) -> None:
    tells(store, dividend(ONE_DAY, 0.24))
    tells(store, dividend(ONE_DAY, 0.25), source="two")
    tells(store, dividend(ONE_DAY, 0.75), symbol="MSFT")
    tells(store, at="2024-01-12T22:00")
    assert [v for _, _, v in now(store)] == [0.25, 0.75]


def test_an_announced_split_is_not_stored_before_its_day(store: BarStore) -> None:
    tells(store, split("2024-01-09"), at=EARLY)
    assert now(store) == []
    tells(store, split("2024-01-09"), at="2024-01-09T15:00")
    assert now(store) == [("split", "2024-01-09", 10.0)]


def test_an_amount_without_a_currency_is_in_that_of_the_prices(store: BarStore) -> None:
    tells(store, dividend(ONE_DAY, 5.0), dividend("2024-01-04", 0.05, currency="GBP", adjusted=True), currency="GBp", symbol="VOD.L")
    told = table(store, "SELECT value, currency, adjusted FROM actions ORDER BY date")
    assert told == [(0.05, "GBP", True), (5.0, "GBp", False)]


def test_what_is_known_grows_together(store: BarStore) -> None:
    tells(store, at=EARLY)
    tells(store, since="2024-01-05T22:00")
    told = table(store, "SELECT interval, adjustment, start_ts, end_ts FROM coverage")
    assert told == [("actions", "all", datetime(2023, 1, 1), T2)]


# What becomes due again


def covered(store: BarStore) -> set[str]:
    return {b for (b,) in table(store, "SELECT adjustment FROM coverage WHERE interval <> 'actions'")}


def deliveries(store: BarStore) -> None:
    for basis in ("raw", "splits", "all"):
        sends(store, OLD, basis=basis, at=EARLY)


def test_a_new_split_makes_adjusted_bars_due_again_and_leaves_raw_ones(store: BarStore) -> None:
    deliveries(store)
    assert tells(store, split())
    assert covered(store) == {"raw"}
    assert not tells(store, split(), at="2024-01-12T22:00"), "it is told once"


def test_a_new_dividend_makes_fully_adjusted_bars_due_again_alone(store: BarStore) -> None:
    deliveries(store)
    assert tells(store, dividend("2024-01-09", 0.24))
    assert covered(store) == {"raw", "splits"}


@pytest.mark.parametrize(("at", "due"), [("2024-01-09T15:00", True), ("2024-01-10T15:00", False)])
def test_bars_that_came_after_the_day_of_the_split_have_it(store: BarStore, at: str, due: bool) -> None:
    sends(store, OLD, basis="splits", at=at)
    assert tells(store, split()) is due


def test_a_split_that_is_withdrawn_makes_them_due_again_too(store: BarStore) -> None:
    tells(store, split("2024-01-05"), at=EARLY)
    sends(store, {"2024-01-03": 100.0}, basis="splits", at=EARLY)
    assert tells(store)


# A restatement is no error


def test_rows_that_come_back_divided_by_a_new_split_are_restated_once_for_all(store: BarStore) -> None:
    sends(store, OLD, basis="splits", at=EARLY)
    kept = sends(store, RESTATED, basis="splits", actions=(split(),), tells=True)
    assert (kept.inserted, kept.revised, kept.restatements, kept.restated) == (0, 3, 3, True)
    assert table(store, "SELECT symbol, interval, source, adjustment, bars, first_ts, last_ts, factor, kept_at FROM restatements") == [
        ("AAPL", "1d", "one", "splits", 3, datetime(2024, 1, 3), datetime(2024, 1, 5), pytest.approx(0.1), T2)
    ]
    assert table(store, "SELECT DISTINCT cause FROM revisions") == [("restatement",)]
    assert table(store, "SELECT close, fetched_at, replaced_at FROM revisions ORDER BY ts") == [(c, T1, T2) for c in OLD.values()]


def test_a_source_rounds_what_it_divides(store: BarStore) -> None:
    sends(store, {"2024-01-03": 1234.56}, basis="splits", at=EARLY)
    kept = sends(store, {"2024-01-03": 123.46}, basis="splits", actions=(split(),))
    assert kept.restatements == 1


def test_a_row_that_changed_otherwise_is_a_revision_among_them(store: BarStore) -> None:
    sends(store, OLD, basis="splits", at=EARLY)
    kept = sends(store, RESTATED | {"2024-01-04": 99.0}, basis="splits", actions=(split(),))
    assert (kept.revised, kept.restatements) == (3, 2)
    assert table(store, "SELECT close, cause FROM revisions WHERE cause = 'revision'") == [(1100.0, "revision")]
    assert table(store, "SELECT bars FROM restatements") == [(2,)]


def test_two_splits_at_once_are_logged_by_what_they_did(store: BarStore) -> None:
    sends(store, {"2024-01-03": 1000.0, "2024-01-05": 1000.0}, basis="splits", at="2024-01-05T22:00")
    made = sends(store, {"2024-01-03": 50.0, "2024-01-05": 100.0}, basis="splits", actions=(split("2024-01-04", 2.0), split()))
    assert made.restatements == 1, "the split of the 4th was due before the delivery of the 5th, so that row is a revision"
    assert table(store, "SELECT bars, factor FROM restatements") == [(1, pytest.approx(0.1))]


def test_raw_rows_are_never_restated(store: BarStore) -> None:
    sends(store, OLD, at=EARLY)
    kept = sends(store, RESTATED, actions=(split(),))
    assert (kept.revised, kept.restatements) == (3, 0)
    assert table(store, "SELECT count(*) FROM restatements") == [(0,)]


def test_without_a_word_of_a_split_the_whole_series_divided_alike_is_a_restatement(store: BarStore) -> None:
    """A plan that does not tell splits: that every bar is a tenth of what it was is told by the bars themselves."""
    days = {f"2024-01-{d:02d}": 1000.0 + d for d in range(2, 9)}
    sends(store, days, basis="splits", at=EARLY)
    kept = sends(store, {d: c / 10 for d, c in days.items()}, basis="splits")
    assert (kept.revised, kept.restatements) == (7, 7)
    assert table(store, "SELECT bars, factor FROM restatements") == [(7, pytest.approx(0.1))]


def test_a_few_rows_or_a_small_factor_tell_nothing(store: BarStore) -> None:
    sends(store, OLD, basis="splits", at=EARLY)
    assert sends(store, RESTATED, basis="splits").restatements == 0
    days = {f"2024-01-{d:02d}": 1000.0 + d for d in range(2, 9)}
    sends(store, days, basis="splits", symbol="MSFT", at=EARLY)
    assert sends(store, {d: c * 0.99 for d, c in days.items()}, basis="splits", symbol="MSFT").restatements == 0, "no split is of 1 %"


def test_a_row_that_comes_again_as_it_was_after_the_split_was_told_is_confirmed(store: BarStore) -> None:
    sends(store, RESTATED, basis="splits", at="2024-01-09T15:00")
    tells(store, split(), at="2024-01-10T15:00")
    kept = sends(store, RESTATED, basis="splits", at="2024-01-10T16:00")
    assert (kept.inserted, kept.restatements) == (0, 0)
    assert table(store, "SELECT DISTINCT fetched_at FROM bars") == [(datetime(2024, 1, 10, 16),)]
    assert table(store, "SELECT DISTINCT cause FROM revisions") == [("confirmation",)]
    again = sends(store, RESTATED, basis="splits", at="2024-01-10T17:00")
    assert again.revised == 0, "once is enough"
