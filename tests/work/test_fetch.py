"""One request -> the best bars: what is missing is asked for, judged, kept, and told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdagent.guard.outcome import FailureKind
from mdagent.market import BarRequest
from mdagent.sessions import Session, build, expected
from mdagent.sources import load
from mdagent.store.bars import BarStore
from mdagent.work.clerk import Clerk
from mdagent.work.fetch import Tools, fetch
from mdagent.work.fit import Server, Wish
from tests.sources.answers import at, chart, reply, row
from tests.work.maker import planned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from mdagent.sources.base import Source
    from mdagent.work.report import Line
    from tests.work.played import Stage

K = FailureKind
NOW = datetime(2024, 1, 17, 22, 0, tzinfo=UTC)


@cache
def sessions() -> tuple[Session, ...]:
    return build("XNYS", date(2023, 11, 1), date(2024, 4, 1)).sessions


def known(_: BarRequest) -> Sequence[Session]:
    return sessions()


class Desk:
    """A fetch over a played Yahoo."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        stage.clock.set(NOW)
        self.stage = stage
        self.store = BarStore(folder / "bars.duckdb", "live", stage.clock)
        self.yahoo: Source = load("yahoo")

    def fetch(self, request: BarRequest, *, refresh: bool = False, unknown: bool = False, nobody: bool = False) -> Line:
        tools = Tools(
            clerk=Clerk(self.store, self.stage.clock),
            ledger=self.stage.ledger,
            gate=self.stage.gate(),
            clock=self.stage.clock,
            sessions=(lambda _: None) if unknown else known,
            deadline=10.0,
            patience=0.0,
            bounded_depth=True,
        )
        return self.stage.run(fetch(Wish(request, () if nobody else (Server(self.yahoo, request.adjustment),), refresh), tools))

    def answers(self, *bodies: Any) -> None:
        """What Yahoo says next: a body, or a reply."""
        self.stage.answers += [b if isinstance(b, httpx.Response) else reply(b) for b in bodies]

    def windows(self) -> list[tuple[str, str]]:
        """The days that were asked for, request by request."""
        asked = [r.url.params for r in self.stage.requests]
        return [tuple(f"{datetime.fromtimestamp(int(p[k]), UTC):%m-%d}" for k in ("period1", "period2")) for p in asked]  # type: ignore[misc]

    def closes(self) -> dict[str, float]:
        with self.store.reading() as reader:
            rows: list[Any] = reader.bars([ask("2023-11-01", "2024-04-01")])
        return {f"{r[2]:%m-%d}" + ("?" if r[12] else ""): r[6] for r in rows}

    def table(self, sql: str) -> list[tuple[Any, ...]]:
        with self.store.reading() as reader:
            return reader.query(sql)[1]


@pytest.fixture
def desk(play: Callable[..., Stage], tmp_path: Path) -> Desk:
    return Desk(play(), tmp_path)


def ask(start: str = "2024-01-02", end: str = "2024-01-12", interval: str = "1d", adjust: str = "splits") -> BarRequest:
    return BarRequest("AAPL", interval, start, end, adjust)  # type: ignore[arg-type]


def body(days: Iterable[str], close: float = 100.0, **facts: Any) -> dict[str, Any]:
    """Daily bars of one price, after the close of the last session."""
    told = {"regularMarketTime": at("2024-01-17", "16:00"), "currentTradingPeriod": None}
    return chart([row(at(d), close, 1000 + n) for n, d in enumerate(days)], **told | facts)


def days(start: str, end: str) -> list[str]:
    request = ask(start, end)
    return [f"{t:%Y-%m-%d}" for t in expected(sessions(), request.interval, request.start, request.end)]


WEEK = days("2024-01-02", "2024-01-12")


def test_bars_are_asked_for_judged_and_kept(desk: Desk) -> None:
    desk.answers(body(WEEK))
    line = desk.fetch(ask())
    assert (line.source, line.requests, line.bars, line.failure, line.partial) == ("yahoo", 1, 8, None, False)
    assert (line.letter, line.provisional, line.quarantined, line.absent) == ("A", 0, 0, ())
    assert [(c.source, c.chosen, c.reasons) for c in line.considered] == [("yahoo", True, ("served it",))]
    assert list(desk.closes().values()) == [100.0] * 8


def test_what_is_covered_is_not_asked_for_again(desk: Desk) -> None:
    desk.answers(body(WEEK))
    first = desk.fetch(ask())
    again = desk.fetch(ask())
    assert (again.requests, again.bars, again.letter) == (0, 8, first.letter)
    assert again.arithmetic == first.arithmetic


def test_only_the_missing_days_are_asked_for(desk: Desk) -> None:
    desk.answers(body(days("2024-01-04", "2024-01-09")), body(WEEK))
    desk.fetch(ask("2024-01-04", "2024-01-09"))
    line = desk.fetch(ask("2024-01-02", "2024-01-12"))
    assert (line.requests, line.bars) == (1, 8)
    assert desk.windows() == [("01-04", "01-09"), ("01-02", "01-12")], "two gaps round the middle are asked for together"
    desk.answers(body(days("2024-01-12", "2024-01-17")))
    desk.fetch(ask("2024-01-02", "2024-01-17"))
    assert desk.windows()[-1] == ("01-12", "01-17")


def test_a_refresh_asks_for_all_of_it_and_logs_what_changed(desk: Desk) -> None:
    desk.answers(body(WEEK), body(WEEK[:-1] + WEEK[-1:], 101.0))
    desk.fetch(ask())
    line = desk.fetch(ask(), refresh=True)
    assert line.requests == 1
    assert set(desk.closes().values()) == {101.0}
    assert desk.table("SELECT count(*), min(close) FROM revisions") == [(8, 100.0)]
    assert line.notes == ("8 bars that were final came back different (table revisions)",)
    assert desk.fetch(ask()).notes == ()


def test_a_bar_in_progress_is_provisional_asked_for_again_after_a_minute_and_final_later(desk: Desk) -> None:
    desk.stage.clock.set(datetime(2024, 1, 17, 17, 0, tzinfo=UTC))
    live = {"regularMarketTime": at("2024-01-17", "12:00")}
    both = ["2024-01-16", "2024-01-17"]
    desk.answers(body(both, 100.0, **live))
    line = desk.fetch(ask("2024-01-16", "2024-01-18"))
    assert (line.bars, line.provisional) == (2, 1)
    assert desk.closes() == {"01-16": 100.0, "01-17?": 100.0}
    assert desk.fetch(ask("2024-01-16", "2024-01-18")).requests == 0, "it is fresh for a minute"
    desk.stage.clock.pause(60.0)
    desk.answers(body(both[1:], 105.0, **live))
    assert desk.fetch(ask("2024-01-16", "2024-01-18")).requests == 1
    assert desk.closes() == {"01-16": 100.0, "01-17?": 105.0}
    assert desk.windows()[-1] == ("01-17", "01-18")
    desk.stage.clock.set(datetime(2024, 1, 17, 21, 21, tzinfo=UTC))
    desk.answers(body(both[1:], 107.0))
    assert desk.fetch(ask("2024-01-16", "2024-01-18")).provisional == 0
    assert desk.closes() == {"01-16": 100.0, "01-17": 107.0}
    assert desk.fetch(ask("2024-01-16", "2024-01-18")).requests == 0
    assert desk.table("SELECT count(*) FROM revisions") == [(0,)]


def test_a_missing_day_is_told_remembered_and_asked_for_again_later(desk: Desk) -> None:
    holed = [d for d in WEEK if d != "2024-01-04"]
    desk.answers(body(holed))
    line = desk.fetch(ask())
    assert (line.bars, line.absent, line.partial) == (7, (("provider gap", 1),), True)
    again = desk.fetch(ask())
    assert (again.requests, again.absent) == (0, line.absent)
    desk.stage.clock.pause(4 * 86400.0)
    desk.answers(body(WEEK[2:]))
    later = desk.fetch(ask())
    assert (later.requests, later.bars, later.absent) == (1, 8, ())
    assert desk.windows()[-1] == ("01-04", "01-23"), "up to now: had there been a split since, the other bars would be on another basis"


def test_an_empty_answer_is_remembered_too(desk: Desk) -> None:
    desk.answers(body([]))
    line = desk.fetch(ask())
    assert line.failure is not None
    assert (line.failure.kind, line.bars, line.requests) == (K.NO_DATA, 0, 1)
    again = desk.fetch(ask())
    assert again.failure is not None
    assert (again.failure.kind, again.requests) == (K.NO_DATA, 0)


def test_an_empty_stretch_before_the_first_bar_is_no_gap_and_one_after_it_is(desk: Desk) -> None:
    desk.answers(body(days("2024-01-08", "2024-01-12")), body([]), body([]))
    desk.fetch(ask("2024-01-08", "2024-01-12"))
    before = desk.fetch(ask("2024-01-02", "2024-01-12"))
    assert (before.requests, before.failure, before.absent) == (1, None, ())
    after = desk.fetch(ask("2024-01-02", "2024-01-17"))
    assert (after.requests, after.failure, after.absent) == (1, None, (("no data", 1),))
    assert desk.fetch(ask("2024-01-02", "2024-01-17")).absent == after.absent


def test_a_window_without_a_session_needs_no_request(desk: Desk) -> None:
    line = desk.fetch(ask("2024-01-13", "2024-01-16"))
    assert line.failure is not None
    assert (line.failure.kind, line.requests) == (K.NO_DATA, 0)


def test_without_a_calendar_the_window_is_asked_for_and_the_checks_that_could_not_run_are_told(desk: Desk) -> None:
    desk.answers(body(WEEK))
    line = desk.fetch(ask(), unknown=True)
    assert line.bars == 8
    assert "calendar is unknown" in line.skipped
    assert line.score is not None
    assert line.score <= 88


# Failures


def test_an_unknown_symbol_is_not_asked_for_again_until_told_to(desk: Desk) -> None:
    missing = reply({"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found"}}}, 404)
    desk.answers(missing, missing, body(WEEK))
    assert desk.fetch(ask()).failure.kind is K.UNKNOWN_SYMBOL  # type: ignore[union-attr]
    again = desk.fetch(ask())
    assert again.failure is not None
    assert (again.failure.kind, again.requests) == (K.UNKNOWN_SYMBOL, 0)
    assert "asked again from 2024-01-18 22:00Z, or with --refresh" in again.failure.detail
    assert desk.fetch(ask(), refresh=True).requests == 1
    assert desk.fetch(ask(), refresh=True).bars == 8
    desk.answers(body(days("2024-01-12", "2024-01-17")))
    assert desk.fetch(ask("2024-01-02", "2024-01-17")).failure is None, "the source knows it now"


def test_a_symbol_that_went_away_keeps_its_stored_bars(desk: Desk) -> None:
    desk.answers(body(WEEK), reply({"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found"}}}, 404))
    desk.fetch(ask())
    for _ in range(2):
        line = desk.fetch(ask("2024-01-02", "2024-01-17"))
        assert line.failure is not None
        assert (line.failure.kind, line.bars) == (K.UNKNOWN_SYMBOL, 8)


def test_what_was_kept_before_a_failure_stays(desk: Desk) -> None:
    desk.answers(body(days("2024-01-02", "2024-01-09")), reply("busy", 400))
    desk.fetch(ask("2024-01-02", "2024-01-09"))
    line = desk.fetch(ask("2024-01-02", "2024-01-12"))
    assert line.failure is not None
    assert (line.failure.kind, line.bars, line.requests) == (K.BAD_REQUEST, 5, 1)


def test_an_answer_of_which_too_many_rows_are_bad_is_refused_whole(desk: Desk) -> None:
    broken = body(WEEK)
    broken["chart"]["result"][0]["indicators"]["quote"][0]["low"][:3] = [-1.0, -1.0, -1.0]
    desk.answers(broken)
    line = desk.fetch(ask())
    assert line.failure is not None
    assert line.failure.kind is K.BAD_VALUES
    assert "3 of 8 rows cannot be right" in line.failure.detail
    assert line.bars == 0
    assert not desk.store.exists()


def test_a_few_bad_rows_are_quarantined_and_the_rest_is_kept(desk: Desk) -> None:
    broken = body(WEEK)
    broken["chart"]["result"][0]["indicators"]["quote"][0]["low"][2] = -1.0
    desk.answers(broken)
    line = desk.fetch(ask())
    assert (line.bars, line.quarantined, line.partial) == (7, 1, True)
    assert desk.table("SELECT check_name FROM quarantine") == [("positivity",)]


def test_an_answer_on_another_basis_is_never_filed_under_the_one_asked_for(desk: Desk) -> None:
    desk.answers(body(WEEK))
    line = desk.fetch(ask(adjust="all"))
    assert line.failure is not None
    assert line.failure.kind is K.MISMATCH
    assert not desk.store.exists()


def test_without_a_source_the_line_says_why(desk: Desk) -> None:
    line = desk.fetch(ask(), nobody=True)
    assert line.failure is not None
    assert (line.source, line.failure.detail) == (None, "no source can serve AAPL: no source is enabled")


# Long and old windows


MINUTES: dict[str, Any] = {"dataGranularity": "1m", "regularMarketTime": at("2024-01-17", "16:00"), "currentTradingPeriod": None}


def minutes(day: str, first: str = "09:30", count: int = 390) -> list[Any]:
    start = at(day, first)
    return [row(start + 60 * n, 10.0) for n in range(count)]


def test_a_long_window_of_minutes_is_cut_into_legal_pieces(desk: Desk) -> None:
    first = [r for d in days("2024-01-05", "2024-01-12") for r in minutes(d)]
    second = [r for d in days("2024-01-12", "2024-01-16") for r in minutes(d)]
    desk.answers(chart(first, **MINUTES), chart(second, **MINUTES))
    line = desk.fetch(ask("2024-01-05", "2024-01-16", "1m"))
    assert (line.requests, line.bars, line.failure) == (2, 6 * 390, None)
    assert desk.windows() == [("01-05", "01-12"), ("01-12", "01-16")]


def test_minutes_older_than_the_source_keeps_are_left_out_said_and_partial_each_time(desk: Desk) -> None:
    desk.answers(chart(minutes("2023-12-19"), **MINUTES))
    for requests in (1, 0):
        line = desk.fetch(ask("2023-12-01", "2023-12-20", "1m"))
        assert (line.requests, line.bars, line.failure, line.partial) == (requests, 390, None, True)
        assert line.notes == ("yahoo keeps 1m bars for 30 days; before 2023-12-18 it has none",)


def test_a_window_wholly_before_what_the_source_keeps_is_refused_without_a_request(desk: Desk) -> None:
    line = desk.fetch(ask("2023-11-01", "2023-11-10", "1m"))
    assert line.failure is not None
    assert (line.failure.kind, line.requests) == (K.NO_DATA, 0)
    assert line.failure.detail == "yahoo keeps 1m bars for 30 days; before 2023-12-18 it has none"


def test_asking_from_the_beginning_is_asking_for_all_there_is_and_that_is_not_partial(desk: Desk) -> None:
    desk.answers(*[chart(minutes("2023-12-19"), **MINUTES)], *[chart([], **MINUTES)] * 4)
    line = desk.fetch(ask("1900-01-01", "2023-12-20", "1m"))
    assert (line.failure, line.partial) == (None, False)
    assert line.notes


def test_an_hour_without_minutes_is_told_and_asked_for_again(desk: Desk) -> None:
    morning, afternoon = minutes("2024-01-16", count=60), minutes("2024-01-16", "11:30", 270)
    desk.answers(chart(morning + afternoon, **MINUTES), chart(minutes("2024-01-16", "10:30", 60), **MINUTES), body(["2024-01-18"]))
    line = desk.fetch(ask("2024-01-16", "2024-01-17", "1m"))
    assert (line.bars, line.absent, line.partial) == (330, (("provider gap", 60),), True)
    assert desk.fetch(ask("2024-01-16", "2024-01-17", "1m")).requests == 0
    desk.stage.clock.pause(86400.0)
    whole = desk.fetch(ask("2024-01-16", "2024-01-17", "1m"))
    assert (whole.requests, whole.bars, whole.absent) == (2, 390, ()), "and one to learn of splits between the two deliveries"


# Without asking


def dry(desk: Desk, request: BarRequest, *, refresh: bool = False) -> Line:
    wish = Wish(request, (Server(desk.yahoo, request.adjustment),), refresh)
    return planned(desk.stage, desk.store, wish)


def test_a_dry_run_counts_what_a_fetch_would_send(desk: Desk) -> None:
    assert dry(desk, ask()).requests == 1
    desk.answers(body(WEEK))
    desk.fetch(ask())
    assert (dry(desk, ask()).requests, dry(desk, ask()).bars) == (0, 8)
    assert dry(desk, ask(), refresh=True).requests == 1
    (told,) = dry(desk, ask("2024-01-02", "2024-01-17")).considered
    assert told.reasons == ("would ask yahoo for 2024-01-12 00:00 to 2024-01-17 00:00",)
    assert len(desk.stage.asked) == 1


def test_a_dry_run_counts_pieces_and_leaves_out_what_is_too_old(desk: Desk) -> None:
    assert dry(desk, ask("2024-01-02", "2024-01-17", "1m")).requests == 3
    cut = dry(desk, ask("2023-11-01", "2023-11-17", "1m"))
    assert (cut.requests, cut.cut) == (0, True)
    assert cut.failure is not None
    assert cut.failure.kind is K.NO_DATA, "as a fetch would end"
    assert cut.considered[0].reasons == (f"NO_DATA: {cut.notes[0]}",)


def test_time_passes_only_where_somebody_waits(desk: Desk) -> None:
    desk.answers(body(WEEK))
    desk.fetch(ask())
    assert desk.stage.clock.now() - NOW < timedelta(seconds=1)
