"""Pence, cents and lots: two sources in different units are converted or refused, never averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.store.told import read, sends, split, tells

if TYPE_CHECKING:
    from mdagent.store.bars import BarStore


def test_pence_and_pounds_are_brought_to_the_unit_of_the_exchange(store: BarStore) -> None:
    sends(store, {"2024-01-03": 70.5}, symbol="VOD.L", currency="GBp", basis="splits")
    sends(store, {"2024-01-04": 0.71}, symbol="VOD.L", currency="GBP", basis="splits", source="two")
    got = read(store, "splits", symbol="VOD.L")
    assert (got.closes, got.currency) == ({"2024-01-03": 70.5, "2024-01-04": 71.0}, "GBp")
    assert set(got.volumes.values()) == {100.0}, "shares are shares"


def test_two_names_of_one_unit_are_one_unit(store: BarStore) -> None:
    sends(store, {"2024-01-03": 70.5}, symbol="VOD.L", currency="GBp", basis="splits")
    sends(store, {"2024-01-04": 71.0}, symbol="VOD.L", currency="GBX", basis="splits", source="two")
    got = read(store, "splits", symbol="VOD.L")
    assert (got.closes, got.currency, got.left) == ({"2024-01-03": 70.5, "2024-01-04": 71.0}, "GBp", {})


def test_a_source_whose_unit_changed_is_converted_row_by_row(store: BarStore) -> None:
    sends(store, {"2024-01-03": 0.705}, symbol="VOD.L", currency="GBP", basis="splits")
    sends(store, {"2024-01-04": 71.0}, symbol="VOD.L", currency="GBp", basis="splits")
    assert read(store, "splits", symbol="VOD.L").closes == {"2024-01-03": 70.5, "2024-01-04": 71.0}


def test_another_currency_is_left_out(store: BarStore) -> None:
    sends(store, {"2024-01-03": 70.5}, symbol="VOD.L", currency="GBp", basis="splits")
    sends(store, {"2024-01-03": 0.9, "2024-01-04": 0.9}, symbol="VOD.L", currency="EUR", basis="splits", source="two")
    got = read(store, "splits", symbol="VOD.L")
    assert (got.closes, got.left) == ({"2024-01-03": 70.5}, {"two": "it is quoted in EUR, the series is in GBp"})
    assert read(store, "splits", symbol="VOD.L", sources=("two",)).currency == "EUR"


def test_who_tells_no_currency_is_left_out_where_there_may_be_several(store: BarStore) -> None:
    sends(store, {"2024-01-03": 70.5}, symbol="VOD.L", currency="GBp", basis="splits")
    sends(store, {"2024-01-04": 0.71}, symbol="VOD.L", currency=None, basis="splits", source="two")
    got = read(store, "splits", symbol="VOD.L")
    assert got.closes == {"2024-01-03": 70.5}
    assert got.left == {"two": "it tells no currency, and VOD.L may be quoted in GBp/GBP/USD/EUR"}


def test_two_that_tell_no_currency_are_not_taken_to_mean_the_same(store: BarStore) -> None:
    sends(store, {"2024-01-03": 70.5, "2024-01-05": 70.5}, symbol="VOD.L", currency=None, basis="splits")
    sends(store, {"2024-01-04": 0.71}, symbol="VOD.L", currency=None, basis="splits", source="two")
    got = read(store, "splits", symbol="VOD.L")
    assert got.closes == {"2024-01-03": 70.5, "2024-01-05": 70.5}
    assert got.left == {"two": "it tells no currency, and VOD.L may be quoted in GBp/GBP/USD/EUR"}


def test_who_tells_no_currency_means_the_only_one_where_there_is_only_one(store: BarStore) -> None:
    sends(store, {"2024-01-03": 10.0}, basis="splits")
    sends(store, {"2024-01-04": 11.0}, currency=None, basis="splits", source="two")
    got = read(store, "splits")
    assert (got.closes, got.currency) == ({"2024-01-03": 10.0, "2024-01-04": 11.0}, "USD")


def test_points_of_an_index_have_no_unit(store: BarStore) -> None:
    sends(store, {"2024-01-03": 4700.0}, symbol="^GSPC", currency=None, basis="splits")
    sends(store, {"2024-01-04": 4710.0}, symbol="^GSPC", currency=None, basis="splits", source="two")
    assert len(read(store, "splits", symbol="^GSPC").closes) == 2


def test_a_volume_in_lots_is_told_in_shares(store: BarStore) -> None:
    sends(store, {"2024-01-03": 10.0}, basis="splits")
    sends(store, {"2024-01-04": 10.0}, basis="splits", source="two", lot=100.0)
    assert read(store, "splits").volumes == {"2024-01-03": 100.0, "2024-01-04": 10_000.0}


def test_a_source_whose_lot_changed_is_told_in_shares_row_by_row(store: BarStore) -> None:
    sends(store, {"2024-01-03": 10.0}, basis="splits")
    sends(store, {"2024-01-04": 10.0}, basis="splits", lot=100.0)
    sends(store, {"2024-01-05": 10.0}, basis="splits", lot=1000.0)
    assert read(store, "splits").volumes == {"2024-01-03": 100.0, "2024-01-04": 10_000.0, "2024-01-05": 100_000.0}


def test_shares_of_the_day_and_shares_of_now_are_told_apart_row_by_row(store: BarStore) -> None:
    sends(store, {"2024-01-03": 100.0}, basis="splits", raw_volume=True)
    sends(store, {"2024-01-04": 100.0}, basis="splits")
    tells(store, split())
    assert read(store, "splits").volumes == {"2024-01-03": 1000.0, "2024-01-04": 100.0}
