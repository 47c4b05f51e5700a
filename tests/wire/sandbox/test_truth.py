"""The simulated market itself."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdagent.market import Symbol
from mdagent.wire.sandbox.intraday import minutes, stepped
from mdagent.wire.sandbox.market import Truth, later_product, truth
from mdagent.wire.sandbox.tickers import Ticker, familiar, find

GENERATED = st.integers(1, 99999).map(lambda n: f"SYM{n:05d}")
FAMILIAR = st.sampled_from(["AAPL", "MSFT", "BRK-A", "IBE.MC", "AZN.L", "^GSPC", "EURUSD=X", "BTC-USD", "GC=F", "VFINX", "TQQQ", "7203.T"])


def known(yahoo: str) -> Ticker:
    ticker = find(yahoo)
    assert ticker is not None
    return ticker


def session(of: Truth, day: str) -> int:
    at = int(np.searchsorted(of.hours.day, np.datetime64(day)))
    assert of.hours.day[at] == np.datetime64(day)
    return at


def test_every_listing_is_spelled_as_mdagent_spells_it() -> None:
    listed = list(familiar())
    assert len(listed) > 500
    assert all(str(Symbol.parse(t.symbol)) == t.symbol == str(Symbol.parse(t.yahoo)) for t in listed)
    assert len({t.symbol for t in listed}) == len(listed)


def test_every_listing_has_a_calendar_and_a_currency_its_exchange_knows() -> None:
    for ticker in familiar():
        assert ticker.calendar, ticker.symbol
        currencies = Symbol.parse(ticker.symbol).currencies
        assert not currencies or ticker.currency in currencies, ticker.symbol


@pytest.mark.parametrize("name", ["BRK.B", "NOSUCH", "SYM00000", "SYM1", "SYM123456", "AAPL.MC", ""])
def test_other_symbols_are_unknown(name: str) -> None:
    assert find(name) is None


@pytest.mark.parametrize(
    ("name", "exchange", "currency"),
    [("BRK-B", "NYQ", "USD"), ("IBE.MC", "MCE", "EUR"), ("VOD.L", "LSE", "GBp"), ("SYM99999", "NYQ", "USD")],
)
def test_familiar_and_generated_symbols_are_known(name: str, exchange: str, currency: str) -> None:
    assert (known(name).exchange, known(name).currency) == (exchange, currency)


@settings(max_examples=25, deadline=None)
@given(st.one_of(GENERATED, FAMILIAR))
def test_prices_are_sane_whatever_the_symbol(name: str) -> None:
    t = truth(known(name))
    assert (t.low > 0).all()
    assert (t.low <= np.minimum(t.open, t.close)).all()
    assert (t.high >= np.maximum(t.open, t.close)).all()
    assert (t.volume >= 0).all()
    adjusted = t.close / later_product(t.ratio)
    moves = np.abs(np.diff(np.log(adjusted)))[t.close[1:] > 1]  # a penny share moves by the tick
    assert np.quantile(moves, 0.99) < 0.4
    assert (np.diff(t.hours.day) > np.timedelta64(0, "D")).all()


@settings(max_examples=25, deadline=None)
@given(st.one_of(GENERATED, FAMILIAR), st.integers(0, 6000))
def test_minutes_add_up_to_their_session(name: str, back: int) -> None:
    t = truth(known(name))
    at = max(0, len(t.open) - 1 - back)
    m = minutes(t, at)
    if t.ticker.is_fund or t.halted[at]:
        assert not len(m)
        return
    for strip in (m, stepped(t, at, m, 300), stepped(t, at, m, 3600)):
        assert (strip.open[0], strip.close[-1]) == (t.open[at], t.close[at])
        assert (strip.high.max(), strip.low.min(), strip.volume.sum()) == (t.high[at], t.low[at], t.volume[at])
        assert (strip.low <= np.minimum(strip.open, strip.close)).all()
        assert (strip.high >= np.maximum(strip.open, strip.close)).all()
        assert (np.diff(strip.stamp) > 0).all()
    assert m.stamp[0] == t.hours.opens[at]
    assert m.stamp[-1] < t.hours.closes[at]


def test_a_lunch_break_has_no_minutes() -> None:
    t = truth(known("7203.T"))
    at = session(t, "2024-03-01")
    m = minutes(t, at)
    assert not ((m.stamp >= t.hours.pause[at]) & (m.stamp < t.hours.resume[at])).any()
    assert t.hours.resume[at] in stepped(t, at, m, 3600).stamp


def test_the_price_at_the_end_of_the_path_is_near_the_real_one() -> None:
    for name in ("AAPL", "BRK-A", "EURUSD=X", "BTC-USD", "^GSPC"):
        t = truth(known(name))
        assert t.close[session(t, "2025-12-31")] == pytest.approx(known(name).price, rel=1e-3)


def test_raw_prices_fall_and_volumes_rise_with_a_split() -> None:
    t = truth(known("AAPL"))
    at = session(t, "2020-08-31")
    assert t.ratio[at] == 4.0
    assert t.close[at - 1] / t.close[at] == pytest.approx(4.0, rel=0.15)


def test_another_process_finds_the_same_prices() -> None:
    modules = "from mdagent.wire.sandbox.market import truth; from mdagent.wire.sandbox.tickers import find"
    code = f"{modules}; print(truth(find('SYM00042')).close.sum())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(told) == truth(known("SYM00042")).close.sum()


def test_only_thin_names_are_ever_halted() -> None:
    assert not truth(known("AAPL")).halted.any()
    assert not truth(known("SYM00042")).halted.any()
    assert 0 < truth(known("SYM00017")).halted.mean() < 0.02


def test_payers_pay_each_quarter_about_their_yield() -> None:
    t = truth(known("KO"))
    year = t.hours.day.astype("datetime64[Y]") == np.datetime64("2024")
    assert np.count_nonzero(t.dividend[year]) == 4
    assert t.dividend[year].sum() / t.close[year].mean() == pytest.approx(0.029, rel=0.3)
    assert not truth(known("BRK-B")).dividend.any()


def test_sessions_are_those_of_the_listing_exchange() -> None:
    us, spain = truth(known("AAPL")).hours.day, truth(known("IBE.MC")).hours.day
    assert np.datetime64("2024-07-04") not in us
    assert np.datetime64("2024-07-04") in spain
    assert np.datetime64("2024-05-01") not in spain
    assert np.datetime64(date(2024, 6, 1)) in truth(known("BTC-USD")).hours.day
