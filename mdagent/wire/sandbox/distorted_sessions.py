"""Sessions that were not so: other prices for a stretch, splits and payments that never were, days that are missing, doubled or shifted."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from mdagent.wire.sandbox.distorted_bars import PRICES
from mdagent.wire.sandbox.market import Hours, Truth, later_product
from mdagent.wire.sandbox.market import truth as truth_of
from mdagent.wire.sandbox.places import luck, struck
from mdagent.wire.sandbox.tickers import Split, listing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mdagent.wire.sandbox.distortion import Circumstance

_DAY: Final = 86400
_COLUMNS: Final = (*PRICES, "volume", "ratio", "dividend", "gain", "halted")


def _put(truth: Truth, **columns: np.ndarray) -> Truth:
    return replace(truth, **cast("Any", columns))


def _scaled(truth: Truth, where: np.ndarray | slice, times: float | np.ndarray, volume: float = 1.0) -> Truth:
    made = {name: getattr(truth, name).astype(np.float64) for name in (*PRICES, "volume")}
    for name in PRICES:
        made[name][where] *= times
    made["volume"][where] = np.round(made["volume"][where] * volume)
    return _put(truth, **made)


def _rows(truth: Truth, at: np.ndarray) -> Truth:
    """Those sessions in that order."""
    hours = Hours(*(getattr(truth.hours, name)[at] for name in ("day", "opens", "closes", "pause", "resume")))
    return Truth(truth.ticker, hours, *(getattr(truth, name)[at] for name in _COLUMNS))


def _again(truth: Truth, at: np.ndarray) -> tuple[Truth, np.ndarray]:
    """With some sessions told twice, and where the second ones are; no split and no payment is told twice."""
    order = np.sort(np.concatenate((np.arange(len(truth.close)), at)))
    copies = np.flatnonzero(np.diff(order, prepend=-1) == 0)
    made = _rows(truth, order)
    ratio, dividend, gain = made.ratio.copy(), made.dividend.copy(), made.gain.copy()
    ratio[copies], dividend[copies], gain[copies] = 1.0, 0.0, 0.0
    return _put(made, ratio=ratio, dividend=dividend, gain=gain), copies


def _moved(truth: Truth, where: np.ndarray | slice, days: int) -> Truth:
    """With some sessions on other days."""
    day = truth.hours.day.copy()
    day[where] += days
    made = {"day": day}
    for name in ("opens", "closes", "pause", "resume"):
        made[name] = getattr(truth.hours, name).copy()
        made[name][where] += days * _DAY
    return replace(truth, hours=Hours(**made))


def _hit(truth: Truth, by: Circumstance) -> np.ndarray:
    """Sessions here and there, but none with a split or a payment."""
    quiet = (truth.ratio == 1.0) & (truth.dividend == 0.0) & (truth.gain == 0.0)
    hit: np.ndarray = struck(np.arange(len(quiet)), int(by.settings["every"]), by.seed) & quiet
    return hit


def _stretch(by: Circumstance) -> slice:
    return slice(by.since, by.since + int(by.settings["length"]))


def _currency_mixup(truth: Truth, by: Circumstance) -> Truth:
    return _scaled(truth, slice(by.since, None), float(by.settings["factor"]))


def _unadjusted_split(truth: Truth, by: Circumstance) -> Truth:
    ratio = float(by.settings["ratio"])
    return _scaled(truth, slice(0, by.since), ratio, 1.0 / ratio)


def _phantom_split(truth: Truth, by: Circumstance) -> Truth:
    new, ratio = int(by.settings["ratio"]), truth.ratio.copy()
    ratio[by.since] *= new
    day = date.fromisoformat(str(truth.hours.day[by.since]))
    ticker = replace(truth.ticker, splits=(*truth.ticker.splits, Split(day, new, 1)))
    return replace(truth, ticker=ticker, ratio=ratio)


def _phantom_dividend(truth: Truth, by: Circumstance) -> Truth:
    dividend = truth.dividend.copy()
    dividend[by.since] += round(float(truth.close[by.since]) * float(by.settings["share"]), 2)
    return _put(truth, dividend=dividend)


def _bad_dividend_amount(truth: Truth, by: Circumstance) -> Truth:
    return _put(truth, dividend=truth.dividend * float(by.settings["factor"]))


def _stale_run(truth: Truth, by: Circumstance) -> Truth:
    made = {name: getattr(truth, name).copy() for name in (*PRICES, "volume")}
    for column in made.values():
        column[_stretch(by)] = column[by.since - 1]
    return _put(truth, **made)


def _volume_scale(truth: Truth, by: Circumstance) -> Truth:
    return _scaled(truth, _stretch(by), 1.0, float(by.settings["factor"]))


def _missing_rows(truth: Truth, by: Circumstance) -> Truth:
    return _rows(truth, np.flatnonzero(~_hit(truth, by)))


def _truncated_history(truth: Truth, by: Circumstance) -> Truth:
    return _rows(truth, np.arange(by.since, len(truth.close)))


def _duplicate_timestamp(truth: Truth, by: Circumstance) -> Truth:
    made, copies = _again(truth, np.flatnonzero(_hit(truth, by)))
    return _scaled(made, copies, 1.006) if by.settings["how"] == "differing" else made


def _non_trading_day_bar(truth: Truth, by: Circumstance) -> Truth:
    """The bars of Fridays again on the Saturday."""
    fridays = (truth.hours.day.astype(np.int64) + 3) % 7 == 4
    every = int(by.settings["every"])
    weeks = (truth.hours.day.astype(np.int64) + 3) // 7
    made, copies = _again(truth, np.flatnonzero(fridays & struck(weeks, every, by.seed)))
    return _scaled(_moved(made, copies, 1), copies, 1.001)


def _date_shifted(truth: Truth, by: Circumstance) -> Truth:
    """The days before the fault's beginning dated a day early; one that falls upon another takes its place."""
    made = _moved(truth, slice(by.since, by.at), -1)
    kept = np.ones(len(made.close), dtype=bool)
    kept[by.since] = bool(made.hours.day[by.since] > made.hours.day[by.since - 1])
    return _rows(made, np.flatnonzero(kept))


def _future_timestamp(truth: Truth, by: Circumstance) -> Truth:
    """Between two sessions: the last one again, on the day of the next."""
    done, begun = (int(np.searchsorted(column, by.now, side="right")) for column in (truth.hours.closes, truth.hours.opens))
    if begun != done or not 0 < done < len(truth.close):
        return truth
    made, copies = _again(truth, np.array([done - 1]))
    hours = {name: getattr(made.hours, name).copy() for name in ("day", "opens", "closes", "pause", "resume")}
    for name in ("day", "opens"):
        hours[name][copies] = hours[name][copies + 1]
    return replace(made, hours=Hours(**hours))


def _adjusted_raw_mix(truth: Truth, by: Circumstance) -> Truth:
    """Some sessions as they were traded, where adjusted prices are told."""
    ratio = truth.ratio.copy()
    ratio[int(np.searchsorted(truth.hours.opens, by.now, side="right")) :] = 1.0
    hit = _hit(truth, by)
    return _scaled(truth, hit, later_product(ratio)[hit])


def _other_instrument(truth: Truth, by: Circumstance) -> Truth:
    symbol = by.settings["symbol"]
    ticker = listing(symbol if symbol != truth.ticker.symbol else "SPY")
    if ticker is None:
        return truth
    other = truth_of(ticker)
    at = np.minimum(np.searchsorted(other.hours.day, truth.hours.day), len(other.close) - 1)
    same = (other.hours.day[at] == truth.hours.day) & (np.arange(len(at)) >= by.since)
    made = {name: np.where(same, getattr(other, name)[at], getattr(truth, name)) for name in (*PRICES, "volume")}
    return _put(truth, **made)


def _provider_drift(truth: Truth, by: Circumstance) -> Truth:
    gone = np.arange(len(truth.close) - by.since) + 1
    return _scaled(truth, slice(by.since, None), (1.0 + float(by.settings["rate"])) ** gone)


def _rewritten_history(truth: Truth, by: Circumstance) -> Truth:
    """What lies before is told anew, each session a little off, one way or the other."""
    swing = 2.0 * luck(np.arange(by.since), by.seed) - 1.0
    return _scaled(truth, slice(0, by.since), 1.0 + float(by.settings["size"]) * swing)


SESSIONS: Final[Mapping[str, Callable[[Truth, Circumstance], Truth]]] = {
    "currency_mixup": _currency_mixup,
    "unadjusted_split": _unadjusted_split,
    "phantom_split": _phantom_split,
    "phantom_dividend": _phantom_dividend,
    "bad_dividend_amount": _bad_dividend_amount,
    "stale_run": _stale_run,
    "volume_scale": _volume_scale,
    "missing_rows": _missing_rows,
    "truncated_history": _truncated_history,
    "duplicate_timestamp": _duplicate_timestamp,
    "non_trading_day_bar": _non_trading_day_bar,
    "date_shifted": _date_shifted,
    "future_timestamp": _future_timestamp,
    "adjusted_raw_mix": _adjusted_raw_mix,
    "other_instrument": _other_instrument,
    "provider_drift": _provider_drift,
    "rewritten_history": _rewritten_history,
}
