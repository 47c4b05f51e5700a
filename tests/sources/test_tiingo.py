"""Tiingo: what it was asked, its answers as bars, actions, quotes, listings and failures; and recorded answers of the real one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import COLUMNS, Adjustment, BarRequest, BarSet, CorporateAction, Interval, Symbol
from mdagent.sources import load, spec_of
from tests.sources.answers import ask, days, hold, reply, utc
from tests.sources.talk import Simulated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx

K = FailureKind
RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings" / "tiingo"
LATER = datetime(2025, 1, 20, 12, tzinfo=UTC)


def day(of: str, close: float = 40.0, **more: Any) -> dict[str, Any]:
    """A daily row whose traded prices are four times the adjusted ones; `of` is a date, or a whole stamp."""
    raw = {"close": close, "high": close + 1, "low": close - 1, "open": close - 0.5, "volume": 1000}
    adjusted = {f"adj{name.capitalize()}": value / 4 if name != "volume" else 4000 for name, value in raw.items()}
    stamp = of if "T" in of else f"{of}T00:00:00.000Z"
    return {"date": stamp} | raw | adjusted | {"divCash": 0.0, "splitFactor": 1.0} | more


def minute(of: str, close: float = 40.0, **more: Any) -> dict[str, Any]:
    return {"date": f"{of}:00.000Z", "open": close - 0.5, "high": close + 1, "low": close - 1, "close": close, "volume": 10} | more


def bars(rows: object, request: BarRequest | None = None) -> BarSet:
    return hold(load("tiingo", api_key="k").bars(request or ask(adjust="raw")), reply(rows))[1]


def refused(rows: object, request: BarRequest | None = None) -> Failure:
    with pytest.raises(ConversationFailed) as caught:
        bars(rows, request)
    return caught.value.failure


def asked_for(request: BarRequest) -> httpx.Request:
    """The first request of a conversation about bars."""
    return next(load("tiingo", api_key="k").bars(request))


def test_the_key_goes_into_a_header_and_both_ends_are_dates() -> None:
    request = asked_for(ask(start="2024-01-02", end="2024-02-01"))
    assert request.headers["authorization"] == "Token k"
    assert str(request.url).startswith("https://api.tiingo.com/tiingo/daily/AAPL/prices?")
    assert dict(request.url.params) == {"startDate": "2024-01-02", "endDate": "2024-01-31", "resampleFreq": "daily", "format": "json"}


@pytest.mark.parametrize(
    ("interval", "end", "last"),
    [("1w", "2024-01-19", "2024-01-21"), ("1w", "2024-01-22", "2024-01-21"), ("1mo", "2024-02-10", "2024-03-01")],
)
def test_weeks_and_months_are_asked_for_beyond_their_end(interval: str, end: str, last: str) -> None:
    assert asked_for(ask(interval=interval, end=end)).url.params["endDate"] == last


def test_minutes_are_asked_for_with_their_volume_and_within_regular_hours() -> None:
    request = asked_for(ask(interval="5m", start="2024-01-02T15:00", end="2024-01-04"))
    assert request.url.path == "/iex/AAPL/prices"
    assert dict(request.url.params) == {
        "startDate": "2024-01-02",
        "endDate": "2024-01-03",
        "resampleFreq": "5min",
        "columns": "open,high,low,close,volume",
        "afterHours": "false",
        "forceFill": "false",
        "format": "json",
    }


@pytest.mark.parametrize(("symbol", "path"), [("BRK.B", "BRK-B"), ("BAC-PL", "BAC-P-L"), ("BAC-P-L", "BAC-P-L"), ("VFINX", "VFINX")])
def test_a_dot_and_a_preferred_share_are_spelled_with_dashes(symbol: str, path: str) -> None:
    assert asked_for(ask(symbol)).url.path == f"/tiingo/daily/{path}/prices"


@pytest.mark.parametrize("symbol", ["IBE.MC", "EURUSD=X", "BTC-USD", "^GSPC", "ES=F", "600519", "600519.SS", "X:BTCUSD"])
def test_what_is_no_listing_of_america_is_not_asked_for(symbol: str) -> None:
    with pytest.raises(ConversationFailed) as caught:
        asked_for(ask(symbol))
    assert caught.value.failure.kind is K.BAD_REQUEST


def test_traded_and_adjusted_prices_are_of_the_same_row() -> None:
    rows = [day("2024-01-02"), day("2024-01-03T00:00:00+00:00", 44.0)]
    raw, whole, splits = (bars(rows, ask(adjust=basis)) for basis in ("raw", "all", "splits"))
    assert (raw.adjustment, raw.close.tolist(), raw.volume.tolist()) == (Adjustment.RAW, [40, 44], [1000, 1000])
    assert (whole.adjustment, whole.close.tolist(), whole.volume.tolist()) == (Adjustment.ALL, [10, 11], [4000, 4000])
    assert splits.adjustment is Adjustment.RAW, "what came, not what was wished for"
    assert (raw.currency, raw.venue, days(raw)) == ("USD", "", ["2024-01-02", "2024-01-03"])


def test_daily_rows_tell_every_split_and_dividend_of_their_window() -> None:
    rows = [day("2024-01-02"), day("2024-01-03", divCash=0.24), day("2024-01-04", divCash=1.0, splitFactor=4.0)]
    made = bars(rows, ask(start="2024-01-03", adjust="raw"))
    assert made.delivery.events
    assert made.actions == (
        CorporateAction("dividend", date(2024, 1, 3), 0.24),
        CorporateAction("dividend", date(2024, 1, 4), 1.0),
        CorporateAction("split", date(2024, 1, 4), 4.0),
    )
    assert not any(action.adjusted for action in made.actions)


@pytest.mark.parametrize(
    "odd", [{"divCash": None}, {"splitFactor": 0}, {"splitFactor": "4"}, {"divCash": -1}, {"splitFactor": float("inf")}, {"date": "never"}]
)
def test_a_row_that_tells_no_action_is_not_taken_for_one_without(odd: dict[str, Any]) -> None:
    rows = [day("2024-01-02"), day("2024-01-03") | odd]
    body = json.dumps(rows)
    made = bars(body)
    assert not made.delivery.events
    assert made.actions == ()
    with pytest.raises(ConversationFailed) as caught:
        hold(load("tiingo").actions(Symbol.parse("AAPL"), utc("2024-01-01"), utc("2024-02-01")), reply(body))
    assert caught.value.failure.kind is K.SCHEMA


def test_a_day_told_twice_alike_is_one_split_and_told_differently_is_none() -> None:
    split = day("2024-01-02", splitFactor=4.0)
    assert [a.value for a in bars([split, split]).actions] == [4.0]
    assert not bars([split, split | {"splitFactor": 2.0}]).delivery.events


def test_weeks_and_months_tell_no_actions_and_come_as_traded() -> None:
    for interval, stamp in (("1w", "2024-01-08"), ("1mo", "2024-01-01")):
        rows = [day("2024-01-12", divCash=0.24, splitFactor=4.0)]
        made = bars(rows, ask(interval=interval, start="2024-01-01", adjust="all"))
        assert (made.adjustment, days(made), made.close.tolist()) == (Adjustment.RAW, [stamp], [40])
        assert (made.delivery.events, made.actions) == (False, ())


def test_a_week_is_stamped_by_any_of_its_working_days_and_by_no_other() -> None:
    rows = [day("2024-01-12"), day("2024-01-18", 41), day("2024-01-28", 42)]
    made = bars(rows, ask(interval="1w", adjust="raw"))
    assert days(made) == ["2024-01-08", "2024-01-15"]
    assert len(made.delivery.rejected) == 1


@pytest.mark.parametrize("stamp", ["2024-01-03", "2024-01-03T00:00:00-05:00", "2024-01-03T14:30:00.000Z", 1704240000, None])
def test_a_stamp_that_is_no_midnight_of_greenwich_is_no_day(stamp: Any) -> None:
    made = bars([day("2024-01-02"), day("2024-01-04"), day("2024-01-05") | {"date": stamp}])
    assert days(made) == ["2024-01-02", "2024-01-04"]
    assert [row.check for row in made.delivery.rejected] == ["stamp"]


def test_rows_without_the_prices_asked_for_are_refused_and_tell_no_action() -> None:
    rows = [{name: value for name, value in day("2024-01-02").items() if name in ("date", *COLUMNS)}]
    assert (len(bars(rows)), bars(rows).delivery.events) == (1, False)
    assert refused(rows, ask(adjust="all")).kind is K.SCHEMA


def test_minutes_are_of_iex_and_a_volume_that_was_not_sent_is_not_zero() -> None:
    request = ask(interval="1m", start="2024-01-02", end="2024-01-03", adjust="raw")
    rows = [minute("2024-01-02T14:30"), minute("2024-01-02T14:31", 41)]
    made = bars(rows, request)
    assert (made.venue, made.adjustment, made.volume.tolist()) == ("IEX", Adjustment.RAW, [10, 10])
    assert made.ts.tolist() == [datetime(2024, 1, 2, 14, 30), datetime(2024, 1, 2, 14, 31)]
    silent = bars([{k: v for k, v in row.items() if k != "volume"} for row in rows], request)
    assert np.isnan(silent.volume).all()


def test_a_row_off_the_grid_of_its_interval_is_put_aside() -> None:
    request = ask(interval="5m", start="2024-01-02", end="2024-01-03", adjust="raw")
    made = bars([minute("2024-01-02T14:30"), minute("2024-01-02T14:35"), minute("2024-01-02T14:37")], request)
    assert (len(made), len(made.delivery.rejected)) == (2, 1)


HOURLY = ask(interval="1h", start="2024-01-02", end="2024-01-03", adjust="raw")


def test_hours_are_made_of_half_hours_from_half_past() -> None:
    made = bars([minute(f"2024-01-02T{clock}", 40.0 + n) for n, clock in enumerate(("14:30", "15:00", "15:30"))], HOURLY)
    assert [f"{ts:%H:%M}" for ts in made.ts.tolist()] == ["14:30", "15:30"]
    assert [made.open[0], made.high[0], made.low[0], made.close[0], made.volume[0]] == [39.5, 42, 39, 41, 20]
    assert [made.open[1], made.close[1], made.volume[1]] == [41.5, 42, 10]


def test_an_hour_of_which_a_half_is_no_bar_is_none() -> None:
    rows = [minute("2024-01-02T15:30"), minute("2024-01-02T15:00", high="x"), minute("2024-01-02T14:30")]
    made = bars(rows, HOURLY)
    assert [f"{ts:%H:%M}" for ts in made.ts.tolist()] == ["15:30"]
    assert len(made.delivery.rejected) == 1


@pytest.mark.parametrize("second", ["2024-01-02T14:30", "2024-01-02T14:47", "never"])
def test_no_hour_is_made_of_half_hours_that_are_not_certain(second: str) -> None:
    assert refused([minute("2024-01-02T14:30"), minute(second)], HOURLY).kind is K.SCHEMA


def test_an_empty_piece_does_not_spoil_the_others() -> None:
    request = ask(interval="1m", start="2024-01-02", end="2024-03-02", adjust="raw")
    asked, made = hold(load("tiingo").bars(request), reply([]), reply([minute("2024-02-05T14:30")]))
    assert [dict(r.url.params)["startDate"] for r in asked] == ["2024-01-02", "2024-02-01"]
    assert len(made) == 1


def test_every_piece_of_minutes_fits_into_one_answer() -> None:
    for interval, depth in spec_of("tiingo").intervals.items():
        if interval.intraday:
            assert depth.per_request is not None
            assert depth.per_request.days / 7 * 5 * 390 * 60 / min(interval.seconds, 1800) < 10_000


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, '{"detail":"Not found."}', K.UNKNOWN_SYMBOL),
        (200, '{"detail":"Not found."}', K.UNKNOWN_SYMBOL),
        (403, '{"detail":"You do not have permission to access this"}', K.PLAN_LIMIT),
        (429, '{"detail":"Error: You have run over your hourly request allocation."}', K.RATE_LIMITED),
        (429, '{"detail":"Error: You have run over your daily request allocation."}', K.QUOTA_EXHAUSTED),
        (200, "You have run over your 500 symbol look up for this month. Please upgrade", K.QUOTA_EXHAUSTED),
        (200, '"Error: You have run over your hourly request allocation."', K.RATE_LIMITED),
        (200, '{"detail":"something else"}', K.BAD_REQUEST),
        (500, '{"detail":"token"}', K.SERVER_ERROR),
    ],
)
def test_a_failure_is_told_from_its_words(status: int, body: str, kind: FailureKind) -> None:
    failure = load("tiingo").error_in(reply(body, status))
    assert failure is not None
    assert failure.kind is kind


def test_data_are_no_failure() -> None:
    assert load("tiingo").error_in(reply([day("2024-01-02", detail="You have run over")])) is None


def price(**more: Any) -> dict[str, Any]:
    return {
        "ticker": "AAPL",
        "timestamp": "2024-01-02T20:59:59.98463489+00:00",
        "tngoLast": 185.5,
        "bidPrice": None,
        "askPrice": 186,
    } | more


def test_a_quote_has_its_time_and_what_is_null_is_not_told() -> None:
    told = hold(load("tiingo").quote("AAPL"), reply([price(prevClose=184)]))[1]
    assert (told.last, told.bid, told.ask, told.previous_close, told.currency) == (185.5, None, 186, 184, "USD")
    assert told.as_of == utc("2024-01-02T20:59:59")


@pytest.mark.parametrize(
    ("stamp", "as_of"),
    [
        ("2024-01-02T15:59:59-05:00", utc("2024-01-02T20:59:59")),
        ("2024-13-02T15:59:59Z", None),
        ("", None),
        ("0001-01-01T00:00:00+23:00", None),
    ],
)
def test_the_time_of_a_quote_is_read_with_its_zone(stamp: str, as_of: datetime | None) -> None:
    assert hold(load("tiingo").quote("AAPL"), reply([price(timestamp=stamp)]))[1].as_of == as_of


@pytest.mark.parametrize(
    ("body", "kind"),
    [([], K.NO_DATA), ([price(tngoLast=None)], K.NO_DATA), ([price(ticker="MSFT")], K.MISMATCH), ({"a": 1}, K.SCHEMA)],
)
def test_a_quote_without_a_price_or_of_another_symbol_is_none(body: object, kind: FailureKind) -> None:
    with pytest.raises(ConversationFailed) as caught:
        hold(load("tiingo").quote("AAPL"), reply(body))
    assert caught.value.failure.kind is kind


def test_a_search_finds_american_listings_in_our_spelling() -> None:
    told = [
        ("brk-b", "US", "Stock"),
        ("bac-p-l", "US", "Stock"),
        ("600519", "CN", "Stock"),
        ("btcusd", "US", "Crypto"),
        ("a b", "US", "ETF"),
    ]
    hits = [{"ticker": t, "name": "n", "countryCode": c, "assetType": k} for t, c, k in told]
    found = hold(load("tiingo").search("x"), reply(hits))[1]
    assert [str(hit.symbol) for hit in found] == ["BRK.B", "BAC-PL"]


def test_volume_of_the_simulated_iex_is_a_part_of_the_market() -> None:
    request = BarRequest("AAPL", "5m", "2024-03-11", "2024-03-12", "raw")  # type: ignore[arg-type]
    made = Simulated("tiingo", datetime(2024, 3, 14, 12, tzinfo=UTC)).hold(lambda s: s.bars(request))
    daily = BarRequest("AAPL", "1d", "2024-03-11", "2024-03-12", "raw")  # type: ignore[arg-type]
    whole = Simulated("tiingo", LATER).hold(lambda s: s.bars(daily))
    assert len(made) == 78
    assert 0 < made.volume.sum() < whole.volume[0] / 30


def test_the_day_in_progress_has_no_daily_row_yet() -> None:
    request = BarRequest("AAPL", "1d", "2024-03-11", "2024-03-14", "raw")  # type: ignore[arg-type]
    made = Simulated("tiingo", datetime(2024, 3, 13, 18, tzinfo=UTC)).hold(lambda s: s.bars(request))
    assert days(made) == ["2024-03-11", "2024-03-12"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded answer, and what it was asked for."""

    file: str
    symbol: str
    interval: Interval
    asked: dict[str, str]

    @property
    def content(self) -> bytes:
        return (RECORDINGS / self.file).read_bytes()

    def request(self, basis: str) -> BarRequest:
        """The window of the request, or the whole month of the answer where it had none."""
        first = self.asked.get("startDate") or json.loads(self.content)[0]["date"][:8] + "01"
        last = self.asked.get("endDate") or json.loads(self.content)[-1]["date"][:10]
        start = date.fromisoformat(first)
        if self.interval is Interval.W1:
            start -= timedelta(days=start.weekday())
        return BarRequest(self.symbol, self.interval, start, date.fromisoformat(last) + timedelta(days=1), basis)  # type: ignore[arg-type]


def recorded() -> Iterator[Recorded]:
    """The recorded bars of stocks, in JSON."""
    if not RECORDINGS.exists():
        return
    frequencies = {"daily": Interval.D1, "weekly": Interval.W1, "30Min": Interval.M30}
    for line in (RECORDINGS / "recordings.jsonl").read_text("utf-8").splitlines():
        told = json.loads(line)
        place, query = told["request"]["path"].split("/"), told["request"]["query"]
        if told["kind"] == "bars" and told["file"].endswith(".json") and "crypto" not in place:
            yield Recorded(told["file"], place[-2], frequencies[query["resampleFreq"]], query)


RECORDED = list(recorded())
each = pytest.mark.parametrize("one", RECORDED, ids=lambda one: one.file)
here = pytest.mark.skipif(not RECORDED, reason="there are no recordings beside the repository")


def plainly(one: Recorded, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of a body by an independent reading."""
    made = []
    for row in json.loads(one.content):
        stamp = datetime.fromisoformat(row["date"]).replace(tzinfo=None)
        if one.interval is Interval.W1:
            stamp -= timedelta(days=stamp.weekday())
        made.append((stamp, *(row.get(name) for name in names)))
    return made


def columns(made: BarSet) -> list[tuple[Any, ...]]:
    table = [[None if np.isnan(v) else v for v in getattr(made, name).tolist()] for name in COLUMNS]
    return list(zip(made.ts.tolist(), *table, strict=True))


@here
@each
def test_a_recorded_answer_is_read_as_it_stands(one: Recorded) -> None:
    made = bars(one.content, one.request("raw"))
    assert columns(made) == plainly(one, COLUMNS)
    assert (made.adjustment, made.venue) == (Adjustment.RAW, "IEX" if one.interval.intraday else "")
    assert not made.delivery.rejected
    assert made.delivery.rows == len(made)


@here
@pytest.mark.parametrize("one", [one for one in RECORDED if one.interval is Interval.D1], ids=lambda one: one.file)
def test_a_recorded_day_is_read_adjusted_and_with_its_actions(one: Recorded) -> None:
    made = bars(one.content, one.request("all"))
    assert made.adjustment is Adjustment.ALL
    assert columns(made) == plainly(one, [f"adj{name.capitalize()}" for name in COLUMNS])
    told = json.loads(one.content)
    due = [("dividend", row["date"][:10], row["divCash"]) for row in told if row["divCash"] != 0]
    due += [("split", row["date"][:10], row["splitFactor"]) for row in told if row["splitFactor"] != 1]
    assert sorted((a.kind, f"{a.date}", a.value) for a in made.actions) == sorted(due)
    assert made.delivery.events


@here
def test_recorded_half_hours_make_the_hours_of_their_session() -> None:
    one = next(one for one in RECORDED if one.interval is Interval.M30)
    made = bars(one.content, BarRequest("GOOGL", "1h", "2018-01-02", "2018-01-03", "raw"))  # type: ignore[arg-type]
    rows = plainly(one, COLUMNS)
    pairs = [rows[n : n + 2] for n in range(0, len(rows), 2)]
    assert [f"{ts:%H:%M}" for ts in made.ts.tolist()] == [f"{h}:30" for h in range(14, 21)]
    assert made.open.tolist() == [pair[0][1] for pair in pairs]
    assert made.high.tolist() == [max(row[2] for row in pair) for pair in pairs]
    assert made.low.tolist() == [min(row[3] for row in pair) for pair in pairs]
    assert made.close.tolist() == [pair[-1][4] for pair in pairs]
    assert np.isnan(made.volume).all()
