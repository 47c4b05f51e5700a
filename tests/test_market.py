"""The nouns: what can be said, and what cannot."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.errors import UsageError
from mdagent.exchanges import SUFFIXES
from mdagent.market import (
    COLUMNS,
    Adjustment,
    BarRequest,
    BarSet,
    CorporateAction,
    Delivery,
    Interval,
    RejectedRow,
    Symbol,
    parse_instant,
)

DAYS = np.array(["2024-01-02", "2024-01-03", "2024-01-04"], dtype="datetime64[us]")


def bars(ts: np.ndarray = DAYS, price: float = 10.0, **more: object) -> BarSet:
    """A set of equal bars at these stamps."""
    flat = np.full(len(ts), price)
    made = BarSet(Symbol.parse("AAPL"), Interval.D1, "yahoo", Adjustment.SPLITS, "USD", ts, flat, flat, flat, flat, np.full(len(ts), 5.0))
    return replace(made, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "ticker", "kind", "mic", "currencies"),
    [
        ("AAPL", "AAPL", "equity", "XNYS", ("USD",)),
        (" aapl\n", "AAPL", "equity", "XNYS", ("USD",)),
        ("BRK.B", "BRK.B", "equity", "XNYS", ("USD",)),
        ("BRK-B", "BRK.B", "equity", "XNYS", ("USD",)),
        ("brk-b", "BRK.B", "equity", "XNYS", ("USD",)),
        ("IBE.MC", "IBE.MC", "equity", "XMAD", ("EUR",)),
        ("VOD.L", "VOD.L", "equity", "XLON", ("GBp", "GBP", "USD", "EUR")),
        ("7203.T", "7203.T", "equity", "XTKS", ("JPY",)),
        ("T", "T", "equity", "XNYS", ("USD",)),
        ("^GSPC", "^GSPC", "index", None, ()),
        ("EURUSD=X", "EURUSD=X", "fx", None, ("USD",)),
        ("EUR/USD", "EUR/USD", "fx", None, ("USD",)),
        ("JPY=X", "JPY=X", "fx", None, ()),
        ("BTC-USD", "BTC-USD", "crypto", None, ("USD",)),
        ("BTC/USD", "BTC/USD", "crypto", None, ("USD",)),
        ("BTC/EUR", "BTC/EUR", "crypto", None, ("EUR",)),
        ("GC=F", "GC=F", "future", None, ()),
        ("VFINX", "VFINX", "fund", "XNYS", ("USD",)),
        ("0P000071W8.TO", "0P000071W8.TO", "fund", "XTSE", ("CAD", "USD")),
        ("X:BTCUSD", "X:BTCUSD", "equity", None, ()),
    ],
)
def test_a_symbol_is_what_its_spelling_tells(typed: str, ticker: str, kind: str, mic: str | None, currencies: tuple[str, ...]) -> None:
    symbol = Symbol.parse(typed)
    assert (symbol.ticker, symbol.kind, symbol.mic, symbol.currencies) == (ticker, kind, mic, currencies)
    assert str(symbol) == ticker
    assert symbol.currency == (currencies[0] if len(currencies) == 1 else None)


def test_two_spellings_of_one_share_class_are_one_symbol() -> None:
    assert Symbol.parse("BRK-B") == Symbol.parse("BRK.B")
    assert len({Symbol.parse("brk-b"), Symbol.parse("BRK.B")}) == 1


def test_a_symbol_is_taken_as_it_is() -> None:
    symbol = Symbol.parse("AAPL")
    assert Symbol.parse(symbol) is symbol


@pytest.mark.parametrize(
    "word",
    [
        "",
        "   ",
        "../etc/passwd",
        "A..B",
        "A//B",
        "AAPL;DROP",
        "AAPL'--",
        "AAPL MSFT",
        "AAPL\x00",
        "\u0410APL",  # a Cyrillic letter that looks like an A
        ".AAPL",
        "-AAPL",
        "/AAPL",
        "=A",
        "A" * 33,
        "A%2F",
        "A\\B",
        "ＡＡＰＬ",
    ],
)
def test_what_is_no_symbol_is_refused_in_plain_words(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        Symbol.parse(word)
    assert caught.value.message.isprintable()
    assert caught.value.message.isascii() or "…" in caught.value.message
    assert "AAPL" in caught.value.hint


def test_a_symbol_has_at_most_32_characters() -> None:
    assert len(Symbol.parse("A" * 32).ticker) == 32


@given(st.text(max_size=40))
def test_any_text_is_a_symbol_of_the_grammar_or_a_usage_error(text: str) -> None:
    try:
        symbol = Symbol.parse(text)
    except UsageError:
        return
    assert set(symbol.ticker) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-^=/:_")
    assert ".." not in symbol.ticker
    assert Symbol.parse(symbol.ticker) == symbol


def test_every_exchange_has_a_mic_and_currencies() -> None:
    for suffix, exchange in SUFFIXES.items():
        symbol = Symbol.parse(f"ABC.{suffix}")
        assert (symbol.mic, symbol.currencies) == (exchange.mic, exchange.currencies)
        assert len(exchange.mic) == 4
        assert exchange.currencies


@pytest.mark.parametrize(
    ("word", "interval"),
    [("1m", "1m"), ("1M", "1mo"), ("60m", "1h"), ("1wk", "1w"), ("1W", "1w"), ("daily", "1d"), ("1D", "1d"), ("1H", "1h"), ("1mo", "1mo")],
)
def test_an_interval_has_other_names_and_case_tells_minute_from_month(word: str, interval: str) -> None:
    assert Interval.parse(word) == interval


def test_an_unknown_interval_names_the_known_ones_nearest_first() -> None:
    with pytest.raises(UsageError) as caught:
        Interval.parse("2h")
    assert caught.value.hint.startswith("use one of 1h")
    assert all(i.value in caught.value.hint for i in Interval)


def test_lengths_ascend_and_tell_what_is_intraday() -> None:
    lengths = [i.seconds for i in Interval]
    assert lengths == sorted(lengths)
    assert [i.value for i in Interval if i.intraday] == ["1m", "5m", "15m", "30m", "1h"]


def test_an_unknown_adjustment_is_refused() -> None:
    with pytest.raises(UsageError, match="not an adjustment"):
        Adjustment.parse("gross")


@pytest.mark.parametrize(
    ("word", "instant"),
    [
        ("2024-01-02", datetime(2024, 1, 2, tzinfo=UTC)),
        ("2024-01-02T14:30:00Z", datetime(2024, 1, 2, 14, 30, tzinfo=UTC)),
        ("2024-01-02T14:30:00+02:00", datetime(2024, 1, 2, 12, 30, tzinfo=UTC)),
        ("2024-01-02T14:30", datetime(2024, 1, 2, 14, 30, tzinfo=UTC)),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        (date(2024, 1, 2), datetime(2024, 1, 2, tzinfo=UTC)),
        (datetime(2024, 1, 2, 3), datetime(2024, 1, 2, 3, tzinfo=UTC)),
        (datetime(2024, 1, 2, 3, tzinfo=timezone(timedelta(hours=-5))), datetime(2024, 1, 2, 8, tzinfo=UTC)),
    ],
)
def test_an_instant_without_a_zone_is_utc(word: str | date | datetime, instant: datetime) -> None:
    parsed = parse_instant(word)
    assert parsed == instant
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize("word", ["", "yesterday", "2024-13-01", "2023-02-29", "01/02/2024", "1704153600", "2024-01-02T25:00", "9" * 60])
def test_what_is_no_date_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="is not a date") as caught:
        parse_instant(word)
    assert "2024-01-02" in caught.value.hint


def test_a_time_at_the_edge_of_the_calendar_is_refused_not_crashed_on() -> None:
    with pytest.raises(UsageError):
        parse_instant("0001-01-01T00:00:00+14:00")


def test_a_request_takes_words() -> None:
    request = BarRequest("brk-b", "1wk", "2024-01-02", date(2024, 2, 1), "all")  # type: ignore[arg-type]
    assert request == BarRequest(
        Symbol.parse("BRK.B"), Interval.W1, datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC), Adjustment.ALL
    )


@pytest.mark.parametrize("end", ["2024-01-02", "2024-01-01"])
def test_a_request_that_ends_before_it_begins_is_refused(end: str) -> None:
    with pytest.raises(UsageError, match="is not before the end") as caught:
        BarRequest("AAPL", "1d", "2024-01-02", end)  # type: ignore[arg-type]
    assert "half-open" in caught.value.hint


def test_a_request_over_another_window_is_otherwise_the_same() -> None:
    request = BarRequest("AAPL", "1d", "2024-01-02", "2024-02-01", "all")  # type: ignore[arg-type]
    other = request.over(datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 2, 1, tzinfo=UTC))
    assert (other.symbol, other.interval, other.adjustment) == (request.symbol, request.interval, request.adjustment)
    assert other.start.year == other.end.year == 2023


def test_bars_are_columns_that_nobody_can_change() -> None:
    some = bars()
    assert len(some) == 3
    assert some.ts.dtype == np.dtype("datetime64[us]")
    for name in COLUMNS:
        column = getattr(some, name)
        assert column.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0.0
    with pytest.raises(FrozenInstanceError):
        some.source = "other"  # type: ignore[misc]


def test_bars_do_not_share_memory_with_what_they_were_made_of() -> None:
    mine = np.array([1.0, 2.0, 3.0])
    some = bars(close=mine)
    mine[0] = 99.0
    assert some.close[0] == 1.0


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="column close has shape"):
        bars(close=np.array([1.0]))


def test_bars_can_be_picked_with_all_their_columns() -> None:
    some = bars(vwap=np.array([1.0, 2.0, 3.0]))
    kept = some.take(np.array([True, False, True]))
    assert kept.ts.tolist() == [some.ts[0].item(), some.ts[2].item()]
    assert kept.vwap is not None
    assert kept.vwap.tolist() == [1.0, 3.0]
    assert kept.symbol == some.symbol


def test_a_frame_is_indexed_by_aware_utc_stamps() -> None:
    frame = bars().to_pandas()
    assert list(frame.columns) == list(COLUMNS)
    assert str(frame.index.tz) == "UTC"  # type: ignore[attr-defined]
    assert frame.index.name == "ts"
    assert frame["close"].tolist() == [10.0, 10.0, 10.0]


def test_joined_bars_are_in_order_and_once_each_the_first_one_told() -> None:
    joined = BarSet.join([bars(DAYS[1:], 2.0), bars(DAYS[:2], 1.0)])
    assert joined.ts.tolist() == DAYS.tolist()
    assert joined.close.tolist() == [1.0, 2.0, 2.0]


def test_joining_adds_up_what_was_told_besides_the_bars() -> None:
    split = CorporateAction("split", date(2024, 1, 3), 4.0)
    lost = RejectedRow(None, "stamp", "no time", "{}")
    one = bars(
        DAYS[:1],
        actions=(split,),
        complete_until=datetime(2024, 1, 5, tzinfo=UTC),
        delivery=Delivery(rows=2, rejected=(lost,), snapshot=True, named=True),
    )
    two = bars(
        DAYS[1:],
        actions=(split,),
        complete_until=datetime(2024, 1, 4, tzinfo=UTC),
        delivery=Delivery(rows=3, duplicates=(datetime(2024, 1, 3, tzinfo=UTC),), named=False),
    )
    joined = BarSet.join([one, two])
    assert joined.actions == (split,)
    assert joined.complete_until == datetime(2024, 1, 4, tzinfo=UTC)
    assert joined.delivery == Delivery(rows=5, rejected=(lost,), duplicates=(datetime(2024, 1, 3, tzinfo=UTC),), snapshot=True, named=False)


def test_one_part_alone_is_itself() -> None:
    some = bars()
    assert BarSet.join([some]) is some
